//! What a node remembers, in memory: nonces, events, and who has which event in flight. The `memory:` engine is this and
//! nothing else; the `file:` engine keeps a journal of the same changes.
//!
//! **Locks.** The tables are cut into [`SHARDS`]; an operation holds one shard's lock at a time, for a few hash table
//! steps. Expired rows are swept out of a shard when it has doubled since its last sweep: the cost of a sweep is shared by
//! the inserts before it, and the longest one walks one shard.
//!
//! **Memory.** An event is a row of 32 bytes and a nonce one of 20, each with one byte of the table's own; tables are
//! between 7/16 and 7/8 full, so an event takes 38 to 76 bytes and a nonce 24 to 48. Up to as many expired rows as live
//! ones wait for their sweep. A shard takes at most [`MOST_ROWS`] / [`SHARDS`] rows of each kind; beyond that new events
//! are refused ([`StoreError::Full`]), never old ones forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::StoreError;
use super::digest;
use super::engine::{Ask, Content, Digest, End, Lease, Reply, Settlement};
use crate::clock::UnixTime;

/// How many locks there are.
const SHARDS: usize = 512;

/// Most events, and most nonces, that are remembered: 2.5 GB when all are there. 129 events a second for 72 hours.
pub(super) const MOST_ROWS: usize = 1 << 25;

/// A shard is not swept before it has this many rows.
const LEAST_SWEEP: usize = 64;

/// One change of the index, as the journal keeps it. Each sets what it names, whatever was before: a run of records may be
/// applied again over its own result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A nonce is used up.
    Nonce { key: Key, until: Seconds },
    /// An event is known and free.
    Known { key: Key, row: EventRow },
    /// An event is claimed. Its row is not done.
    InFlight { key: Key, row: EventRow, flight: Flight },
    /// An event is done.
    Done { key: Key, row: EventRow },
    /// A claim ended without success.
    Released { key: Key, lease: Lease },
}

/// The digest of a nonce or an event, mixed with that of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 16]);

/// Seconds since the epoch, rounded up from a moment: until 2106, in half the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seconds(pub(super) u32);

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventRow {
    pub(super) content: Content,
    pub(super) until: Seconds,
    /// Stops at 65535: WeChat tries fifteen times.
    pub(super) attempt: u16,
    pub(super) is_done: bool,
}

const _: () = assert!(size_of::<(Key, EventRow)>() == 32, "the memory figures above are wrong");
const _: () = assert!(size_of::<(Key, Seconds)>() == 20, "the memory figures above are wrong");

/// A claim that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) lease: Lease,
    pub(super) ends: UnixTime,
}

/// The tables.
pub(super) struct Index {
    shards: Box<[Mutex<Shard>]>,
    most_rows: usize,
    /// The latest time of a claim, in milliseconds since the epoch.
    latest: AtomicI64,
}

