//! What goes back: the vectors' exact encryption, and what an app may say.

use proptest::prelude::*;
use serde::Deserialize;

use super::super::content::{self, Family};
use super::super::refusal::Format;
use super::super::reply::{ReplyFault, ReplyTo, Seal};
use super::{EncodingAesKey, Token, secret};
use crate::clock::UnixTime;
use crate::wechat::biz_msg_crypt::Crypt;
use crate::wechat::{json, xml};

#[derive(Deserialize)]
struct Case {
    name: String,
    keys: Keys,
    input: Input,
    expect: Expect,
}

#[derive(Deserialize)]
struct Keys {
    token: String,
    encoding_aes_key: String,
    receive_id: String,
}

#[derive(Deserialize)]
struct Input {
    msg: String,
    timestamp: String,
    nonce: String,
    random16: String,
    format: String,
}

#[derive(Deserialize)]
struct Expect {
    encrypt: String,
    msg_signature: String,
    body: String,
}

const RECEIVE_ID: &str = "wx5823bf96d3bd56c7";
const AES: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const RANDOM: [u8; 16] = *b"0123456789abcdef";
const NOW: UnixTime = UnixTime::from_secs(1_760_000_009);
const TEXT: &str = "<xml><ToUserName><![CDATA[o]]></ToUserName><MsgType>text</MsgType><Content>你好</Content></xml>";

fn crypt(keys: &Keys) -> Crypt {
    let aes = EncodingAesKey::new(&secret(&keys.encoding_aes_key)).unwrap();
    Crypt::new(vec![Token::new(&secret(&keys.token)).unwrap()], vec![aes], vec![keys.receive_id.clone()])
}

/// A seal is had by opening something that was sealed: here what the vector itself expects.
fn seal(keys: &Keys, parts: [&str; 3], signature: &str) -> Seal {
    let crypt = crypt(keys);
    let signer = crypt.signer(&parts, signature).expect("the vector's signature");
    let opened = crypt.open(&signer, parts[2]).expect("the vector's encryption");
    Seal { by: opened.by, nonce: parts[1].to_owned(), is_lower_case: false }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../../tests/vectors/reply_encrypt.json")).unwrap()
}

/// The four fields of an envelope by the names of either form.
fn fields(body: &[u8]) -> [String; 4] {
    let text = std::str::from_utf8(body).unwrap();
    let object: serde_json::Value = if text.starts_with('<') {
        serde_json::from_slice(&xml::read(body).unwrap().to_json()).unwrap()
    } else {
        json::read(body, &mut Nothing).unwrap();
        serde_json::from_str(text).unwrap()
    };
    let field = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| object.get(name)).unwrap();
        value.as_str().map_or_else(|| value.as_i64().unwrap().to_string(), str::to_owned)
    };
    [
        field(["Encrypt", "encrypt"]),
        field(["MsgSignature", "msgsignature"]),
        field(["TimeStamp", "timestamp"]),
        field(["Nonce", "nonce"]),
    ]
}

struct Nothing;

impl<'de> json::Take<'de> for Nothing {
    fn text(&mut self, _at: json::At<'_>, _value: std::borrow::Cow<'de, str>) {}
}

#[test]
fn every_vector_is_encrypted_and_signed_to_the_byte() {
    assert!(cases().len() >= 16);
    for Case { name, keys, input, expect } in cases() {
        let seal = seal(&keys, [&input.timestamp, &input.nonce, &expect.encrypt], &expect.msg_signature);
        let format = if input.format == "json" { Format::Json } else { Format::Xml };
        let now = UnixTime::from_secs(input.timestamp.parse().unwrap());
        let random = input.random16.as_bytes().try_into().unwrap();
        let body = seal.envelope(format, input.msg.as_bytes(), random, now).unwrap();
        let [encrypted, signature, timestamp, nonce] = fields(&body);
        assert_eq!((encrypted, signature), (expect.encrypt, expect.msg_signature), "{name}");
        assert_eq!((timestamp, nonce), (input.timestamp, input.nonce), "{name}");
        assert_eq!(fields(&body), fields(expect.body.as_bytes()), "{name}");
    }
}

