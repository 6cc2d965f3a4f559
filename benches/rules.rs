//! What judging costs: the conditions of 20 and of 200 rules on one event, beside the interpreter of crate `cel` on the
//! same conditions.
//!
//! `cargo bench --bench rules`. Compare the cases of one run: absolute times move with the machine. The interpreter gets
//! the easier part: its programs and its context are ready, money is a bare number and lists are maps. Ours is measured
//! with its values bound (`judge`), and with the binding of the event and its local time (`bind and
//! judge`).

#![allow(clippy::arithmetic_side_effects)] // a bench may fail
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench is no interface, and may panic"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use cel::{Context, Program, Value};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use wxgate::clock::UnixTime;
use wxgate::event::Event;
use wxgate::risk::ask::{Counted, Order};
use wxgate::risk::expr::{CounterType, Env, Expr, Kept, Members, Scope, Want, compile};
use wxgate::risk::schema::{Around, Element, Facts, Family, Type};

/// 2026-03-01 12:00:00 in Shanghai.
const NOON: UnixTime = UnixTime::from_millis(1_772_337_600_000);
const PAID: &str = "event.kind == Kind.TRANSACTION && event.trade_state == TradeState.SUCCESS";
const PAID_CEL: &str = "(event.kind == \"TRANSACTION\" && event.trade_state == \"SUCCESS\")";
const MEMBERS: usize = 100;

/// The shapes of the starter rules, with a number `#` that differs from rule to rule: in our words and in CEL's.
const SHAPES: [(&str, &str); 10] = [
    (
        "paid && has(order) && (event.amount.total != order.amount_total || event.amount.currency != order.currency)",
        "PAID && has(there.order) && (event.amount.total != order.amount_total || event.amount.currency != order.currency)",
    ),
    (
        "paid && !(event.trade_type in [\"JSAPI\", \"NATIVE\", \"APP\"])",
        "PAID && !(event.trade_type in [\"JSAPI\", \"NATIVE\", \"APP\"])",
    ),
    ("paid && counter.pays_10m > #", "PAID && counter.pays_10m > #"),
    ("paid && counter.fen_1d > yuan(#00)", "PAID && counter.fen_1d > #0000"),
    (
        "paid && counter.seen_openid.is_first && event.amount.total > yuan(#)",
        "PAID && counter.is_first && event.amount.total > #00",
    ),
    ("paid && local.hour < 6 && event.amount.total > yuan(#)", "PAID && local.hour < 6 && event.amount.total > #00"),
    (
        "paid && event.amount.total % yuan(100) == fen(0) && event.amount.total >= yuan(#)",
        "PAID && event.amount.total % 10000 == 0 && event.amount.total >= #00",
    ),
    (
        "paid && event.payer.openid in list.blocked_openids && event.amount.total > fen(#)",
        "PAID && event.payer.openid in list.blocked_openids && event.amount.total > #",
    ),
    (
        "paid && has(event.attach) && event.attach.startsWith(\"vm:#\")",
        "PAID && has(event.attach) && event.attach.startsWith(\"vm:#\")",
    ),
    (
        "paid && event.out_trade_no.startsWith(\"#-\") && counter.tx_by_order <= 1",
        "PAID && event.out_trade_no.startsWith(\"#-\") && counter.tx_by_order <= 1",
    ),
];

fn texts(count: usize, ours: bool) -> Vec<String> {
    (0..count)
        .map(|place| {
            let (mine, theirs) = SHAPES[place % SHAPES.len()];
            let shape = if ours { mine } else { theirs };
            shape.replace("PAID", PAID_CEL).replace('#', &(50 + place).to_string())
        })
        .collect()
}

fn event() -> Event {
    Event {
        id: "EV-2018022511223320873".into(),
        kind: "wechatpay.transaction.success".into(),
        time: Some(NOON),
        mchid: Some("1900000001".into()),
        appid: Some("wxd678efh567hg6787".into()),
        out_trade_no: Some("1217752501201407033233368018".into()),
        transaction_id: Some("1217752501201407033233368018".into()),
        trade_state: Some("SUCCESS".into()),
        trade_type: Some("JSAPI".into()),
        bank_type: Some("CMC".into()),
        payer: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".into()),
        attach: Some("shop:beijing:12".into()),
        success_time: Some(NOON),
        amount_total: Some(200_000),
        amount_payer_total: Some(200_000),
        currency: Some("CNY".into()),
        ..Event::default()
    }
}

fn order() -> Order {
    Order { amount_total: 200_000, currency: "CNY".into(), ..Order::default() }
}

