//! The one thread that writes. Callbacks put their records into its queue and wait, if they must, for the sync that covers
//! them; what comes while a sync is under way shares the next one (group commit).

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, io, mem};

use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::frame;
use super::health::Health;
use super::journal::{AppendError, Journal};
use super::row::{self, Row};
use super::{recovery, snapshot};
use crate::store::StoreError;
use crate::store::index::{Index, Record, Registration};

/// Most entries that are taken at a time, to be written together and synced once.
const BATCH: usize = 4096;

/// A frame takes no more entries when it has this many bytes. What one entry brings stays in one frame, so that after a crash
/// there is all of it or nothing; it is far less than the rest of a frame, since
/// [`MOST_COUNTERS`](crate::risk::ask::MOST_COUNTERS) bounds it.
const A_FRAME: usize = frame::MOST_BYTES / 2;

/// How often a full disk is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How many journals may lie there before they are put together: each restart begins one.
const MOST_JOURNALS: u64 = 8;

/// Tells that something is on the disk, or why not.
pub(super) type Done = oneshot::Sender<Result<(), StoreError>>;

/// What callbacks ask of the writer.
pub(super) enum Entry {
    /// Write these; if somebody waits, sync.
    Records { records: [Option<Record>; 2], counted: Vec<Record>, done: Option<Done> },
    /// Write this.
    Registration(Registration),
    /// Write everything out, close the files, and let go of the lock.
    Close { done: Done },
}

pub(super) struct Writer {
    pub(super) queue: mpsc::UnboundedReceiver<Entry>,
    /// For a compaction, which must not keep the writer alive.
    pub(super) sender: mpsc::WeakUnboundedSender<Entry>,
    /// Entries in the queue; callbacks stop claiming when there are too many.
    pub(super) queued: Arc<AtomicUsize>,
    pub(super) index: Arc<Index>,
    pub(super) health: Arc<Health>,
    pub(super) disk: Box<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) journal: Option<Journal>,
    /// The size of what journals before the current one hold since the last snapshot, and how many there are.
    pub(super) closed_size: u64,
    pub(super) closed: u64,
    /// Journals are put together when they hold this much.
    pub(super) compact_at: u64,
    /// As configured: the least that `compact_at` may be.
    pub(super) compact_least: u64,
    pub(super) compaction: Option<Compaction>,
    /// Held as long as the writer lives.
    pub(super) lock: fs::File,
}

/// A snapshot being written by a thread of its own, so that commits do not wait for it.
pub(super) struct Compaction {
    thread: JoinHandle<io::Result<u64>>,
    stop: Arc<AtomicBool>,
}

/// What one turn has to write, and who waits for it.
#[derive(Default)]
struct Turn {
    records: Vec<u8>,
    /// What goes before `records`, frame by frame.
    full: VecDeque<Vec<u8>>,
    waiting: Vec<Done>,
    closing: Option<Done>,
    /// Nothing comes after this: what cannot be written now will not be.
    is_last: bool,
}

impl Writer {
    pub(super) fn run(mut self) {
        let mut entries = Vec::with_capacity(BATCH);
        let mut turn = Turn::default();
        loop {
            let received = self.queue.blocking_recv_many(&mut entries, BATCH);
            if received == 0 {
                break; // the engine is gone: a close that nobody waits for
            }
            self.queued.fetch_sub(received, Ordering::AcqRel);
            Self::take(&mut entries, &mut turn);
            self.write(&mut turn);
            if turn.is_last {
                break;
            }
            self.compact();
        }
        self.finish(turn);
    }

    /// Sorts entries into what is written and who waits.
    fn take(entries: &mut Vec<Entry>, turn: &mut Turn) {
        for entry in entries.drain(..) {
            match entry {
                Entry::Records { records, counted, done } => {
                    for record in records.iter().flatten() {
                        row::write_record(record, &mut turn.records);
                    }
                    row::write_counted(&counted, &mut turn.records);
                    turn.waiting.extend(done);
                }
                Entry::Registration(registration) => Row::Registration(registration).write(&mut turn.records),
                Entry::Close { done } => {
                    turn.closing = Some(done);
                    turn.is_last = true;
                }
            }
            if turn.records.len() >= A_FRAME {
                turn.full.push_back(mem::take(&mut turn.records));
            }
        }
    }

