//! The replay invariants I1 to I8.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

pub(in crate::store) async fn i1_a_done_event_is_never_claimed_again(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let lease = event.claimed().await;
    event.end(lease, End::Done).await;
    assert_eq!(event.next().await, Reply::Duplicate);
    event.end(lease, End::Released).await; // too late: it is done
    assert_eq!(event.next().await, Reply::Duplicate);
    assert_eq!(event.later(Duration::from_hours(24)).next().await, Reply::Duplicate);
}

pub(in crate::store) async fn i1_a_commit_holds_after_its_lease_has_run_out(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let slow = event.claimed().await;
    let later = event.later(LEASE);
    let second = later.claimed().await;
    later.end(slow, End::Done).await; // the upstream did take it
    assert_eq!(later.next().await, Reply::Duplicate);
    later.end(second, End::Released).await;
    assert_eq!(later.next().await, Reply::Duplicate);
}

pub(in crate::store) async fn i1_i2_what_was_settled_is_known_after_a_crash(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let (done, released) = (Tries::of(&engine, 1), Tries::of(&engine, 2));
    done.end(done.claimed().await, End::Done).await;
    released.end(released.claimed().await, End::Released).await;
    let Some(engine) = fixture.crash(engine, START).await else { return };
    assert_eq!(Tries::of(&engine, 1).next().await, Reply::Duplicate);
    assert!(matches!(Tries::of(&engine, 2).next().await, Reply::Claimed { attempt: 2, .. }));
}

pub(in crate::store) async fn i2_a_released_event_is_claimed_by_the_next_try(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    for attempt in 1..=3 {
        let Reply::Claimed { attempt: told, lease, .. } = event.next().await else { panic!("not claimed") };
        assert_eq!(told, attempt);
        event.end(lease, End::Released).await;
    }
}

pub(in crate::store) async fn i2_only_the_claimer_releases(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let first = event.claimed().await;
    let later = event.later(LEASE);
    let second = later.claimed().await;
    assert_ne!(first, second);
    later.end(first, End::Released).await;
    assert_eq!(later.next().await, Reply::InFlight, "the second claimer has it");
    later.end(second, End::Released).await;
    later.claimed().await;
}

pub(in crate::store) async fn i3_of_concurrent_copies_one_is_claimed(fixture: impl Fixture) {
    let engine = Arc::new(fixture.open(START).await);
    let workers = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    for event in 0..20 {
        let copies: Vec<_> = (0..16)
            .map(|_| {
                let engine = Arc::clone(&engine);
                workers.spawn(async move { Tries::of(&engine, event).next().await })
            })
            .collect();
        let mut claimed = 0;
        for copy in copies {
            match copy.await.unwrap() {
                Reply::Claimed { .. } => claimed += 1,
                other => assert_eq!(other, Reply::InFlight),
            }
        }
        assert_eq!(claimed, 1);
    }
    workers.shutdown_background();
}

pub(in crate::store) async fn i4_a_claim_without_an_end_is_free_when_its_lease_has_run_out(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    event.claimed().await;
    let before_end = LEASE.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!(event.later(before_end).next().await, Reply::InFlight);
    assert!(matches!(event.later(LEASE).next().await, Reply::Claimed { attempt: 2, .. }));
}

pub(in crate::store) async fn i4_after_a_crash_the_lease_runs_out(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    Tries::of(&engine, 1).claimed().await;
    // The end of another claim makes everything before it durable.
    let other = Tries::of(&engine, 2);
    other.end(other.claimed().await, End::Done).await;
    let Some(engine) = fixture.crash(engine, START).await else { return };
    let event = Tries::of(&engine, 1);
    assert_eq!(event.next().await, Reply::InFlight);
    assert!(matches!(event.later(LEASE).next().await, Reply::Claimed { attempt: 2, .. }));
}

