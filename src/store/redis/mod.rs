//! `redis:` — any number of gateways over one store: a server, a group that Sentinels watch, or a Cluster.
//!
//! Each operation of the contract is one script (`lua/`), which Redis runs as one step: one round trip, and no gateway sees
//! half of what another does. `link` is the way there, for the engine and for the queues' rows alike; `wire` says what
//! scripts take and give. How keys are laid out, and why, is in `docs/decisions/0004-redis-layout.md`.
//!
//! **Keys.** All keys of an endpoint begin with one tag, `{wxgate:shop-pay}`, so that they are in one slot of a Cluster.
//! Lists are of the whole gateway and have a tag of their own: a claim reads them by its own script where every key is in
//! reach, and by a second command that is sent together with it in a Cluster.
//!
//! **Durability** is that of Redis: what it had on disk, or on a replica that took over. `docs/replay.md` says what that is.

mod advice;
mod dial;
mod fault;
pub(in crate::store) mod link;
mod order;
mod outage;
pub(in crate::store) mod rows;
pub(in crate::store) mod script;
#[cfg(test)]
pub(in crate::store) mod servers;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::engine::{Ask, CountAsk, Digest, End, Lease, PutOrder, Reply, Settlement};
use super::{ListPage, Listed, OpenError, Registered, StoreError};
use crate::clock::{Clock, UnixTime};
use crate::risk::ask::{Counted, ListAsk, MOST_COUNTERS, Order};
use link::Link;
use outage::{Local, Untold};
use script::Times;
use wire::Arguments;

pub use settings::{Address, OnOutage, RedisSettings, Tls, Topology};

/// Most values on one list, as the other engines have on all of them.
const MOST_LISTED: usize = 1 << 20;

/// Most orders in one script: it takes Redis about as long as twenty claims.
const ORDERS_AT_A_TIME: usize = 100;

/// Ends of events that are told at a time, after an outage.
const TOLD_AT_A_TIME: usize = 128;

/// The pause after Redis did not take an end.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// How long to wait for ends that somebody else is telling.
const ON_THEIR_WAY: Duration = Duration::from_millis(1);

/// Leases that Redis gave have this bit, those of an outage have not.
const OF_REDIS: u64 = 1 << 63;

/// The engine.
pub(super) struct RedisEngine {
    link: Link,
    times: Times,
    leases: AtomicU64,
    refused: AtomicU64,
    untold: Arc<Untold>,
    /// With `on_outage = "local"`.
    local: Option<Local>,
}

