//! The rows of a `file:` store, in `PATH/queue/`: a log of their changes (`log-N`), and where each row's sealed bytes are in
//! it. One thread writes, and syncs once for all who wait at the same time, as the store's own journal does.
//!
//! A log and not a file for each row, because with `ack = "after-store"` every callback waits for its row: the log takes
//! one sync for many of them, where files take two syncs each (docs/decisions/0003-queue-log.md has the numbers).
//!
//! # What is durable when
//!
//! | change | waits for a sync | a crash before it |
//! |---|---|---|
//! | put, replace | yes | the row is not there, and nobody was told that it is |
//! | remove | yes | the row is delivered once more, with the same idempotency key |
//! | postpone | no | the row is due at once |
//! | take | in memory only | the row is free again |
//!
//! Logs are written anew when most of their bytes are of rows that have gone. That takes about a second for a gigabyte,
//! in which puts wait.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::log::{self, Read, Record, Unreadable};
use super::table::{Table, bounds};
use super::{Depth, Page, Query, Queue, RowId, RowLease, Stored, Take, Taken};
use crate::clock::UnixTime;
use crate::store::file::{UNFINISHED, no_space, private, publish, sync_dir};
use crate::store::{OpenError, StoreError};

/// Most bytes of one queue.
const MOST_BYTES: usize = 1 << 30;
/// Most commands that share one sync.
const BATCH: usize = 1024;
/// A log is not written anew before it has so many bytes of rows that have gone.
const LEAST_GARBAGE: u64 = 32 * 1024 * 1024;
/// Longest wait for a sync: shorter than what a lease leaves for writing down its end (5 s).
const SYNC_WITHIN: Duration = Duration::from_secs(3);
/// How long a close may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// Where the sealed bytes of a row are in the log.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    length: u32,
}

pub(in crate::store) struct FileRows {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
}

struct Shared {
    state: Mutex<State>,
    trouble: Mutex<Option<StoreError>>,
}

struct State {
    table: Table<Place>,
    /// The log that the places of the table are in.
    file: Arc<File>,
}

type Done = oneshot::Sender<Result<bool, StoreError>>;

enum Command {
    Put { from: Option<(Queue, Option<RowLease>)>, row: Stored, done: Done },
    Postpone { id: RowId, lease: RowLease, attempts: u32, next_at: UnixTime, done: Done },
    Remove { queue: Queue, id: RowId, done: Done },
    Close { done: Done },
}

