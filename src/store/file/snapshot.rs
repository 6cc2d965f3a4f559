//! A snapshot: everything that the index held at some time after journal `number` was begun. With that journal and all
//! later ones applied over it, it gives the index again; all earlier files can go.
//!
//! It is taken while claims go on, shard by shard. So it holds some of what the later journals say; records set what they
//! name, whatever was before, so applying those once more changes nothing.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::disk;
use super::frame::{self, Row};
use crate::clock::UnixTime;
use crate::store::index::{Index, Record};

/// The name of the snapshot that stands for everything before journal `number`.
pub(super) fn name(number: u64) -> String {
    format!("snapshot-{number:010}")
}

/// Writes snapshot `number` and gives its size in bytes. `stop` ends it early, as an error.
pub(super) fn write(dir: &Path, number: u64, index: &Index, now: UnixTime, stop: &AtomicBool) -> io::Result<u64> {
    let unfinished = dir.join(format!("{}{}", name(number), disk::UNFINISHED));
    let file = disk::private().write(true).create(true).truncate(true).open(&unfinished)?;
    let written = write_to(file, number, index, now, stop);
    let published = written.and_then(|size| disk::publish(&unfinished, &dir.join(name(number)), dir).map(|()| size));
    if published.is_err() {
        drop(fs::remove_file(&unfinished)); // the first error is the one to tell
    }
    published
}

fn write_to(file: File, number: u64, index: &Index, now: UnixTime, stop: &AtomicBool) -> io::Result<u64> {
    let mut out = Out { file: BufWriter::with_capacity(1 << 20, file), rows: 0, size: 0, frame: Vec::new() };
    frame::start(number, &mut out.frame);
    out.send()?;
    index.for_each(now, |records| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        records.chunks(RECORDS_A_FRAME).try_for_each(|some| out.put(some))
    })?;
    frame::end(out.rows, out.size, &mut out.frame);
    out.send()?;
    let file = out.file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(out.size)
}

/// Far below [`frame::MOST_BYTES`]: a record takes at most 47 bytes.
const RECORDS_A_FRAME: usize = 4096;

struct Out {
    file: BufWriter<File>,
    rows: u64,
    size: u64,
    frame: Vec<u8>,
}

impl Out {
    fn put(&mut self, records: &[Record]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(frame::MOST_BYTES / 4);
        for record in records {
            Row::Change(*record).write(&mut bytes);
        }
        self.rows = self.rows.saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
        frame::frame(&bytes, self.size, &mut self.frame);
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        self.file.write_all(&self.frame)?;
        self.size = self.size.saturating_add(u64::try_from(self.frame.len()).unwrap_or(u64::MAX));
        self.frame.clear();
        Ok(())
    }
}
