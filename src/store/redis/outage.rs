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

/// Ends that the store has not been told of, the oldest first: the tag of their endpoint, and what the script takes.
#[derive(Default)]
pub(super) struct Untold {
    ends: Mutex<VecDeque<(String, Arguments)>>,
    /// How many, to be looked at without the lock.
    waiting: AtomicUsize,
    pub(super) is_telling: AtomicBool,
}

impl Untold {
    pub(super) fn push(&self, tag: String, end: Arguments) {
        let mut ends = self.ends.lock();
        if ends.len() >= MOST_UNTOLD {
            ends.pop_front();
            tracing::warn!(
                "more ends of events wait for the store than are kept: the oldest may be delivered once more"
            );
        }
        ends.push_back((tag, end));
        self.waiting.store(ends.len(), Ordering::Release);
    }

    /// What could not be told now comes first again.
    pub(super) fn put_back(&self, untold: Vec<(String, Arguments)>) {
        let mut ends = self.ends.lock();
        untold.into_iter().rev().for_each(|end| ends.push_front(end));
        self.waiting.store(ends.len(), Ordering::Release);
    }

    /// The oldest. They count as waiting until [`Untold::told`].
    pub(super) fn take(&self, most: usize) -> Vec<(String, Arguments)> {
        let mut ends = self.ends.lock();
        let many = most.min(ends.len());
        ends.drain(..many).collect()
    }

    pub(super) fn told(&self) {
        self.waiting.store(self.ends.lock().len(), Ordering::Release);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Acquire) == 0
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
