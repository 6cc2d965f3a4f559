//! Held rows whose time is up: a rule gave a person so long to look at them, and said what then. Released, a row is pending;
//! rejected, it stays held for review under the reason `risk-rejected`. Nothing is lost by either.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::desk::DeskError;
use super::{Head, MOST_LISTED, Query, Queue, RowId, Stored};
use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::risk::OnExpiry;
use crate::store::{Store, StoreError};

/// Rows that are acted on at most by one look; the next look finds the rest.
const MOST_EXPIRED: usize = 1000;

/// Until when a held row waits for a person, and what then. It lies in the sealed part of the row: who can write to the
/// store cannot set a payment free by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    /// Until when.
    pub at: UnixTime,
    /// What then.
    pub then: OnExpiry,
}

/// A row whose time was up, and what came of it.
#[derive(Debug)]
pub struct Expired {
    /// Which.
    pub id: RowId,
    /// Of which endpoint.
    pub endpoint: Arc<str>,
    /// What its rule wanted.
    pub then: OnExpiry,
    /// Whether that was done.
    pub result: Result<(), DeskError>,
}

impl Store {
    /// Does with held rows whose time is up what their rules want. Several nodes may do this at once: each row is moved in
    /// one step, by one of them.
    pub async fn expire_held(&self) -> Result<Vec<Expired>, StoreError> {
        let now = self.shared.clock.now();
        let mut query = Query {
            queue: Queue::Held,
            endpoint: None,
            reason: Some(Reason::Held),
            since: None,
            until: Some(now),
            after: None,
            limit: MOST_LISTED,
        };
        let mut expired = Vec::new();
        loop {
            let page = self.list(&query).await?;
            let due = |head: &Head| head.entered_at < head.next_at && head.next_at <= now;
            for listed in page.rows.into_iter().filter(|listed| due(&listed.head) && !listed.is_quarantined) {
                expired.extend(self.expire(listed.head.id, now).await);
                if expired.len() >= MOST_EXPIRED {
                    return Ok(expired);
                }
            }
            let Some(next) = page.next else { return Ok(expired) };
            query.after = Some(next);
        }
    }

    /// None: somebody else was faster, or its sealed part says that it is not time.
    async fn expire(&self, id: RowId, now: UnixTime) -> Option<Expired> {
        let (head, row) = match self.open_row(Queue::Held, id).await {
            Ok(opened) => opened,
            Err(DeskError::NotFound { .. }) => return None,
            Err(error) => {
                tracing::error!(%id, %error, "a held row whose time is up cannot be read");
                return None;
            }
        };
        let expiry = row.expiry.filter(|expiry| expiry.at <= now)?;
        let endpoint = Arc::clone(&head.endpoint);
        let result = match expiry.then {
            OnExpiry::Release => self.release(Queue::Held, id).await,
            OnExpiry::Reject => {
                let head = Head { reason: Reason::RiskRejected, next_at: head.entered_at, ..head };
                self.put_in_place(head, super::Row { expiry: None, ..row }).await
            }
        };
        (!matches!(result, Err(DeskError::NotFound { .. }))).then_some(Expired {
            id,
            endpoint,
            then: expiry.then,
            result,
        })
    }

    async fn put_in_place(&self, head: Head, row: super::Row) -> Result<(), DeskError> {
        let (queue, id) = (head.queue, head.id);
        let sealed = self.shared.seals.seal(&head, &row.encode())?.into();
        let is_replaced = self.shared.rows.replace(queue, None, Stored { head, sealed }).await?;
        if is_replaced { Ok(()) } else { Err(DeskError::NotFound { queue, id }) }
    }
}
