//! The table of fields agrees with itself and with what it binds.

use super::*;
use crate::clock::UnixTime;

/// An event that has everything at once, which no real one has.
fn full() -> Event {
    let some = |text: &str| Some(text.to_owned());
    Event {
        id: "EV-1".into(),
        kind: "wechatpay.transaction.success".into(),
        time: Some(UnixTime::from_secs(1)),
        subject: some("subject"),
        mchid: some("mchid"),
        appid: some("appid"),
        sub_mchid: some("sub_mchid"),
        is_combined: false,
        out_trade_no: some("out_trade_no"),
        out_refund_no: some("out_refund_no"),
        out_bill_no: some("out_bill_no"),
        transaction_id: some("transaction_id"),
        refund_id: some("refund_id"),
        transfer_bill_no: some("transfer_bill_no"),
        trade_state: some("SUCCESS"),
        refund_status: some("ABNORMAL"),
        state: some("state"),
        trade_type: some("JSAPI"),
        bank_type: some("bank_type"),
        payer: some("payer"),
        openid: some("openid"),
        attach: some("attach"),
        success_time: Some(UnixTime::from_secs(2)),
        amount_total: Some(1),
        amount_payer_total: Some(2),
        amount_refund: Some(3),
        amount_payer_refund: Some(4),
        amount_transfer: Some(5),
        currency: some("CNY"),
        ..Event::default()
    }
}

#[test]
fn each_field_is_bound_to_a_value_of_its_type() {
    let event = full();
    let order = Order { payer_openid: Some("o".into()), client_ip: Some("::ffff:10.0.0.1".into()), ..Order::default() };
    let at = UnixTime::from_millis(1_772_337_600_000);
    let around = Around {
        scheme: Some("scheme"),
        serial: Some("serial"),
        signed_at: Some(at),
        ..Around::new(at, "10.0.0.1".parse().unwrap(), "shop")
    };
    let mut facts = Facts::from_event(&event, &around);
    facts.set_order(Some(&order));
    facts.set_zone(at, &jiff::tz::TimeZone::get("Asia/Shanghai").unwrap());
    for known in &FIELDS {
        let fact = facts.get(field(known.path).unwrap());
        let fits = match known.ty {
            Type::Text => matches!(fact, Fact::Text(_)),
            Type::Enum(of) => matches!(fact, Fact::Member(code, word) if of.member(word) == Some(code)),
            Type::Int | Type::Fen | Type::Time | Type::Duration | Type::Date => matches!(fact, Fact::Int(_)),
            Type::Ip => fact == Fact::Ip("10.0.0.1".parse().unwrap()),
            Type::List(_) => matches!(fact, Fact::Texts(_)),
            Type::Group => fact == Fact::There,
            Type::Bool | Type::Cidr | Type::Ratio => false,
        };
        assert!(fits, "{} is {fact:?}", known.path);
    }
    // Texts that are named like their field sit in the right place.
    for path in ["event.sub_mchid", "event.out_refund_no", "event.transfer_bill_no", "event.bank_type", "event.attach"]
    {
        assert_eq!(facts.get(field(path).unwrap()).as_text(), path.strip_prefix("event."), "{path}");
    }
    let numbers = ["total", "payer_total", "refund", "payer_refund", "transfer"];
    for (path, number) in numbers.into_iter().zip(1..) {
        assert_eq!(facts.get(field(&format!("event.amount.{path}")).unwrap()), Fact::Int(number));
    }
    facts.set_order(None);
    for known in FIELDS.iter().filter(|known| known.path.starts_with("order")) {
        assert_eq!(facts.get(field(known.path).unwrap()), Fact::Absent, "{}", known.path);
    }
}

#[test]
fn a_refund_has_what_refunds_surely_have_and_no_more() {
    let refund = Event { kind: "wechatpay.refund.success".into(), trade_state: None, ..full() };
    assert_eq!(Kind::of(&refund), Kind::Refund);
    let never = FIELDS.iter().filter(|field| match field.presence {
        Presence::ByKind { sure, perhaps } => Kinds::of(&[Kind::Refund]).and(sure.or(perhaps)).is_empty(),
        Presence::Always | Presence::Optional | Presence::With(_) => false,
    });
    let never: Vec<_> = never.map(|field| field.path).collect();
    for path in ["event.appid", "event.trade_state", "event.payer.openid", "event.attach"] {
        assert!(never.contains(&path), "{path}");
    }
}

#[test]
fn paths_are_unique_and_what_names_a_person_is_masked() {
    for (place, known) in FIELDS.iter().enumerate() {
        assert_eq!(field(known.path).map(|id| usize::from(id.index())), Some(place), "{}", known.path);
        assert_eq!(known.masked, known.path.ends_with("openid"), "{}", known.path);
        assert!(known.about.ends_with('.'), "{}", known.path);
        if let Presence::With(group) = known.presence {
            assert!(field(group).is_some());
        }
    }
    assert_eq!(field("event.nothing"), None);
}

#[test]
fn the_kind_of_an_event_needs_its_state() {
    let kind = |kind: &str, change: fn(&mut Event)| {
        let mut event = Event { kind: kind.into(), ..Event::default() };
        change(&mut event);
        Kind::of(&event)
    };
    let paid = |event: &mut Event| event.trade_state = Some("SUCCESS".into());
    assert_eq!(kind("wechatpay.transaction.success", paid), Kind::Transaction);
    assert_eq!(kind("wechatpay.transaction.success", |_| {}), Kind::Other);
    assert_eq!(kind("wechatpay.transaction.success", |event| event.is_combined = true), Kind::Combined);
    assert_eq!(kind("wechatpay.refund.closed", |event| event.refund_status = Some("CLOSED".into())), Kind::Refund);
    assert_eq!(kind("wechatpay.mchtransfer.bill.finished", |_| {}), Kind::Transfer);
    assert_eq!(kind("wechatpay.payscore.user_paid", |_| {}), Kind::Payscore);
    assert_eq!(kind("wechatpay.transactions", paid), Kind::Other);
    assert_eq!(kind("wechat.message.subscribe", |_| {}), Kind::Message);
    assert_eq!(kind("wecom.x", |_| {}), Kind::Message);
    assert_eq!(kind("", |_| {}), Kind::Other);
}

#[test]
fn enums_and_families_are_found_by_name() {
    for of in EnumType::ALL {
        assert_eq!(EnumType::named(of.name()), Some(of));
        for (code, member) in of.members().iter().enumerate() {
            assert_eq!(usize::from(of.member(member).unwrap()), code);
        }
        assert_eq!((of.code("NOVEL"), of.member("NOVEL")), (255, None));
    }
    for kind in Kind::ALL {
        assert_eq!(EnumType::Kind.member(kind.name()), Some(kind as u8));
    }
    for family in Family::ALL {
        assert_eq!(Family::named(family.name()), Some(family));
    }
    assert_eq!(Kinds::ALL.iter().count(), Kind::ALL.len());
}
