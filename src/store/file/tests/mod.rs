//! The engine against disks that lose, fill up, fail and hang.

#![allow(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

mod compaction;
mod counted;
mod crash;
mod trouble;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;

use super::disk::{Disk, Medium, SystemDisk};
use super::*;
use crate::clock::UnixTime;
use crate::store::conformance::{Fixture, conformance};
use crate::store::engine::{End, Engine, Kind, NonceUse};

pub(super) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// A process that is killed: what it wrote stays, synced or not.
struct Killed {
    dir: TempDir,
    after: Mutex<Vec<TempDir>>,
}

impl Fixture for Killed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), after: Mutex::default() }
    }

    async fn open(&self, _now: UnixTime) -> Engine {
        let latest = self.after.lock().last().map_or(self.dir.path().to_owned(), |dir| dir.path().to_owned());
        Engine(Kind::File(FileEngine::open(&latest).unwrap()))
    }

    async fn crash(&self, engine: Engine, _now: UnixTime) -> Option<Engine> {
        let latest = self.after.lock().last().map_or(self.dir.path().to_owned(), |dir| dir.path().to_owned());
        let after = copy_of(&latest); // taken while the engine runs
        drop(engine);
        let engine = FileEngine::open(after.path()).unwrap();
        self.after.lock().push(after);
        Some(Engine(Kind::File(engine)))
    }
}

/// A machine that loses power: of what it wrote only what it synced stays.
struct PowerLost(Killed);

impl PowerLost {
    fn engine(dir: &Path) -> Engine {
        let disk = Box::new(TestDisk::default());
        Engine(Kind::File(FileEngine::open_on(disk, dir, BOUNDS).unwrap()))
    }
}

impl Fixture for PowerLost {
    fn new() -> Self {
        Self(Killed::new())
    }

    async fn open(&self, _now: UnixTime) -> Engine {
        Self::engine(self.0.dir.path())
    }

    async fn crash(&self, engine: Engine, _now: UnixTime) -> Option<Engine> {
        let after = copy_of(self.0.dir.path());
        drop(engine);
        let engine = Self::engine(after.path());
        self.0.after.lock().push(after);
        Some(engine)
    }
}

mod killed {
    super::conformance!(super::Killed, 24);
}

mod power_lost {
    super::conformance!(super::PowerLost, 24);
}

/// What a [`TestDisk`] does wrong, and what it has not synced. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Fault(Arc<(Mutex<FaultState>, Condvar)>);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    NoSpace,
    Writes,
    Syncs,
    SyncsHang,
}

#[derive(Default)]
pub(super) struct FaultState {
    pub(super) broken: Option<Broken>,
    /// Writes since the last sync of the file that was written last.
    pub(super) unsynced: Vec<(u64, Vec<u8>)>,
    pub(super) syncs: usize,
}

impl Fault {
    pub(super) fn set(&self, change: impl FnOnce(&mut FaultState)) {
        change(&mut self.0.0.lock());
        self.0.1.notify_all();
    }

    pub(super) fn breaks(&self, what: Broken) {
        self.set(|fault| fault.broken = Some(what));
    }

    pub(super) fn mends(&self) {
        self.set(|fault| fault.broken = None);
    }

    fn is(&self, broken: Broken) -> bool {
        self.get(|fault| fault.broken == Some(broken))
    }

    pub(super) fn get<T>(&self, look: impl FnOnce(&FaultState) -> T) -> T {
        look(&self.0.0.lock())
    }
}

/// Writes reach the file when they are synced, and things go wrong when told to.
#[derive(Clone, Default)]
pub(super) struct TestDisk {
    pub(super) fault: Fault,
}

struct TestMedium {
    file: File,
    fault: Fault,
    /// What has been written so far: beyond it lies space that is not ours yet.
    length: Mutex<u64>,
}

impl Disk for TestDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        if self.fault.is(Broken::NoSpace) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemDisk.create(path)?;
        let file = File::options().write(true).open(path)?;
        self.fault.set(|fault| fault.unsynced.clear());
        Ok(Box::new(TestMedium { file, fault: self.fault.clone(), length: Mutex::default() }))
    }
}

