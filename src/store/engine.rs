//! The contract of a store engine: bytes and times in, one atomic answer out. Engines know nothing of protocols or of the
//! types of trust; [`super::Store`] translates. What an engine must hold to is in `conformance.rs`, run against each.

use std::time::Duration;

use super::file::FileEngine;
use super::memory::MemoryEngine;
use super::{EngineSettings, OpenError, StoreError};
use crate::clock::UnixTime;

/// First 16 bytes of a SHA-256: names a nonce or an event within an endpoint, whatever its length was.
pub type Digest = [u8; 16];

/// First 8 bytes of a SHA-256 of what an event says.
pub type Content = [u8; 8];

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
    pub content: Content,
    /// How long the event is the claimer's own.
    pub lease: Duration,
    /// How long the event is remembered.
    pub retention: Duration,
    /// The time of the claim.
    pub now: UnixTime,
}

/// What came of a claim. Checked in this order: nonce, then content, then done, then in flight.
///
/// When the answer is there, the used nonce is as durable as the engine can make it, except for `Claimed`: its nonce is
/// durable at the latest when the claim's end is.
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

/// The end of one claim.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// Of the event id.
    pub event: Digest,
    /// Of what the event says, for an engine that had to forget the event meanwhile.
    pub content: Content,
    /// The claim that ends.
    pub lease: Lease,
    /// How.
    pub end: End,
    /// How long the event is remembered from now on, if it is done.
    pub retention: Duration,
    /// The time of the end.
    pub now: UnixTime,
}

/// An engine, whichever it is.
pub struct Engine(pub(super) Kind);

pub(super) enum Kind {
    /// `memory:`
    Memory(MemoryEngine),
    /// `file:PATH`
    File(FileEngine),
}

impl Engine {
    /// Opens an engine at `now`. Reads files where the engine has some: not for a thread that serves.
    pub fn open(settings: &EngineSettings, now: UnixTime) -> Result<Self, OpenError> {
        Ok(Self(match settings {
            EngineSettings::Memory => Kind::Memory(MemoryEngine::new(now)),
            EngineSettings::File(path) => Kind::File(FileEngine::open(path)?),
        }))
    }

    /// Takes the nonce and the event, or says why not.
    pub async fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.claim(ask),
            Kind::File(file) => file.claim(ask).await,
        }
    }

    /// Ends a claim. What is answered with `Ok` is durable, where the engine is.
    pub async fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.settle(settlement),
            Kind::File(file) => file.settle(settlement).await,
        }
    }

    /// Ends a claim without waiting for anything: for `Drop`. May be lost; then the lease runs out.
    pub(super) fn abandon(&self, settlement: &Settlement<'_>) {
        match &self.0 {
            Kind::Memory(memory) => drop(memory.settle(settlement)), // closed: nobody is left to claim it
            Kind::File(file) => file.abandon(settlement),
        }
    }

    /// Since when the engine remembers, if it does not remember across restarts.
    pub fn remembers_since(&self) -> Option<UnixTime> {
        match &self.0 {
            Kind::Memory(memory) => Some(memory.opened_at()),
            Kind::File(_) => None,
        }
    }

    /// Whether a claim would be taken now.
    pub fn is_up(&self) -> bool {
        match &self.0 {
            Kind::Memory(memory) => memory.is_up(),
            Kind::File(file) => file.is_up(),
        }
    }

    /// Writes out what is not yet durable; claims fail from here on.
    pub async fn close(&self) {
        match &self.0 {
            Kind::Memory(memory) => memory.close(),
            Kind::File(file) => file.close().await,
        }
    }
}
