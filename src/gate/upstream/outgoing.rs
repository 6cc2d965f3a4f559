//! What goes out, whichever way it came: cleared just now, or opened out of a queue.

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

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

/// What the app is told of the verdict; of a stored one, what is read back of its JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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

impl Risk {
    fn of(verdict: &Verdict) -> Self {
        Self { score: verdict.score, rules: verdict.rules.clone(), ..Self::default() }
    }
}

/// A verdict as it is kept with a stored event.
pub(in crate::gate) fn verdict_as_json(verdict: &Verdict) -> String {
    serde_json::to_string(&Risk::of(verdict)).expect("strings and numbers always serialize")
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
            // A row without a verdict was never judged: what came under another event's id.
            risk: serde_json::from_str(row.verdict()).unwrap_or_default(),
            released_from: row.released_from(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_verdict_is_told_as_it_was() {
        let verdict = Verdict { score: 42, rules: vec!["WXP-1001".to_owned()] };
        let read: Risk = serde_json::from_str(&verdict_as_json(&verdict)).unwrap();
        assert_eq!(read, Risk::of(&verdict));
    }

    #[test]
    fn what_is_told_of_a_richer_verdict_is_what_the_app_knows() {
        let richer = r#"{"score":7,"action":"flag","rules":["a"],"hits":[{"id":"a","score":7}]}"#;
        let read: Risk = serde_json::from_str(richer).unwrap();
        assert_eq!((read.score, read.action.as_str(), read.rules.as_slice()), (7, "flag", &["a".to_owned()][..]));
    }
}