    /// Writes a turn, and tries again as long as the disk is full: its changes are in the index, so they must not be lost.
    /// Whoever waits is told at once.
    fn write(&mut self, turn: &mut Turn) {
        while let Err(trouble) = self.write_once(turn) {
            let can_pass = matches!(trouble, StoreError::DiskFull);
            if self.health.set(trouble.clone()) {
                tracing::error!(error = %trouble, dir = %self.dir.display(), "the store takes nothing");
            }
            turn.waiting.drain(..).for_each(|done| answer(done, Err(trouble.clone())));
            if !can_pass {
                turn.full.clear();
                turn.records.clear();
                return;
            }
            if turn.is_last {
                return;
            }
            thread::sleep(RETRY_AFTER);
            self.answer_while_full(turn, &trouble);
        }
        turn.waiting.drain(..).for_each(|done| answer(done, Ok(())));
        self.health.recovered(); // after the answers: see `FileEngine::wait`
    }

    fn write_once(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        self.health.check().or_else(|trouble| if is_failed(&trouble) { Err(trouble) } else { Ok(()) })?;
        let Some(journal) = &mut self.journal else { return Err(StoreError::Closed) };
        while let Some(frame) = turn.full.front() {
            journal.append(frame).map_err(trouble)?;
            turn.full.pop_front();
        }
        if !turn.records.is_empty() {
            journal.append(&turn.records).map_err(trouble)?;
            turn.records.clear();
        }
        if !turn.waiting.is_empty() {
            journal.sync().map_err(failed)?;
        }
        Ok(())
    }

