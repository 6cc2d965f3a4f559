//! What goes on while the store is out.
//!
//! Whatever the policy is, an event that the upstream has taken while its end could not be told is not forgotten: its end is
//! told as soon as the store answers again, before this node claims anything there, so that WeChat's next try of it is a
//! duplicate (I1) on every node.
//!
//! With `on_outage = "local"` this node also learns what it does, as the `memory:` engine does, and goes on by that. It knows
//! nothing of other nodes: an event that another one did may pass again, and counters are this node's share. So every answer
//! says that it is degraded. What was signed before this process began cannot be told from a replay here, and waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::wire::Arguments;
use crate::clock::UnixTime;
use crate::risk::ask::Answers;
use crate::store::StoreError;
use crate::store::engine::{Ask, End, Lease, Reply, Settlement};
use crate::store::index::Index;

/// Most ends that wait to be told: a hundred seconds of a thousand events each. Beyond that the oldest is forgotten.
const MOST_UNTOLD: usize = 100_000;

/// The tag of an event's endpoint, and what the script takes.
type Told = (String, Arguments);

/// Ends that the store has not been told of, the oldest first.
#[derive(Default)]
pub(super) struct Untold {
    ends: Mutex<VecDeque<Told>>,
    /// How many, those on their way included, to be looked at without the lock.
    waiting: AtomicUsize,
    pub(super) is_telling: AtomicBool,
}

/// An end on its way to the store. Dropped before it has arrived, it waits again: who told it may have had no time to hear the
/// answer, and then must not be the only one who knew it.
pub(super) struct OnItsWay {
    untold: Arc<Untold>,
    end: Option<Told>,
}

impl Untold {
    pub(super) fn push(&self, tag: String, end: Arguments) {
        let mut ends = self.ends.lock();
        if ends.len() >= MOST_UNTOLD {
            ends.pop_front();
            self.waiting.fetch_sub(1, Ordering::Release);
            tracing::warn!(
                "more ends of events wait for the store than are kept: the oldest may be delivered once more"
            );
        }
        ends.push_back((tag, end));
        self.waiting.fetch_add(1, Ordering::Release);
    }

    /// The oldest. They count as waiting until they have arrived.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Vec<OnItsWay> {
        let mut ends = self.ends.lock();
        let many = most.min(ends.len());
        ends.drain(..many).map(|end| OnItsWay { untold: Arc::clone(self), end: Some(end) }).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
    }
}

impl OnItsWay {
    /// The tag, and what the script takes.
    pub(super) fn end(&self) -> Option<&Told> {
        self.end.as_ref()
    }

    /// The store knows it, or will never take it.
    pub(super) fn arrived(mut self) {
        self.end = None;
        self.untold.waiting.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            self.untold.ends.lock().push_front(end);
        }
    }
}

/// What this node knows by itself.
pub(super) struct Local {
    index: Box<Index>,
    since: UnixTime,
    leases: AtomicU64,
    answered: AtomicU64,
}

impl Local {
    pub(super) fn new(now: UnixTime) -> Self {
        let (leases, answered) = (AtomicU64::new(1), AtomicU64::new(0));
        Self { index: Box::new(Index::new()), since: now, leases, answered }
    }

    /// Learns what the store answered.
    pub(super) fn learn(&self, ask: &Ask<'_>, reply: &Reply) {
        let (lease, is_done) = match reply {
            Reply::Claimed { lease, .. } => (*lease, false),
            Reply::Duplicate => (Lease(0), true),
            Reply::Replayed | Reply::InFlight | Reply::IdConflict => return,
        };
        // Full or not: what is not learned here is only not known in an outage.
        let _ = self.index.claim(ask, lease, |_| ());
        if is_done {
            let &Ask { endpoint, event, content, retention, now, .. } = ask;
            self.settle(&Settlement { endpoint, event, content, lease, end: End::Done, retention, now });
        }
    }

    /// Claims by what this node knows.
    pub(super) fn claim(&self, ask: &Ask<'_>, cause: StoreError) -> Result<Reply, StoreError> {
        if ask.nonce.is_some_and(|nonce| nonce.signed_at < self.since) {
            return Err(cause);
        }
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed));
        let mut reply = self.index.claim(ask, lease, |_| ())?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        if let Reply::Claimed { answers, .. } = &mut reply {
            // Orders and lists are registered in the store alone: whether there are any is not known.
            *answers =
                Answers { counters: std::mem::take(&mut answers.counters), is_local: true, ..Answers::default() };
        }
        Ok(reply)
    }

    pub(super) fn settle(&self, settlement: &Settlement<'_>) {
        self.index.settle(settlement, |_| ());
    }

    /// How many claims were answered by this node alone.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}
