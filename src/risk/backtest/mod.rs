//! Recorded events judged again: by a rule set ([`Backtest`]), by two of them ([`Comparison`]), or one event by one rule,
//! step by step ([`Trial::explain`]).
//!
//! Events are brought into the order of their receipt (`sequence`), each is judged once, and its counters are moved in
//! event time in a [`Model`], by exactly the code that judges callbacks. Orders and lists answer as they did when the event
//! was recorded; what was not asked then is told as not known, never taken for no. Memory is bounded: by what waits to be
//! put in order, by the ids of some days, and by the counters that still show something.

mod comparison;
mod explained;
mod report;
mod sequence;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::ask::Answers;
use super::inquiry::Inquiry;
use super::model::Model;
use super::policy::Policy;
use super::recorded::{Entry, Persons, Recorded};
use super::schema::{Facts, Family, Kind, Kinds};
use super::set::RuleSet;
use super::verdict::Verdict;
use crate::clock::UnixTime;

pub use comparison::{Comparison, Difference, RuleDifference};
pub use explained::{CounterSeen, ExceptionSeen, Explained, PartSeen};
pub use report::mode as mode_name;
pub use report::{Change, Report, RuleReport, Sample, Tally};
pub use sequence::{Order, SequenceTold};

use report::Reporting;
use sequence::Sequence;

/// Rule sets with counters of their own, which judge one event after the other.
pub struct Trial {
    sets: Vec<Arc<RuleSet>>,
    /// By protocol, if it is known, and kind of event.
    policies: Vec<((Option<Family>, Kind), Policy)>,
    model: Model,
}

/// What came of one event.
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Rules read the order, and it was not asked for when the event was recorded.
    pub misses_order: bool,
    /// Rules read a list of the store that was not asked when the event was recorded.
    pub misses_lists: bool,
}

/// What a policy is shown of an event.
struct Put<'e> {
    facts: Facts<'e>,
    inquiry: Inquiry,
    answers: Answers,
    misses_lists: bool,
}

impl Trial {
    /// A trial of these sets, which have counted nothing yet.
    pub fn new(sets: Vec<Arc<RuleSet>>) -> Self {
        Self { sets, policies: Vec::new(), model: Model::default() }
    }

    /// The sets.
    pub fn sets(&self) -> &[Arc<RuleSet>] {
        &self.sets
    }

    /// How many counters it keeps.
    pub fn kept(&self) -> usize {
        self.model.kept()
    }

    /// Judges an event, which moves its counters. None: no set is for its protocol or kind.
    pub fn judge(&mut self, entry: &Entry) -> Option<Judged> {
        let policy = self.policy(entry);
        if policy.is_empty() {
            return None;
        }
        let Put { facts, inquiry, answers, misses_lists } = self.put(&policy, entry);
        let verdict = policy.judge(&facts, &inquiry, &answers, &[]);
        let misses_order = inquiry.asks().order.is_some() && !entry.recorded.knows_order();
        Some(Judged { verdict, misses_order, misses_lists })
    }

    /// Judges an event, and gives what the gateway would have recorded of it: what tells whether counters here are those of
    /// a store.
    pub fn replay(&mut self, entry: &Entry) -> (Verdict, Recorded) {
        let policy = self.policy(entry);
        let Put { facts, inquiry, answers, .. } = self.put(&policy, entry);
        let recorded = policy.record(&facts, &inquiry, &answers, Persons::Plain);
        (policy.judge(&facts, &inquiry, &answers, &[]), recorded)
    }

    /// Asks for an event and answers: counters from memory, the rest as it was recorded.
    fn put<'e>(&mut self, policy: &Policy, entry: &'e Entry) -> Put<'e> {
        let recorded = &entry.recorded;
        let (facts, now) = (recorded.facts(), recorded.received_at());
        let mut inquiry = policy.ask(&facts);
        let asked = inquiry.asks().lists.len();
        inquiry.retain_lists(|ask| recorded.listed(ask).is_some());
        let asks = inquiry.asks();
        let mut answers = Answers {
            counters: self.model.tally(&asks.counters, now),
            order: asks.order.as_ref().and_then(|_| recorded.order()),
            lists: asks.lists.iter().map(|ask| recorded.listed(ask).unwrap_or(false)).collect(),
            is_local: false,
        };
        let misses_lists = asks.lists.len() < asked;
        if inquiry.is_waiting() {
            let late = policy.ask_late(&facts, &mut inquiry, &answers);
            answers.counters.extend(self.model.tally(&late.counters, now));
        }
        Put { facts, inquiry, answers, misses_lists }
    }

    /// The sets that judge an event: those of its endpoint's protocol, or if the record does not say it those that know its
    /// kind.
    fn policy(&mut self, entry: &Entry) -> Policy {
        let key = (entry.family, entry.recorded.kind());
        if let Some((_, policy)) = self.policies.iter().find(|(known, _)| *known == key) {
            return policy.clone();
        }
        let is_for = |set: &&Arc<RuleSet>| match (set.family(), entry.family) {
            (Family::Any, _) => true,
            (of, Some(family)) => of == family,
            (of, None) => Kinds::of(&[key.1]).within(of.kinds()),
        };
        let policy = Policy::new(self.sets.iter().filter(is_for).cloned());
        self.policies.push((key, policy.clone()));
        policy
    }
}

/// What a rule set makes of recorded events.
pub struct Backtest {
    trial: Trial,
    sequence: Sequence,
    reporting: Reporting,
}

impl Backtest {
    /// A backtest of these sets. Events before `since` move counters and are not told.
    pub fn new(sets: Vec<Arc<RuleSet>>, since: Option<UnixTime>, order: Order) -> Self {
        let reporting = Reporting::new(&sets, since);
        Self { trial: Trial::new(sets), sequence: Sequence::new(order), reporting }
    }

    /// Takes the next event.
    pub fn take(&mut self, entry: Entry) {
        let Self { trial, sequence, reporting } = self;
        sequence.take(entry, |entry| reporting.note(entry, trial.judge(entry).as_ref()));
    }

    /// How much it keeps: events that wait, ids and counters.
    pub fn kept(&self) -> (usize, usize, usize) {
        let (waiting, ids) = self.sequence.kept();
        (waiting, ids, self.trial.kept())
    }

    /// Judges what still waits, and tells all.
    pub fn finish(self) -> Report {
        let Self { mut trial, mut sequence, mut reporting } = self;
        sequence.finish(|entry| reporting.note(entry, trial.judge(entry).as_ref()));
        reporting.finish(sequence.told())
    }
}
