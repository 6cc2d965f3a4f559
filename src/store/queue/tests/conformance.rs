//! What the rows of every engine must hold to. An engine joins with a [`Fixture`] and one line of [`conformance!`].

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::{NOW, head, ids, later, row};
use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::store::StoreError;
use crate::store::queue::{Cursor, Head, Query, Queue, RowId, RowLease, Rows, Stored, Take, Taken};

/// Opens rows over storage of their own.
pub(in crate::store) trait Fixture {
    /// Empty storage.
    fn new() -> Self;

    /// Opens the rows.
    async fn open(&self) -> Rows;

    /// The process dies and the rows are opened over what that leaves. None: the engine forgets.
    async fn crash(&self, rows: Rows) -> Option<Rows>;
}

const LEASE: Duration = Duration::from_secs(10);

/// The suite for a fixture, and how many cases of [`any_order`]. `all at once`: as one test, for servers that take their
/// time to start.
macro_rules! conformance {
    ($fixture:ty, $cases:literal) => {
        $crate::store::queue::tests::conformance::conformance! {@names each $fixture, $cases}
    };
    ($fixture:ty, $cases:literal, all at once) => {
        $crate::store::queue::tests::conformance::conformance! {@names all $fixture, $cases}
    };
    (@names $how:ident $fixture:ty, $cases:literal) => {
        $crate::store::queue::tests::conformance::conformance! {@ $how $fixture, $cases:
            a_row_is_kept_once_whatever_queue_it_is_in
            what_was_put_comes_back_byte_for_byte
            lists_come_in_pages_that_hold_each_row_once
            filters_of_a_list_hold_together
            a_row_is_taken_when_it_is_due_and_by_one_alone
            rows_of_a_subject_are_taken_in_the_order_in_which_they_came
            a_row_whose_delivery_failed_keeps_the_later_ones_of_its_subject_back
            an_earlier_row_that_comes_back_is_taken_before_those_that_wait
            a_lease_ends_by_itself_and_its_late_taker_changes_nothing
            a_leased_row_is_moved_by_its_taker_alone
            who_delivered_a_row_removes_it_whatever_became_of_his_lease
            a_row_set_aside_is_listed_and_not_taken_and_holds_nobody_up
            depths_tell_rows_and_the_oldest
            what_was_answered_is_known_after_a_crash
            after_close_nothing_is_answered
        }
    };
    (@ each $fixture:ty, $cases:literal: $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                use $crate::store::queue::tests::conformance::{self, Fixture};
                conformance::$name(<$fixture as Fixture>::new()).await;
            }
        )+
        #[test]
        fn any_order_of_operations_keeps_every_row_and_every_subjects_order() {
            $crate::store::queue::tests::conformance::any_order::<$fixture>($cases);
        }
    };
    (@ all $fixture:ty, $cases:literal: $($name:ident)+) => {
        #[test]
        fn every_promise_holds() {
            use $crate::store::queue::tests::conformance::{self, Fixture};
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            $(
                eprintln!(stringify!($name)); // shown when it fails
                runtime.block_on(conformance::$name(<$fixture as Fixture>::new()));
            )+
            drop(runtime);
            conformance::any_order::<$fixture>($cases);
        }
    };
}
pub(in crate::store) use conformance;

fn all_of(queue: Queue) -> Query {
    Query { queue, endpoint: None, reason: None, since: None, until: None, after: None, limit: 100 }
}

async fn take(rows: &Rows, now: UnixTime, limit: usize) -> Vec<Taken> {
    rows.take(&Take { endpoint: "pay", now, until: now.plus(LEASE), limit }).await.unwrap()
}

async fn taken(rows: &Rows, now: UnixTime) -> Vec<u8> {
    take(rows, now, 100).await.iter().map(|taken| taken.row.head.id.0[0]).collect()
}

async fn listed(rows: &Rows, query: &Query) -> Vec<u8> {
    ids(&rows.list(query).await.unwrap())
}

/// A row in another queue.
fn moved(taken: &Stored, queue: Queue) -> Stored {
    let mut moved = taken.clone();
    moved.head.queue = queue;
    moved
}

pub(in crate::store) async fn a_row_is_kept_once_whatever_queue_it_is_in(fixture: impl Fixture) {
    let rows = fixture.open().await;
    assert!(rows.put(row(head(1))).await.unwrap());
    assert!(!rows.put(row(head(1))).await.unwrap());
    assert!(!rows.put(moved(&row(head(1)), Queue::Held)).await.unwrap());
    assert_eq!(listed(&rows, &all_of(Queue::Pending)).await, [1]);
    assert_eq!(listed(&rows, &all_of(Queue::Held)).await, [0; 0]);
}

