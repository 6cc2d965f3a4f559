//! `memory:` — for tests and trials. Forgets everything when the process ends, and therefore refuses what was signed
//! before it was opened ([`MemoryEngine::opened_at`], checked in [`super::Store::claim`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::StoreError;
use super::engine::{Ask, Lease, Reply, Settlement};
use super::index::Index;
use crate::clock::UnixTime;

/// The index and nothing below it.
pub(super) struct MemoryEngine {
    index: Index,
    leases: AtomicU64,
    opened_at: UnixTime,
    is_closed: AtomicBool,
}

impl MemoryEngine {
    pub(super) fn new(now: UnixTime) -> Self {
        Self { index: Index::new(), leases: AtomicU64::new(1), opened_at: now, is_closed: AtomicBool::new(false) }
    }

    pub(super) fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        self.check_open()?;
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed));
        self.index.claim(ask, lease, |_| ())
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
