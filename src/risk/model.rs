//! The store's counters, orders and lists in memory, exactly: what the tests of rules and backtests run on. It is the plain
//! form of what the store's engines do with less memory and over a network; `ask` says what both mean.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::ask::{Amount, Answers, Asks, Counted, CounterAsk, CounterId, Measure, Member, Order};
use crate::clock::UnixTime;

/// Most slices of a window; a counter that asks for finer ones gets these.
const MOST_SLICES: i64 = 120;

/// A store of one process, which remembers everything that it was told.
#[derive(Clone, Debug, Default)]
pub struct Model {
    counters: HashMap<CounterId, State>,
    /// What an event was told about a counter: it is told the same when it comes again.
    told: HashMap<(String, CounterId), Counted>,
    orders: HashMap<String, Order>,
    lists: HashMap<String, HashSet<String>>,
    is_down: bool,
}

#[derive(Clone, Debug)]
enum State {
    /// By the number of the slice.
    Slices(BTreeMap<i64, i64>),
    /// With the slice in which each came last.
    Members(HashMap<Member, i64>),
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
        let counters = asks.counters.iter().map(|ask| self.count(event_id, ask, now)).collect();
        let order = asks.order.as_ref().and_then(|number| self.orders.get(number)).cloned();
        let on = |list: &str, value: &str| self.lists.get(list).is_some_and(|values| values.contains(value));
        let lists = asks.lists.iter().map(|ask| on(&ask.list, &ask.value)).collect();
        Answers { counters, order, lists, is_local: false }
    }

    fn count(&mut self, event_id: &str, ask: &CounterAsk, now: UnixTime) -> Option<Counted> {
        let key = (event_id.to_owned(), ask.id);
        if let Some(told) = self.told.get(&key) {
            return Some(*told);
        }
        let before = self.value(ask, now);
        if let Some(amount) = ask.add {
            self.add(ask, amount, now)?;
        }
        let counted = Counted { before, after: self.value(ask, now) };
        self.told.insert(key, counted);
        Some(counted)
    }

    /// Adds to a counter outside of any event: the history of a test. None: the amount does not fit the measure.
    pub fn add(&mut self, ask: &CounterAsk, amount: Amount, now: UnixTime) -> Option<()> {
        let shape = Shape::of(ask);
        let at = ask.at.min(now).millis();
        let (number, left) = (shape.slice_of(at), shape.left(now));
        let is_late = match ask.measure {
            Measure::Count | Measure::Sum | Measure::Distinct { .. } => number < shape.slice_of(left),
            Measure::Last | Measure::FirstSeen => at <= left,
        };
        let state = self.counters.entry(ask.id);
        match (ask.measure, amount) {
            (Measure::Count | Measure::Sum, Amount::Number(value)) => {
                let State::Slices(slices) = state.or_insert_with(|| State::Slices(BTreeMap::new())) else {
                    return None;
                };
                if !is_late {
                    let sum = slices.entry(number).or_default();
                    *sum = sum.saturating_add(value);
                }
            }
            (Measure::Distinct { .. }, Amount::Member(member)) => {
                let State::Members(members) = state.or_insert_with(|| State::Members(HashMap::new())) else {
                    return None;
                };
                if !is_late {
                    members.entry(member).and_modify(|last| *last = number.max(*last)).or_insert(number);
                }
            }
            (Measure::Last, Amount::Number(value)) if !is_late => {
                let State::Last { at: newest, value: known } = state.or_insert(State::Last { at, value }) else {
                    return None;
                };
                if *newest <= at {
                    (*newest, *known) = (at, value);
                }
            }
            (Measure::FirstSeen, Amount::Number(_)) if !is_late => {
                let State::Seen { first, last } = state.or_insert(State::Seen { first: at, last: at }) else {
                    return None;
                };
                (*first, *last) = if *last > left { (at.min(*first), at.max(*last)) } else { (at, at) };
            }
            (Measure::Last | Measure::FirstSeen, Amount::Number(_)) => {}
            (Measure::Distinct { .. }, Amount::Number(_))
            | (Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen, Amount::Member(_)) => return None,
        }
        Some(())
    }

    fn value(&self, ask: &CounterAsk, now: UnixTime) -> i64 {
        let shape = Shape::of(ask);
        let left = shape.left(now);
        let oldest = shape.slice_of(left);
        match self.counters.get(&ask.id) {
            Some(State::Slices(slices)) => {
                let sum: i128 = slices.range(oldest..).map(|(_, value)| i128::from(*value)).sum();
                i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
            }
            Some(State::Members(members)) => {
                let live = i64::try_from(members.values().filter(|last| **last >= oldest).count()).unwrap_or(i64::MAX);
                match ask.measure {
                    Measure::Distinct { exact_up_to } => live.min(i64::from(exact_up_to).saturating_add(1)),
                    Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen => live,
                }
            }
            Some(State::Last { at, value }) if *at > left => *value,
            Some(State::Seen { first, last }) if *last > left => *first,
            Some(State::Last { .. } | State::Seen { .. }) | None => 0,
        }
    }
}

/// Window and slice in milliseconds.
#[derive(Clone, Copy)]
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
}

#[cfg(test)]
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
    fn a_store_that_is_down_says_nothing_rather_than_zero() {
        let mut model = Model::default();
        model.set_down(true);
        assert_eq!(counted(&mut model, "a", ask(Measure::Count, Amount::Number(1), 1000)), None);
    }
}