pub(in crate::store) async fn what_was_put_comes_back_byte_for_byte(fixture: impl Fixture) {
    let rows = fixture.open().await;
    let mut put = row(head(1));
    put.head.reason = Reason::UpstreamTimeout;
    put.head.attempts = 7;
    put.sealed = vec![0xa5; 70_000].into();
    rows.put(put.clone()).await.unwrap();
    assert_eq!(rows.get(Queue::Pending, put.head.id).await.unwrap(), Some(put.clone()));
    assert_eq!(rows.get(Queue::Dead, put.head.id).await.unwrap(), None, "it is in another queue");
    assert_eq!(take(&rows, NOW, 1).await[0].row, put);
}

pub(in crate::store) async fn lists_come_in_pages_that_hold_each_row_once(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for number in [5, 3, 9, 1, 7, 2, 8] {
        let mut stored = row(head(number));
        stored.head.entered_at = NOW.plus(Duration::from_secs(u64::from(number) / 2)); // some at the same time
        rows.put(stored).await.unwrap();
    }
    let mut query = Query { limit: 3, ..all_of(Queue::Pending) };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = rows.list(&query).await.unwrap();
        found.extend(ids(&page));
        pages += 1;
        let Some(next) = page.next else { break };
        assert_eq!(next.to_string().parse::<Cursor>(), Ok(next));
        query.after = Some(next);
    }
    assert_eq!(found, [1, 2, 3, 5, 7, 8, 9]);
    assert!((3..=4).contains(&pages), "{pages} pages");
}

pub(in crate::store) async fn filters_of_a_list_hold_together(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for number in 1..=8 {
        let mut stored = row(head(number));
        stored.head.queue = Queue::Held;
        stored.head.entered_at = later(u64::from(number));
        stored.head.endpoint = if number % 2 == 0 { "pay" } else { "refund" }.into();
        stored.head.reason = if number > 6 { Reason::IdConflict } else { Reason::Held };
        rows.put(stored).await.unwrap();
    }
    let held = all_of(Queue::Held);
    let pay = Query { endpoint: Some("pay".to_owned()), ..held.clone() };
    assert_eq!(listed(&rows, &pay).await, [2, 4, 6, 8]);
    assert_eq!(listed(&rows, &Query { reason: Some(Reason::IdConflict), ..pay.clone() }).await, [8]);
    assert_eq!(listed(&rows, &Query { since: Some(later(4)), ..pay.clone() }).await, [4, 6, 8]);
    assert_eq!(listed(&rows, &Query { since: Some(later(3)), until: Some(later(6)), ..held.clone() }).await, [3, 4, 5]);
    assert_eq!(listed(&rows, &Query { endpoint: Some("none".to_owned()), ..held }).await, [0; 0]);
}

pub(in crate::store) async fn a_row_is_taken_when_it_is_due_and_by_one_alone(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for (number, due) in [(1, 30), (2, 0), (3, 10)] {
        let mut stored = row(head(number));
        stored.head.next_at = later(due);
        rows.put(stored).await.unwrap();
    }
    let mut other = row(head(4));
    other.head.endpoint = "refund".into();
    rows.put(other).await.unwrap();
    rows.put(moved(&row(head(5)), Queue::Held)).await.unwrap();
    assert_eq!(taken(&rows, later(10)).await, [2, 3], "longest due first");
    assert_eq!(taken(&rows, later(11)).await, [0; 0], "they are leased");
    assert_eq!(taken(&rows, later(30)).await, [2, 3, 1], "their leases have ended");
}

pub(in crate::store) async fn rows_of_a_subject_are_taken_in_the_order_in_which_they_came(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for (number, received) in [(1, 2), (2, 0), (3, 1), (4, 1)] {
        let mut stored = row(head(number));
        stored.head.lane = [7; 8];
        stored.head.received_at = later(received);
        rows.put(stored).await.unwrap();
    }
    for expected in [2, 3, 4, 1] {
        let first = take(&rows, later(5), 10).await;
        assert_eq!(first.iter().map(|taken| taken.row.head.id.0[0]).collect::<Vec<_>>(), [expected]);
        assert!(rows.remove(Queue::Pending, first[0].row.head.id).await.unwrap());
    }
}

