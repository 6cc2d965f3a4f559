//! The queues: authentic events that wait. `held` for a person, `pending` for their delivery in the background, `dead`
//! after their delivery was given up.
//!
//! An event waits as a `Row`: everything that is needed to judge it and to deliver it. Engines see it as a
//! `Stored`, its [`Head`] in the clear and the rest sealed (`seal`), so that neither reading nor writing an engine's
//! files or keys is the power to read an event or to forge one. A row is in one queue at a time; moving it seals it anew,
//! since the seal is bound to the queue.
//!
//! `Rows` is what an engine has to do, in the words of [`Engine`](super::engine::Engine): heads and sealed bytes, no
//! types of trust. What it must hold to is in `tests/conformance.rs`, run against each. [`desk`] is the rest of the
//! program's way to the queues; only what it has opened ([`Opened`]) can be delivered.

pub mod desk;
mod file;
pub(in crate::store) mod legacy;
mod log;
mod memory;
mod opened;
mod row;
mod seal;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use super::engine::{Content, Digest};
use super::redis::link::Link;
use super::redis::rows::RedisRows;
use super::{EngineSettings, OpenError, StoreError, digest};
use crate::clock::{Clock, UnixTime};
use crate::reason::Reason;
use file::FileRows;
use memory::MemoryRows;

pub use opened::Opened;
pub use row::Beside;
pub(super) use row::{Origin, Row};
pub(super) use seal::Seals;
pub use seal::key_of_text;

/// Most rows of one queue. What is over is refused, never dropped: the callback is answered `busy`.
pub const MOST_ROWS: usize = 100_000;

/// A queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Kept for a person.
    Held,
    /// Waits for its delivery, or is being delivered.
    Pending,
    /// Its delivery was given up.
    Dead,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Self; 3] = [Self::Held, Self::Pending, Self::Dead];

    /// The stable name: in the API, in metrics, in the seal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Dead => "dead",
        }
    }

    /// The queue of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}

/// Names a row: the same event of the same content has the same name, so keeping it twice keeps it once. Shown as 48
/// hexadecimal digits, of which the first 32 are those of the event's `webhook-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub(super) [u8; 24]);

impl RowId {
    pub(super) fn new(event: Digest, content: Content) -> Self {
        let mut id = [0; 24];
        let (first, rest) = id.split_at_mut(16);
        first.copy_from_slice(&event);
        rest.copy_from_slice(&content);
        Self(id)
    }
}

impl RowId {
    /// A number to draw lots by: digits of the id, as good as random.
    pub fn seed(&self) -> u64 {
        self.0.split_first_chunk().map_or(0, |(first, _)| u64::from_le_bytes(*first))
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digest::hex(&self.0))
    }
}

/// Why a text names no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row's id is 48 hexadecimal digits, as `list` shows it")]
pub struct NotAnId;

impl FromStr for RowId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let mut id = [0; 24];
        let digits = text.as_bytes();
        if digits.len() != 48 {
            return Err(NotAnId);
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().try_fold(0_u8, |sum, digit| {
                let nibble = char::from(*digit).to_digit(16).and_then(|nibble| u8::try_from(nibble).ok());
                nibble.map(|nibble| sum << 4 | nibble).ok_or(NotAnId)
            })?;
        }
        Ok(Self(id))
    }
}

/// Rows of one endpoint and one subject share a lane: at most one of them is leased, the earliest first. It is a keyed
/// digest ([`seal`]): it tells that two rows are about the same, never about what. A row without subject has a lane of its
/// own.
pub(super) type Lane = [u8; 8];

/// What lies in the clear beside a sealed row. Nothing of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Names the row, over all queues.
    pub id: RowId,
    /// Where it is.
    pub queue: Queue,
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// Why it is in this queue.
    pub reason: Reason,
    /// When its callback was taken; decides the order within a lane, and when it is too old to be delivered.
    pub received_at: UnixTime,
    /// When it came into this queue; decides the order of lists.
    pub entered_at: UnixTime,
    /// `pending`: not before.
    pub next_at: UnixTime,
    /// How often its delivery was tried.
    pub attempts: u32,
    pub(super) lane: Lane,
}

