//! A snapshot: everything that the index held at some time after journal `number` was begun. With that journal and all
//! later ones applied over it, it gives the index again; all earlier files can go.
//!
//! It is taken while claims go on, shard by shard. So it holds some of what the later journals say; records set what they
//! name, whatever was before, so applying those once more changes nothing. And it gets its name only when those journals are
//! durable up to its last record: else a power failure could leave a counter here whose event is nowhere, and the event's next
//! try would move it again.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk;
use super::frame;
use super::row::{self, Row};
use crate::clock::UnixTime;
use crate::store::index::Index;

/// The name of the snapshot that stands for everything before journal `number`.
pub(super) fn name(number: u64) -> String {
    format!("snapshot-{number:010}")
}

/// Writes snapshot `number` and gives its size in bytes. `stop` ends it early, as an error. `journals_are_durable` returns
/// when all that was in the index when it was called is durable in journals.
pub(super) fn write(
    dir: &Path,
    number: u64,
    index: &Index,
    now: UnixTime,
    stop: &AtomicBool,
    journals_are_durable: impl FnOnce() -> io::Result<()>,
) -> io::Result<u64> {
    let unfinished = dir.join(format!("{}{}", name(number), disk::UNFINISHED));
    let file = disk::private().write(true).create(true).truncate(true).open(&unfinished)?;
    let written = write_to(file, number, index, now, stop);
    let published = written.and_then(|size| {
        journals_are_durable()?;
        disk::publish(&unfinished, &dir.join(name(number)), dir)?;
        Ok(size)
    });
    if published.is_err() {
        drop(fs::remove_file(&unfinished)); // the first error is the one to tell
    }
    published
}

fn write_to(file: File, number: u64, index: &Index, now: UnixTime, stop: &AtomicBool) -> io::Result<u64> {
    let file = BufWriter::with_capacity(1 << 20, file);
    let mut out = Out { file, rows: 0, size: 0, records: Vec::new(), frame: Vec::new() };
    frame::start(number, &mut out.frame);
    out.send()?;
    index.for_each(now, |records| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        records.iter().try_for_each(|record| out.put(|bytes| row::write_record(record, bytes)))
    })?;
    for registrations in index.registrations(now) {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mut registrations = registrations.into_iter().map(Row::Registration);
        registrations.try_for_each(|row| out.put(|bytes| row.write(bytes)))?;
    }
    out.send_frame()?;
    frame::end(out.rows, out.size, &mut out.frame);
    out.send()?;
    let file = out.file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(out.size)
}

/// A frame is written when it has this many bytes. Far below [`frame::MOST_BYTES`]: a row takes at most a few hundred.
const A_FRAME: usize = 128 * 1024;

struct Out {
    file: BufWriter<File>,
    rows: u64,
    size: u64,
    records: Vec<u8>,
    frame: Vec<u8>,
}

impl Out {
    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.records);
        self.rows = self.rows.saturating_add(1);
        if self.records.len() >= A_FRAME { self.send_frame() } else { Ok(()) }
    }

    fn send_frame(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        frame::frame(&self.records, self.size, &mut self.frame);
        self.records.clear();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        self.file.write_all(&self.frame)?;
        self.size = self.size.saturating_add(u64::try_from(self.frame.len()).unwrap_or(u64::MAX));
        self.frame.clear();
        Ok(())
    }
}