impl FileRows {
    /// Reads the log in `dir`, which is made if it is not there, and begins to write. The store's lock is held by its
    /// engine.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let failed = |cause| OpenError::Io { path: dir.to_owned(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let number = newest(dir).map_err(failed)?;
        let path = dir.join(name(number));
        let file = private().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|cause| OpenError::Io { path: path.clone(), cause })?;
        let mut table = Table::new(bounds(MOST_BYTES));
        let end = log::read(&file, |read| apply(&mut table, read)).map_err(|error| match error {
            Unreadable::Io(cause) => OpenError::Io { path: path.clone(), cause },
            Unreadable::Damaged { at, what } => OpenError::Damaged { path: path.clone(), at, what: what.to_owned() },
        })?;
        let cut = file.set_len(end).and_then(|()| file.sync_all()).and_then(|()| sync_dir(dir));
        cut.map_err(|cause| OpenError::Io { path: path.clone(), cause })?;
        remove_replaced(dir, number).map_err(failed)?;
        let file = Arc::new(file);
        let state = State { table, file: Arc::clone(&file) };
        let shared = Arc::new(Shared { state: Mutex::new(state), trouble: Mutex::default() });
        let (commands, received) = mpsc::unbounded_channel();
        let writer = Writer {
            received,
            shared: Arc::clone(&shared),
            dir: dir.to_owned(),
            file,
            number,
            end,
            synced: end,
            unwritten: Vec::new(),
            rewrite_at: 0,
        };
        thread::Builder::new().name("wxgate-queue".to_owned()).spawn(move || writer.run()).map_err(failed)?;
        Ok(Self { shared, commands })
    }

    pub(super) async fn put(&self, row: Stored) -> Result<bool, StoreError> {
        self.ask(|done| Command::Put { from: None, row, done }).await
    }

    pub(super) async fn replace(&self, from: Queue, lease: Option<RowLease>, row: Stored) -> Result<bool, StoreError> {
        self.ask(|done| Command::Put { from: Some((from, lease)), row, done }).await
    }

    pub(super) async fn postpone(
        &self,
        id: RowId,
        lease: RowLease,
        attempts: u32,
        next_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.ask(|done| Command::Postpone { id, lease, attempts, next_at, done }).await.map(drop)
    }

    pub(super) async fn remove(&self, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        self.ask(|done| Command::Remove { queue, id, done }).await
    }

    pub(super) fn get(&self, queue: Queue, id: RowId) -> Result<Option<Stored>, StoreError> {
        self.check()?;
        let (head, place, file) = {
            let state = self.shared.state.lock();
            let Some(entry) = state.table.get(queue, id) else { return Ok(None) };
            (entry.head.clone(), entry.place, Arc::clone(&state.file))
        };
        Ok(Some(Stored { head, sealed: read_at(&file, place)?.into() }))
    }

    pub(super) fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.check()?;
        Ok(self.shared.state.lock().table.list(query))
    }

    pub(super) fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, StoreError> {
        self.check()?;
        let (taken, file) = {
            let mut state = self.shared.state.lock();
            (state.table.take(take), Arc::clone(&state.file))
        };
        let read = |(head, place, lease)| {
            let sealed = read_at(&file, place)?.into();
            Ok(Taken { row: Stored { head, sealed }, lease })
        };
        taken.into_iter().map(read).collect()
    }

    pub(super) fn set_aside(&self, id: RowId) -> Result<bool, StoreError> {
        self.check()?;
        Ok(self.shared.state.lock().table.set_aside(id))
    }

    pub(super) fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        self.check()?;
        Ok(self.shared.state.lock().table.depths())
    }

    pub(super) fn is_up(&self) -> bool {
        self.check().is_ok()
    }

    pub(super) async fn close(&self) {
        let (done, waiting) = oneshot::channel();
        if self.commands.send(Command::Close { done }).is_ok() && timeout(CLOSE_WITHIN, waiting).await.is_err() {
            tracing::error!("the queues' disk hangs: their log was not closed");
        }
        self.shared.fail(StoreError::Closed);
    }

    /// Whether there are rows; for the start.
    pub(super) fn is_empty(&self) -> bool {
        self.shared.state.lock().table.is_empty()
    }

    /// [`FileRows::put`] for the start, where nothing is served yet. Blocks.
    pub(super) fn put_now(&self, row: Stored) -> Result<bool, StoreError> {
        let (done, waiting) = oneshot::channel();
        drop(self.commands.send(Command::Put { from: None, row, done }));
        // On a thread of its own: a runtime's thread may not wait.
        let waited = thread::scope(|scope| scope.spawn(|| waiting.blocking_recv()).join());
        waited.ok().and_then(Result::ok).unwrap_or_else(|| Err(self.writer_is_gone()))
    }

    async fn ask(&self, command: impl FnOnce(Done) -> Command) -> Result<bool, StoreError> {
        self.check()?;
        let (done, waiting) = oneshot::channel();
        drop(self.commands.send(command(done)));
        match timeout(SYNC_WITHIN, waiting).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(self.writer_is_gone()),
            Err(_) => Err(StoreError::Stalled { within: SYNC_WITHIN }),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        self.shared.trouble.lock().clone().map_or(Ok(()), Err)
    }

    fn writer_is_gone(&self) -> StoreError {
        let gone = StoreError::Failed { cause: Arc::from("the thread that writes the queues has ended") };
        self.check().err().unwrap_or_else(|| self.shared.fail(gone))
    }
}

impl Shared {
    /// Nothing is promised from here on.
    fn fail(&self, trouble: StoreError) -> StoreError {
        self.trouble.lock().get_or_insert(trouble).clone()
    }
}

/// The one thread that writes.
struct Writer {
    received: mpsc::UnboundedReceiver<Command>,
    shared: Arc<Shared>,
    dir: PathBuf,
    file: Arc<File>,
    number: u64,
    /// How long the log is, and how much of it is on the disk for certain.
    end: u64,
    synced: u64,
    /// Changes that a full disk did not take: they hold in memory, and are written as soon as there is space.
    unwritten: Vec<u8>,
    /// After a failure, the length at which writing the log anew is tried again.
    rewrite_at: u64,
}

