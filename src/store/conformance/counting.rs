//! What counters count: each event once (I7), by their measures.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;

pub(in crate::store) async fn i7_a_counter_counts_an_event_once_however_often_it_is_retried(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [one(1), counter(2, Measure::Sum, Some(Amount::Number(500)))];
    for round in 0..4_u32 {
        let event = Tries::of(&engine, 1).counting(&counters).later(LEASE * 2 * round);
        let (lease, answers) = event.told().await;
        assert_eq!(answers.counters, [counted(0, 1), counted(0, 500)], "try {round}");
        if round % 2 == 0 {
            event.end(lease, End::Released).await; // every second claim runs out instead
        }
    }
    assert_eq!(Tries::of(&engine, 2).counting(&counters).done().await, [counted(1, 2), counted(500, 1000)]);
}

pub(in crate::store) async fn i7_a_retry_is_told_what_the_first_try_was_told(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [one(1), counter(2, Measure::Count, None)];
    let first = Tries::of(&engine, 1).counting(&counters);
    let (lease, told) = first.told().await;
    first.end(lease, End::Released).await;
    let others = [one(1), one(2)];
    for other in 2..6 {
        Tries::of(&engine, other).counting(&others).done().await;
    }
    let more = [one(1), counter(2, Measure::Count, None), one(3)];
    let (_, again) = first.counting(&more).told().await;
    assert_eq!(told.counters, [counted(0, 1), counted(0, 0)]);
    assert_eq!(again.counters, [counted(0, 1), counted(0, 0), counted(0, 1)], "a new counter counts it now");
}

pub(in crate::store) async fn i7_a_second_round_counts_once_too(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let (first, second) = ([one(1)], [one(2), one(1)]);
    for round in 0..3_u32 {
        let event = Tries::of(&engine, 1).counting(&first).later(LEASE * 2 * round);
        event.claimed().await;
        assert_eq!(event.count(&second).await, [counted(0, 1), counted(0, 1)], "try {round}");
        assert_eq!(event.count(&second).await, [counted(0, 1), counted(0, 1)], "try {round}, asked twice");
    }
    assert_eq!(Tries::of(&engine, 2).counting(&second).done().await, [counted(1, 2), counted(1, 2)]);
}

pub(in crate::store) async fn i7_what_was_counted_is_known_after_a_crash(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let (first, second) = ([one(1)], [counter(2, Measure::Sum, Some(Amount::Number(7)))]);
    let (released, in_flight) = (Tries::of(&engine, 1), Tries::of(&engine, 2));
    let (lease, _) = released.counting(&first).told().await;
    released.count(&second).await;
    released.end(lease, End::Released).await;
    assert_eq!(in_flight.counting(&first).told().await.1.counters, [counted(1, 2)]);
    // The end of another claim makes everything before it durable.
    assert_eq!(Tries::of(&engine, 3).counting(&first).done().await, [counted(2, 3)]);
    let Some(engine) = fixture.crash(engine, START).await else { return };
    let released = Tries::of(&engine, 1).counting(&first);
    assert_eq!(released.told().await.1.counters, [counted(0, 1)]);
    assert_eq!(released.count(&second).await, [counted(0, 7)]);
    let in_flight = Tries::of(&engine, 2).counting(&first).later(LEASE);
    assert_eq!(in_flight.told().await.1.counters, [counted(1, 2)]);
    assert_eq!(Tries::of(&engine, 4).counting(&first).done().await, [counted(3, 4)]);
    assert_eq!(Tries::of(&engine, 5).counting(&second).done().await, [counted(7, 14)]);
}

pub(in crate::store) async fn i7_of_concurrent_copies_one_is_counted(fixture: impl Fixture) {
    let engine = Arc::new(fixture.open(START).await);
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let engine = Arc::clone(&engine);
        copies.spawn(async move { Tries::of(&engine, 1).counting(&[one(1)]).next().await });
    }
    copies.join_all().await;
    assert_eq!(Tries::of(&engine, 2).counting(&[one(1)]).done().await, [counted(1, 2)]);
}

pub(in crate::store) async fn i7_refused_requests_move_nothing(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [one(1)];
    let event = Tries::of(&engine, 1).counting(&counters);
    let nonce = fresh_nonce();
    let Reply::Claimed { lease, .. } = event.copy_of(nonce).await else { panic!("not claimed") };
    assert_eq!(event.copy_of(nonce).await, Reply::Replayed);
    assert_eq!(event.next().await, Reply::InFlight);
    assert_eq!(event.saying(2).next().await, Reply::IdConflict);
    event.end(lease, End::Done).await;
    assert_eq!(event.next().await, Reply::Duplicate);
    assert_eq!(Tries::of(&engine, 2).counting(&counters).done().await, [counted(1, 2)]);
}

