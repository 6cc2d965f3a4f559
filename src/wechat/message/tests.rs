//! The vectors, made by independent implementations, and what must hold whatever the bytes are.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::event::Event;
use crate::reason::Reason;
use crate::secret::Secret;
use crate::wechat::biz_msg_crypt::hex;
use crate::wechat::{Answer, Protocol, answer, wecom};

mod identity;
mod replies;
mod simulated;

#[derive(Deserialize)]
pub(in crate::wechat) struct Case {
    pub(in crate::wechat) name: String,
    protocol: String,
    keys: Keys,
    request: Request,
    now: i64,
    expect: Expect,
}

#[derive(Deserialize)]
struct Keys {
    token: String,
    appid: Option<String>,
    receive_id: Option<String>,
    mode: Option<String>,
    encoding_aes_key: Option<String>,
    encoding_aes_key_previous: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body_b64: String,
}

#[derive(Deserialize)]
struct Expect {
    verdict: String,
    reason: String,
    #[serde(default)]
    reason_alt: Vec<String>,
    event: Option<serde_json::Value>,
    reply: Option<Told>,
}

/// The answer that a vector asks for.
#[derive(Deserialize)]
struct Told {
    status: u16,
    body: String,
    content_type: String,
}

/// How a callback ended.
pub(in crate::wechat) enum End {
    Echo(Answer),
    Authentic(Box<Authentic>),
}

pub(in crate::wechat) fn cases(text: &str) -> Vec<Case> {
    serde_json::from_str(text).unwrap()
}

fn vectors() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases(include_str!("../../../tests/vectors/message.json")));
    &CASES
}

fn case(name: &str) -> &'static Case {
    vectors().iter().find(|case| case.name == name).unwrap()
}

fn usual() -> &'static Case {
    case("mp-safe-xml-pad-17")
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn protocol(case: &Case, mode: Mode) -> Protocol {
    let keys = &case.keys;
    let aes = keys.encoding_aes_key.iter().chain(&keys.encoding_aes_key_previous);
    let aes = aes.map(|key| EncodingAesKey::new(&secret(key)).unwrap()).collect();
    let tokens = vec![Token::new(&secret(&keys.token)).unwrap()];
    let window = Duration::from_mins(5);
    match &keys.receive_id {
        Some(id) => Protocol::WeCom(wecom::WeCom::new(wecom::Settings {
            window,
            tokens,
            aes,
            single_use: true,
            receive_ids: vec![id.clone()],
        })),
        None => Protocol::Message(Message::new(Settings {
            window,
            tokens,
            aes,
            mode,
            single_use: true,
            appids: keys.appid.iter().cloned().collect(),
            is_open_platform: case.protocol == "open-platform",
        })),
    }
}

fn configured(case: &Case) -> Protocol {
    let mode = match case.keys.mode.as_deref() {
        Some("plain") => Mode::Plain,
        Some("compat") => Mode::Compatible,
        Some("safe") | None => Mode::Safe,
        Some(other) => panic!("{other}"),
    };
    protocol(case, mode)
}

fn judge(protocol: &Protocol, request: &Request, body: Bytes, now: i64) -> Result<End, Reason> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let received = Received { method: &method, path: &request.path, query: &request.query, headers: &headers };
    let now = UnixTime::from_secs(now);
    if let Some(echo) = protocol.echo(received, now) {
        return echo.map(End::Echo).map_err(|refused| refused.reason);
    }
    let screened = protocol.screen(received, now).map_err(|refused| refused.reason)?;
    let verified = protocol.verify(screened, body).map_err(|refused| refused.reason)?;
    protocol.open(verified).map(|authentic| End::Authentic(Box::new(authentic))).map_err(|refused| refused.reason)
}

pub(in crate::wechat) fn judge_case(case: &Case) -> Result<End, Reason> {
    judge(&configured(case), &case.request, body(&case.request), case.now)
}

fn body(request: &Request) -> Bytes {
    base64_simd::STANDARD.decode_to_vec(&request.body_b64).unwrap().into()
}

fn event(case: &Case) -> Event {
    match judge_case(case) {
        Ok(End::Authentic(authentic)) => (*authentic.event).clone(),
        Ok(End::Echo(_)) => panic!("{}: an echo", case.name),
        Err(reason) => panic!("{}: {}", case.name, reason.code()),
    }
}

