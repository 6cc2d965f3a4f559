//! Two states of the rules side by side on the same events: what a change of rules would change.

use std::sync::Arc;

use serde::Serialize;

use super::report::{Change, Sample, Tally, change, stamps};
use super::sequence::Sequence;
use super::{Judged, Order, Trial};
use crate::clock::UnixTime;
use crate::risk::recorded::Entry;
use crate::risk::set::RuleSet;
use crate::risk::verdict::{SetStamp, Verdict};

/// Events that are shown of each change of a rule.
const SAMPLES: usize = 1;

/// A comparison in the making.
pub struct Comparison {
    old: Trial,
    new: Trial,
    sequence: Sequence,
    since: Option<UnixTime>,
    difference: Difference,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The old sets.
    pub old: Vec<SetStamp>,
    /// The new sets.
    pub new: Vec<SetStamp>,
    /// Events that both judged.
    pub events: u64,
    /// Deliveries of events that had been judged: passed over.
    pub again: u64,
    /// Events that came too late in the file to be put in order.
    pub late: u64,
    /// Events that become something else.
    pub changed: u64,
    /// What became of events by the old sets.
    pub old_verdicts: Tally,
    /// And by the new.
    pub new_verdicts: Tally,
    /// From what to what.
    pub verdicts: Vec<Change>,
    /// The same, as if rules in shadow acted.
    pub shadow_verdicts: Vec<Change>,
    /// Rules whose hits differ.
    pub rules: Vec<RuleDifference>,
}

/// What differs in the hits of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleDifference {
    /// Its id.
    pub rule: Arc<str>,
    /// Events that it hits now and did not.
    pub gained: u64,
    /// Events that it hit and does not now.
    pub lost: u64,
    /// Events on which it acts now and did not: new hits, and those that were in shadow or allowed.
    pub acts_gained: u64,
    /// Events on which it acted and does not now.
    pub acts_lost: u64,
    /// Events for which it fails now and did not.
    pub errors_gained: u64,
    /// One of each, what it was first: `gained`, `lost`, `acts`, `rests`, `fails`.
    pub samples: Vec<(&'static str, Sample)>,
}

impl Comparison {
    /// A comparison of two states. Events before `since` move counters and are not told.
    pub fn new(old: Vec<Arc<RuleSet>>, new: Vec<Arc<RuleSet>>, since: Option<UnixTime>, order: Order) -> Self {
        let difference = Difference { old: stamps(&old), new: stamps(&new), ..Difference::default() };
        Self { old: Trial::new(old), new: Trial::new(new), sequence: Sequence::new(order), since, difference }
    }

    /// Takes the next event.
    pub fn take(&mut self, entry: Entry) {
        let Self { old, new, sequence, since, difference } = self;
        sequence.take(entry, |entry| {
            let (was, now) = (old.judge(entry), new.judge(entry));
            difference.note(entry, was.as_ref(), now.as_ref(), *since);
        });
    }

    /// Judges what still waits, and tells all.
    pub fn finish(self) -> Difference {
        let Self { mut old, mut new, mut sequence, since, mut difference } = self;
        sequence.finish(|entry| {
            let (was, now) = (old.judge(entry), new.judge(entry));
            difference.note(entry, was.as_ref(), now.as_ref(), since);
        });
        let told = sequence.told();
        difference.rules.sort_by(|one, other| one.rule.cmp(&other.rule));
        Difference { again: told.again, late: told.late, ..difference }
    }
}

impl Difference {
    /// Whether nothing differs: neither what becomes of an event nor which rules hit it.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty() && self.shadow_verdicts.is_empty() && self.rules.is_empty()
    }

    fn note(&mut self, entry: &Entry, was: Option<&Judged>, now: Option<&Judged>, since: Option<UnixTime>) {
        // What no set is for is let through.
        let clear = Verdict::clear();
        let verdict = |judged: Option<&Judged>| judged.map_or(&clear, |judged| &judged.verdict).clone();
        let is_before = since.is_some_and(|since| entry.recorded.received_at() < since);
        if is_before || (was.is_none() && now.is_none()) {
            return;
        }
        let (was, now) = (verdict(was), verdict(now));
        self.events = self.events.saturating_add(1);
        self.old_verdicts.add(was.action());
        self.new_verdicts.add(now.action());
        let why = now.hits().iter().find(|hit| hit.enforced);
        if was.action() != now.action() {
            self.changed = self.changed.saturating_add(1);
            change(&mut self.verdicts, was.action(), now.action(), || Sample::of(entry, &now, why));
        }
        if was.shadow_action() != now.shadow_action() {
            let why = now.hits().first();
            let sample = || Sample::of(entry, &now, why);
            change(&mut self.shadow_verdicts, was.shadow_action(), now.shadow_action(), sample);
        }
        self.rules(entry, &was, &now);
    }

    fn rules(&mut self, entry: &Entry, was: &Verdict, now: &Verdict) {
        let acts = |verdict: &Verdict, rule: &str| verdict.rules().any(|id| id == rule);
        let hits = |verdict: &Verdict, rule: &str| verdict.hits().iter().any(|hit| *hit.rule == *rule);
        for hit in now.hits() {
            if !hits(was, &hit.rule) {
                let rule = self.rule(&hit.rule);
                rule.gained = rule.gained.saturating_add(1);
                rule.show("gained", || Sample::of(entry, now, Some(hit)));
            }
            if acts(now, &hit.rule) && !acts(was, &hit.rule) {
                let is_new = !hits(was, &hit.rule);
                let rule = self.rule(&hit.rule);
                rule.acts_gained = rule.acts_gained.saturating_add(1);
                if !is_new {
                    rule.show("acts", || Sample::of(entry, now, Some(hit)));
                }
            }
        }
        for hit in was.hits() {
            if !hits(now, &hit.rule) {
                let rule = self.rule(&hit.rule);
                rule.lost = rule.lost.saturating_add(1);
                rule.show("lost", || Sample::of(entry, was, Some(hit)));
            }
            if acts(was, &hit.rule) && !acts(now, &hit.rule) {
                let is_gone = !hits(now, &hit.rule);
                let rule = self.rule(&hit.rule);
                rule.acts_lost = rule.acts_lost.saturating_add(1);
                if !is_gone {
                    rule.show("rests", || Sample::of(entry, was, Some(hit)));
                }
            }
        }
        for error in now.errors().iter().filter(|error| !was.errors().iter().any(|known| known.rule == error.rule)) {
            let rule = self.rule(&error.rule);
            rule.errors_gained = rule.errors_gained.saturating_add(1);
            rule.show("fails", || Sample { why: Some(error.error.clone()), ..Sample::of(entry, now, None) });
        }
    }

    fn rule(&mut self, id: &Arc<str>) -> &mut RuleDifference {
        let place = self.rules.iter().position(|rule| rule.rule == *id).unwrap_or(self.rules.len());
        if place == self.rules.len() {
            self.rules.push(RuleDifference {
                rule: Arc::clone(id),
                gained: 0,
                lost: 0,
                acts_gained: 0,
                acts_lost: 0,
                errors_gained: 0,
                samples: Vec::new(),
            });
        }
        self.rules.get_mut(place).expect("it was found or put there")
    }
}

impl RuleDifference {
    fn show(&mut self, what: &'static str, sample: impl FnOnce() -> Sample) {
        if self.samples.iter().filter(|(known, _)| *known == what).count() < SAMPLES {
            self.samples.push((what, sample()));
        }
    }
}
