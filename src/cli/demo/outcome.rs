//! What came of the demo: a table for people, one object for machines.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::risk::Act;
use crate::sim::attack::{CaseResult, Expectation};

/// The paid orders.
#[derive(Debug, Serialize)]
pub(super) struct Payments {
    paid: usize,
    attempts: usize,
    delivered_once: usize,
    missing: Vec<String>,
    repeated: Vec<String>,
}

/// One case of the corpus.
#[derive(Debug, Serialize)]
pub(super) struct Attack {
    name: &'static str,
    about: &'static str,
    answers: Vec<u16>,
    delivered: usize,
    allowed: usize,
    held: bool,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    held: bool,
    payments: Payments,
    attacks: Vec<Attack>,
    /// Genuine callbacks that only rules can see through.
    acts: Vec<Act>,
    /// Requests at the app without the gateway's signature.
    unsigned: usize,
    /// Audit records by reason.
    reasons: BTreeMap<String, usize>,
    seconds: f64,
}

impl Payments {
    pub(super) fn new(paid: &[String], got: &HashMap<String, usize>, attempts: usize) -> Self {
        let times = |order: &String| got.get(order).copied().unwrap_or_default();
        Self {
            paid: paid.len(),
            attempts,
            delivered_once: paid.iter().filter(|order| times(order) == 1).count(),
            missing: paid.iter().filter(|order| times(order) == 0).cloned().collect(),
            repeated: paid.iter().filter(|order| times(order) > 1).cloned().collect(),
        }
    }

    fn held(&self) -> bool {
        self.delivered_once == self.paid
    }
}

impl Attack {
    /// `delivered` is what the app got while the case ran.
    pub(super) fn new(result: &CaseResult, delivered: usize) -> Self {
        let allowed = match result.expectation {
            Expectation::Refused | Expectation::Closed => 0,
            Expectation::DeliveredOnce => 1,
        };
        Self {
            name: result.name,
            about: result.about,
            answers: result.statuses.clone(),
            delivered,
            allowed,
            held: result.held && delivered == allowed,
        }
    }
}

impl Outcome {
    pub(super) fn new(
        payments: Payments,
        attacks: Vec<Attack>,
        mut acts: Vec<Act>,
        unsigned: usize,
        audit: &Path,
        took: Duration,
    ) -> Self {
        for act in &mut acts {
            act.judge(audit);
        }
        let held = payments.held()
            && attacks.iter().all(|attack| attack.held)
            && acts.iter().all(|act| act.held)
            && unsigned == 0;
        Self { held, payments, attacks, acts, unsigned, reasons: reasons(audit), seconds: took.as_secs_f64() }
    }

    pub(super) fn held(&self) -> bool {
        self.held
    }
}

/// Counts the audit records by their reason; what cannot be read is not counted.
fn reasons(audit: &Path) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(audit).unwrap_or_default();
    let mut counts = BTreeMap::new();
    for record in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        if let Some(reason) = record.get("reason").and_then(serde_json::Value::as_str) {
            let count: &mut usize = counts.entry(reason.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }
    counts
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payments = &self.payments;
        writeln!(f, "\n{:<34} {:<26} {:>12}  held", "what was sent", "what the gateway answered", "merchant got")?;
        let row = |f: &mut fmt::Formatter<'_>, what: &str, answer: &str, got: &str, held: bool| {
            writeln!(f, "{what:<34} {answer:<26} {got:>12}  {}", if held { "yes" } else { "NO" })
        };
        let sent = format!("{} paid orders, {} attempts", payments.paid, payments.attempts);
        let got = format!("{} once", payments.delivered_once);
        row(f, &sent, "200 when the app took it", &got, payments.held())?;
        for attack in &self.attacks {
            row(f, attack.name, &answers(&attack.answers), &attack.delivered.to_string(), attack.held)?;
        }
        for act in &self.acts {
            row(f, act.name, &format!("{} (held)", answers(&act.answers)), &act.delivered.to_string(), act.held)?;
            for words in &act.explained {
                writeln!(f, "    held by {words}")?;
            }
        }
        for (what, orders) in [("not delivered", &payments.missing), ("delivered more than once", &payments.repeated)] {
            if !orders.is_empty() {
                writeln!(f, "{what}: {}", orders.join(", "))?;
            }
        }
        for attack in self.attacks.iter().filter(|attack| !attack.held) {
            writeln!(
                f,
                "{} did not hold: {} ({} deliveries, {} allowed)",
                attack.name, attack.about, attack.delivered, attack.allowed
            )?;
        }
        let reasons: Vec<_> = self.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        writeln!(f, "\naudit: {}", reasons.join(", "))?;
        write!(
            f,
            "{}: {} of {} paid orders delivered exactly once, {} of {} attacks held off, {} of {} seen by rules alone, {} unsigned requests at the app, {:.1} s",
            if self.held { "every expectation held" } else { "AN EXPECTATION DID NOT HOLD" },
            payments.delivered_once,
            payments.paid,
            self.attacks.iter().filter(|attack| attack.held).count(),
            self.attacks.len(),
            self.acts.iter().filter(|act| act.held).count(),
            self.acts.len(),
            self.unsigned,
            self.seconds
        )
    }
}

/// `401`, `401 ×5`, `200 ×1 503 ×19`, `closed`.
fn answers(statuses: &[u16]) -> String {
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for status in statuses {
        let count = counts.entry(*status).or_default();
        *count = count.saturating_add(1);
    }
    if counts.is_empty() {
        return "closed".to_owned();
    }
    let words = counts.iter().map(|(status, count)| match count {
        1 => status.to_string(),
        more => format!("{status} ×{more}"),
    });
    words.collect::<Vec<_>>().join(" ")
}
