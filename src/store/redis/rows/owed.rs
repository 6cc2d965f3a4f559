//! Rows that were delivered while Redis was out: they leave the queue as soon as it answers, or they would be delivered
//! once more when their leases have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{REMOVE, text};
use crate::store::StoreError;
use crate::store::queue::{Queue, RowId};
use crate::store::redis::link::Link;

/// Most removals that wait: more than workers deliver in the time of a lease.
const MOST: usize = 10_000;

/// Between two tries while Redis answers, but not this.
const PAUSE: Duration = Duration::from_millis(200);

/// What is to be removed.
#[derive(Default)]
pub(super) struct Owed {
    /// By row: the name of its removal.
    rows: Mutex<BTreeMap<RowId, Bytes>>,
    is_paying: AtomicBool,
}

impl Owed {
    /// Sees to it that the row is removed when the store is back.
    pub(super) fn owe(self: &Arc<Self>, link: &Link, tag: &str, id: RowId, change: Bytes) {
        {
            let mut rows = self.rows.lock();
            if rows.len() >= MOST {
                tracing::warn!(%id, "more removals wait for the store than are kept: the row may be delivered once more");
                return;
            }
            rows.insert(id, change);
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if self.is_paying.swap(true, Ordering::AcqRel) {
            return;
        }
        let (owed, link, tag) = (Arc::clone(self), link.clone(), tag.to_owned());
        runtime.spawn(async move {
            while !owed.is_empty() && link.until_up().await.is_ok() {
                if owed.pay(&link, &tag).await.is_err() {
                    tokio::time::sleep(PAUSE).await; // out again, or the slot is on its way
                }
            }
            owed.is_paying.store(false, Ordering::Release);
        });
    }

    /// Removes what is owed. An error: the store is out again, or still.
    pub(super) async fn pay(&self, link: &Link, tag: &str) -> Result<(), StoreError> {
        while let Some((id, change)) = self.first() {
            let args = [change, text(id), text(Queue::Pending.name())];
            match link.run(&REMOVE, &[tag.as_bytes()], &args.each_ref().map(|arg| &arg[..])).await {
                Err(error) if may_pass(&error) => return Err(error),
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%id, %error, "a delivered row could not be removed; it is delivered once more");
                }
            }
            self.rows.lock().remove(&id);
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.lock().is_empty()
    }

    fn first(&self) -> Option<(RowId, Bytes)> {
        self.rows.lock().first_key_value().map(|(id, change)| (*id, change.clone()))
    }
}

/// Whether the same may succeed later.
pub(super) fn may_pass(error: &StoreError) -> bool {
    error.is_outage() || matches!(error, StoreError::Busy)
}
