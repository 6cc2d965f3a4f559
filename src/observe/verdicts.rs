//! What rules decided, counted. Labels are names out of rule files, which people of the house write.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

use crate::clock::{Clock, UnixTime};
use crate::risk::{RuleSet, Verdict};

/// Around the usual thresholds of scores.
pub(super) const SCORE_BUCKETS: &[f64] = &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0, 200.0];

/// The metrics of rules, of all endpoints.
#[derive(Clone)]
pub(super) struct RuleMetrics {
    pub(super) scores: HistogramVec,
    pub(super) verdicts: IntCounterVec,
    pub(super) hits: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) exceptions: IntCounterVec,
    pub(super) info: IntGaugeVec,
    pub(super) degraded: IntCounter,
    pub(super) tallies: Arc<Mutex<Tallies>>,
}

/// What rules did since the start, for whoever asks how they are; metrics have the same and no moments.
#[derive(Default)]
pub(super) struct Tallies {
    rules: HashMap<Arc<str>, RuleTally>,
    /// By set, its digest and since when it is at work.
    sets: HashMap<Arc<str>, (Arc<str>, UnixTime)>,
}

/// What one rule did since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleTally {
    /// Events for which it held.
    pub hits: u64,
    /// Those on which it acted.
    pub acts: u64,
    /// Those for which it could not be had.
    pub errors: u64,
    /// Those for which an exception kept it from hitting.
    pub excepted: u64,
    /// Those for which it was snoozed.
    pub snoozed: u64,
    /// When it hit last.
    pub last_hit: Option<UnixTime>,
}

impl Tallies {
    pub(super) fn rule(&self, id: &str) -> RuleTally {
        self.rules.get(id).copied().unwrap_or_default()
    }

    pub(super) fn loaded_at(&self, set: &RuleSet) -> Option<UnixTime> {
        self.sets.get(set.name()).filter(|(digest, _)| digest == set.digest()).map(|(_, at)| *at)
    }

    /// A set that a reload did not change goes on being as old as it was.
    fn loaded(&mut self, set: &RuleSet, now: UnixTime) {
        let known = self.sets.entry(Arc::clone(set.name())).or_insert_with(|| (Arc::clone(set.digest()), now));
        if known.0 != *set.digest() {
            *known = (Arc::clone(set.digest()), now);
        }
    }

    fn judged(&mut self, verdict: &Verdict, now: UnixTime) {
        let one = |count: &mut u64| *count = count.saturating_add(1);
        for hit in verdict.hits() {
            let tally = self.rules.entry(Arc::clone(&hit.rule)).or_default();
            one(&mut tally.hits);
            if hit.enforced && hit.allowed_by.is_none() {
                one(&mut tally.acts);
            }
            tally.last_hit = Some(now);
        }
        for error in verdict.errors() {
            one(&mut self.rules.entry(Arc::clone(&error.rule)).or_default().errors);
        }
        for excepted in verdict.excepted() {
            one(&mut self.rules.entry(Arc::clone(&excepted.rule)).or_default().excepted);
        }
        for rule in verdict.snoozed() {
            one(&mut self.rules.entry(Arc::clone(rule)).or_default().snoozed);
        }
    }
}

/// Those of one endpoint.
pub(super) struct EndpointVerdicts {
    score: Histogram,
    all: RuleMetrics,
}

impl RuleMetrics {
    pub(super) fn endpoint(&self, name: &str) -> EndpointVerdicts {
        EndpointVerdicts { score: self.scores.with_label_values(&[name]), all: self.clone() }
    }

    /// Tells which sets are at work, and makes the series of their rules, so that a rule's first hit is an increase: in
    /// shadow too, which an override or a percentage may put any rule into.
    pub(super) fn loaded<'s>(&self, sets: impl Iterator<Item = &'s Arc<RuleSet>>) {
        self.info.reset();
        let now = Clock::System.now();
        for set in sets {
            self.tallies.lock().loaded(set, now);
            let version = set.version().to_string();
            self.info.with_label_values(&[&**set.name(), &**set.digest(), &version]).set(1);
            for rule in set.rules() {
                for mode in ["enforce", "shadow"] {
                    self.hits.with_label_values(&[&**set.name(), &**rule.id, mode]);
                }
                self.errors.with_label_values(&[&**set.name(), &**rule.id]);
            }
        }
    }
}

impl EndpointVerdicts {
    pub(super) fn judged(&self, verdict: &Verdict) {
        // A score of 53 bits is as exact as a histogram needs.
        #[expect(clippy::cast_precision_loss, reason = "buckets, not money")]
        self.score.observe(verdict.score() as f64);
        self.all.verdicts.with_label_values(&[verdict.action().name(), verdict.shadow_action().name()]).inc();
        for hit in verdict.hits() {
            let mode = if hit.enforced { "enforce" } else { "shadow" };
            self.all.hits.with_label_values(&[&*hit.set, &*hit.rule, mode]).inc();
        }
        for error in verdict.errors() {
            self.all.errors.with_label_values(&[&*error.set, &*error.rule]).inc();
        }
        for excepted in verdict.excepted() {
            self.all.exceptions.with_label_values(&[&*excepted.rule, &*excepted.exception]).inc();
        }
        let is_quiet = verdict.hits().is_empty() && verdict.errors().is_empty();
        if !(is_quiet && verdict.excepted().is_empty() && verdict.snoozed().is_empty()) {
            self.all.tallies.lock().judged(verdict, Clock::System.now());
        }
        if verdict.is_degraded() {
            self.all.degraded.inc();
        }
    }
}
