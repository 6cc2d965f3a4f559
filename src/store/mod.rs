//! What the gateway remembers: nonces, events, counters, held events. One contract, several engines, one behaviour.

pub mod engine;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, UnixTime};
use crate::event::Event;
use crate::reason::Reason;
use crate::wechat::Authentic;

/// Which engine, and how long it remembers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine, from `store.url`.
    pub engine: EngineSettings,
    /// How long done events are remembered: `store.retention`.
    pub retention: Duration,
}

/// `store.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineSettings {
    /// `memory:`
    Memory,
    /// `file:PATH`, a directory.
    File(PathBuf),
}

/// What an endpoint asks of a claim.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The endpoint's name: claims of different endpoints never meet.
    pub endpoint: Arc<str>,
    /// How long the event is ours to deliver: longer than the upstream's deadline, shorter than WeChat's first retry
    /// gap of 15 s.
    pub lease: Duration,
    /// How far a signed timestamp may lie from the clock: how long its nonce must be remembered.
    pub window: Duration,
}

/// The store, whatever engine is below it. Cloning shares it.
#[derive(Clone)]
pub struct Store {}

/// An event that is ours alone to deliver until its lease ends.
///
/// ```compile_fail,E0451
/// let forged = wxgate::store::Claimed { authentic: todo!() }; // private field
/// ```
#[must_use = "commit, release or hold before answering"]
pub struct Claimed {
    authentic: Authentic,
}

/// Why there is no claim.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    /// The nonce was used before.
    #[error("this nonce was used before")]
    Replayed,
    /// The event is done.
    #[error("this event was done before")]
    Duplicate,
    /// The event is being delivered by somebody else.
    #[error("this event is in flight")]
    InFlight,
    /// The id is known, with other content; kept durably in the held queue by the same step.
    #[error("an event of this id and other content is known")]
    IdConflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Placeholder until the kinds are written.
    #[error("the store does not answer")]
    Unavailable,
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {}

impl Store {
    /// Opens the engine that the settings name.
    pub fn open(settings: &Settings, clock: Clock) -> Result<Self, OpenError> {
        let _ = (settings, clock);
        unimplemented!()
    }

    /// Step 5. One round trip.
    pub async fn claim(&self, authentic: Authentic, terms: &Terms, now: UnixTime) -> Result<Claimed, Unclaimed> {
        let _ = (authentic, terms, now);
        unimplemented!()
    }

    /// Since when the engine remembers: what was signed before cannot be told from a replay and is refused as one. None:
    /// it remembers across restarts.
    pub fn remembers_since(&self) -> Option<UnixTime> {
        unimplemented!()
    }

    /// Whether the store can promise something now.
    pub fn is_up(&self) -> bool {
        unimplemented!()
    }

    /// Writes out what is not yet durable and closes; claims fail from here on.
    pub async fn close(&self) {
        unimplemented!()
    }
}

impl Claimed {
    /// What is claimed.
    pub fn event(&self) -> &Event {
        self.authentic.event()
    }

    /// The callback that it came by.
    pub fn authentic(&self) -> &Authentic {
        &self.authentic
    }

    /// The idempotency key that the upstream sees: the same for every attempt at this event, on any node.
    pub fn idempotency_key(&self) -> String {
        unimplemented!()
    }

    /// How often this event was claimed, this time included.
    pub fn attempt(&self) -> u32 {
        unimplemented!()
    }

    /// The event is done, durably, before this returns.
    pub async fn commit(self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The event is not done: the next try may have it.
    pub async fn release(self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Keeps the event durably for a person, and counts it as done.
    pub async fn hold(self, reason: Reason) -> Result<(), StoreError> {
        let _ = reason;
        unimplemented!()
    }
}
