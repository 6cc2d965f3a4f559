//! Message push, open platforms and WeCom through a whole gateway: what WeChat pushes reaches the app, and what the app
//! says reaches WeChat.

use std::net::SocketAddr;

use serde_json::Value;
use wxgate::sim::notify::{Callback, unix_now};
use wxgate::sim::pay_v2::sign::SignType;
use wxgate::sim::push::{Account, Family, Format, Mode, sample};
use wxgate::sim::sample::Order;
use wxgate::sim::shop::{Behaviour, Delivery};

use crate::gateway::{Gateway, Site};
use crate::http_client::Response;
use crate::pay_v2;

const REPLAY: &str = include_str!("../../docs/replay.md");

/// An account whose pushes come to an endpoint of its own.
struct Push {
    name: &'static str,
    account: Account,
    /// Where WeChat calls, and what the endpoint has for it.
    path: String,
    pattern: String,
    /// Lines at the top of the endpoint.
    more: &'static str,
}

impl Push {
    fn new(name: &'static str, family: Family) -> Self {
        let path = format!("/push/{name}");
        Self { name, account: Account::sample(family), pattern: path.clone(), path, more: "" }
    }

    fn in_mode(mut self, mode: Mode) -> Self {
        self.account.mode = mode;
        self
    }

    fn in_json(mut self) -> Self {
        self.account.format = Format::Json;
        self
    }

    /// What the account's console and the gateway's configuration say alike.
    fn endpoint(&self, site: &Site, shop: SocketAddr) -> String {
        let Self { name, account, pattern, more, .. } = self;
        for (kind, secret) in [("token", &account.token), ("aes", &account.encoding_aes_key)] {
            std::fs::write(site.config().with_file_name(format!("{name}.{kind}")), secret).unwrap();
        }
        let (protocol, mode, id) = match (account.family, account.mode) {
            (Family::Message, Mode::Plain) => ("message", "mode = \"plain\"\n", "appid"),
            (Family::Message, Mode::Compatible) => ("message", "mode = \"compatible\"\n", "appid"),
            (Family::Message, Mode::Safe) => ("message", "mode = \"safe\"\n", "appid"),
            (Family::OpenPlatform, _) => ("open-platform", "", "appid"),
            (Family::WeCom, _) => ("wecom", "", "receive_id"),
        };
        format!(
            "\n[endpoint.{name}]\npath = \"{pattern}\"\nprotocol = \"{protocol}\"\n{mode}{more}\n\
             keys.token = {{ file = \"{name}.token\" }}\nkeys.aes = {{ file = \"{name}.aes\" }}\n\
             expect = {{ {id} = [\"{}\"] }}\n\
             [endpoint.{name}.upstream]\nurl = [\"http://{shop}/events\"]\ntimeout = \"2s\"\n\
             signing = {{ file = \"signing.key\" }}\n",
            account.receive_id,
        )
    }

    fn text(&self) -> Value {
        sample::find(self.account.family, "text").unwrap().content(unix_now())
    }

    /// One try at delivering `content`, signed afresh.
    fn sign(&self, content: &Value) -> Callback {
        self.account.push(&self.path, unix_now(), content).unwrap()
    }
}

async fn gateway(pushes: &[Push]) -> Gateway {
    Gateway::beside(|site, shop| pushes.iter().map(|push| push.endpoint(site, shop)).collect()).await
}

/// Every mode and format that there is.
fn all() -> Vec<Push> {
    vec![
        Push::new("safe-xml", Family::Message),
        Push::new("safe-json", Family::Message).in_json(),
        Push::new("compatible-xml", Family::Message).in_mode(Mode::Compatible),
        Push::new("compatible-json", Family::Message).in_mode(Mode::Compatible).in_json(),
        Push::new("plain-xml", Family::Message).in_mode(Mode::Plain),
        Push::new("plain-json", Family::Message).in_mode(Mode::Plain).in_json(),
        Push::new("open", Family::OpenPlatform),
        Push::new("wecom-xml", Family::WeCom),
        Push::new("wecom-json", Family::WeCom).in_json(),
    ]
}

/// The only delivery since the last look.
#[track_caller]
fn only(gateway: &Gateway, what: &str) -> Delivery {
    let mut deliveries = gateway.shop.take_deliveries();
    assert_eq!(deliveries.len(), 1, "{what}");
    deliveries.remove(0)
}

/// As XML has it: all scalars are texts.
fn as_texts(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), as_texts(value))).collect(),
        Value::Array(items) => items.iter().map(as_texts).collect(),
        Value::String(_) => value.clone(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Value::String(other.to_string()),
    }
}

