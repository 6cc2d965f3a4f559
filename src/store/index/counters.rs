//! All counters, in shards of their own. An event locks the shards of all its counters together, in the order of their
//! numbers, and holds them until its changes are in the journal's queue: a counter's changes stand in the journal in the order
//! in which they happened, and none stands there without the event that made it.
//!
//! **Memory.** A counter is a row of 64 bytes, in a table that is between 7/16 and 7/8 full, and 16 bytes for each slice or
//! value that it holds, in a vector that doubles. All of a shard take at most [`MOST_BYTES`] / [`SHARDS`]; a counter that would
//! take more is not counted, and the answer says so.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::SHARDS;
use super::counter::{Change, Counter, Shape, fits};
use super::record::{Key, Record};
use super::table::{Expires as _, Table, may_look};
use crate::clock::UnixTime;
use crate::risk::ask::{Counted, CounterAsk};

/// Most memory that counters take together.
pub(super) const MOST_BYTES: usize = 512 * 1024 * 1024;

/// What a row takes in its table, at most.
const ROW_BYTES: usize = 2 * size_of::<(Key, Counter)>();
const _: () = assert!(size_of::<(Key, Counter)>() == 64, "the memory figures above are wrong");

/// The shards.
pub(super) struct Counters {
    shards: Box<[Mutex<CounterShard>]>,
    most_bytes: usize,
    refused: AtomicU64,
}

#[derive(Default)]
pub(super) struct CounterShard {
    table: Table<Counter>,
    bytes: usize,
    /// When it was last looked through for want of room.
    looked_at: UnixTime,
}

/// The shards of one event's counters, locked.
pub(super) struct Locked<'a> {
    shards: Vec<(usize, MutexGuard<'a, CounterShard>)>,
    counters: &'a Counters,
}

impl Counters {
    pub(super) fn with_most_bytes(most_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            most_bytes: most_bytes / SHARDS,
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self, keys: impl Iterator<Item = Key>) -> Locked<'_> {
        let mut numbers: Vec<usize> = keys.map(Key::shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let lock = |number: usize| Some((number, self.shards.get(number)?.lock()));
        Locked { shards: numbers.into_iter().filter_map(lock).collect(), counters: self }
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }

    /// Takes a change of a journal or a snapshot over.
    pub(super) fn apply(&mut self, key: Key, shape: Shape, change: Change) {
        if let Some(shard) = self.shards.get_mut(key.shard()) {
            shard.get_mut().apply(key, shape, change, |counter| counter.shape_is(shape));
        }
    }

    /// Everything that is not forgotten at `now` in one shard.
    pub(super) fn copy(&self, number: usize, now: UnixTime, into: &mut Vec<Record>) {
        let Some(shard) = self.shards.get(number) else { return };
        for (&key, counter) in shard.lock().table.rows.iter().filter(|(_, counter)| counter.is_live(now)) {
            let (shape, changes) = counter.changes();
            into.extend(changes.into_iter().map(|change| Record::Moved { key, shape, change }));
        }
    }
}

impl Locked<'_> {
    /// What a counter says without this event.
    pub(super) fn read(&self, key: Key, ask: &CounterAsk, now: UnixTime) -> Counted {
        let value = self.shard(key).map_or(0, |shard| shard.value(key, Shape::of(ask), now));
        Counted { before: value, after: value }
    }

    /// Moves or reads a counter; gives what it says, and how it changed. None: there is no room for it.
    pub(super) fn count(&mut self, key: Key, ask: &CounterAsk, now: UnixTime) -> Option<(Counted, Option<Record>)> {
        let most_bytes = self.counters.most_bytes;
        let at = self.shards.binary_search_by_key(&key.shard(), |(number, _)| *number).ok()?;
        let (_, shard) = self.shards.get_mut(at)?;
        let shape = Shape::of(ask);
        let before = shard.value(key, shape, now);
        let Some(amount) = ask.add else { return Some((Counted { before, after: before }, None)) };
        if !fits(ask.measure, amount) {
            return None;
        }
        let new = Counter::new(shape);
        let counter = shard.of(key, shape, now).unwrap_or(&new);
        let Some(change) = counter.change(amount, ask.at.min(now), now) else {
            return Some((Counted { before, after: before }, None));
        };
        if counter.grows_by(change) && !shard.has_room(most_bytes, now) {
            return None;
        }
        shard.apply(key, shape, change, |counter| counter.is_of(shape, now));
        let after = shard.value(key, shape, now);
        Some((Counted { before, after }, Some(Record::Moved { key, shape, change })))
    }

    fn shard(&self, key: Key) -> Option<&CounterShard> {
        let at = self.shards.binary_search_by_key(&key.shard(), |(number, _)| *number).ok()?;
        self.shards.get(at).map(|(_, shard)| &**shard)
    }
}

impl CounterShard {
    fn of(&self, key: Key, shape: Shape, now: UnixTime) -> Option<&Counter> {
        self.table.rows.get(&key).filter(|counter| counter.is_of(shape, now))
    }

    fn value(&self, key: Key, shape: Shape, now: UnixTime) -> i64 {
        self.of(key, shape, now).map_or(0, |counter| counter.value(now))
    }

    fn apply(&mut self, key: Key, shape: Shape, change: Change, goes_on: impl FnOnce(&Counter) -> bool) {
        let mut before = 0;
        let counter =
            self.table.rows.entry(key).and_modify(|_| before = ROW_BYTES).or_insert_with(|| Counter::new(shape));
        if before > 0 {
            before = before.saturating_add(counter.heap());
        }
        if !goes_on(counter) {
            *counter = Counter::new(shape);
        }
        counter.apply(change);
        let after = ROW_BYTES.saturating_add(counter.heap());
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
    }

    fn has_room(&mut self, most_bytes: usize, now: UnixTime) -> bool {
        let is_full = self.bytes.saturating_add(ROW_BYTES) > most_bytes;
        if self.table.has_doubled() || (is_full && may_look(self.looked_at, now)) {
            self.looked_at = now;
            self.table.sweep_now(now);
            let bytes = |counter: &Counter| ROW_BYTES.saturating_add(counter.heap());
            self.bytes = self.table.rows.values().map(bytes).fold(0, usize::saturating_add);
        }
        self.bytes.saturating_add(ROW_BYTES) <= most_bytes
    }
}
