//! How far back counters look.

use proptest::prelude::*;

use super::*;
use crate::risk::ask::Member;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl CounterAsk {
    fn placed(self, at: UnixTime) -> Self {
        Self { at, ..self }
    }
}

/// What the counter of `ask` says to an event of its own, which only reads it.
async fn value(engine: &Engine, event: u16, ask: &CounterAsk, now: UnixTime) -> i64 {
    let read = [CounterAsk { add: None, at: now, ..ask.clone() }];
    let told = Tries::of(engine, event).at(now).counting(&read).done().await;
    told[0].expect("there is room").after
}

pub(in crate::store) async fn a_window_slides_by_slices(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let start = START.plus(Duration::from_secs(40)); // the begin of a slice: START is 20 s into a minute
    for minute in 0..10_u16 {
        let now = start.plus(MINUTE * u32::from(minute));
        Tries::of(&engine, minute).at(now).counting(&[one(1).placed(now)]).done().await;
    }
    let end = start.plus(HOUR);
    assert_eq!(value(&engine, 100, &one(1), end.minus(Duration::from_millis(1))).await, 10);
    for (event, minute) in (101..).zip(0..10) {
        let now = end.plus(MINUTE * minute);
        let expected = 10 - i64::from(minute); // what lies in the slice that the edge cuts is counted whole
        assert_eq!(value(&engine, event, &one(1), now).await, expected, "{minute} minutes later");
    }
    assert_eq!(value(&engine, 200, &one(1), end.plus(MINUTE * 10)).await, 0);
}

pub(in crate::store) async fn an_event_older_than_the_window_changes_nothing(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = |number: i64, at| {
        [
            one(1).placed(at),
            counter(2, Measure::Sum, Some(Amount::Number(number))).placed(at),
            counter(3, Measure::Last, Some(Amount::Number(number))).placed(at),
            counter(4, Measure::Distinct { exact_up_to: 8 }, Some(Amount::Member(number.to_le_bytes()))).placed(at),
            counter(5, Measure::FirstSeen, Some(Amount::Number(1))).placed(at),
        ]
    };
    let old = START.minus(HOUR + MINUTE);
    let nothing = Tries::of(&engine, 1).counting(&counters(5, old)).done().await;
    assert_eq!(nothing, [counted(0, 0); 5]);
    let half = START.minus(HOUR / 2);
    Tries::of(&engine, 2).counting(&counters(6, START)).done().await;
    let told = Tries::of(&engine, 3).counting(&counters(7, half)).done().await;
    let (start, half) = (START.millis(), half.millis());
    assert_eq!(
        told,
        [counted(1, 2), counted(6, 13), counted(6, 6), counted(1, 2), counted(start, half)],
        "a late one within the window counts, and is not the newest"
    );
    let told = Tries::of(&engine, 4).counting(&counters(8, old)).done().await;
    assert_eq!(told, [counted(2, 2), counted(13, 13), counted(6, 6), counted(2, 2), counted(half, half)]);
}

pub(in crate::store) async fn an_event_from_the_future_is_placed_now(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let far = START.plus(HOUR * 1000);
    let counters = [one(1).placed(far), counter(2, Measure::FirstSeen, Some(Amount::Number(1))).placed(far)];
    let told = Tries::of(&engine, 1).counting(&counters).done().await;
    assert_eq!(told, [counted(0, 1), counted(0, START.millis())]);
    assert_eq!(value(&engine, 2, &one(1), START.plus(HOUR + MINUTE)).await, 0);
}

pub(in crate::store) async fn a_key_that_was_not_seen_for_a_window_is_new_again(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let seen = |at| [counter(1, Measure::FirstSeen, Some(Amount::Number(1))).placed(at)];
    let (start, gap) = (START.millis(), HOUR.checked_sub(Duration::from_millis(1)).unwrap());
    let mut now = START;
    for event in 0..4_u16 {
        let before = if event == 0 { 0 } else { start };
        let told = Tries::of(&engine, event).at(now).counting(&seen(now)).done().await;
        assert_eq!(told, [counted(before, start)]);
        now = now.plus(gap); // seen again just in time, for three windows
    }
    let now = now.plus(Duration::from_millis(1));
    let told = Tries::of(&engine, 9).at(now).counting(&seen(now)).done().await;
    assert_eq!(told, [counted(0, now.millis())]);
}

pub(in crate::store) async fn distinct_values_are_exact_to_their_limit_and_more_beyond(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let seen = |member: u16, at| {
        let mut value: Member = [0; 8];
        value[..2].copy_from_slice(&member.to_le_bytes());
        [counter(1, Measure::Distinct { exact_up_to: 4 }, Some(Amount::Member(value))).placed(at)]
    };
    for member in 0..10_u16 {
        let now = START.plus(MINUTE * u32::from(member));
        let sofar = i64::from(member);
        let told = Tries::of(&engine, member).at(now).counting(&seen(member, now)).done().await;
        assert_eq!(told, [counted(sofar.min(5), (sofar + 1).min(5))], "5 stands for more than 4");
    }
    // Minute by minute they leave the window: as soon as no more than four are left, they are told exactly again.
    let ask = &seen(0, START)[0];
    for (event, left) in (100..).zip((0..=10).rev()) {
        let now = START.plus(HOUR + MINUTE * u32::try_from(10 - left).unwrap());
        assert_eq!(value(&engine, event, ask, now).await, i64::min(left, 5));
    }
}