/// What says that a push was taken, for this account and content.
fn acknowledgement(push: &Push, content: &Value) -> &'static str {
    let event = content["Event"].as_str().unwrap_or_default();
    match (push.account.family, push.account.format) {
        (Family::WeCom, _) if content["InfoType"].is_string() => "success",
        (Family::WeCom, _) => "",
        _ if event == "xpay_subscribe_ios_refund_query_notify" => "", // a question: nobody but the app can answer
        (_, Format::Json) if event.starts_with("xpay_") => r#"{"ErrCode":0,"ErrMsg":"success"}"#,
        (_, Format::Xml) if event.starts_with("xpay_") => {
            "<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>"
        }
        _ => "success",
    }
}

/// What WeChat reads in the answer.
fn read(push: &Push, answer: &Response) -> Option<String> {
    if push.account.mode == Mode::Plain { Some(answer.body.clone()) } else { push.account.open(&answer.body) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_of_the_url_is_answered_for_whoever_holds_the_token_and_nobody_else() {
    let pushes = all();
    let gateway = gateway(&pushes).await;
    for push in &pushes {
        let (check, echo) = push.account.check(&push.path, unix_now()).unwrap();
        let answer = gateway.send(&check).await;
        assert_eq!((answer.status, &answer.body), (200, &echo), "{}", push.name);
        assert!(answer.head.contains("content-type: text/plain; charset=utf-8"), "{}", answer.head);
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{}", answer.head);

        let stranger = Account { token: "AnotherToken".to_owned(), ..push.account.clone() };
        let (forged, echo) = stranger.check(&push.path, unix_now()).unwrap();
        let answer = gateway.send(&forged).await;
        assert_eq!(answer.status, 401, "{}", push.name);
        assert!(!answer.body.contains(&echo), "{}", push.name);
        let (stale, _) = push.account.check(&push.path, unix_now() - 3600).unwrap();
        assert_ne!(gateway.send(&stale).await.status, 200, "{}", push.name);
    }
    let count = pushes.len();
    let (site, shop) = gateway.stop().await;
    assert!(shop.deliveries().is_empty(), "there is no event in a check");
    let audit = site.audit();
    let with = |reason: &str| audit.iter().filter(|record| record["reason"] == reason).count();
    assert_eq!((with("url-check"), with("bad-signature"), with("timestamp-out-of-window")), (count, count, count));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_push_reaches_the_app_once_and_is_acknowledged_in_the_words_of_its_kind() {
    let pushes = all();
    let gateway = gateway(&pushes).await;
    for push in &pushes {
        let samples: Vec<_> = sample::ALL.iter().filter(|sample| sample.family == push.account.family).collect();
        assert!(samples.len() >= 6);
        for sample in samples {
            let what = format!("{} {}", push.name, sample.name);
            let content = sample.content(unix_now());
            for _ in 0..2 {
                let answer = gateway.send(&push.sign(&content)).await;
                assert_eq!((answer.status, answer.body.as_str()), (200, acknowledgement(push, &content)), "{what}");
            }
            let delivery = only(&gateway, &what);
            assert!(delivery.signed, "{what}");
            let meant = if push.account.format == Format::Xml { as_texts(&content) } else { content };
            assert_eq!(serde_json::from_slice::<Value>(&delivery.body).unwrap(), meant, "{what}");
            let family = if push.account.family == Family::WeCom { "wecom." } else { "wechat.message." };
            assert!(delivery.headers["ce-type"].to_str().unwrap().starts_with(family), "{what}");
            assert_eq!(delivery.headers["wxgate-endpoint"], push.name, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_says_goes_back_as_wechat_reads_it() {
    const XML: &str = "<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[你好 & <b>]]></Content></xml>";
    const JSON: &str = r#"{"MsgType":"text","Content":"你好 & <b>"}"#;
    let pushes = all();
    let gateway = gateway(&pushes).await;
    for push in &pushes {
        let (said, of_the_other_format) = match push.account.format {
            Format::Xml => (XML, JSON),
            Format::Json => (JSON, XML),
        };
        gateway.shop.behave(Behaviour::Says(said));
        let content = push.text();
        let answer = gateway.send(&push.sign(&content)).await;
        assert_eq!((answer.status, read(push, &answer).as_deref()), (200, Some(said)), "{}", push.name);
        assert_eq!(answer.body.contains("你好"), push.account.mode == Mode::Plain, "{}", push.name);
        // The app was asked once: whoever comes again is told that it is done.
        let again = gateway.send(&push.sign(&content)).await;
        assert_eq!((again.status, again.body.as_str()), (200, acknowledgement(push, &content)), "{}", push.name);
        only(&gateway, push.name);

        for nothing in ["", "success", "ok", "<html><body>500</body></html>", of_the_other_format] {
            gateway.shop.behave(Behaviour::Says(nothing));
            let content = push.text();
            let answer = gateway.send(&push.sign(&content)).await;
            let told = (answer.status, answer.body.as_str());
            assert_eq!(told, (200, acknowledgement(push, &content)), "{} {nothing}", push.name);
            only(&gateway, push.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_err_code_that_is_not_0_brings_the_event_again() {
    let pushes =
        [Push::new("safe-json", Family::Message).in_json(), Push::new("plain", Family::Message).in_mode(Mode::Plain)];
    let gateway = gateway(&pushes).await;
    for (push, later) in pushes.iter().zip([r#"{"ErrCode":1,"ErrMsg":"later"}"#, "<xml><ErrCode>1</ErrCode></xml>"]) {
        let goods = sample::find(Family::Message, "xpay_goods_deliver_notify").unwrap().content(unix_now());
        gateway.shop.behave(Behaviour::Says(later));
        let answer = gateway.send(&push.sign(&goods)).await;
        assert_eq!(answer.status, 502, "{}", push.name);
        gateway.shop.behave(Behaviour::Healthy);
        let answer = gateway.send(&push.sign(&goods)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, acknowledgement(push, &goods)), "{}", push.name);
        let attempts: Vec<_> =
            gateway.shop.take_deliveries().iter().map(|delivery| delivery.headers["wxgate-attempt"].clone()).collect();
        assert_eq!(attempts, ["1", "2"], "{}", push.name);
        // To a message the same words say nothing: WeChat knows them of virtual payment alone.
        gateway.shop.behave(Behaviour::Says(later));
        assert_eq!(gateway.send(&push.sign(&push.text())).await.status, 200, "{}", push.name);
        only(&gateway, push.name);
        gateway.shop.behave(Behaviour::Healthy);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_app_is_down_wechat_is_told_to_come_again_and_loses_nothing() {
    let pushes = all();
    let gateway = gateway(&pushes).await;
    for push in &pushes {
        let content = push.text();
        gateway.shop.behave(Behaviour::Down);
        for _ in 0..2 {
            let answer = gateway.send(&push.sign(&content)).await;
            assert_eq!(answer.status, 502, "{}", push.name);
            assert_ne!(answer.body, "success", "{}", push.name);
        }
        gateway.shop.behave(Behaviour::Healthy);
        assert_eq!(gateway.send(&push.sign(&content)).await.status, 200, "{}", push.name);
        let deliveries = gateway.shop.take_deliveries();
        assert_eq!(deliveries.len(), 3, "{}", push.name);
        assert!(deliveries.iter().all(|d| d.webhook_id == deliveries[0].webhook_id), "{}", push.name);
    }
}

/// What docs/replay.md says that the same bytes are answered, for the protocol at the beginning of a row.
fn documented(protocol: &str) -> u16 {
    let row = REPLAY
        .lines()
        .find(|line| line.starts_with(&format!("| {protocol} |")))
        .unwrap_or_else(|| panic!("{protocol}"));
    row.split('|').nth(4).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_again_are_never_forwarded_again_and_are_answered_as_documented() {
    let mut strict = Push::new("strict", Family::Message);
    strict.more = "single_use = true";
    let pushes = [
        (Push::new("safe", Family::Message), "`message`, safe or compatible"),
        (Push::new("compatible", Family::Message).in_mode(Mode::Compatible), "`message`, safe or compatible"),
        (strict, "`message`, `single_use = true`"),
        (Push::new("plain", Family::Message).in_mode(Mode::Plain), "`message`, plain"),
        (Push::new("open", Family::OpenPlatform), "`open-platform`"),
        (Push::new("wecom", Family::WeCom), "`wecom`"),
    ];
    let gateway = Gateway::beside(|site, shop| {
        let pushes: String = pushes.iter().map(|(push, _)| push.endpoint(site, shop)).collect();
        pay_v2::endpoint(site, shop) + &pushes
    })
    .await;
    let merchant = &gateway.site.keys.merchant;
    let notice = wxgate::sim::pay_v2::sample::ALL[0].notice(&Order::new(merchant, unix_now()));
    let mut callbacks = vec![
        (gateway.site.sign(&gateway.site.event()), "`pay-v3`"),
        (notice.callback(merchant, SignType::Md5, pay_v2::PATH), "`pay-v2`"),
    ];
    callbacks.extend(pushes.iter().map(|(push, row)| (push.sign(&push.text()), *row)));
    for (callback, row) in callbacks {
        let first = gateway.send(&callback).await;
        assert_eq!(first.status, 200, "{row}");
        let again = gateway.send(&callback).await;
        assert_eq!(again.status, documented(row), "{row}");
        if again.status == 200 {
            assert_eq!(again.body, first.body, "{row}");
        }
        only(&gateway, row);
    }
}

/// The signature of plain mode says nothing of the body (protocol 3.2), so that it must not count twice.
#[tokio::test(flavor = "multi_thread")]
async fn in_plain_mode_no_second_body_goes_under_a_query_that_was_seen() {
    let pushes = [Push::new("plain", Family::Message).in_mode(Mode::Plain)];
    let gateway = gateway(&pushes).await;
    let genuine = pushes[0].sign(&pushes[0].text());
    assert_eq!(gateway.send(&genuine).await.status, 200);
    let forged = Callback { body: pushes[0].sign(&pushes[0].text()).body, ..genuine };
    assert_eq!(gateway.send(&forged).await.status, 409);
    only(&gateway, "the genuine one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_signature_covers_counts_for_nothing() {
    let pushes =
        [Push::new("compatible", Family::Message).in_mode(Mode::Compatible), Push::new("safe", Family::Message)];
    let gateway = gateway(&pushes).await;
    let [compatible, safe] = &pushes;
    // The plain copies of compatible mode are anybody's.
    let mut content = compatible.text();
    content["Content"] = "what was meant".into();
    let mut callback = compatible.sign(&content);
    let body = String::from_utf8(callback.body).unwrap();
    assert!(body.contains("what was meant"));
    callback.body = body.replace("what was meant", "something else").into_bytes();
    assert_eq!(gateway.send(&callback).await.status, 200);
    let delivery = only(&gateway, "compatible");
    assert!(String::from_utf8_lossy(&delivery.body).contains("what was meant"));
    // Nor does an endpoint in safe mode take plain text, rightly signed as plain mode signs.
    let plain = Account { mode: Mode::Plain, ..safe.account.clone() };
    let downgraded = plain.push(&safe.path, unix_now(), &safe.text()).unwrap();
    assert_eq!(gateway.send(&downgraded).await.status, 401);
    // Nor encrypted text of another key, id or token; and from outside they look alike.
    let other = |change: fn(&mut Account)| {
        let mut account = safe.account.clone();
        change(&mut account);
        account.push(&safe.path, unix_now(), &safe.text()).unwrap()
    };
    let mut answers = Vec::new();
    for forged in [
        other(|account| account.token = "AnotherToken".to_owned()),
        other(|account| account.encoding_aes_key = "GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba".to_owned()),
        other(|account| account.receive_id = "wxffffffffffffffff".to_owned()),
    ] {
        let answer = gateway.send(&forged).await;
        answers.push((answer.status, answer.body));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 401), "{answers:?}");
    assert!(gateway.shop.take_deliveries().is_empty());
}

/// An open platform has two URLs: one for what concerns itself, and one for messages, with the account's app id in its path,
/// which nobody signs.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_platform_gets_its_tickets_and_the_messages_of_every_account() {
    let mut tickets = Push::new("open-auth", Family::OpenPlatform);
    tickets.pattern = "/open/auth".to_owned();
    tickets.path = tickets.pattern.clone();
    let mut messages = Push::new("open-messages", Family::OpenPlatform);
    messages.pattern = "/open/{appid}".to_owned();
    let gateway = gateway(&[tickets, messages]).await;
    let mut tickets = Push::new("open-auth", Family::OpenPlatform);
    tickets.path = "/open/auth".to_owned();
    let ticket = sample::find(Family::OpenPlatform, "component_verify_ticket").unwrap().content(unix_now());
    let answer = gateway.send(&tickets.sign(&ticket)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "success"));
    let delivery = only(&gateway, "the ticket");
    assert_eq!(delivery.headers["wxgate-endpoint"], "open-auth", "an exact path stands before one with a parameter");
    assert_eq!(delivery.headers["ce-type"], "wechat.message.component_verify_ticket");

    let mut messages = Push::new("open-messages", Family::OpenPlatform);
    let content = messages.text();
    for (path, forwarded) in [("/open/wxf8b4f85f3a794e77", 1), ("/open/wxffffffffffffffff", 0)] {
        messages.path = path.to_owned();
        let (check, echo) = messages.account.check(path, unix_now()).unwrap();
        assert_eq!(gateway.send(&check).await.body, echo);
        gateway.shop.behave(Behaviour::Says("<xml><Content>hello</Content></xml>"));
        assert_eq!(gateway.send(&messages.sign(&content)).await.status, 200);
        // The same message under another app id is the same message: what the path says makes nothing new.
        let deliveries = gateway.shop.take_deliveries();
        assert_eq!(deliveries.len(), forwarded, "{path}");
        for delivery in deliveries {
            assert_eq!(delivery.headers["wxgate-endpoint"], "open-messages");
            assert!(delivery.headers.values().all(|value| !value.as_bytes().windows(4).any(|at| at == b"wxf8")));
        }
    }
    for path in ["/open/", "/open/wx/x", "/open/wx%66", "/open/../open/auth", &format!("/open/{}", "a".repeat(65))] {
        messages.path = path.to_owned();
        assert_eq!(gateway.send(&messages.sign(&content)).await.status, 404, "{path}");
    }
}