pub(in crate::store) async fn a_done_event_moves_nothing(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    event.done().await;
    assert_eq!(event.count(&[one(1)]).await, [counted(0, 0)]);
    assert_eq!(Tries::of(&engine, 9).count(&[one(1)]).await, [counted(0, 0)], "nor one that nobody claimed");
}

pub(in crate::store) async fn an_event_counts_itself(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [one(1), one(2)];
    for number in 0..6_u16 {
        let sofar = i64::from(number);
        let told = Tries::of(&engine, number).counting(&counters).done().await;
        assert_eq!(told, [counted(sofar, sofar + 1); 2]);
    }
}

pub(in crate::store) async fn a_counter_that_is_only_read_does_not_move(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    Tries::of(&engine, 1).counting(&[one(1)]).done().await;
    for event in 2..5 {
        let read = counter(1, Measure::Count, None);
        assert_eq!(Tries::of(&engine, event).counting(&[read]).done().await, [counted(1, 1)]);
    }
}

pub(in crate::store) async fn each_measure_says_what_it_is_for(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let number = |number| Some(Amount::Number(number));
    let counters = |amount, member: u8| {
        [
            one(1),
            counter(2, Measure::Sum, number(amount)),
            counter(3, Measure::Last, number(amount)),
            counter(4, Measure::Distinct { exact_up_to: 8 }, Some(Amount::Member([member; 8]))),
            counter(5, Measure::FirstSeen, number(1)),
        ]
    };
    let at = START.millis();
    let event = |number| Tries::of(&engine, number);
    let told = event(1).counting(&counters(300, 1)).done().await;
    assert_eq!(told, [counted(0, 1), counted(0, 300), counted(0, 300), counted(0, 1), counted(0, at)]);
    let told = event(2).counting(&counters(50, 1)).done().await;
    assert_eq!(told, [counted(1, 2), counted(300, 350), counted(300, 50), counted(1, 1), counted(at, at)]);
    let told = event(3).counting(&counters(1, 2)).done().await;
    assert_eq!(told, [counted(2, 3), counted(350, 351), counted(50, 1), counted(1, 2), counted(at, at)]);
}

pub(in crate::store) async fn sums_may_fall_and_never_wrap(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let sum = |number| [counter(1, Measure::Sum, Some(Amount::Number(number)))];
    let event = |number| Tries::of(&engine, number);
    let large = 1 << 52; // what is told exactly, with room for one more
    assert_eq!(event(1).counting(&sum(large)).done().await, [counted(0, large)]);
    assert_eq!(event(2).counting(&sum(-1)).done().await, [counted(large, large - 1)]);
    assert_eq!(event(3).counting(&sum(1 - large)).done().await, [counted(large - 1, 0)]);
    for number in 4..7 {
        event(number).counting(&sum(i64::MAX)).done().await;
    }
    let [Some(told)] = event(7).counting(&sum(i64::MAX)).done().await[..] else { panic!("not counted") };
    assert!(told.after >= large, "{told:?}");
}

pub(in crate::store) async fn an_amount_that_does_not_fit_is_not_counted(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [
        counter(1, Measure::Count, Some(Amount::Member([1; 8]))),
        counter(2, Measure::Distinct { exact_up_to: 8 }, Some(Amount::Number(1))),
        one(3),
    ];
    assert_eq!(Tries::of(&engine, 1).counting(&counters).done().await, [None, None, counted(0, 1)]);
    assert_eq!(engine.counters_refused(), 2);
}

pub(in crate::store) async fn counters_of_endpoints_never_meet(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let counters = [one(1)];
    let here = Tries::of(&engine, 1).counting(&counters);
    here.done().await;
    let there = Tries { endpoint: "pay-2", ..here };
    assert_eq!(there.done().await, [counted(0, 1)]);
}

pub(in crate::store) async fn events_that_share_counters_are_counted_one_by_one(fixture: impl Fixture) {
    let engine = Arc::new(fixture.open(START).await);
    let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let tasks: Vec<_> = (0..8_u16)
        .map(|task| {
            let engine = Arc::clone(&engine);
            workers.spawn(async move {
                let mut counters: Vec<CounterAsk> = (1..=12).map(one).collect();
                if task % 2 == 1 {
                    counters.reverse();
                }
                let mut told = Vec::new();
                for number in 0..25 {
                    let counted = Tries::of(&engine, task * 100 + number).counting(&counters).done().await;
                    told.extend(counted.into_iter().map(|counted| counted.unwrap().after));
                }
                told
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.unwrap());
    }
    assert_eq!(told.len(), 200 * 12);
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), (1..=200).collect(), "one was told twice or not at all");
    workers.shutdown_background();
}
