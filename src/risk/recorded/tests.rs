use core::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::event::Event;
use crate::risk::model::Model;
use crate::risk::schema::Around;
use crate::risk::{Action, Files, load};

const NOON: UnixTime = UnixTime::from_secs(1_772_337_600);
const RULES: &str = "apiVersion: wxgate.rules/v1\nkind: RuleSet\nname: shop\nversion: 1\nschema: pay-v3\n\
    lists: [ { name: blocked, type: string, source: { dynamic: true }, empty: allow } ]\n\
    macros: [ { name: paid, expr: event.kind == Kind.TRANSACTION } ]\n\
    counters: [ { name: pays, count: events, when: paid, key: [event.payer.openid], window: 10m } ]\n\
    rules:\n\
    \x20 - { id: WXP-1001, title: t, when: paid && has(order) && event.amount.total != order.amount_total, action: hold, reason: r, mode: shadow }\n\
    \x20 - { id: WXP-1002, title: t, when: paid && counter.pays > 5, action: hold, reason: r, mode: shadow }\n\
    \x20 - { id: WXP-1003, title: t, when: paid && event.payer.openid in list.blocked, action: hold, reason: r, mode: shadow }\n";

fn policy() -> Policy {
    Policy::new(load(&Files::new("").with("shop.yaml", RULES), NOON).unwrap().sets)
}

fn payment() -> Event {
    let text = |text: &str| Some(text.to_owned());
    Event {
        id: "EV-1".to_owned(),
        kind: "wechatpay.transaction.success".to_owned(),
        mchid: text("1900000001"),
        subject: text("ORDER-1"),
        out_trade_no: text("ORDER-1"),
        trade_state: text("SUCCESS"),
        trade_type: text("A_NEW_WAY"),
        payer: text("oUpf8uMuAJO_M2pxb1Q9zNjWeS6o"),
        attach: text("名 \"quoted\" \u{7} words"),
        success_time: Some(NOON),
        amount_total: Some(i64::MAX),
        ..Event::default()
    }
}

fn recorded(persons: Persons, order: Option<Order>) -> (Recorded, Order) {
    let (policy, event) = (policy(), payment());
    let types = ["JSAPI".to_owned()];
    let around = Around {
        allowed_trade_types: Some(&types),
        signed_at: Some(NOON.minus(std::time::Duration::from_secs(3))),
        ..Around::new(NOON, IpAddr::from([203, 0, 113, 9]), "shop-pay")
    };
    let facts = Facts::from_event(&event, &around);
    let known = Order {
        amount_total: 8800,
        currency: "CNY".to_owned(),
        payer_openid: Some("oUpf8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
        client_ip: Some("198.51.100.7".to_owned()),
        registered_at: NOON,
        expires_at: NOON,
    };
    let mut model = Model::default();
    if let Some(order) = order {
        model.put_order("ORDER-1", order);
    }
    model.add_to_list("blocked", "oUpf8uMuAJO_M2pxb1Q9zNjWeS6o");
    let inquiry = policy.ask(&facts);
    let answers = model.claim("EV-1", inquiry.asks(), NOON);
    (policy.record(&facts, &inquiry, &answers, persons), known)
}

#[test]
fn what_is_recorded_is_read_again_as_it_was() {
    let (_, order) = recorded(Persons::Plain, None);
    let (told, order) = recorded(Persons::Plain, Some(order));
    let json = serde_json::to_string(&told).unwrap();
    let again: Recorded = serde_json::from_str(&json).unwrap();
    assert_eq!(again, told, "{json}");
    assert_eq!(again.order(), Some(order));
    assert_eq!((again.id(), again.endpoint(), again.kind()), ("EV-1", "shop-pay", Kind::Transaction));
    assert_eq!(again.received_at(), NOON);
    assert_eq!(again.counters()[0].counted, Counted { before: 0, after: 1 });
    let asked = ListAsk { list: "blocked".to_owned(), value: "oUpf8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned() };
    assert_eq!(again.listed(&asked), Some(true));
    assert_eq!(again.listed(&ListAsk { list: "other".to_owned(), ..asked }), None, "nobody asked");
    // Every fact that expressions can read is the same, bit for bit.
    let event = payment();
    let types = ["JSAPI".to_owned()];
    let around = Around {
        allowed_trade_types: Some(&types),
        signed_at: Some(NOON.minus(std::time::Duration::from_secs(3))),
        ..Around::new(NOON, IpAddr::from([203, 0, 113, 9]), "shop-pay")
    };
    let facts = Facts::from_event(&event, &around);
    for (id, field) in fields() {
        assert_eq!(again.facts().get(id), facts.get(id), "{}", field.path);
    }
}

#[test]
fn an_order_that_was_asked_for_and_is_not_there_is_told_from_one_that_nobody_asked_for() {
    let (told, _) = recorded(Persons::Plain, None);
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json["order"], false);
    let again: Recorded = serde_json::from_value(json).unwrap();
    assert!(again.knows_order() && again.order().is_none());
    let bare = r#"{"event.id":"1","event.kind":"REFUND","now":0}"#;
    assert!(!serde_json::from_str::<Recorded>(bare).unwrap().knows_order());
}

#[test]
fn who_paid_can_be_hashed_and_is_then_nowhere() {
    let (_, order) = recorded(Persons::Plain, None);
    let (told, _) = recorded(Persons::Hashed, Some(order));
    let json = serde_json::to_string(&told).unwrap();
    for private in ["oUpf8", "words", "198.51.100.7"] {
        assert!(!json.contains(private), "{private}: {json}");
    }
    let again: Recorded = serde_json::from_str(&json).unwrap();
    assert!(again.is_hashed());
    assert_eq!(again.text("event.payer.openid"), again.text("order.payer_openid"), "the same person is the same");
}

#[test]
fn lines_are_audit_records_or_events_by_themselves() {
    let nested = r#"{"event":{"id":"1","kind":"TRANSACTION","amount":{"total":100},"success_time":"2026-03-01T12:00:00+08:00"},
        "now":"2026-03-01T12:00:00+08:00","order":{"amount_total":99},"client.ip":"::ffff:1.2.3.4"}"#;
    let entry = read_line(nested.as_bytes()).unwrap().unwrap();
    assert_eq!(entry.recorded.order().unwrap().amount_total, 99);
    assert_eq!(entry.recorded.received_at(), NOON);
    assert_eq!((entry.family, entry.action), (None, None));
    let facts = r#"{"v":1,"event.id":"1","event.kind":"TRANSACTION","now":0}"#;
    let audit = format!(
        r#"{{"time":"x","endpoint":"shop","protocol":"pay-v3","outcome":"held","reason":"held","event":{{"id":"1"}},"verdict":{{"action":"hold","hits":[]}},"facts":{facts}}}"#
    );
    let entry = read_line(audit.as_bytes()).unwrap().unwrap();
    assert_eq!((entry.family, entry.action), (Some(crate::risk::schema::Family::PayV3), Some(Action::Hold)));
    for other in [r#"{"outcome":"refused","reason":"bad-signature"}"#, r#"{"record":"action","action":"release"}"#] {
        assert_eq!(read_line(other.as_bytes()).unwrap(), None, "{other}");
    }
}