/// Counted openids, the one of the event among them, so that the list's rules look at the amount as well.
fn blocked() -> Vec<String> {
    let others = (1..MEMBERS).map(|n| format!("oUpF8uMuAJO_M2pxb1Q9zNjW{n:04}"));
    others.chain(["oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()]).collect()
}

fn ours(count: usize) -> Vec<Expr> {
    let mut scope = Scope::new(Family::PayV3);
    scope.add_macro("paid", PAID).unwrap();
    scope.add_list("blocked_openids", Element::Text, Kept::InMemory).unwrap();
    for (name, ty) in [
        ("pays_10m", CounterType::Count),
        ("fen_1d", CounterType::Sum(Type::Fen)),
        ("seen_openid", CounterType::FirstSeen),
        ("tx_by_order", CounterType::Distinct),
    ] {
        scope.add_counter(name, ty).unwrap();
    }
    texts(count, true).iter().map(|text| compile(text, &scope, Want::Condition).unwrap()).collect()
}

fn map<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::from(members.collect::<HashMap<String, Value>>())
}

fn context() -> Context<'static, 'static> {
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let own = |of: &Option<String>| text(of.as_deref().unwrap());
    let (event, order) = (event(), order());
    let mut context = Context::default();
    let amount = [
        ("total", Value::Int(event.amount_total.unwrap())),
        ("payer_total", Value::Int(event.amount_payer_total.unwrap())),
        ("currency", own(&event.currency)),
    ];
    context.add_variable_from_value(
        "event",
        map([
            ("kind", text("TRANSACTION")),
            ("id", text(&event.id)),
            ("mchid", own(&event.mchid)),
            ("appid", own(&event.appid)),
            ("out_trade_no", own(&event.out_trade_no)),
            ("transaction_id", own(&event.transaction_id)),
            ("trade_state", own(&event.trade_state)),
            ("trade_type", own(&event.trade_type)),
            ("attach", own(&event.attach)),
            ("payer", map([("openid", own(&event.payer))])),
            ("amount", map(amount)),
        ]),
    );
    let amount = [("amount_total", Value::Int(order.amount_total)), ("currency", text(&order.currency))];
    context.add_variable_from_value("order", map(amount));
    context.add_variable_from_value("there", map([("order", Value::Bool(true))]));
    context.add_variable_from_value("local", map([("hour", Value::Int(12))]));
    context.add_variable_from_value(
        "counter",
        map([
            ("pays_10m", Value::Int(3)),
            ("fen_1d", Value::Int(400_000)),
            ("is_first", Value::Bool(true)),
            ("tx_by_order", Value::Int(1)),
        ]),
    );
    let blocked = blocked();
    let blocked = map(blocked.iter().map(|openid| (openid.as_str(), Value::Bool(true))));
    context.add_variable_from_value("list", map([("blocked_openids", blocked)]));
    context
}

fn rules(c: &mut Criterion) {
    let (event, order, zone) = (event(), order(), TimeZone::get("Asia/Shanghai").unwrap());
    let around = Around::new(NOON, "203.0.113.9".parse().unwrap(), "shop-pay");
    let counted = |before, after| Some(Counted { before, after });
    let counters = [counted(2, 3), counted(200_000, 400_000), counted(0, 0), counted(1, 1)];
    let lists = [Arc::new(Members::texts(blocked()))];
    let bind = || {
        let mut facts = Facts::from_event(&event, &around);
        facts.set_order(Some(&order));
        facts.set_zone(NOON, &zone);
        facts
    };
    let context = context();
    let mut group = c.benchmark_group("rules");
    for count in [20, 200] {
        let exprs = ours(count);
        let judge = |facts: &Facts<'_>| {
            let env = Env { facts, counters: &counters, lists: &lists, asked: &[] };
            exprs.iter().filter(|expr| expr.holds(&env).unwrap()).count()
        };
        let programs: Vec<_> = texts(count, false).iter().map(|text| Program::compile(text).unwrap()).collect();
        let interpret = || {
            let values = programs.iter().map(|program| program.execute(&context).unwrap());
            values.filter(|value| *value == Value::Bool(true)).count()
        };
        let facts = bind();
        assert_eq!(judge(&facts), interpret(), "both fire the same rules");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("judge", count), |b| b.iter(|| judge(black_box(&facts))));
        group.bench_function(BenchmarkId::new("bind and judge", count), |b| b.iter(|| judge(&black_box(bind()))));
        group.bench_function(BenchmarkId::new("cel interpreter", count), |b| b.iter(|| black_box(interpret())));
    }
    group.bench_function("bind", |b| b.iter(|| black_box(bind())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = rules
}
criterion_main!(benches);
