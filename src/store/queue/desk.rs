//! The way to the queues for the rest of the program: rows are sealed and opened here, and nowhere else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::futures::Notified;

use super::seal::Unopened;
use super::{Depth, Expiry, Head, Listed, Opened, Page, Query, Queue, Row, RowId, Stored, Take, Taken};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use crate::store::{Store, StoreError};

/// Rows that one redrive moves at most; what is left tells its answer.
pub const MOST_REDRIVEN: usize = 1000;

/// Why nothing came of a request for a row.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// No such row.
    #[error("no row {id} is {}: it was delivered, dropped or moved; list the queue", queue.name())]
    NotFound {
        /// Where it was looked for.
        queue: Queue,
        /// The id.
        id: RowId,
    },
    /// A worker has it.
    #[error("row {id} is being delivered: wait for what comes of it")]
    Busy {
        /// The id.
        id: RowId,
    },
    /// It does not open.
    #[error("row {id} does not open: {why}")]
    Unopened {
        /// The id.
        id: RowId,
        /// Why.
        why: Unopened,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A row with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// What lies in the clear.
    pub head: Head,
    /// The event.
    pub event: Event,
    /// The idempotency key that the app sees.
    pub webhook_id: String,
    /// The nonce that WeChat signed, where its protocol signs one.
    pub nonce: Option<String>,
    /// The timestamp that WeChat signed, where its protocol signs one.
    pub signed_at: Option<UnixTime>,
    /// The key that verified it.
    pub signed_by: String,
    /// The policy's verdict as JSON; empty if there was none.
    pub verdict: String,
    /// How often it was handed to the upstream.
    pub attempts: u32,
    /// Out of which queue a person let it go.
    pub released_from: Option<Queue>,
    /// Until when it waits for a person, and what then, if its rule says so.
    pub expiry: Option<Expiry>,
}

/// What came of a redrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Rows that are pending again.
    pub moved: usize,
    /// Rows that did not open, and stay.
    pub unopened: usize,
    /// Whether more are dead than one redrive moves.
    pub is_more: bool,
}

