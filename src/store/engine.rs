//! The contract of a store engine: bytes and times in, one atomic answer out. Engines know nothing of protocols or of the
//! types of trust; [`super::Store`] translates. What an engine must hold to is in `conformance/`, run against each.

use std::time::Duration;

use super::file::FileEngine;
use super::memory::MemoryEngine;
use super::redis::RedisEngine;
use super::redis::link::Link;
use super::{EngineSettings, ListPage, OpenError, Registered, StoreError};
use crate::clock::{Clock, UnixTime};
use crate::risk::ask::{Answers, Counted, CounterAsk, ListAsk, Order};

/// First 16 bytes of a SHA-256: names a nonce, an event or an order within an endpoint, whatever its length was.
pub type Digest = [u8; 16];

/// First 8 bytes of a SHA-256 of what an event says.
pub type Content = [u8; 8];

/// What one claim asks, in one round trip.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The endpoint's name: claims of different endpoints never meet.
    pub endpoint: &'a str,
    /// The nonce that is used up. None: the protocol signs none, and only the event tells a request from its copy.
    pub nonce: Option<NonceUse>,
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
    /// Counters to move or to read if the event is claimed: see [`Engine::count`].
    pub counters: &'a [CounterAsk],
    /// The order that is wanted if the event is claimed.
    pub order: Option<Digest>,
    /// Dynamic lists to look into if the event is claimed.
    pub lists: &'a [ListAsk],
}

/// A nonce that a claim uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceUse {
    /// Of the nonce that was signed.
    pub digest: Digest,
    /// When it was signed: the same in every copy of the request, so that an engine can find the copy by it.
    pub signed_at: UnixTime,
    /// Until when it must be remembered: as long as its timestamp would still pass, on any node.
    pub until: UnixTime,
}

/// What came of a claim. Checked in this order: nonce, then content, then done, then in flight.
///
/// When the answer is there, the used nonce is as durable as the engine can make it, except for `Claimed`: its nonce is
/// durable at the latest when the claim's end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The event is the claimer's own until the lease ends.
    Claimed {
        /// How often the event was claimed, this time included.
        attempt: u32,
        /// Names this claim: a lease that ran out and was claimed anew has another.
        lease: Lease,
        /// What the counters, the order and the lists say.
        answers: Answers,
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

/// Counters that an event moves after it was claimed, because their keys needed the claim's answers.
#[derive(Clone, Copy, Debug)]
pub struct CountAsk<'a> {
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// Of the event id.
    pub event: Digest,
    /// The counters, in the order of their answers.
    pub counters: &'a [CounterAsk],
    /// The time of the event's claim.
    pub now: UnixTime,
}

/// An order to be registered.
#[derive(Clone, Debug)]
pub struct PutOrder {
    /// Of the merchant's order number.
    pub order: Digest,
    /// What it says.
    pub says: Order,
    /// Until when it is remembered.
    pub until: UnixTime,
}

/// An engine, whichever it is.
pub struct Engine(pub(super) Kind);

pub(super) enum Kind {
    /// `memory:`
    Memory(MemoryEngine),
    /// `file:PATH`
    File(FileEngine),
    /// `redis:`
    Redis(RedisEngine),
}

impl Engine {
    /// Opens an engine. Reads files where the engine has some: not for a thread that serves.
    pub fn open(settings: &EngineSettings, clock: &Clock) -> Result<Self, OpenError> {
        Ok(Self(match settings {
            EngineSettings::Memory => Kind::Memory(MemoryEngine::new(clock.now())),
            EngineSettings::File(path) => Kind::File(FileEngine::open(path)?),
            EngineSettings::Redis(settings) => Kind::Redis(RedisEngine::open(settings, clock)?),
        }))
    }

    /// The way to Redis, where the engine has one: the queues' rows share it.
    pub(super) fn link(&self) -> Option<&Link> {
        match &self.0 {
            Kind::Memory(_) | Kind::File(_) => None,
            Kind::Redis(redis) => Some(redis.link()),
        }
    }

