//! The stage type of a row that a worker has: it opened, so the gateway itself wrote it, and it is ours until its lease ends.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::{Head, Queue, Row, RowId, RowLease, Stored};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use crate::store::engine::{End, Lease, Settlement};
use crate::store::{Store, StoreError, digest};

/// A pending event that opened, and that is ours alone to deliver until its lease ends. Only [`Store::take`] makes one.
///
/// Dropped without an end, its lease runs out.
///
/// ```compile_fail,E0451
/// let forged = wxgate::store::Opened { row: todo!(), head: todo!(), lease: todo!(), store: todo!() }; // private fields
/// ```
#[must_use = "finish, postpone, give back or bury"]
pub struct Opened {
    row: Row,
    head: Head,
    lease: RowLease,
    store: Store,
}

impl Opened {
    pub(super) fn new(row: Row, head: Head, lease: RowLease, store: Store) -> Self {
        Self { row, head, lease, store }
    }

    /// Names the row.
    pub fn id(&self) -> RowId {
        self.head.id
    }

    /// The endpoint's name.
    pub fn endpoint(&self) -> &Arc<str> {
        &self.head.endpoint
    }

    /// What is to be delivered.
    pub fn event(&self) -> &Event {
        &self.row.event
    }

    /// The body as WeChat sent it.
    pub fn received_body(&self) -> &Bytes {
        &self.row.received_body
    }

    /// The head of WeChat's request.
    pub fn received_headers(&self) -> &HeaderMap {
        &self.row.headers
    }

    /// The policy's verdict as JSON; empty if there was none.
    pub fn verdict(&self) -> &str {
        &self.row.verdict
    }

    /// The idempotency key: that of [`Claimed::idempotency_key`](crate::store::Claimed::idempotency_key), except for what
    /// came under the id of another event, which has one of its own.
    pub fn idempotency_key(&self) -> String {
        self.row.idempotency_key(&self.head.endpoint)
    }

    /// How often the event was handed to the upstream, this time included.
    pub fn attempt(&self) -> u32 {
        self.row.attempts_before.saturating_add(self.tries()).saturating_add(1)
    }

    /// How often its delivery failed since it came into the queue.
    pub fn tries(&self) -> u32 {
        self.head.attempts
    }

    /// When it came into the queue.
    pub fn entered_at(&self) -> UnixTime {
        self.head.entered_at
    }

    /// Out of which queue a person let it go.
    pub fn released_from(&self) -> Option<Queue> {
        self.row.released_from
    }

    /// The upstream has taken it: its event is done, and the row leaves the queue, durably, before this returns.
    ///
    /// # Errors
    /// The store failed. The row may be delivered once more, under the same idempotency key.
    pub async fn finish(self) -> Result<(), StoreError> {
        let shared = &self.store.shared;
        let mut settled = Ok(());
        if self.row.is_of_its_event() {
            // Done first: if WeChat tries again between the two, it finds the event done (I1).
            let settlement = Settlement {
                endpoint: &self.head.endpoint,
                event: digest::event(&self.row.event.id),
                content: digest::content(&self.row.event),
                lease: Lease(0), // the claim's own has ended when the row was put; `Done` holds without one
                end: End::Done,
                retention: shared.retention,
                now: shared.clock.now(),
            };
            settled = shared.engine.settle(&settlement).await;
        }
        match settled {
            Err(error) if !error.is_outage() => Err(error),
            // What an engine that is out of reach was not told, it is told when it is back: both the end and the removal.
            settled => {
                shared.rows.delivered(self.head.id).await?;
                settled
            }
        }
    }

    /// Its delivery failed: not again before `next_at`.
    pub async fn postpone(self, next_at: UnixTime) -> Result<(), StoreError> {
        let attempts = self.tries().saturating_add(1);
        self.store.shared.rows.postpone(self.head.id, self.lease, attempts, next_at).await
    }

    /// It was not tried: it is free again at once.
    pub async fn give_back(self) -> Result<(), StoreError> {
        let Head { id, attempts, next_at, .. } = self.head;
        self.store.shared.rows.postpone(id, self.lease, attempts, next_at).await
    }

    /// Its delivery is given up: it goes to `dead`. False: somebody else has it meanwhile.
    ///
    /// # Errors
    /// [`StoreError::QueueFull`] among others: it stays pending.
    pub async fn bury(mut self, reason: Reason) -> Result<bool, StoreError> {
        self.row.attempts_before = self.attempt();
        let now = self.store.shared.clock.now();
        let head = Head { queue: Queue::Dead, reason, entered_at: now, next_at: now, attempts: 0, ..self.head.clone() };
        let sealed = self.store.shared.seals.seal(&head, &self.row.encode())?.into();
        self.store.shared.rows.replace(Queue::Pending, Some(self.lease), Stored { head, sealed }).await
    }
}
