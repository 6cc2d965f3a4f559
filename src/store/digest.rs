//! The short names under which nonces, events and contents are remembered: fixed size, whatever a stranger's length was.

use aws_lc_rs::digest::{Context, SHA256};

use super::engine::{Content, Digest};
use crate::event::Event;

/// Names a nonce within its endpoint.
pub(super) fn nonce(nonce: &str) -> Digest {
    first(&[b"nonce\0", nonce.as_bytes()])
}

/// Names an event within its endpoint.
pub(super) fn event(id: &str) -> Digest {
    first(&[b"event\0", id.as_bytes()])
}

/// Names an order within its endpoint.
pub(super) fn order(number: &str) -> Digest {
    first(&[b"order\0", number.as_bytes()])
}

/// What an event says: its kind and its decrypted body. Not the envelope, which WeChat encrypts and signs afresh for
/// every try, nor what of that stands in the body.
pub(super) fn content(event: &Event) -> Content {
    let said = event.fingerprint.as_ref().map_or(&event.body[..], |said| said);
    first(&[b"content\0", event.kind.as_bytes(), b"\0", said])
}

/// Names an event over all endpoints. The length stands first, so that no name and id run into each other.
pub(super) fn event_in_endpoint(endpoint: &str, id: &str) -> Digest {
    let length = u64::try_from(endpoint.len()).unwrap_or(u64::MAX).to_be_bytes();
    first(&[b"idempotency\0", &length, endpoint.as_bytes(), id.as_bytes()])
}

/// The idempotency key of an event, which apps keep for good. It holds no character that Standard Webhooks gives a
/// meaning to.
pub(super) fn idempotency_key(endpoint: &str, id: &str) -> String {
    format!("evt_{}", hex(&event_in_endpoint(endpoint, id)))
}

/// What tells endpoints apart in an engine's own keys.
pub(super) fn scope(endpoint: &str) -> Digest {
    first(&[b"endpoint\0", endpoint.as_bytes()])
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let nibble = |n: u8| char::from_digit(u32::from(n), 16).expect("a nibble is a hexadecimal digit");
    bytes.iter().flat_map(|byte| [nibble(byte >> 4), nibble(byte & 0x0f)]).collect()
}

fn first<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    *context.finish().as_ref().first_chunk().expect("N is at most the 32 bytes of a SHA-256")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_different_sorts_never_meet() {
        assert_ne!(nonce("x"), event("x"));
        assert_ne!(order("x"), event("x"));
        assert_ne!(event_in_endpoint("ab", "c"), event_in_endpoint("a", "bc"));
    }

    #[test]
    fn what_is_made_afresh_for_every_try_makes_no_other_event() {
        let event = |body: &'static str, fingerprint| Event { body: body.into(), fingerprint, ..Event::default() };
        let (said, other) = (Some([1; 32]), Some([2; 32]));
        assert_eq!(content(&event("1", said)), content(&event("2", said)));
        assert_ne!(content(&event("1", said)), content(&event("1", other)));
        assert_ne!(content(&event("1", None)), content(&event("2", None)));
    }

    #[test]
    fn hex_is_lower_case_and_keeps_leading_zeros() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
