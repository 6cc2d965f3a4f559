//! Doors for fuzz targets (`fuzz/`): into the middle of the protocols, and through them with what only WeChat can make:
//! signatures and ciphertexts, with the bundled test keys. They exist only in builds that fuzz, so no build that serves has
//! them.
//!
//! Each takes any bytes and must neither panic nor hang; how much it may keep, the target says. The first byte of most
//! chooses among the ways that bytes can be taken, so that one corpus serves all of them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a panic is how a target fails"
)]

mod documents;
mod entry;
mod pay_v2;
mod pay_v3;
mod push;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Authentic, Protocol, Received, Refused, Verified};
use crate::clock::UnixTime;
use crate::secret::Secret;

pub use documents::{json, query, xml};
pub use entry::entry;
pub use pay_v2::pay_v2;
pub use pay_v3::{pay_v3_body, pay_v3_certificates, pay_v3_head, pay_v3_resource};
pub use push::{biz_msg_crypt, push, push_reply, wecom};

/// The time at which everything is judged; the vectors are of this second too.
const NOW: UnixTime = UnixTime::from_secs(1_760_000_000);
const TIMESTAMP: &str = "1760000000";

/// The byte that chooses, and the rest.
fn chosen(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(choice, rest)| (*choice, rest))
}

/// What stands before the first empty line, and what stands behind it.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.windows(2).position(|pair| pair == b"\n\n");
    let Some((head, rest)) = at.and_then(|at| data.split_at_checked(at)) else { return (&[], data) };
    (head, rest.get(2..).unwrap_or_default())
}

/// Adds lines `name: value`, as far as HTTP lets them pass.
fn add_headers(headers: &mut HeaderMap, lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(at) = line.windows(2).position(|pair| pair == b": ") else { continue };
        let (name, value) = (line.get(..at).unwrap_or_default(), line.get(at.saturating_add(2)..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
}

/// Steps 2 and 3.
fn verified(protocol: &Protocol, received: Received<'_>, body: &Bytes) -> Result<Verified, Refused> {
    protocol.verify(protocol.screen(received, NOW)?, body.clone())
}

/// Steps 2 to 4, and what becomes of their end: an answer in the protocol's form.
fn through(protocol: &Protocol, received: Received<'_>, body: &Bytes) -> Result<Authentic, Refused> {
    let outcome = verified(protocol, received, body).and_then(|verified| protocol.open(verified));
    match &outcome {
        Ok(authentic) => is_sound(authentic, body),
        Err(refused) => {
            assert!(!refused.detail.is_empty(), "a refusal without a word");
            assert_ne!(protocol.answer(refused.reason).status, 200, "a refusal that WeChat takes for a success");
        }
    }
    outcome
}

/// What every layer below takes for granted of what is authentic.
fn is_sound(authentic: &Authentic, received: &Bytes) {
    let event = authentic.event();
    assert_eq!(authentic.received_body(), received, "the body that was received is another one");
    assert!(!event.kind.is_empty() && event.id.len() <= 256 && event.kind.len() <= 256, "it goes into headers");
    assert!(!event.id.chars().chain(event.kind.chars()).any(char::is_control), "it goes into headers");
    // JSON escapes a character by at most one more, and names stand once in it.
    assert!(event.body.len() <= 2 * received.len() + 2, "the event is larger than what was received");
    json(&event.body);
    let is_json = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&event.body).is_ok();
    assert!(is_json, "what is forwarded is no JSON object");
    if let Some(reply_to) = authentic.reply_to() {
        drop(reply_to.acknowledge());
        let _ = reply_to.wants_retry(&event.body);
        drop(reply_to.reply(&event.body, [7; 16], NOW));
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}