#[derive(Default)]
struct Shard {
    nonces: Table<Seconds>,
    events: Table<EventRow>,
    flights: Table<Flight>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self::with_most_rows(MOST_ROWS)
    }

    fn with_most_rows(most_rows: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), most_rows, latest: AtomicI64::new(i64::MIN) }
    }

    /// Claims, and shows `journal` what changed while the event is still locked: records of one event reach it in the
    /// order in which they happened. It is not called when nothing changed.
    pub(super) fn claim(&self, ask: &Ask<'_>, lease: Lease, journal: impl FnOnce(Claim)) -> Result<Reply, StoreError> {
        if self.latest.load(Ordering::Relaxed) < ask.now.millis() {
            self.latest.fetch_max(ask.now.millis(), Ordering::Relaxed);
        }
        let scope = digest::scope(ask.endpoint);
        let nonce = Key::new(scope, ask.nonce);
        let nonce_until = Seconds::up(ask.nonce_until);
        {
            let mut shard = self.shard(nonce).lock();
            if shard.nonces.live(nonce, ask.now).is_some() {
                return Ok(Reply::Replayed);
            }
            self.room(&mut shard.nonces, ask.now)?;
            shard.nonces.rows.insert(nonce, nonce_until);
        }
        let used = Record::Nonce { key: nonce, until: nonce_until };
        let event = Key::new(scope, ask.event);
        let mut shard = self.shard(event).lock();
        let (reply, change) = self.claim_event(&mut shard, event, ask, lease)?;
        journal(Claim { reply, used, change });
        Ok(reply)
    }

    fn claim_event(
        &self,
        shard: &mut Shard,
        key: Key,
        ask: &Ask<'_>,
        lease: Lease,
    ) -> Result<(Reply, Option<Record>), StoreError> {
        let known = shard.events.live(key, ask.now).copied();
        let in_flight = shard.flights.live(key, ask.now).is_some();
        let attempt = match known {
            Some(row) if row.content != ask.content => return Ok((Reply::IdConflict, None)),
            Some(row) if row.is_done => return Ok((Reply::Duplicate, None)),
            Some(_) if in_flight => return Ok((Reply::InFlight, None)),
            Some(row) => row.attempt.saturating_add(1),
            None => {
                self.room(&mut shard.events, ask.now)?;
                1
            }
        };
        let flight = Flight { lease, ends: ask.now.plus(ask.lease) };
        let until = Seconds::up(ask.now.plus(ask.retention.max(ask.lease)));
        let row = EventRow { content: ask.content, until, attempt, is_done: false };
        shard.flights.sweep(ask.now);
        shard.flights.rows.insert(key, flight);
        shard.events.rows.insert(key, row);
        let reply = Reply::Claimed { attempt: u32::from(attempt), lease };
        Ok((reply, Some(Record::InFlight { key, row, flight })))
    }

    /// Ends a claim; `journal` as in [`Index::claim`].
    pub(super) fn settle(&self, settlement: &Settlement<'_>, journal: impl FnOnce(Record)) {
        let key = Key::new(digest::scope(settlement.endpoint), settlement.event);
        let mut shard = self.shard(key).lock();
        let record = match settlement.end {
            End::Done => {
                let known = shard.events.rows.get(&key);
                let attempt = known.map_or(1, |row| row.attempt);
                // Never earlier than the claim said, which knew the time from WeChat: the clock may have been set since.
                let until = Seconds::up(settlement.now.plus(settlement.retention));
                let until = known.map_or(until, |row| until.max(row.until));
                Record::Done { key, row: EventRow { content: settlement.content, until, attempt, is_done: true } }
            }
            End::Released => Record::Released { key, lease: settlement.lease },
        };
        shard.apply(record);
        journal(record);
    }

    /// Takes over the records of a journal or a snapshot, and leaves none.
    pub(super) fn apply(&mut self, runs: &mut Runs) {
        for (shard, run) in self.shards.iter_mut().zip(&mut runs.by_shard) {
            let shard = shard.get_mut();
            for record in run.drain(..) {
                shard.apply(record);
            }
        }
        runs.len = 0;
    }

    /// Makes room for what a file is about to bring, so that no table grows while it is read.
    pub(super) fn reserve(&mut self, nonces: usize, events: usize) {
        for shard in &mut self.shards {
            let shard = shard.get_mut();
            shard.nonces.rows.reserve(nonces.min(self.most_rows) / SHARDS);
            shard.events.rows.reserve(events.min(self.most_rows) / SHARDS);
        }
    }

    /// The latest time of a claim. Unlike the machine's clock it can be relied on, since what WeChat signed confirmed it to
    /// within an endpoint's window: nothing is forgotten by a clock that was wrong for a moment.
    pub(super) fn latest(&self) -> UnixTime {
        UnixTime::from_millis(self.latest.load(Ordering::Relaxed))
    }

    /// Hands out everything that is not forgotten at `now`, a shard at a time. `taken` runs without a lock held.
    pub(super) fn for_each<E>(
        &self,
        now: UnixTime,
        mut taken: impl FnMut(&[Record]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut records = Vec::new();
        for shard in &self.shards {
            records.clear();
            shard.lock().copy(now, &mut records);
            taken(&records)?;
        }
        Ok(())
    }

    /// The largest lease that is in flight, for whoever gives out the next one.
    pub(super) fn last_lease(&self) -> u64 {
        let last = |shard: &Mutex<Shard>| shard.lock().flights.rows.values().map(|flight| flight.lease.0).max();
        self.shards.iter().filter_map(last).max().unwrap_or(0)
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        self.shards.get(key.shard()).expect("a remainder is below the number of shards")
    }

    fn room<V: Expires>(&self, table: &mut Table<V>, now: UnixTime) -> Result<(), StoreError> {
        table.sweep(now);
        if table.rows.len() < self.most_rows / SHARDS {
            return Ok(());
        }
        table.sweep_now(now);
        if table.rows.len() < self.most_rows / SHARDS {
            return Ok(());
        }
        Err(StoreError::Full { most: self.most_rows })
    }
}

