//! `rules:` and `overrides:` as written.

use std::time::Duration;

use jiff::civil::Date;

use super::document::{SCORES, on_error};
use super::table::{Table, Value};
use super::yaml::{Kind, Node};
use super::{Action, ExceptionDef, Importance, Mode, OnExpiry, OverrideDef, RejectAnswer, RuleDef, Text, testing};
use crate::risk::code::Code;
use crate::risk::files::Spanned;
use crate::risk::problem::Findings;

pub(super) const ACTIONS: [(&str, Action); 4] =
    [("allow", Action::Allow), ("flag", Action::Flag), ("hold", Action::Hold), ("reject", Action::Reject)];
const IMPORTANCES: [(&str, Importance); 5] = [
    ("info", Importance::Info),
    ("low", Importance::Low),
    ("medium", Importance::Medium),
    ("high", Importance::High),
    ("critical", Importance::Critical),
];
const MODES: [(&str, Mode); 3] = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow), ("off", Mode::Off)];
const STATUSES: [(&str, ()); 4] = [("experimental", ()), ("test", ()), ("stable", ()), ("deprecated", ())];
const ANSWERS: [(&str, RejectAnswer); 2] = [("retry", RejectAnswer::Retry), ("swallow", RejectAnswer::Swallow)];
const EXPIRIES: [(&str, OnExpiry); 2] = [("release", OnExpiry::Release), ("reject", OnExpiry::Reject)];
const HOLDS: std::ops::RangeInclusive<Duration> = Duration::from_mins(1)..=Duration::from_hours(30 * 24);
const MAX_TITLE: usize = 100;
const MAX_MESSAGE: usize = 300;
const MODE_HINT: &str = "write enforce, shadow, off, or `{ enforce: 10% }` for a part of the events";

pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<RuleDef> {
    let mut table = Table::of(node, "a rule", findings)?;
    let id = table.require("id", findings).and_then(|id| {
        let remedy = "2 to 8 capital letters, `-` and 3 to 6 digits: WXP-1001";
        id.parsed(findings, "a rule's id", remedy, |text| is_rule_id(text).then(|| text.to_owned()))
    });
    if let Some(id) = &id {
        table.call(format!("rule {}", id.value));
    }
    described(&mut table, findings);
    let title = bounded(table.require_text("title", findings), MAX_TITLE, findings);
    let message = bounded(table.text("message", findings), MAX_MESSAGE, findings);
    let has_effect = table.has("action") || table.has("score");
    let rule = RuleDef {
        has_effect,
        category: table.take("category").and_then(|value| super::document::ident(value, findings)),
        importance: importance(&mut table, findings).unwrap_or_default(),
        owner: table.text("owner", findings).map(|owner| owner.value),
        mode: table.take("mode").and_then(|value| mode(value, findings)),
        action: table.take("action").and_then(|value| value.choice(findings, &ACTIONS)),
        only: table.texts("only", findings),
        answer: table.take("answer").and_then(|value| value.choice(findings, &ANSWERS)),
        hold_for: table.take("hold_for").and_then(|value| value.duration(findings, HOLDS)),
        on_expiry: table.take("on_expiry").and_then(|value| value.choice(findings, &EXPIRIES)).map(|it| it.value),
        score: table.take("score").and_then(|value| value.int(findings, SCORES)),
        on_error: on_error(&mut table, findings),
        exceptions: table.each("exceptions", findings, exception),
        tests: table.each("tests", findings, testing::read),
        title: title.map(|title| title.value).unwrap_or_default(),
        message,
        // Read by its own name, so that a rule without it is told at its place.
        when: Text::new(String::new(), table.at()),
        reason: Text::new(String::new(), table.at()),
        id: id.clone().unwrap_or_else(|| Text::new("?".to_owned(), table.at())),
    };
    let when = table.require_text("when", findings);
    let reason = table.require("reason", findings).and_then(|reason| super::document::ident(reason, findings));
    table.finish(findings);
    id?;
    Some(RuleDef { when: when?, reason: reason?, ..rule })
}

