//! `redis:` — any number of gateways over one store: a server, a group that Sentinels watch, or a Cluster.
//!
//! Each operation of the contract is one script (`lua/`), which Redis runs as one step: one round trip, and no gateway sees
//! half of what another does. [`link`] is the way there, for the engine and for the queues' rows alike; [`wire`] says what
//! scripts take and give. How keys are laid out, and why, is in `docs/decisions/0004-redis-layout.md`.
//!
//! **Keys.** All keys of an endpoint begin with one tag, `{wxgate:shop-pay}`, so that they are in one slot of a Cluster.
//! Lists are of the whole gateway and have a tag of their own: a claim reads them by its own script where every key is in
//! reach, and by a second command that is sent together with it in a Cluster.
//!
//! **Durability** is that of Redis: what it had on disk, or on a replica that took over. `docs/replay.md` says what that is.

mod dial;
mod fault;
pub(in crate::store) mod link;
mod order;
pub(in crate::store) mod rows;
pub(in crate::store) mod script;
#[cfg(test)]
pub(in crate::store) mod servers;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use redis::Value;

use super::engine::{Ask, CountAsk, Digest, Lease, PutOrder, Reply, Settlement};
use super::{ListPage, Listed, OpenError, Registered, StoreError};
use crate::clock::{Clock, UnixTime};
use crate::risk::ask::{Counted, ListAsk, MOST_COUNTERS, Order};
use link::Link;
use script::Times;
use wire::Arguments;

pub use settings::{Address, OnOutage, RedisSettings, Tls, Topology};

/// Most values on one list, as the other engines have on all of them.
const MOST_LISTED: usize = 1 << 20;

/// Most orders in one script: it takes Redis about as long as twenty claims.
const ORDERS_AT_A_TIME: usize = 100;

/// The engine.
pub(super) struct RedisEngine {
    link: Link,
    times: Times,
    leases: AtomicU64,
    refused: AtomicU64,
}

impl RedisEngine {
    /// Looks at the settings only: Redis is looked for in the background, and may come later.
    pub(super) fn open(settings: &RedisSettings, clock: &Clock) -> Result<Self, OpenError> {
        let times = match clock {
            Clock::System | Clock::Shifted(_) => Times::Server,
            Clock::Manual(_) => Times::Given,
        };
        let mut first = [0; 8];
        aws_lc_rs::rand::fill(&mut first)
            .map_err(|_| OpenError::Redis { cause: "the system gives no random numbers".to_owned() })?;
        // Names of leases are counted from a place that no other gateway comes near to.
        let leases = AtomicU64::new(u64::from_be_bytes(first));
        Ok(Self { link: Link::open(settings)?, times, leases, refused: AtomicU64::new(0) })
    }

