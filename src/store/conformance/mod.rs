//! What every engine must hold to, by the names of the replay invariants (docs/architecture.md). An engine joins with a
//! [`Fixture`] and one line of [`conformance!`](crate::store::conformance). Nothing here looks inside an engine, and each test
//! has storage of its own, so the tests may run against servers, side by side.

#![allow(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

mod counting;
mod listed;
mod ordered;
mod replay;
mod windows;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::{Ask, CountAsk, End, Engine, Lease, NonceUse, Reply, Settlement};
use crate::clock::UnixTime;
use crate::risk::ask::{Amount, Answers, Counted, CounterAsk, Measure};

pub(super) use counting::*;
pub(super) use listed::*;
pub(super) use ordered::*;
pub(super) use replay::*;
pub(super) use windows::*;

/// Opens an engine over storage of its own.
pub(super) trait Fixture {
    /// Empty storage.
    fn new() -> Self;

    /// Opens the engine over the storage.
    async fn open(&self, now: UnixTime) -> Engine;

    /// The process dies and the engine is opened over what that leaves. None: the engine forgets, and says so by
    /// [`Engine::remembers_since`].
    async fn crash(&self, engine: Engine, now: UnixTime) -> Option<Engine>;
}

const LEASE: Duration = Duration::from_secs(10);
const RETENTION: Duration = Duration::from_hours(72);
const WINDOW: Duration = Duration::from_mins(5);
const START: UnixTime = UnixTime::from_secs(1_700_000_000);

/// Runs every invariant against the engine of a fixture: each as a test of its own, or, where a fixture is dear to make,
/// `all at once`.
macro_rules! conformance {
    ($fixture:ty, $cases:literal) => {
        $crate::store::conformance::conformance! {@names each $fixture, $cases}
    };
    ($fixture:ty, $cases:literal, all at once) => {
        $crate::store::conformance::conformance! {@names all $fixture, $cases}
    };
    (@names $how:ident $fixture:ty, $cases:literal) => {
        $crate::store::conformance::conformance! {@ $how $fixture, $cases:
            i1_a_done_event_is_never_claimed_again
            i1_a_commit_holds_after_its_lease_has_run_out
            i1_i2_what_was_settled_is_known_after_a_crash
            i2_a_released_event_is_claimed_by_the_next_try
            i2_only_the_claimer_releases
            i3_of_concurrent_copies_one_is_claimed
            i4_a_claim_without_an_end_is_free_when_its_lease_has_run_out
            i4_after_a_crash_the_lease_runs_out
            i6_a_used_nonce_is_refused_whatever_became_of_its_event
            i6_a_used_nonce_is_refused_after_a_crash
            i6_a_nonce_is_forgotten_when_its_timestamp_is_stale
            i7_an_event_is_new_once_however_often_it_is_retried
            i8_the_same_id_with_other_content_is_a_conflict
            i7_a_counter_counts_an_event_once_however_often_it_is_retried
            i7_a_retry_is_told_what_the_first_try_was_told
            i7_a_second_round_counts_once_too
            i7_what_was_counted_is_known_after_a_crash
            i7_of_concurrent_copies_one_is_counted
            i7_refused_requests_move_nothing
            a_done_event_moves_nothing
            an_event_counts_itself
            a_counter_that_is_only_read_does_not_move
            each_measure_says_what_it_is_for
            sums_may_fall_and_never_wrap
            an_amount_that_does_not_fit_is_not_counted
            counters_of_endpoints_never_meet
            events_that_share_counters_are_counted_one_by_one
            a_window_slides_by_slices
            an_event_older_than_the_window_changes_nothing
            an_event_from_the_future_is_placed_now
            a_key_that_was_not_seen_for_a_window_is_new_again
            distinct_values_are_exact_to_their_limit_and_more_beyond
            after_a_crash_windows_go_on_sliding
            an_order_is_known_to_the_claim
            an_order_that_is_registered_again_is_replaced_and_told
            an_order_is_forgotten_at_its_time
            many_orders_are_registered_at_once
            orders_are_known_after_a_crash
            a_value_is_on_a_list_until_its_time
            a_removed_value_is_on_no_list
            a_list_is_shown_in_pages
            lists_are_known_after_a_crash
            without_a_nonce_the_event_alone_tells_a_copy
            endpoints_never_meet
            a_done_event_is_forgotten_after_its_retention
            after_close_nothing_is_claimed
        }
    };
    (@ each $fixture:ty, $cases:literal: $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                $crate::store::conformance::$name(<$fixture as $crate::store::conformance::Fixture>::new()).await;
            }
        )+
        #[test]
        fn any_order_of_concurrent_copies_gives_one_forward() {
            $crate::store::conformance::any_order_gives_one_forward::<$fixture>($cases);
        }
        #[test]
        fn any_run_of_events_is_counted_within_a_slice() {
            $crate::store::conformance::any_run_is_counted_within_a_slice::<$fixture>($cases);
        }
    };
    (@ all $fixture:ty, $cases:literal: $($name:ident)+) => {
        #[test]
        fn every_invariant_holds() {
            $(
                eprintln!(stringify!($name)); // the last one shown is the one that failed
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let fixture = <$fixture as $crate::store::conformance::Fixture>::new();
                runtime.block_on($crate::store::conformance::$name(fixture));
            )+
            eprintln!("any_order");
            $crate::store::conformance::any_order_gives_one_forward::<$fixture>($cases);
            eprintln!("any_run");
            $crate::store::conformance::any_run_is_counted_within_a_slice::<$fixture>($cases);
        }
    };
}
pub(super) use conformance;