impl Writer {
    fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH);
        let mut closing = None;
        while closing.is_none() && self.received.blocking_recv_many(&mut commands, BATCH) > 0 {
            let mut waiting = Vec::with_capacity(commands.len());
            for command in commands.drain(..) {
                match command {
                    Command::Put { from, row, done } => waiting.push((done, self.put(from, row))),
                    Command::Postpone { id, lease, attempts, next_at, done } => {
                        let postponed = self.postpone(id, lease, attempts, next_at);
                        drop(done.send(postponed)); // not waited for: see above
                    }
                    Command::Remove { queue, id, done } => waiting.push((done, self.remove(queue, id))),
                    Command::Close { done } => closing = Some(done),
                }
            }
            let synced = self.sync(waiting.iter().any(|(_, result)| matches!(result, Ok(true))) || closing.is_some());
            for (done, result) in waiting {
                let result = result.and_then(|changed| synced.clone().map(|()| changed));
                drop(done.send(result)); // whoever waited has gone: nothing is owed to it
            }
            if closing.is_none() {
                self.rewrite_if_worth_it();
            }
        }
        self.shared.fail(StoreError::Closed);
        if let Some(done) = closing {
            drop(done.send(Ok(true)));
        }
    }

    fn put(&mut self, from: Option<(Queue, Option<RowLease>)>, row: Stored) -> Result<bool, StoreError> {
        self.check()?;
        let Stored { head, sealed } = row;
        let size = log::size_of_put(&head, sealed.len());
        {
            let table = &self.shared.state.lock().table;
            let may = match from {
                None => !table.contains(head.id),
                Some((queue, lease)) => table.may_replace(queue, head.id, lease),
            };
            if !may {
                return Ok(false);
            }
            if from.is_none_or(|(queue, _)| queue != head.queue) {
                table.check_room(head.queue, size)?;
            }
        }
        let mut record = Vec::with_capacity(size);
        Record::Put { head: &head, sealed: &sealed }.write(self.synced, &mut record);
        self.append(&record)?;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        let place = Place { at: self.end.saturating_sub(u64::from(length)), length };
        self.shared.state.lock().table.put(head, place, size);
        Ok(true)
    }

    fn postpone(&mut self, id: RowId, lease: RowLease, attempts: u32, next_at: UnixTime) -> Result<bool, StoreError> {
        let postponed = self.shared.state.lock().table.postpone(id, lease, attempts, next_at);
        if postponed {
            self.note(&Record::Retried { id, attempts, next_at })?;
        }
        Ok(postponed)
    }

    fn remove(&mut self, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        let is_there = self.shared.state.lock().table.get(queue, id).is_some();
        if is_there {
            // Gone from memory whatever the disk says: it was delivered, and may not be again while we live.
            self.shared.state.lock().table.remove(id);
            self.note(&Record::Removed { id })?;
        }
        Ok(is_there)
    }

    /// Writes what has happened already; what does not fit now is written later.
    fn note(&mut self, record: &Record<'_>) -> Result<(), StoreError> {
        self.check()?;
        let mut bytes = Vec::new();
        record.write(self.synced, &mut bytes);
        let appended = self.append(&bytes);
        if matches!(appended, Err(StoreError::DiskFull)) {
            self.unwritten.extend_from_slice(&bytes);
        }
        appended
    }

    /// Appends bytes, and before them what could not be written until now. On an error the log is as it was.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let owed = std::mem::take(&mut self.unwritten);
        let written = if owed.is_empty() { Ok(()) } else { self.append_at_end(&owed) };
        if written.is_err() {
            self.unwritten = owed;
        }
        written.and_then(|()| self.append_at_end(bytes))
    }

    fn append_at_end(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self.file.write_all_at(bytes, self.end) {
            Ok(()) => {
                self.end = self.end.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(error) if no_space(&error) && self.file.set_len(self.end).is_ok() => Err(StoreError::DiskFull),
            Err(error) => Err(self.fail(&error)),
        }
    }

    fn sync(&mut self, is_wanted: bool) -> Result<(), StoreError> {
        if !is_wanted || self.synced == self.end {
            return self.check();
        }
        match self.file.sync_data() {
            Ok(()) => {
                self.synced = self.end;
                Ok(())
            }
            // The system may have dropped what it could not write: trying again would prove nothing.
            Err(error) => Err(self.fail(&error)),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        self.shared.trouble.lock().clone().map_or(Ok(()), Err)
    }

    fn fail(&self, cause: &io::Error) -> StoreError {
        tracing::error!(error = %cause, dir = %self.dir.display(), "the queues take nothing until the gateway is restarted");
        self.shared.fail(StoreError::Failed { cause: Arc::from(cause.to_string()) })
    }

    /// Failing to is no harm but to the size of the directory.
    fn rewrite_if_worth_it(&mut self) {
        let live = u64::try_from(self.shared.state.lock().table.bytes()).unwrap_or(u64::MAX);
        let worth = live.saturating_mul(2).saturating_add(LEAST_GARBAGE).max(self.rewrite_at);
        if self.end < worth || self.check().is_err() {
            return;
        }
        if let Err(error) = self.rewrite() {
            tracing::warn!(%error, "the queues' log goes on growing: it could not be written anew");
            self.rewrite_at = self.end.saturating_mul(2);
        }
    }

    /// Only this thread puts and removes, so the rows stay as they are meanwhile; an attempt that is noted in between is
    /// written with its row or after it.
    fn rewrite(&mut self) -> io::Result<()> {
        let rows = self.shared.state.lock().table.in_turn();
        let number = self.number.saturating_add(1);
        let unfinished = self.dir.join(format!("{}{UNFINISHED}", name(number)));
        let file = private().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
        let (mut end, mut places, mut record) = (0_u64, Vec::with_capacity(rows.len()), Vec::new());
        for (head, place) in &rows {
            let sealed = read_at(&self.file, *place).map_err(io::Error::other)?;
            record.clear();
            Record::Put { head, sealed: &sealed }.write(end, &mut record); // it is, once the file has its name
            file.write_all_at(&record, end)?;
            end = end.saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX));
            places.push((head.id, Place { at: end.saturating_sub(u64::from(place.length)), length: place.length }));
        }
        file.sync_all()?;
        publish(&unfinished, &self.dir.join(name(number)), &self.dir)?;
        let file = Arc::new(file);
        {
            let mut state = self.shared.state.lock();
            for (id, place) in places {
                state.table.set_place(id, place);
            }
            state.file = Arc::clone(&file);
        }
        (self.file, self.number, self.end, self.synced) = (file, number, end, end);
        self.unwritten.clear(); // those changes are in the rows
        self.rewrite_at = 0;
        remove_replaced(&self.dir, number)
    }
}

