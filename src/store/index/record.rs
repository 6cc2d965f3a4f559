//! The changes of an index, as the journal keeps them. Each sets what it names, whatever was before: a run of records may
//! be applied again over its own result.

use super::SHARDS;
use super::counter::{Change, Shape};
use crate::clock::UnixTime;
use crate::risk::ask::{Counted, Order};
use crate::store::engine::{Content, Digest, Lease};

/// One change by a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Record {
    /// A nonce is used up.
    Nonce { key: Key, until: Seconds },
    /// An event is known and free.
    Known { key: Key, row: EventRow },
    /// An event is claimed. Its row is not done.
    InFlight { key: Key, row: EventRow, flight: Flight },
    /// An event is done.
    Done { key: Key, row: EventRow },
    /// A claim ended without success.
    Released { key: Key, lease: Lease },
    /// A counter changed.
    Moved { key: Key, shape: Shape, change: Change },
    /// What an event that is not done was told of a counter.
    Told { event: Key, counter: Key, counted: Counted },
}

/// One change by the merchant's app or an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Registration {
    /// An order is registered.
    Order { key: Key, until: Seconds, order: Box<Order> },
    /// A value is on a list until a time.
    Listed { list: Box<str>, value: Box<str>, until: Seconds },
    /// A value is not on a list.
    Unlisted { list: Box<str>, value: Box<str> },
}

/// The digest of a nonce, an event, a counter or an order, mixed with that of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct Key(pub(in crate::store) [u8; 16]);

/// Seconds since the epoch, rounded up from a moment: until 2106, in half the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Seconds(pub(in crate::store) u32);

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct EventRow {
    pub(in crate::store) content: Content,
    pub(in crate::store) until: Seconds,
    /// Stops at 65535: WeChat tries fifteen times.
    pub(in crate::store) attempt: u16,
    pub(in crate::store) is_done: bool,
}

const _: () = assert!(size_of::<(Key, EventRow)>() == 32, "the memory figures of the index are wrong");
const _: () = assert!(size_of::<(Key, Seconds)>() == 20, "the memory figures of the index are wrong");

/// A claim that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Flight {
    pub(in crate::store) lease: Lease,
    pub(in crate::store) ends: UnixTime,
}

impl Record {
    /// Of the shard that it changes.
    fn shard(&self) -> usize {
        let (Self::Nonce { key, .. }
        | Self::Known { key, .. }
        | Self::InFlight { key, .. }
        | Self::Done { key, .. }
        | Self::Released { key, .. }
        | Self::Moved { key, .. }
        | Self::Told { event: key, .. }) = self;
        key.shard()
    }
}

impl Seconds {
    /// Never earlier than `time`.
    pub(in crate::store) fn up(time: UnixTime) -> Self {
        let secs = time.millis().saturating_add(999).div_euclid(1000);
        Self(u32::try_from(secs.max(0)).unwrap_or(u32::MAX))
    }

    /// The moment.
    pub(in crate::store) fn time(self) -> UnixTime {
        UnixTime::from_secs(i64::from(self.0))
    }
}

impl Key {
    /// Both are of a SHA-256, so their sum meets another one no sooner than two digests would meet.
    pub(super) fn new(scope: Digest, name: Digest) -> Self {
        let mut key = name;
        for (byte, of_scope) in key.iter_mut().zip(scope) {
            *byte ^= of_scope;
        }
        Self(key)
    }

    /// By other bytes than those that the tables hash by.
    pub(super) fn shard(self) -> usize {
        usize::from(u16::from_le_bytes([self.0[14], self.0[15]])) % SHARDS
    }
}

/// Records in the order in which they were read, sorted by shard, so that a table is walked while it is in the processor's cache.
pub(in crate::store) struct Runs {
    pub(super) by_shard: Box<[Vec<Record>]>,
    pub(super) len: usize,
}

impl Runs {
    /// How many records to collect: 15 MB of them.
    const MANY: usize = 1 << 18;

    pub(in crate::store) fn new() -> Self {
        Self { by_shard: (0..SHARDS).map(|_| Vec::new()).collect(), len: 0 }
    }

    pub(in crate::store) fn push(&mut self, record: Record) {
        self.by_shard.get_mut(record.shard()).expect("a remainder is below the number of shards").push(record);
        self.len = self.len.saturating_add(1);
    }

    /// Whether it is time to [`super::Index::apply`] them.
    pub(in crate::store) fn are_many(&self) -> bool {
        self.len >= Self::MANY
    }
}
