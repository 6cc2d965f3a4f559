//! One counter: how it moves, what it says, and the changes that make it again.
//!
//! A window is made of slices, numbered since the epoch by their width. `Count` and `Sum` keep the slices in which something
//! came, `Distinct` the values with the slice in which each came last, `Last` and `FirstSeen` two numbers. So a counter takes
//! memory for what happened, at most for [`MOST_SLICES`](crate::risk::ask::MOST_SLICES) slices or for `exact_up_to` values
//! and one or two more.

use super::table::Expires;
use crate::clock::UnixTime;
use crate::risk::ask::{Amount, CounterAsk, MOST_DISTINCT, Measure, Member};

/// What does not change in a counter. Windows and slices are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Shape {
    pub(in crate::store) measure: Measure,
    pub(in crate::store) window: u32,
    pub(in crate::store) slice: u32,
}

/// One change of a counter. It sets what it names, so that it may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Change {
    /// Of a `Count` or `Sum`: all that came within a slice.
    Slice { number: i64, value: i64 },
    /// Of a `Distinct`: the slice in which a value came last.
    Member { number: i64, member: Member },
    /// Of a `Last`: the newest place in time, in milliseconds, and its value.
    Last { at: i64, value: i64 },
    /// Of a `FirstSeen`: the first and the last sight, in milliseconds.
    Seen { first: i64, last: i64 },
}

/// A counter at one value of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counter {
    shape: Shape,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet.
    Empty,
    /// In the order of their numbers, and their values.
    Slices(Vec<(i64, i64)>),
    /// In no order, with the slice in which each came last.
    Members(Vec<(i64, Member)>),
    Last {
        at: i64,
        value: i64,
    },
    Seen {
        first: i64,
        last: i64,
    },
}

impl Shape {
    pub(super) fn of(ask: &CounterAsk) -> Self {
        let measure = match ask.measure {
            Measure::Distinct { exact_up_to } => Measure::Distinct { exact_up_to: exact_up_to.min(MOST_DISTINCT) },
            Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen => ask.measure,
        };
        Self { measure, window: ask.window_millis(), slice: ask.slice_millis() }
    }

    /// The moment that has just left the window.
    fn left(self, now: UnixTime) -> i64 {
        now.millis().saturating_sub(i64::from(self.window))
    }

    fn slice_of(self, millis: i64) -> i64 {
        millis.div_euclid(i64::from(self.slice.max(1)))
    }

    /// The oldest slice that may still be in the window when `newest` is.
    fn oldest_beside(self, newest: i64) -> i64 {
        newest.saturating_sub(i64::from(self.window.div_ceil(self.slice.max(1))))
    }
}

