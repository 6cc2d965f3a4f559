//! Events in the order of their receipt, each once.
//!
//! The audit log has a record when a callback *ends*, so its lines are out of order by as much as callbacks take. Events wait
//! here until one comes that is later by [`Order::slack`]; one that comes later than that is judged where it comes, and
//! counted as late. An event that is delivered again has the id of the first one and is passed over.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::clock::UnixTime;
use crate::risk::recorded::Entry;
use crate::risk::set::of_parts;

/// How long the id of an event is remembered at least: WeChat's tries end after a day, the gateway's memory after three.
const REMEMBERED: Duration = Duration::from_hours(72);
/// Most ids of one such time. With more of them, older ones are forgotten sooner.
const MOST_IDS: usize = 1 << 22;

/// How far events may be out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// How much later than one that comes after it an event may have been received.
    pub slack: Duration,
    /// Most events that wait; with more of them, the oldest is judged.
    pub most: usize,
}

impl Default for Order {
    /// More than the longest callback takes: a minute.
    fn default() -> Self {
        Self { slack: Duration::from_mins(1), most: 1 << 16 }
    }
}

/// What was found about the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceTold {
    /// Deliveries of events that had been judged.
    pub again: u64,
    /// Events that came too late to be put in order.
    pub late: u64,
}

/// The events that wait.
pub(super) struct Sequence {
    order: Order,
    /// By their receipt, and of one millisecond as they came.
    waiting: BTreeMap<(UnixTime, u64), Entry>,
    taken: u64,
    newest: UnixTime,
    /// The receipt of the last one that was given on.
    reached: UnixTime,
    ids: Ids,
    told: SequenceTold,
}

impl Sequence {
    pub(super) fn new(order: Order) -> Self {
        let begin = UnixTime::from_millis(i64::MIN);
        Self {
            order,
            waiting: BTreeMap::new(),
            taken: 0,
            newest: begin,
            reached: begin,
            ids: Ids::default(),
            told: SequenceTold::default(),
        }
    }

    /// Takes an event, and gives on those whose turn it is.
    pub(super) fn take(&mut self, entry: Entry, mut give: impl FnMut(&Entry)) {
        let at = entry.recorded.received_at();
        self.newest = self.newest.max(at);
        self.taken = self.taken.saturating_add(1);
        self.waiting.insert((at, self.taken), entry);
        let due = self.newest.minus(self.order.slack);
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > due && self.waiting.len() <= self.order.most {
                break;
            }
            self.next(&mut give);
        }
    }

    /// Gives on what waits.
    pub(super) fn finish(&mut self, mut give: impl FnMut(&Entry)) {
        while !self.waiting.is_empty() {
            self.next(&mut give);
        }
    }

    pub(super) fn told(&self) -> SequenceTold {
        self.told
    }

    /// How many events wait, and how many ids are remembered.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.waiting.len(), self.ids.newer.len().saturating_add(self.ids.older.len()))
    }

    fn next(&mut self, give: &mut impl FnMut(&Entry)) {
        let Some(((at, _), entry)) = self.waiting.pop_first() else { return };
        if !self.ids.is_new(&entry, at) {
            self.told.again = self.told.again.saturating_add(1);
            return;
        }
        if at < self.reached {
            self.told.late = self.told.late.saturating_add(1);
        }
        self.reached = self.reached.max(at);
        give(&entry);
    }
}

/// Ids of the events that were seen, in two generations: the older one goes when the newer one is full of time or of ids.
#[derive(Default)]
struct Ids {
    newer: HashSet<[u8; 16], FixedState>,
    older: HashSet<[u8; 16], FixedState>,
    since: UnixTime,
}

impl Ids {
    fn is_new(&mut self, entry: &Entry, at: UnixTime) -> bool {
        if self.newer.is_empty() {
            self.since = at;
        }
        if at.since(self.since) > REMEMBERED || self.newer.len() >= MOST_IDS {
            self.older = std::mem::take(&mut self.newer);
            self.since = at;
        }
        // The store tells events apart by endpoint and id, too.
        let id = of_parts([entry.recorded.endpoint().as_bytes(), entry.recorded.id().as_bytes()]);
        !self.older.contains(&id) && self.newer.insert(id)
    }
}
