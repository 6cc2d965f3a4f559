//! `counters:` as written.

use std::time::Duration;

use super::document::{ident, on_error};
use super::table::{Table, Value};
use super::yaml::Node;
use super::{CounterDef, MeasureDef};
use crate::risk::code::Code;
use crate::risk::problem::Findings;

/// Windows of counters.
pub(in crate::risk) const WINDOWS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(30 * 24);
const MAX_KEYS: usize = 4;
const EXACT_UP_TO: i64 = 64;
const MEASURES: &str = "one of `count: events`, `sum:`, `distinct:`, `last:`, `first_seen: true` and `ratio:`";

pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<CounterDef> {
    let mut table = Table::of(node, "a counter", findings)?;
    let name = table.require("name", findings).and_then(|name| ident(name, findings));
    if let Some(name) = &name {
        table.call(format!("counter {}", name.value));
    }
    let measure = measure(&mut table, findings);
    let when = table.text("when", findings);
    let key = table.texts("key", findings);
    let is_ratio = matches!(measure, Some(MeasureDef::Ratio { .. }));
    if (key.is_empty() && !is_ratio) || key.len() > MAX_KEYS {
        let message = format!("{} has {} keys, expected 1 to {MAX_KEYS}", table.what(), key.len());
        findings.add(
            Code::MissingKey,
            table.at(),
            message,
            "`key: [event.appid, event.payer.openid]`: what is counted apart",
        );
    }
    let window = table.require("window", findings).and_then(|window| window.duration(findings, WINDOWS));
    let resolution = table.take("resolution").and_then(|slice| slice.duration(findings, WINDOWS));
    let by = table.text("by", findings);
    if let Some(include) = table.take("include") {
        let remedy = "remove it: a counter moves in the round trip that claims the event, before there is a verdict, and so \
                      counts every event that its `when` holds for";
        findings.add(Code::UnknownKey, include.key_at(), "`include` is not supported", remedy);
    }
    let on_error = on_error(&mut table, findings);
    drop(table.text("description", findings));
    table.finish(findings);
    Some(CounterDef { name: name?, measure: measure?, when, key, window: window?, resolution, by, on_error })
}

fn measure(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<MeasureDef> {
    let exact = table.take("exact_up_to");
    let mut found = Vec::new();
    for key in ["count", "sum", "distinct", "last", "first_seen", "ratio"] {
        found.extend(table.take(key));
    }
    let [value] = found.as_slice() else {
        findings.add(Code::MissingKey, table.at(), format!("{} counts one thing", table.what()), MEASURES);
        return None;
    };
    if let Some(exact) = exact.filter(|_| value.name() != "distinct") {
        let remedy = "remove it: it says how far different values are told exactly";
        findings.add(Code::NoEffect, exact.key_at(), "`exact_up_to` belongs to `distinct`", remedy);
    }
    match value.name() {
        "count" => value.choice(findings, &[("events", ())]).map(|_| MeasureDef::Count),
        "sum" => value.text(findings).map(MeasureDef::Sum),
        "last" => value.text(findings).map(MeasureDef::Last),
        "first_seen" => value.truth(findings).filter(|truth| *truth).map(|_| MeasureDef::FirstSeen),
        "ratio" => ratio(*value, findings),
        _ => {
            let most = exact.map_or(Some(EXACT_UP_TO), |exact| exact.int(findings, 1..=4096).map(|most| most.value))?;
            Some(MeasureDef::Distinct(value.text(findings)?, u16::try_from(most).ok()?))
        }
    }
}

fn ratio(value: Value<'_>, findings: &mut Findings<'_>) -> Option<MeasureDef> {
    let mut table = value.table("`ratio`", findings)?;
    let of = table.require("of", findings).and_then(|of| ident(of, findings));
    let to = table.require("to", findings).and_then(|to| ident(to, findings));
    let at_least = table.take("at_least").map_or(Some(1), |n| n.int(findings, 1..=1_000_000_000).map(|n| n.value));
    table.finish(findings);
    Some(MeasureDef::Ratio { of: of?, to: to?, at_least: at_least? })
}
