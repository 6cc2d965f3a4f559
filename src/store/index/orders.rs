//! Orders as merchants registered them. In shards, as the events are.
//!
//! **Memory.** About 240 bytes each; at most [`MOST_ORDERS`], then new ones are refused.

use parking_lot::Mutex;

use super::SHARDS;
use super::record::{Key, Registration, Seconds};
use super::table::{Expires, Table};
use crate::clock::UnixTime;
use crate::risk::ask::Order;
use crate::store::{Registered, StoreError};

/// Most orders that are remembered: a gigabyte when all are there. 43 a second for 27 hours.
pub(super) const MOST_ORDERS: usize = 1 << 22;

/// The shards.
pub(super) struct Orders {
    shards: Box<[Mutex<Table<OrderRow>>]>,
    most: usize,
}

struct OrderRow {
    until: Seconds,
    order: Box<Order>,
}

impl Orders {
    pub(super) fn with_most(most: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), most }
    }

    /// Registers an order; `journal` sees it while it is locked.
    pub(super) fn put(
        &self,
        key: Key,
        order: Order,
        until: UnixTime,
        now: UnixTime,
        journal: impl FnOnce(Registration),
    ) -> Result<Registered, StoreError> {
        let mut table = self.shard(key).lock();
        let registered = match table.live(key, now) {
            Some(row) if row.order.says_the_same_as(&order) => Registered::Unchanged,
            Some(_) => Registered::Replaced,
            None => Registered::New,
        };
        if registered == Registered::New && !table.has_room(self.most / SHARDS, now) {
            return Err(StoreError::OrdersFull { most: self.most });
        }
        let (until, order) = (Seconds::up(until), Box::new(order));
        journal(Registration::Order { key, until, order: order.clone() });
        table.rows.insert(key, OrderRow { until, order });
        Ok(registered)
    }

    pub(super) fn get(&self, key: Key, now: UnixTime) -> Option<Order> {
        self.shard(key).lock().live(key, now).map(|row| Order::clone(&row.order))
    }

    /// Takes an order of a journal or a snapshot over.
    pub(super) fn apply(&mut self, key: Key, until: Seconds, order: Box<Order>) {
        if let Some(shard) = self.shards.get_mut(key.shard()) {
            shard.get_mut().rows.insert(key, OrderRow { until, order });
        }
    }

    /// Hands out everything that is not forgotten at `now`, a shard at a time.
    pub(super) fn copies(&self, now: UnixTime) -> impl Iterator<Item = Vec<Registration>> {
        self.shards.iter().map(move |shard| {
            let table = shard.lock();
            let live = table.rows.iter().filter(|(_, row)| row.is_live(now));
            live.map(|(&key, row)| Registration::Order { key, until: row.until, order: row.order.clone() }).collect()
        })
    }

    fn shard(&self, key: Key) -> &Mutex<Table<OrderRow>> {
        self.shards.get(key.shard()).expect("a remainder is below the number of shards")
    }
}

impl Expires for OrderRow {
    fn is_live(&self, now: UnixTime) -> bool {
        self.until.is_live(now)
    }
}
