//! What a test expects against what happened.

use std::fmt::Display;

use super::scene::Played;
use crate::risk::code::Code;
use crate::risk::file::{Action, TestDef};
use crate::risk::files::Spot;
use crate::risk::problem::{Findings, did_you_mean};
use crate::risk::set::Rule;

/// Whether all that the test expects is so; what is not is told.
pub(super) fn compare(rule: &Rule, test: &TestDef, played: &Played, findings: &mut Findings<'_>) -> bool {
    let before = findings.errors();
    let expect = &test.expect;
    let mut check = Check { rule, test, played, findings };
    if let Some(fires) = &expect.fires {
        let (wanted, was) = (says(fires.value), says(played.fires));
        check.same(fires.at, "the rule", &wanted, &was);
    }
    if let Some(action) = &expect.action {
        let name = |action: Option<Action>| action.map_or("none", Action::name);
        check.same(action.at, "its action", &name(action.value), &name(played.action));
    }
    if let Some(score) = &expect.score {
        check.same(score.at, "its score", &score.value, &played.score);
    }
    if let Some(degraded) = &expect.degraded {
        check.same(degraded.at, "degraded", &degraded.value, &played.degraded);
    }
    if let Some(reason) = &expect.reason {
        let was = if played.fires { &*rule.reason } else { "none" };
        check.same(reason.at, "its reason", &reason.value.as_str(), &was);
    }
    if let Some(message) = &expect.message {
        check.same(message.at, "its message", &message.value.as_str(), &played.message.as_deref().unwrap_or("none"));
    }
    if let Some(name) = &expect.excepted_by {
        check.same(name.at, "its exception", &name.value.as_str(), &played.excepted_by.as_deref().unwrap_or("none"));
    }
    for (counter, wanted) in &expect.counters {
        match played.counters.iter().find(|(name, _)| *name == counter.value) {
            Some((_, Some(was))) => check.same(counter.at, &format!("counter {}", counter.value), wanted, was),
            Some((_, None)) => check.same(counter.at, &format!("counter {}", counter.value), wanted, &"not counted"),
            None => {
                let known = played.counters.iter().map(|(name, _)| name.as_str());
                let remedy =
                    did_you_mean(&counter.value, known, "only counters that rules of this set read have values");
                let message = format!("there is no counter `{}` to expect", counter.value);
                check.findings.add(Code::TestSetup, counter.at, message, remedy);
            }
        }
    }
    findings.errors() == before
}

fn says(fires: bool) -> &'static str {
    if fires { "fires" } else { "does not fire" }
}

struct Check<'c, 'f> {
    rule: &'c Rule,
    test: &'c TestDef,
    played: &'c Played,
    findings: &'c mut Findings<'f>,
}

impl Check<'_, '_> {
    fn same(&mut self, at: Spot, what: &str, wanted: &impl Display, was: &impl Display) {
        let (wanted, was) = (wanted.to_string(), was.to_string());
        if wanted == was {
            return;
        }
        let (id, name) = (&self.rule.id, &self.test.name.value);
        let is = if what == "the rule" { "" } else { " is" };
        let message = format!("test \"{name}\" of {id} fails: expected that {what}{is} {wanted}, but it{is} {was}");
        self.findings.add(Code::TestFailed, at, message, self.played.why());
    }
}
