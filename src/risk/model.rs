//! The store's counters, orders and lists in memory, exactly: what the tests of rules and backtests run on. It is the plain
//! form of what the store's engines do with less memory and over a network; `ask` says what both mean.
//!
//! **Memory.** A counter keeps what its window can still show, and one that shows nothing any more goes when their number has
//! doubled; there are at most four million. What events were told is kept for good, but only [`Model::claim`] tells them:
//! a backtest, which judges each event once, uses [`Model::tally`].

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use foldhash::fast::FixedState;

use super::ask::{Amount, Answers, Asks, Counted, CounterAsk, CounterId, Measure, Member, Order};
use crate::clock::UnixTime;

/// Most slices of a window; a counter that asks for finer ones gets these.
const MOST_SLICES: i64 = 120;
/// Most counters that are kept. One beyond is not counted, as in a store without room.
const MOST_KEPT: usize = 1 << 22;
/// Counters are not looked through before there are so many.
const LEAST_SWEEP: usize = 4096;

/// A store of one process, which remembers everything that it was told.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Ids are digests: they need no keyed hash.
    counters: HashMap<CounterId, Kept, FixedState>,
    /// What an event was told about a counter: it is told the same when it comes again.
    told: HashMap<(String, CounterId), Counted>,
    orders: HashMap<String, Order>,
    lists: HashMap<String, HashSet<String>>,
    is_down: bool,
    /// Counters are looked through when there are so many.
    sweep_at: usize,
}

/// A counter at one value of its key.
#[derive(Clone, Debug)]
struct Kept {
    shape: Shape,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// By the number of the slice, in order.
    Slices(Vec<(i64, i64)>),
    /// With the slice in which each came last.
    Members(Vec<(Member, i64)>),
    Last {
        at: i64,
        value: i64,
    },
    Seen {
        first: i64,
        last: i64,
    },
}

impl Model {
    /// Registers an order.
    pub fn put_order(&mut self, out_trade_no: &str, order: Order) {
        self.orders.insert(out_trade_no.to_owned(), order);
    }