    /// The way to Redis, for the queues' rows.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) async fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed));
        let is_sane = ask.counters.len() <= MOST_COUNTERS;
        let counters = if is_sane { ask.counters } else { &[] };
        let lists: Vec<String> = ask.lists.iter().map(|ask| self.list_key(ask)).collect();
        let lists_here = if self.link.is_cluster() { &[] } else { &lists[..] };
        let arguments = wire::claim(&Ask { counters, ..*ask }, lease, lists_here, self.times);
        let claim = self.run(&wire::CLAIM, ask.endpoint, &arguments);
        let (claimed, listed) = if lists_here.len() == lists.len() {
            (claim.await, Ok(None))
        } else {
            tokio::join!(claim, self.listed(ask, &lists))
        };
        let mut reply = wire::reply(claimed?, lease, counters.len())?;
        if let Reply::Claimed { answers, .. } = &mut reply {
            if !is_sane {
                answers.counters = vec![None; ask.counters.len()];
            }
            self.count_refused(&answers.counters);
            match listed {
                Ok(Some(lists)) => answers.lists = lists,
                Ok(None) => {}
                Err(error) => {
                    // It is claimed for nobody now: the next try need not wait for the lease to run out.
                    self.release(ask, lease);
                    return Err(error);
                }
            }
        }
        Ok(reply)
    }

    /// Whether values are on lists, asked apart.
    async fn listed(&self, ask: &Ask<'_>, keys: &[String]) -> Result<Option<Vec<bool>>, StoreError> {
        let mut arguments = Arguments::at(self.times, ask.now);
        for (key, list) in keys.iter().zip(ask.lists) {
            arguments.push(key);
            arguments.push(&list.value);
        }
        wire::listed(self.run_on(&wire::LISTED, &self.lists_tag(), &arguments).await?).map(Some)
    }

    pub(super) async fn count(&self, ask: &CountAsk<'_>) -> Result<Vec<Option<Counted>>, StoreError> {
        let counted = if ask.counters.len() > MOST_COUNTERS {
            vec![None; ask.counters.len()]
        } else {
            let value = self.run(&wire::COUNT, ask.endpoint, &wire::count(ask, self.times)).await?;
            let values = value.into_sequence().map_err(|_| wire::strange())?;
            wire::counted(values.into_iter(), ask.counters.len())?
        };
        self.count_refused(&counted);
        Ok(counted)
    }

    fn count_refused(&self, counted: &[Option<Counted>]) {
        let refused = counted.iter().filter(|counted| counted.is_none()).count();
        self.refused.fetch_add(u64::try_from(refused).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn counters_refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) async fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        self.run(&wire::SETTLE, settlement.endpoint, &wire::settle(settlement, self.times)).await.map(drop)
    }

    /// Ends a claim in the background, if there is a runtime to do it on.
    pub(super) fn abandon(&self, settlement: &Settlement<'_>) {
        let (link, tag) = (self.link.clone(), self.link.tag(settlement.endpoint));
        let arguments = wire::settle(settlement, self.times);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What is lost is no harm: the lease runs out.
            runtime.spawn(async move { link.run(&wire::SETTLE, &[tag.as_bytes()], &arguments.parts()).await.is_ok() });
        }
    }

    fn release(&self, ask: &Ask<'_>, lease: Lease) {
        let &Ask { endpoint, event, content, retention, now, .. } = ask;
        let end = super::engine::End::Released;
        self.abandon(&Settlement { endpoint, event, content, lease, end, retention, now });
    }

    pub(super) async fn put_orders(
        &self,
        endpoint: &str,
        orders: &[PutOrder],
        now: UnixTime,
    ) -> Result<Vec<Registered>, StoreError> {
        let mut registered = Vec::with_capacity(orders.len());
        for orders in orders.chunks(ORDERS_AT_A_TIME) {
            let arguments = wire::put_orders(orders, now, self.times);
            let told = self.run(&wire::PUT_ORDERS, endpoint, &arguments).await?;
            for value in told.into_sequence().map_err(|_| wire::strange())? {
                registered.push(match value {
                    Value::Int(0) => Registered::New,
                    Value::Int(1) => Registered::Unchanged,
                    Value::Int(2) => Registered::Replaced,
                    _ => return Err(wire::strange()),
                });
            }
        }
        Ok(registered)
    }

    pub(super) async fn order(
        &self,
        endpoint: &str,
        order: Digest,
        now: UnixTime,
    ) -> Result<Option<Order>, StoreError> {
        let mut arguments = Arguments::at(self.times, now);
        arguments.push(order);
        wire::order(self.run(&wire::ORDER, endpoint, &arguments).await?)
    }

    pub(super) async fn list_add(&self, entry: &ListAsk, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let mut arguments = self.entry(entry, now);
        arguments.push(wire::secs_up(until).to_string());
        arguments.push(MOST_LISTED.to_string());
        match self.run_on(&wire::LIST_ADD, &self.lists_tag(), &arguments).await? {
            Value::Int(0) => Ok(false),
            Value::Int(1) => Ok(true),
            Value::Int(-1) => Err(StoreError::ListsFull { most: MOST_LISTED }),
            _ => Err(wire::strange()),
        }
    }

    pub(super) async fn list_remove(&self, entry: &ListAsk, now: UnixTime) -> Result<bool, StoreError> {
        let arguments = self.entry(entry, now);
        let removed = self.run_on(&wire::LIST_REMOVE, &self.lists_tag(), &arguments).await?;
        wire::number(removed).map(|removed| removed == 1).ok_or_else(wire::strange)
    }

    pub(super) async fn list_show(
        &self,
        list: &str,
        after: Option<&str>,
        most: usize,
        now: UnixTime,
    ) -> Result<ListPage, StoreError> {
        let mut arguments = Arguments::at(self.times, now);
        arguments.push(list);
        arguments.push(after.map_or_else(|| "-".to_owned(), |after| format!("({after}")));
        arguments.push(most.saturating_add(1).to_string());
        let shown = self.run_on(&wire::LIST_SHOW, &self.lists_tag(), &arguments).await?;
        let mut shown = shown.into_sequence().map_err(|_| wire::strange())?.into_iter();
        let mut values = Vec::new();
        while let (Some(value), Some(until)) = (shown.next(), shown.next()) {
            let (value, until) = wire::text(value).zip(wire::number(until)).ok_or_else(wire::strange)?;
            values.push(Listed { value, until: UnixTime::from_secs(until) });
        }
        let has_more = values.len() > most;
        values.truncate(most);
        Ok(ListPage { values, has_more })
    }

    fn entry(&self, entry: &ListAsk, now: UnixTime) -> Arguments {
        let mut arguments = Arguments::at(self.times, now);
        arguments.push(&entry.list);
        arguments.push(&entry.value);
        arguments
    }

    /// Whether a claim would be taken now.
    pub(super) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    pub(super) fn close(&self) {
        self.link.close();
    }

    fn lists_tag(&self) -> String {
        self.link.tag("*") // no endpoint has such a name
    }

    /// Of the set that says until when a value is on the list.
    fn list_key(&self, ask: &ListAsk) -> String {
        format!("{}u{}", self.lists_tag(), ask.list)
    }

    async fn run(&self, script: &script::Script, endpoint: &str, arguments: &Arguments) -> Result<Value, StoreError> {
        self.run_on(script, &self.link.tag(endpoint), arguments).await
    }

    async fn run_on(&self, script: &script::Script, tag: &str, arguments: &Arguments) -> Result<Value, StoreError> {
        self.link.run(script, &[tag.as_bytes()], &arguments.parts()).await
    }
}
