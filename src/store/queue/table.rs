//! The rows of a node in memory: where each is, which are due, and who has which. The `memory:` engine keeps the sealed
//! bytes in it, the `file:` engine their places in its log.
//!
//! A row takes some 400 bytes beside its sealed bytes, in four ordered sets and two maps; a queue has at most
//! [`MOST_ROWS`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::{
    Cursor, Depth, Head, Lane, Listed, MOST_LISTED, MOST_ROWS, MOST_SCANNED, Page, Query, Queue, RowId, RowLease, Take,
};
use crate::clock::UnixTime;
use crate::store::StoreError;

/// Rows, and where the sealed bytes of each are.
pub(super) struct Table<P> {
    rows: HashMap<RowId, Entry<P>>,
    /// Each queue by time, for lists.
    by_time: BTreeMap<Queue, BTreeSet<Cursor>>,
    /// The same by endpoint.
    by_endpoint: BTreeMap<(Queue, Arc<str>), BTreeSet<Cursor>>,
    pending: HashMap<Arc<str>, Pending>,
    bytes: HashMap<Queue, usize>,
    bounds: Bounds,
    next_lease: u64,
    next_turn: u64,
}

/// Most of one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// One row.
pub(super) struct Entry<P> {
    pub(super) head: Head,
    pub(super) place: P,
    /// What it takes of the queue's bytes.
    pub(super) bytes: usize,
    turn: u64,
    lease: Option<(RowLease, UnixTime)>,
    is_quarantined: bool,
}

/// The pending rows of one endpoint.
#[derive(Default)]
struct Pending {
    lanes: HashMap<Lane, InLane>,
    /// The first row of each lane of which none is leased.
    due: BTreeSet<(UnixTime, RowId)>,
    leased: BTreeSet<(UnixTime, RowId)>,
}

/// The rows of one lane, the earliest first.
#[derive(Default)]
struct InLane {
    turns: BTreeSet<(UnixTime, u64, RowId)>,
    /// What stands for the lane in [`Pending::due`].
    offered: Option<(UnixTime, RowId)>,
    leased: Option<RowId>,
}

