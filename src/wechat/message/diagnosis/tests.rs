//! Each cause is produced from what the simulated WeChat pushes by the mishap that it names.

use http::{HeaderMap, HeaderValue};
use serde_json::json;

use super::*;
use crate::secret::Secret;
use crate::sim::notify::Callback;
use crate::sim::push::{Account, Family, Mode, sample};
use crate::wechat::diagnosis::Explained as _;
use crate::wechat::key::{EncodingAesKey, Token};
use crate::wechat::{message, wecom};

const NOW: i64 = 1_760_000_000;

/// A captured request with the configuration that it meets.
struct Scene {
    callback: Callback,
    headers: HeaderMap,
    /// As the gateway is configured.
    account: Account,
    now: i64,
}

impl Scene {
    fn of(account: Account, callback: Callback) -> Self {
        Self { callback, headers: HeaderMap::new(), account, now: NOW }
    }

    fn push(account: Account) -> Self {
        let content = sample::find(account.family, "text").unwrap().content(NOW);
        let callback = account.push("/push", NOW, &content).unwrap();
        Self::of(account, callback)
    }

    /// A push in safe mode.
    fn usual() -> Self {
        Self::push(Account::sample(Family::Message))
    }

    fn check(family: Family) -> Self {
        let account = Account::sample(family);
        let (callback, _) = account.check("/push", NOW).unwrap();
        Self::of(account, callback)
    }

    fn wecom() -> Self {
        Self::push(Account::sample(Family::WeCom))
    }

    /// Meets a gateway that is configured otherwise.
    fn met(mut self, change: fn(&mut Account)) -> Self {
        change(&mut self.account);
        self
    }

    /// Changes the query on its way.
    fn query(mut self, change: impl Fn(&str) -> String) -> Self {
        let (path, query) = self.callback.path.split_once('?').unwrap();
        self.callback.path = format!("{path}?{}", change(query));
        self
    }

    /// Changes the body on its way.
    fn body(mut self, change: impl Fn(&str) -> String) -> Self {
        self.callback.body = change(std::str::from_utf8(&self.callback.body).unwrap()).into_bytes();
        self
    }

    fn parameter(&self, name: &str) -> String {
        let (_, query) = self.callback.path.split_once('?').unwrap();
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    }

    fn without(self, name: &str) -> Self {
        self.query(|query| {
            query.split('&').filter(|pair| !pair.starts_with(&format!("{name}="))).collect::<Vec<_>>().join("&")
        })
    }

    fn diagnose(&self) -> Diagnosis {
        let Account { family, token, encoding_aes_key, receive_id, mode, .. } = &self.account;
        let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
        let tokens = vec![Token::new(&secret(token)).unwrap()];
        let aes = vec![EncodingAesKey::new(&secret(encoding_aes_key)).unwrap()];
        let window = std::time::Duration::from_mins(5);
        let (method, path) = (Method::from_bytes(self.callback.method.as_bytes()).unwrap(), &self.callback.path);
        let (path, query) = path.split_once('?').unwrap();
        let received = Received { method: &method, path, query, headers: &self.headers };
        let (body, now) = (Bytes::from(self.callback.body.clone()), UnixTime::from_secs(self.now));
        if *family == Family::WeCom {
            let receive_ids = vec![receive_id.clone()];
            let push = wecom::WeCom::new(wecom::Settings { window, tokens, aes, single_use: true, receive_ids });
            return push.diagnose(received, &body, now);
        }
        let push = Message::new(message::Settings {
            window,
            tokens,
            aes,
            mode: match mode {
                Mode::Plain => message::Mode::Plain,
                Mode::Compatible => message::Mode::Compatible,
                Mode::Safe => message::Mode::Safe,
            },
            single_use: true,
            appids: vec![receive_id.clone()],
            is_open_platform: *family == Family::OpenPlatform,
        });
        push.diagnose(received, &body, now)
    }
}

