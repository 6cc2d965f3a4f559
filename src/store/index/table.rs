//! Rows that end by themselves, under keys that are hashes already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::record::{EventRow, Flight, Key, Seconds};
use crate::clock::UnixTime;

/// A table is not swept before it has this many rows.
pub(super) const LEAST_SWEEP: usize = 64;

/// A hash table whose keys are their own hashes.
pub(super) type Rows<V> = HashMap<Key, V, BuildHasherDefault<KeyHasher>>;

/// How long a full table waits before it looks again for rows that have ended: a look walks all of them.
const LOOK_EVERY_MS: u64 = 1000;

/// Whether a full table may be looked through again, whichever way the clock was set since.
pub(super) fn may_look(looked_at: UnixTime, now: UnixTime) -> bool {
    now.millis().saturating_sub(looked_at.millis()).unsigned_abs() >= LOOK_EVERY_MS
}

/// Rows that end by themselves.
pub(super) struct Table<V> {
    pub(super) rows: Rows<V>,
    /// The next sweep comes when there are this many rows.
    sweep_at: usize,
}

pub(super) trait Expires {
    fn is_live(&self, now: UnixTime) -> bool;
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { rows: Rows::default(), sweep_at: LEAST_SWEEP }
    }
}

impl<V: Expires> Table<V> {
    pub(super) fn live(&self, key: Key, now: UnixTime) -> Option<&V> {
        self.rows.get(&key).filter(|row| row.is_live(now))
    }

    /// Whether it is time to [`Table::sweep_now`].
    pub(super) fn has_doubled(&self) -> bool {
        self.rows.len() >= self.sweep_at
    }

    pub(super) fn sweep(&mut self, now: UnixTime) {
        if self.has_doubled() {
            self.sweep_now(now);
        }
    }

    pub(super) fn sweep_now(&mut self, now: UnixTime) {
        self.rows.retain(|_, row| row.is_live(now));
        self.sweep_at = self.rows.len().saturating_mul(2).max(LEAST_SWEEP);
        if self.rows.capacity() / 4 > self.sweep_at {
            self.rows.shrink_to(self.sweep_at);
        }
    }

    /// Whether one more row fits into `most`, after what has ended was swept out.
    pub(super) fn has_room(&mut self, most: usize, now: UnixTime) -> bool {
        self.sweep(now);
        if self.rows.len() >= most {
            self.sweep_now(now);
        }
        self.rows.len() < most
    }
}

impl Expires for Seconds {
    fn is_live(&self, now: UnixTime) -> bool {
        i64::from(self.0) >= now.secs()
    }
}

impl Expires for EventRow {
    fn is_live(&self, now: UnixTime) -> bool {
        self.until.is_live(now)
    }
}

impl Expires for Flight {
    fn is_live(&self, now: UnixTime) -> bool {
        self.ends > now
    }
}

/// The keys are digests already: their first 8 bytes are the hash.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {} // the length prefix of an array: always the same

    fn finish(&self) -> u64 {
        self.0
    }
}
