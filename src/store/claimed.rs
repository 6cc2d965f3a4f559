//! The stage type of this layer: an event that is ours alone. Only [`Store::claim`] makes one, and it always ends.

use std::sync::Arc;

use super::engine::{Content, Digest, End, Engine, Lease, Settlement};
use super::queue::{Beside, Origin, Queue, Row};
use super::{Store, StoreError, digest};
use crate::clock::UnixTime;
use crate::event::Event;
use crate::reason::Reason;
use crate::risk::RejectAnswer;
use crate::risk::ask::Answers;
use crate::wechat::Authentic;

/// An event that is ours alone to deliver until its lease ends.
///
/// Dropped without an end, for one by a panic, it is released without waiting; if even that is lost, its lease runs out.
///
/// ```compile_fail,E0451
/// let forged = wxgate::store::Claimed { authentic: todo!() }; // private field
/// ```
#[must_use = "commit, release or hold before answering"]
pub struct Claimed {
    authentic: Authentic,
    claim: Claim,
    is_settled: bool,
}

/// What names the claim in the store.
pub(super) struct Claim {
    pub(super) store: Store,
    pub(super) endpoint: Arc<str>,
    pub(super) event: Digest,
    pub(super) content: Content,
    pub(super) lease: Lease,
    pub(super) attempt: u32,
    pub(super) answers: Answers,
    pub(super) claimed_at: UnixTime,
}

impl Claimed {
    pub(super) fn new(authentic: Authentic, claim: Claim) -> Self {
        Self { authentic, claim, is_settled: false }
    }

    /// What is claimed.
    pub fn event(&self) -> &Event {
        self.authentic.event()
    }

    /// The callback that it came by.
    pub fn authentic(&self) -> &Authentic {
        &self.authentic
    }

    /// The idempotency key that the upstream sees: the same for every attempt at this event, on any node. It is made of the
    /// endpoint's name and WeChat's event id, and holds no character that Standard Webhooks gives a meaning to.
    pub fn idempotency_key(&self) -> String {
        digest::idempotency_key(&self.claim.endpoint, &self.event().id)
    }

    /// How often this event was claimed, this time included. Counts to 65535.
    pub fn attempt(&self) -> u32 {
        self.claim.attempt
    }

    /// What the store knew of what the policy asked, in the order of the asks. The same for every attempt as far as
    /// counters go.
    pub fn answers(&self) -> &Answers {
        &self.claim.answers
    }

    /// The endpoint, the event and the time by which it counts.
    pub(super) fn counts_as(&self) -> (&str, Digest, UnixTime) {
        (&self.claim.endpoint, self.claim.event, self.claim.claimed_at)
    }

    /// The event is done, durably, before this returns.
    pub fn commit(mut self) -> impl Future<Output = Result<(), StoreError>> + Send {
        // Before the wait, and before the first poll: the upstream has the event, so whatever becomes of this future must
        // not release it.
        self.is_settled = true;
        async move { self.engine().settle(&self.settlement(End::Done)).await }
    }

    /// The event is not done: the next try may have it.
    pub async fn release(mut self) -> Result<(), StoreError> {
        self.engine().settle(&self.settlement(End::Released)).await?;
        self.is_settled = true;
        Ok(())
    }

    /// Keeps the event durably for a person, and counts it as done.
    pub async fn hold(self, reason: Reason, beside: Beside<'_>) -> Result<(), StoreError> {
        self.keep(Queue::Held, reason, beside).await
    }

    /// Keeps the event durably for its delivery in the background, and counts it as done.
    pub async fn queue(self, beside: Beside<'_>) -> Result<(), StoreError> {
        self.keep(Queue::Pending, Reason::Queued, beside).await
    }

    /// Keeps the event durably for a person to review. Where WeChat is to hear that it was taken, the event counts as done;
    /// else it is free again, and each of WeChat's tries is judged again, with the same counts.
    pub async fn reject(self, answer: RejectAnswer, beside: Beside<'_>) -> Result<Reason, StoreError> {
        match answer {
            RejectAnswer::Swallow => self.keep(Queue::Held, Reason::RiskRejected, beside).await.map(|()| Reason::Held),
            RejectAnswer::Retry => {
                let row = self.row(beside);
                self.claim.store.put_row(Queue::Held, &self.claim.endpoint, Reason::RiskRejected, &row).await?;
                self.release().await.map(|()| Reason::RiskRejected)
            }
        }
    }

    async fn keep(self, queue: Queue, reason: Reason, beside: Beside<'_>) -> Result<(), StoreError> {
        let row = self.row(beside);
        // Kept first: a crash in between keeps it twice under one name, which is once. The other way round loses it.
        self.claim.store.put_row(queue, &self.claim.endpoint, reason, &row).await?;
        self.commit().await
    }

    fn row(&self, beside: Beside<'_>) -> Row {
        let mut row = Row::new(Origin::Claimed, &self.authentic, beside);
        row.attempts_before = self.claim.attempt.saturating_sub(1);
        row
    }

    fn engine(&self) -> &Engine {
        &self.claim.store.shared.engine
    }

    fn settlement(&self, end: End) -> Settlement<'_> {
        let shared = &self.claim.store.shared;
        Settlement {
            endpoint: &self.claim.endpoint,
            event: self.claim.event,
            content: self.claim.content,
            lease: self.claim.lease,
            end,
            retention: shared.retention,
            now: shared.clock.now(),
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.is_settled {
            self.engine().abandon(&self.settlement(End::Released));
        }
    }
}
