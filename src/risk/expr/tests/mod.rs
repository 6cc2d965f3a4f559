//! Expressions as people write them: right ones, wrong ones, and any text at all.

#![allow(clippy::arithmetic_side_effects, reason = "a test may fail")]

mod differential;
mod mistakes;
mod opening;
mod properties;
mod semantics;
mod starter;

use std::sync::Arc;

use super::*;
use crate::clock::UnixTime;
use crate::event::Event;
use crate::risk::ask::Order;
use crate::risk::schema::{Around, Element, Family};

/// 2026-03-01 12:00:00 in Shanghai, a Sunday.
const NOON: i64 = 1_772_337_600_000;

fn payment() -> Event {
    Event {
        id: "EV-1".into(),
        kind: "wechatpay.transaction.success".into(),
        time: Some(UnixTime::from_millis(NOON - 2000)),
        subject: Some("order-1".into()),
        mchid: Some("1900000001".into()),
        appid: Some("wxa".into()),
        out_trade_no: Some("order-1".into()),
        transaction_id: Some("T1".into()),
        trade_state: Some("SUCCESS".into()),
        trade_type: Some("JSAPI".into()),
        payer: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".into()),
        success_time: Some(UnixTime::from_millis(NOON - 5000)),
        amount_total: Some(8800),
        amount_payer_total: Some(8800),
        currency: Some("CNY".into()),
        ..Event::default()
    }
}

fn refund() -> Event {
    Event {
        id: "EV-2".into(),
        kind: "wechatpay.refund.success".into(),
        mchid: Some("1900000001".into()),
        out_trade_no: Some("order-1".into()),
        out_refund_no: Some("refund-1".into()),
        transaction_id: Some("T1".into()),
        refund_id: Some("R1".into()),
        refund_status: Some("SUCCESS".into()),
        amount_total: Some(8800),
        amount_payer_total: Some(8800),
        amount_refund: Some(800),
        amount_payer_refund: Some(800),
        ..Event::default()
    }
}

fn order() -> Order {
    Order { amount_total: 8800, currency: "CNY".into(), client_ip: Some("198.51.100.7".into()), ..Order::default() }
}

/// The names that the starter rules use, and a counter and a list of each sort.
fn scope() -> Scope {
    let mut scope = Scope::new(Family::PayV3);
    for (name, text) in [
        ("paid", "event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS"),
        ("refunded", "event.kind == Kind.REFUND && event.refund_status == RefundStatus.SUCCESS"),
        ("night", "local.hour < 6"),
        ("round", "event.amount.total % yuan(100) == fen(0)"),
        ("tiny", "event.amount.total <= fen(100)"),
        ("large", "yuan(5000)"),
        ("ours", "[\"1900000001\", \"1900000002\"]"),
    ] {
        scope.add_macro(name, text).unwrap();
    }
    for (name, ty) in [
        ("tx_by_order", CounterType::Distinct),
        ("refund_by_order", CounterType::Sum(Type::Fen)),
        ("pays_10m", CounterType::Count),
        ("fen_1d", CounterType::Sum(Type::Fen)),
        ("seen_openid", CounterType::FirstSeen),
        ("paid_1h", CounterType::Count),
        ("refunds_1h", CounterType::Count),
        ("refund_rate", CounterType::Ratio { of: 6, to: 5, at_least: 20 }),
        ("tiny_1h", CounterType::Count),
        ("orders_ip", CounterType::Distinct),
        ("last_paid", CounterType::Last(Type::Time)),
    ] {
        scope.add_counter(name, ty).unwrap();
    }
    for (name, element, kept) in [
        ("our_mchids", Element::Text, Kept::InMemory),
        ("our_appids", Element::Text, Kept::InMemory),
        ("wx_ranges", Element::Cidr, Kept::InMemory),
        ("no_trade", Element::Text, Kept::InStore),
        ("blocked_openids", Element::Text, Kept::InMemory),
        ("trusted_openids", Element::Text, Kept::InMemory),
        ("odd_amounts", Element::Int, Kept::InMemory),
    ] {
        scope.add_list(name, element, kept).unwrap();
    }
    scope
}

fn lists() -> Vec<Arc<Members>> {
    [
        Members::texts(["1900000001"]),
        Members::texts(["wxa"]),
        Members::blocks(["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
        Members::InStore,
        Members::texts(["oBlocked"]),
        Members::texts(["oTrusted"]),
        Members::ints([8801, 8800]),
    ]
    .map(Arc::new)
    .into()
}

/// What an expression is evaluated on, ready to be changed.
struct World {
    event: Event,
    order: Option<Order>,
    ip: &'static str,
    at: i64,
    counters: Vec<Option<Counted>>,
    lists: Vec<Arc<Members>>,
    asked: Vec<Asked>,
    trade_types: Option<Vec<String>>,
}

impl World {
    fn of(event: Event) -> Self {
        let counters = vec![Some(Counted { before: 0, after: 1 }); 11];
        Self {
            event,
            order: None,
            ip: "203.0.113.9",
            at: NOON,
            counters,
            lists: lists(),
            asked: vec![],
            trade_types: None,
        }
    }

    fn counting(mut self, scope: &Scope, name: &str, before: i64, after: i64) -> Self {
        self.counters[scope.counter(name).unwrap()] = Some(Counted { before, after });
        self
    }

    fn with<T>(&self, what: impl FnOnce(&Env<'_>) -> T) -> T {
        let at = UnixTime::from_millis(self.at);
        let around = Around {
            allowed_trade_types: self.trade_types.as_deref(),
            signed_at: Some(UnixTime::from_millis(self.at - 1000)),
            ..Around::new(at, self.ip.parse().unwrap(), "shop")
        };
        let mut facts = Facts::from_event(&self.event, &around);
        facts.set_order(self.order.as_ref());
        facts.set_zone(at, &jiff::tz::TimeZone::get("Asia/Shanghai").unwrap());
        what(&Env { facts: &facts, counters: &self.counters, lists: &self.lists, asked: &self.asked })
    }

    fn holds(&self, expr: &Expr) -> Result<bool, EvalError> {
        self.with(|env| expr.holds(env))
    }
}

#[track_caller]
fn condition(text: &str) -> Expr {
    match compile(text, &scope(), Want::Condition) {
        Ok(expr) => expr,
        Err(problems) => panic!("{text}: {problems:#?}"),
    }
}