/// Every vector of a family gives its verdict, its reason, its event and its answer. The optional ones do as well: padding
/// to 16 and a garbled first block are taken, echostr may be any visible text, a raw plus is a plus.
pub(in crate::wechat) fn every_vector_holds(cases: &[Case]) {
    for case in cases {
        let Expect { verdict, reason, reason_alt, event, reply } = &case.expect;
        match judge_case(case) {
            Ok(end) => {
                assert_eq!(verdict, "accept", "{} was accepted", case.name);
                let answer = match end {
                    End::Echo(answer) => answer,
                    End::Authentic(authentic) => {
                        let got: serde_json::Value = serde_json::from_slice(&authentic.event.body).unwrap();
                        assert_eq!(Some(&got), event.as_ref(), "{}", case.name);
                        authentic.reply_to.unwrap().acknowledge()
                    }
                };
                let told = reply.as_ref().unwrap();
                assert_eq!((answer.status, &answer.body[..]), (told.status, told.body.as_bytes()), "{}", case.name);
                assert!(answer.content_type.starts_with(&told.content_type), "{}", case.name);
            }
            Err(found) => {
                assert_eq!(verdict, "reject", "{} was refused: {}", case.name, found.code());
                let allowed = std::iter::once(reason).chain(reason_alt);
                assert!(allowed.into_iter().any(|code| code == found.code()), "{}: {}", case.name, found.code());
            }
        }
    }
}

#[test]
fn every_vector_gives_its_verdict_reason_event_and_answer() {
    assert!(vectors().len() >= 69);
    every_vector_holds(vectors());
}

#[test]
fn a_push_in_json_is_forwarded_byte_for_byte() {
    let case = case("mp-safe-json-bigint-msgid");
    let text = String::from_utf8(event(case).body.to_vec()).unwrap();
    assert!(text.contains("\"MsgId\":23637352235060880") || text.contains("\"MsgId\": 23637352235060880"), "{text}");
}

#[test]
fn what_an_event_says_is_what_was_encrypted() {
    let text = event(case("mp-safe-previous-key"));
    assert_eq!((text.kind.as_str(), text.id.as_str()), ("wechat.message.text", "gh_7f083739789a:10989597602144242"));
    assert_eq!(text.openid.as_deref(), Some("oia2TjjewbmiOUlr6X-1crbLOvLw"));
    assert_eq!(text.account.as_deref(), Some("gh_7f083739789a"));
    assert_eq!(text.appid.as_deref(), Some("wx5823bf96d3bd56c7"));
    assert_eq!(text.time, Some(UnixTime::from_secs(1_760_000_000)));
    assert_eq!((text.msg_type.as_deref(), text.event_name.as_deref()), (Some("text"), None));

    let subscribe = event(case("mp-safe-event-subscribe"));
    assert_eq!(subscribe.kind, "wechat.message.subscribe");
    assert_eq!(subscribe.event_name.as_deref(), Some("subscribe"));
    assert_eq!(subscribe.event_key.as_deref(), Some("qrscene_123123"));
    assert!(subscribe.id.starts_with("subscribe:1760000000:"), "{}", subscribe.id);
    assert_eq!(event(case("mp-safe-empty-element")).kind, "wechat.message.click");

    let bought = event(case("mp-safe-json-xpay-goods-deliver"));
    assert_eq!(bought.kind, "wechat.message.xpay_goods_deliver_notify");
    assert_eq!(bought.id, "xpay_goods_deliver_notify:gh_7f083739789a:0:xpay_20251009_0001");
    assert_eq!(bought.out_trade_no.as_deref(), Some("xpay_20251009_0001"));
    assert_eq!((bought.subject, bought.transaction_id.as_deref()), (bought.out_trade_no, Some("4200002025")));
    assert!(!bought.is_test && bought.fingerprint.is_some());

    let ticket = event(case("open-component-verify-ticket"));
    assert_eq!(ticket.kind, "wechat.message.component_verify_ticket");
    assert_eq!((ticket.account.as_deref(), ticket.appid), (Some("wx134c8103faa5a59e"), None));
    assert_eq!(event(case("open-unauthorized")).account.as_deref(), Some("wxf8b4f85f3a794e77"));
    assert_eq!(event(case("open-delegated-message")).account.as_deref(), Some("gh_7f083739789a"));
    assert_eq!(event(case("mp-safe-msgid-64bit-max")).id, "gh_7f083739789a:18446744073709551615");
}

