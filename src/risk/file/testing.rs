//! `tests:` of a rule as written.

use super::list::values;
use super::rule::ACTIONS;
use super::table::{Table, Value};
use super::yaml::{Kind, Node};
use super::{Action, ExpectDef, HistoryDef, Seen, TestDef};
use crate::risk::code::Code;
use crate::risk::files::Spanned;
use crate::risk::problem::Findings;

/// Most times that a test's event comes.
const REPEATS: std::ops::RangeInclusive<i64> = 1..=100;
/// Most different values that a test's history makes up.
const COUNTS: std::ops::RangeInclusive<i64> = 0..=5000;

pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<TestDef> {
    let mut table = Table::of(node, "a test", findings)?;
    let name = table.require_text("name", findings);
    if let Some(name) = &name {
        table.call(format!("test \"{}\"", name.value));
    }
    let mut part = |key| table.take(key).map(|value: Value<'_>| value.node().clone());
    let (event, order, http) = (part("event"), part("order"), part("http"));
    let (client, lists, route, verify) = (part("client"), part("lists"), part("route"), part("verify"));
    let store = table.take("store").and_then(|store| store.choice(findings, &[("up", false), ("down", true)]));
    let at = table.take("at").and_then(|at| {
        let remedy = "a moment with its offset: \"2026-03-01T05:59:59+08:00\"";
        at.parsed(findings, "a moment", remedy, |text| Some(text.to_owned()))
    });
    let history = histories(&mut table, findings);
    let times = repeat(&mut table, findings).unwrap_or(1);
    let expect = table.require("expect", findings).and_then(|value| expect(value, findings));
    table.finish(findings);
    Some(TestDef {
        name: name?,
        at,
        event,
        order,
        http,
        client,
        route,
        verify,
        lists,
        history,
        times,
        store_is_down: store.is_some_and(|store| store.value),
        expect: expect?,
    })
}

fn repeat(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<i64> {
    let mut table = table.take("repeat")?.table("`repeat`", findings)?;
    let times = table.require("same_event", findings).and_then(|times| times.int(findings, REPEATS));
    table.finish(findings);
    times.map(|times| times.value)
}

fn histories(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Vec<HistoryDef> {
    let Some(value) = table.take("history") else { return Vec::new() };
    value.one_or_more().into_iter().filter_map(|value| history(value, findings)).collect()
}

fn history(value: Value<'_>, findings: &mut Findings<'_>) -> Option<HistoryDef> {
    let mut table = value.table("`history`", findings)?;
    let counter = table.require_text("counter", findings);
    let seen = [table.take("value"), table.take("values"), table.take("count")];
    table.finish(findings);
    let seen = match seen {
        [Some(value), None, None] => Seen::Value(value.int(findings, i64::MIN..=i64::MAX)?.value),
        [None, Some(list), None] => Seen::Values(values(list, findings)),
        [None, None, Some(count)] => Seen::Count(count.int(findings, COUNTS)?.value),
        _ => {
            let remedy =
                "one of `value: 5` (a number), `values: [T1]` (different values) and `count: 10` (so many of them)";
            findings.add(Code::WrongKind, value.at(), "`history` says one thing of its counter", remedy);
            return None;
        }
    };
    Some(HistoryDef { counter: counter?, seen })
}

fn expect(value: Value<'_>, findings: &mut Findings<'_>) -> Option<ExpectDef> {
    let mut table = value.table("`expect`", findings)?;
    let at = table.at();
    let errors = findings.errors();
    let truth = |value: Option<Value<'_>>, findings: &mut Findings<'_>| {
        let value = value?;
        value.truth(findings).map(|truth| Spanned::new(truth, value.at()))
    };
    let fires = truth(table.take("fires"), findings);
    let degraded = truth(table.take("degraded"), findings);
    let expect = ExpectDef {
        fires,
        degraded,
        action: table.take("action").and_then(|value| action(value, findings)),
        score: table.take("score").and_then(|value| value.int(findings, -100_000..=100_000)),
        reason: table.text("reason", findings),
        message: table.text("message", findings),
        excepted_by: table.text("excepted_by", findings),
        counters: counters(&mut table, findings),
    };
    table.finish(findings);
    if expect.is_empty() && findings.errors() == errors {
        let remedy = "add `fires: true`, or one of action, score, reason, message, excepted_by, degraded and counters";
        findings.add(Code::TestSetup, at, "`expect` expects nothing", remedy);
    }
    Some(expect)
}

fn action(value: Value<'_>, findings: &mut Findings<'_>) -> Option<Spanned<Option<Action>>> {
    let mut choices = vec![("none", None)];
    choices.extend(ACTIONS.iter().map(|(name, action)| (*name, Some(*action))));
    value.choice(findings, &choices)
}

fn counters(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Vec<(super::Text, i64)> {
    let Some(value) = table.take("counters") else { return Vec::new() };
    if !matches!(value.node().kind, Kind::Mapping(_)) {
        value.expected(findings, "a mapping of counters to numbers", "`counters: { pays_10m: 1 }`");
        return Vec::new();
    }
    let Some(table) = value.table("`counters`", findings) else { return Vec::new() };
    let number = |value: Value<'_>| {
        let number = value.int(findings, i64::MIN..=i64::MAX)?.value;
        Some((Spanned::new(value.name().to_owned(), value.key_at()), number))
    };
    table.into_entries().into_iter().filter_map(number).collect()
}
