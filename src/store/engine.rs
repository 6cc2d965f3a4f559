//! The contract of a store engine: bytes and times in, one atomic answer out. Engines know nothing of protocols or of the
//! types of trust; [`super::Store`] translates. What an engine must hold to is in `conformance.rs`, run against each.

use std::time::Duration;

use crate::clock::UnixTime;

/// First 16 bytes of a SHA-256: names a nonce or an event within an endpoint, whatever its length was.
pub type Digest = [u8; 16];

/// What one claim asks, in one round trip.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The endpoint's name: claims of different endpoints never meet.
    pub endpoint: &'a str,
    /// Of the nonce that was signed.
    pub nonce: Digest,
    /// Until when the nonce must be remembered: as long as its timestamp would still pass, on any node.
    pub nonce_until: UnixTime,
    /// Of the event id.
    pub event: Digest,
    /// Of what the event says: the same id with other content is a conflict (I8).
    pub content: [u8; 8],
    /// How long the event is the claimer's own.
    pub lease: Duration,
    /// How long the event is remembered.
    pub retention: Duration,
    /// The time of the claim.
    pub now: UnixTime,
}

/// What came of a claim. Checked in this order: nonce, then content, then done, then in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The event is the claimer's own until the lease ends.
    Claimed {
        /// How often the event was claimed, this time included.
        attempt: u32,
        /// Names this claim: a lease that ran out and was claimed anew has another.
        lease: Lease,
    },
    /// The nonce was used before. Nothing was changed.
    Replayed,
    /// The event is done. The nonce is used up.
    Duplicate,
    /// Somebody else has the event. The nonce is used up.
    InFlight,
    /// The event is known with other content. The nonce is used up; the known event is untouched.
    IdConflict,
}

/// Names one claim of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease(pub u64);

/// How a claim ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The event is done; holds even if the lease has run out meanwhile, since the upstream has taken the event.
    Done,
    /// The event is free again; does nothing if the lease is not the claimer's any more.
    Released,
}
