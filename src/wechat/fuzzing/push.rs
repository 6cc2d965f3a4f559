//! Message push, open platforms and WeCom: queries and envelopes that are signed here, and messages that are sealed here.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{NOW, TIMESTAMP, base64, chosen, halves, secret, through, verified};
use crate::wechat::biz_msg_crypt::{BLOCKS_OF_PADDING, Crypt, sign};
use crate::wechat::key::{EncodingAesKey, Token};
use crate::wechat::message::{self, Message, Mode};
use crate::wechat::wecom::{self, WeCom};
use crate::wechat::{Protocol, Received};

const NONCE: &str = "nonce-1";
const ID: &str = "wx5823bf96d3bd56c7";

/// Endpoints in the order in which two bits choose them, and WeCom's.
pub(super) static ENDPOINTS: LazyLock<[Protocol; 4]> = LazyLock::new(|| {
    [(Mode::Plain, false), (Mode::Compatible, false), (Mode::Safe, false), (Mode::Safe, true)].map(
        |(mode, is_open_platform)| {
            Protocol::Message(Message::new(message::Settings {
                window: Duration::from_mins(5),
                tokens: vec![token()],
                aes: vec![aes("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"), aes(&"A".repeat(43))],
                mode,
                single_use: true,
                appids: vec![ID.to_owned()],
                is_open_platform,
            }))
        },
    )
});
pub(super) static WECOM: LazyLock<Protocol> = LazyLock::new(|| {
    Protocol::WeCom(WeCom::new(wecom::Settings {
        window: Duration::from_mins(5),
        tokens: vec![token()],
        aes: vec![aes("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG")],
        single_use: true,
        receive_ids: vec![ID.to_owned(), String::new()],
    }))
});
static CRYPT: LazyLock<Crypt> = LazyLock::new(|| {
    let keys = vec![aes("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"), aes(&"A".repeat(43))];
    Crypt::new(vec![token()], keys, vec![ID.to_owned(), String::new()])
});

fn token() -> Token {
    Token::new(&secret("fuzzingToken")).expect("letters")
}

fn aes(text: &str) -> EncodingAesKey {
    EncodingAesKey::new(&secret(text)).expect("43 symbols")
}

/// Blocks as they are, encrypted.
fn encrypted(blocks: Vec<u8>) -> String {
    base64(&aes("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").encrypt(blocks).expect("whole blocks"))
}

/// A message, packed and encrypted as WeChat does.
pub(super) fn sealed(message: &[u8]) -> String {
    encrypted(crate::wechat::biz_msg_crypt::pack(message, ID.as_bytes(), [7; 16]).expect("not 4 GiB"))
}

/// The query that signs `encrypted`; without it that of plain mode. `more` stands behind it.
pub(super) fn query(encrypted: Option<&str>, more: &str) -> String {
    let plain = sign(&token(), &[TIMESTAMP, NONCE]);
    let head = format!("signature={plain}&timestamp={TIMESTAMP}&nonce={NONCE}");
    match encrypted {
        None => format!("{head}&{more}"),
        Some(encrypted) => {
            let signature = sign(&token(), &[TIMESTAMP, NONCE, encrypted]);
            format!("{head}&encrypt_type=aes&msg_signature={signature}&{more}")
        }
    }
}

