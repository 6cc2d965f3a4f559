//! The index by itself.

use super::super::engine::PutOrder;
use super::table::LEAST_SWEEP;
use super::*;
use crate::risk::ask::{Amount, MOST_SLICES, Measure};

use std::time::Duration;

mod model;

fn ask(number: u64, now: UnixTime) -> Ask<'static> {
    let digest = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    Ask {
        endpoint: "pay",
        nonce: Some(NonceUse { digest, signed_at: now, until: now.plus(Duration::from_mins(5)) }),
        event: digest,
        content: [1; 8],
        lease: Duration::from_secs(10),
        retention: Duration::from_hours(1),
        now,
        counters: &[],
        order: None,
        lists: &[],
    }
}

fn counter(id: u64, measure: Measure, add: Amount, at: UnixTime) -> CounterAsk {
    let id = u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    let (window, slice) = (Duration::from_mins(1), Duration::from_secs(1));
    CounterAsk { id, measure, add: Some(add), window, slice, at }
}

fn counters_of_each_measure(value: u64, at: UnixTime) -> [CounterAsk; 5] {
    let number = Amount::Number(i64::try_from(value).unwrap());
    [
        counter(1, Measure::Count, Amount::Number(1), at),
        counter(2, Measure::Sum, number, at),
        counter(3, Measure::Last, number, at),
        counter(4, Measure::FirstSeen, Amount::Number(1), at),
        counter(5, Measure::Distinct { exact_up_to: 20 }, Amount::Member((value % 30).to_le_bytes()), at),
    ]
}

fn told(index: &Index, number: u64, counters: &[CounterAsk], now: UnixTime) -> Vec<Option<Counted>> {
    let reply = index.claim(&Ask { counters, ..ask(number, now) }, Lease(number), |_| ()).unwrap();
    let Reply::Claimed { answers, .. } = reply else { panic!("event {number} was not claimed but {reply:?}") };
    answers.counters
}

fn rows(index: &Index) -> usize {
    index.shards.iter().map(|shard| shard.lock().events.rows.len()).sum()
}

#[test]
fn memory_stays_bounded_under_steady_traffic() {
    let index = Index::new();
    let start = UnixTime::from_secs(1_700_000_000);
    // One event each 20 ms for ten retentions: at any time 180,000 live ones.
    let mut most = 0;
    for number in 0..1_800_000 {
        let now = start.plus(Duration::from_millis(number * 20));
        assert!(matches!(index.claim(&ask(number, now), Lease(number), |_| ()), Ok(Reply::Claimed { .. })));
        if number % 50_000 == 0 {
            most = most.max(rows(&index));
        }
    }
    assert!(most <= 2 * 180_000 + SHARDS * LEAST_SWEEP, "{most} rows for 180000 live events");
}