/// Records in the order in which they were read, sorted by shard, so that a table is walked while it is in the processor's cache.
pub(super) struct Runs {
    by_shard: Box<[Vec<Record>]>,
    len: usize,
}

impl Runs {
    /// How many records to collect: 15 MB of them.
    const MANY: usize = 1 << 18;

    pub(super) fn new() -> Self {
        Self { by_shard: (0..SHARDS).map(|_| Vec::new()).collect(), len: 0 }
    }

    pub(super) fn push(&mut self, record: Record) {
        let (Record::Nonce { key, .. }
        | Record::Known { key, .. }
        | Record::InFlight { key, .. }
        | Record::Done { key, .. }
        | Record::Released { key, .. }) = record;
        self.by_shard.get_mut(key.shard()).expect("a remainder is below the number of shards").push(record);
        self.len = self.len.saturating_add(1);
    }

    /// Whether it is time to [`Index::apply`] them.
    pub(super) fn are_many(&self) -> bool {
        self.len >= Self::MANY
    }
}

/// What a claim changed.
pub(super) struct Claim {
    pub(super) reply: Reply,
    pub(super) used: Record,
    pub(super) change: Option<Record>,
}

impl Shard {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Nonce { key, until } => {
                self.nonces.rows.insert(key, until);
            }
            Record::Known { key, row } => {
                self.events.rows.insert(key, row);
            }
            Record::InFlight { key, row, flight } => {
                self.events.rows.insert(key, row);
                self.flights.rows.insert(key, flight);
            }
            Record::Done { key, row } => {
                self.events.rows.insert(key, row);
                self.flights.rows.remove(&key);
            }
            Record::Released { key, lease } => {
                if self.flights.rows.get(&key).is_some_and(|flight| flight.lease == lease) {
                    self.flights.rows.remove(&key);
                }
            }
        }
    }

    fn copy(&self, now: UnixTime, into: &mut Vec<Record>) {
        let nonces = self.nonces.rows.iter().filter(|(_, until)| until.is_live(now));
        into.extend(nonces.map(|(&key, &until)| Record::Nonce { key, until }));
        for (&key, &row) in self.events.rows.iter().filter(|(_, row)| row.is_live(now)) {
            into.push(match self.flights.live(key, now) {
                _ if row.is_done => Record::Done { key, row },
                Some(&flight) => Record::InFlight { key, row, flight },
                None => Record::Known { key, row },
            });
        }
    }
}

/// Rows that end by themselves.
struct Table<V> {
    rows: HashMap<Key, V, BuildHasherDefault<KeyHasher>>,
    /// The next sweep comes when there are this many rows.
    sweep_at: usize,
}

trait Expires {
    fn is_live(&self, now: UnixTime) -> bool;
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { rows: HashMap::default(), sweep_at: LEAST_SWEEP }
    }
}

impl<V: Expires> Table<V> {
    fn live(&self, key: Key, now: UnixTime) -> Option<&V> {
        self.rows.get(&key).filter(|row| row.is_live(now))
    }

    fn sweep(&mut self, now: UnixTime) {
        if self.rows.len() >= self.sweep_at {
            self.sweep_now(now);
        }
    }

    fn sweep_now(&mut self, now: UnixTime) {
        self.rows.retain(|_, row| row.is_live(now));
        self.sweep_at = self.rows.len().saturating_mul(2).max(LEAST_SWEEP);
        if self.rows.capacity() / 4 > self.sweep_at {
            self.rows.shrink_to(self.sweep_at);
        }
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

impl Seconds {
    /// Never earlier than `time`.
    pub(super) fn up(time: UnixTime) -> Self {
        let secs = time.millis().saturating_add(999).div_euclid(1000);
        Self(u32::try_from(secs.max(0)).unwrap_or(u32::MAX))
    }
}

impl Key {
    /// Both are of a SHA-256, so their sum meets another one no sooner than two digests would meet.
    fn new(scope: Digest, name: Digest) -> Self {
        let mut key = name;
        for (byte, of_scope) in key.iter_mut().zip(scope) {
            *byte ^= of_scope;
        }
        Self(key)
    }

    /// By other bytes than those that the tables hash by.
    fn shard(self) -> usize {
        usize::from(u16::from_le_bytes([self.0[14], self.0[15]])) % SHARDS
    }
}

/// The keys are digests already: their first 8 bytes are the hash.
#[derive(Default)]
struct KeyHasher(u64);

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ask(number: u64, now: UnixTime) -> Ask<'static> {
        let digest = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
        Ask {
            endpoint: "pay",
            nonce: digest,
            nonce_until: now.plus(Duration::from_mins(5)),
            event: digest,
            content: [1; 8],
            lease: Duration::from_secs(10),
            retention: Duration::from_hours(1),
            now,
        }
    }

