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

use crate::clock::UnixTime;
use crate::store::engine::Lease;
use crate::store::index::{EventRow, Flight, Key, Record, Seconds};

const MAGIC: [u8; 4] = *b"wxg\x01";
const HEAD: usize = 20;

/// Largest run of records in one frame. A longer one is damage.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The version of this form. A file of another version is refused, never guessed at.
const VERSION: u32 = 1;

/// What stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// The file's number, and the version of its form.
    Start { version: u32, number: u64 },
    /// A change of the index.
    Change(Record),
    /// Nothing comes after this.
    End { rows: u64 },
}

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

/// Damage that is not a torn tail.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("a frame is damaged, and a later one shows that it had been confirmed")]
    Middle { at: usize },
    #[error("a frame holds a record of an unknown kind; it may be of a newer version of the gateway")]
    Record { at: usize },
    #[error("the first frame is missing or of another version than {VERSION}")]
    Start,
}

impl Damage {
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Middle { at } | Self::Record { at } => *at,
            Self::Start => 0,
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

/// Reads a file from its start: `change` sees every change of every whole frame.
pub(super) fn scan(file: &[u8], mut change: impl FnMut(Record)) -> Result<Scan, Damage> {
    let mut scan = Scan { number: start_of(file).ok_or(Damage::Start)?, changes: 0, end: 0, is_closed: false };
    while let Some(frame) = Frame::read(file, scan.end) {
        let mut rows = Reader(frame.records);
        while !rows.0.is_empty() {
            match Row::read(&mut rows).ok_or(Damage::Record { at: scan.end })? {
                Row::Start { .. } => {}
                Row::Change(record) => {
                    scan.changes = scan.changes.saturating_add(1);
                    change(record);
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

fn start_of(file: &[u8]) -> Option<u64> {
    match Row::read(&mut Reader(Frame::read(file, 0)?.records))? {
        Row::Start { version: VERSION, number } => Some(number),
        Row::Start { .. } | Row::Change(_) | Row::End { .. } => None,
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

const NONCE: u8 = 1;
const KNOWN: u8 = 2;
const IN_FLIGHT: u8 = 3;
const DONE: u8 = 4;
const RELEASED: u8 = 5;
const START: u8 = 16;
const END: u8 = 17;

impl Row {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| into.extend_from_slice(part));
        match self {
            Self::Start { version, number } => put(&[&[START], &version.to_le_bytes(), &number.to_le_bytes()]),
            Self::End { rows } => put(&[&[END], &rows.to_le_bytes()]),
            Self::Change(Record::Nonce { key, until }) => put(&[&[NONCE], &key.0, &until.0.to_le_bytes()]),
            Self::Change(Record::Released { key, lease }) => put(&[&[RELEASED], &key.0, &lease.0.to_le_bytes()]),
            Self::Change(Record::Known { key, row }) => put(&[&[KNOWN], &key.0, &written(row)]),
            Self::Change(Record::Done { key, row }) => put(&[&[DONE], &key.0, &written(row)]),
            Self::Change(Record::InFlight { key, row, flight }) => {
                let ends = flight.ends.millis().to_le_bytes();
                put(&[&[IN_FLIGHT], &key.0, &written(row), &flight.lease.0.to_le_bytes(), &ends]);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [kind] = reader.take()?;
        Some(match kind {
            START => Self::Start { version: u32::from_le_bytes(reader.take()?), number: reader.number()? },
            END => Self::End { rows: reader.number()? },
            NONCE => {
                let key = Key(reader.take()?);
                Self::Change(Record::Nonce { key, until: Seconds(u32::from_le_bytes(reader.take()?)) })
            }
            RELEASED => {
                let key = Key(reader.take()?);
                Self::Change(Record::Released { key, lease: Lease(reader.number()?) })
            }
            KNOWN => {
                let key = Key(reader.take()?);
                Self::Change(Record::Known { key, row: reader.row(false)? })
            }
            DONE => {
                let key = Key(reader.take()?);
                Self::Change(Record::Done { key, row: reader.row(true)? })
            }
            IN_FLIGHT => {
                let (key, row) = (Key(reader.take()?), reader.row(false)?);
                let lease = Lease(reader.number()?);
                let ends = UnixTime::from_millis(i64::from_le_bytes(reader.take()?));
                Self::Change(Record::InFlight { key, row, flight: Flight { lease, ends } })
            }
            _ => return None,
        })
    }
}

/// Content, until, attempt. Whether it is done is the kind of its record.
fn written(row: &EventRow) -> [u8; 14] {
    let mut bytes = [0; 14];
    let (content, rest) = bytes.split_at_mut(8);
    let (until, attempt) = rest.split_at_mut(4);
    content.copy_from_slice(&row.content);
    until.copy_from_slice(&row.until.0.to_le_bytes());
    attempt.copy_from_slice(&row.attempt.to_le_bytes());
    bytes
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn row(&mut self, is_done: bool) -> Option<EventRow> {
        Some(EventRow {
            content: self.take()?,
            until: Seconds(u32::from_le_bytes(self.take()?)),
            attempt: u16::from_le_bytes(self.take()?),
            is_done,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Record> {
        let key = any::<[u8; 16]>().prop_map(Key);
        let row = (any::<[u8; 8]>(), any::<u32>(), any::<u16>());
        (0..5_u8, key, row, any::<u64>(), any::<i64>()).prop_map(|(kind, key, row, lease, ends)| {
            let (content, until, attempt) = row;
            let row = EventRow { content, until: Seconds(until), attempt, is_done: kind == 3 };
            let lease = Lease(lease);
            match kind {
                0 => Record::Nonce { key, until: Seconds(until) },
                1 => Record::Known { key, row },
                2 => Record::InFlight { key, row, flight: Flight { lease, ends: UnixTime::from_millis(ends) } },
                3 => Record::Done { key, row },
                _ => Record::Released { key, lease },
            }
        })
    }

    /// A file in which each frame was confirmed before the next was written, and where each frame begins.
    fn file(frames: &[Vec<Record>]) -> (Vec<u8>, Vec<usize>) {
        let mut file = Vec::new();
        let mut starts = Vec::new();
        start(7, &mut file);
        for records in frames {
            starts.push(file.len());
            let mut bytes = Vec::new();
            for record in records {
                Row::Change(*record).write(&mut bytes);
            }
            let durable = file.len() as u64;
            frame(&bytes, durable, &mut file);
        }
        (file, starts)
    }

    fn read(file: &[u8]) -> Result<(Vec<Record>, Scan), Damage> {
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
                Err(Damage::Record { .. }) => prop_assert!(false, "the checksum let it through"),
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
        let record = Record::Nonce { key: Key([1; 16]), until: Seconds(5) };
        let (mut bytes, starts) = file(&[vec![record]]);
        let durable = bytes.len() as u64;
        end(1, durable, &mut bytes);
        assert!(read(&bytes).unwrap().1.is_closed);
        bytes[starts[0] + HEAD + 3] ^= 1;
        assert_eq!(read(&bytes), Err(Damage::Middle { at: starts[0] }));
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = Vec::new();
        let mut rows = Vec::new();
        Row::Start { version: VERSION + 1, number: 1 }.write(&mut rows);
        frame(&rows, 0, &mut bytes);
        assert_eq!(read(&bytes), Err(Damage::Start));
    }
}