fn apply(table: &mut Table<Place>, read: Read) {
    match read {
        Read::Put { head, at, length } => {
            let size = log::size_of_put(&head, usize::try_from(length).unwrap_or(usize::MAX));
            table.put(head, Place { at, length }, size);
        }
        Read::Retried { id, attempts, next_at } => table.recall(id, attempts, next_at),
        Read::Removed { id } => drop(table.remove(id)),
    }
}

fn read_at(file: &File, place: Place) -> Result<Vec<u8>, StoreError> {
    let mut sealed = vec![0; usize::try_from(place.length).unwrap_or(usize::MAX)];
    match file.read_exact_at(&mut sealed, place.at) {
        Ok(()) => Ok(sealed),
        Err(error) => Err(StoreError::Unread { cause: Arc::from(error.to_string()) }),
    }
}

fn name(number: u64) -> String {
    format!("log-{number:010}")
}

fn numbered(name: &std::ffi::OsStr) -> Option<u64> {
    name.to_str()?.strip_prefix("log-")?.parse().ok()
}

/// The number of the log to go on with.
fn newest(dir: &Path) -> io::Result<u64> {
    let mut newest = 1;
    for entry in fs::read_dir(dir)? {
        newest = newest.max(numbered(&entry?.file_name()).unwrap_or(0));
    }
    Ok(newest)
}

/// Removes logs that a later one replaced, and what a crash left unfinished.
fn remove_replaced(dir: &Path, number: u64) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let is_unfinished = entry.file_name().to_string_lossy().ends_with(UNFINISHED);
        if is_unfinished || numbered(&entry.file_name()).is_some_and(|earlier| earlier < number) {
            fs::remove_file(entry.path())?;
        }
    }
    sync_dir(dir)
}