#[test]
fn what_tells_a_replay_is_the_signature_and_only_if_it_is_asked_for() {
    let case = usual();
    let Ok(End::Authentic(authentic)) = judge_case(case) else { panic!("refused") };
    let signature = case.request.query.split("msg_signature=").nth(1).unwrap();
    let freshness = authentic.freshness().unwrap();
    assert_eq!((freshness.nonce.as_str(), freshness.signed_at), (signature, UnixTime::from_secs(1_760_000_000)));
    assert_eq!(&**authentic.signed_by(), "token-1");
    assert_eq!(*authentic.received_body(), body(&case.request));

    let Protocol::Message(push) = configured(case) else { unreachable!() };
    let relaxed = Protocol::Message(Message { single_use: false, ..push });
    let Ok(End::Authentic(authentic)) = judge(&relaxed, &case.request, body(&case.request), case.now) else { panic!() };
    assert_eq!(authentic.freshness(), None);
}

/// Timestamp and nonce may be cut another way, or change places, without a change of the sum: the signature stays, and so
/// does what a replay is known by.
#[test]
fn a_query_cut_another_way_is_the_same_replay() {
    let case = case("mp-plain-text-xml");
    let recut =
        case.request.query.replace("timestamp=1760000000&nonce=957925880", "nonce=1760000000&timestamp=957925880");
    assert_ne!(recut, case.request.query);
    let request = Request { query: recut, ..case.request.clone() };
    let nonce = |request: &Request, now| match judge(&configured(case), request, body(request), now) {
        Ok(End::Authentic(authentic)) => authentic.freshness().unwrap().nonce.clone(),
        Ok(End::Echo(_)) | Err(_) => panic!("refused"),
    };
    assert_eq!(nonce(&request, 957_925_881), nonce(&case.request, case.now));
}

#[test]
fn no_mode_takes_what_another_one_sends() {
    let judged = |name: &str, mode| {
        let case = case(name);
        judge(&protocol(case, mode), &case.request, body(&case.request), case.now).err()
    };
    for name in ["mp-plain-text-xml", "mp-plain-official-json-example"] {
        for mode in [Mode::Safe, Mode::Compatible] {
            assert_eq!(judged(name, mode), Some(Reason::ModeMismatch), "{name}");
        }
    }
    for name in ["mp-compat-mode", "mp-safe-text-unicode", "mp-safe-json-mini-program"] {
        assert_eq!(judged(name, Mode::Plain), Some(Reason::ModeMismatch), "{name}");
        assert_eq!((judged(name, Mode::Safe), judged(name, Mode::Compatible)), (None, None), "{name}");
    }
}

