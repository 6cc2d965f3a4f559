//! Rate limits and bans of one endpoint, with bounded memory.
//!
//! Three limits, in the order in which a callback meets them (docs/decisions/0002-limits.md says why):
//! a **ban** shuts an address out before anything of its request is looked at; **`per_ip`** bounds what one address may
//! ask; **`total`** bounds what the endpoint delivers, and is counted after verification, so that forged traffic cannot
//! use up what authentic traffic needs. A ban begins when an address overspends **`failures_per_ip`**.
//!
//! The arithmetic is GCRA, by the `governor` crate; what is ours is where its state lives: in a `Bounded` map, so that
//! no number of addresses makes the gateway grow.

mod bounded;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use ipnet::IpNet;

use bounded::{Bounded, Source};

/// How long an address counts as proven after an authentic callback came from it. WeChat's retries of one event are up to
/// six hours apart, but a gateway that is in use hears from it far more often.
const PROVEN_FOR: Duration = Duration::from_hours(1);

/// Longer periods are as good as this one, and nanoseconds of it fit into 64 bits many times over.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

/// Events per period, as in `"50/s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: NonZeroU32,
    /// In how long.
    pub per: Duration,
}

/// `[endpoint.NAME] limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Requests of one address.
    pub per_ip: Option<Rate>,
    /// Authentic requests of the endpoint.
    pub total: Option<Rate>,
    /// Refused requests of one address before it is banned.
    pub failures_per_ip: Option<Rate>,
    /// How long a ban lasts.
    pub ban: Duration,
    /// Addresses that are never banned, and that `per_ip` does not count.
    pub exempt: Vec<IpNet>,
}

/// A ban that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who: an IPv4 address, or a network of IPv6.
    pub network: IpNet,
    /// For how long still.
    pub left: Duration,
}

/// Over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// A rate limit.
    #[error("over the rate limit `{}`", limit.name())]
    Rate {
        /// Which one.
        limit: Limit,
        /// After how long the next request would pass.
        retry_after: Duration,
    },
    /// A ban.
    #[error("the address is banned: it spent `failures_per_ip`")]
    Banned {
        /// What is left of the ban.
        retry_after: Duration,
    },
}

impl Limited {
    /// `Retry-After`, in whole seconds, at least 1.
    pub fn retry_after(&self) -> u32 {
        let (Self::Rate { retry_after, .. } | Self::Banned { retry_after }) = self;
        let up = u64::from(retry_after.subsec_nanos() > 0);
        u32::try_from(retry_after.as_secs().saturating_add(up)).unwrap_or(u32::MAX).max(1)
    }
}

/// The limits by name, as in the label of `wxgate_rate_limited_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `per_ip`
    PerIp,
    /// `total`
    Total,
    /// `failures_per_ip`
    FailuresPerIp,
}

impl Limit {
    /// The name in configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerIp => "per_ip",
            Self::Total => "total",
            Self::FailuresPerIp => "failures_per_ip",
        }
    }
}

type ByAddress<C> = RateLimiter<Source, Bounded, C, NoOpMiddleware<<C as Clock>::Instant>>;
type OfEndpoint<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// The limits of one endpoint at work. The clock is monotonic: setting the machine's time neither lifts nor extends a
/// ban.
pub struct Limits<C: Clock = MonotonicClock> {
    settings: Settings,
    per_ip: Option<Arc<ByAddress<C>>>,
    total: Option<Arc<OfEndpoint<C>>>,
    failures: Option<Arc<ByAddress<C>>>,
    /// What `failures` counts by.
    spent: Bounded,
    /// Until when an address is banned.
    bans: Bounded,
    /// Until when an address counts as one that authentic callbacks come from.
    proven: Bounded,
    clock: C,
    start: C::Instant,
}

impl Limits {
    /// From settings. `before` are the endpoint's limits until now: each that is as it was goes on counting where it is, and
    /// who is banned stays so while there is a budget of failures.
    pub fn new(settings: &Settings, before: Option<&Self>) -> Self {
        Self::with_clock(settings, before, MonotonicClock)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: &Settings, before: Option<&Self>, clock: C) -> Self {
        let same = |of: fn(&Settings) -> Option<Rate>| before.filter(|before| of(&before.settings) == of(settings));
        let by_address = |rate, state| Arc::new(RateLimiter::new(quota(rate), state, clock.clone()));
        let of_endpoint = |rate| Arc::new(RateLimiter::new(quota(rate), InMemoryState::default(), clock.clone()));
        let per_ip = match same(|settings| settings.per_ip) {
            Some(before) => before.per_ip.clone(),
            None => settings.per_ip.map(|rate| by_address(rate, Bounded::default())),
        };
        let total = match same(|settings| settings.total) {
            Some(before) => before.total.clone(),
            None => settings.total.map(of_endpoint),
        };
        let (failures, spent) = if let Some(before) = same(|settings| settings.failures_per_ip) {
            (before.failures.clone(), before.spent.clone())
        } else {
            let spent = Bounded::default();
            (settings.failures_per_ip.map(|rate| by_address(rate, spent.clone())), spent)
        };
        let (bans, proven) = match before {
            Some(before) if failures.is_some() => (before.bans.clone(), before.proven.clone()),
            _ => (Bounded::default(), Bounded::default()),
        };
        let start = before.map_or_else(|| clock.now(), |before| before.start);
        Self { settings: settings.clone(), per_ip, total, failures, spent, bans, proven, clock, start }
    }