    /// Adds a value to a dynamic list.
    pub fn add_to_list(&mut self, list: &str, value: &str) {
        self.lists.entry(list.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether it answers nothing, as a store that cannot be reached.
    pub fn set_down(&mut self, is_down: bool) {
        self.is_down = is_down;
    }

    /// Answers the asks of an event at `now`. An event moves a counter once.
    pub fn claim(&mut self, event_id: &str, asks: &Asks, now: UnixTime) -> Answers {
        if self.is_down {
            return Answers { counters: vec![None; asks.counters.len()], is_local: true, ..Answers::default() };
        }
        let counters = asks.counters.iter().map(|ask| self.count_once(event_id, ask, now)).collect();
        let order = asks.order.as_ref().and_then(|number| self.orders.get(number)).cloned();
        let on = |list: &str, value: &str| self.lists.get(list).is_some_and(|values| values.contains(value));
        let lists = asks.lists.iter().map(|ask| on(&ask.list, &ask.value)).collect();
        Answers { counters, order, lists, is_local: false }
    }

    /// Moves or reads counters for an event that comes once.
    pub fn tally(&mut self, asks: &[CounterAsk], now: UnixTime) -> Vec<Option<Counted>> {
        asks.iter().map(|ask| self.count(ask, now)).collect()
    }

    /// How many counters are kept.
    pub fn kept(&self) -> usize {
        self.counters.len()
    }

    fn count_once(&mut self, event_id: &str, ask: &CounterAsk, now: UnixTime) -> Option<Counted> {
        let key = (event_id.to_owned(), ask.id);
        if let Some(told) = self.told.get(&key) {
            return Some(*told);
        }
        let counted = self.count(ask, now)?;
        self.told.insert(key, counted);
        Some(counted)
    }

    fn count(&mut self, ask: &CounterAsk, now: UnixTime) -> Option<Counted> {
        let before = self.value(ask, now);
        let Some(amount) = ask.add else { return Some(Counted { before, after: before }) };
        self.add(ask, amount, now)?;
        Some(Counted { before, after: self.value(ask, now) })
    }

    /// Adds to a counter outside of any event: the history of a test. None: the amount does not fit the measure, or there
    /// is no room for another counter.
    pub fn add(&mut self, ask: &CounterAsk, amount: Amount, now: UnixTime) -> Option<()> {
        let shape = Shape::of(ask);
        let at = ask.at.min(now).millis();
        let (number, left) = (shape.slice_of(at), shape.left(now));
        let is_late = match ask.measure {
            Measure::Count | Measure::Sum | Measure::Distinct { .. } => number < shape.slice_of(left),
            Measure::Last | Measure::FirstSeen => at <= left,
        };
        let first = match (ask.measure, amount) {
            (Measure::Count | Measure::Sum, Amount::Number(_)) => State::Slices(Vec::new()),
            (Measure::Distinct { .. }, Amount::Member(_)) => State::Members(Vec::new()),
            (Measure::Last, Amount::Number(value)) => State::Last { at, value },
            (Measure::FirstSeen, Amount::Number(_)) => State::Seen { first: at, last: at },
            (Measure::Distinct { .. }, Amount::Number(_))
            | (Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen, Amount::Member(_)) => return None,
        };
        if is_late {
            return Some(());
        }
        if !self.counters.contains_key(&ask.id) && !self.has_room(now) {
            return None;
        }
        let kept = self.counters.entry(ask.id).or_insert(Kept { shape, state: first });
        match (&mut kept.state, amount) {
            (State::Slices(slices), Amount::Number(value)) => add_to_slice(slices, number, value, shape),
            (State::Members(members), Amount::Member(member)) => see(members, member, number, shape, ask.measure),
            (State::Last { at: newest, value: known }, Amount::Number(value)) => {
                if *newest <= at {
                    (*newest, *known) = (at, value);
                }
            }
            (State::Seen { first, last }, Amount::Number(_)) => {
                (*first, *last) = if *last > left { (at.min(*first), at.max(*last)) } else { (at, at) };
            }
            // An id is a digest of the definition, so it never changes its measure.
            (State::Slices(_) | State::Last { .. } | State::Seen { .. }, Amount::Member(_))
            | (State::Members(_), Amount::Number(_)) => return None,
        }
        Some(())
    }

    /// Whether there is room for another counter; those that show nothing any more go.
    fn has_room(&mut self, now: UnixTime) -> bool {
        if self.counters.len() >= self.sweep_at.max(LEAST_SWEEP) {
            self.counters.retain(|_, kept| kept.shows_something(now));
            self.sweep_at = self.counters.len().saturating_mul(2).min(MOST_KEPT);
        }
        self.counters.len() < MOST_KEPT
    }

    fn value(&self, ask: &CounterAsk, now: UnixTime) -> i64 {
        let Some(kept) = self.counters.get(&ask.id) else { return 0 };
        let shape = Shape::of(ask);
        let left = shape.left(now);
        let oldest = shape.slice_of(left);
        match &kept.state {
            State::Slices(slices) => {
                let live = slices.iter().filter(|(number, _)| *number >= oldest);
                let sum: i128 = live.map(|(_, value)| i128::from(*value)).sum();
                i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
            }
            State::Members(members) => {
                i64::try_from(members.iter().filter(|(_, last)| *last >= oldest).count()).unwrap_or(i64::MAX)
            }
            State::Last { at, value } if *at > left => *value,
            State::Seen { first, last } if *last > left => *first,
            State::Last { .. } | State::Seen { .. } => 0,
        }
    }
}

impl Kept {
    fn shows_something(&self, now: UnixTime) -> bool {
        let left = self.shape.left(now);
        let oldest = self.shape.slice_of(left);
        match &self.state {
            State::Slices(slices) => slices.last().is_some_and(|(number, _)| *number >= oldest),
            State::Members(members) => members.iter().any(|(_, last)| *last >= oldest),
            State::Last { at, .. } => *at > left,
            State::Seen { last, .. } => *last > left,
        }
    }
}

/// Adds to a slice. Slices that no window can show any more go.
fn add_to_slice(slices: &mut Vec<(i64, i64)>, number: i64, value: i64, shape: Shape) {
    let newest = slices.last().map_or(number, |(newest, _)| number.max(*newest));
    let oldest = shape.oldest_beside(newest);
    if slices.first().is_some_and(|(first, _)| *first < oldest) {
        slices.retain(|(of, _)| *of >= oldest);
    }
    match slices.binary_search_by_key(&number, |(of, _)| *of) {
        Ok(at) => {
            if let Some((_, sum)) = slices.get_mut(at) {
                *sum = sum.saturating_add(value);
            }
        }
        Err(at) if number >= oldest => slices.insert(at, (number, value)),
        Err(_) => {}
    }
}

/// Notes a value. Kept are those that came last, one more than are told exactly: whatever leaves the window, so many or all
/// of those that are left in it are among them.
fn see(members: &mut Vec<(Member, i64)>, member: Member, number: i64, shape: Shape, measure: Measure) {
    let most = match measure {
        Measure::Distinct { exact_up_to } => usize::from(exact_up_to),
        Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen => 0,
    };
    if let Some((_, last)) = members.iter_mut().find(|(of, _)| *of == member) {
        *last = number.max(*last);
        return;
    }
    if members.len() > most {
        let newest = members.iter().map(|(_, last)| *last).fold(number, i64::max);
        let oldest = shape.oldest_beside(newest);
        members.retain(|(_, last)| *last >= oldest);
    }
    if members.len() <= most {
        members.push((member, number));
    } else if let Some(first_to_go) = members.iter_mut().min_by_key(|(_, last)| *last)
        && first_to_go.1 < number
    {
        *first_to_go = (member, number);
    }
}

/// Window and slice in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Shape {
    window: i64,
    slice: i64,
}

impl Shape {
    fn of(ask: &CounterAsk) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let window = millis(ask.window).clamp(1000, 30 * 24 * 3_600_000);
        let finest = window.saturating_add(MOST_SLICES - 1).div_euclid(MOST_SLICES);
        Self { window, slice: millis(ask.slice).max(finest).min(window) }
    }