/// One event of the endpoint `pay`, as it is tried again and again: each try has a nonce of its own.
#[derive(Clone, Copy)]
struct Tries<'a> {
    engine: &'a Engine,
    endpoint: &'a str,
    event: u16,
    content: u8,
    now: UnixTime,
    counters: &'a [CounterAsk],
}

static NONCES: AtomicU64 = AtomicU64::new(1);

fn fresh_nonce() -> [u8; 16] {
    u128::from(NONCES.fetch_add(1, Ordering::Relaxed))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .to_le_bytes()
}

impl<'a> Tries<'a> {
    fn of(engine: &'a Engine, event: u16) -> Self {
        Self { engine, endpoint: "pay", event, content: 1, now: START, counters: &[] }
    }

    fn at(&self, now: UnixTime) -> Self {
        Self { now, ..*self }
    }

    fn later(&self, span: Duration) -> Self {
        self.at(self.now.plus(span))
    }

    fn saying(&self, content: u8) -> Self {
        Self { content, ..*self }
    }

    fn counting(&self, counters: &'a [CounterAsk]) -> Self {
        Self { counters, ..*self }
    }

    fn digest(&self) -> [u8; 16] {
        let mut digest = [7; 16];
        digest[..2].copy_from_slice(&self.event.to_le_bytes());
        digest
    }

    fn ask(&self, nonce: [u8; 16]) -> Ask<'a> {
        Ask {
            endpoint: self.endpoint,
            nonce: Some(NonceUse { digest: nonce, signed_at: START, until: START.plus(WINDOW) }),
            event: self.digest(),
            content: [self.content; 8],
            lease: LEASE,
            retention: RETENTION,
            now: self.now,
            counters: self.counters,
            order: None,
            lists: &[],
        }
    }

    /// WeChat's next try.
    async fn next(&self) -> Reply {
        self.copy_of(fresh_nonce()).await
    }

    /// A captured request, sent again.
    async fn copy_of(&self, nonce: [u8; 16]) -> Reply {
        self.engine.claim(&self.ask(nonce)).await.unwrap()
    }

    async fn claimed(&self) -> Lease {
        match self.next().await {
            Reply::Claimed { lease, .. } => lease,
            other => panic!("not claimed but {other:?}"),
        }
    }

    async fn end(&self, lease: Lease, end: End) {
        let (endpoint, event, content) = (self.endpoint, self.digest(), [self.content; 8]);
        let settlement = Settlement { endpoint, event, content, lease, end, retention: RETENTION, now: self.now };
        self.engine.settle(&settlement).await.unwrap();
    }

    /// The next try, which must get the event, and what it is told.
    async fn told(&self) -> (Lease, Answers) {
        match self.next().await {
            Reply::Claimed { lease, answers, .. } => (lease, answers),
            other => panic!("not claimed but {other:?}"),
        }
    }

    /// The event from claim to done, and what it was told of its counters.
    async fn done(&self) -> Vec<Option<Counted>> {
        let (lease, answers) = self.told().await;
        self.end(lease, End::Done).await;
        answers.counters
    }

    /// A second round.
    async fn count(&self, counters: &[CounterAsk]) -> Vec<Option<Counted>> {
        let ask = CountAsk { endpoint: self.endpoint, event: self.digest(), counters, now: self.now };
        self.engine.count(&ask).await.unwrap()
    }
}

/// A counter over an hour in slices of a minute, moved at [`START`].
fn counter(id: u8, measure: Measure, add: Option<Amount>) -> CounterAsk {
    let (window, slice) = (Duration::from_hours(1), Duration::from_mins(1));
    CounterAsk { id: [id; 16], measure, add, window, slice, at: START }
}

/// A count of events by one.
fn one(id: u8) -> CounterAsk {
    counter(id, Measure::Count, Some(Amount::Number(1)))
}

#[expect(clippy::unnecessary_wraps, reason = "as an answer is")]
fn counted(before: i64, after: i64) -> Option<Counted> {
    Some(Counted { before, after })
}