    fn rows(index: &Index) -> usize {
        index.shards.iter().map(|shard| shard.lock().events.rows.len()).sum()
    }

    #[test]
    fn memory_stays_bounded_under_steady_traffic() {
        let index = Index::new();
        let start = UnixTime::from_secs(1_700_000_000);
        // One event each 20 ms for ten retentions: at any time 180,000 live ones.
        let mut most = 0;
        for number in 0..1_800_000 {
            let now = start.plus(Duration::from_millis(number * 20));
            assert!(matches!(index.claim(&ask(number, now), Lease(number), |_| ()), Ok(Reply::Claimed { .. })));
            if number % 50_000 == 0 {
                most = most.max(rows(&index));
            }
        }
        assert!(most <= 2 * 180_000 + SHARDS * LEAST_SWEEP, "{most} rows for 180000 live events");
    }

    #[test]
    fn a_full_index_refuses_new_events_and_forgets_none() {
        let index = Index::with_most_rows(SHARDS * 2);
        let now = UnixTime::from_secs(1_700_000_000);
        let taken: Vec<u64> = (0..10_000).filter(|n| index.claim(&ask(*n, now), Lease(*n), |_| ()).is_ok()).collect();
        assert!(taken.len() <= SHARDS * 2 && taken.len() > SHARDS, "{}", taken.len());
        for number in taken {
            assert_eq!(index.claim(&ask(number, now), Lease(0), |_| ()).unwrap(), Reply::Replayed);
        }
        let later = now.plus(Duration::from_hours(2));
        assert!(index.claim(&ask(77, later), Lease(0), |_| ()).is_ok(), "what has expired makes room");
    }

    #[test]
    fn records_applied_again_over_their_own_result_change_nothing() {
        let now = UnixTime::from_secs(1_700_000_000);
        let index = Index::new();
        let mut journal = Vec::new();
        for number in 0..100 {
            let claim = |claim: Claim| journal.extend([Some(claim.used), claim.change].into_iter().flatten());
            index.claim(&ask(number, now), Lease(number), claim).unwrap();
            let end = if number % 2 == 0 { End::Done } else { End::Released };
            let ask = ask(number, now);
            let settlement = Settlement {
                endpoint: ask.endpoint,
                event: ask.event,
                content: ask.content,
                lease: Lease(number),
                end,
                retention: ask.retention,
                now,
            };
            if number % 3 != 0 {
                index.settle(&settlement, |record| journal.push(record));
            }
        }
        let mut again = Index::new();
        let mut runs = Runs::new();
        journal.iter().chain(&journal).for_each(|record| runs.push(*record));
        again.apply(&mut runs);
        assert_eq!(all(&again, now), all(&index, now));
    }

    #[test]
    fn a_clock_that_was_set_back_after_the_claim_forgets_nothing() {
        let index = Index::new();
        let now = UnixTime::from_secs(1_700_000_000);
        let ask = ask(1, now);
        index.claim(&ask, Lease(1), |_| ()).unwrap();
        let settlement = Settlement {
            endpoint: ask.endpoint,
            event: ask.event,
            content: ask.content,
            lease: Lease(1),
            end: End::Done,
            retention: ask.retention,
            now: UnixTime::from_secs(0),
        };
        index.settle(&settlement, |_| ());
        let retried = Ask { nonce: [9; 16], ..ask };
        assert_eq!(index.claim(&retried, Lease(2), |_| ()).unwrap(), Reply::Duplicate);
    }

    fn all(index: &Index, now: UnixTime) -> Vec<String> {
        let mut all = Vec::new();
        index
            .for_each(now, |records| {
                all.extend(records.iter().map(|record| format!("{record:?}")));
                Ok::<(), ()>(())
            })
            .unwrap();
        all.sort();
        all
    }
}
