//! From the files of a directory to an index, or to an error that says which file is damaged where. Reading changes nothing
//! but this: unfinished files go, files that a snapshot replaced go, and the tail of the last journal, torn by a crash, is
//! cut. On an error nothing was changed at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::disk;
use super::frame::{self, Damage, Scan};
use super::row::Row;
use super::{journal, snapshot};
use crate::store::OpenError;
use crate::store::index::{Index, Runs};

/// What was found.
pub(super) struct Recovered {
    pub(super) index: Index,
    /// The number for the next journal.
    pub(super) next: u64,
    /// Size of the snapshot, in bytes; 0 without one.
    pub(super) snapshot_size: u64,
    /// Journals after the snapshot, and their size in bytes.
    pub(super) journals: u64,
    pub(super) journal_size: u64,
}

/// The files of the store, by what they are.
#[derive(Default)]
struct Files {
    snapshots: Vec<u64>,
    journals: Vec<u64>,
    unfinished: Vec<PathBuf>,
}

/// Reads everything that is there, and closes the last journal.
pub(super) fn recover(dir: &Path) -> Result<Recovered, OpenError> {
    let mut files = list(dir).map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
    files.journals.sort_unstable();
    let base = files.snapshots.iter().copied().max();
    let mut recovered = Recovered { index: Index::new(), next: 1, snapshot_size: 0, journals: 0, journal_size: 0 };
    if let Some(number) = base {
        recovered.read_snapshot(dir, number)?;
    }
    let first = base.unwrap_or(1);
    let current: Vec<u64> = files.journals.iter().copied().filter(|number| *number >= first).collect();
    if base.is_some() && current.is_empty() {
        return Err(missing(dir, first));
    }
    let mut torn = None;
    for (at, number) in current.iter().enumerate() {
        if *number != recovered.next.max(first) {
            return Err(missing(dir, recovered.next.max(first)));
        }
        let is_last = at.checked_add(1) == Some(current.len());
        torn = recovered.read_journal(dir, *number, is_last)?;
        recovered.next = number.saturating_add(1);
    }
    if let Some((path, end)) = torn {
        cut(&path, end).map_err(|cause| OpenError::Io { path, cause })?;
    }
    remove_replaced(dir, &files, first).map_err(|cause| OpenError::Io { path: dir.to_owned(), cause })?;
    Ok(recovered)
}

/// Removes what no opening will need once the snapshot `number` is there.
pub(super) fn remove_before(dir: &Path, number: u64) -> io::Result<()> {
    let files = list(dir)?;
    remove_replaced(dir, &Files { unfinished: Vec::new(), ..files }, number)
}

fn remove_replaced(dir: &Path, files: &Files, first: u64) -> io::Result<()> {
    let snapshots =
        files.snapshots.iter().filter(|number| **number < first).map(|number| dir.join(snapshot::name(*number)));
    let journals =
        files.journals.iter().filter(|number| **number < first).map(|number| dir.join(journal::name(*number)));
    for path in snapshots.chain(journals).chain(files.unfinished.iter().cloned()) {
        fs::remove_file(path)?;
    }
    disk::sync_dir(dir)
}

fn list(dir: &Path) -> io::Result<Files> {
    let mut files = Files::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(disk::UNFINISHED) {
            files.unfinished.push(entry.path());
        } else if let Some(number) = numbered(name, "snapshot-") {
            files.snapshots.push(number);
        } else if let Some(number) = numbered(name, "journal-") {
            files.journals.push(number);
        }
    }
    Ok(files)
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix).and_then(|number| number.parse().ok())
}

impl Recovered {
    fn read_snapshot(&mut self, dir: &Path, number: u64) -> Result<(), OpenError> {
        let path = dir.join(snapshot::name(number));
        let bytes = read(&path)?;
        self.index.reserve(0, bytes.len() / 64); // 31 to 47 bytes are an event, 21 a nonce
        let scan = self.apply(&path, number, &bytes)?;
        if !scan.is_closed {
            return Err(damaged(&path, scan.end, "the snapshot ends in the middle"));
        }
        self.snapshot_size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Reads a journal. If it was not closed, gives its path and the end of what counts.
    fn read_journal(&mut self, dir: &Path, number: u64, is_last: bool) -> Result<Option<(PathBuf, u64)>, OpenError> {
        let path = dir.join(journal::name(number));
        let bytes = read(&path)?;
        self.index.reserve(bytes.len() / 256, bytes.len() / 256); // a callback writes 105 bytes and more: half of the room
        let scan = self.apply(&path, number, &bytes)?;
        let end = u64::try_from(scan.end).unwrap_or(u64::MAX);
        self.journals = self.journals.saturating_add(1);
        self.journal_size = self.journal_size.saturating_add(end);
        match (scan.is_closed, is_last) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some((path, end))),
            (false, false) => Err(damaged(&path, scan.end, "the journal ends in the middle, and there is a later one")),
        }
    }

    fn apply(&mut self, path: &Path, number: u64, bytes: &[u8]) -> Result<Scan, OpenError> {
        let mut runs = Runs::new();
        let scan = frame::scan(bytes, |row| match row {
            Row::Change(record) => {
                runs.push(record);
                if runs.are_many() {
                    self.index.apply(&mut runs);
                }
            }
            Row::Counted(records) => records.into_iter().for_each(|record| runs.push(record)),
            Row::Registration(registration) => self.index.apply_registration(registration),
            Row::Start { .. } | Row::End { .. } => {}
        });
        self.index.apply(&mut runs);
        let scan = scan.map_err(|damage| refused(path, &damage))?;
        if scan.number != number {
            return Err(damaged(path, 0, &format!("the file says that its number is {}", scan.number)));
        }
        Ok(scan)
    }
}

/// A journal of these bytes, for [`super::scan_for_fuzzing`].
#[cfg(fuzzing)]
pub(super) fn apply_for_fuzzing(journal: &[u8]) {
    let mut recovered = Recovered { index: Index::new(), next: 1, snapshot_size: 0, journals: 0, journal_size: 0 };
    if let Ok(scan) = recovered.apply(Path::new("journal"), 1, journal) {
        assert!(scan.end <= journal.len());
        let now = recovered.index.latest();
        let _ = recovered.index.for_each(now, |_| Ok::<(), ()>(()));
        recovered.index.registrations(now).for_each(drop);
    }
}

/// Cuts the torn tail off and closes the journal, so that nothing is ever appended behind what a crash left.
fn cut(path: &Path, end: u64) -> io::Result<()> {
    let mut file = disk::private().append(true).open(path)?;
    file.set_len(end)?;
    file.sync_all()?;
    let mut last = Vec::new();
    frame::end(0, end, &mut last);
    file.write_all(&last)?;
    file.sync_all()
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|cause| OpenError::Io { path: path.to_owned(), cause })
}

fn refused(path: &Path, damage: &Damage) -> OpenError {
    match *damage {
        Damage::Version { version } => OpenError::Newer { path: path.to_owned(), version, known: frame::VERSION },
        Damage::Start | Damage::Middle { .. } | Damage::Record { .. } => {
            damaged(path, damage.at(), &damage.to_string())
        }
    }
}

fn damaged(path: &Path, at: usize, what: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), at: u64::try_from(at).unwrap_or(u64::MAX), what: what.to_owned() }
}

fn missing(dir: &Path, number: u64) -> OpenError {
    damaged(&dir.join(journal::name(number)), 0, "the file is missing, and later ones build on it")
}