impl<P: Clone> Table<P> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            rows: HashMap::new(),
            by_time: BTreeMap::new(),
            by_endpoint: BTreeMap::new(),
            pending: HashMap::new(),
            bytes: HashMap::new(),
            bounds,
            next_lease: 1,
            next_turn: 1,
        }
    }

    /// The row of this id, if it is in this queue.
    pub(super) fn get(&self, queue: Queue, id: RowId) -> Option<&Entry<P>> {
        self.rows.get(&id).filter(|entry| entry.head.queue == queue)
    }

    pub(super) fn contains(&self, id: RowId) -> bool {
        self.rows.contains_key(&id)
    }

    /// Every row, in the order of putting.
    pub(super) fn in_turn(&self) -> Vec<(Head, P)> {
        let mut entries: Vec<_> = self.rows.values().collect();
        entries.sort_by_key(|entry| entry.turn);
        entries.into_iter().map(|entry| (entry.head.clone(), entry.place.clone())).collect()
    }

    /// A row's sealed bytes have moved.
    pub(super) fn set_place(&mut self, id: RowId, place: P) {
        if let Some(entry) = self.rows.get_mut(&id) {
            entry.place = place;
        }
    }

    /// What the rows take together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.values().copied().fold(0, usize::saturating_add)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Fails if a row of so many bytes does not fit into the queue.
    pub(super) fn check_room(&self, queue: Queue, bytes: usize) -> Result<(), StoreError> {
        let rows = self.by_time.get(&queue).map_or(0, BTreeSet::len);
        let taken = self.bytes.get(&queue).copied().unwrap_or(0);
        if rows >= self.bounds.rows || taken.saturating_add(bytes) > self.bounds.bytes {
            return Err(StoreError::QueueFull { queue, rows });
        }
        Ok(())
    }

    /// Whether [`Rows::replace`](super::Rows::replace) may take the row out of `from`.
    pub(super) fn may_replace(&self, from: Queue, id: RowId, lease: Option<RowLease>) -> bool {
        let Some(entry) = self.get(from, id) else { return false };
        match (entry.lease, lease) {
            (None, None) => true,
            (held, Some(lease)) => held.is_some_and(|(held, _)| held == lease),
            (Some(_), None) => false,
        }
    }

    /// Puts a row, in place of one of the same id. The bounds are the caller's to check.
    pub(super) fn put(&mut self, head: Head, place: P, bytes: usize) {
        self.remove(head.id);
        let turn = self.next_turn;
        self.next_turn = turn.saturating_add(1);
        let cursor = Cursor { entered_at: head.entered_at, id: head.id };
        self.by_time.entry(head.queue).or_default().insert(cursor);
        self.by_endpoint.entry((head.queue, Arc::clone(&head.endpoint))).or_default().insert(cursor);
        let taken = self.bytes.entry(head.queue).or_default();
        *taken = taken.saturating_add(bytes);
        let Head { id, lane, received_at, .. } = head;
        let waits_in = (head.queue == Queue::Pending).then(|| Arc::clone(&head.endpoint));
        self.rows.insert(id, Entry { head, place, bytes, turn, lease: None, is_quarantined: false });
        if let Some(endpoint) = waits_in {
            let pending = self.pending.entry(endpoint).or_default();
            pending.lanes.entry(lane).or_default().turns.insert((received_at, turn, id));
            pending.offer(lane, &self.rows);
        }
    }

    /// Takes a row out, wherever it is.
    pub(super) fn remove(&mut self, id: RowId) -> Option<Entry<P>> {
        let entry = self.rows.remove(&id)?;
        let Head { queue, endpoint, entered_at, .. } = &entry.head;
        let cursor = Cursor { entered_at: *entered_at, id };
        if let Some(in_queue) = self.by_time.get_mut(queue) {
            in_queue.remove(&cursor);
        }
        let of_endpoint = (*queue, Arc::clone(endpoint));
        if let Some(in_queue) = self.by_endpoint.get_mut(&of_endpoint) {
            in_queue.remove(&cursor);
            if in_queue.is_empty() {
                self.by_endpoint.remove(&of_endpoint);
            }
        }
        if let Some(taken) = self.bytes.get_mut(queue) {
            *taken = taken.saturating_sub(entry.bytes);
        }
        self.leave_lane(&entry);
        Some(entry)
    }

    /// A row is no longer one of its lane.
    fn leave_lane(&mut self, entry: &Entry<P>) {
        let Head { id, queue: Queue::Pending, endpoint, lane, received_at, .. } = &entry.head else { return };
        let Some(pending) = self.pending.get_mut(endpoint) else { return };
        if let Some((_, until)) = entry.lease {
            pending.leased.remove(&(until, *id));
        }
        if let Some(in_lane) = pending.lanes.get_mut(lane) {
            in_lane.turns.remove(&(*received_at, entry.turn, *id));
            in_lane.leased = in_lane.leased.filter(|leased| leased != id);
        }
        pending.offer(*lane, &self.rows);
        if pending.lanes.is_empty() {
            self.pending.remove(endpoint);
        }
    }

    /// Leases rows that are due: see [`Rows::take`](super::Rows::take).
    pub(super) fn take(&mut self, take: &Take<'_>) -> Vec<(Head, P, RowLease)> {
        let Some(pending) = self.pending.get_mut(take.endpoint) else { return Vec::new() };
        while let Some((until, id)) = pending.leased.first().copied().filter(|(until, _)| *until <= take.now) {
            pending.leased.remove(&(until, id));
            let Some(entry) = self.rows.get_mut(&id) else { continue };
            entry.lease = None;
            let lane = entry.head.lane;
            if let Some(in_lane) = pending.lanes.get_mut(&lane) {
                in_lane.leased = None;
            }
            pending.offer(lane, &self.rows);
        }
        let mut taken = Vec::new();
        while taken.len() < take.limit {
            let Some((_, id)) = pending.due.first().copied().filter(|(next_at, _)| *next_at <= take.now) else { break };
            let Some(entry) = self.rows.get_mut(&id) else { break };
            let lease = RowLease(self.next_lease);
            self.next_lease = self.next_lease.saturating_add(1);
            entry.lease = Some((lease, take.until));
            taken.push((entry.head.clone(), entry.place.clone(), lease));
            let lane = entry.head.lane;
            pending.leased.insert((take.until, id));
            if let Some(in_lane) = pending.lanes.get_mut(&lane) {
                in_lane.leased = Some(id);
            }
            pending.offer(lane, &self.rows);
        }
        taken
    }

    /// Ends a lease: the row is due at `next_at`. False: the lease is not the taker's any more.
    pub(super) fn postpone(&mut self, id: RowId, lease: RowLease, attempts: u32, next_at: UnixTime) -> bool {
        let Some(entry) = self.rows.get_mut(&id) else { return false };
        let Some((_, until)) = entry.lease.filter(|(held, _)| *held == lease) else { return false };
        entry.lease = None;
        entry.head.attempts = attempts;
        entry.head.next_at = next_at;
        let (endpoint, lane) = (Arc::clone(&entry.head.endpoint), entry.head.lane);
        if let Some(pending) = self.pending.get_mut(&endpoint) {
            pending.leased.remove(&(until, id));
            if let Some(in_lane) = pending.lanes.get_mut(&lane) {
                in_lane.leased = None;
            }
            pending.offer(lane, &self.rows);
        }
        true
    }

    /// A row's attempts and time as its log tells them, without a lease.
    pub(super) fn recall(&mut self, id: RowId, attempts: u32, next_at: UnixTime) {
        let Some(entry) = self.rows.get_mut(&id) else { return };
        entry.head.attempts = attempts;
        entry.head.next_at = next_at;
        let (endpoint, lane) = (Arc::clone(&entry.head.endpoint), entry.head.lane);
        if let Some(pending) = self.pending.get_mut(&endpoint) {
            pending.offer(lane, &self.rows);
        }
    }

    /// The row stays, but is no longer one of its lane. False: it is not there, or was aside before.
    pub(super) fn set_aside(&mut self, id: RowId) -> bool {
        let Some(mut entry) = self.rows.remove(&id) else { return false };
        let is_news = !entry.is_quarantined;
        if is_news {
            self.leave_lane(&entry);
            entry.lease = None;
            entry.is_quarantined = true;
        }
        self.rows.insert(id, entry);
        is_news
    }

    pub(super) fn list(&self, query: &Query) -> Page {
        let empty = BTreeSet::new();
        let rows = match &query.endpoint {
            None => self.by_time.get(&query.queue),
            Some(endpoint) => self.by_endpoint.get(&(query.queue, Arc::from(endpoint.as_str()))),
        };
        let from = match (query.after, query.since) {
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(since)) => Bound::Included(Cursor { entered_at: since, id: RowId([0; 24]) }),
            (None, None) => Bound::Unbounded,
        };
        let mut behind = rows.unwrap_or(&empty).range((from, Bound::Unbounded));
        let limit = query.limit.min(MOST_LISTED);
        let mut page = Page::default();
        for scanned in 1.. {
            let Some(cursor) = behind.next() else { return page };
            if query.until.is_some_and(|until| cursor.entered_at >= until) {
                return page;
            }
            let wanted = |entry: &&Entry<P>| query.reason.is_none_or(|reason| entry.head.reason == reason);
            let is_late = query.since.is_none_or(|since| cursor.entered_at >= since);
            if let Some(entry) = self.rows.get(&cursor.id).filter(wanted).filter(|_| is_late) {
                page.rows.push(Listed { head: entry.head.clone(), is_quarantined: entry.is_quarantined });
            }
            if page.rows.len() >= limit || scanned >= MOST_SCANNED {
                page.next = behind.next().map(|_| *cursor);
                return page;
            }
        }
        page
    }

    pub(super) fn depths(&self) -> Vec<Depth> {
        let depth = |((queue, endpoint), rows): (&(Queue, Arc<str>), &BTreeSet<Cursor>)| {
            let oldest = rows.first()?.entered_at;
            Some(Depth { endpoint: Arc::clone(endpoint), queue: *queue, rows: rows.len(), oldest })
        };
        self.by_endpoint.iter().filter_map(depth).collect()
    }
}

impl Pending {
    /// Offers the first row of a lane, and nothing while one of it is leased.
    fn offer<P>(&mut self, lane: Lane, rows: &HashMap<RowId, Entry<P>>) {
        let Some(in_lane) = self.lanes.get_mut(&lane) else { return };
        if let Some(offered) = in_lane.offered.take() {
            self.due.remove(&offered);
        }
        if in_lane.turns.is_empty() {
            self.lanes.remove(&lane);
            return;
        }
        if in_lane.leased.is_some() {
            return;
        }
        let Some((_, _, id)) = in_lane.turns.first() else { return };
        let Some(entry) = rows.get(id) else { return };
        let offered = (entry.head.next_at, *id);
        self.due.insert(offered);
        in_lane.offered = Some(offered);
    }
}

/// Bounds of a queue of these bytes.
pub(super) const fn bounds(bytes: usize) -> Bounds {
    Bounds { rows: MOST_ROWS, bytes }
}
