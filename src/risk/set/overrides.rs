//! Overrides: they name the fields that they replace and the version that they were written against.

use crate::risk::code::Code;
use crate::risk::file::{Document, OverrideDef, RuleDef};
use crate::risk::problem::{Findings, did_you_mean};

/// The rules of a set with what `overrides` replace.
pub(super) fn apply(set: &Document, overrides: &[OverrideDef], findings: &mut Findings<'_>) -> Vec<RuleDef> {
    let mut rules = set.rules.clone();
    for change in overrides {
        let Some(rule) = rules.iter_mut().find(|rule| rule.id.value == change.id.value) else { continue };
        if change.of_version.value != set.version {
            let message = format!(
                "this override of {} is of version {}, {} is at version {}",
                change.id.value, change.of_version.value, set.name.value, set.version
            );
            let remedy = format!("read what changed, then write `of_version: {}`", set.version);
            findings.add(Code::Version, change.of_version.at, message, remedy);
            continue;
        }
        replace(rule, change);
    }
    rules
}

fn replace(rule: &mut RuleDef, change: &OverrideDef) {
    if change.mode.is_some() {
        rule.mode.clone_from(&change.mode);
    }
    if change.action.is_some() {
        rule.action.clone_from(&change.action);
    }
    if change.score.is_some() {
        rule.score.clone_from(&change.score);
    }
    if let Some(importance) = change.importance {
        rule.importance = importance;
    }
    if change.owner.is_some() {
        rule.owner.clone_from(&change.owner);
    }
    if let Some(exceptions) = &change.exceptions {
        rule.exceptions.clone_from(exceptions);
    }
}

/// Says which overrides mean no rule, or one that another means already.
pub(in crate::risk) fn check(overrides: &[OverrideDef], sets: &[&Document], findings: &mut Findings<'_>) {
    let ids: Vec<&str> = sets.iter().flat_map(|set| &set.rules).map(|rule| rule.id.value.as_str()).collect();
    for (at, change) in overrides.iter().enumerate() {
        let id = &change.id;
        if !ids.contains(&id.value.as_str()) {
            let remedy = did_you_mean(&id.value, ids.iter().copied(), "an override names a rule of this directory");
            findings.add(Code::UnknownRule, id.at, format!("there is no rule `{}`", id.value), remedy);
        }
        if overrides.iter().take(at).any(|before| before.id.value == id.value) {
            let message = format!("{} is overridden twice", id.value);
            findings.add(Code::Duplicate, id.at, message, "write one override of it");
        }
    }
}