#[test]
fn what_no_event_has_is_told_with_a_way_out() {
    for (line, says) in [
        ("{", "EOF"),
        (r#"{"event.amout.total":1}"#, "there is no field `event.amout.total`: did you mean `event.amount.total`?"),
        (r#"{"event.amount.total":"1"}"#, "`event.amount.total` is a text, expected Fen"),
        (r#"{"event":{"amount":1}}"#, "`event.amount` is a number, expected group of fields"),
        (r#"{"event.id":"1","now":0}"#, "`event.kind` is missing"),
        (r#"{"v":2}"#, "this is version 2 of the form, 1 is read here"),
        (r#"{"protocol":"pay-v9","event.id":"1"}"#, "there is no field `protocol`"),
    ] {
        let error = read_line(line.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{line}: {error}");
    }
}

#[test]
fn the_examples_of_the_docs_are_read() {
    let docs = include_str!("../../../docs/rules.md");
    let (_, section) = docs.split_once("## Recorded events").unwrap();
    let blocks: Vec<&str> = section.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let audit = read_line(blocks[0].as_bytes()).unwrap().unwrap();
    assert_eq!(audit.recorded.counters()[0].counted, Counted { before: 2, after: 3 });
    assert!(audit.recorded.knows_order() && audit.action == Some(Action::Allow));
    assert_eq!(read_line(blocks[1].as_bytes()).unwrap().unwrap().recorded.received_at(), NOON);
    // Who is named is what the docs say.
    let masked: Vec<&str> = fields().filter(|(_, field)| field.masked).map(|(_, field)| field.path).collect();
    assert_eq!(masked, ["event.payer.openid", "event.openid", "order.payer_openid"]);
    assert!(masked.iter().all(|path| section.contains(&format!("`{path}`"))));
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused_without_a_panic(line in ".{0,200}") {
        let _ = read_line(line.as_bytes());
    }

    #[test]
    fn any_text_is_recorded_as_it_is(attach in ".{0,64}", id in "[ -~]{1,32}") {
        let event = Event { attach: Some(attach.clone()), id: id.clone(), ..payment() };
        let around = Around::new(NOON, IpAddr::from([203, 0, 113, 9]), "shop-pay");
        let facts = Facts::from_event(&event, &around);
        let told = Policy::default().record(&facts, &Inquiry::default(), &Answers::default(), Persons::Plain);
        let again: Recorded = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
        prop_assert_eq!(again.text("event.attach"), Some(&*attach));
        prop_assert_eq!(again.id(), &*id);
    }
}
