//! The rows of `memory:`: the table and nothing below it.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::table::{Table, bounds};
use super::{Depth, Page, Query, Queue, RowId, RowLease, Stored, Take, Taken};
use crate::clock::UnixTime;
use crate::store::StoreError;

/// Most sealed bytes of one queue.
const MOST_BYTES: usize = 64 * 1024 * 1024;

pub(in crate::store) struct MemoryRows {
    table: Mutex<Table<Bytes>>,
    is_closed: AtomicBool,
}

impl Default for MemoryRows {
    fn default() -> Self {
        Self { table: Mutex::new(Table::new(bounds(MOST_BYTES))), is_closed: AtomicBool::new(false) }
    }
}

impl MemoryRows {
    pub(super) fn put(&self, row: Stored) -> Result<bool, StoreError> {
        self.check_open()?;
        let mut table = self.table.lock();
        if table.contains(row.head.id) {
            return Ok(false);
        }
        table.check_room(row.head.queue, row.sealed.len())?;
        let bytes = row.sealed.len();
        table.put(row.head, row.sealed, bytes);
        Ok(true)
    }

    pub(super) fn replace(&self, from: Queue, lease: Option<RowLease>, row: Stored) -> Result<bool, StoreError> {
        self.check_open()?;
        let mut table = self.table.lock();
        if !table.may_replace(from, row.head.id, lease) {
            return Ok(false);
        }
        if row.head.queue != from {
            table.check_room(row.head.queue, row.sealed.len())?;
        }
        let bytes = row.sealed.len();
        table.put(row.head, row.sealed, bytes);
        Ok(true)
    }

    pub(super) fn get(&self, queue: Queue, id: RowId) -> Result<Option<Stored>, StoreError> {
        self.check_open()?;
        let table = self.table.lock();
        let entry = table.get(queue, id);
        Ok(entry.map(|entry| Stored { head: entry.head.clone(), sealed: entry.place.clone() }))
    }

    pub(super) fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.check_open()?;
        Ok(self.table.lock().list(query))
    }

    pub(super) fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, StoreError> {
        self.check_open()?;
        let taken = self.table.lock().take(take).into_iter();
        Ok(taken.map(|(head, sealed, lease)| Taken { row: Stored { head, sealed }, lease }).collect())
    }

    pub(super) fn postpone(
        &self,
        id: RowId,
        lease: RowLease,
        attempts: u32,
        next_at: UnixTime,
    ) -> Result<(), StoreError> {
        self.check_open()?;
        self.table.lock().postpone(id, lease, attempts, next_at);
        Ok(())
    }

    pub(super) fn remove(&self, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        self.check_open()?;
        let mut table = self.table.lock();
        let is_there = table.get(queue, id).is_some();
        if is_there {
            table.remove(id);
        }
        Ok(is_there)
    }

    pub(super) fn set_aside(&self, id: RowId) -> Result<bool, StoreError> {
        self.check_open()?;
        Ok(self.table.lock().set_aside(id))
    }

    pub(super) fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        self.check_open()?;
        Ok(self.table.lock().depths())
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