    /// The moment that has just left the window.
    fn left(self, now: UnixTime) -> i64 {
        now.millis().saturating_sub(self.window)
    }

    fn slice_of(self, millis: i64) -> i64 {
        millis.div_euclid(self.slice.max(1))
    }

    /// The oldest slice that may still be in the window when `newest` is.
    fn oldest_beside(self, newest: i64) -> i64 {
        let slice = self.slice.max(1);
        newest.saturating_sub(self.window.saturating_add(slice.saturating_sub(1)).div_euclid(slice))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)] // a test may fail
mod tests {
    use super::*;

    fn ask(measure: Measure, add: Amount, at: i64) -> CounterAsk {
        let window = Duration::from_mins(10);
        CounterAsk {
            id: [7; 16],
            measure,
            add: Some(add),
            window,
            slice: Duration::from_secs(10),
            at: UnixTime::from_secs(at),
        }
    }

    fn counted(model: &mut Model, event: &str, ask: CounterAsk) -> Option<Counted> {
        let now = ask.at;
        let asks = Asks { counters: vec![ask], ..Asks::default() };
        model.claim(event, &asks, now).counters[0]
    }

    #[test]
    fn an_event_moves_a_counter_once_and_is_told_the_same_again() {
        let mut model = Model::default();
        let count = |at| ask(Measure::Count, Amount::Number(1), at);
        assert_eq!(counted(&mut model, "a", count(1000)), Some(Counted { before: 0, after: 1 }));
        assert_eq!(counted(&mut model, "b", count(1001)), Some(Counted { before: 1, after: 2 }));
        assert_eq!(counted(&mut model, "a", count(1002)), Some(Counted { before: 0, after: 1 }));
        assert_eq!(
            counted(&mut model, "c", count(1603)),
            Some(Counted { before: 2, after: 3 }),
            "the cut slice counts"
        );
        assert_eq!(
            counted(&mut model, "d", count(1620)),
            Some(Counted { before: 1, after: 2 }),
            "what has left does not"
        );
    }

    #[test]
    fn different_values_are_told_exactly_up_to_a_number_and_one_more_beyond() {
        let mut model = Model::default();
        for n in 0..10_u8 {
            let seen = ask(Measure::Distinct { exact_up_to: 4 }, Amount::Member([n.min(7); 8]), 1000);
            let after = counted(&mut model, &n.to_string(), seen).unwrap().after;
            assert_eq!(after, i64::from(n.saturating_add(1).min(5)));
        }
    }

    #[test]
    fn the_newest_value_and_the_first_sight() {
        let mut model = Model::default();
        let last = |value, at| ask(Measure::Last, Amount::Number(value), at);
        assert_eq!(counted(&mut model, "a", last(5, 1000)), Some(Counted { before: 0, after: 5 }));
        assert_eq!(counted(&mut model, "b", last(7, 1600)), Some(Counted { before: 0, after: 7 }));
        let mut model = Model::default();
        let seen = |at| ask(Measure::FirstSeen, Amount::Number(1), at);
        assert_eq!(counted(&mut model, "a", seen(1000)), Some(Counted { before: 0, after: 1_000_000 }));
        assert_eq!(counted(&mut model, "b", seen(1500)), Some(Counted { before: 1_000_000, after: 1_000_000 }));
        assert_eq!(counted(&mut model, "c", seen(2100)), Some(Counted { before: 0, after: 2_100_000 }), "new again");
    }

    #[test]
    fn counters_that_show_nothing_any_more_go() {
        let mut model = Model::default();
        for n in 0..100_000_i64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let one = CounterAsk { id, ..ask(Measure::Count, Amount::Number(1), 1000 + n) };
            let now = one.at;
            assert_eq!(model.tally(&[one], now), [Some(Counted { before: 0, after: 1 })]);
        }
        assert!(model.kept() <= LEAST_SWEEP * 2, "{}", model.kept());
    }

    #[test]
    fn a_store_that_is_down_says_nothing_rather_than_zero() {
        let mut model = Model::default();
        model.set_down(true);
        assert_eq!(counted(&mut model, "a", ask(Measure::Count, Amount::Number(1), 1000)), None);
    }
}