impl Counter {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, state: State::Empty }
    }

    /// Whether it is still the counter that `shape` describes.
    pub(super) fn is_of(&self, shape: Shape, now: UnixTime) -> bool {
        self.shape == shape && self.is_live(now)
    }

    pub(super) fn shape_is(&self, shape: Shape) -> bool {
        self.shape == shape
    }

    /// What it says: see [`crate::risk::ask::Counted`].
    pub(super) fn value(&self, now: UnixTime) -> i64 {
        let left = self.shape.left(now);
        let oldest = self.shape.slice_of(left);
        match &self.state {
            State::Slices(slices) => {
                let live = slices.iter().filter(|(number, _)| *number >= oldest);
                let sum: i128 = live.map(|(_, value)| i128::from(*value)).sum();
                i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
            }
            State::Members(members) => {
                let live = members.iter().filter(|(number, _)| *number >= oldest).count();
                i64::try_from(live).unwrap_or(i64::MAX)
            }
            State::Last { at, value } if *at > left => *value,
            State::Seen { first, last } if *last > left => *first,
            State::Last { .. } | State::Seen { .. } | State::Empty => 0,
        }
    }

    /// How an event at `place`, which is not after `now`, changes it. None: not at all.
    pub(super) fn change(&self, amount: Amount, place: UnixTime, now: UnixTime) -> Option<Change> {
        let (at, left) = (place.millis(), self.shape.left(now));
        let number = self.shape.slice_of(at);
        let is_late = match self.shape.measure {
            Measure::Count | Measure::Sum | Measure::Distinct { .. } => number < self.shape.slice_of(left),
            Measure::Last | Measure::FirstSeen => at <= left,
        };
        match (&self.state, amount) {
            _ if is_late => None,
            (State::Slices(slices), Amount::Number(add)) => {
                let value = slices.iter().rev().find(|(of, _)| *of == number).map_or(0, |(_, value)| *value);
                Some(Change::Slice { number, value: value.saturating_add(add) })
            }
            (State::Members(members), Amount::Member(member)) => {
                let is_newer = members.iter().all(|(last, of)| *of != member || *last < number);
                is_newer.then_some(Change::Member { number, member })
            }
            (State::Last { at: newest, .. }, Amount::Number(_)) if *newest > at => None,
            (State::Seen { first, last }, Amount::Number(_)) if *last > left => {
                Some(Change::Seen { first: at.min(*first), last: at.max(*last) })
            }
            (_, amount) => Some(match (self.shape.measure, amount) {
                (Measure::Count | Measure::Sum, Amount::Number(value)) => Change::Slice { number, value },
                (Measure::Distinct { .. }, Amount::Member(member)) => Change::Member { number, member },
                (Measure::Last, Amount::Number(value)) => Change::Last { at, value },
                (Measure::FirstSeen, Amount::Number(_)) => Change::Seen { first: at, last: at },
                _ => return None, // see `fits`
            }),
        }
    }

    /// Whether a change takes more memory.
    pub(super) fn grows_by(&self, change: Change) -> bool {
        match (&self.state, change) {
            (State::Empty, _) => true,
            (State::Slices(slices), Change::Slice { number, .. }) => slices.iter().all(|(of, _)| *of != number),
            (State::Members(members), Change::Member { member, .. }) => members.iter().all(|(_, of)| *of != member),
            _ => false,
        }
    }

    /// Takes a change over. What no window can show any more goes.
    pub(super) fn apply(&mut self, change: Change) {
        let shape = self.shape;
        match (&mut self.state, change) {
            (State::Slices(slices), Change::Slice { number, value }) => {
                let newest = slices.last().map_or(number, |(newest, _)| number.max(*newest));
                let oldest = shape.oldest_beside(newest);
                slices.retain(|(of, _)| *of >= oldest);
                match slices.binary_search_by_key(&number, |(of, _)| *of) {
                    Ok(at) => {
                        if let Some((_, known)) = slices.get_mut(at) {
                            *known = value;
                        }
                    }
                    Err(at) if number >= oldest => slices.insert(at, (number, value)),
                    Err(_) => {}
                }
            }
            (State::Members(members), Change::Member { number, member }) => {
                let Measure::Distinct { exact_up_to } = shape.measure else { return };
                see(members, (number, member), shape, exact_up_to);
            }
            (state, Change::Slice { number, value }) => *state = State::Slices(vec![(number, value)]),
            (state, Change::Member { number, member }) => *state = State::Members(vec![(number, member)]),
            (state, Change::Last { at, value }) => *state = State::Last { at, value },
            (state, Change::Seen { first, last }) => *state = State::Seen { first, last },
        }
    }

    /// The changes that make it again, and its shape.
    pub(super) fn changes(&self) -> (Shape, Vec<Change>) {
        let changes = match &self.state {
            State::Empty => Vec::new(),
            State::Slices(slices) => {
                slices.iter().map(|(number, value)| Change::Slice { number: *number, value: *value }).collect()
            }
            State::Members(members) => {
                members.iter().map(|(number, member)| Change::Member { number: *number, member: *member }).collect()
            }
            State::Last { at, value } => vec![Change::Last { at: *at, value: *value }],
            State::Seen { first, last } => vec![Change::Seen { first: *first, last: *last }],
        };
        (self.shape, changes)
    }

    /// What it takes beside its row, in bytes.
    pub(super) fn heap(&self) -> usize {
        let entries = match &self.state {
            State::Slices(slices) => slices.capacity(),
            State::Members(members) => members.capacity(),
            State::Empty | State::Last { .. } | State::Seen { .. } => 0,
        };
        entries.saturating_mul(size_of::<(i64, i64)>())
    }
}

/// Whether a counter can add such an amount.
pub(super) fn fits(measure: Measure, amount: Amount) -> bool {
    matches!((measure, amount), (Measure::Distinct { .. }, Amount::Member(_)))
        || matches!(
            (measure, amount),
            (Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen, Amount::Number(_))
        )
}

/// Keeps the members that came last, one more than are told exactly: whatever leaves the window, so many or all of those
/// that are left in it are among them.
fn see(members: &mut Vec<(i64, Member)>, (number, member): (i64, Member), shape: Shape, exact_up_to: u16) {
    let newest = members.iter().map(|(last, _)| *last).fold(number, i64::max);
    let oldest = shape.oldest_beside(newest);
    members.retain(|(last, _)| *last >= oldest);
    if let Some(known) = members.iter_mut().find(|(_, of)| *of == member) {
        known.0 = known.0.max(number);
        return;
    }
    if members.len() <= usize::from(exact_up_to) {
        members.push((number, member));
    } else if let Some(first_to_go) = members.iter_mut().min_by_key(|(last, _)| *last)
        && first_to_go.0 < number
    {
        *first_to_go = (number, member);
    }
}

impl Expires for Counter {
    fn is_live(&self, now: UnixTime) -> bool {
        let left = self.shape.left(now);
        let oldest = self.shape.slice_of(left);
        match &self.state {
            State::Empty => false,
            State::Slices(slices) => slices.last().is_some_and(|(number, _)| *number >= oldest),
            State::Members(members) => members.iter().any(|(number, _)| *number >= oldest),
            State::Last { at, .. } => *at > left,
            State::Seen { last, .. } => *last > left,
        }
    }
}
