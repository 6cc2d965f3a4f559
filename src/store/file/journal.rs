//! One journal file: appended to by the writer alone, in space that was filled with zeros beforehand.
//!
//! Space comes first for two reasons. A write into allocated space changes no metadata, so its sync is a third cheaper.
//! And a full disk shows when space is asked for, before any record is written: nothing is half there, and the same
//! records go in when there is space again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Medium};
use super::frame;

/// How much space is asked for at a time: about a millisecond of writing.
const ALLOCATE: u64 = 1 << 20;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// The journal that is being written.
pub(super) struct Journal {
    medium: Box<dyn Medium>,
    number: u64,
    /// The end of what was written.
    end: u64,
    /// The end of what is known to be on the disk.
    durable: u64,
    /// The end of the space that is ours.
    allocated: u64,
    /// A frame on its way.
    frame: Vec<u8>,
}

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum AppendError {
    /// No space. The journal is as it was; the same append may be tried again.
    NoSpace(io::Error),
    /// Something was or may have been written. What the disk holds is uncertain until it is read anew.
    Failed(io::Error),
}

/// The name of journal `number`.
pub(super) fn name(number: u64) -> String {
    format!("journal-{number:010}")
}

/// A journal that has no name yet: it takes part in nothing before [`Unnamed::publish`].
pub(super) struct Unnamed {
    journal: Journal,
    unfinished: PathBuf,
}

impl Journal {
    /// Makes journal `number`, with its first frame on the disk.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, number: u64) -> io::Result<Unnamed> {
        let unfinished = dir.join(format!("{}{}", name(number), disk::UNFINISHED));
        let medium = disk.create(&unfinished)?;
        let mut journal = Self { medium, number, end: 0, durable: 0, allocated: 0, frame: Vec::new() };
        let begun = journal.begin();
        if let Err(error) = begun {
            drop(fs::remove_file(&unfinished)); // the first error is the one to tell
            return Err(error);
        }
        Ok(Unnamed { journal, unfinished })
    }

    fn begin(&mut self) -> io::Result<()> {
        frame::start(self.number, &mut self.frame);
        self.write_frame().map_err(|error| match error {
            AppendError::NoSpace(cause) | AppendError::Failed(cause) => cause,
        })?;
        self.sync()
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// How much was written, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Writes records as one frame. They are durable after the next [`Journal::sync`].
    pub(super) fn append(&mut self, records: &[u8]) -> Result<(), AppendError> {
        self.frame.clear();
        frame::frame(records, self.durable, &mut self.frame);
        self.write_frame()
    }

    /// All that was appended is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.durable == self.end {
            return Ok(());
        }
        self.medium.sync_data()?;
        self.durable = self.end;
        Ok(())
    }

    /// Writes the last frame. What lies behind it is given back.
    pub(super) fn close(mut self) -> Result<(), (Self, AppendError)> {
        if let Err(cause) = self.sync() {
            return Err((self, AppendError::Failed(cause)));
        }
        self.frame.clear();
        frame::end(0, self.durable, &mut self.frame);
        if let Err(error) = self.write_frame() {
            return Err((self, error));
        }
        let closed = self.sync().and_then(|()| self.medium.set_len(self.end)).and_then(|()| self.medium.sync_data());
        closed.map_err(|cause| (self, AppendError::Failed(cause)))
    }

    fn write_frame(&mut self) -> Result<(), AppendError> {
        let length = u64::try_from(self.frame.len()).unwrap_or(u64::MAX);
        let end = self.end.saturating_add(length);
        if end > self.allocated {
            self.allocate(end).map_err(|error| {
                if disk::no_space(&error) { AppendError::NoSpace(error) } else { AppendError::Failed(error) }
            })?;
        }
        self.medium.write_all_at(&self.frame, self.end).map_err(AppendError::Failed)?;
        self.end = end;
        Ok(())
    }

    /// Synced, because some file systems find out only then that there is no space.
    fn allocate(&mut self, end: u64) -> io::Result<()> {
        let wanted = end.saturating_add(ALLOCATE);
        let mut at = self.allocated;
        while at < wanted {
            self.medium.write_all_at(&ZEROS, at)?;
            at = at.saturating_add(u64::try_from(ZEROS.len()).unwrap_or(u64::MAX));
        }
        self.medium.sync_data()?;
        self.allocated = at;
        Ok(())
    }
}

impl Unnamed {
    /// From here on the journal is one of the store's.
    pub(super) fn publish(self, dir: &Path) -> io::Result<Journal> {
        disk::publish(&self.unfinished, &dir.join(name(self.journal.number)), dir)?;
        Ok(self.journal)
    }

    /// It was not needed after all.
    pub(super) fn discard(self) {
        drop(fs::remove_file(&self.unfinished)); // the next opening removes it otherwise
    }
}
