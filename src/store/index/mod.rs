//! What a node remembers, in memory: nonces, events, who has which event in flight, counters, orders and lists. The
//! `memory:` engine is this and nothing else; the `file:` engine keeps a journal of the same changes.
//!
//! **Locks.** The tables are cut into [`SHARDS`]; an operation holds one shard's lock at a time, for a few hash table
//! steps. Only a claim that moves counters holds its event's shard and those of its counters together, in this order
//! ([`counters`]). Expired rows are swept out of a shard when it has doubled since its last sweep: the cost of a sweep is
//! shared by the inserts before it, and the longest one walks one shard.
//!
//! **Memory.** An event is a row of 32 bytes and a nonce one of 20, each with one byte of the table's own; tables are
//! between 7/16 and 7/8 full, so an event takes 38 to 76 bytes and a nonce 24 to 48. Up to as many expired rows as live
//! ones wait for their sweep. A shard takes at most [`MOST_ROWS`] / [`SHARDS`] rows of each kind; beyond that new events
//! are refused ([`StoreError::Full`]), never old ones forgotten. Counters, orders and lists have bounds of their own.

mod counter;
mod counters;
mod lists;
mod orders;
mod record;
mod table;
#[cfg(test)]
mod tests;
mod told;

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::engine::{Ask, CountAsk, Digest, End, Lease, NonceUse, Reply, Settlement};
use super::{ListPage, Registered, StoreError, digest};
use crate::clock::UnixTime;
use crate::risk::ask::{Answers, Counted, CounterAsk, ListAsk, MOST_COUNTERS, Order};
use counters::{Counters, Locked};
use lists::Lists;
use orders::Orders;
use table::{Expires as _, Table};
use told::Told;

pub(super) use counter::{Change, Shape};
pub(super) use record::{EventRow, Flight, Key, Record, Registration, Runs, Seconds};

/// How many locks there are.
const SHARDS: usize = 512;

/// Most events, and most nonces, that are remembered: 2.5 GB when all are there. 129 events a second for 72 hours.
pub(super) const MOST_ROWS: usize = 1 << 25;

/// What tests make smaller.
#[derive(Clone, Copy)]
struct Most {
    rows: usize,
    counter_bytes: usize,
    told_bytes: usize,
    orders: usize,
    listed: usize,
}

const MOST: Most = Most {
    rows: MOST_ROWS,
    counter_bytes: counters::MOST_BYTES,
    told_bytes: told::MOST_BYTES,
    orders: orders::MOST_ORDERS,
    listed: lists::MOST_LISTED,
};

/// The tables.
pub(super) struct Index {
    shards: Box<[Mutex<Shard>]>,
    counters: Counters,
    orders: Orders,
    lists: Lists,
    most: Most,
    /// The latest time of a claim, in milliseconds since the epoch.
    latest: AtomicI64,
}

#[derive(Default)]
struct Shard {
    nonces: Table<Seconds>,
    events: Table<EventRow>,
    flights: Table<Flight>,
    told: Told,
}

/// What a claim changed.
pub(super) struct Claim {
    /// The event is the claimer's own.
    pub(super) is_claimed: bool,
    /// The nonce, if there was one.
    pub(super) used: Option<Record>,
    pub(super) change: Option<Record>,
    /// Of counters.
    pub(super) counted: Vec<Record>,
}

