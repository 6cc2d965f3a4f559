//! The form of journals and snapshots: a run of frames, each with a checksum over all that it holds.
//!
//! | bytes | field |
//! |---:|---|
//! | 4 | [`MAGIC`] |
//! | 4 | length of the records, little-endian like every number here |
//! | 8 | how much of this file was durable when the frame was written |
//! | 4 | CRC-32 of length, durable and records |
//! | … | records, each a kind and its fields ([`Row`]) |
//!
//! The durable mark tells a torn tail from a damaged middle: what a broken frame may have confirmed is lost only if a
//! later frame says that it had been durable. The first frame of a file holds [`Row::Start`], the last [`Row::End`] if the
//! file was closed.

use super::row::{Reader, Row};

const MAGIC: [u8; 4] = *b"wxg\x01";
pub(super) const HEAD: usize = 20;

/// Largest run of records in one frame. A longer one is damage.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The version of this form. Files of older versions are read: they hold fewer kinds of records. A file of a newer one is
/// refused, never guessed at.
///
/// | version | new in it |
/// |---:|---|
/// | 1 | nonces and events |
/// | 2 | counters, orders, lists |
pub(super) const VERSION: u32 = 2;

/// What was read of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The number in its first frame.
    pub(super) number: u64,
    /// Changes that were read.
    pub(super) changes: u64,
    /// The end of the last whole frame.
    pub(super) end: usize,
    /// Whether the file was closed.
    pub(super) is_closed: bool,
}

/// Damage that is not a torn tail, or a file that is not for this gateway.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("a frame is damaged, and a later one shows that it had been confirmed")]
    Middle { at: usize },
    #[error("a frame holds a record of an unknown kind; it may be of a newer version of the gateway")]
    Record { at: usize },
    #[error("the first frame is missing or damaged")]
    Start,
    #[error("it is of version {version}")]
    Version { version: u32 },
}

impl Damage {
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Middle { at } | Self::Record { at } => *at,
            Self::Start | Self::Version { .. } => 0,
        }
    }
}

/// Puts a frame around records.
pub(super) fn frame(records: &[u8], durable: u64, into: &mut Vec<u8>) {
    debug_assert!(records.len() <= MOST_BYTES, "a frame that nobody will read");
    let length = u32::try_from(records.len()).unwrap_or(u32::MAX).to_le_bytes();
    let durable = durable.to_le_bytes();
    let sum = checksum(&length, &durable, records).to_le_bytes();
    for part in [&MAGIC[..], &length, &durable, &sum, records] {
        into.extend_from_slice(part);
    }
}

/// The first frame of file `number`.
pub(super) fn start(number: u64, into: &mut Vec<u8>) {
    let mut records = Vec::new();
    Row::Start { version: VERSION, number }.write(&mut records);
    frame(&records, 0, into);
}

/// The last frame of a file.
pub(super) fn end(rows: u64, durable: u64, into: &mut Vec<u8>) {
    let mut records = Vec::new();
    Row::End { rows }.write(&mut records);
    frame(&records, durable, into);
}

/// Reads a file from its start: `change` sees every change and every registration of every whole frame.
pub(super) fn scan(file: &[u8], mut change: impl FnMut(Row)) -> Result<Scan, Damage> {
    let mut scan = Scan { number: start_of(file)?, changes: 0, end: 0, is_closed: false };
    while let Some(frame) = Frame::read(file, scan.end) {
        let mut rows = Reader(frame.records);
        while !rows.is_empty() {
            match Row::read(&mut rows).ok_or(Damage::Record { at: scan.end })? {
                Row::Start { .. } => {}
                row @ (Row::Change(_) | Row::Counted(_) | Row::Registration(_)) => {
                    scan.changes = scan.changes.saturating_add(1);
                    change(row);
                }
                Row::End { .. } => scan.is_closed = true,
            }
        }
        scan.end = frame.end;
        if scan.is_closed {
            return Ok(scan);
        }
    }
    // A torn tail or damage: whatever stands behind the break decides.
    let broken = scan.end;
    let confirmed = |at| Frame::read(file, at).is_some_and(|frame| frame.durable > u64::try_from(broken).unwrap_or(0));
    if (broken..file.len()).any(confirmed) {
        return Err(Damage::Middle { at: broken });
    }
    Ok(scan)
}

fn start_of(file: &[u8]) -> Result<u64, Damage> {
    let first = Frame::read(file, 0).and_then(|frame| Row::read(&mut Reader(frame.records)));
    match first {
        Some(Row::Start { version: 1..=VERSION, number }) => Ok(number),
        Some(Row::Start { version: version @ 1.., .. }) => Err(Damage::Version { version }),
        Some(Row::Start { .. } | Row::Change(_) | Row::Counted(_) | Row::Registration(_) | Row::End { .. }) | None => {
            Err(Damage::Start)
        }
    }
}

