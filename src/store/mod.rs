//! What the gateway remembers: nonces, events, counters, orders, lists, and events that wait ([`queue`]). One contract
//! ([`engine`]), several engines, one behaviour (`conformance/`).
//!
//! [`Store`] translates between the types of trust and the engines' digests: it names nonces, events and orders, refuses what
//! an engine cannot judge, and keeps for a person what comes under another event's id.

mod claimed;
#[cfg(test)]
mod conformance;
mod digest;
pub mod engine;
mod file;
mod index;
mod memory;
pub mod queue;
pub mod redis;
mod register;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::Notify;

use crate::clock::{Clock, UnixTime};
use crate::reason::Reason;
use crate::risk::ask::{Asks, Counted, CounterAsk};
use crate::secret::Secret;
use crate::wechat::Authentic;
use claimed::Claim;
use engine::{Ask, CountAsk, Engine, NonceUse, Reply};
use queue::{Origin, Queue, Row, Rows, Seals, legacy};
use redis::RedisSettings;

pub use claimed::Claimed;
pub use queue::{Beside, Opened};
pub use register::{ListPage, Listed, RegisterError, Registered};

/// How much longer than its timestamp passes a nonce is remembered: clocks of nodes differ, and clocks are set.
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);

/// Which engine, and how long it remembers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine, from `store.url`.
    pub engine: EngineSettings,
    /// How long done events are remembered: `store.retention`.
    pub retention: Duration,
    /// The keys that seal what waits in the queues, 32 bytes each, the newest first: `store.seal_key`. Empty: a `file:`
    /// store makes its own, a `memory:` store one that it never shows, and a `redis:` store does not open.
    pub seal_keys: Vec<Secret>,
}

/// `store.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineSettings {
    /// `memory:`
    Memory,
    /// `file:PATH`, a directory.
    File(PathBuf),
    /// `redis://…` and its kin.
    Redis(Arc<RedisSettings>),
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
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    rows: Rows,
    seals: Seals,
    retention: Duration,
    clock: Clock,
    /// Rows that did not open.
    quarantined: AtomicU64,
    /// A row has become due by our own doing.
    arrived: Notify,
}

/// Why there is no claim.
#[derive(Debug, thiserror::Error)]
pub enum Unclaimed {
    /// The nonce was used before.
    #[error("this nonce was used before, or was signed before the store began to remember")]
    Replayed,
    /// The event is done.
    #[error("this event was done before")]
    Duplicate,
    /// The event is being delivered by somebody else.
    #[error("this event is in flight")]
    InFlight,
    /// The id is known, with other content; kept durably in the held queue before this is answered.
    #[error("an event of this id and other content is known; this one is kept for a person")]
    IdConflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store did not answer. Whatever it is, nothing may pass.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// More writes wait than may.
    #[error("the store's queue is full: callbacks come faster than the store takes them")]
    Busy,
    /// No space left. What was taken before is kept and written as soon as there is space.
    #[error("the store's disk is full: free some space, and the store goes on by itself")]
    DiskFull,
    /// The disk hangs.
    #[error("the store's disk did not confirm a write within {}s", within.as_secs())]
    Stalled {
        /// How long was waited.
        within: Duration,
    },
    /// A write failed, so what is on the disk is uncertain until it is read again.
    #[error("the store stopped after a failed write ({cause}): check the disk, then restart the gateway")]
    Failed {
        /// What the system said.
        cause: Arc<str>,
    },
    /// As many events as may be are remembered.
    #[error("the store is full ({most} events): shorten store.retention")]
    Full {
        /// The bound.
        most: usize,
    },
    /// As many orders as may be are remembered.
    #[error("{most} orders are registered and no more fit: let them expire sooner")]
    OrdersFull {
        /// The bound.
        most: usize,
    },
    /// As many values as may be are on lists.
    #[error("{most} values are on lists and no more fit: remove some")]
    ListsFull {
        /// The bound.
        most: usize,
    },
    /// An event could not be kept in a queue. Nothing else is touched.
    #[error("the event could not be kept: {cause}")]
    NotKept {
        /// What went wrong.
        cause: Arc<str>,
    },
    /// An event of a queue could not be read. It stays where it is.
    #[error("an event of the queue could not be read: {cause}; look at the disk")]
    Unread {
        /// What the system said.
        cause: Arc<str>,
    },
    /// A queue takes no more.
    #[error("{rows} events are {} and no more fit: deliver, release or drop some", queue.name())]
    QueueFull {
        /// Which.
        queue: Queue,
        /// How many are there.
        rows: usize,
    },
    /// Redis is not there, or does not serve. It is looked for in the background; nothing has to be restarted.
    #[error("the store does not answer ({cause}): look at Redis; the gateway goes on by itself when it is back")]
    Unreachable {
        /// What was seen last.
        cause: Arc<str>,
    },
    /// Redis did not answer in time. Whether it did what was asked is not known.
    #[error("the store did not answer within {} ms: look at its load, or make store.timeout longer", within.as_millis())]
    Late {
        /// How long was waited.
        within: Duration,
    },
    /// Redis has no memory left for what it must remember.
    #[error("Redis is out of memory: raise its maxmemory, or shorten store.retention")]
    OutOfMemory,
    /// Redis does not do what was asked: its version, its settings or the user's rights do not allow it.
    #[error("Redis refused ({cause}): compare its version and the rights of the user with docs/configuration.md")]
    Refused {
        /// What it said.
        cause: Arc<str>,
    },
    /// After [`Store::close`].
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the store as a whole is out, and not only what was asked refused.
    pub(in crate::store) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Late { .. })
    }
}