impl Medium for TestMedium {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut length = self.length.lock();
        let end = offset + bytes.len() as u64;
        if self.fault.is(Broken::Writes) {
            return Err(io::Error::other("the test lets writes fail"));
        }
        if end > *length && self.fault.is(Broken::NoSpace) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *length = end.max(*length);
        self.fault.set(|fault| fault.unsynced.push((offset, bytes.to_vec())));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (state, changed) = &*self.fault.0;
        let mut state = state.lock();
        while state.broken == Some(Broken::SyncsHang) {
            changed.wait(&mut state);
        }
        if state.broken == Some(Broken::Syncs) {
            return Err(io::Error::other("the test lets syncs fail"));
        }
        state.syncs += 1;
        for (offset, bytes) in state.unsynced.drain(..) {
            self.file.write_all_at(&bytes, offset)?;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// The directory as a crash would leave it: files that a compaction makes or removes meanwhile would make a mixture of two
/// moments, so it is copied until none did.
pub(super) fn copy_of(dir: &Path) -> TempDir {
    loop {
        let copy = tempfile::tempdir().unwrap();
        let before = names_in(dir);
        match copy_into(dir, copy.path()) {
            Ok(()) if names_in(dir) == before => return copy,
            Ok(()) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
        }
    }
}

fn names_in(dir: &Path) -> std::collections::BTreeSet<std::ffi::OsString> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn copy_into(dir: &Path, copy: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let to = copy.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&to)?;
            copy_into(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Everything in the directory by name, to compare.
pub(super) fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut contents: Vec<_> = files.map(|path| (name_of(&path), fs::read(&path).unwrap())).collect();
    contents.sort();
    contents
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

pub(super) fn newest_journal(dir: &Path) -> PathBuf {
    let names = contents(dir).into_iter().map(|(name, _)| name);
    dir.join(names.filter(|name| name.starts_with("journal-")).max().unwrap())
}

pub(super) fn ask(number: u64) -> Ask<'static> {
    let nonce = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Ask {
        endpoint: "pay",
        nonce: Some(NonceUse { digest: nonce.to_le_bytes(), signed_at: NOW, until: NOW.plus(Duration::from_mins(5)) }),
        event: nonce.rotate_left(64).to_le_bytes(),
        content: [1; 8],
        lease: Duration::from_secs(10),
        retention: Duration::from_hours(72),
        now: NOW,
        counters: &[],
        order: None,
        lists: &[],
    }
}

/// WeChat's next try at the event of `number`.
pub(super) fn retry(number: u64) -> Ask<'static> {
    Ask { nonce: ask(number + (1 << 40)).nonce, ..ask(number) }
}

pub(super) fn done(number: u64, lease: Lease) -> Settlement<'static> {
    let ask = ask(number);
    Settlement {
        endpoint: ask.endpoint,
        event: ask.event,
        content: ask.content,
        lease,
        end: End::Done,
        retention: ask.retention,
        now: ask.now,
    }
}

pub(super) async fn claim(engine: &FileEngine, number: u64) -> Lease {
    match engine.claim(&ask(number)).await.unwrap() {
        Reply::Claimed { lease, .. } => lease,
        other => panic!("event {number} was not claimed but {other:?}"),
    }
}

/// Takes an event from claim to done.
pub(super) async fn forward(engine: &FileEngine, number: u64) {
    let lease = claim(engine, number).await;
    engine.settle(&done(number, lease)).await.unwrap();
}

/// What a fresh index says to the request of `number` and to WeChat's retry of it.
pub(super) fn known(index: &Index, number: u64) -> (Reply, Reply) {
    let claim = |ask| index.claim(&ask, Lease(u64::MAX), |_| ()).unwrap();
    (claim(ask(number)), claim(retry(number)))
}

pub(super) const DONE: (Reply, Reply) = (Reply::Replayed, Reply::Duplicate);