    /// Before anything else is done for a request.
    pub fn admit(&self, client: IpAddr) -> Result<(), Limited> {
        if self.is_exempt(client) {
            return Ok(());
        }
        let source = Source::of(client);
        if let Some(retry_after) = self.banned_for(source) {
            return Err(Limited::Banned { retry_after });
        }
        let Some(per_ip) = &self.per_ip else { return Ok(()) };
        per_ip.check_key(&source).map_err(|until| self.over(Limit::PerIp, &until))
    }

    /// After verification: counts an authentic request.
    pub fn authentic(&self, client: IpAddr) -> Result<(), Limited> {
        if self.failures.is_some() {
            self.proven.set(Source::of(client), self.elapsed().saturating_add(nanos(PROVEN_FOR)));
        }
        let Some(total) = &self.total else { return Ok(()) };
        total.check().map_err(|until| self.over(Limit::Total, &until))
    }

    /// After a refusal that speaks of a forger; may ban the address.
    ///
    /// An address that authentic callbacks come from is not banned: it is a proxy or a load balancer that wxgate was not
    /// told to trust, and a ban of it would let any forger behind it shut WeChat out.
    pub fn failed(&self, client: IpAddr) {
        let Some(failures) = &self.failures else { return };
        let source = Source::of(client);
        if self.is_exempt(client) || failures.check_key(&source).is_ok() || self.settings.ban.is_zero() {
            return;
        }
        let now = self.elapsed();
        if self.proven.get(source).is_some_and(|until| until > now) {
            tracing::debug!(%client, "not banned, since authentic callbacks come from it too: is it a proxy (server.trusted_proxies)?");
            return;
        }
        self.bans.set(source, now.saturating_add(nanos(self.settings.ban)));
        tracing::info!(%client, for_seconds = self.settings.ban.as_secs(), "address banned: it spent `failures_per_ip`");
    }

    /// Addresses banned now. Forgets the bans that are over; linear in the bans, so for a scrape, not for a callback.
    pub fn bans_active(&self) -> usize {
        let now = self.elapsed();
        self.bans.retain(|until| until > now);
        self.bans.len()
    }

    /// Everybody who is banned now, the longest first. For a person: it walks over all bans.
    pub fn bans(&self) -> Vec<Ban> {
        let now = self.elapsed();
        let ban = |(source, until): (Source, u64)| {
            let left = Duration::from_nanos(until.saturating_sub(now));
            (!left.is_zero()).then(|| Ban { network: source.network(), left })
        };
        let mut bans: Vec<Ban> = self.bans.entries().into_iter().filter_map(ban).collect();
        bans.sort_unstable_by_key(|ban| (std::cmp::Reverse(ban.left), ban.network));
        bans
    }

    /// Lifts the ban of an address and forgives its failures: else the next one would ban it again. Tells whether it was
    /// banned.
    pub fn lift(&self, client: IpAddr) -> bool {
        let source = Source::of(client);
        let was_banned = self.banned_for(source).is_some();
        self.bans.remove(source);
        self.spent.remove(source);
        was_banned
    }

    fn is_exempt(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.settings.exempt.iter().any(|range| range.contains(&client))
    }

    /// What is left of the ban of an address. Costs one atomic load while nobody is banned.
    fn banned_for(&self, source: Source) -> Option<Duration> {
        if self.bans.is_empty() {
            return None;
        }
        let left = self.bans.get(source)?.saturating_sub(self.elapsed());
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn over(&self, limit: Limit, until: &NotUntil<C::Instant>) -> Limited {
        Limited::Rate { limit, retry_after: until.wait_time_from(self.clock.now()) }
    }

    /// Nanoseconds since these limits began: their own time, which the maps hold.
    fn elapsed(&self) -> u64 {
        self.clock.now().duration_since(self.start).as_u64()
    }
}

/// A burst of `count` is free, then one request every `per / count`.
fn quota(rate: Rate) -> Quota {
    let every = rate.per.min(LONGEST).checked_div(rate.count.get()).unwrap_or_default().max(Duration::from_nanos(1));
    Quota::with_period(every).expect("at least a nanosecond").allow_burst(rate.count)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