fn keys() -> Keys {
    Keys { token: "token".to_owned(), encoding_aes_key: AES.to_owned(), receive_id: RECEIVE_ID.to_owned() }
}

/// How an encrypted push of this content is answered.
fn reply_to(family: Family, message: &str, is_lower_case: bool) -> ReplyTo {
    let case = cases().into_iter().find(|case| case.name == "reply-text").unwrap();
    let parts = [case.input.timestamp.as_str(), &case.input.nonce, &case.expect.encrypt];
    let seal = Seal { is_lower_case, ..seal(&case.keys, parts, &case.expect.msg_signature) };
    let content = content::read(family, None, message.to_owned().into()).unwrap();
    ReplyTo::sealed(content.format, content.acknowledgement, seal)
}

/// Opens what was answered as WeChat does.
fn opened(body: &[u8]) -> String {
    let case = cases().into_iter().find(|case| case.name == "reply-text").unwrap();
    let [encrypted, signature, timestamp, nonce] = fields(body);
    let crypt = crypt(&case.keys);
    let signer = crypt.signer(&[&timestamp, &nonce, &encrypted], &signature).expect("signed with the token");
    String::from_utf8(crypt.open(&signer, &encrypted).unwrap().message).unwrap()
}

#[test]
fn a_reply_is_encrypted_as_the_push_was() {
    let to = reply_to(Family::Message, "<xml><MsgType>text</MsgType></xml>", false);
    for said in [TEXT.to_owned(), format!("\n {TEXT}\r\n"), format!("\u{feff}{TEXT}")] {
        let reply = to.reply(said.as_bytes(), RANDOM, NOW);
        assert_eq!(reply.fault, None);
        assert_eq!((reply.answer.status, reply.answer.content_type), (200, "text/xml; charset=utf-8"));
        assert_eq!(opened(&reply.answer.body), TEXT);
        assert_eq!(fields(&reply.answer.body)[2], "1760000009");
    }
    let to = reply_to(Family::Message, r#"{"MsgType":"text"}"#, false);
    let reply = to.reply(br#"{"demo":1}"#, RANDOM, NOW);
    assert!(reply.answer.body.starts_with(br#"{"Encrypt":"#));
    assert_eq!(opened(&reply.answer.body), r#"{"demo":1}"#);
    let to = reply_to(Family::WeCom, r#"{"msgtype":"text"}"#, true);
    let reply = to.reply(br#"{"msgtype":"text"}"#, RANDOM, NOW);
    assert!(reply.answer.body.starts_with(br#"{"encrypt":"#));
    assert_eq!(opened(&reply.answer.body), r#"{"msgtype":"text"}"#);
}

#[test]
fn a_reply_to_plain_text_is_plain() {
    let content = content::read(Family::Message, None, "<xml><MsgType>text</MsgType></xml>".into()).unwrap();
    let to = ReplyTo::plain(content.format, content.acknowledgement);
    assert_eq!(to.reply(TEXT.as_bytes(), RANDOM, NOW).answer.body, TEXT);
}

#[test]
fn nothing_and_success_are_passed_on_as_success() {
    let to = reply_to(Family::Message, "<xml><MsgType>text</MsgType></xml>", false);
    for said in ["", "success", " success\n", "\r\n"] {
        let reply = to.reply(said.as_bytes(), RANDOM, NOW);
        assert_eq!((&reply.answer.body[..], reply.fault), (&b"success"[..], None), "{said:?}");
    }
    let to = reply_to(Family::WeCom, "<xml><MsgType>text</MsgType></xml>", false);
    assert_eq!(to.reply(b"", RANDOM, NOW).answer.body, "");
    let to = reply_to(Family::WeCom, "<xml><InfoType>suite_ticket</InfoType></xml>", false);
    assert_eq!(to.reply(b"", RANDOM, NOW).answer.body, "success");
}

#[test]
fn what_wechat_would_not_understand_becomes_success_and_a_fault() {
    let xml = reply_to(Family::Message, "<xml><MsgType>text</MsgType></xml>", false);
    let json = reply_to(Family::Message, r#"{"MsgType":"text"}"#, false);
    let long = format!("<xml><Content>{}</Content></xml>", "a".repeat(65 * 1024));
    for said in [
        "ok",
        "SUCCESS",
        r#"{"ok":true}"#,
        "<!DOCTYPE html><html></html>",
        "<html><body/></html>",
        "<xml></xml>",
        "<xml>",
    ] {
        let reply = xml.reply(said.as_bytes(), RANDOM, NOW);
        assert_eq!((&reply.answer.body[..], reply.fault), (&b"success"[..], Some(ReplyFault::NotXml)), "{said}");
    }
    for said in ["ok", "<xml><a>1</a></xml>", "[]", r#"{"a":1,"a":2}"#, "null"] {
        assert_eq!(json.reply(said.as_bytes(), RANDOM, NOW).fault, Some(ReplyFault::NotJson), "{said}");
    }
    assert_eq!(xml.reply(b"<xml><a>\xff</a></xml>", RANDOM, NOW).fault, Some(ReplyFault::NotXml));
    assert_eq!(xml.reply(long.as_bytes(), RANDOM, NOW).fault, Some(ReplyFault::TooLarge));
}

#[test]
fn virtual_payment_is_acknowledged_in_its_own_words_and_can_ask_again() {
    let json = reply_to(Family::Message, r#"{"Event":"xpay_goods_deliver_notify"}"#, false);
    let xml = reply_to(Family::Message, "<xml><Event>xpay_refund_notify</Event></xml>", false);
    assert_eq!(json.reply(b"success", RANDOM, NOW).answer.body, r#"{"ErrCode":0,"ErrMsg":"success"}"#);
    assert_eq!(json.acknowledge().content_type, "application/json; charset=utf-8");
    assert_eq!(xml.acknowledge().body, "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>");
    assert!(json.wants_retry(br#"{"ErrCode":1,"ErrMsg":"later"}"#) && json.wants_retry(br#"{"ErrCode":"-1"}"#));
    assert!(xml.wants_retry(b"<xml><ErrCode>1</ErrCode></xml>"));
    for said in
        [&br#"{"ErrCode":0}"#[..], br#"{"ErrCode":"0"}"#, b"", b"success", b"<xml><ErrCode>0</ErrCode></xml>", b"<xml>"]
    {
        assert!(!json.wants_retry(said) && !xml.wants_retry(said), "{}", String::from_utf8_lossy(said));
    }
    let message = reply_to(Family::Message, r#"{"MsgType":"text"}"#, false);
    assert!(!message.wants_retry(br#"{"ErrCode":1}"#), "no other push is acknowledged so");
}

#[test]
fn a_question_is_answered_by_the_app_or_by_nobody() {
    let to = reply_to(Family::Message, r#"{"Event":"xpay_subscribe_ios_refund_query_notify"}"#, false);
    let reply = to.reply(b"", RANDOM, NOW);
    assert_eq!((&reply.answer.body[..], reply.fault), (&b""[..], Some(ReplyFault::Unanswered)));
    let said = br#"{"result_code":0,"result_info":"","evidence":""}"#;
    assert_eq!(opened(&to.reply(said, RANDOM, NOW).answer.body).as_bytes(), said);
}

#[test]
fn secrets_are_not_printed() {
    let to = reply_to(Family::Message, r#"{"MsgType":"text"}"#, false);
    let keys = keys();
    let printed = format!("{to:?} {:?}", crypt(&keys));
    assert!(!printed.contains(AES) && !printed.contains("\"token\""), "{printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_app_says_is_answered_with_200(said in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in ["<xml><MsgType>text</MsgType></xml>", r#"{"MsgType":"text"}"#, r#"{"Event":"xpay_coin_pay_notify"}"#] {
            let to = reply_to(Family::Message, message, false);
            prop_assert_eq!(to.reply(&said, RANDOM, NOW).answer.status, 200);
            let _ = to.wants_retry(&said);
        }
    }

    #[test]
    fn a_reply_comes_back_from_its_encryption(content in "[^\\p{C}<&>]{1,300}", random in any::<[u8; 16]>()) {
        let said = format!("<xml><Content>{content}</Content></xml>");
        let to = reply_to(Family::Message, "<xml><MsgType>text</MsgType></xml>", false);
        prop_assert_eq!(opened(&to.reply(said.as_bytes(), random, NOW).answer.body), said);
    }
}
