//! What rules decided, counted. Labels are names out of rule files, which people of the house write.

use std::sync::Arc;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec};

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
        for set in sets {
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
        if verdict.is_degraded() {
            self.all.degraded.inc();
        }
    }
}