#[test]
fn a_full_index_refuses_new_events_and_forgets_none() {
    let index = Index::bounded(Most { rows: SHARDS * 2, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    let taken: Vec<u64> = (0..10_000).filter(|n| index.claim(&ask(*n, now), Lease(*n), |_| ()).is_ok()).collect();
    assert!(taken.len() <= SHARDS * 2 && taken.len() > SHARDS, "{}", taken.len());
    for number in taken {
        assert_eq!(index.claim(&ask(number, now), Lease(0), |_| ()).unwrap(), Reply::Replayed);
    }
    let later = now.plus(Duration::from_hours(2));
    assert!(index.claim(&ask(77, later), Lease(0), |_| ()).is_ok(), "what has expired makes room");
}

#[test]
fn records_applied_again_over_their_own_result_change_nothing() {
    let now = UnixTime::from_secs(1_700_000_000);
    let index = Index::new();
    let mut journal = Vec::new();
    for number in 0..100 {
        let claim = |claim: Claim| {
            journal.extend([claim.used, claim.change].into_iter().flatten().chain(claim.counted));
        };
        let counters = counters_of_each_measure(number, now.plus(Duration::from_secs(number)));
        let counting = Ask { counters: &counters, ..ask(number, now.plus(Duration::from_secs(number))) };
        index.claim(&counting, Lease(number), claim).unwrap();
        let end = if number % 2 == 0 { End::Done } else { End::Released };
        let ask = ask(number, now);
        let settlement = Settlement {
            endpoint: ask.endpoint,
            event: ask.event,
            content: ask.content,
            lease: Lease(number),
            end,
            retention: ask.retention,
            now,
        };
        if number % 3 != 0 {
            index.settle(&settlement, |record| journal.push(record));
        }
    }
    let mut again = Index::new();
    let mut runs = Runs::new();
    journal.iter().chain(&journal).for_each(|record| runs.push(*record));
    again.apply(&mut runs);
    assert_eq!(all(&again, now), all(&index, now));
}

#[test]
fn a_clock_that_was_set_back_after_the_claim_forgets_nothing() {
    let index = Index::new();
    let now = UnixTime::from_secs(1_700_000_000);
    let ask = ask(1, now);
    index.claim(&ask, Lease(1), |_| ()).unwrap();
    let settlement = Settlement {
        endpoint: ask.endpoint,
        event: ask.event,
        content: ask.content,
        lease: Lease(1),
        end: End::Done,
        retention: ask.retention,
        now: UnixTime::from_secs(0),
    };
    index.settle(&settlement, |_| ());
    let retried = Ask { nonce: Some(NonceUse { digest: [9; 16], signed_at: now, until: now }), ..ask };
    assert_eq!(index.claim(&retried, Lease(2), |_| ()).unwrap(), Reply::Duplicate);
}

#[test]
fn full_counters_are_told_and_no_claim_fails_for_them() {
    let index = Index::bounded(Most { counter_bytes: SHARDS * 300, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    let first = counter(0, Measure::Count, Amount::Number(1), now);
    assert_eq!(told(&index, 0, std::slice::from_ref(&first), now), [Some(Counted { before: 0, after: 1 })]);
    let mut refused = 0;
    for number in 1..5_000 {
        let answers = told(&index, number, &[counter(number, Measure::Count, Amount::Number(1), now)], now);
        match answers[..] {
            [Some(counted)] => assert_eq!(counted, Counted { before: 0, after: 1 }),
            [None] => refused += 1,
            _ => panic!("{answers:?}"),
        }
    }
    assert!(refused > 3_000, "{refused}");
    assert_eq!(index.counters_refused(), refused);
    assert!(index.counters.bytes() <= SHARDS * 600, "{} bytes", index.counters.bytes());
    assert_eq!(
        told(&index, 6_000, &[first], now),
        [Some(Counted { before: 1, after: 2 })],
        "those that are there move"
    );

    let later = now.plus(Duration::from_mins(2));
    let answers = told(&index, 7_000, &[counter(7_000, Measure::Count, Amount::Number(1), later)], later);
    assert!(answers[0].is_some(), "what nobody moved for its window makes room");
}

#[test]
fn without_room_for_the_answers_nothing_is_moved_twice() {
    let index = Index::bounded(Most { told_bytes: SHARDS * 140, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    let count = |at| [counter(1, Measure::Count, Amount::Number(1), at)];
    let first: Vec<_> = (0..5_000).map(|number| told(&index, number, &count(now), now)[0]).collect();
    let moved = first.iter().flatten().count();
    assert!(0 < moved && moved <= SHARDS * 2, "{moved}");
    let retried = now.plus(Duration::from_secs(11));
    for (number, first) in (0..).zip(&first) {
        let counters = count(retried);
        let ask = Ask { nonce: None, counters: &counters, ..ask(number, retried) };
        let Reply::Claimed { answers, .. } = index.claim(&ask, Lease(number), |_| ()).unwrap() else { panic!() };
        assert_eq!(answers.counters[0], *first, "event {number} is told what it was told before");
    }
    let forgotten = now.plus(Duration::from_hours(2));
    assert_eq!(told(&index, 9_999, &count(forgotten), forgotten), [Some(Counted { before: 0, after: 1 })]);
}

#[test]
fn what_an_event_was_told_is_forgotten_when_it_is_done() {
    let index = Index::bounded(Most { told_bytes: SHARDS * 140, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    for number in 0..5_000 {
        let answers = told(&index, number, &[counter(1, Measure::Count, Amount::Number(1), now)], now);
        assert!(answers[0].is_some(), "event {number}: the answers of done events take room");
        let Ask { endpoint, event, content, retention, .. } = ask(number, now);
        let end = End::Done;
        index.settle(&Settlement { endpoint, event, content, lease: Lease(number), end, retention, now }, |_| ());
    }
}

#[test]
fn a_counter_takes_memory_for_its_window_however_long_it_counts() {
    let index = Index::new();
    let start = UnixTime::from_secs(1_700_000_000);
    let mut most = 0;
    for number in 0..20_000_u64 {
        let now = start.plus(Duration::from_millis(number * 100));
        let finest = |mut ask: CounterAsk| {
            ask.slice = Duration::ZERO;
            ask
        };
        let counters = [
            finest(counter(1, Measure::Sum, Amount::Number(1), now)),
            counter(2, Measure::Distinct { exact_up_to: 100 }, Amount::Member(number.to_le_bytes()), now),
        ];
        told(&index, number, &counters, now);
        most = most.max(index.counters.bytes());
    }
    // Vectors double: up to twice what is in them.
    let entries = usize::try_from(MOST_SLICES).unwrap() + 2 + 101;
    assert!(most <= 2 * entries * 16 + 2 * 200, "{most} bytes");
}

#[test]
fn full_orders_and_lists_refuse_new_ones_and_forget_none() {
    let index = Index::bounded(Most { orders: SHARDS * 2, listed: 10, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    let until = now.plus(Duration::from_hours(1));
    let put = |number: u64, now| {
        let order = ask(number, now).event;
        index.put_order("pay", PutOrder { order, says: Order::default(), until }, now, |_| ())
    };
    let taken: Vec<u64> = (0..5_000).filter(|number| put(*number, now).is_ok()).collect();
    assert!(taken.len() <= SHARDS * 2 && taken.len() > SHARDS, "{}", taken.len());
    for number in taken {
        assert_eq!(put(number, now).unwrap(), Registered::Unchanged);
    }
    assert_eq!(put(9_999, until.plus(Duration::from_secs(1))).unwrap(), Registered::New, "what has expired makes room");

    let entry = |value: usize| ListAsk { list: "blocked".to_owned(), value: value.to_string() };
    for value in 0..10 {
        assert!(index.list_add(&entry(value), until, now, |_| ()).unwrap());
    }
    assert!(matches!(index.list_add(&entry(10), until, now, |_| ()), Err(StoreError::ListsFull { most: 10 })));
    assert!(!index.list_add(&entry(9), until, now, |_| ()).unwrap(), "what is there may stay longer");
    assert!(index.list_remove(&entry(9), now, |_| ()));
    assert!(index.list_add(&entry(10), until, now, |_| ()).unwrap());
}

fn all(index: &Index, now: UnixTime) -> Vec<String> {
    let mut all = Vec::new();
    index
        .for_each(now, |records| {
            all.extend(records.iter().map(|record| format!("{record:?}")));
            Ok::<(), ()>(())
        })
        .unwrap();
    all.sort();
    all
}