pub(in crate::store) async fn i6_a_used_nonce_is_refused_whatever_became_of_its_event(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let [first, while_in_flight, conflicting, when_done] = [(); 4].map(|()| fresh_nonce());
    let Reply::Claimed { lease, .. } = event.copy_of(first).await else { panic!("not claimed") };
    assert_eq!(event.copy_of(first).await, Reply::Replayed);
    assert_eq!(event.copy_of(while_in_flight).await, Reply::InFlight);
    assert_eq!(event.saying(2).copy_of(conflicting).await, Reply::IdConflict);
    event.end(lease, End::Released).await;
    assert_eq!(event.copy_of(first).await, Reply::Replayed, "though the event is free");
    assert_eq!(event.copy_of(while_in_flight).await, Reply::Replayed);
    event.end(event.claimed().await, End::Done).await;
    assert_eq!(event.copy_of(when_done).await, Reply::Duplicate);
    for used in [first, while_in_flight, conflicting, when_done] {
        assert_eq!(event.copy_of(used).await, Reply::Replayed);
        assert_eq!(Tries::of(&engine, 9).copy_of(used).await, Reply::Replayed, "with whatever event");
    }
}

pub(in crate::store) async fn i6_a_used_nonce_is_refused_after_a_crash(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let [first, while_in_flight, conflicting, when_done] = [(); 4].map(|()| fresh_nonce());
    let Reply::Claimed { lease, .. } = event.copy_of(first).await else { panic!("not claimed") };
    event.copy_of(while_in_flight).await;
    event.saying(2).copy_of(conflicting).await;
    event.end(lease, End::Done).await;
    event.copy_of(when_done).await;
    let restarted = START.plus(Duration::from_secs(20));
    let Some(engine) = fixture.crash(engine, restarted).await else {
        let engine = fixture.open(restarted).await;
        assert_eq!(engine.remembers_since(), Some(restarted), "it forgets, so it must say so");
        return;
    };
    assert_eq!(engine.remembers_since(), None);
    for used in [first, while_in_flight, conflicting, when_done] {
        assert_eq!(Tries::of(&engine, 9).at(restarted).copy_of(used).await, Reply::Replayed);
    }
}

pub(in crate::store) async fn i6_a_nonce_is_forgotten_when_its_timestamp_is_stale(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let nonce = fresh_nonce();
    Tries::of(&engine, 1).copy_of(nonce).await;
    assert_eq!(Tries::of(&engine, 2).later(WINDOW).copy_of(nonce).await, Reply::Replayed);
    let stale = WINDOW + Duration::from_secs(1);
    assert!(matches!(Tries::of(&engine, 2).later(stale).copy_of(nonce).await, Reply::Claimed { .. }));
}

pub(in crate::store) async fn i7_an_event_is_new_once_however_often_it_is_retried(fixture: impl Fixture) {
    let mut engine = fixture.open(START).await;
    let mut new = 0;
    for round in 0..6_u32 {
        let event = Tries::of(&engine, 1).later(LEASE * 2 * round);
        let reply = event.next().await;
        let Reply::Claimed { attempt, lease, .. } = reply else { panic!("not claimed but {reply:?}") };
        new += u32::from(attempt == 1);
        if round % 3 != 2 {
            event.end(lease, End::Released).await; // every third claim runs out instead
        }
        if round == 3 {
            let now = event.now;
            engine = match fixture.crash(engine, now).await {
                Some(engine) => engine,
                None => return,
            };
        }
    }
    assert_eq!(new, 1);
}

pub(in crate::store) async fn i8_the_same_id_with_other_content_is_a_conflict(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let other = event.saying(2);
    let lease = event.claimed().await;
    assert_eq!(other.next().await, Reply::IdConflict, "in flight");
    event.end(lease, End::Released).await;
    assert_eq!(other.next().await, Reply::IdConflict, "free");
    event.end(event.claimed().await, End::Done).await;
    assert_eq!(other.next().await, Reply::IdConflict, "done");
    assert_eq!(event.next().await, Reply::Duplicate, "the known event is untouched");
    let Some(engine) = fixture.crash(engine, START).await else { return };
    assert_eq!(Tries::of(&engine, 1).saying(2).next().await, Reply::IdConflict, "after a crash");
}