#[test]
fn each_parameter_has_one_form_and_comes_once() {
    let case = usual();
    let with = |from: &str, to: &str| {
        assert!(case.request.query.contains(from), "{from}");
        let request = Request { query: case.request.query.replace(from, to), ..case.request.clone() };
        judge(&configured(case), &request, body(&request), case.now).err()
    };
    for (from, to, reason) in [
        ("timestamp=1760000000", "timestamp=01760000000", Reason::BadTimestamp),
        ("timestamp=1760000000", "timestamp=+1760000000", Reason::BadTimestamp),
        ("timestamp=1760000000", "timestamp=1760000000%20", Reason::BadTimestamp),
        ("timestamp=1760000000", "timestamp=1760000000&timestamp=1760000000", Reason::DuplicateParam),
        ("timestamp=1760000000", "timestamp=1759999701", Reason::TimestampOutOfWindow),
        ("timestamp=1760000000", "timestamp=1760000301", Reason::TimestampOutOfWindow),
        ("timestamp=1760000000", "timestamp=1760000300", Reason::BadSignature),
        ("timestamp=", "time=", Reason::MissingParam),
        ("nonce=678313180", "nonce=", Reason::MissingParam),
        ("nonce=678313180", "nonce=678313180&%6eonce=1", Reason::DuplicateParam),
        ("nonce=678313180", "nonce=67831318%00", Reason::BadEncoding),
        ("nonce=678313180", "nonce=67831318%E5", Reason::BadEncoding),
        ("encrypt_type=aes", "encrypt_type=AES", Reason::BadEncoding),
        ("encrypt_type=aes", "encrypt_type=raw", Reason::ModeMismatch),
        ("encrypt_type=aes", "encrypt_type=", Reason::ModeMismatch),
        ("encrypt_type=aes", "encrypt_type=aes&encrypt_type=raw", Reason::DuplicateParam),
        ("&encrypt_type=aes", "", Reason::ModeMismatch),
        ("msg_signature=", "msg_signature=0", Reason::BadSignature),
        ("openid=", "openid=%zz", Reason::BadEncoding),
    ] {
        assert_eq!(with(from, to), Some(reason), "{from} -> {to}");
    }
    assert_eq!(with("openid=", "tuoid="), None, "nothing is decided by what nobody signed");
    for coding in ["gzip", "identity, br"] {
        let mut request = case.request.clone();
        request.headers.push(("Content-Encoding".to_owned(), coding.to_owned()));
        assert_eq!(judge(&configured(case), &request, body(&request), case.now).err(), Some(Reason::BadEncoding));
    }
    for method in ["PUT", "HEAD", "OPTIONS", "DELETE"] {
        let request = Request { method: method.to_owned(), ..case.request.clone() };
        assert_eq!(judge(&configured(case), &request, body(&request), case.now).err(), Some(Reason::BadMethod));
    }
}

#[test]
fn an_echo_is_short_visible_text() {
    let case = case("mp-get-echostr");
    let with = |echo: &str| {
        let query = case.request.query.replace("8652102777077138150", echo);
        judge(&configured(case), &Request { query, ..case.request.clone() }, Bytes::new(), case.now).err()
    };
    assert_eq!(with(&"7".repeat(MAX_ECHO)), None);
    for echo in [&"7".repeat(MAX_ECHO + 1), "a%0d%0ab", "%E4%B8%AD", "a%20b", "%00"] {
        assert_eq!(with(echo), Some(Reason::BadEncoding), "{echo}");
    }
    assert_eq!(with(""), Some(Reason::MissingParam));
}

/// Encrypts and signs in WeChat's place, by another implementation of the layout than the gateway's.
struct Forge {
    token: &'static str,
    key: EncodingAesKey,
}

impl Forge {
    fn usual() -> Self {
        Self {
            token: &usual().keys.token,
            key: EncodingAesKey::new(&secret(usual().keys.encoding_aes_key.as_ref().unwrap())).unwrap(),
        }
    }

    /// Whole blocks of plaintext as they are, signed.
    fn push(&self, plaintext: Vec<u8>, tag: &str) -> (Request, Bytes) {
        let encrypted = base64_simd::STANDARD.encode_to_string(self.key.encrypt(plaintext).unwrap());
        self.signed(&encrypted, &format!("<xml><{tag}>{encrypted}</{tag}></xml>"))
    }

    fn signed(&self, encrypted: &str, body: &str) -> (Request, Bytes) {
        let mut parts = [self.token, "1760000000", "77", encrypted];
        parts.sort_unstable();
        let signature = hex(&crate::wechat::crypto::sha_1(&[parts.concat().as_bytes()]));
        let query = format!("timestamp=1760000000&nonce=77&encrypt_type=aes&msg_signature={signature}");
        (Request { query, ..usual().request.clone() }, Bytes::copy_from_slice(body.as_bytes()))
    }
}

fn plaintext(message: &[u8], receive_id: &str, padding: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut text = [&[b'r'; 16][..], &length, message, receive_id.as_bytes()].concat();
    text.extend(padding(32_usize.saturating_sub(text.len() & 31)));
    text
}

fn padded(by: usize) -> Vec<u8> {
    vec![u8::try_from(by).unwrap(); by]
}

const APPID: &str = "wx5823bf96d3bd56c7";

fn judged((request, body): (Request, Bytes)) -> Result<End, Reason> {
    judge(&configured(usual()), &request, body, usual().now)
}