/// Why the store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings of Redis make no sense to its client. Whether Redis answers is not looked at.
    #[error("the settings of Redis cannot be used: {cause}")]
    Redis {
        /// What is wrong.
        cause: String,
    },
    /// The system refused.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has the directory.
    #[error("{} is in use by another process: a file: store serves one gateway", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// No key is configured to seal the queues with, and the store has no place of its own for one.
    #[error(
        "store.seal_key is missing: the queues of a store of Redis are sealed with a key that all its gateways share; \
         make one with: openssl rand -hex 32"
    )]
    NoSealKey,
    /// The key that seals the queues is not what it has to be.
    #[error("{}: {what}. Put the key back, or name it in store.seal_key; without it what waits in the queues is lost", path.display())]
    SealKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A file was written by a newer gateway. Nothing was changed.
    #[error(
        "{} is of version {version} of the store's files, and this gateway reads versions 1 to {known}. Nothing was \
         changed; start the newer gateway again", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that this gateway reads.
        known: u32,
    },
    /// A file is not as it was written. Nothing was changed: every file is as it was found.
    #[error(
        "{} is damaged at byte {at}: {what}. Nothing was changed; restore the directory from a copy, or move it away to \
         begin with an empty store, which may deliver events of the last days once more", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        at: u64,
        /// What is wrong.
        what: String,
    },
}

impl Store {
    /// Opens the engine that the settings name.
    pub fn open(settings: &Settings, clock: Clock) -> Result<Self, OpenError> {
        let engine = Engine::open(&settings.engine, &clock)?;
        let rows = Rows::open(&settings.engine, engine.link(), &clock)?;
        let seals = Seals::of_store(settings, &rows)?;
        let (quarantined, arrived) = (AtomicU64::new(0), Notify::new());
        let shared = Shared { engine, rows, seals, retention: settings.retention, clock, quarantined, arrived };
        let store = Self { shared: Arc::new(shared) };
        if let EngineSettings::File(dir) = &settings.engine {
            legacy::take_in(&store, dir)?;
        }
        Ok(store)
    }

