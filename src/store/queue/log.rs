//! The records of the log of a `file:` store's rows: how they are written, and how a log is read back.
//!
//! ```text
//! magic 4 | crc 4 | length of the payload 4 | synced 8 | payload
//! ```
//!
//! The checksum is over all that follows it. `synced` is how much of the log was on the disk for certain when the record was
//! written: a record that is torn can be cut off only if no later one says that it had been confirmed.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::sync::Arc;

use super::{Head, Lane, Queue, RowId};
use crate::clock::UnixTime;
use crate::reason::Reason;

const MAGIC: [u8; 4] = *b"wxQ1";
const FRAME: usize = 20;
/// Longest payload: two bodies of the largest size that may be configured, and their heads.
pub(super) const MOST_PAYLOAD: usize = 40 * 1024 * 1024;

const PUT: u8 = 1;
const RETRIED: u8 = 2;
const REMOVED: u8 = 3;

/// One change of the rows.
pub(super) enum Record<'a> {
    /// A row, in place of one of the same id.
    Put { head: &'a Head, sealed: &'a [u8] },
    /// Its delivery failed.
    Retried { id: RowId, attempts: u32, next_at: UnixTime },
    /// It left the queues.
    Removed { id: RowId },
}

/// The same, read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Where the sealed bytes are in the file, and how many.
    Put {
        head: Head,
        at: u64,
        length: u32,
    },
    Retried {
        id: RowId,
        attempts: u32,
        next_at: UnixTime,
    },
    Removed {
        id: RowId,
    },
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{what}")]
    Damaged { at: u64, what: &'static str },
}

impl Record<'_> {
    /// Appends the record. The sealed bytes of a row are its last bytes.
    pub(super) fn write(&self, synced: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&synced.to_le_bytes());
        match self {
            Self::Put { head, sealed } => {
                out.push(PUT);
                write_head(head, out);
                out.extend_from_slice(sealed);
            }
            Self::Retried { id, attempts, next_at } => {
                out.push(RETRIED);
                out.extend_from_slice(&id.0);
                out.extend_from_slice(&attempts.to_le_bytes());
                out.extend_from_slice(&next_at.millis().to_le_bytes());
            }
            Self::Removed { id } => {
                out.push(REMOVED);
                out.extend_from_slice(&id.0);
            }
        }
        let length = out.len().saturating_sub(begin).saturating_sub(FRAME);
        let Some(frame) = out.get_mut(begin..) else { return };
        if let Some(place) = frame.get_mut(8..12) {
            place.copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        }
        let crc = crc32fast::hash(frame.get(8..).unwrap_or_default());
        if let Some(place) = frame.get_mut(4..8) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// How long a frame with a payload of a row is.
pub(super) fn size_of_put(head: &Head, sealed: usize) -> usize {
    let head = 24_usize.saturating_add(48).saturating_add(head.endpoint.len()).saturating_add(head.reason.code().len());
    FRAME.saturating_add(head).saturating_add(sealed)
}

/// Reads a log from its beginning, and tells where it ends: what is behind is torn and was never confirmed.
pub(super) fn read(file: &File, mut each: impl FnMut(Read)) -> Result<u64, Unreadable> {
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut at = 0_u64;
    let mut frame = Vec::new();
    while at < length {
        let Some(payload) = read_frame(&mut reader, &mut frame)? else {
            return check_unconfirmed(file, at);
        };
        let begin = at.saturating_add(FRAME as u64);
        let unknown = Unreadable::Damaged { at, what: "a record that this version does not know" };
        each(decode(payload, begin).ok_or(unknown)?);
        at = begin.saturating_add(u64::try_from(payload.len()).unwrap_or(u64::MAX));
    }
    Ok(at)
}

/// The payload of the next frame, if that is whole.
fn read_frame<'f>(reader: &mut impl io::Read, frame: &'f mut Vec<u8>) -> io::Result<Option<&'f [u8]>> {
    frame.clear();
    reader.by_ref().take(FRAME as u64).read_to_end(frame)?;
    let Some(length) = length_in(frame) else { return Ok(None) };
    reader.by_ref().take(length as u64).read_to_end(frame)?;
    Ok(whole(frame).map(|(payload, _)| payload))
}

/// The length that a frame's first bytes tell, if they are those of a frame.
fn length_in(frame: &[u8]) -> Option<usize> {
    let length = frame.strip_prefix(&MAGIC)?.get(4..8)?.first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (frame.len() >= FRAME && length <= MOST_PAYLOAD).then_some(length)
}

