//! The same expressions by another evaluator: the interpreter of crate `cel`, which shares our parser and nothing else.
//!
//! A seeded generator writes each expression twice, once in our words and once in plain CEL over maps, where money is
//! fen as a bare number, a member of an enum its word, and a macro its text in brackets. On every event both must give
//! the same answer, or both none. What is meant to differ is no part of it: see [`DIFFERENCES`].

use std::collections::HashMap;

use cel::{Context, Program, Value as Cel};

use super::*;
use crate::risk::expr::reference::DIFFERENCES;

/// Numbers that repeat for a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// One expression in both languages.
#[derive(Clone)]
struct Twins {
    ours: String,
    cel: String,
}

fn twins(ours: impl Into<String>, cel: impl Into<String>) -> Twins {
    Twins { ours: ours.into(), cel: cel.into() }
}

fn same(text: impl Into<String>) -> Twins {
    let text = text.into();
    twins(text.clone(), text)
}

/// Puts parts into both forms of a template, at `$0`, `$1`, …
fn join(template: &str, parts: &[&Twins]) -> Twins {
    let (mut ours, mut cel) = (template.to_owned(), template.to_owned());
    for (place, part) in parts.iter().enumerate() {
        let hole = format!("${place}");
        ours = ours.replace(&hole, &part.ours);
        cel = cel.replace(&hole, &part.cel);
    }
    twins(ours, cel)
}

const COMPARE: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const INTS: [&str; 9] =
    ["0", "1", "2", "5", "-3", "100", "9223372036854775807", "4611686018427387904", "-9223372036854775808"];
const FEN: [i64; 7] = [0, 1, 100, 8799, 8800, -8800, i64::MAX / 100];
const TEXTS: [&str; 8] =
    ["\"\"", "\"T1\"", "\"order-1\"", "\"wxa\"", "\"微信\"", "'o'", "\"1900000001\"", "\"a\\\"b\\n\""];
const COUNTERS: [&str; 5] = ["tx_by_order", "pays_10m", "paid_1h", "refunds_1h", "orders_ip"];
const SUMS: [&str; 2] = ["refund_by_order", "fen_1d"];
const TEXT_FIELDS: [&str; 8] = [
    "event.id",
    "event.type",
    "event.mchid",
    "event.appid",
    "event.transaction_id",
    "event.out_trade_no",
    "event.attach",
    "event.payer.openid",
];
const FEN_FIELDS: [&str; 4] =
    ["event.amount.total", "event.amount.payer_total", "event.amount.refund", "order.amount_total"];
const TIME_FIELDS: [&str; 3] = ["event.success_time", "event.create_time", "now"];
const DURATIONS: [&str; 5] = ["0s", "5s", "1h", "-90m", "26h"];

struct Generator {
    dice: Dice,
    /// Fields that may be absent and were used without a guard.
    used: Vec<&'static str>,
}

