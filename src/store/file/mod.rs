//! `file:PATH` — one node, durable, restart-safe: the index in memory, and a journal of its changes on the disk.
//!
//! PATH is a directory: `lock`, `journal-N` (changes, appended), `snapshot-N` (everything before journal N), and for the
//! queues `queue/` and `seal.key` ([`super::queue`]). Why an own journal and not an embedded database:
//! docs/decisions/0001-embedded-store.md.
//!
//! # What is durable when
//!
//! Each callback costs one sync at most, shared with all callbacks that wait at the same time.
//!
//! | step | its records | waits for a sync |
//! |---|---|---|
//! | claimed | nonce, in flight, its counters and what it was told of them | no |
//! | counted | counters and what the event was told of them | no |
//! | an order, a list | one | yes |
//! | duplicate, in-flight, id-conflict | nonce | yes: the callback is about to be answered |
//! | replayed | none | no |
//! | done, released | one | yes; it comes after the claim's records in the same journal, so the same sync covers those |
//! | dropped | released | no |
//!
//! An event's records reach the writer in the order in which its changes happened: they are queued while the event's shard
//! is locked. So whatever is durable, everything before it is.
//!
//! - **I1**: a success is answered after the sync of `done`, so an answered success is known after any crash. A duplicate
//!   that is told before that sync has ended waits for a later one, which covers it.
//! - **I4**: a crash between claim and end leaves either the claim, whose lease then runs out, or (a power failure soon
//!   after it) nothing, and the next try is as the first. The upstream may see the event twice in this case only, as I4 says.
//! - **I6**: a nonce is durable before its callback is answered, whatever the answer. One whose callback was cut off by a
//!   crash before its answer may be forgotten. Its replay then stands for WeChat's own next try, which would come anyhow: it
//!   passes only if the event is not done, and ends by the same invariants.
//!
//! # When the disk fails
//!
//! | what | claims | then |
//! |---|---|---|
//! | no space | [`StoreError::DiskFull`] | space is asked for before anything is written: what waits is written when there is some, and the store goes on |
//! | a write or sync fails | [`StoreError::Failed`] | for good. After a failed sync the system may have dropped what it could not write, so trying again proves nothing; the next start reads what the disk has |
//! | a sync hangs | [`StoreError::Stalled`] | it goes on when the sync ends |
//! | more waits than may | [`StoreError::Busy`] | it goes on when the queue is shorter |
//!
//! No callback ever blocks its thread on a disk: it queues, and awaits.

mod counted;
mod disk;
mod frame;
mod health;
mod journal;
mod recovery;
mod row;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{self, DirBuilder, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::engine::{Ask, CountAsk, Digest, Lease, PutOrder, Reply, Settlement};
use super::index::{Index, Registration};
use super::{ListPage, OpenError, Registered, StoreError};
use crate::clock::UnixTime;
use crate::risk::ask::{Counted, ListAsk, Order};
use disk::{Disk, SystemDisk};
pub(super) use disk::{UNFINISHED, no_space, private, publish, sync_dir, write_whole};
use health::Health;
use journal::Journal;
use writer::{Entry, Writer};

/// What tests make smaller.
#[derive(Clone, Copy)]
struct Bounds {
    /// Most entries that may wait for the writer before no more is claimed.
    queue: usize,
    /// Longest wait for a sync: shorter than what a lease leaves for writing down its end (5 s).
    sync_within: Duration,
    /// Journals are put together when they hold this many bytes, and as much as the last snapshot.
    compact_least: u64,
}

const BOUNDS: Bounds =
    Bounds { queue: 16 * 1024, sync_within: Duration::from_secs(3), compact_least: 32 * 1024 * 1024 };

/// How long a close may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// The engine at work.
pub(super) struct FileEngine {
    index: Arc<Index>,
    queue: mpsc::UnboundedSender<Entry>,
    /// Entries in the queue. Claims stop at a bound; the ends of claims always fit, since they are as many as the claims.
    queued: Arc<AtomicUsize>,
    health: Arc<Health>,
    leases: AtomicU64,
    bounds: Bounds,
}

impl FileEngine {
    /// Reads what is in `dir`, which is made if it is not there, and begins to write.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_on(Box::new(SystemDisk), dir, BOUNDS)
    }