pub(in crate::store) async fn a_row_whose_delivery_failed_keeps_the_later_ones_of_its_subject_back(
    fixture: impl Fixture,
) {
    let rows = fixture.open().await;
    for number in [1, 2] {
        let mut stored = row(head(number));
        stored.head.lane = [7; 8];
        rows.put(stored).await.unwrap();
    }
    let mut other = row(head(3));
    other.head.next_at = later(1); // of rows that are due at the same time any may be the first
    rows.put(other).await.unwrap();
    let first = take(&rows, NOW, 1).await.remove(0);
    rows.postpone(first.row.head.id, first.lease, 1, later(60)).await.unwrap();
    assert_eq!(taken(&rows, later(1)).await, [3], "another subject goes on");
    rows.remove(Queue::Pending, RowId([3; 24])).await.unwrap();
    let again = take(&rows, later(60), 1).await.remove(0);
    assert_eq!((again.row.head.id.0[0], again.row.head.attempts), (1, 1));
}

pub(in crate::store) async fn an_earlier_row_that_comes_back_is_taken_before_those_that_wait(fixture: impl Fixture) {
    let rows = fixture.open().await;
    let mut first = row(head(1));
    first.head.lane = [7; 8];
    rows.put(moved(&first, Queue::Dead)).await.unwrap();
    let mut second = row(head(2));
    second.head.lane = [7; 8];
    second.head.received_at = later(1);
    rows.put(second).await.unwrap();
    assert!(rows.replace(Queue::Dead, None, first).await.unwrap());
    assert_eq!(taken(&rows, later(5)).await, [1]);
}

pub(in crate::store) async fn a_lease_ends_by_itself_and_its_late_taker_changes_nothing(fixture: impl Fixture) {
    let rows = fixture.open().await;
    rows.put(row(head(1))).await.unwrap();
    let late = take(&rows, NOW, 1).await.remove(0);
    let second = take(&rows, NOW.plus(LEASE), 1).await.remove(0);
    assert_ne!(late.lease, second.lease);
    let id = late.row.head.id;
    rows.postpone(id, late.lease, 9, later(1000)).await.unwrap();
    assert!(!rows.replace(Queue::Pending, Some(late.lease), moved(&late.row, Queue::Dead)).await.unwrap());
    let still = rows.get(Queue::Pending, id).await.unwrap().unwrap();
    assert_eq!(still.head.attempts, 0);
    assert!(rows.replace(Queue::Pending, Some(second.lease), moved(&late.row, Queue::Dead)).await.unwrap());
}

pub(in crate::store) async fn a_leased_row_is_moved_by_its_taker_alone(fixture: impl Fixture) {
    let rows = fixture.open().await;
    rows.put(row(head(1))).await.unwrap();
    let taken = take(&rows, NOW, 1).await.remove(0);
    let dead = moved(&taken.row, Queue::Dead);
    assert!(!rows.replace(Queue::Pending, None, dead.clone()).await.unwrap());
    assert!(!rows.replace(Queue::Held, Some(taken.lease), dead.clone()).await.unwrap(), "it is not held");
    assert!(rows.replace(Queue::Pending, Some(taken.lease), dead).await.unwrap());
    assert_eq!(listed(&rows, &all_of(Queue::Dead)).await, [1]);
    assert_eq!(listed(&rows, &all_of(Queue::Pending)).await, [0; 0]);
    assert_eq!(self::taken(&rows, later(1000)).await, [0; 0], "what is dead is not due");
}

pub(in crate::store) async fn who_delivered_a_row_removes_it_whatever_became_of_his_lease(fixture: impl Fixture) {
    let rows = fixture.open().await;
    rows.put(row(head(1))).await.unwrap();
    let id = take(&rows, NOW, 1).await.remove(0).row.head.id;
    let second = take(&rows, NOW.plus(LEASE), 1).await.remove(0);
    assert!(rows.remove(Queue::Pending, id).await.unwrap());
    assert!(!rows.remove(Queue::Pending, id).await.unwrap());
    rows.postpone(id, second.lease, 1, NOW).await.unwrap();
    assert_eq!(taken(&rows, later(1000)).await, [0; 0]);
}

pub(in crate::store) async fn a_row_set_aside_is_listed_and_not_taken_and_holds_nobody_up(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for number in [1, 2] {
        let mut stored = row(head(number));
        stored.head.lane = [7; 8];
        rows.put(stored).await.unwrap();
    }
    let first = take(&rows, NOW, 1).await.remove(0).row;
    assert!(rows.set_aside(first.head.id).await.unwrap());
    assert!(!rows.set_aside(first.head.id).await.unwrap(), "no news");
    assert_eq!(taken(&rows, later(100)).await, [2]);
    let page = rows.list(&all_of(Queue::Pending)).await.unwrap();
    assert_eq!(page.rows.iter().map(|listed| listed.is_quarantined).collect::<Vec<_>>(), [true, false]);
    assert!(rows.replace(Queue::Pending, None, first).await.unwrap(), "somebody could open it after all");
    rows.remove(Queue::Pending, RowId([2; 24])).await.unwrap();
    assert_eq!(taken(&rows, later(200)).await, [1]);
}