/// A row as an engine keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) head: Head,
    pub(super) sealed: Bytes,
}

/// A row as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What lies in the clear.
    pub head: Head,
    /// It did not open: it is kept aside and never delivered, until it opens again.
    pub is_quarantined: bool,
}

/// Which rows are wanted. All conditions hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this queue.
    pub queue: Queue,
    /// Of this endpoint.
    pub endpoint: Option<String>,
    /// For this reason.
    pub reason: Option<Reason>,
    /// That entered the queue at this time or later.
    pub since: Option<UnixTime>,
    /// That entered the queue before this time.
    pub until: Option<UnixTime>,
    /// Behind this place.
    pub after: Option<Cursor>,
    /// At most so many; an engine gives no more than [`MOST_LISTED`].
    pub limit: usize,
}

/// Most rows of one page.
pub const MOST_LISTED: usize = 1000;

/// Most rows that are looked at for one page: a filter that fits few of many gives short pages, never a slow one.
pub(super) const MOST_SCANNED: usize = 10_000;

/// A place in a list: behind the row of this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub(super) entered_at: UnixTime,
    pub(super) id: RowId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.entered_at.millis(), self.id)
    }
}

impl FromStr for Cursor {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (millis, id) = text.split_once('.').ok_or(NotAnId)?;
        let millis = millis.parse().map_err(|_| NotAnId)?;
        Ok(Self { entered_at: UnixTime::from_millis(millis), id: id.parse()? })
    }
}

/// One page of a list, the oldest first by [`Head::entered_at`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Listed>,
    /// Where the next page begins; none: this was the last. A page with a next one may be short, or even empty.
    pub next: Option<Cursor>,
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub(super) struct Take<'a> {
    /// Rows of this endpoint.
    pub(super) endpoint: &'a str,
    /// Due now.
    pub(super) now: UnixTime,
    /// Whose lease ends then, by itself.
    pub(super) until: UnixTime,
    /// At most so many.
    pub(super) limit: usize,
}

/// Names one lease of one row: a row that was leased anew has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RowLease(pub(super) u64);

/// A pending row that is the taker's own until its lease ends.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) row: Stored,
    pub(super) lease: RowLease,
}

/// How full a queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Of this endpoint.
    pub endpoint: Arc<str>,
    /// Which queue.
    pub queue: Queue,
    /// How many rows.
    pub rows: usize,
    /// When the oldest came into it.
    pub oldest: UnixTime,
}

/// The rows of an engine. Every answer with `Ok` is durable, where the engine is.
pub(super) enum Rows {
    /// `memory:`
    Memory(Box<MemoryRows>),
    /// `file:PATH`, in `PATH/queue/`.
    File(FileRows),
    /// `redis:` and its kin, shared by any number of gateways.
    Redis(RedisRows),
}

impl Rows {
    /// Opens the rows that belong to an engine, over the engine's own `link` if it has one. Reads files where the engine has
    /// some: not for a thread that serves.
    pub(super) fn open(settings: &EngineSettings, link: Option<&Link>, clock: &Clock) -> Result<Self, OpenError> {
        Ok(match settings {
            EngineSettings::Memory => Self::Memory(Box::default()),
            EngineSettings::File(path) => Self::File(FileRows::open(&path.join("queue"))?),
            EngineSettings::Redis(settings) => {
                let link = link.map_or_else(|| Link::open(settings), |link| Ok(link.clone()))?;
                Self::Redis(RedisRows::open(link, clock)?)
            }
        })
    }

    /// Puts a row into the queue that its head names. False: a row of this id is in some queue already, and nothing was
    /// changed. [`StoreError::QueueFull`]: neither.
    pub(super) async fn put(&self, row: Stored) -> Result<bool, StoreError> {
        match self {
            Self::Memory(rows) => rows.put(row),
            Self::File(rows) => rows.put(row).await,
            Self::Redis(rows) => rows.put(row).await,
        }
    }

