//! The queues in Redis: rows that any number of gateways share. Each operation is one script, so one round trip and one
//! atomic change; what the scripts do is what `queue/table.rs` does in memory, and the same suite holds both to it.
//!
//! # Keys
//!
//! All begin with `{PREFIX:@queues}`, which is a hash tag: in a Cluster they lie in one slot, on one node. No endpoint can
//! have a name with `@`.
//!
//! | key | what it is |
//! |---|---|
//! | the tag itself | counts turns: the order of putting |
//! | `:row:ID` | a hash, the row: `queue endpoint reason place entered next attempts sealed change`, `lease` while it has one, `aside` while it is kept aside |
//! | `:list:QUEUE`, `:list:QUEUE:ENDPOINT` | ids by time of entry, for lists and depths |
//! | `:lists` | which lists of endpoints there are, as `QUEUE:ENDPOINT` |
//! | `:lanes:ENDPOINT` | pending rows by lane, time of receipt and turn |
//! | `:due:ENDPOINT` | lanes of which none is leased, by when their first row is due |
//! | `:leases:ENDPOINT` | lane and id of what is leased, by the end of the lease |
//! | `:taken:ENDPOINT` | lane → id of what is leased |
//! | `:aside` | ids of rows that did not open, by turn |
//! | `:gone:ID` | for 10 s: who put and who removed a row, for requests that are sent again |
//!
//! One tag and not one for each endpoint, because an id is unique over all queues, a list runs over all endpoints, a
//! queue's bound is one number, and a row is found by its id alone: over several slots each of these would be several
//! steps that a crash can come between. The price is that all queues share one core of one Redis, however many nodes the
//! Cluster has: docs/decisions/0005-queues-in-one-slot.md.
//!
//! # What differs from the other engines
//!
//! - **No row expires**, unlike all else that the gateway keeps in Redis: a row is money that waits, possibly for a person
//!   on holiday. [`MOST_ROWS`] bounds what they take. A Redis that evicts keys without an expiry is refused ([`eviction`]).
//! - **Leases are by Redis's clock.** The clocks of nodes differ, and a lease that a fast clock ends early is a payment
//!   delivered twice at the same time. All other times are the caller's.
//! - **Nothing beside the sealed bytes is believed** in what could give a row to somebody: queue and endpoint of a row that is
//!   taken are those that were asked for, so what was moved to another place by hand does not open.
//! - Rows that did not open are tried once more after the start of any node, which may have the key that was missing.

mod eviction;
mod owed;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_lc_rs::rand;
use bytes::Bytes;
use redis::Value;

use super::link::Link;
use super::script::{Script, Times};
use crate::clock::{Clock, UnixTime};
use crate::store::queue::{Depth, MOST_LISTED, MOST_ROWS, Page, Query, Queue, RowId, RowLease, Stored, Take, Taken};
use crate::store::{OpenError, StoreError};
use eviction::Eviction;
use owed::Owed;

/// What all keys share: no endpoint's name.
const TAG: &str = "@queues";

/// Most rows that one page looks at: Redis serves nobody else meanwhile, so fewer than of an engine in this process.
const MOST_SCANNED: usize = 1_000;

/// Most sealed bytes that one take carries; more stay due.
const MOST_TAKEN: usize = 4 * 1024 * 1024;

/// Rows that one script recalls.
const RECALLED_AT_ONCE: usize = 500;

macro_rules! script {
    ($name:literal: $($file:literal)+) => {
        Script::new($name, concat!($(include_str!($file), "\n"),+))
    };
}
use script;

static PUT: Script = script!("queue-put": "indexes.lua" "put.lua");
static REPLACE: Script = script!("queue-replace": "indexes.lua" "replace.lua");
static GET: Script = script!("queue-get": "indexes.lua" "get.lua");
static LIST: Script = script!("queue-list": "indexes.lua" "list.lua");
static TAKE: Script = script!("queue-take": "../lua/clock.lua" "indexes.lua" "take.lua");
static POSTPONE: Script = script!("queue-postpone": "indexes.lua" "postpone.lua");
static REMOVE: Script = script!("queue-remove": "indexes.lua" "remove.lua");
static SET_ASIDE: Script = script!("queue-set-aside": "indexes.lua" "set_aside.lua");
static RECALL: Script = script!("queue-recall": "indexes.lua" "recall.lua");
static DEPTHS: Script = script!("queue-depths": "indexes.lua" "depths.lua");

/// The rows of a `redis:` store.
pub(in crate::store) struct RedisRows {
    link: Link,
    tag: String,
    times: Times,
    eviction: Eviction,
    owed: Arc<Owed>,
    /// Names of leases and changes.
    next_name: AtomicU64,
    is_recalled: AtomicBool,
    is_closed: AtomicBool,
}

impl RedisRows {
    /// The rows behind a link. Nothing is asked of Redis yet.
    pub(in crate::store) fn open(link: Link, clock: &Clock) -> Result<Self, OpenError> {
        // What nodes name is named differently by each: it counts on from a number that it draws, which leaves room to count
        // in the 53 bits of Lua's numbers.
        let mut first = [0; 8];
        let drawn = rand::fill(&mut first);
        drawn.map_err(|_| OpenError::Redis { cause: "the system gives no random numbers".to_owned() })?;
        Ok(Self {
            tag: link.tag(TAG),
            link,
            times: if matches!(clock, Clock::Manual(_)) { Times::Given } else { Times::Server },
            eviction: Eviction::default(),
            owed: Arc::default(),
            next_name: AtomicU64::new(u64::from_le_bytes(first) >> 12),
            is_recalled: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        })
    }