impl RedisEngine {
    /// Looks at the settings only: Redis is looked for in the background, and may come later.
    pub(super) fn open(settings: &RedisSettings, clock: &Clock) -> Result<Self, OpenError> {
        let times = if matches!(clock, Clock::Manual(_)) { Times::Given } else { Times::Server };
        let mut first = [0; 8];
        aws_lc_rs::rand::fill(&mut first)
            .map_err(|_| OpenError::Redis { cause: "the system gives no random numbers".to_owned() })?;
        // Names of leases are counted from a place that no other gateway comes near to.
        let leases = AtomicU64::new(u64::from_be_bytes(first));
        let local = match settings.on_outage {
            OnOutage::Refuse => None,
            OnOutage::Local => Some(Local::new(clock.now())),
        };
        let (refused, untold) = (AtomicU64::new(0), Arc::default());
        let link = Link::open(settings)?;
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(advice::give(link.clone()));
        }
        Ok(Self { link, times, leases, refused, untold, local })
    }

    /// The way to Redis, for the queues' rows.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) async fn claim(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        let reply = match self.tell().await {
            Ok(()) => self.claim_there(ask).await,
            Err(error) => Err(error),
        };
        match (reply, &self.local) {
            (Ok(reply), Some(local)) => {
                local.learn(ask, &reply);
                Ok(reply)
            }
            (Err(error), Some(local)) if error.is_outage() => local.claim(ask, error),
            (reply, _) => reply,
        }
    }

    async fn claim_there(&self, ask: &Ask<'_>) -> Result<Reply, StoreError> {
        let lease = Lease(self.leases.fetch_add(1, Ordering::Relaxed) | OF_REDIS);
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
                    let &Ask { endpoint, event, content, retention, now, .. } = ask;
                    let end = End::Released;
                    self.abandon(&Settlement { endpoint, event, content, lease, end, retention, now });
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
            Ok(vec![None; ask.counters.len()])
        } else {
            let counted = self.run(&wire::COUNT, ask.endpoint, &wire::count(ask, self.times)).await;
            counted.and_then(|value| {
                let values = value.into_sequence().map_err(|_| wire::strange())?;
                wire::counted(values.into_iter(), ask.counters.len())
            })
        };
        match (counted, &self.local) {
            (Ok(counted), _) => {
                self.count_refused(&counted);
                Ok(counted)
            }
            // None is a counter that could not be had: the verdict says so.
            (Err(error), Some(_)) if error.is_outage() => Ok(vec![None; ask.counters.len()]),
            (Err(error), _) => Err(error),
        }
    }

    fn count_refused(&self, counted: &[Option<Counted>]) {
        let refused = counted.iter().filter(|counted| counted.is_none()).count();
        self.refused.fetch_add(u64::try_from(refused).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn counters_refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) async fn settle(&self, settlement: &Settlement<'_>) -> Result<(), StoreError> {
        if let Some(local) = &self.local {
            local.settle(settlement);
        }
        let is_of_redis = settlement.lease.0 & OF_REDIS != 0;
        if !is_of_redis && settlement.end == End::Released {
            return Ok(());
        }
        let arguments = wire::settle(settlement, self.times);
        let told = self.run(&wire::SETTLE, settlement.endpoint, &arguments).await.map(drop);
        match told {
            Err(error) if error.is_outage() => {
                if settlement.end == End::Done {
                    self.untold.push(self.link.tag(settlement.endpoint), arguments);
                    self.tell_later();
                }
                if self.local.is_some() { Ok(()) } else { Err(error) }
            }
            told => told,
        }
    }

    /// Tells the store of ends that it has missed, if there are any. An error: it is out again, or still.
    async fn tell(&self) -> Result<(), StoreError> {
        if self.untold.is_empty() {
            return Ok(());
        }
        let within = self.link.timeout();
        let tell = async {
            while !self.untold.is_empty() {
                tell_some(&self.link, &self.untold).await?;
            }
            Ok(())
        };
        timeout(within, tell).await.unwrap_or(Err(StoreError::Late { within }))
    }

    /// As [`RedisEngine::tell`], when the store is back, whether this node claims anything then or not.
    fn tell_later(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.untold.is_telling.swap(true, Ordering::AcqRel) {
            return;
        }
        let (link, untold) = (self.link.clone(), Arc::clone(&self.untold));
        runtime.spawn(async move {
            loop {
                while !untold.is_empty() {
                    if link.until_up().await.is_err() {
                        return; // closed: nobody tells any more
                    }
                    if tell_some(&link, &untold).await.is_err() {
                        sleep(TELL_AGAIN).await; // up, and yet it does not take it: a slot moves, for one
                    }
                }
                untold.is_telling.store(false, Ordering::Release);
                // What was pushed in between found somebody telling, and does not tell it itself.
                if untold.is_empty() || untold.is_telling.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }

    /// Ends a claim in the background, if there is a runtime to do it on.
    pub(super) fn abandon(&self, settlement: &Settlement<'_>) {
        if let Some(local) = &self.local {
            local.settle(settlement);
        }
        let (link, tag) = (self.link.clone(), self.link.tag(settlement.endpoint));
        let arguments = wire::settle(settlement, self.times);
        if let Ok(runtime) = Handle::try_current() {
            // What is lost is no harm: the lease runs out.
            runtime.spawn(async move { link.run(&wire::SETTLE, &[tag.as_bytes()], &arguments.parts()).await.is_ok() });
        }
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
            for told in told.into_sequence().map_err(|_| wire::strange())? {
                registered.push(match wire::number(&told) {
                    Some(0) => Registered::New,
                    Some(1) => Registered::Unchanged,
                    Some(2) => Registered::Replaced,
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
        match wire::number(&self.run_on(&wire::LIST_ADD, &self.lists_tag(), &arguments).await?) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            Some(-1) => Err(StoreError::ListsFull { most: MOST_LISTED }),
            _ => Err(wire::strange()),
        }
    }

    pub(super) async fn list_remove(&self, entry: &ListAsk, now: UnixTime) -> Result<bool, StoreError> {
        let arguments = self.entry(entry, now);
        let removed = self.run_on(&wire::LIST_REMOVE, &self.lists_tag(), &arguments).await?;
        wire::number(&removed).map(|removed| removed == 1).ok_or_else(wire::strange)
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
            let (value, until) = wire::text(value).zip(wire::number(&until)).ok_or_else(wire::strange)?;
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
        self.link.is_up() || (self.local.is_some() && !self.link.is_closed())
    }

    /// Whether Redis answers.
    pub(super) fn is_whole(&self) -> bool {
        self.link.is_up()
    }

    /// How often requests failed: what was asked, the kind of the failure, and how often.
    pub(super) fn failures(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.link.failures()
    }

    /// How many claims this node answered alone.
    pub(super) fn answered_locally(&self) -> u64 {
        self.local.as_ref().map_or(0, Local::answered)
    }

    /// Tells what can still be told; everything fails from here on.
    pub(super) async fn close(&self) {
        if self.link.is_up() && self.tell().await.is_err() {
            tracing::warn!("ends of events could not be told to the store: they may be delivered once more");
        }
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

/// Tells the store of some ends, all at once. What it does not hear of waits on, also if nobody waits for this any more.
async fn tell_some(link: &Link, untold: &Arc<Untold>) -> Result<(), StoreError> {
    let mut telling = JoinSet::new();
    for on_its_way in untold.take(TOLD_AT_A_TIME) {
        let link = link.clone();
        telling.spawn(async move {
            let Some((tag, end)) = on_its_way.end() else { return Ok(()) };
            match link.run(&wire::SETTLE, &[tag.as_bytes()], &end.parts()).await {
                Err(error) if error.is_outage() || matches!(error, StoreError::Busy) => Err(error),
                Ok(_) | Err(_) => {
                    on_its_way.arrived(); // what is refused would be refused again
                    Ok(())
                }
            }
        });
    }
    if telling.is_empty() {
        sleep(ON_THEIR_WAY).await;
    }
    let mut outcome = Ok(());
    while let Some(told) = telling.join_next().await {
        outcome = outcome.and(told.unwrap_or(Err(StoreError::Closed)));
    }
    outcome
}
