//! What a run measured.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{Kind, Record};

/// What a run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Callbacks that were sent.
    pub sent: usize,
    /// Callbacks that were not, for the time was up.
    pub unsent: usize,
    /// Seconds from the first to the last.
    pub seconds: f64,
    /// Answers a second.
    pub per_second: f64,
    /// Of everything that was answered.
    pub latency: Latency,
    /// Answers by kind and status; `none`: no answer.
    pub answers: BTreeMap<Kind, BTreeMap<String, usize>>,
    /// Forgeries that were answered with success. Must be none.
    pub forged_accepted: usize,
    /// Genuine callbacks that were answered 4xx, but for 429. Must be none.
    pub genuine_refused: usize,
    /// Callbacks without an answer.
    pub unanswered: usize,
    /// Seconds that the signing took beforehand.
    pub signing_seconds: f64,
}

/// Latency in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The median.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p99_9: f64,
    /// The slowest.
    pub max: f64,
}

impl Report {
    pub(super) fn new(records: &[Record], took: Duration, unsent: usize, signed_in: Duration) -> Self {
        let mut answers: BTreeMap<Kind, BTreeMap<String, usize>> = BTreeMap::new();
        let (mut forged_accepted, mut genuine_refused, mut unanswered) = (0_usize, 0_usize, 0_usize);
        for record in records {
            let status = record.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
            let count = answers.entry(record.kind).or_default().entry(status).or_default();
            *count = count.saturating_add(1);
            let wrong = match (record.kind, record.status) {
                (_, None) => &mut unanswered,
                (Kind::Forged, Some(200..=299)) => &mut forged_accepted,
                (Kind::Genuine | Kind::Duplicate, Some(400..=428 | 430..=499)) => &mut genuine_refused,
                (Kind::Genuine | Kind::Duplicate | Kind::Forged, Some(_)) => continue,
            };
            *wrong = wrong.saturating_add(1);
        }
        let answered = records.len().saturating_sub(unanswered);
        // Counts of callbacks are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let per_second = answered as f64 / took.as_secs_f64().max(f64::EPSILON);
        let latencies = records.iter().filter(|record| record.status.is_some()).map(|record| record.latency).collect();
        Self {
            sent: records.len(),
            unsent,
            seconds: took.as_secs_f64(),
            per_second,
            latency: Latency::of(latencies),
            answers,
            forged_accepted,
            genuine_refused,
            unanswered,
            signing_seconds: signed_in.as_secs_f64(),
        }
    }

    /// Whether nothing forged was taken, nothing genuine refused, and everything answered.
    pub fn held(&self) -> bool {
        self.forged_accepted == 0 && self.genuine_refused == 0 && self.unanswered == 0 && self.sent > 0
    }
}

impl Latency {
    fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        // The smallest latency that so many of a thousand do not exceed (nearest rank).
        let at = |of_thousand: usize| {
            let rank = latencies.len().saturating_mul(of_thousand).div_ceil(1000).max(1);
            latencies.get(rank.saturating_sub(1)).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self { p50: at(500), p90: at(900), p99: at(990), p99_9: at(999), max: at(1000) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} callbacks in {:.2} s: {:.0} a second", self.sent, self.seconds, self.per_second)?;
        let Latency { p50, p90, p99, p99_9, max } = self.latency;
        writeln!(f, "latency ms  p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p99_9:.2}  max {max:.2}")?;
        for (kind, statuses) in &self.answers {
            let statuses: Vec<_> = statuses.iter().map(|(status, count)| format!("{status} ×{count}")).collect();
            writeln!(f, "{:<11} {}", format!("{kind:?}").to_lowercase(), statuses.join("  "))?;
        }
        if self.unsent > 0 {
            writeln!(f, "{} callbacks were not sent: the time was up", self.unsent)?;
        }
        write!(
            f,
            "forged accepted {}, genuine refused {}, unanswered {} (signed beforehand in {:.1} s)",
            self.forged_accepted, self.genuine_refused, self.unanswered, self.signing_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let latency = Latency::of((1..=1000).map(Duration::from_millis).collect());
        assert_eq!(latency, Latency { p50: 500.0, p90: 900.0, p99: 990.0, p99_9: 999.0, max: 1000.0 });
        let of_one = Latency::of(vec![Duration::from_millis(7)]);
        assert_eq!((of_one.p50.to_string(), of_one.max.to_string()), ("7".to_owned(), "7".to_owned()));
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }

    #[test]
    fn what_must_not_happen_is_counted() {
        let record = |kind, status| Record { kind, status, latency: Duration::from_millis(1) };
        let good = vec![
            record(Kind::Genuine, Some(200)),
            record(Kind::Genuine, Some(503)),
            record(Kind::Duplicate, Some(429)),
            record(Kind::Forged, Some(401)),
        ];
        assert!(Report::new(&good, Duration::from_secs(1), 0, Duration::ZERO).held());
        for bad in [record(Kind::Forged, Some(200)), record(Kind::Genuine, Some(401)), record(Kind::Duplicate, None)] {
            let records = [good.clone(), vec![bad]].concat();
            assert!(!Report::new(&records, Duration::from_secs(1), 0, Duration::ZERO).held(), "{bad:?}");
        }
    }
}
