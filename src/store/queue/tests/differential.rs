//! An engine against the table in memory: after any operations both give the same answers, leases and orders included.
//! Times at which rows are due are all different, since the order of rows that are due at the same time is an engine's own.

use proptest::option::of as some;
use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(10);
const ENDPOINTS: [&str; 2] = ["pay", "refund"];
const REASONS: [Reason; 2] = [Reason::Held, Reason::IdConflict];

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(Draft),
    Replace {
        from: Queue,
        with: With,
        row: Draft,
    },
    Get {
        queue: Queue,
        number: u8,
    },
    Take {
        endpoint: usize,
        limit: usize,
    },
    Postpone {
        nth: usize,
        wait: u8,
    },
    Remove {
        queue: Queue,
        number: u8,
    },
    SetAside {
        number: u8,
    },
    List {
        queue: Queue,
        endpoint: Option<usize>,
        reason: Option<usize>,
        since: Option<u8>,
        until: Option<u8>,
        limit: usize,
    },
    Wait {
        secs: u8,
    },
}

/// What a row is made of.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    number: u8,
    queue: Queue,
    endpoint: usize,
    reason: usize,
    lane: u8,
    received: u8,
    entered: u8,
    due: u8,
    length: usize,
}

/// The lease with which a row is replaced.
#[derive(Clone, Copy, Debug)]
pub(super) enum With {
    Nothing,
    /// One that was given for a row of this id, if there was one.
    Its,
    /// One of any row.
    Any(usize),
}

fn queues() -> impl Strategy<Value = Queue> {
    prop_oneof![3 => Just(Queue::Pending), 1 => Just(Queue::Held), 1 => Just(Queue::Dead)]
}

