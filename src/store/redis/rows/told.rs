//! How rows are told to the scripts, and what their answers say.
//!
//! What lies in the clear may have been changed by whoever can write to Redis, or come from a newer gateway. It is read
//! as far as it can be, and never keeps a row from its place: whether a row is what it says, its seal tells.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use super::text;
use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::store::queue::{Cursor, Depth, Head, Lane, Listed, Page, Queue, RowId, RowLease, Stored, Taken};
use crate::store::redis::wire;
use crate::store::{StoreError, digest};

/// The row as `put_in` of the scripts takes it.
pub(super) fn args(row: Stored) -> [Bytes; 9] {
    let Stored { head, sealed } = row;
    [
        text(head.id),
        text(head.queue.name()),
        text(&head.endpoint),
        text(head.reason.code()),
        text(place(head.lane, head.received_at)),
        text(head.entered_at.millis()),
        text(head.next_at.millis()),
        text(head.attempts),
        sealed,
    ]
}

/// Lane and time of receipt, as digits whose order is theirs. The scripts add the turn.
fn place(lane: Lane, received_at: UnixTime) -> String {
    let since_ever = received_at.millis().cast_unsigned() ^ (1 << 63);
    format!("{}{since_ever:016x}", digest::hex(&lane))
}

/// What a place says; zeros where it is not one.
fn read_place(place: &str) -> (Lane, UnixTime) {
    let digits = |at: std::ops::Range<usize>| place.get(at).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let lane = digits(0..16).unwrap_or_default().to_be_bytes();
    let since_ever = digits(16..32).unwrap_or(1 << 63);
    (lane, UnixTime::from_millis((since_ever ^ (1 << 63)).cast_signed()))
}

/// What `put` and `replace` answer.
pub(super) fn kept(answer: &Value, queue: Queue) -> Result<bool, StoreError> {
    match wire::number(answer) {
        Some(kept @ 0..=1) => Ok(kept == 1),
        Some(full @ ..0) => {
            Err(StoreError::QueueFull { queue, rows: usize::try_from(full.unsigned_abs()).unwrap_or(usize::MAX) })
        }
        Some(2..) | None => Err(wire::strange()),
    }
}

/// What `remove` and `set_aside` answer.
pub(super) fn was_done(answer: &Value) -> Result<bool, StoreError> {
    match wire::number(answer) {
        Some(done @ 0..=1) => Ok(done == 1),
        Some(_) | None => Err(wire::strange()),
    }
}

/// What `get` answers.
pub(super) fn found(queue: Queue, id: RowId, answer: &Value) -> Result<Option<Stored>, StoreError> {
    if *answer == Value::Nil { Ok(None) } else { items(answer).map(|fields| Some(row(queue, id, None, fields))) }
}

fn row(queue: Queue, id: RowId, endpoint: Option<&str>, fields: &[Value]) -> Stored {
    let sealed = fields.get(SEALED).and_then(bytes).unwrap_or_default().to_vec().into();
    Stored { head: head(queue, id, endpoint, fields), sealed }
}

/// What `take` answers. The rows are of the queue and the endpoint that were asked for, or their seals do not open.
pub(super) fn taken(endpoint: &str, answer: &Value) -> Result<Vec<Taken>, StoreError> {
    let mut taken = Vec::new();
    for told in items(answer)? {
        let [id, lease, fields] = items(told)? else { return Err(wire::strange()) };
        let lease = RowLease(parsed(lease).ok_or_else(wire::strange)?);
        // An id that is none was put there by hand; it stays leased, and nobody ever delivers it.
        let Some(id) = parsed(id) else { continue };
        taken.push(Taken { row: row(Queue::Pending, id, Some(endpoint), items(fields)?), lease });
    }
    Ok(taken)
}

/// What `list` answers.
pub(super) fn page(queue: Queue, answer: &Value) -> Result<Page, StoreError> {
    let [entered, id, rows @ ..] = items(answer)? else { return Err(wire::strange()) };
    let next = match (parsed(entered), parsed(id)) {
        (Some(millis), Some(id)) => Some(Cursor { entered_at: UnixTime::from_millis(millis), id }),
        _ => None,
    };
    let mut page = Page { rows: Vec::with_capacity(rows.len()), next };
    for told in rows {
        let [id, fields] = items(told)? else { return Err(wire::strange()) };
        let Some(id) = parsed(id) else { continue };
        let fields = items(fields)?;
        let is_quarantined = fields.get(ASIDE).is_some_and(|aside| *aside != Value::Nil);
        page.rows.push(Listed { head: head(queue, id, None, fields), is_quarantined });
    }
    Ok(page)
}

/// What `recall` answers: the turn and how many.
pub(super) fn recalled(answer: &Value) -> Result<(u64, usize), StoreError> {
    let [turn, recalled] = items(answer)? else { return Err(wire::strange()) };
    Ok((parsed(turn).ok_or_else(wire::strange)?, parsed(recalled).ok_or_else(wire::strange)?))
}

/// What `depths` answers.
pub(super) fn depths(answer: &Value) -> Result<Vec<Depth>, StoreError> {
    let depth = |told: &Value| {
        let [queue, endpoint, rows, oldest] = items(told).ok()? else { return None };
        let queue = Queue::named(read(queue)?)?;
        let oldest = UnixTime::from_millis(parsed(oldest)?);
        Some(Depth { endpoint: Arc::from(read(endpoint)?), queue, rows: parsed(rows)?, oldest })
    };
    // A list that is not ours was put there by hand.
    Ok(items(answer)?.iter().filter_map(depth).collect())
}

/// Where a row's last field is in the answers of `get` and `take`, and in that of `list`.
const SEALED: usize = 7;
const ASIDE: usize = 7;

fn head(queue: Queue, id: RowId, endpoint: Option<&str>, fields: &[Value]) -> Head {
    let field = |at: usize| fields.get(at).and_then(read).unwrap_or_default();
    let (lane, received_at) = read_place(field(3));
    let time = |at: usize| UnixTime::from_millis(field(at).parse().unwrap_or_default());
    Head {
        id,
        queue,
        endpoint: Arc::from(endpoint.unwrap_or_else(|| field(1))),
        reason: reason(queue, field(2)),
        received_at,
        entered_at: time(4),
        next_at: time(5),
        attempts: field(6).parse().unwrap_or_default(),
        lane,
    }
}

/// The reason of this code; what a newer gateway calls otherwise has the reason that most rows of the queue have.
fn reason(queue: Queue, code: &str) -> Reason {
    let known = Reason::ALL.iter().copied().find(|known| known.code() == code);
    known.unwrap_or(match queue {
        Queue::Held => Reason::Held,
        Queue::Pending => Reason::Queued,
        Queue::Dead => Reason::UpstreamUnreachable,
    })
}

fn items(value: &Value) -> Result<&[Value], StoreError> {
    if let Value::Array(items) = value { Ok(items) } else { Err(wire::strange()) }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

fn read(value: &Value) -> Option<&str> {
    bytes(value).and_then(|bytes| std::str::from_utf8(bytes).ok())
}

fn parsed<T: FromStr>(value: &Value) -> Option<T> {
    wire::number(value).map_or_else(|| read(value)?.parse().ok(), |number| number.to_string().parse().ok())
}