    pub(in crate::store) async fn put(&self, row: Stored) -> Result<bool, StoreError> {
        self.check_open()?;
        self.eviction.check(&self.link, &self.tag).await?;
        let queue = row.head.queue;
        let mut args = vec![self.name(), text(MOST_ROWS)];
        args.extend(told::args(row));
        told::kept(&self.run(&PUT, &args).await?, queue)
    }

    pub(in crate::store) async fn replace(
        &self,
        from: Queue,
        lease: Option<RowLease>,
        row: Stored,
    ) -> Result<bool, StoreError> {
        let queue = row.head.queue;
        let lease = lease.map(|RowLease(lease)| text(lease)).unwrap_or_default();
        let mut args = vec![self.name(), text(MOST_ROWS), text(from.name()), lease];
        args.extend(told::args(row));
        told::kept(&self.run(&REPLACE, &args).await?, queue)
    }

    pub(in crate::store) async fn get(&self, queue: Queue, id: RowId) -> Result<Option<Stored>, StoreError> {
        told::found(queue, id, &self.run(&GET, &[text(id), text(queue.name())]).await?)
    }

    pub(in crate::store) async fn list(&self, query: &Query) -> Result<Page, StoreError> {
        let time = |time: Option<UnixTime>| time.map(|time| text(time.millis())).unwrap_or_default();
        let args = [
            text(query.queue.name()),
            query.endpoint.as_ref().map(text).unwrap_or_default(),
            query.reason.map(|reason| text(reason.code())).unwrap_or_default(),
            time(query.since),
            time(query.until),
            time(query.after.map(|after| after.entered_at)),
            query.after.map(|after| text(after.id)).unwrap_or_default(),
            text(query.limit.min(MOST_LISTED)),
            text(MOST_SCANNED),
        ];
        told::page(query.queue, &self.run(&LIST, &args).await?)
    }

    pub(in crate::store) async fn take(&self, take: &Take<'_>) -> Result<Vec<Taken>, StoreError> {
        self.check_open()?;
        // What waits is delivered in any case; whether more may be put is known, and logged, soon after the start by this.
        drop(self.eviction.check(&self.link, &self.tag).await);
        if !self.owed.is_empty() {
            self.owed.pay(&self.link, &self.tag).await?; // or this node would take what it has delivered
        }
        self.recall().await?;
        let count = u64::try_from(take.limit).unwrap_or(u64::MAX);
        let first_lease = self.next_name.fetch_add(count, Ordering::Relaxed);
        let args = [
            text(self.times.argument(take.now)),
            text(take.endpoint),
            text(take.now.millis()),
            text(take.until.since(take.now).as_millis()),
            text(take.limit),
            text(first_lease),
            text(MOST_TAKEN),
        ];
        told::taken(take.endpoint, &self.run(&TAKE, &args).await?)
    }

    pub(in crate::store) async fn postpone(
        &self,
        id: RowId,
        RowLease(lease): RowLease,
        attempts: u32,
        next_at: UnixTime,
    ) -> Result<(), StoreError> {
        let args = [text(id), text(lease), text(attempts), text(next_at.millis())];
        self.run(&POSTPONE, &args).await.map(drop)
    }

    pub(in crate::store) async fn remove(&self, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        self.remove_as(self.name(), queue, id).await
    }

    pub(in crate::store) async fn delivered(&self, id: RowId) -> Result<bool, StoreError> {
        let change = self.name();
        let removed = self.remove_as(change.clone(), Queue::Pending, id).await;
        if removed.as_ref().is_err_and(owed::may_pass) {
            self.owed.owe(&self.link, &self.tag, id, change);
        }
        removed
    }

    async fn remove_as(&self, change: Bytes, queue: Queue, id: RowId) -> Result<bool, StoreError> {
        told::was_done(&self.run(&REMOVE, &[change, text(id), text(queue.name())]).await?)
    }

    pub(in crate::store) async fn set_aside(&self, id: RowId) -> Result<bool, StoreError> {
        told::was_done(&self.run(&SET_ASIDE, &[self.name(), text(id)]).await?)
    }

    pub(in crate::store) async fn depths(&self) -> Result<Vec<Depth>, StoreError> {
        told::depths(&self.run(&DEPTHS, &[]).await?)
    }

    /// Whether Redis answers is its engine's to say, by the policy for outages.
    pub(in crate::store) fn is_up(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire) && !self.eviction.is_feared()
    }

    /// Nothing waits to be written out. The link is its engine's to close.
    pub(in crate::store) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Once in the life of a node: gives what was set aside before another try.
    async fn recall(&self) -> Result<(), StoreError> {
        let mut until_turn = Bytes::new();
        while !self.is_recalled.load(Ordering::Acquire) {
            let answer = self.run(&RECALL, &[until_turn, text(RECALLED_AT_ONCE)]).await?;
            let (turn, recalled) = told::recalled(&answer)?;
            until_turn = text(turn);
            if recalled < RECALLED_AT_ONCE {
                self.is_recalled.store(true, Ordering::Release);
            }
        }
        Ok(())
    }

    async fn run(&self, script: &Script, args: &[Bytes]) -> Result<Value, StoreError> {
        self.check_open()?;
        let args: Vec<&[u8]> = args.iter().map(|arg| &arg[..]).collect();
        self.link.run(script, &[self.tag.as_bytes()], &args).await
    }

    /// A fresh name for a change.
    fn name(&self) -> Bytes {
        text(self.next_name.fetch_add(1, Ordering::Relaxed))
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and names, made where it is called")]
fn text(value: impl ToString) -> Bytes {
    value.to_string().into()
}