    /// The ends of claims that were under way come while the disk is full. They are as many as the claims: no new one is
    /// taken. They are written with the rest.
    fn answer_while_full(&mut self, turn: &mut Turn, trouble: &StoreError) {
        let mut entries = Vec::new();
        while entries.len() < BATCH {
            match self.queue.try_recv() {
                Ok(entry) => entries.push(entry),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    turn.is_last = true; // the engine is gone, and nobody would see the disk recover
                    break;
                }
            }
        }
        self.queued.fetch_sub(entries.len(), Ordering::AcqRel);
        Self::take(&mut entries, turn);
        turn.waiting.drain(..).for_each(|done| answer(done, Err(trouble.clone())));
    }

    /// Puts journals together when they have grown. Failing to is no harm but to the size of the directory.
    fn compact(&mut self) {
        if self.compaction.as_ref().is_some_and(|compaction| compaction.thread.is_finished())
            && let Some(compaction) = self.compaction.take()
        {
            self.compacted(compaction.thread.join());
        }
        let size = self.closed_size.saturating_add(self.journal.as_ref().map_or(0, Journal::len));
        let has_grown = size >= self.compact_at || self.closed >= MOST_JOURNALS;
        if !has_grown || self.compaction.is_some() || self.health.check().is_err() {
            return;
        }
        match self.rotate() {
            Ok(number) => self.compaction = self.begin_compaction(number),
            Err(error) => {
                tracing::warn!(%error, "the store's journal goes on growing: no new one could be begun");
                self.compact_at = size.saturating_mul(2);
                self.closed = 0; // not again for the same reason
            }
        }
    }

    /// Closes the journal and begins the next. The next one is made first: if there is no space, nothing has changed.
    fn rotate(&mut self) -> io::Result<u64> {
        let Some(journal) = self.journal.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let number = journal.number().saturating_add(1);
        let next = match Journal::create(&*self.disk, &self.dir, number) {
            Ok(next) => next,
            Err(error) => {
                self.journal = Some(journal);
                return Err(error);
            }
        };
        let size = journal.len();
        if let Err((journal, error)) = journal.close() {
            next.discard();
            self.journal = Some(journal);
            return Err(match error {
                AppendError::NoSpace(cause) => cause,
                AppendError::Failed(cause) => self.fail(cause),
            });
        }
        match next.publish(&self.dir) {
            Ok(next) => self.journal = Some(next),
            Err(error) => return Err(self.fail(error)), // the old one is closed: there is nothing to write to
        }
        self.closed = self.closed.saturating_add(1);
        self.closed_size = self.closed_size.saturating_add(size);
        Ok(number)
    }

    fn fail(&self, cause: io::Error) -> io::Error {
        self.health.set(failed_with(&cause));
        tracing::error!(error = %cause, "the store takes nothing until it is restarted");
        cause
    }

    fn begin_compaction(&self, number: u64) -> Option<Compaction> {
        let stop = Arc::new(AtomicBool::new(false));
        let (index, dir, stopped) = (Arc::clone(&self.index), self.dir.clone(), Arc::clone(&stop));
        let (sender, queued) = (self.sender.clone(), Arc::clone(&self.queued));
        let work = move || {
            let durable = || sync(&sender, &queued);
            let size = snapshot::write(&dir, number, &index, index.latest(), &stopped, durable)?;
            recovery::remove_before(&dir, number)?;
            Ok(size)
        };
        match thread::Builder::new().name("wxgate-compact".to_owned()).spawn(work) {
            Ok(thread) => Some(Compaction { thread, stop }),
            Err(error) => {
                tracing::warn!(%error, "no thread to put the store's journals together");
                None
            }
        }
    }

    fn compacted(&mut self, result: thread::Result<io::Result<u64>>) {
        match result {
            Ok(Ok(size)) => {
                self.closed = 0;
                self.closed_size = 0;
                self.compact_at = self.compact_least.saturating_add(size);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store's journals could not be put together; they are kept");
                self.compact_at = self.closed_size.saturating_mul(2).max(self.compact_least);
                self.closed = 0;
            }
            Err(_panic) => tracing::error!("putting the store's journals together panicked; they are kept"),
        }
    }

    fn finish(mut self, mut turn: Turn) {
        self.queue.close();
        turn.is_last = true;
        let mut entries = Vec::new();
        while let Ok(entry) = self.queue.try_recv() {
            entries.push(entry);
            if entries.len() == BATCH {
                Self::take(&mut entries, &mut turn);
                self.write(&mut turn);
            }
        }
        Self::take(&mut entries, &mut turn);
        self.write(&mut turn);
        if let Some(compaction) = self.compaction.take() {
            compaction.stop.store(true, Ordering::Relaxed);
            drop(compaction.thread.join()); // an unfinished snapshot is no loss
        }
        // After trouble the journal stays as it is: without the mark that it is complete, it is looked through at the start.
        let closed = self.health.check().and_then(|()| match self.journal.take() {
            Some(journal) => journal.close().map_err(|(_, error)| trouble(error)),
            None => Ok(()),
        });
        self.health.set(StoreError::Closed);
        drop(self.lock);
        if let Some(done) = turn.closing {
            answer(done, closed);
        }
    }
}

/// Waits, on a thread that may, until everything that was queued before is durable.
fn sync(sender: &mpsc::WeakUnboundedSender<Entry>, queued: &AtomicUsize) -> io::Result<()> {
    let (done, waiting) = oneshot::channel();
    let Some(sender) = sender.upgrade() else { return Err(io::ErrorKind::Interrupted.into()) };
    queued.fetch_add(1, Ordering::AcqRel);
    drop(sender.send(Entry::Records { records: [None; 2], counted: Vec::new(), done: Some(done) }));
    drop(sender);
    waiting.blocking_recv().map_err(|_| io::ErrorKind::Interrupted)?.map_err(io::Error::other)
}

fn is_failed(trouble: &StoreError) -> bool {
    matches!(trouble, StoreError::Failed { .. })
}

fn trouble(error: AppendError) -> StoreError {
    match error {
        AppendError::NoSpace(_) => StoreError::DiskFull,
        AppendError::Failed(cause) => failed_with(&cause),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a mapping of errors")]
fn failed(cause: io::Error) -> StoreError {
    failed_with(&cause)
}

fn failed_with(cause: &io::Error) -> StoreError {
    StoreError::Failed { cause: Arc::from(cause.to_string()) }
}

fn answer(done: Done, result: Result<(), StoreError>) {
    drop(done.send(result)); // whoever waited has gone: nothing is owed to it
}