pub(in crate::store) async fn depths_tell_rows_and_the_oldest(fixture: impl Fixture) {
    let rows = fixture.open().await;
    assert_eq!(rows.depths().await.unwrap(), []);
    for number in [4, 2, 3] {
        let mut stored = row(head(number));
        stored.head.entered_at = later(u64::from(number));
        rows.put(stored).await.unwrap();
    }
    rows.put(moved(&row(head(9)), Queue::Dead)).await.unwrap();
    let told = rows.depths().await.unwrap().into_iter();
    let told: BTreeMap<_, _> = told.map(|depth| (depth.queue, (depth.rows, depth.oldest))).collect();
    assert_eq!(told, BTreeMap::from([(Queue::Pending, (3, later(2))), (Queue::Dead, (1, NOW))]));
}

pub(in crate::store) async fn what_was_answered_is_known_after_a_crash(fixture: impl Fixture) {
    let rows = fixture.open().await;
    for number in 1..=5 {
        rows.put(row(head(number))).await.unwrap();
    }
    let first = take(&rows, NOW, 1).await.remove(0);
    rows.replace(Queue::Pending, Some(first.lease), moved(&first.row, Queue::Dead)).await.unwrap();
    rows.remove(Queue::Pending, RowId([2; 24])).await.unwrap();
    let _leased = take(&rows, NOW, 1).await;
    let Some(rows) = fixture.crash(rows).await else { return };
    assert_eq!(listed(&rows, &all_of(Queue::Dead)).await, [1]);
    assert_eq!(taken(&rows, NOW.plus(LEASE)).await, [3, 4, 5]);
    assert_eq!(rows.get(Queue::Pending, RowId([4; 24])).await.unwrap(), Some(row(head(4))));
}

pub(in crate::store) async fn after_close_nothing_is_answered(fixture: impl Fixture) {
    let rows = fixture.open().await;
    rows.put(row(head(1))).await.unwrap();
    assert!(rows.is_up());
    rows.close().await;
    assert!(!rows.is_up());
    assert!(matches!(rows.put(row(head(2))).await, Err(StoreError::Closed)));
    assert!(matches!(rows.list(&all_of(Queue::Pending)).await, Err(StoreError::Closed)));
}

#[derive(Clone, Debug)]
enum Step {
    Put { number: u8, lane: u8, received: u8 },
    Take { limit: usize },
    Finish { nth: usize },
    Fail { nth: usize, wait: u8 },
    Bury { nth: usize },
    Release { number: u8 },
    Wait { secs: u8 },
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..30_u8, 0..4_u8, 0..6_u8).prop_map(|(number, lane, received)| Step::Put { number, lane, received }),
        4 => (1..4_usize).prop_map(|limit| Step::Take { limit }),
        3 => any::<usize>().prop_map(|nth| Step::Finish { nth }),
        2 => (any::<usize>(), 0..20_u8).prop_map(|(nth, wait)| Step::Fail { nth, wait }),
        1 => any::<usize>().prop_map(|nth| Step::Bury { nth }),
        1 => (1..30_u8).prop_map(|number| Step::Release { number }),
        2 => (1..15_u8).prop_map(|secs| Step::Wait { secs }),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The rows in the plainest form: every rule of [`Rows::take`] written down once more, without an index.
#[derive(Default)]
struct Model {
    rows: BTreeMap<u8, (Stored, Option<(RowLease, UnixTime)>)>,
    /// Numbers in the order of putting.
    turns: Vec<u8>,
}

impl Model {
    /// Whether this row may be taken now.
    fn may_take(&self, number: u8, now: UnixTime) -> bool {
        let Some((stored, lease)) = self.rows.get(&number) else { return false };
        let is_leased = |lease: &Option<(RowLease, UnixTime)>| lease.is_some_and(|(_, until)| until > now);
        let place = |number: u8, head: &Head| (head.received_at, self.turns.iter().rposition(|put| *put == number));
        let mut of_lane = self.rows.iter().filter(|(other, (row, _))| {
            **other != number && row.head.queue == Queue::Pending && row.head.lane == stored.head.lane
        });
        stored.head.queue == Queue::Pending
            && !is_leased(lease)
            && stored.head.next_at <= now
            && of_lane.all(|(other, (row, lease))| {
                place(*other, &row.head) > place(number, &stored.head) && !is_leased(lease)
            })
    }
}