/// Whoever cannot sign learns nothing from the cipher; and whoever can, no more from the answer.
#[test]
fn padding_length_receive_id_and_signature_fail_alike() {
    let forge = Forge::usual();
    let good = plaintext(b"<xml><MsgType>text</MsgType></xml>", APPID, padded);
    assert!(judged(forge.push(good.clone(), "Encrypt")).is_ok());
    let mut wrong = vec![
        (plaintext(b"<xml/>", "wx0000000000000000", padded), Reason::AppidMismatch),
        (plaintext(b"<xml/>", "", padded), Reason::AppidMismatch),
        (plaintext(b"<xml/>", &format!("{APPID}\n"), padded), Reason::AppidMismatch),
        (plaintext(b"<xml/>", &APPID.to_uppercase(), padded), Reason::AppidMismatch),
        (plaintext(b"<xml/>", APPID, |by| [vec![0; by - 1], padded(by)[..1].to_vec()].concat()), Reason::BadCiphertext),
        (plaintext(b"<xml/>", APPID, |by| vec![0; by]), Reason::BadCiphertext),
        (plaintext(b"<xml/>", APPID, |by| vec![33; by]), Reason::BadCiphertext),
        (vec![32; 32], Reason::BadCiphertext),
        (good[..16].to_vec(), Reason::BadCiphertext),
    ];
    let mut long = good.clone();
    long[16] = 0x7f;
    wrong.push((long, Reason::BadCiphertext));
    let refused = answer::message(Reason::BadSignature);
    for (plaintext, reason) in wrong {
        let end = judged(forge.push(plaintext, "Encrypt")).err();
        assert_eq!(end, Some(reason));
        assert_eq!(configured(usual()).answer(reason), refused);
    }
    let (request, body) = forge.push(good, "Encrypt");
    let forged = Request { query: request.query.replace("nonce=77", "nonce=78"), ..request };
    assert_eq!(judged((forged, body)).err(), Some(Reason::BadSignature));
}

#[test]
fn only_one_encrypt_in_the_envelope_itself_counts() {
    let forge = Forge::usual();
    let good = plaintext(b"<xml><MsgType>text</MsgType></xml>", APPID, padded);
    assert_eq!(judged(forge.push(good.clone(), "encrypt")).err(), Some(Reason::MissingField));
    let encrypted = base64_simd::STANDARD.encode_to_string(forge.key.encrypt(good).unwrap());
    let taken = |body: String| judged(forge.signed(&encrypted, &body)).err();
    assert_eq!(taken(format!("{{\"Encrypt\":\"{encrypted}\"}}")), None);
    assert_eq!(taken(format!("<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>")), None);
    for (body, reason) in [
        (format!("{{\"Encrypt\":\"{encrypted}\",\"encrypt\":\"{encrypted}\"}}"), Reason::BadJson),
        (format!("{{\"Encrypt\":[\"{encrypted}\"]}}"), Reason::BadJson),
        (format!("{{\"a\":{{\"Encrypt\":\"{encrypted}\"}}}}"), Reason::MissingField),
        ("{\"Encrypt\":null}".to_owned(), Reason::MissingField),
        ("{\"Encrypt\":7}".to_owned(), Reason::BadJson),
        (format!("<xml><a><Encrypt>{encrypted}</Encrypt></a></xml>"), Reason::MissingField),
        (format!("<xml><Encrypt><a>{encrypted}</a></Encrypt></xml>"), Reason::BadXml),
        (format!("<xml><Encrypt>{encrypted}\n</Encrypt></xml>"), Reason::BadSignature),
        (format!("<xml><Encrypt>{encrypted}</Encrypt></xml><xml/>"), Reason::BadXml),
        (String::new(), Reason::BadXml),
    ] {
        assert_eq!(taken(body.clone()), Some(reason), "{body}");
    }
}