pub(in crate::store) async fn without_a_nonce_the_event_alone_tells_a_copy(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let ask = Ask { nonce: None, ..Tries::of(&engine, 1).ask([0; 16]) };
    let Reply::Claimed { lease, .. } = engine.claim(&ask).await.unwrap() else { panic!("not claimed") };
    assert_eq!(engine.claim(&ask).await.unwrap(), Reply::InFlight);
    assert_eq!(engine.claim(&Ask { content: [2; 8], ..ask }).await.unwrap(), Reply::IdConflict);
    Tries::of(&engine, 1).end(lease, End::Done).await;
    assert_eq!(engine.claim(&ask).await.unwrap(), Reply::Duplicate);
    let Some(engine) = fixture.crash(engine, START).await else { return };
    let ask = Ask { nonce: None, ..Tries::of(&engine, 1).ask([0; 16]) };
    assert_eq!(engine.claim(&ask).await.unwrap(), Reply::Duplicate, "after a crash");
}

pub(in crate::store) async fn endpoints_never_meet(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    let nonce = fresh_nonce();
    let Reply::Claimed { lease, .. } = event.copy_of(nonce).await else { panic!("not claimed") };
    event.end(lease, End::Done).await;
    let elsewhere = Ask { endpoint: "pay-2", ..event.ask(nonce) };
    assert!(matches!(engine.claim(&elsewhere).await.unwrap(), Reply::Claimed { attempt: 1, .. }));
}

pub(in crate::store) async fn a_done_event_is_forgotten_after_its_retention(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let event = Tries::of(&engine, 1);
    event.end(event.claimed().await, End::Done).await;
    assert_eq!(event.later(RETENTION).next().await, Reply::Duplicate);
    let forgotten = event.later(RETENTION + Duration::from_secs(1)).next().await;
    assert!(matches!(forgotten, Reply::Claimed { attempt: 1, .. }));
}

pub(in crate::store) async fn after_close_nothing_is_claimed(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    assert!(engine.is_up());
    engine.close().await;
    assert!(!engine.is_up());
    engine.claim(&Tries::of(&engine, 1).ask(fresh_nonce())).await.unwrap_err();
}

/// What may happen to one of several concurrent copies of an event.
#[derive(Clone, Copy, Debug)]
enum Step {
    Try,
    Succeed(u8),
    Fail(u8),
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Try),
        2 => (0..4_u8).prop_map(Step::Succeed),
        2 => (0..4_u8).prop_map(Step::Fail),
        1 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

/// Copies are tried, answered and refused in any order, and leases run out in between. The event is in the hands of at most
/// one claimer whose lease holds, and nobody gets it once an upstream took it.
pub(in crate::store) fn any_order_gives_one_forward<F: Fixture>(cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let fixture = F::new();
            let engine = fixture.open(START).await;
            let mut event = Tries::of(&engine, 1);
            let mut claims: Vec<(Lease, UnixTime)> = Vec::new(); // with the end of the lease
            let mut is_done = false;
            for step in steps {
                match step {
                    Step::Try => match event.next().await {
                        Reply::Claimed { lease, .. } => {
                            assert!(!is_done, "claimed after it was done");
                            assert!(claims.iter().all(|(_, ends)| *ends <= event.now), "two at once");
                            claims.push((lease, event.now.plus(LEASE)));
                        }
                        Reply::Duplicate => assert!(is_done),
                        Reply::InFlight => assert!(claims.iter().any(|(_, ends)| *ends > event.now)),
                        other => panic!("{other:?}"),
                    },
                    Step::Succeed(which) | Step::Fail(which) if !claims.is_empty() => {
                        let (lease, _) = claims.swap_remove(usize::from(which) % claims.len());
                        let succeeds = matches!(step, Step::Succeed(_));
                        is_done |= succeeds;
                        event.end(lease, if succeeds { End::Done } else { End::Released }).await;
                    }
                    Step::Succeed(_) | Step::Fail(_) => {}
                    Step::Wait => event = event.later(LEASE / 2),
                }
            }
        });
    });
}
