//! Events kept for a person: what the policy held, and what came under the id of another event (I8).

use std::sync::Arc;

use serde::Serialize;

use super::digest;
use super::engine::{Content, Digest};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use crate::wechat::{Authentic, Freshness};

/// An authentic event with everything that is needed to judge it later and to deliver it after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    endpoint: Arc<str>,
    reason: Reason,
    kept_at: UnixTime,
    event: Event,
    freshness: Option<Freshness>,
    signed_by: Arc<str>,
    received_body: bytes::Bytes,
}

/// Names a held event: the same event of the same content has the same name, so keeping it twice keeps it once.
pub(super) type HeldName = (Digest, Content);

impl Held {
    pub(super) fn new(endpoint: &Arc<str>, reason: Reason, kept_at: UnixTime, authentic: &Authentic) -> Self {
        Self {
            endpoint: Arc::clone(endpoint),
            reason,
            kept_at,
            event: authentic.event().clone(),
            freshness: authentic.freshness().cloned(),
            signed_by: Arc::clone(authentic.signed_by()),
            received_body: authentic.received_body().clone(),
        }
    }

    pub(super) fn name(&self) -> HeldName {
        (digest::event_in_endpoint(&self.endpoint, &self.event.id), digest::content(&self.event))
    }

    /// What it takes in memory, in bytes, near enough for a bound.
    pub(super) fn size(&self) -> usize {
        let fixed = size_of::<Self>().saturating_add(1024); // ids, numbers and the table's own share
        fixed.saturating_add(self.event.body.len()).saturating_add(self.received_body.len())
    }

    /// One JSON object, for `held/*.json`. Bodies are base64: they come back byte for byte.
    pub(super) fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Row<'a> {
            endpoint: &'a str,
            reason: &'a str,
            held_at_ms: i64,
            id: &'a str,
            kind: &'a str,
            subject: Option<&'a str>,
            nonce: Option<&'a str>,
            signed_at_ms: Option<i64>,
            signed_by: &'a str,
            body_b64: String,
            received_body_b64: String,
        }
        let row = Row {
            endpoint: &self.endpoint,
            reason: self.reason.code(),
            held_at_ms: self.kept_at.millis(),
            id: &self.event.id,
            kind: &self.event.kind,
            subject: self.event.subject.as_deref(),
            nonce: self.freshness.as_ref().map(|freshness| freshness.nonce.as_str()),
            signed_at_ms: self.freshness.as_ref().map(|freshness| freshness.signed_at.millis()),
            signed_by: &self.signed_by,
            body_b64: base64_simd::STANDARD.encode_to_string(&self.event.body),
            received_body_b64: base64_simd::STANDARD.encode_to_string(&self.received_body),
        };
        serde_json::to_vec_pretty(&row).expect("strings and numbers always serialize")
    }
}
