//! The rules of a rule set.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Exception, Message, Rule, expression};
use crate::clock::UnixTime;
use crate::risk::code::Code;
use crate::risk::expr::{Scope, Want};
use crate::risk::file::{Action, ExceptionDef, Mode, RuleDef};
use crate::risk::problem::{Findings, did_you_mean, quoted};

/// Makes a rule of what its file says.
pub(super) fn build(
    def: &RuleDef,
    default: Mode,
    scope: &Scope,
    zone: &TimeZone,
    findings: &mut Findings<'_>,
) -> Option<Rule> {
    effects(def, findings);
    exception_names(def, findings);
    let when = expression::compile(&def.when, scope, Want::Condition, &[], findings)?;
    let message = match &def.message {
        Some(message) => Some(Message::read(message, scope, &when, findings)?),
        None => None,
    };
    let exceptions = def.exceptions.iter().map(|exception| {
        Some(Exception {
            name: Arc::from(exception.name.value.as_str()),
            when: expression::compile(&exception.when, scope, Want::Condition, &[&when], findings)?,
            until: end_of(exception, zone),
        })
    });
    let exceptions = exceptions.collect::<Option<Vec<_>>>()?;
    Some(Rule {
        id: Arc::from(def.id.value.as_str()),
        title: def.title.clone(),
        category: def.category.as_ref().map(|category| Arc::from(category.value.as_str())),
        importance: def.importance,
        mode: def.mode.as_ref().map_or(default, |mode| mode.value),
        when,
        action: def.action.as_ref().map(|action| action.value),
        only: def.only.iter().map(|only| Arc::from(only.value.as_str())).collect(),
        answer: def.answer.as_ref().map(|answer| answer.value).unwrap_or_default(),
        hold_for: def.hold_for.as_ref().map(|hold_for| hold_for.value),
        on_expiry: def.on_expiry,
        score: def.score.as_ref().map_or(0, |score| score.value),
        reason: Arc::from(def.reason.value.as_str()),
        message,
        on_error: def.on_error,
        exceptions,
    })
}

/// The end of an exception's last day in the set's zone.
pub(super) fn end_of(exception: &ExceptionDef, zone: &TimeZone) -> UnixTime {
    let next = exception.expires.value.tomorrow().unwrap_or(exception.expires.value);
    let end = zone.to_timestamp(next.at(0, 0, 0, 0)).map(Timestamp::as_millisecond);
    UnixTime::from_millis(end.unwrap_or(i64::MAX))
}

/// Whether the parts of a rule go together.
fn effects(def: &RuleDef, findings: &mut Findings<'_>) {
    let action = def.action.as_ref().map(|action| action.value);
    let id = &def.id.value;
    if !def.has_effect && action.is_none() && def.score.is_none() {
        let remedy = "add `action: hold` or `score: 20`; to try it without effect, add `mode: shadow`";
        findings.add(Code::NoEffect, def.id.at, format!("rule {id} has neither an action nor a score"), remedy);
    }
    let mut only_with = |wanted: Action, key: &str, at| {
        if action != Some(wanted) {
            let message = format!("`{key}` belongs to `action: {}`", wanted.name());
            findings.add(Code::NoEffect, at, message, "remove it, or change the action");
        }
    };
    if let Some(first) = def.only.first() {
        only_with(Action::Allow, "only", first.at);
    }
    if let Some(answer) = &def.answer {
        only_with(Action::Reject, "answer", answer.at);
    }
    if let Some(hold_for) = &def.hold_for {
        only_with(Action::Hold, "hold_for", hold_for.at);
    }
    if def.on_expiry.is_some() && def.hold_for.is_none() {
        findings.add(
            Code::NoEffect,
            def.id.at,
            format!("rule {id} says `on_expiry` without `hold_for`"),
            "add `hold_for: 2h`",
        );
    }
    if let (Some(Action::Allow), Some(at)) = (action, def.action.as_ref().map(|action| action.at))
        && def.only.is_empty()
    {
        let message = format!("rule {id} allows without saying what");
        findings.add(
            Code::AllowOnly,
            at,
            message,
            "add `only: [velocity]`: the categories or rules whose hits it removes",
        );
    }
}

/// Exceptions are told and counted by their names.
fn exception_names(def: &RuleDef, findings: &mut Findings<'_>) {
    for (at, exception) in def.exceptions.iter().enumerate() {
        let name = &exception.name;
        if def.exceptions.iter().take(at).any(|before| before.name.value == name.value) {
            let message = format!("rule {} has two exceptions {}", def.id.value, quoted(&name.value));
            findings.add(
                Code::Duplicate,
                name.at,
                message,
                "give one of them another name: what each spared is counted by it",
            );
        }
    }
}

/// Whether what `only` names is there.
pub(super) fn check_only(defs: &[RuleDef], findings: &mut Findings<'_>) {
    let ids = defs.iter().map(|def| def.id.value.as_str());
    let categories = defs.iter().filter_map(|def| def.category.as_ref()).map(|category| category.value.as_str());
    let known: Vec<&str> = ids.chain(categories).collect();
    for only in defs.iter().flat_map(|def| &def.only) {
        if !known.contains(&only.value.as_str()) {
            let remedy = did_you_mean(&only.value, known.iter().copied(), "name a category or a rule of this set");
            let message = format!("there is no category or rule `{}` in this set", only.value);
            findings.add(Code::UnknownRule, only.at, message, remedy);
        }
    }
}