/// Runs any steps against the engine and the model.
pub(in crate::store) fn any_order<F: Fixture>(cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run::<F>(steps));
    });
}

async fn run<F: Fixture>(steps: Vec<Step>) {
    let fixture = F::new();
    let mut rows = fixture.open().await;
    let (mut model, mut now, mut held) = (Model::default(), NOW, Vec::<Taken>::new());
    for step in steps {
        match step {
            Step::Put { number, lane, received } => {
                let mut stored = row(head(number));
                stored.head.lane = [lane; 8];
                stored.head.received_at = later(u64::from(received));
                let is_new = rows.put(stored.clone()).await.unwrap();
                assert_eq!(is_new, !model.rows.contains_key(&number));
                if is_new {
                    model.turns.push(number);
                }
                model.rows.entry(number).or_insert((stored, None));
            }
            Step::Take { limit } => {
                let taken = take(&rows, now, limit).await;
                for taken in &taken {
                    let number = taken.row.head.id.0[0];
                    assert!(model.may_take(number, now), "row {number} was taken before its turn");
                    assert_eq!(taken.row, model.rows[&number].0);
                    model.rows.get_mut(&number).unwrap().1 = Some((taken.lease, now.plus(LEASE)));
                }
                let is_left = model.rows.keys().any(|number| model.may_take(*number, now));
                assert!(taken.len() == limit || !is_left, "a row that is due was not given");
                held.extend(taken);
            }
            Step::Finish { nth } if !held.is_empty() => {
                let taken = held.swap_remove(nth % held.len());
                let number = taken.row.head.id.0[0];
                let is_there = model.rows.get(&number).is_some_and(|(row, _)| row.head.queue == Queue::Pending);
                assert_eq!(rows.remove(Queue::Pending, taken.row.head.id).await.unwrap(), is_there);
                if is_there {
                    model.rows.remove(&number);
                }
            }
            Step::Fail { nth, wait } if !held.is_empty() => {
                let taken = held.swap_remove(nth % held.len());
                let next_at = now.plus(Duration::from_secs(u64::from(wait)));
                let attempts = taken.row.head.attempts + 1;
                rows.postpone(taken.row.head.id, taken.lease, attempts, next_at).await.unwrap();
                if let Some((row, lease)) = model.rows.get_mut(&taken.row.head.id.0[0])
                    && lease.is_some_and(|(lease, _)| lease == taken.lease)
                {
                    (row.head.attempts, row.head.next_at, *lease) = (attempts, next_at, None);
                }
            }
            Step::Bury { nth } if !held.is_empty() => {
                let taken = held.swap_remove(nth % held.len());
                let dead = moved(&taken.row, Queue::Dead);
                let is_moved = rows.replace(Queue::Pending, Some(taken.lease), dead.clone()).await.unwrap();
                let entry = model.rows.get_mut(&taken.row.head.id.0[0]);
                let entry = entry.filter(|(_, lease)| lease.is_some_and(|(lease, _)| lease == taken.lease));
                assert_eq!(is_moved, entry.is_some());
                if let Some(entry) = entry {
                    *entry = (dead, None);
                }
            }
            Step::Release { number } => {
                let dead = model.rows.get_mut(&number).filter(|(row, _)| row.head.queue == Queue::Dead);
                let mut pending = row(head(number));
                if let Some((row, _)) = &dead {
                    pending = moved(row, Queue::Pending);
                }
                assert_eq!(rows.replace(Queue::Dead, None, pending.clone()).await.unwrap(), dead.is_some());
                if let Some(dead) = dead {
                    *dead = (pending, None);
                    model.turns.push(number);
                }
            }
            Step::Wait { secs } => {
                now = now.plus(Duration::from_secs(u64::from(secs)));
                // Whether a lease that has ended is still good while nobody else has asked is left to the engine.
                held.retain(|taken| {
                    let entry = model.rows.get(&taken.row.head.id.0[0]);
                    entry
                        .and_then(|(_, lease)| *lease)
                        .is_some_and(|(lease, until)| lease == taken.lease && until > now)
                });
            }
            Step::Crash => {
                let Some(opened) = fixture.crash(rows).await else { return };
                rows = opened;
                held.clear();
                now = now.plus(LEASE); // an engine on another machine keeps its leases
            }
            Step::Finish { .. } | Step::Fail { .. } | Step::Bury { .. } => {}
        }
        for queue in Queue::ALL {
            let known: Vec<u8> =
                model.rows.iter().filter(|(_, (row, _))| row.head.queue == queue).map(|(number, _)| *number).collect();
            assert_eq!(listed(&rows, &all_of(queue)).await, known, "{}", queue.name());
        }
    }
}
