//! The few things that the engine asks of a disk, so that tests can let each of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::Path;

/// The end of a name that counts for nothing yet.
pub(in crate::store) const UNFINISHED: &str = ".new";

/// Where journals are made.
pub(super) trait Disk: Send {
    /// An empty file, in place of whatever was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
}

/// A file that is written at places of the writer's choice.
pub(super) trait Medium: Send {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Waits until all that was written is on the disk, with the length, without the times.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts off what lies behind `length`.
    fn set_len(&self, length: u64) -> io::Result<()>;
}

/// The disk that the system gives us.
pub(super) struct SystemDisk;

impl Disk for SystemDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(private().write(true).create(true).truncate(true).open(path)?))
    }
}

impl Medium for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::sync_data(self)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }
}

/// Files of the store are for its owner alone: what waits in its queues is payments.
pub(in crate::store) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Whether somebody can help by making space.
pub(in crate::store) fn no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Waits until the names in a directory are on the disk.
pub(in crate::store) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Gives a file its name once all of it is on the disk: there is the old file, or the whole new one.
pub(in crate::store) fn publish(unfinished: &Path, name: &Path, dir: &Path) -> io::Result<()> {
    fs::rename(unfinished, name)?;
    sync_dir(dir)
}

/// Writes a file whole: after a crash there is all of it or none.
pub(in crate::store) fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = dir.join(format!("{name}{UNFINISHED}"));
    let mut file = private().write(true).create(true).truncate(true).open(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| publish(&unfinished, &dir.join(name), dir)) {
        drop(fs::remove_file(&unfinished)); // the first error is the one to tell
        return Err(error);
    }
    Ok(())
}