    /// Puts a row in place of that of the same id in `from`, in one step. False: that one is not there any more, or it is
    /// leased to somebody else than `lease`, and nothing was changed.
    pub(super) async fn replace(&self, from: Queue, lease: Option<RowLease>, row: Stored) -> Result<bool, StoreError> {
        match self {
            Self::Memory(rows) => rows.replace(from, lease, row),
            Self::File(rows) => rows.replace(from, lease, row).await,
            Self::Redis(rows) => rows.replace(from, lease, row).await,
        }
    }

    /// The row of this id, if it is in this queue.
    pub(super) async fn get(&self, queue: Queue, id: RowId) -> Result<Option<Stored>, StoreError> {
        match self {
            Self::Memory(rows) => rows.get(queue, id),
            Self::File(rows) => rows.get(queue, id),
            Self::Redis(rows) => rows.get(queue, id).await,
        }
    }

    /// One page of a list.
    pub(super) async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        match self {
            Self::Memory(rows) => rows.list(query),
            Self::File(rows) => rows.list(query),
            Self::Redis(rows) => rows.list(query).await,
        }
    }

    /// Leases rows of `pending` that are due, those that have been due for longest first. Of a lane the earliest row
    /// (by [`Head::received_at`], then by the order of putting) alone is given, and only while no other of the lane is
    /// leased. A lease that has ended counts for nothing. Not durable: after a crash a row is free again, or its lease
    /// ends.
    pub(super) async fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, StoreError> {
        match self {
            Self::Memory(rows) => rows.take(take),
            Self::File(rows) => rows.take(take),
            Self::Redis(rows) => rows.take(take).await,
        }
    }

    /// Ends a lease without success: the row is due at `next_at`, after so many attempts. Does nothing if the lease is
    /// not the taker's any more. May be lost by a crash: then the row is due at once.
    pub(super) async fn postpone(
        &self,
        id: RowId,
        lease: RowLease,
        attempts: u32,
        next_at: UnixTime,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(rows) => rows.postpone(id, lease, attempts, next_at),
            Self::File(rows) => rows.postpone(id, lease, attempts, next_at).await,
            Self::Redis(rows) => rows.postpone(id, lease, attempts, next_at).await,
        }
    }

    /// The row leaves the queues; whoever has a lease of it. False: it is not in this queue.
    pub(super) async fn remove(&self, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        match self {
            Self::Memory(rows) => rows.remove(queue, id),
            Self::File(rows) => rows.remove(queue, id).await,
            Self::Redis(rows) => rows.remove(queue, id).await,
        }
    }

    /// The row was delivered: it leaves `pending`, whoever has a lease of it. False: it is not there any more. When an engine
    /// is out of reach, the row leaves as soon as it is back, though an error is told.
    pub(super) async fn delivered(&self, id: RowId) -> Result<bool, StoreError> {
        match self {
            Self::Memory(_) | Self::File(_) => self.remove(Queue::Pending, id).await,
            Self::Redis(rows) => rows.delivered(id).await,
        }
    }

    /// The row did not open: it stays where it is, is no longer taken, and no longer stands before others of its lane,
    /// until it is replaced. Tells whether this is news.
    pub(super) async fn set_aside(&self, id: RowId) -> Result<bool, StoreError> {
        match self {
            Self::Memory(rows) => rows.set_aside(id),
            Self::File(rows) => rows.set_aside(id),
            Self::Redis(rows) => rows.set_aside(id).await,
        }
    }

    /// How full each queue of each endpoint is, empty ones left out.
    pub(super) async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        match self {
            Self::Memory(rows) => rows.depths(),
            Self::File(rows) => rows.depths(),
            Self::Redis(rows) => rows.depths().await,
        }
    }

    /// Whether a row would be taken in now.
    pub(super) fn is_up(&self) -> bool {
        match self {
            Self::Memory(rows) => rows.is_up(),
            Self::File(rows) => rows.is_up(),
            Self::Redis(rows) => rows.is_up(),
        }
    }

    /// Writes out what is not yet durable; everything fails from here on.
    pub(super) async fn close(&self) {
        match self {
            Self::Memory(rows) => rows.close(),
            Self::File(rows) => rows.close().await,
            Self::Redis(rows) => rows.close(),
        }
    }
}