impl Store {
    /// One page of a queue, the oldest rows first.
    pub async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        self.shared.rows.list(query).await
    }

    /// How full each queue of each endpoint is, empty ones left out.
    pub async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        self.shared.rows.depths().await
    }

    /// Rows that did not open, since the start. Each was logged.
    pub fn quarantined(&self) -> u64 {
        self.shared.quarantined.load(Ordering::Relaxed)
    }

    /// A row, opened.
    pub async fn show(&self, queue: Queue, id: RowId) -> Result<Shown, DeskError> {
        let (head, row) = self.open_row(queue, id).await?;
        Ok(Shown {
            webhook_id: row.idempotency_key(&head.endpoint),
            attempts: row.attempts_before.saturating_add(head.attempts),
            head,
            event: row.event,
            nonce: row.signed.nonce,
            signed_at: row.signed.at,
            signed_by: row.signed.by,
            verdict: row.verdict,
            released_from: row.released_from,
            expiry: row.expiry,
        })
    }

    /// Lets a row of `held` or `dead` go: it is pending, and due now.
    pub async fn release(&self, queue: Queue, id: RowId) -> Result<(), DeskError> {
        let (head, mut row) = self.open_row(queue, id).await?;
        row.attempts_before = row.attempts_before.saturating_add(head.attempts);
        row.released_from = Some(queue);
        row.expiry = None;
        let now = self.shared.clock.now();
        let head = Head {
            queue: Queue::Pending,
            reason: Reason::Queued,
            entered_at: now,
            next_at: now,
            attempts: 0,
            // The order is by the oldest key, which may be another by now.
            lane: self.shared.seals.lane(&head.endpoint, row.event.subject.as_deref(), id),
            ..head
        };
        let sealed = self.shared.seals.seal(&head, &row.encode())?.into();
        let is_moved = self.shared.rows.replace(queue, None, Stored { head, sealed }).await?;
        self.shared.arrived.notify_waiters();
        match is_moved {
            true => Ok(()),
            false if self.shared.rows.get(queue, id).await?.is_some() => Err(DeskError::Busy { id }),
            false => Err(DeskError::NotFound { queue, id }),
        }
    }

    /// Lets all dead rows go, or those of one endpoint; [`MOST_REDRIVEN`] at once.
    pub async fn redrive(&self, endpoint: Option<&str>) -> Result<Redriven, DeskError> {
        let mut redriven = Redriven::default();
        let mut query = Query {
            queue: Queue::Dead,
            endpoint: endpoint.map(str::to_owned),
            reason: None,
            since: None,
            until: None,
            after: None,
            limit: 100,
        };
        loop {
            let page = self.list(&query).await?;
            for Listed { head, .. } in page.rows {
                if redriven.moved >= MOST_REDRIVEN {
                    redriven.is_more = true;
                    return Ok(redriven);
                }
                match self.release(Queue::Dead, head.id).await {
                    Ok(()) => redriven.moved = redriven.moved.saturating_add(1),
                    Err(DeskError::Unopened { .. }) => redriven.unopened = redriven.unopened.saturating_add(1),
                    Err(DeskError::NotFound { .. } | DeskError::Busy { .. }) => {} // somebody else was faster
                    Err(error @ DeskError::Store(_)) => return Err(error),
                }
            }
            let Some(next) = page.next else { return Ok(redriven) };
            query.after = Some(next);
        }
    }

    /// Removes a row for good. Its event stays known: WeChat's next try is a duplicate.
    pub async fn drop_row(&self, queue: Queue, id: RowId) -> Result<(), DeskError> {
        if self.shared.rows.remove(queue, id).await? { Ok(()) } else { Err(DeskError::NotFound { queue, id }) }
    }

    /// Leases rows that are due, and opens them. What does not open is kept aside, counted and logged, and never given out.
    pub async fn take(&self, endpoint: &str, lease: Duration, limit: usize) -> Result<Vec<Opened>, StoreError> {
        let now = self.shared.clock.now();
        let take = Take { endpoint, now, until: now.plus(lease), limit };
        let mut opened = Vec::new();
        for Taken { row: Stored { head, sealed }, lease } in self.shared.rows.take(&take).await? {
            match self.unseal(&head, &sealed) {
                Ok(row) => opened.push(Opened::new(row, head, lease, self.clone())),
                Err(why) => self.quarantine(&head, &why).await?,
            }
        }
        Ok(opened)
    }

    /// Ends when rows become due by this node's doing, from now on: one was put, or released. Ask again after a while in any
    /// case, for what others do and for what becomes due by itself.
    pub fn arrival(&self) -> Notified<'_> {
        self.shared.arrived.notified()
    }

    /// Seals a row and puts it. False: it is in some queue already.
    pub(in crate::store) async fn put_row(
        &self,
        queue: Queue,
        endpoint: &Arc<str>,
        reason: Reason,
        row: &Row,
    ) -> Result<bool, StoreError> {
        let stored = self.sealed(queue, endpoint, reason, row, self.shared.clock.now())?;
        let is_new = self.shared.rows.put(stored).await?;
        if queue == Queue::Pending {
            self.shared.arrived.notify_waiters();
        }
        Ok(is_new)
    }

    pub(super) fn sealed(
        &self,
        queue: Queue,
        endpoint: &Arc<str>,
        reason: Reason,
        row: &Row,
        now: UnixTime,
    ) -> Result<Stored, StoreError> {
        let id = row.id(endpoint);
        let head = Head {
            id,
            queue,
            endpoint: Arc::clone(endpoint),
            reason,
            received_at: now,
            entered_at: now,
            next_at: row.expiry.map_or(now, |expiry| expiry.at),
            attempts: 0,
            lane: self.shared.seals.lane(endpoint, row.event.subject.as_deref(), id),
        };
        let sealed = self.shared.seals.seal(&head, &row.encode())?.into();
        Ok(Stored { head, sealed })
    }

    pub(super) async fn open_row(&self, queue: Queue, id: RowId) -> Result<(Head, Row), DeskError> {
        let found = self.shared.rows.get(queue, id).await?;
        let Stored { head, sealed } = found.ok_or(DeskError::NotFound { queue, id })?;
        match self.unseal(&head, &sealed) {
            Ok(row) => Ok((head, row)),
            Err(why) => {
                self.quarantine(&head, &why).await?;
                Err(DeskError::Unopened { id, why })
            }
        }
    }

    /// The seal says that the gateway wrote it; that it is the row of this id is looked at all the same.
    fn unseal(&self, head: &Head, sealed: &[u8]) -> Result<Row, Unopened> {
        let row = Row::decode(self.shared.seals.open(head, sealed)?).ok_or(Unopened::UnknownForm)?;
        if row.id(&head.endpoint) == head.id { Ok(row) } else { Err(Unopened::Altered) }
    }

    async fn quarantine(&self, head: &Head, why: &Unopened) -> Result<(), StoreError> {
        if self.shared.rows.set_aside(head.id).await? {
            self.shared.quarantined.fetch_add(1, Ordering::Relaxed);
            let (id, endpoint, queue) = (head.id, &head.endpoint, head.queue.name());
            tracing::error!(%id, %endpoint, queue, %why, "a row does not open; it is kept aside and not delivered");
        }
        Ok(())
    }
}
