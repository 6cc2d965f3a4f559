//! The tests that rules bring along: run whenever the rules are loaded, on a clock that stands still, with counters that
//! have the history that a test gives them. A rule whose test fails does not load.

mod compare;
mod cover;
mod fixture;
mod scene;

use std::sync::Arc;

use super::code::Code;
use super::file::{RuleDef, TestDef};
use super::load::TestRun;
use super::problem::Findings;
use super::set::{Rule, RuleSet};

pub use cover::{RuleCover, Unreached};

use cover::Covering;

/// Most tests of a set: they are run whenever the rules are loaded.
const MOST_TESTS: usize = 2000;

/// What came of the tests of a set.
#[derive(Default)]
pub(super) struct Tested {
    /// Those that passed.
    pub(super) passed: Vec<TestRun>,
    /// What they reach, of each rule.
    pub(super) cover: Vec<RuleCover>,
}

/// Runs the tests of all rules of a set. Those that fail are errors at their place.
pub(super) fn run(set: &Arc<RuleSet>, defs: &[RuleDef], findings: &mut Findings<'_>) -> Tested {
    let mut tested = Tested::default();
    let count = defs.iter().map(|def| def.tests.len()).fold(0, usize::saturating_add);
    if let (Some(def), true) = (defs.last(), count > MOST_TESTS) {
        let message = format!("{} has {count} tests, at most {MOST_TESTS} are run", set.name());
        findings.add(Code::Bound, def.id.at, message, "split the set");
        return tested;
    }
    for (def, rule) in defs.iter().zip(&set.rules) {
        let mut covering = Covering::new(rule);
        for (at, test) in def.tests.iter().enumerate() {
            if def.tests.iter().take(at).any(|before| before.name.value == test.name.value) {
                let message = format!("{} has two tests \"{}\"", def.id.value, test.name.value);
                findings.add(Code::Duplicate, test.name.at, message, "give one of them another name");
            }
            if run_one(set, rule, test, &mut covering, findings) == Some(true) {
                let (set, rule) = (Arc::clone(set.name()), Arc::clone(&rule.id));
                tested.passed.push(TestRun { set, rule, test: test.name.value.clone() });
            }
        }
        tested.cover.push(covering.finish(set.name()));
    }
    tested
}

/// None: it cannot be run, which has been said.
fn run_one(
    set: &Arc<RuleSet>,
    rule: &Rule,
    test: &TestDef,
    covering: &mut Covering<'_>,
    findings: &mut Findings<'_>,
) -> Option<bool> {
    let mut scene = scene::Scene::read(set, test, findings)?;
    let played = scene.play(rule, test.times);
    covering.add(played.fires, &played.branches);
    Some(compare::compare(rule, test, &played, findings))
}