/// The payload of a frame and what it says was synced before it, if the frame is whole.
fn whole(frame: &[u8]) -> Option<(&[u8], u64)> {
    let length = length_in(frame)?;
    let payload = frame.get(FRAME..FRAME.checked_add(length)?)?;
    let crc = u32::from_le_bytes(*frame.get(4..8)?.first_chunk()?);
    let covered = frame.get(8..FRAME.checked_add(length)?)?;
    let synced = u64::from_le_bytes(*frame.get(12..20)?.first_chunk()?);
    (crc == crc32fast::hash(covered)).then_some((payload, synced))
}

/// What begins at `at` is no whole record. If a later one says that it was on the disk, it is damaged and not torn.
fn check_unconfirmed(file: &File, at: u64) -> Result<u64, Unreadable> {
    use std::os::unix::fs::FileExt as _;
    let length = usize::try_from(file.metadata()?.len().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut rest = vec![0; length];
    file.read_exact_at(&mut rest, at)?;
    let mut behind = rest.as_slice();
    while let Some((_, next)) = behind.split_first() {
        if whole(behind).is_some_and(|(_, synced)| synced > at) {
            return Err(Unreadable::Damaged { at, what: "a record is damaged that later ones build on" });
        }
        behind = next;
    }
    Ok(at)
}

/// The payload of a frame, and these bytes as frames, for [`super::record_for_fuzzing`].
#[cfg(fuzzing)]
pub(super) fn decode_for_fuzzing(data: &[u8]) {
    drop(decode(data, 0));
    let (mut reader, mut frame) = (data, Vec::new());
    while let Ok(Some(payload)) = read_frame(&mut reader, &mut frame) {
        drop(decode(payload, 0));
    }
}

fn decode(payload: &[u8], begin: u64) -> Option<Read> {
    let (kind, rest) = payload.split_first()?;
    match *kind {
        PUT => {
            let (head, sealed) = read_head(rest)?;
            let before = u64::try_from(payload.len().checked_sub(sealed.len())?).ok()?;
            Some(Read::Put { head, at: begin.checked_add(before)?, length: u32::try_from(sealed.len()).ok()? })
        }
        RETRIED => {
            let (id, rest) = rest.split_first_chunk()?;
            let (attempts, rest) = rest.split_first_chunk()?;
            let (next_at, []) = rest.split_first_chunk()? else { return None };
            let next_at = UnixTime::from_millis(i64::from_le_bytes(*next_at));
            Some(Read::Retried { id: RowId(*id), attempts: u32::from_le_bytes(*attempts), next_at })
        }
        REMOVED => {
            let (id, []) = rest.split_first_chunk()? else { return None };
            Some(Read::Removed { id: RowId(*id) })
        }
        _ => None,
    }
}

fn write_head(head: &Head, out: &mut Vec<u8>) {
    out.extend_from_slice(&head.id.0);
    out.push(match head.queue {
        Queue::Held => 1,
        Queue::Pending => 2,
        Queue::Dead => 3,
    });
    out.extend_from_slice(&head.lane);
    for time in [head.received_at, head.entered_at, head.next_at] {
        out.extend_from_slice(&time.millis().to_le_bytes());
    }
    out.extend_from_slice(&head.attempts.to_le_bytes());
    for text in [head.reason.code(), &head.endpoint] {
        // A code is short, and so is the name of an endpoint (64 bytes).
        out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(text.as_bytes());
    }
}

fn read_head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (queue, rest) = rest.split_first()?;
    let queue = match *queue {
        1 => Queue::Held,
        2 => Queue::Pending,
        3 => Queue::Dead,
        _ => return None,
    };
    let (lane, rest) = rest.split_first_chunk::<{ size_of::<Lane>() }>()?;
    let (received_at, rest) = read_time(rest)?;
    let (entered_at, rest) = read_time(rest)?;
    let (next_at, rest) = read_time(rest)?;
    let (attempts, rest) = rest.split_first_chunk()?;
    let (reason, rest) = read_text(rest)?;
    let (endpoint, rest) = read_text(rest)?;
    let reason = Reason::ALL.iter().copied().find(|known| known.code() == reason)?;
    let (id, lane, attempts) = (RowId(*id), *lane, u32::from_le_bytes(*attempts));
    let endpoint = Arc::from(endpoint);
    Some((Head { id, queue, endpoint, reason, received_at, entered_at, next_at, attempts, lane }, rest))
}

fn read_time(bytes: &[u8]) -> Option<(UnixTime, &[u8])> {
    let (millis, rest) = bytes.split_first_chunk()?;
    Some((UnixTime::from_millis(i64::from_le_bytes(*millis)), rest))
}

fn read_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}