    fn open_on(disk: Box<dyn Disk>, dir: &Path, bounds: Bounds) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let lock = lock(dir)?;
        let recovered = recovery::recover(dir)?;
        let journal = Journal::create(&*disk, dir, recovered.next).and_then(|journal| journal.publish(dir));
        let (index, health, queued) =
            (Arc::new(recovered.index), Arc::<Health>::default(), Arc::<AtomicUsize>::default());
        let (queue, entries) = mpsc::unbounded_channel();
        let writer = Writer {
            queue: entries,
            sender: queue.downgrade(),
            queued: Arc::clone(&queued),
            index: Arc::clone(&index),
            health: Arc::clone(&health),
            disk,
            dir: dir.to_owned(),
            journal: Some(journal.map_err(failed)?),
            closed_size: recovered.journal_size,
            closed: recovered.journals,
            compact_at: bounds.compact_least.saturating_add(recovered.snapshot_size),
            compact_least: bounds.compact_least,
            compaction: None,
            lock,
        };
        thread::Builder::new().name("wxgate-store".to_owned()).spawn(move || writer.run()).map_err(failed)?;
        let leases = AtomicU64::new(index.last_lease().saturating_add(1));
        Ok(Self { index, queue, queued, health, leases, bounds })
    }

    pub(super) async fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        self.check_room()?;
        let mut used = None;
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed));
        let reply = self.index.claim(ask, lease, |claim| {
            let done = if claim.is_claimed {
                None // its end comes after it in the journal
            } else {
                let (done, waiting) = oneshot::channel();
                used = Some(waiting);
                Some(done)
            };
            self.send(Entry::Records { records: [claim.used, claim.change], counted: claim.counted, done });
        })?;
        if let Some(used) = used {
            self.wait(used).await?;
        }
        Ok(reply)
    }

    pub(super) async fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        self.end(settlement, Some(done));
        self.wait(waiting).await
    }

    pub(super) fn abandon(&self, settlement: &Settlement<'_>) {
        self.end(settlement, None);
    }

    fn end(&self, settlement: &Settlement<'_>, done: Option<writer::Done>) {
        self.index.settle(settlement, |record| {
            self.send(Entry::Records { records: [Some(record), None], counted: Vec::new(), done });
        });
    }

    /// Not synced, as a claim is not: the claim's end comes after it in the journal.
    pub(super) fn count(&self, ask: &CountAsk<'_>) -> Result<Vec<Option<Counted>>, StoreError> {
        self.health.check()?;
        Ok(self.index.count(ask, |counted| self.send(Entry::Records { records: [None; 2], counted, done: None })))
    }

    pub(super) fn counters_refused(&self) -> u64 {
        self.index.counters_refused()
    }

    pub(super) async fn put_orders(
        &self,
        endpoint: &str,
        orders: Vec<PutOrder>,
        now: UnixTime,
    ) -> Result<Vec<Registered>, StoreError> {
        self.check_room()?;
        let put = |order| self.index.put_order(endpoint, order, now, |registration| self.register(registration));
        let registered = orders.into_iter().map(put).collect::<Result<_, _>>()?;
        self.sync().await?;
        Ok(registered)
    }

    pub(super) fn order(&self, endpoint: &str, order: Digest, now: UnixTime) -> Result<Option<Order>, StoreError> {
        self.health.check()?;
        Ok(self.index.order(endpoint, order, now))
    }

    pub(super) async fn list_add(&self, entry: &ListAsk, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        self.check_room()?;
        let is_new = self.index.list_add(entry, until, now, |registration| self.register(registration))?;
        self.sync().await?;
        Ok(is_new)
    }

    pub(super) async fn list_remove(&self, entry: &ListAsk, now: UnixTime) -> Result<bool, StoreError> {
        self.check_room()?;
        let was_there = self.index.list_remove(entry, now, |registration| self.register(registration));
        self.sync().await?;
        Ok(was_there)
    }

    pub(super) fn list_show(
        &self,
        list: &str,
        after: Option<&str>,
        most: usize,
        now: UnixTime,
    ) -> Result<ListPage, StoreError> {
        self.health.check()?;
        Ok(self.index.list_show(list, after, most, now))
    }

    fn register(&self, registration: Registration) {
        self.send(Entry::Registration(registration));
    }

    /// Whether something new may be taken.
    fn check_room(&self) -> Result<(), StoreError> {
        self.health.check()?;
        if self.queued.load(Ordering::Acquire) >= self.bounds.queue { Err(StoreError::Busy) } else { Ok(()) }
    }

    /// Waits until everything that was sent before is durable.
    async fn sync(&self) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        self.send(Entry::Records { records: [None; 2], counted: Vec::new(), done: Some(done) });
        self.wait(waiting).await
    }

    pub(super) fn is_up(&self) -> bool {
        self.health.check().is_ok()
    }

    pub(super) async fn close(&self) {
        let (done, waiting) = oneshot::channel();
        self.send(Entry::Close { done });
        match timeout(CLOSE_WITHIN, waiting).await {
            Ok(Ok(Ok(())) | Err(_)) => {} // closed, by this or by an earlier call
            Ok(Ok(Err(error))) => tracing::error!(%error, "the store did not close cleanly"),
            Err(_) => tracing::error!("the store's disk hangs: it was not closed"),
        }
        self.health.set(StoreError::Closed);
    }

    /// If the writer is gone the entry is dropped, and whoever waits for it learns that.
    fn send(&self, entry: Entry) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        drop(self.queue.send(entry));
    }

    async fn wait(&self, mut waiting: oneshot::Receiver<Result<(), StoreError>>) -> Result<(), StoreError> {
        let within = self.bounds.sync_within;
        match timeout(within, &mut waiting).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.writer_is_gone()),
            Err(_) => {
                self.health.set(StoreError::Stalled { within });
                // The writer answers first and clears the trouble after: whichever of us is later, it does not stay.
                if let Ok(result) = waiting.try_recv() {
                    self.health.recovered();
                    return result;
                }
                Err(StoreError::Stalled { within })
            }
        }
    }

    fn writer_is_gone(&self) -> StoreError {
        let Err(trouble) = self.health.check() else {
            let trouble = StoreError::Failed { cause: Arc::from("the thread that writes has ended") };
            self.health.set(trouble.clone());
            return trouble;
        };
        trouble
    }
}

/// The lock belongs to the open file, so it ends with the process, however that ends.
fn lock(dir: &Path) -> Result<fs::File, OpenError> {
    let path = dir.join("lock");
    let opened = private().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(|cause| OpenError::Io { path: path.clone(), cause })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(OpenError::Io { path, cause }),
    }
}

/// A journal out of nothing into an index, for [`super::fuzzing`]. `framed`: the bytes are records, and get a frame.
#[cfg(fuzzing)]
pub(super) fn scan_for_fuzzing(data: &[u8], framed: bool) {
    let mut journal = Vec::new();
    if framed {
        frame::start(1, &mut journal);
        frame::frame(data, 0, &mut journal);
    } else {
        journal.extend_from_slice(data);
    }
    recovery::apply_for_fuzzing(&journal);
}
