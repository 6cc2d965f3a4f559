//! What the tests of a rule reach: whether it fires and rests in them, and which parts of its conditions are true in one test
//! and false in another. A part is judged by its value whether or not `&&` or `||` passed it over; macros are judged where
//! they are used.

use std::sync::Arc;

use serde::Serialize;

use crate::risk::expr::{Env, Span};
use crate::risk::set::Rule;

/// What the tests of one rule reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleCover {
    /// Its set.
    pub set: Arc<str>,
    /// Its id.
    pub rule: Arc<str>,
    /// How many tests it has.
    pub tests: usize,
    /// In how many of them it fires.
    pub fires: usize,
    /// In how many it does not.
    pub rests: usize,
    /// Twice the number of its conditions' parts that are true or false.
    pub branches: usize,
    /// How many of them a test reaches.
    pub reached: usize,
    /// The others.
    pub unreached: Vec<Unreached>,
}

/// A part of a condition that is never true, or never false.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreached {
    /// The exception whose condition it is; none: the rule's own.
    pub exception: Option<Arc<str>>,
    /// The part as it is written.
    pub part: String,
    /// The value that it has in no test.
    pub never: bool,
}

/// Gathers what the tests of a rule reach.
pub(super) struct Covering<'r> {
    rule: &'r Rule,
    tests: usize,
    fires: usize,
    /// For each condition, the rule's own first, its parts with whether they were true and false.
    seen: Vec<Vec<(Span, [bool; 2])>>,
}

/// The values of the parts of one condition: true, false, or none.
pub(super) type Values = Vec<(Span, Option<bool>)>;

/// The values of the parts of all conditions of a rule, its own first.
pub(super) fn values(rule: &Rule, env: &Env<'_>) -> Vec<Values> {
    let exceptions = rule.exceptions.iter().map(|exception| &exception.when);
    [&rule.when].into_iter().chain(exceptions).map(|when| when.branches(env)).collect()
}

impl<'r> Covering<'r> {
    pub(super) fn new(rule: &'r Rule) -> Self {
        Self { rule, tests: 0, fires: 0, seen: Vec::new() }
    }

    /// Adds a test in which the rule fired or not, and its conditions' parts had these values.
    pub(super) fn add(&mut self, fires: bool, values: &[Values]) {
        self.tests = self.tests.saturating_add(1);
        self.fires = self.fires.saturating_add(usize::from(fires));
        if self.seen.is_empty() {
            let unseen = |values: &Values| values.iter().map(|(span, _)| (*span, [false, false])).collect();
            self.seen = values.iter().map(unseen).collect();
        }
        for (seen, values) in self.seen.iter_mut().zip(values) {
            for ((_, [yes, no]), (_, value)) in seen.iter_mut().zip(values) {
                *yes |= *value == Some(true);
                *no |= *value == Some(false);
            }
        }
    }

    pub(super) fn finish(self, set: &Arc<str>) -> RuleCover {
        let Self { rule, tests, fires, seen } = self;
        let branches = seen.iter().map(Vec::len).fold(0, usize::saturating_add).saturating_mul(2);
        let conditions = [(None, &rule.when)].into_iter();
        let conditions =
            conditions.chain(rule.exceptions.iter().map(|exception| (Some(&exception.name), &exception.when)));
        let mut unreached = Vec::new();
        for ((exception, when), parts) in conditions.zip(&seen) {
            for (span, [yes, no]) in parts {
                let part = span.of(when.text()).split_whitespace().collect::<Vec<_>>().join(" ");
                let never = [(true, *yes), (false, *no)].into_iter().filter(|(_, reached)| !reached);
                unreached.extend(never.map(|(never, _)| Unreached {
                    exception: exception.map(Arc::clone),
                    part: part.clone(),
                    never,
                }));
            }
        }
        RuleCover {
            set: Arc::clone(set),
            rule: Arc::clone(&rule.id),
            tests,
            fires,
            rests: tests.saturating_sub(fires),
            branches,
            reached: branches.saturating_sub(unreached.len()),
            unreached,
        }
    }
}