/// What came of counting, with the shards that must stay locked until the records are in the journal's queue.
#[derive(Default)]
struct Counting<'a> {
    answers: Vec<Option<Counted>>,
    records: Vec<Record>,
    locked: Option<Locked<'a>>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self::bounded(MOST)
    }

    fn bounded(most: Most) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            counters: Counters::with_most_bytes(most.counter_bytes),
            orders: Orders::with_most(most.orders),
            lists: Lists::with_most(most.listed),
            most,
            latest: AtomicI64::new(i64::MIN),
        }
    }

    /// Claims, and shows `journal` what changed while the event and its counters are still locked: records of one event or
    /// one counter reach it in the order in which they happened. It is not called for a replay, which changes nothing.
    pub(super) fn claim(&self, ask: &Ask<'_>, lease: Lease, journal: impl FnOnce(Claim)) -> Result<Reply, StoreError> {
        if self.latest.load(Ordering::Relaxed) < ask.now.millis() {
            self.latest.fetch_max(ask.now.millis(), Ordering::Relaxed);
        }
        let scope = digest::scope(ask.endpoint);
        let used = match ask.nonce.map(|nonce| self.use_up(scope, nonce, ask.now)).transpose()? {
            Some(None) => return Ok(Reply::Replayed),
            used => used.flatten(),
        };
        let event = Key::new(scope, ask.event);
        let mut shard = self.shard(event).lock();
        let (mut reply, change) = self.claim_event(&mut shard, event, ask, lease)?;
        let mut counting = Counting::default();
        if let Reply::Claimed { answers, .. } = &mut reply {
            counting = self.count_for(&mut shard, event, scope, ask.counters, ask.now);
            answers.counters = std::mem::take(&mut counting.answers);
        }
        let is_claimed = matches!(reply, Reply::Claimed { .. });
        journal(Claim { is_claimed, used, change, counted: counting.records });
        drop(counting.locked);
        drop(shard);
        if let Reply::Claimed { answers, .. } = &mut reply {
            answers.order = ask.order.and_then(|order| self.order_of(scope, order, ask.now));
            answers.lists = self.lists.contain(ask.lists, ask.now);
        }
        Ok(reply)
    }

    /// None: it was used before.
    fn use_up(&self, scope: Digest, nonce: NonceUse, now: UnixTime) -> Result<Option<Record>, StoreError> {
        let (key, until) = (Key::new(scope, nonce.digest), Seconds::up(nonce.until));
        let mut shard = self.shard(key).lock();
        if shard.nonces.live(key, now).is_some() {
            return Ok(None);
        }
        if !shard.nonces.has_room(self.most.rows / SHARDS, now) {
            return Err(StoreError::Full { most: self.most.rows });
        }
        shard.nonces.rows.insert(key, until);
        Ok(Some(Record::Nonce { key, until }))
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
            None if !shard.events.has_room(self.most.rows / SHARDS, ask.now) => {
                return Err(StoreError::Full { most: self.most.rows });
            }
            None => {
                shard.told.forget(key); // of an event that was forgotten
                1
            }
        };
        let flight = Flight { lease, ends: ask.now.plus(ask.lease) };
        let until = Seconds::up(ask.now.plus(ask.retention.max(ask.lease)));
        let row = EventRow { content: ask.content, until, attempt, is_done: false };
        shard.flights.sweep(ask.now);
        shard.flights.rows.insert(key, flight);
        shard.events.rows.insert(key, row);
        let reply = Reply::Claimed { attempt: u32::from(attempt), lease, answers: Answers::default() };
        Ok((reply, Some(Record::InFlight { key, row, flight })))
    }

    /// Counters of an event that was claimed before; `journal` as in [`Index::claim`].
    pub(super) fn count(&self, ask: &CountAsk<'_>, journal: impl FnOnce(Vec<Record>)) -> Vec<Option<Counted>> {
        let scope = digest::scope(ask.endpoint);
        let event = Key::new(scope, ask.event);
        let mut shard = self.shard(event).lock();
        let counting = self.count_for(&mut shard, event, scope, ask.counters, ask.now);
        if !counting.records.is_empty() {
            journal(counting.records);
        }
        counting.answers
    }

    fn count_for(
        &self,
        shard: &mut Shard,
        event: Key,
        scope: Digest,
        asks: &[CounterAsk],
        now: UnixTime,
    ) -> Counting<'_> {
        if asks.is_empty() {
            return Counting::default();
        }
        let Shard { events, told, .. } = shard;
        let is_open = |event: &Key| events.live(*event, now).is_some_and(|row| !row.is_done);
        let may_move = is_open(&event);
        let is_sane = asks.len() <= MOST_COUNTERS;
        let has_room = may_move && is_sane && told.has_room(asks.len(), self.most.told_bytes / SHARDS, now, is_open);
        let mut locked = self.counters.lock(asks.iter().map(|ask| Key::new(scope, ask.id)));
        let mut records = Vec::with_capacity(asks.len().saturating_mul(2));
        let mut count = |ask: &CounterAsk| {
            let counter = Key::new(scope, ask.id);
            if let Some(answer) = told.of(event, counter) {
                return Some(answer);
            }
            if !may_move {
                return Some(locked.read(counter, ask, now));
            }
            let Some((answer, change)) = has_room.then(|| locked.count(counter, ask, now)).flatten() else {
                self.counters.refuse();
                return None;
            };
            told.tell(event, counter, answer);
            records.extend(change);
            records.push(Record::Told { event, counter, counted: answer });
            Some(answer)
        };
        let answers = asks.iter().map(&mut count).collect();
        Counting { answers, records, locked: Some(locked) }
    }

    /// How often a counter was not counted for want of room.
    pub(super) fn counters_refused(&self) -> u64 {
        self.counters.refused()
    }

    /// Registers an order; `journal` as in [`Index::claim`].
    pub(super) fn put_order(
        &self,
        endpoint: &str,
        put: super::engine::PutOrder,
        now: UnixTime,
        journal: impl FnOnce(Registration),
    ) -> Result<Registered, StoreError> {
        self.orders.put(Key::new(digest::scope(endpoint), put.order), put.says, put.until, now, journal)
    }

    pub(super) fn order(&self, endpoint: &str, order: Digest, now: UnixTime) -> Option<Order> {
        self.order_of(digest::scope(endpoint), order, now)
    }

    fn order_of(&self, scope: Digest, order: Digest, now: UnixTime) -> Option<Order> {
        self.orders.get(Key::new(scope, order), now)
    }

    /// Puts a value on a list; `journal` as in [`Index::claim`].
    pub(super) fn list_add(
        &self,
        entry: &ListAsk,
        until: UnixTime,
        now: UnixTime,
        journal: impl FnOnce(Registration),
    ) -> Result<bool, StoreError> {
        self.lists.add(entry, until, now, journal)
    }

    /// Takes a value off a list; `journal` as in [`Index::claim`].
    pub(super) fn list_remove(&self, entry: &ListAsk, now: UnixTime, journal: impl FnOnce(Registration)) -> bool {
        self.lists.remove(entry, now, journal)
    }

    pub(super) fn list_show(&self, list: &str, after: Option<&str>, most: usize, now: UnixTime) -> ListPage {
        self.lists.show(list, after, most, now)
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
                if let Record::Moved { key, shape, change } = record {
                    self.counters.apply(key, shape, change);
                } else {
                    shard.apply(record);
                }
            }
        }
        runs.len = 0;
    }

    /// Takes over what was registered.
    pub(super) fn apply_registration(&mut self, registration: Registration) {
        match registration {
            Registration::Order { key, until, order } => self.orders.apply(key, until, order),
            listed @ (Registration::Listed { .. } | Registration::Unlisted { .. }) => self.lists.apply(listed),
        }
    }

    /// Makes room for what a file is about to bring, so that no table grows while it is read.
    pub(super) fn reserve(&mut self, nonces: usize, events: usize) {
        for shard in &mut self.shards {
            let shard = shard.get_mut();
            shard.nonces.rows.reserve(nonces.min(self.most.rows) / SHARDS);
            shard.events.rows.reserve(events.min(self.most.rows) / SHARDS);
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
        for (number, shard) in self.shards.iter().enumerate() {
            records.clear();
            shard.lock().copy(now, &mut records);
            self.counters.copy(number, now, &mut records);
            taken(&records)?;
        }
        Ok(())
    }

    /// Hands out everything registered that is not forgotten at `now`; as [`Index::for_each`].
    pub(super) fn registrations(&self, now: UnixTime) -> impl Iterator<Item = Vec<Registration>> {
        self.orders.copies(now).chain(self.lists.copies(now))
    }

    /// The largest lease that is in flight, for whoever gives out the next one.
    pub(super) fn last_lease(&self) -> u64 {
        let last = |shard: &Mutex<Shard>| shard.lock().flights.rows.values().map(|flight| flight.lease.0).max();
        self.shards.iter().filter_map(last).max().unwrap_or(0)
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        self.shards.get(key.shard()).expect("a remainder is below the number of shards")
    }
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
                if row.attempt == 1 {
                    self.told.forget(key); // of an event that was forgotten
                }
                self.events.rows.insert(key, row);
                self.flights.rows.insert(key, flight);
            }
            Record::Done { key, row } => {
                self.events.rows.insert(key, row);
                self.flights.rows.remove(&key);
                self.told.forget(key);
            }
            Record::Released { key, lease } => {
                if self.flights.rows.get(&key).is_some_and(|flight| flight.lease == lease) {
                    self.flights.rows.remove(&key);
                }
            }
            Record::Told { event, counter, counted } => self.told.tell(event, counter, counted),
            Record::Moved { .. } => {} // has a shard of its own
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
        for (event, answers) in self.told.iter() {
            let is_open = self.events.live(event, now).is_some_and(|row| !row.is_done);
            let answers = answers.iter().filter(|_| is_open);
            into.extend(answers.map(|&(counter, counted)| Record::Told { event, counter, counted }));
        }
    }
}