pub(in crate::store) async fn after_a_crash_windows_go_on_sliding(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let later = START.plus(HOUR / 2);
    let of = |number: u8, at| {
        [
            one(1).placed(at),
            counter(2, Measure::Distinct { exact_up_to: 4 }, Some(Amount::Member([number; 8]))).placed(at),
            counter(3, Measure::Last, Some(Amount::Number(number.into()))).placed(at),
            counter(4, Measure::FirstSeen, Some(Amount::Number(1))).placed(at),
        ]
    };
    Tries::of(&engine, 1).counting(&of(1, START)).done().await;
    Tries::of(&engine, 2).at(later).counting(&of(2, later)).done().await;
    let Some(engine) = fixture.crash(engine, later).await else { return };
    let (at, asks) = (START.millis(), of(3, START));
    for (event, now, expected) in [(3, later, [2, 2, 2, at]), (13, START.plus(HOUR + MINUTE), [1, 1, 2, at])] {
        for ((event, ask), expected) in (event..).zip(&asks).zip(expected) {
            assert_eq!(value(&engine, event, ask, now).await, expected, "{:?} at {now:?}", ask.measure);
        }
    }
}

/// One event of a run: how long after the one before it came, how late it is, and what it adds.
type Came = (u64, u64, i64);

fn came() -> impl Strategy<Value = Vec<Came>> {
    let late = prop_oneof![3 => Just(0_u64), 1 => 0..90_000_u64];
    prop::collection::vec((0..20_000_u64, late, 0..6_i64), 1..40)
}

/// Against a model that remembers everything: what an engine says lies between what came within the window and what came
/// within the window and one slice more.
pub(in crate::store) fn any_run_is_counted_within_a_slice<F: Fixture>(cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(run in came(), window in 1_000..60_000_u64, slice in 0..10_000_u64)| {
        runtime.block_on(async {
            let fixture = F::new();
            let engine = fixture.open(START).await;
            let mut now = START;
            let mut model: Vec<(UnixTime, i64)> = Vec::new();
            for (event, (gap, late, amount)) in (0..).zip(run) {
                now = now.plus(Duration::from_millis(gap));
                let at = now.minus(Duration::from_millis(late));
                let asks = asks(at, amount, window, slice);
                model.push((at, amount));
                let told = Tries::of(&engine, event).at(now).counting(&asks).done().await;
                let told: Vec<i64> = told.into_iter().map(|counted| counted.expect("there is room").after).collect();
                let within = says(&model, now, asks[0].window_millis().into());
                let slack = says(&model, now, u64::from(asks[0].window_millis()) + u64::from(asks[0].slice_millis()));
                for measure in 0..3 {
                    let bounds = within[measure]..=slack[measure];
                    assert!(bounds.contains(&told[measure]), "{told:?} {within:?} {slack:?} {model:?}");
                }
                assert_eq!(told[3], within[3], "last, {model:?}");
            }
        });
    });
}

fn asks(at: UnixTime, amount: i64, window: u64, slice: u64) -> [CounterAsk; 4] {
    let ask = |id: u8, measure, add| CounterAsk {
        id: [id; 16],
        measure,
        add: Some(add),
        window: Duration::from_millis(window),
        slice: Duration::from_millis(slice),
        at,
    };
    [
        ask(1, Measure::Count, Amount::Number(1)),
        ask(2, Measure::Sum, Amount::Number(amount)),
        ask(3, Measure::Distinct { exact_up_to: 3 }, Amount::Member(amount.to_le_bytes())),
        ask(4, Measure::Last, Amount::Number(amount)),
    ]
}

/// Count, sum, distinct values up to 4, and the newest value, of what came in the last `window` milliseconds.
fn says(model: &[(UnixTime, i64)], now: UnixTime, window: u64) -> [i64; 4] {
    let left = now.minus(Duration::from_millis(window));
    let live: Vec<_> = model.iter().filter(|(at, _)| *at > left).collect();
    let mut values: Vec<i64> = live.iter().map(|(_, amount)| *amount).collect();
    let (count, sum) = (i64::try_from(values.len()).unwrap(), values.iter().sum());
    values.sort_unstable();
    values.dedup();
    let newest = live.iter().max_by_key(|(at, _)| *at).map_or(0, |(_, amount)| *amount); // the last of equals
    [count, sum, i64::try_from(values.len()).unwrap().min(4), newest]
}