/// What people read of a rule, and nothing else does.
fn described(table: &mut Table<'_>, findings: &mut Findings<'_>) {
    for key in ["description", "tuning", "runbook", "since"] {
        drop(table.text(key, findings));
    }
    for key in ["tags", "references", "false_positives"] {
        drop(table.texts(key, findings));
    }
    if let Some(status) = table.take("status") {
        status.choice(findings, &STATUSES);
    }
}

fn bounded(text: Option<Text>, most: usize, findings: &mut Findings<'_>) -> Option<Text> {
    let text = text?;
    if text.value.chars().count() > most {
        findings.add(Code::Bound, text.at, format!("longer than {most} characters"), "say the rest in `description`");
    }
    Some(text)
}

fn importance(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Importance> {
    table.take("severity")?.choice(findings, &IMPORTANCES).map(|chosen| chosen.value)
}

fn is_rule_id(text: &str) -> bool {
    let Some((letters, digits)) = text.split_once('-') else { return false };
    (2..=8).contains(&letters.len())
        && letters.bytes().all(|byte| byte.is_ascii_uppercase())
        && (3..=6).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn mode(value: Value<'_>, findings: &mut Findings<'_>) -> Option<Spanned<Mode>> {
    if !matches!(value.node().kind, Kind::Mapping(_)) {
        return value.choice(findings, &MODES);
    }
    let mut table = value.table("`mode`", findings)?;
    let part = table.require("enforce", findings).and_then(|part| {
        part.parsed(findings, "a percentage from 0% to 100%", MODE_HINT, |text| {
            text.strip_suffix('%')?.parse::<u8>().ok().filter(|part| *part <= 100)
        })
    });
    table.finish(findings);
    let part = part?;
    if matches!(part.value, 0 | 100) {
        let instead = if part.value == 0 { "shadow" } else { "enforce" };
        findings.add(
            Code::Percent,
            part.at,
            format!("{}% is `{instead}`", part.value),
            format!("write `mode: {instead}`"),
        );
    }
    Some(Spanned::new(Mode::Percent(part.value), part.at))
}

fn exception(node: &Node, findings: &mut Findings<'_>) -> Option<ExceptionDef> {
    let mut table = Table::of(node, "an exception", findings)?;
    let name = table.require_text("name", findings);
    if let Some(name) = &name {
        table.call(format!("exception \"{}\"", name.value));
    }
    let when = table.require_text("when", findings);
    let owner = table.require_text("owner", findings);
    let why = table.require_text("why", findings);
    let expires = table.require("expires", findings).and_then(|expires| {
        let remedy = "the last day on which it works: 2027-03-31";
        expires.parsed(findings, "a day", remedy, |text| text.parse::<Date>().ok())
    });
    table.finish(findings);
    owner.and(why)?;
    Some(ExceptionDef { name: name?, when: when?, expires: expires? })
}

pub(super) fn read_override(node: &Node, findings: &mut Findings<'_>) -> Option<OverrideDef> {
    let mut table = Table::of(node, "an override", findings)?;
    let id = table.require_text("id", findings);
    if let Some(id) = &id {
        table.call(format!("override of {}", id.value));
    }
    let of_version = table.require("of_version", findings).and_then(|version| version.int(findings, 1..=1_000_000));
    let why = table.require_text("why", findings);
    let set = table.require("set", findings).and_then(|set| set.table("`set`", findings));
    table.finish(findings);
    let mut set = set?;
    let exceptions = set
        .take("exceptions")
        .map(|value| value.items(findings).into_iter().filter_map(|item| exception(item.node(), findings)).collect());
    let mode = set.take("mode").and_then(|value| mode(value, findings));
    let action = set.take("action").and_then(|value| value.choice(findings, &ACTIONS));
    let score = set.take("score").and_then(|value| value.int(findings, SCORES));
    let importance = importance(&mut set, findings);
    let owner = set.text("owner", findings).map(|owner| owner.value);
    set.finish(findings);
    why?;
    Some(OverrideDef { id: id?, of_version: of_version?, mode, action, score, importance, owner, exceptions })
}