    /// Step 5. One round trip: takes the event and answers what the policy asks. Asks are answered only for an event that
    /// is claimed ([`Claimed::answers`]). `headers` are kept with what comes under another event's id.
    pub async fn claim(
        &self,
        authentic: Authentic,
        headers: &HeaderMap,
        terms: &Terms,
        asks: &Asks,
        now: UnixTime,
    ) -> Result<Claimed, Unclaimed> {
        let Shared { engine, retention, .. } = &*self.shared;
        let freshness = authentic.freshness();
        if freshness.zip(engine.remembers_since()).is_some_and(|(fresh, since)| fresh.signed_at < since) {
            return Err(Unclaimed::Replayed);
        }
        let ask = Ask {
            endpoint: &terms.endpoint,
            nonce: freshness.map(|fresh| NonceUse {
                digest: digest::nonce(&fresh.nonce),
                signed_at: fresh.signed_at,
                until: fresh.signed_at.plus(terms.window).plus(CLOCKS_DIFFER),
            }),
            event: digest::event(&authentic.event().id),
            content: digest::content(authentic.event()),
            lease: terms.lease,
            retention: *retention,
            now,
            counters: &asks.counters,
            order: asks.order.as_deref().map(digest::order),
            lists: &asks.lists,
        };
        match engine.claim(&ask).await? {
            Reply::Claimed { attempt, lease, answers } => {
                let (store, endpoint) = (self.clone(), Arc::clone(&terms.endpoint));
                let Ask { event, content, .. } = ask;
                let claim = Claim { store, endpoint, event, content, lease, attempt, answers, claimed_at: now };
                Ok(Claimed::new(authentic, claim))
            }
            Reply::Replayed => Err(Unclaimed::Replayed),
            Reply::Duplicate => Err(Unclaimed::Duplicate),
            Reply::InFlight => Err(Unclaimed::InFlight),
            Reply::IdConflict => {
                let row = Row::new(Origin::Conflict, &authentic, Beside { verdict: "", headers });
                self.put_row(Queue::Held, &terms.endpoint, Reason::IdConflict, &row).await?;
                Err(Unclaimed::IdConflict)
            }
        }
    }

    /// A second round for counters whose keys needed the claim's answers, under the same law: an event moves each once.
    pub async fn count(&self, claimed: &Claimed, counters: &[CounterAsk]) -> Result<Vec<Option<Counted>>, StoreError> {
        if counters.is_empty() {
            return Ok(Vec::new());
        }
        let (endpoint, event, now) = claimed.counts_as();
        self.shared.engine.count(&CountAsk { endpoint, event, counters, now }).await
    }

    /// How often since the start a counter was answered with none, because no room was left for it.
    pub fn counters_refused(&self) -> u64 {
        self.shared.engine.counters_refused()
    }

    /// Since when the engine remembers: what was signed before cannot be told from a replay and is refused as one. None:
    /// it remembers across restarts.
    ///
    /// WeChat signs whole seconds, so what is signed in the second in which a `memory:` store opens is refused too; WeChat
    /// tries again with a fresh signature.
    pub fn remembers_since(&self) -> Option<UnixTime> {
        self.shared.engine.remembers_since()
    }

    /// Whether the store can promise something now.
    pub fn is_up(&self) -> bool {
        self.shared.engine.is_up() && self.shared.rows.is_up()
    }

    /// Whether everything that the store is made of answers. With `on_outage = "local"` claims are taken without it.
    pub fn is_whole(&self) -> bool {
        self.is_up() && self.shared.engine.is_whole()
    }

    /// How often requests to a store behind a network failed: what was asked, the kind of the failure, and how often.
    pub fn failures(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.shared.engine.failures()
    }

    /// How many claims this node answered alone, because the store was out.
    pub fn answered_locally(&self) -> u64 {
        self.shared.engine.answered_locally()
    }

    /// Writes out what is not yet durable and closes; claims fail from here on.
    pub async fn close(&self) {
        self.shared.rows.close().await;
        self.shared.engine.close().await; // last: it has the lock
    }
}