fn drafts() -> impl Strategy<Value = Draft> {
    (1..16_u8, queues(), 0..2_usize, 0..2_usize, 0..4_u8, (0..5_u8, 0..5_u8, 0..20_u8), 0..50_usize).prop_map(
        |(number, queue, endpoint, reason, lane, (received, entered, due), length)| Draft {
            number,
            queue,
            endpoint,
            reason,
            lane,
            received,
            entered,
            due,
            length,
        },
    )
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let with = prop_oneof![Just(With::Nothing), Just(With::Its), any::<usize>().prop_map(With::Any)];
    let step = prop_oneof![
        8 => drafts().prop_map(Step::Put),
        4 => (queues(), with, drafts()).prop_map(|(from, with, row)| Step::Replace { from, with, row }),
        1 => (queues(), 1..16_u8).prop_map(|(queue, number)| Step::Get { queue, number }),
        6 => (0..2_usize, 1..4_usize).prop_map(|(endpoint, limit)| Step::Take { endpoint, limit }),
        4 => (any::<usize>(), 0..20_u8).prop_map(|(nth, wait)| Step::Postpone { nth, wait }),
        2 => (queues(), 1..16_u8).prop_map(|(queue, number)| Step::Remove { queue, number }),
        1 => (1..16_u8).prop_map(|number| Step::SetAside { number }),
        2 => (queues(), some(0..2_usize), some(0..2_usize), some(0..5_u8), some(0..6_u8), 1..5_usize).prop_map(
            |(queue, endpoint, reason, since, until, limit)| Step::List { queue, endpoint, reason, since, until, limit }
        ),
        3 => (1..15_u8).prop_map(|secs| Step::Wait { secs }),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Both engines, and what is known of them.
struct Pair {
    one: Rows,
    other: Rows,
    now: UnixTime,
    /// Leases that both gave for one row.
    leases: Vec<(RowId, RowLease, RowLease)>,
    /// Times that are due so far.
    dues: u64,
}

/// Runs the steps against an engine and the table in memory.
pub(super) async fn run(engine: Rows, steps: Vec<Step>) {
    let mut pair = Pair { one: engine, other: Rows::Memory(Box::default()), now: NOW, leases: Vec::new(), dues: 0 };
    pair.take("pay", 1).await; // as every gateway does when it starts: an engine may look at what it left then
    for step in steps {
        pair.step(&step).await;
        let (one, other) = (pair.one.depths().await.unwrap(), pair.other.depths().await.unwrap());
        let sorted = |mut depths: Vec<Depth>| {
            depths.sort_by_key(|depth| (depth.queue, Arc::clone(&depth.endpoint)));
            depths
        };
        assert_eq!(sorted(one), sorted(other), "after {step:?}");
    }
    for queue in Queue::ALL {
        pair.list(&Query { queue, endpoint: None, reason: None, since: None, until: None, after: None, limit: 7 })
            .await;
    }
}

impl Pair {
    fn row(&mut self, draft: &Draft) -> Stored {
        self.dues += 1;
        let due = self.now.plus(Duration::from_secs(u64::from(draft.due))).plus(Duration::from_millis(self.dues));
        let head = Head {
            queue: draft.queue,
            endpoint: Arc::from(ENDPOINTS[draft.endpoint]),
            reason: REASONS[draft.reason],
            received_at: later(u64::from(draft.received)),
            entered_at: later(u64::from(draft.entered)),
            next_at: due,
            attempts: u32::from(draft.due),
            lane: [draft.lane; 8],
            ..head(draft.number)
        };
        let sealed = vec![draft.number; draft.length].into();
        Stored { head, sealed }
    }

    fn lease(&self, with: With, id: RowId) -> Option<(RowLease, RowLease)> {
        let found = match with {
            With::Nothing => None,
            With::Its => self.leases.iter().rfind(|(of, ..)| *of == id),
            With::Any(nth) => self.leases.get(nth % self.leases.len().max(1)),
        };
        found.map(|(_, one, other)| (*one, *other))
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Put(draft) => {
                let row = self.row(draft);
                assert_eq!(self.one.put(row.clone()).await.unwrap(), self.other.put(row).await.unwrap(), "{step:?}");
            }
            Step::Replace { from, with, row } => {
                let row = self.row(row);
                let (one, other) = self.lease(*with, row.head.id).unzip();
                let replaced = self.one.replace(*from, one, row.clone()).await.unwrap();
                assert_eq!(replaced, self.other.replace(*from, other, row).await.unwrap(), "{step:?}");
            }
            Step::Get { queue, number } => {
                let id = RowId([*number; 24]);
                assert_eq!(self.one.get(*queue, id).await.unwrap(), self.other.get(*queue, id).await.unwrap());
            }
            Step::Take { endpoint, limit } => self.take(ENDPOINTS[*endpoint], *limit).await,
            Step::Postpone { nth, wait } => {
                let Some((id, one, other)) = self.leases.get(nth % self.leases.len().max(1)).copied() else { return };
                self.dues += 1;
                let wait = Duration::from_secs(u64::from(*wait)) + Duration::from_millis(self.dues);
                let next_at = self.now.plus(wait);
                self.one.postpone(id, one, 3, next_at).await.unwrap();
                self.other.postpone(id, other, 3, next_at).await.unwrap();
            }
            Step::Remove { queue, number } => {
                let id = RowId([*number; 24]);
                assert_eq!(self.one.remove(*queue, id).await.unwrap(), self.other.remove(*queue, id).await.unwrap());
            }
            Step::SetAside { number } => {
                let id = RowId([*number; 24]);
                assert_eq!(self.one.set_aside(id).await.unwrap(), self.other.set_aside(id).await.unwrap());
            }
            Step::List { queue, endpoint, reason, since, until, limit } => {
                let time = |secs: &u8| later(u64::from(*secs));
                let query = Query {
                    queue: *queue,
                    endpoint: endpoint.map(|endpoint| ENDPOINTS[endpoint].to_owned()),
                    reason: reason.map(|reason| REASONS[reason]),
                    since: since.as_ref().map(time),
                    until: until.as_ref().map(time),
                    after: None,
                    limit: *limit,
                };
                self.list(&query).await;
            }
            Step::Wait { secs } => self.now = self.now.plus(Duration::from_secs(u64::from(*secs))),
        }
    }

    async fn take(&mut self, endpoint: &str, limit: usize) {
        let take = Take { endpoint, now: self.now, until: self.now.plus(LEASE), limit };
        let one = self.one.take(&take).await.unwrap();
        let other = self.other.take(&take).await.unwrap();
        let rows = |taken: &[Taken]| taken.iter().map(|taken| taken.row.clone()).collect::<Vec<_>>();
        assert_eq!(rows(&one), rows(&other));
        let both = one.iter().zip(&other).map(|(one, other)| (one.row.head.id, one.lease, other.lease));
        self.leases.extend(both);
    }

    /// Every page of a list, so that cursors are followed.
    async fn list(&self, query: &Query) {
        let mut query = query.clone();
        loop {
            let page = self.one.list(&query).await.unwrap();
            assert_eq!(page, self.other.list(&query).await.unwrap(), "{query:?}");
            let Some(next) = page.next else { return };
            query.after = Some(next);
        }
    }
}