/// The envelope of a push, in XML, in JSON, or in WeCom's JSON.
pub(super) fn envelope(form: u8, encrypted: &str) -> Vec<u8> {
    match form % 3 {
        0 => format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"),
        1 => format!(r#"{{"ToUserName":"gh_1","Encrypt":"{encrypted}"}}"#),
        _ => format!(r#"{{"tousername":"ww1","encrypt":"{encrypted}","agentid":"1"}}"#),
    }
    .into_bytes()
}

/// By the first byte: which endpoint (2 bits), what is made of the rest (2 bits), and in which form (the rest of it).
pub fn push(data: &[u8]) {
    let Some((choice, data)) = chosen(data) else { return };
    if let Some(endpoint) = ENDPOINTS.get(usize::from(choice & 3)) {
        pushed(endpoint, choice % 4 == 0, choice >> 2, data);
    }
}

/// The same of WeCom.
pub fn wecom(data: &[u8]) {
    let Some((choice, data)) = chosen(data) else { return };
    pushed(&WECOM, false, choice, data);
}

fn pushed(endpoint: &Protocol, is_plain: bool, choice: u8, data: &[u8]) {
    let (first, second) = halves(data);
    let more = std::str::from_utf8(first).unwrap_or_default();
    let sign = |encrypted: Option<&str>| query(encrypted, more);
    let headers = HeaderMap::new();
    let post = |query: &str, body: Vec<u8>| {
        let received = Received { method: &Method::POST, path: "/", query, headers: &headers };
        drop(through(endpoint, received, &Bytes::from(body)));
    };
    match choice & 3 {
        // The query is the sender's own, so that nothing can hold; and the same is asked as a check of the URL.
        0 => {
            let body = Bytes::copy_from_slice(second);
            for method in [Method::POST, Method::GET] {
                let received = Received { method: &method, path: "/", query: more, headers: &headers };
                assert!(verified(endpoint, received, &body).is_err(), "a signature out of nothing");
                assert!(endpoint.echo(received, NOW).is_none_or(|echo| echo.is_err()), "a signature out of nothing");
                diagnose(endpoint, received, &body);
            }
        }
        // The body is the sender's own, and what it says is encrypted is signed.
        1 => {
            let said = if is_plain { None } else { message::encrypted_for_fuzzing(second) };
            post(&sign(said.as_deref()), second.to_vec());
        }
        // The message.
        2 if is_plain => post(&sign(None), second.to_vec()),
        2 => {
            let sealed = sealed(second);
            post(&sign(Some(&sealed)), envelope(choice >> 2, &sealed));
        }
        // The check of the URL.
        _ => {
            let echo = if endpoint.name() == "wecom" { sealed(second) } else { String::from_utf8_lossy(second).into() };
            let query = format!("{}&echostr={}", sign(Some(&echo)), echo.replace('+', "%2B"));
            let received = Received { method: &Method::GET, path: "/", query: &query, headers: &headers };
            if let Some(Ok(answer)) = endpoint.echo(received, NOW) {
                assert!(answer.body.len() <= data.len().max(1), "the check of the URL answers more than was asked");
            }
        }
    }
}

pub(super) fn diagnose(endpoint: &Protocol, received: Received<'_>, body: &Bytes) {
    match endpoint {
        Protocol::PayV3(pay) => drop(pay.diagnose(received, body, NOW)),
        Protocol::PayV2(pay) => drop(pay.diagnose(received, body, NOW)),
        Protocol::Message(push) => drop(push.diagnose(received, body, NOW)),
        Protocol::WeCom(push) => drop(push.diagnose(received, body, NOW)),
    }
}

/// By the first byte: base64 as it is, blocks under the right key, or a message that has to come out as it went in.
pub fn biz_msg_crypt(data: &[u8]) {
    let Some((choice, data)) = chosen(data) else { return };
    let parts = [TIMESTAMP, NONCE];
    let signer = CRYPT.signer(&parts, &sign(&token(), &parts)).expect("its own token signs");
    let text = match choice & 3 {
        0 => String::from_utf8_lossy(data).into_owned(),
        1 | 2 => encrypted(data.get(..data.len() & !15).unwrap_or_default().to_vec()),
        _ => sealed(data),
    };
    let opened = CRYPT.open(&signer, &text);
    drop(CRYPT.receive_id(&text));
    match opened {
        Ok(opened) => {
            assert!(opened.message.len() + BLOCKS_OF_PADDING <= text.len(), "a message longer than what it was in");
            assert!(choice & 3 != 3 || opened.message == data, "another message came out");
        }
        Err(fault) => assert!(choice & 3 != 3, "what was sealed rightly does not open: {fault:?}"),
    }
}

/// What an app says to a push, of every kind of push that is answered differently.
pub fn push_reply(data: &[u8]) {
    static REPLIES: LazyLock<Vec<message::ReplyTo>> = LazyLock::new(|| {
        let text = r#"{"ToUserName":"a","FromUserName":"b","CreateTime":"1","MsgType":"text","MsgId":"1"}"#;
        let question = text.replace("text", "event").replace("MsgId\":\"1", "Event\":\"xpay_goods_deliver_notify");
        let xml = "<xml><FromUserName>b</FromUserName><MsgType>text</MsgType><MsgId>1</MsgId></xml>";
        let all = [(&ENDPOINTS[2], 0, text), (&ENDPOINTS[2], 1, &question), (&WECOM, 2, text), (&WECOM, 0, xml)];
        let replies = all.into_iter().map(|(endpoint, form, message)| {
            let sealed = sealed(message.as_bytes());
            let (query, headers) = (query(Some(&sealed), ""), HeaderMap::new());
            let received = Received { method: &Method::POST, path: "/", query: &query, headers: &headers };
            let opened = through(endpoint, received, &Bytes::from(envelope(form, &sealed))).expect("a genuine push");
            opened.reply_to().expect("a push is answered").clone()
        });
        replies.collect()
    });
    for reply_to in REPLIES.iter() {
        let _ = reply_to.wants_retry(data);
        let reply = reply_to.reply(data, [7; 16], NOW);
        assert_eq!(reply.answer.status, 200);
        // Base64 and the envelope around it.
        assert!(reply.answer.body.len() <= 2 * data.len() + 1024, "an answer larger than what the app said");
    }
}
