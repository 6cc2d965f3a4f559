//! Every push that the simulated WeChat makes, through the gateway and back: two implementations of one protocol.

use std::collections::HashSet;

use serde_json::Value;

use super::{End, Request, judge, secret};
use crate::clock::UnixTime;
use crate::sim::notify::Callback;
use crate::sim::push::{Account, Family, Format, Mode, sample};
use crate::wechat::key::{EncodingAesKey, Token};
use crate::wechat::{Authentic, Protocol, message, wecom};

const NOW: i64 = 1_760_000_000;

fn protocol(account: &Account) -> Protocol {
    let tokens = vec![Token::new(&secret(&account.token)).unwrap()];
    let aes = vec![EncodingAesKey::new(&secret(&account.encoding_aes_key)).unwrap()];
    let window = std::time::Duration::from_mins(5);
    let ids = vec![account.receive_id.clone()];
    match account.family {
        Family::WeCom => Protocol::WeCom(wecom::WeCom::new(wecom::Settings {
            window,
            tokens,
            aes,
            single_use: true,
            receive_ids: ids,
        })),
        Family::Message | Family::OpenPlatform => Protocol::Message(message::Message::new(message::Settings {
            window,
            tokens,
            aes,
            mode: match account.mode {
                Mode::Plain => message::Mode::Plain,
                Mode::Compatible => message::Mode::Compatible,
                Mode::Safe => message::Mode::Safe,
            },
            single_use: true,
            appids: ids,
            is_open_platform: account.family == Family::OpenPlatform,
        })),
    }
}

fn request(callback: &Callback) -> Request {
    let (path, query) = callback.path.split_once('?').unwrap();
    Request {
        method: callback.method.clone(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: callback.headers.clone(),
        body_b64: String::new(),
    }
}

fn authentic(account: &Account, content: &Value) -> Authentic {
    let callback = account.push("/push", NOW, content).unwrap();
    match judge(&protocol(account), &request(&callback), callback.body.into(), NOW + 1) {
        Ok(End::Authentic(authentic)) => *authentic,
        Ok(End::Echo(_)) => panic!("an echo"),
        Err(reason) => panic!("{content}: {}", reason.code()),
    }
}

fn accounts() -> Vec<Account> {
    let mut accounts = Vec::new();
    for format in [Format::Xml, Format::Json] {
        for mode in [Mode::Plain, Mode::Compatible, Mode::Safe] {
            accounts.push(Account { mode, format, ..Account::sample(Family::Message) });
        }
        accounts.push(Account { format, ..Account::sample(Family::WeCom) });
    }
    accounts.push(Account::sample(Family::OpenPlatform));
    accounts
}

/// As XML has it: all scalars are texts.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), as_texts(value))).collect(),
        Value::Array(items) => items.iter().map(as_texts).collect(),
        Value::String(_) => value.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
    }
}

#[test]
fn every_push_arrives_as_it_was_meant_in_every_mode_and_format() {
    for account in accounts() {
        let mut kinds = HashSet::new();
        let mut ids = HashSet::new();
        for sample in sample::ALL.iter().filter(|sample| sample.family == account.family) {
            let content = sample.content(NOW);
            let event = authentic(&account, &content).event().clone();
            let got: Value = serde_json::from_slice(&event.body).unwrap();
            let meant = if account.format == Format::Xml { as_texts(&content) } else { content.clone() };
            assert_eq!(got, meant, "{}", sample.name);
            assert_ne!(event.kind.rsplit('.').next(), Some("other"), "{}", sample.name);
            assert!(ids.insert(event.id.clone()), "{}: {}", sample.name, event.id);
            let again = authentic(&account, &content).event().clone();
            assert_eq!((again.id, again.fingerprint), (event.id, event.fingerprint), "{}", sample.name);
            kinds.insert(event.kind);
        }
        assert!(kinds.len() >= 5, "{kinds:?}");
    }
}

#[test]
fn every_url_is_checked() {
    for account in accounts() {
        let (callback, echo) = account.check("/push", NOW).unwrap();
        match judge(&protocol(&account), &request(&callback), bytes::Bytes::new(), NOW) {
            Ok(End::Echo(answer)) => {
                assert_eq!((answer.status, &answer.body[..]), (200, echo.as_bytes()));
                assert_eq!(answer.content_type, "text/plain; charset=utf-8");
            }
            Ok(End::Authentic(_)) | Err(_) => panic!("{account:?}"),
        }
    }
}

#[test]
fn a_reply_is_opened_by_who_pushed() {
    for account in accounts() {
        let sample = sample::find(account.family, "text").unwrap();
        let authentic = authentic(&account, &sample.content(NOW));
        let said = match account.format {
            Format::Xml => "<xml><MsgType><![CDATA[text]]></MsgType><Content>你好</Content></xml>",
            Format::Json => r#"{"MsgType":"text","Content":"你好"}"#,
        };
        let reply = authentic.reply_to().unwrap().reply(said.as_bytes(), [3; 16], UnixTime::from_secs(NOW));
        let body = String::from_utf8(reply.answer.body.to_vec()).unwrap();
        let opened = if account.mode == Mode::Plain { Some(body) } else { account.open(&body) };
        assert_eq!((opened.as_deref(), reply.fault), (Some(said), None), "{account:?}");
    }
}

/// Both rotate as the protocol says: the new key is set, messages under the old one still come, and each is answered under
/// its own.
#[test]
fn a_key_rotates_without_a_message_lost() {
    let old = Account::sample(Family::Message);
    let new = Account {
        token: "AnotherToken".to_owned(),
        encoding_aes_key: "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba".to_owned(),
        ..old.clone()
    };
    let key = |account: &Account| EncodingAesKey::new(&secret(&account.encoding_aes_key)).unwrap();
    let token = |account: &Account| Token::new(&secret(&account.token)).unwrap();
    let protocol = Protocol::Message(message::Message::new(message::Settings {
        window: std::time::Duration::from_mins(5),
        tokens: vec![token(&new), token(&old)],
        aes: vec![key(&new), key(&old)],
        mode: message::Mode::Safe,
        single_use: false,
        appids: vec![old.receive_id.clone()],
        is_open_platform: false,
    }));
    let content = sample::find(Family::Message, "text").unwrap().content(NOW);
    for (account, name) in [(&new, "token-1"), (&old, "token-2")] {
        let callback = account.push("/push", NOW, &content).unwrap();
        let Ok(End::Authentic(authentic)) = judge(&protocol, &request(&callback), callback.body.into(), NOW) else {
            panic!("{name}")
        };
        assert_eq!(&**authentic.signed_by(), name);
        let said = "<xml><Content>a</Content></xml>";
        let reply = authentic.reply_to().unwrap().reply(said.as_bytes(), [3; 16], UnixTime::from_secs(NOW));
        let body = String::from_utf8(reply.answer.body.to_vec()).unwrap();
        assert_eq!(account.open(&body).as_deref(), Some(said), "{name}");
    }
}