fn checksum(length: &[u8], durable: &[u8], records: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [length, durable, records] {
        sum.update(part);
    }
    sum.finalize()
}

struct Frame<'a> {
    records: &'a [u8],
    durable: u64,
    end: usize,
}

impl<'a> Frame<'a> {
    /// The whole and undamaged frame at `at`, if there is one.
    fn read(file: &'a [u8], at: usize) -> Option<Self> {
        let mut reader = Reader(file.get(at..)?);
        if reader.take()? != MAGIC {
            return None;
        }
        let (length, durable, sum) = (reader.take()?, reader.take()?, reader.take()?);
        let size = usize::try_from(u32::from_le_bytes(length)).ok().filter(|size| *size <= MOST_BYTES)?;
        let records = reader.0.get(..size)?;
        if checksum(&length, &durable, records) != u32::from_le_bytes(sum) {
            return None;
        }
        let end = at.checked_add(HEAD)?.checked_add(size)?;
        Some(Self { records, durable: u64::from_le_bytes(durable), end })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::rows;
    use super::*;
    use crate::store::index::{Key, Record, Seconds};

    /// A file in which each frame was confirmed before the next was written, and where each frame begins.
    fn file(frames: &[Vec<Row>]) -> (Vec<u8>, Vec<usize>) {
        let mut file = Vec::new();
        let mut starts = Vec::new();
        start(7, &mut file);
        for records in frames {
            starts.push(file.len());
            let mut bytes = Vec::new();
            for record in records {
                record.write(&mut bytes);
            }
            let durable = file.len() as u64;
            frame(&bytes, durable, &mut file);
        }
        (file, starts)
    }

    fn read(file: &[u8]) -> Result<(Vec<Row>, Scan), Damage> {
        let mut records = Vec::new();
        let scan = scan(file, |record| records.push(record))?;
        Ok((records, scan))
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(frames in prop::collection::vec(prop::collection::vec(rows(), 1..8), 0..8)) {
            let (mut file, _) = file(&frames);
            let whole = file.len();
            file.extend([0; 4096]); // allocated, not yet written
            let (records, scan) = read(&file).unwrap();
            prop_assert_eq!(records, frames.concat());
            prop_assert_eq!((scan.number, scan.end, scan.is_closed), (7, whole, false));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let (mut whole, _) = file(&[]);
            whole.extend_from_slice(&bytes);
            let _ = read(&whole);
            let _ = read(&bytes);
        }

        #[test]
        fn a_changed_byte_is_never_taken_for_another_record(
            frames in prop::collection::vec(prop::collection::vec(rows(), 1..4), 2..6),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let (mut bytes, starts) = file(&frames);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let last = *starts.last().unwrap();
            match read(&bytes) {
                Err(Damage::Start) => prop_assert!(at < starts[0]),
                Err(Damage::Middle { at: told }) => {
                    let damaged = starts.iter().copied().rfind(|start| *start <= at);
                    prop_assert_eq!(Some(told), damaged, "a confirmed frame was damaged");
                    prop_assert!(told < last);
                }
                Err(Damage::Record { .. } | Damage::Version { .. }) => prop_assert!(false, "the checksum let it through"),
                // Only what nothing shows to have been confirmed may be cut.
                Ok((records, _)) => {
                    prop_assert!(at >= last);
                    prop_assert_eq!(records, frames.split_last().unwrap().1.concat());
                }
            }
        }
    }

    #[test]
    fn a_closed_file_tells_damage_in_its_last_frame() {
        let record = Row::Change(Record::Nonce { key: Key([1; 16]), until: Seconds(5) });
        let (mut bytes, starts) = file(&[vec![record]]);
        let durable = bytes.len() as u64;
        end(1, durable, &mut bytes);
        assert!(read(&bytes).unwrap().1.is_closed);
        bytes[starts[0] + HEAD + 3] ^= 1;
        assert_eq!(read(&bytes), Err(Damage::Middle { at: starts[0] }));
    }

    fn of_version(version: u32) -> Vec<u8> {
        let (mut bytes, mut rows) = (Vec::new(), Vec::new());
        Row::Start { version, number: 1 }.write(&mut rows);
        frame(&rows, 0, &mut bytes);
        bytes
    }

    #[test]
    fn older_versions_are_read_and_newer_ones_are_refused_by_their_name() {
        assert_eq!(read(&of_version(1)).unwrap().1.number, 1);
        assert_eq!(read(&of_version(0)), Err(Damage::Start));
        assert_eq!(read(&of_version(VERSION + 1)), Err(Damage::Version { version: VERSION + 1 }));
    }
}
