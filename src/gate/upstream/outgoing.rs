//! What goes out, whichever way it came: cleared just now, or opened out of a queue.

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;

use crate::event::Event;
use crate::risk::{Cleared, Verdict};
use crate::store::queue::Queue;
use crate::store::{Claimed, Opened};

/// Everything that the app is told. Only the two stage types that may leave the gateway make one.
pub(super) struct Outgoing<'a> {
    pub(super) event: &'a Event,
    pub(super) received_body: &'a Bytes,
    pub(super) received_headers: &'a HeaderMap,
    pub(super) idempotency_key: String,
    pub(super) attempt: u32,
    pub(super) risk: Risk,
    /// The queue that a person let it go from.
    pub(super) released_from: Option<Queue>,
}

/// What the app is told of the verdict.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Risk {
    pub(super) score: i64,
    pub(super) action: String,
    pub(super) rules: Vec<String>,
}

impl Default for Risk {
    fn default() -> Self {
        Self { score: 0, action: "allow".to_owned(), rules: Vec::new() }
    }
}

/// What is read back of a stored verdict.
#[derive(Deserialize)]
struct Stored {
    score: i64,
    action: String,
    hits: Vec<StoredHit>,
}

#[derive(Deserialize)]
struct StoredHit {
    rule: String,
    enforced: bool,
    allowed_by: Option<String>,
}

impl Risk {
    fn of(verdict: &Verdict) -> Self {
        let rules = verdict.rules().map(str::to_owned).collect();
        Self { score: verdict.score(), action: verdict.action().name().to_owned(), rules }
    }

    /// Of a verdict that was kept with its event. A row without one was never judged: it came under another event's id.
    fn stored(verdict: &str) -> Self {
        let Ok(Stored { score, action, hits }) = serde_json::from_str(verdict) else { return Self::default() };
        let acts = |hit: &StoredHit| hit.enforced && hit.allowed_by.is_none();
        Self { score, action, rules: hits.into_iter().filter(acts).map(|hit| hit.rule).collect() }
    }
}

/// A verdict as it is kept with a stored event.
pub(in crate::gate) fn verdict_as_json(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).expect("strings and numbers always serialize")
}

impl<'a> Outgoing<'a> {
    pub(super) fn cleared(cleared: &'a Cleared<Claimed>, received_headers: &'a HeaderMap) -> Self {
        let claimed = cleared.subject();
        Self {
            event: claimed.event(),
            received_body: claimed.authentic().received_body(),
            received_headers,
            idempotency_key: claimed.idempotency_key(),
            attempt: claimed.attempt(),
            risk: Risk::of(cleared.verdict()),
            released_from: None,
        }
    }

    pub(super) fn opened(row: &'a Opened) -> Self {
        Self {
            event: row.event(),
            received_body: row.received_body(),
            received_headers: row.received_headers(),
            idempotency_key: row.idempotency_key(),
            attempt: row.attempt(),
            risk: Risk::stored(row.verdict()),
            released_from: row.released_from(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_stored_verdict_the_rules_that_act_are_told() {
        let hit = |rule: &str, enforced: bool, allowed_by: Option<&str>| serde_json::json!({ "rule": rule, "enforced": enforced, "allowed_by": allowed_by, "score": 7, "saw": [] });
        let hits = [hit("WXP-1", true, None), hit("WXP-2", false, None), hit("WXP-3", true, Some("WXP-0"))];
        let stored = serde_json::json!({ "score": 7, "shadow_score": 14, "action": "hold", "hits": hits }).to_string();
        let rules = vec!["WXP-1".to_owned()];
        assert_eq!(Risk::stored(&stored), Risk { score: 7, action: "hold".to_owned(), rules });
        assert_eq!(Risk::stored(""), Risk::default());
    }

    #[test]
    fn a_verdict_is_told_alike_whether_it_was_stored_or_not() {
        let cleared = crate::risk::Policy::default().decide(());
        assert_eq!(Risk::stored(&verdict_as_json(cleared.verdict())), Risk::of(cleared.verdict()));
    }
}