impl Generator {
    fn field(&mut self, of: &[&'static str]) -> Twins {
        let field = self.dice.pick(of);
        if !matches!(field, "now" | "event.id" | "event.type") && !self.used.contains(&field) {
            self.used.push(field);
        }
        same(field)
    }

    fn int(&mut self, depth: usize) -> Twins {
        match self.dice.roll(if depth == 0 { 3 } else { 8 }) {
            0 => same(self.dice.pick(&INTS)),
            1 => same(format!("counter.{}", self.dice.pick(&COUNTERS))),
            2 => same(format!("local.{}", self.dice.pick(&["hour", "minute", "weekday"]))),
            3 => join("$0.size()", &[&self.text(0)]),
            4 => join("size($0)", &[&self.text(0)]),
            5 => join("(-$0)", &[&same(format!("counter.{}", self.dice.pick(&COUNTERS)))]),
            _ => {
                let sign = self.dice.pick(&["+", "-", "*", "/", "%"]);
                let (a, b) = (self.int(depth - 1), self.int(depth - 1));
                join(&format!("($0 {sign} $1)"), &[&a, &b])
            }
        }
    }

    fn fen(&mut self, depth: usize) -> Twins {
        match self.dice.roll(if depth == 0 { 4 } else { 9 }) {
            0 => {
                let fen = self.dice.pick(&FEN);
                twins(format!("fen({fen})"), format!("({fen})"))
            }
            1 => {
                let yuan = self.dice.pick(&FEN);
                twins(format!("yuan({yuan})"), format!("({yuan} * 100)"))
            }
            2 => self.field(&FEN_FIELDS),
            3 => same(format!("counter.{}", self.dice.pick(&SUMS))),
            4 => {
                let of = self.dice.pick(&["event.amount.refund", "event.amount.payer_total"]);
                let other = self.fen(0);
                twins(format!("{of}.orValue({})", other.ours), format!("(has({of}) ? {of} : {})", other.cel))
            }
            5 => {
                let int = self.int(0);
                twins(format!("yuan({})", int.ours), format!("({} * 100)", int.cel))
            }
            6 => {
                let sign = self.dice.pick(&["+", "-", "%"]);
                let (a, b) = (self.fen(depth - 1), self.fen(depth - 1));
                join(&format!("($0 {sign} $1)"), &[&a, &b])
            }
            7 => {
                let (a, b) = (self.fen(depth - 1), self.int(0));
                join(self.dice.pick(&["($0 * $1)", "($1 * $0)", "($0 / $1)"]), &[&a, &b])
            }
            _ => {
                let (when, a, b) = (self.bool(0), self.fen(0), self.fen(0));
                join("($0 ? $1 : $2)", &[&when, &a, &b])
            }
        }
    }

    fn text(&mut self, depth: usize) -> Twins {
        match self.dice.roll(if depth == 0 { 3 } else { 5 }) {
            0 => same(self.dice.pick(&TEXTS)),
            1 | 2 => self.field(&TEXT_FIELDS),
            3 => {
                let other = self.text(0);
                twins(
                    format!("event.attach.orValue({})", other.ours),
                    format!("(has(event.attach) ? event.attach : {})", other.cel),
                )
            }
            _ => {
                let (when, a, b) = (self.bool(0), self.text(0), self.text(0));
                join("($0 ? $1 : $2)", &[&when, &a, &b])
            }
        }
    }

    fn time(&mut self) -> Twins {
        match self.dice.roll(3) {
            0 => same(format!("timestamp(\"2026-03-01T{:02}:00:00+08:00\")", self.dice.roll(24))),
            1 => self.field(&TIME_FIELDS),
            _ => {
                let sign = self.dice.pick(&["+", "-"]);
                let of = self.field(&TIME_FIELDS);
                join(&format!("($0 {sign} $1)"), &[&of, &self.duration()])
            }
        }
    }

    fn duration(&mut self) -> Twins {
        if self.dice.roll(2) == 0 {
            return same(format!("duration(\"{}\")", self.dice.pick(&DURATIONS)));
        }
        let (a, b) = (self.field(&TIME_FIELDS), self.field(&TIME_FIELDS));
        join("($0 - $1)", &[&a, &b])
    }

    /// A field of an enum compared with a member, by name and by text.
    fn member(&mut self) -> Twins {
        let (field, of, members) = self.dice.pick(&[
            ("event.kind", "Kind", &["TRANSACTION", "REFUND", "COMBINED", "OTHER"][..]),
            ("event.trade_state", "TradeState", &["SUCCESS", "CLOSED"]),
            ("event.refund_status", "RefundStatus", &["SUCCESS", "ABNORMAL"]),
            ("event.trade_type", "TradeType", &["JSAPI", "APP"]),
        ]);
        if field != "event.kind" && !self.used.contains(&field) {
            self.used.push(field);
        }
        let (one, other) = (self.dice.pick(members), self.dice.pick(members));
        let sign = self.dice.pick(&["==", "!="]);
        match self.dice.roll(4) {
            0 => twins(format!("{field} {sign} {of}.{one}"), format!("{field} {sign} \"{one}\"")),
            1 => same(format!("\"{one}\" {sign} {field}")),
            2 => twins(format!("{field} in [{of}.{one}, \"{other}\"]"), format!("{field} in [\"{one}\", \"{other}\"]")),
            _ => same(format!("{field}.startsWith(\"{}\")", &one[..2])),
        }
    }

    fn comparison(&mut self, depth: usize) -> Twins {
        let sign = self.dice.pick(&COMPARE);
        let (a, b) = match self.dice.roll(5) {
            0 => (self.int(depth), self.int(depth)),
            1 | 2 => (self.fen(depth), self.fen(depth)),
            3 => (self.text(depth), self.text(depth)),
            _ if self.dice.roll(2) == 0 => (self.time(), self.time()),
            _ => (self.duration(), self.duration()),
        };
        join(&format!("$0 {sign} $1"), &[&a, &b])
    }

    fn of_text(&mut self) -> Twins {
        let (text, part) = (self.text(1), self.text(0));
        match self.dice.roll(6) {
            0 => join("$0.startsWith($1)", &[&text, &part]),
            1 => join("$0.endsWith($1)", &[&text, &part]),
            2 => join("$0.contains($1)", &[&text, &part]),
            3 => join(
                &format!("$0.matches({})", self.dice.pick(&["\"^[a-z]+-[0-9]$\"", "r'\\d{3}'", "\"信\"", "\"\""])),
                &[&text],
            ),
            4 => join("$0 in [$1, \"T1\", \"wxa\"]", &[&text, &part]),
            _ => join(
                &format!("$0 in list.{}", self.dice.pick(&["our_mchids", "our_appids", "blocked_openids"])),
                &[&text],
            ),
        }
    }

    fn bool(&mut self, depth: usize) -> Twins {
        if depth == 0 {
            return match self.dice.roll(6) {
                0 => same(self.dice.pick(&["true", "false"])),
                1 | 2 => self.member(),
                3 => self.comparison(0),
                4 => same(format!(
                    "has({})",
                    self.dice.pick(&["event.attach", "event.amount.refund", "event.payer.openid", "order.client_ip"])
                )),
                _ => self.dice.pick(&["paid", "refunded", "night", "order"]).pipe(named),
            };
        }
        let depth = depth - 1;
        match self.dice.roll(9) {
            0 | 1 => self.comparison(depth),
            2 => self.of_text(),
            3 => {
                let (a, b) = (self.fen(depth), self.fen(0));
                join("$0 in [$1, $0]", &[&a, &b])
            }
            4 => join("!($0)", &[&self.bool(depth)]),
            5 => {
                let (when, a, b) = (self.bool(depth), self.bool(depth), self.bool(depth));
                join("($0 ? $1 : $2)", &[&when, &a, &b])
            }
            6 => {
                let (a, b) = (self.bool(depth), self.bool(depth));
                join(self.dice.pick(&["($0 == $1)", "($0 != $1)"]), &[&a.in_brackets(), &b.in_brackets()])
            }
            side => {
                let (a, b, c) = (self.bool(depth), self.bool(depth), self.bool(depth));
                join(if side == 7 { "($0 && $1 && $2)" } else { "($0 || $1 || $2)" }, &[&a, &b, &c])
            }
        }
    }

    /// A condition, with its fields guarded in one of several ways.
    fn condition(&mut self) -> Twins {
        self.used.clear();
        let inner = self.bool(3);
        let has = |fields: &[&str]| fields.iter().map(|field| format!("has({field})")).collect::<Vec<_>>().join(" && ");
        match self.dice.roll(4) {
            0 => inner,
            1 => join("$0 && ($1)", &[&named("paid"), &inner]),
            2 => join("$0 ? ($1) : false", &[&named("refunded"), &inner]),
            _ if self.used.is_empty() => inner,
            _ => join("$0 && ($1)", &[&same(has(&self.used)), &inner]),
        }
    }
}

trait Pipe: Sized {
    fn pipe<T>(self, into: impl FnOnce(Self) -> T) -> T {
        into(self)
    }
}
impl Pipe for &'static str {}

impl Twins {
    fn in_brackets(&self) -> Self {
        join("($0)", &[self])
    }
}

/// A macro, for CEL its text; or whether there is an order.
fn named(name: &str) -> Twins {
    match name {
        "paid" => twins("paid", "(event.kind == \"TRANSACTION\" && event.trade_state == \"SUCCESS\")"),
        "refunded" => twins("refunded", "(event.kind == \"REFUND\" && event.refund_status == \"SUCCESS\")"),
        "night" => twins("night", "(local.hour < 6)"),
        _ => twins("has(order)", "has(there.order)"),
    }
}

fn map(members: impl IntoIterator<Item = (&'static str, Option<Cel>)>) -> Cel {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Cel::from(members.collect::<HashMap<String, Cel>>())
}

fn moment(millis: i64) -> Cel {
    let text = jiff::Timestamp::from_millisecond(millis).unwrap();
    Program::compile(&format!("timestamp(\"{text}\")")).unwrap().execute(&Context::default()).unwrap()
}

fn text(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

/// The same world as maps.
fn context(world: &World) -> Context<'static, 'static> {
    let mut context = Context::default();
    let event = &world.event;
    let own = |of: &Option<String>| of.as_deref().map(text);
    let time = |of: Option<UnixTime>| of.map(|at| moment(at.millis()));
    let amount = map([
        ("total", event.amount_total.map(Cel::Int)),
        ("payer_total", event.amount_payer_total.map(Cel::Int)),
        ("refund", event.amount_refund.map(Cel::Int)),
    ]);
    context.add_variable_from_value(
        "event",
        map([
            ("kind", Some(text(crate::risk::schema::Kind::of(event).name()))),
            ("type", Some(text(&event.kind))),
            ("id", Some(text(&event.id))),
            ("create_time", time(event.time)),
            ("success_time", time(event.success_time)),
            ("mchid", own(&event.mchid)),
            ("appid", own(&event.appid)),
            ("transaction_id", own(&event.transaction_id)),
            ("out_trade_no", own(&event.out_trade_no)),
            ("attach", own(&event.attach)),
            ("trade_state", own(&event.trade_state)),
            ("refund_status", own(&event.refund_status)),
            ("trade_type", own(&event.trade_type)),
            ("payer", Some(map([("openid", own(&event.payer))]))),
            ("amount", Some(amount)),
        ]),
    );
    let order = world.order.as_ref();
    context.add_variable_from_value(
        "order",
        map([
            ("amount_total", order.map(|order| Cel::Int(order.amount_total))),
            ("client_ip", order.and_then(|order| own(&order.client_ip))),
        ]),
    );
    context.add_variable_from_value("there", map([("order", order.map(|_| Cel::Bool(true)))]));
    context.add_variable_from_value("now", moment(world.at));
    let scope = scope();
    let counters = COUNTERS.iter().chain(&SUMS).map(|name| {
        let counted = world.counters[scope.counter(name).unwrap()];
        (*name, counted.map(|counted| Cel::Int(counted.after)))
    });
    context.add_variable_from_value("counter", map(counters));
    let local = jiff::Timestamp::from_millisecond(world.at).unwrap();
    let local = jiff::tz::TimeZone::get("Asia/Shanghai").unwrap().to_datetime(local);
    context.add_variable_from_value(
        "local",
        map([
            ("hour", Some(Cel::Int(local.hour().into()))),
            ("minute", Some(Cel::Int(local.minute().into()))),
            ("weekday", Some(Cel::Int(local.weekday().to_monday_one_offset().into()))),
        ]),
    );
    let list = |members: &[&str]| Some(Cel::List(Arc::new(members.iter().map(|member| text(member)).collect())));
    context.add_variable_from_value(
        "list",
        map([
            ("our_mchids", list(&["1900000001"])),
            ("our_appids", list(&["wxa"])),
            ("blocked_openids", list(&["oBlocked"])),
        ]),
    );
    context
}

/// Events as they come, and as they should not: without what their kind always has.
fn worlds() -> Vec<World> {
    let scope = scope();
    let with =
        |event: Event| World::of(event).counting(&scope, "fen_1d", 5, 2_000_001).counting(&scope, "pays_10m", 5, 6);
    let mut uncounted = with(payment());
    uncounted.counters[2] = None;
    vec![
        with(payment()),
        with(refund()),
        World { order: Some(order()), ..with(payment()) },
        with(Event { attach: Some("微信 order-1".into()), payer: Some("oBlocked".into()), ..payment() }),
        World { at: NOON - 8 * 3_600_000, order: Some(Order { client_ip: None, ..order() }), ..with(refund()) },
        with(Event { amount_total: None, payer: None, ..payment() }),
        with(Event { amount_total: Some(i64::MAX), amount_payer_total: Some(-1), ..payment() }),
        with(Event { trade_type: Some("PALMPAY".into()), trade_state: Some("NEW".into()), ..payment() }),
        with(Event { is_combined: true, amount_total: None, ..payment() }),
        World { counters: vec![Some(Counted::default()); 11], ..World::of(Event::default()) },
        uncounted,
    ]
}

#[test]
fn a_thousandfold_the_same_as_the_interpreter_of_cel() {
    let (scope, worlds) = (scope(), worlds());
    let contexts: Vec<_> = worlds.iter().map(context).collect();
    let mut generator = Generator { dice: Dice(20_260_301), used: vec![] };
    let (mut compiled, mut answered, mut errors) = (0, 0, 0);
    while compiled < 3000 {
        let Twins { ours, cel } = generator.condition();
        let expr = match compile(&ours, &scope, Want::Condition) {
            Ok(expr) => expr,
            Err(problems) => {
                // Refused are only fields without a guard, and arithmetic on literals that can only fail.
                let fair = [Code::Unguarded, Code::NeverPresent, Code::BadLiteral, Code::TooLarge];
                assert!(problems.iter().all(|problem| fair.contains(&problem.code)), "{ours}: {problems:?}");
                continue;
            }
        };
        compiled += 1;
        let program = Program::compile(&cel).unwrap();
        for (world, context) in worlds.iter().zip(&contexts) {
            let theirs = match program.execute(context) {
                Ok(Cel::Bool(value)) => Ok(value),
                Ok(other) => panic!("{cel} is {other:?}"),
                Err(error) => Err(error),
            };
            match (world.holds(&expr), theirs) {
                (Ok(ours), Ok(theirs)) if ours == theirs => answered += 1,
                (Err(_), Err(_)) => errors += 1,
                (one, other) => panic!("{ours}\n{cel}\nours {one:?}, theirs {other:?}\n{:?}", world.event),
            }
            if let Some(constant) = expr.constant()
                && let Ok(value) = world.holds(&expr)
            {
                assert!(value == constant || world.event.amount_total.is_none(), "{ours} is said to be {constant}");
            }
        }
    }
    assert!(answered > 20_000 && errors > 300, "{answered} answers, {errors} errors");
}

#[test]
fn what_differs_from_cel_differs_as_told() {
    let world = World::of(payment());
    let context = context(&world);
    for difference in &DIFFERENCES {
        let ours = compile(difference.example, &scope(), Want::Condition);
        let theirs = difference.in_cel;
        let value = Program::compile(theirs).ok().map(|program| program.execute(&context));
        let told = format!("{}: {ours:?} and {value:?}", difference.name);
        match (&ours, value) {
            // Refused when loaded, where CEL answers, or fails only when it runs.
            (Err(_), Some(_)) => {}
            (Ok(expr), Some(Ok(Cel::Bool(theirs)))) => assert_ne!(world.holds(expr), Ok(theirs), "{told}"),
            (Ok(expr), Some(Err(_)) | None) => assert!(world.holds(expr).is_ok(), "{told}"),
            _ => panic!("{told}"),
        }
    }
}