    /// Takes the nonce and the event, or says why not.
    pub async fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.claim(ask),
            Kind::File(file) => file.claim(ask).await,
            Kind::Redis(redis) => redis.claim(ask).await,
        }
    }

    /// Moves and reads counters of a claimed event, as [`Engine::claim`] does with those of its ask.
    ///
    /// - An event moves a counter once (I7). What it was told, moved or only read, is kept until the event is done or
    ///   forgotten, and told again whenever the same counter is asked for it, whatever the ask says by then.
    /// - An event that is done or unknown moves nothing: its counters are only read.
    /// - None is answered for a counter that there is no room for, or when there is none to keep the answer; nothing was
    ///   moved. Such refusals are counted ([`Engine::counters_refused`]).
    /// - Sums are exact within ±2^53 and never wrap beyond.
    /// - A move is durable at the latest when the claim's end is, and is never durable without its event.
    pub async fn count(&self, ask: &CountAsk<'_>) -> Result<Vec<Option<Counted>>, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.count(ask),
            Kind::File(file) => file.count(ask),
            Kind::Redis(redis) => redis.count(ask).await,
        }
    }

    /// How often a counter was answered with none since the engine was opened, for want of room.
    pub fn counters_refused(&self) -> u64 {
        match &self.0 {
            Kind::Memory(memory) => memory.counters_refused(),
            Kind::File(file) => file.counters_refused(),
            Kind::Redis(redis) => redis.counters_refused(),
        }
    }

    /// Registers orders of an endpoint, and tells for each whether it was known. Durable with the answer, where the engine
    /// is. On an error some may be registered; registering them again changes nothing more.
    pub async fn put_orders(
        &self,
        endpoint: &str,
        orders: Vec<PutOrder>,
        now: UnixTime,
    ) -> Result<Vec<Registered>, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.put_orders(endpoint, orders, now),
            Kind::File(file) => file.put_orders(endpoint, orders, now).await,
            Kind::Redis(redis) => redis.put_orders(endpoint, &orders, now).await,
        }
    }

    /// A registered order, if it is remembered at `now`.
    pub async fn order(&self, endpoint: &str, order: Digest, now: UnixTime) -> Result<Option<Order>, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.order(endpoint, order, now),
            Kind::File(file) => file.order(endpoint, order, now),
            Kind::Redis(redis) => redis.order(endpoint, order, now).await,
        }
    }

    /// Puts a value on a list until a time, in place of the time that it had. Tells whether it is new there. Lists are of
    /// the whole gateway, not of an endpoint. Durable with the answer, where the engine is.
    pub async fn list_add(&self, entry: &ListAsk, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.list_add(entry, until, now),
            Kind::File(file) => file.list_add(entry, until, now).await,
            Kind::Redis(redis) => redis.list_add(entry, until, now).await,
        }
    }

    /// Takes a value off a list. Tells whether it was there. Durable with the answer, where the engine is.
    pub async fn list_remove(&self, entry: &ListAsk, now: UnixTime) -> Result<bool, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.list_remove(entry, now),
            Kind::File(file) => file.list_remove(entry, now).await,
            Kind::Redis(redis) => redis.list_remove(entry, now).await,
        }
    }

    /// The first `most` values of a list behind `after`, in the order of their bytes. A list that nobody added to is empty.
    pub async fn list_show(
        &self,
        list: &str,
        after: Option<&str>,
        most: usize,
        now: UnixTime,
    ) -> Result<ListPage, StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.list_show(list, after, most, now),
            Kind::File(file) => file.list_show(list, after, most, now),
            Kind::Redis(redis) => redis.list_show(list, after, most, now).await,
        }
    }

    /// Ends a claim. What is answered with `Ok` is durable, where the engine is.
    pub async fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Memory(memory) => memory.settle(settlement),
            Kind::File(file) => file.settle(settlement).await,
            Kind::Redis(redis) => redis.settle(settlement).await,
        }
    }

    /// Ends a claim without waiting for anything: for `Drop`. May be lost; then the lease runs out.
    pub(super) fn abandon(&self, settlement: &Settlement<'_>) {
        match &self.0 {
            Kind::Memory(memory) => drop(memory.settle(settlement)), // closed: nobody is left to claim it
            Kind::File(file) => file.abandon(settlement),
            Kind::Redis(redis) => redis.abandon(settlement),
        }
    }

    /// Since when the engine remembers, if it does not remember across restarts.
    pub fn remembers_since(&self) -> Option<UnixTime> {
        match &self.0 {
            Kind::Memory(memory) => Some(memory.opened_at()),
            Kind::File(_) | Kind::Redis(_) => None,
        }
    }

    /// Whether a claim would be taken now.
    pub fn is_up(&self) -> bool {
        match &self.0 {
            Kind::Memory(memory) => memory.is_up(),
            Kind::File(file) => file.is_up(),
            Kind::Redis(redis) => redis.is_up(),
        }
    }

    /// Whether everything that the engine is made of answers; claims may be taken without it.
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Kind::Memory(_) | Kind::File(_) => self.is_up(),
            Kind::Redis(redis) => redis.is_whole(),
        }
    }

    /// How often requests failed since the engine was opened, where it is behind a network: what was asked, the kind of the
    /// failure, and how often.
    pub fn failures(&self) -> Vec<(&'static str, &'static str, u64)> {
        match &self.0 {
            Kind::Memory(_) | Kind::File(_) => Vec::new(),
            Kind::Redis(redis) => redis.failures(),
        }
    }

    /// How many claims were answered by what this node knows alone.
    pub fn answered_locally(&self) -> u64 {
        match &self.0 {
            Kind::Memory(_) | Kind::File(_) => 0,
            Kind::Redis(redis) => redis.answered_locally(),
        }
    }

    /// Writes out what is not yet durable; claims fail from here on.
    pub async fn close(&self) {
        match &self.0 {
            Kind::Memory(memory) => memory.close(),
            Kind::File(file) => file.close().await,
            Kind::Redis(redis) => redis.close().await,
        }
    }
}
