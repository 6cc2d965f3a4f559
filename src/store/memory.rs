//! `memory:` — for tests and trials. Forgets everything when the process ends, and therefore refuses what was signed
//! before it was opened ([`MemoryEngine::opened_at`], checked in [`super::Store::claim`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::engine::{Ask, CountAsk, Digest, Lease, PutOrder, Reply, Settlement};
use super::index::Index;
use super::{ListPage, Registered, StoreError};
use crate::clock::UnixTime;
use crate::risk::ask::{Counted, ListAsk, Order};

/// The index and nothing below it.
pub(super) struct MemoryEngine {
    index: Box<Index>,
    leases: AtomicU64,
    opened_at: UnixTime,
    is_closed: AtomicBool,
}

impl MemoryEngine {
    pub(super) fn new(now: UnixTime) -> Self {
        Self {
            index: Box::new(Index::new()),
            leases: AtomicU64::new(1),
            opened_at: now,
            is_closed: AtomicBool::new(false),
        }
    }

    pub(super) fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        self.check_open()?;
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed));
        self.index.claim(ask, lease, |_| ())
    }

    pub(super) fn count(&self, ask: &CountAsk<'_>) -> Result<Vec<Option<Counted>>, StoreError> {
        self.check_open()?;
        Ok(self.index.count(ask, |_| ()))
    }

    pub(super) fn counters_refused(&self) -> u64 {
        self.index.counters_refused()
    }

    pub(super) fn put_orders(
        &self,
        endpoint: &str,
        orders: Vec<PutOrder>,
        now: UnixTime,
    ) -> Result<Vec<Registered>, StoreError> {
        self.check_open()?;
        orders.into_iter().map(|order| self.index.put_order(endpoint, order, now, |_| ())).collect()
    }

    pub(super) fn order(&self, endpoint: &str, order: Digest, now: UnixTime) -> Result<Option<Order>, StoreError> {
        self.check_open()?;
        Ok(self.index.order(endpoint, order, now))
    }

    pub(super) fn list_add(&self, entry: &ListAsk, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        self.check_open()?;
        self.index.list_add(entry, until, now, |_| ())
    }

    pub(super) fn list_remove(&self, entry: &ListAsk, now: UnixTime) -> Result<bool, StoreError> {
        self.check_open()?;
        Ok(self.index.list_remove(entry, now, |_| ()))
    }

    pub(super) fn list_show(
        &self,
        list: &str,
        after: Option<&str>,
        most: usize,
        now: UnixTime,
    ) -> Result<ListPage, StoreError> {
        self.check_open()?;
        Ok(self.index.list_show(list, after, most, now))
    }

    pub(super) fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        self.check_open()?;
        self.index.settle(settlement, |_| ());
        Ok(())
    }

    pub(super) fn opened_at(&self) -> UnixTime {
        self.opened_at
    }

    pub(super) fn is_up(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_up() { Ok(()) } else { Err(StoreError::Closed) }
    }
}