/// Percent-encodes everything that is no letter or digit.
fn encoded(text: &str) -> String {
    let encode =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// A push whose encrypted text has a plus.
fn with_a_plus() -> Scene {
    std::iter::repeat_with(Scene::usual).find(|scene| scene.callback.body.contains(&b'+')).unwrap()
}

type Mishap = fn() -> Scene;

const MISHAPS: &[(Cause, &str, Mishap)] = &[
    (Cause::Passes, "nothing happened", Scene::usual),
    (Cause::Passes, "nothing happened to WeCom's", Scene::wecom),
    (Cause::Passes, "nothing happened to a check", || Scene::check(Family::Message)),
    (Cause::Passes, "nothing happened to WeCom's check", || Scene::check(Family::WeCom)),
    (Cause::SignatureOfQuery, "`signature` in the place of `msg_signature`", || {
        let scene = Scene::usual();
        let (signature, msg_signature) = (scene.parameter("signature"), scene.parameter("msg_signature"));
        scene.query(|query| query.replace(&msg_signature, &signature))
    }),
    (Cause::ParameterLost, "the nonce dropped", || Scene::usual().without("nonce")),
    (Cause::ParameterLost, "encrypt_type dropped", || Scene::usual().without("encrypt_type")),
    (Cause::ParameterLost, "msg_signature dropped", || Scene::usual().without("msg_signature")),
    (Cause::ParameterRepeated, "added again", || Scene::usual().query(|query| format!("{query}&timestamp=1"))),
    (Cause::QueryEncoded, "encoded twice", || Scene::check(Family::WeCom).query(|query| query.replace('%', "%25"))),
    (Cause::QueryEncoded, "encoded as a whole", || Scene::usual().query(encoded)),
    (Cause::QueryEncoded, "copied out of a page", || Scene::usual().query(|query| query.replace('&', "&amp;"))),
    (Cause::BodyFormDecoded, "pluses lost", || with_a_plus().body(|body| body.replace('+', " "))),
    (Cause::BodyFormDecoded, "percent-encoded", || Scene::usual().body(encoded)),
    (Cause::BodyRewritten, "line ends put in", || {
        Scene::usual().body(|body| {
            body.replace("<Encrypt><![CDATA[", "<Encrypt>\n<![CDATA[").replace("]]></Encrypt>", "]]>\n</Encrypt>")
        })
    }),
    (Cause::BodyRewritten, "a mark put in front", || Scene::usual().body(|body| format!("\u{feff}{body}"))),
    (Cause::BodyCompressed, "gzip", || {
        let mut scene = Scene::usual();
        scene.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        scene
    }),
    (Cause::BodyLost, "not passed on", || Scene::usual().body(|_| String::new())),
    (Cause::Clock, "an hour late", || Scene { now: NOW + 3600, ..Scene::usual() }),
    (Cause::Clock, "an hour early", || Scene { now: NOW - 3600, ..Scene::wecom() }),
    (Cause::Clock, "an hour late for a check", || Scene { now: NOW + 3600, ..Scene::check(Family::Message) }),
    (Cause::Mode, "plain where safe is configured", || {
        Scene::push(Account { mode: Mode::Plain, ..Account::sample(Family::Message) }).met(|a| a.mode = Mode::Safe)
    }),
    (Cause::Mode, "safe where plain is configured", || Scene::usual().met(|account| account.mode = Mode::Plain)),
    (Cause::OtherProtocol, "a WeCom check of an official account's endpoint", || {
        Scene::check(Family::WeCom).met(|account| account.family = Family::Message)
    }),
    (Cause::OtherProtocol, "an official account's check of a WeCom endpoint", || {
        Scene::check(Family::Message).met(|account| account.family = Family::WeCom)
    }),
    (Cause::OtherProtocol, "a WeCom message at an official account's endpoint", || {
        Scene::wecom().met(|account| account.family = Family::Message)
    }),
    (Cause::AesKey, "the key of the next rotation", || {
        Scene::usual()
            .met(|account| account.encoding_aes_key = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba".to_owned())
    }),
    (Cause::ReceiveId, "another app", || {
        Scene::usual().met(|account| account.receive_id = "wxffffffffffffffff".to_owned())
    }),
    (Cause::ReceiveId, "a suite in the place of the corp", || {
        Scene::wecom().met(|account| account.receive_id = "ww4asffe9xxx4c0f4c".to_owned())
    }),
    (Cause::ReceiveId, "a bot, whose id is empty", || {
        let mut bot = Account::sample(Family::WeCom);
        bot.receive_id = String::new();
        Scene::push(bot).met(|account| account.receive_id = "ww1436e0e65a779aee".to_owned())
    }),
    (Cause::Form, "a PUT", || {
        let mut scene = Scene::usual();
        scene.callback.method = "PUT".to_owned();
        scene
    }),
    (Cause::Form, "nothing encrypted", || Scene::wecom().body(|_| "<xml><ToUserName>a</ToUserName></xml>".to_owned())),
    (Cause::Form, "a name that is none", || {
        let account = Account::sample(Family::Message);
        let content = json!({"ToUserName": "a", "MsgType": {"a": "b"}, "CreateTime": NOW});
        let callback = account.push("/push", NOW, &content).unwrap();
        Scene::of(account, callback)
    }),
    (Cause::Unexplained, "another token", || Scene::usual().met(|account| account.token = "AnotherToken".to_owned())),
    (Cause::Unexplained, "another token for a check", || {
        Scene::check(Family::Message).met(|account| account.token = "AnotherToken".to_owned())
    }),
    (Cause::Unexplained, "plain text of nobody", || {
        let plain = Account { mode: Mode::Plain, token: "AnotherToken".to_owned(), ..Account::sample(Family::Message) };
        Scene::push(plain).met(|account| *account = Account::sample(Family::Message))
    }),
];

#[test]
fn every_mishap_is_named() {
    for (cause, what, mishap) in MISHAPS {
        let diagnosis = mishap().diagnose();
        assert_eq!(diagnosis.cause, *cause, "{what}: {}", diagnosis.detail);
    }
}

#[test]
fn every_cause_has_a_mishap() {
    for cause in Cause::ALL {
        assert!(MISHAPS.iter().any(|(named, ..)| named == cause), "{} is never produced", cause.code());
    }
}

#[test]
fn the_id_that_a_message_is_for_is_told_and_no_secret_is() {
    let told = Scene::usual().met(|account| account.receive_id = "wxffffffffffffffff".to_owned()).diagnose().detail;
    assert!(told.contains("\"wx5823bf96d3bd56c7\""), "{told}");
    for (_, what, mishap) in MISHAPS {
        let scene = mishap();
        let words = scene.diagnose().detail;
        let secrets = [&scene.account.token, &scene.account.encoding_aes_key];
        assert!(words.len() < 300 && !secrets.iter().any(|secret| words.contains(*secret)), "{what}: {words}");
    }
}

proptest::proptest! {
    #[test]
    fn no_request_is_too_strange(query in "\\PC{0,120}", body in "\\PC{0,120}", family in 0..2) {
        let account = Account::sample(if family == 0 { Family::Message } else { Family::WeCom });
        let callback = Callback { path: format!("/push?{query}"), body: body.into_bytes(), ..Scene::usual().callback };
        proptest::prop_assert_ne!(Scene::of(account, callback).diagnose().cause, Cause::Passes);
    }
}