#[test]
fn an_authentic_message_still_has_to_be_a_strict_document_with_names() {
    let forge = Forge::usual();
    let inside = |message: &str| match judged(forge.push(plaintext(message.as_bytes(), APPID, padded), "Encrypt")) {
        Ok(End::Authentic(authentic)) => Ok(authentic.event.kind.clone()),
        Ok(End::Echo(_)) => unreachable!(),
        Err(reason) => Err(reason),
    };
    for (message, reason) in [
        ("", Reason::BadXml),
        ("text", Reason::BadXml),
        ("<xml><MsgType>text</MsgType>", Reason::BadXml),
        ("<xml><MsgType>text</MsgType><MsgType>image</MsgType></xml>", Reason::BadXml),
        ("<xml><MsgType><a>text</a></MsgType></xml>", Reason::BadXml),
        ("<xml><MsgType>te\nxt</MsgType></xml>", Reason::BadXml),
        ("{\"MsgType\":\"text\",\"MsgType\":\"text\"}", Reason::BadJson),
        ("{\"MsgType\":[\"text\"]}", Reason::BadJson),
        ("{\"MsgType\":\"text\"", Reason::BadJson),
    ] {
        assert_eq!(inside(message), Err(reason), "{message}");
    }
    assert_eq!(inside(&format!("<xml><MsgType>{}</MsgType></xml>", "t".repeat(129))), Err(Reason::BadXml));
    assert_eq!(inside("<xml></xml>"), Ok("wechat.message.other".to_owned()), "unknown pushes pass");
    assert_eq!(inside("{\"MsgType\":\"New_Type\"}"), Ok("wechat.message.new_type".to_owned()));
}

/// Every single bit of what is signed and of the signature, on one message.
#[test]
fn no_single_bit_can_be_flipped() {
    let case = usual();
    let protocol = configured(case);
    let text = String::from_utf8(body(&case.request).to_vec()).unwrap();
    let start = text.find("<Encrypt><![CDATA[").unwrap() + "<Encrypt><![CDATA[".len();
    let end = text.find("]]></Encrypt>").unwrap();
    for place in start * 8..end * 8 {
        let mut flipped = text.clone().into_bytes();
        flipped[place / 8] ^= 1 << (place % 8);
        let end = judge(&protocol, &case.request, flipped.into(), case.now);
        assert!(end.is_err(), "bit {place} of the body");
    }
    for name in ["timestamp=", "nonce=", "msg_signature="] {
        let start = case.request.query.find(name).unwrap() + name.len();
        let length = case.request.query[start..].find('&').unwrap_or(case.request.query.len() - start);
        for place in start * 8..(start + length) * 8 {
            let mut flipped = case.request.query.clone().into_bytes();
            flipped[place / 8] ^= 1 << (place % 8);
            let Ok(query) = String::from_utf8(flipped) else { continue }; // no request line holds it
            let request = Request { query, ..case.request.clone() };
            assert!(judge(&protocol, &request, body(&request), case.now).is_err(), "bit {place} of {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_sealed_and_signed_comes_out(content in "[^\\p{C}<&>]{0,60}", id in 1..u64::MAX) {
        let message = format!("<xml><MsgType>text</MsgType><Content>{content}</Content><MsgId>{id}</MsgId></xml>");
        let end = judged(Forge::usual().push(plaintext(message.as_bytes(), APPID, padded), "Encrypt"));
        let Ok(End::Authentic(authentic)) = end else { panic!("refused") };
        let body: serde_json::Value = serde_json::from_slice(&authentic.event.body).unwrap();
        prop_assert_eq!(body["Content"].as_str(), Some(content.as_str()));
        prop_assert_eq!(&authentic.event.id, &format!(":{id}"));
    }

    #[test]
    fn no_query_and_no_body_make_it_panic(query in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for case in [usual(), case("mp-plain-text-xml"), case("mp-get-echostr")] {
            let request = Request { query: query.clone(), ..case.request.clone() };
            prop_assert!(judge(&configured(case), &request, bytes.clone().into(), case.now).is_err());
            if case.keys.mode.as_deref() == Some("safe") {
                prop_assert!(judge(&configured(case), &case.request, bytes.clone().into(), case.now).is_err());
            }
        }
    }

    #[test]
    fn no_authentic_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = judged(Forge::usual().push(plaintext(&bytes, APPID, padded), "Encrypt"));
        let _ = judged(Forge::usual().push(bytes.chunks_exact(16).flatten().copied().collect(), "Encrypt"));
        for family in [Family::Message, Family::OpenPlatform, Family::WeCom] {
            let _ = content::read(family, None, bytes.clone().into());
        }
    }
}
