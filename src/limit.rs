//! Rate limits and bans of one endpoint, with bounded memory.
//!
//! An address is limited before anything else is done for it; the endpoint as a whole only by what is authentic, so that
//! a stranger cannot use up what WeChat needs. Counts are this node's own and are forgotten on a restart.
//!
//! An IPv6 caller is known by his /64: he has 2^64 addresses in it for nothing.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

/// Addresses that one limit remembers after a sweep.
const MAX_ADDRESSES: usize = 32_768;
/// Calls between two sweeps: each can add one address, so a limit never holds more than both together.
const SWEEP_EVERY: usize = 8192;
/// Addresses that are banned at once; the ban that ends first makes room.
const MAX_BANS: usize = 16_384;

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
    /// Requests of the endpoint.
    pub total: Option<Rate>,
    /// Refused requests of one address before it is banned.
    pub failures_per_ip: Option<Rate>,
    /// How long a ban lasts.
    pub ban: Duration,
}

/// Over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// A rate limit.
    #[error("over the rate limit `{}`", limit.name())]
    Rate {
        /// Which one.
        limit: Limit,
    },
    /// A ban.
    #[error("the address is banned: it spent `failures_per_ip`")]
    Banned,
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

/// The limits of one endpoint at work.
pub struct Limits {
    per_ip: Option<ByAddress>,
    total: Option<DefaultDirectRateLimiter>,
    failures: Option<ByAddress>,
    bans: Bans,
}

impl Limits {
    /// From settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            per_ip: settings.per_ip.map(|rate| ByAddress::new(quota(rate))),
            total: settings.total.map(|rate| RateLimiter::direct(quota(rate))),
            failures: settings.failures_per_ip.map(|rate| ByAddress::new(quota(rate))),
            bans: Bans::new(settings.ban),
        }
    }

    /// Before anything else is done for a request.
    pub fn admit(&self, client: IpAddr) -> Result<(), Limited> {
        let caller = caller(client);
        if self.bans.holds(caller, Instant::now) {
            return Err(Limited::Banned);
        }
        match &self.per_ip {
            Some(limit) if !limit.takes(caller) => Err(Limited::Rate { limit: Limit::PerIp }),
            _ => Ok(()),
        }
    }

    /// After verification: counts an authentic request.
    pub fn authentic(&self, _client: IpAddr) -> Result<(), Limited> {
        match &self.total {
            Some(limit) if limit.check().is_err() => Err(Limited::Rate { limit: Limit::Total }),
            _ => Ok(()),
        }
    }

    /// After a refusal that speaks of a forger; may ban the address.
    pub fn failed(&self, client: IpAddr) {
        let caller = caller(client);
        if let Some(budget) = &self.failures
            && !budget.takes(caller)
        {
            self.bans.add(caller, Instant::now());
        }
    }
}

/// Whom an address belongs to: itself (IPv4, also written as IPv6), or its /64.
fn caller(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        v4 @ IpAddr::V4(_) => v4,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// All of `count` may come at once; after that they come back one by one over `per`.
fn quota(rate: Rate) -> Quota {
    let each = rate.per.checked_div(rate.count.get()).unwrap_or_default().max(Duration::from_nanos(1));
    Quota::with_period(each).expect("at least a nanosecond").allow_burst(rate.count)
}

/// One rate for each address, for a bounded number of addresses.
struct ByAddress {
    quota: Quota,
    limiter: ArcSwap<DefaultKeyedRateLimiter<IpAddr>>,
    calls: AtomicUsize,
}

impl ByAddress {
    fn new(quota: Quota) -> Self {
        Self { quota, limiter: ArcSwap::from_pointee(RateLimiter::keyed(quota)), calls: AtomicUsize::new(0) }
    }

    fn takes(&self, caller: IpAddr) -> bool {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY.saturating_sub(1) {
            self.sweep();
        }
        self.limiter.load().check_key(&caller).is_ok()
    }

    /// Forgets the addresses that have their whole rate again. If that is not enough, all: whoever has so many addresses
    /// cannot be stopped by address, and WeChat's own must never be shut out for want of room.
    fn sweep(&self) {
        let limiter = self.limiter.load();
        limiter.retain_recent();
        if limiter.len() > MAX_ADDRESSES {
            tracing::warn!("more addresses than a limit can remember: their counts begin anew");
            self.limiter.store(RateLimiter::keyed(self.quota).into());
        } else {
            limiter.shrink_to_fit();
        }
    }
}

/// Who is shut out, and until when. Every ban is as long as every other, so they end in the order in which they began.
struct Bans {
    lasts: Duration,
    /// How many there are: with none, which is nearly always, nobody takes the lock.
    count: AtomicUsize,
    in_order: Mutex<InOrder>,
}

#[derive(Default)]
struct InOrder {
    until: HashMap<IpAddr, Instant>,
    /// The same, the one that ends first in front.
    ends: VecDeque<(Instant, IpAddr)>,
}

impl Bans {
    fn new(lasts: Duration) -> Self {
        Self { lasts, count: AtomicUsize::new(0), in_order: Mutex::default() }
    }

    fn holds(&self, caller: IpAddr, now: impl FnOnce() -> Instant) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut bans = self.in_order.lock();
        bans.forget_ended(now());
        self.count.store(bans.until.len(), Ordering::Relaxed);
        bans.until.contains_key(&caller)
    }

    /// An address that is banned already is not banned for longer: what it does meanwhile is not looked at.
    fn add(&self, caller: IpAddr, now: Instant) {
        // A ban without an end in sight: as good as until the next restart.
        let until = now.checked_add(self.lasts).unwrap_or_else(|| far_from(now));
        let mut bans = self.in_order.lock();
        bans.forget_ended(now);
        if !bans.until.contains_key(&caller) {
            if bans.until.len() >= MAX_BANS {
                bans.forget_first();
            }
            bans.until.insert(caller, until);
            bans.ends.push_back((until, caller));
        }
        self.count.store(bans.until.len(), Ordering::Relaxed);
    }
}

fn far_from(now: Instant) -> Instant {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    now.checked_add(YEAR).unwrap_or(now)
}

impl InOrder {
    fn forget_ended(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, caller)) = self.ends.pop_front() {
            self.until.remove(&caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn rate(count: u32) -> Rate {
        Rate { count: NonZeroU32::new(count).unwrap(), per: HOUR }
    }

    fn limits(per_ip: Option<Rate>, total: Option<Rate>, failures_per_ip: Option<Rate>) -> Limits {
        Limits::new(&Settings { per_ip, total, failures_per_ip, ban: HOUR })
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    const PER_IP: Result<(), Limited> = Err(Limited::Rate { limit: Limit::PerIp });

    #[test]
    fn an_address_has_its_own_rate() {
        let limits = limits(Some(rate(3)), None, None);
        for _ in 0..3 {
            assert_eq!(limits.admit(v4(1)), Ok(()));
        }
        assert_eq!(limits.admit(v4(1)), PER_IP);
        assert_eq!(limits.admit(v4(2)), Ok(()), "another address is not charged");
    }

    #[test]
    fn a_rate_comes_back_with_time() {
        let short = Rate { count: NonZeroU32::new(2).unwrap(), per: Duration::from_millis(40) };
        let limits = limits(Some(short), None, None);
        assert_eq!([limits.admit(v4(1)), limits.admit(v4(1))], [Ok(()), Ok(())]);
        assert_eq!(limits.admit(v4(1)), PER_IP);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(limits.admit(v4(1)), Ok(()));
    }

    #[test]
    fn an_ipv6_caller_is_his_network_and_a_mapped_address_is_its_ipv4() {
        let limits = limits(Some(rate(1)), None, None);
        assert_eq!(limits.admit("2001:db8:0:1::1".parse().unwrap()), Ok(()));
        assert_eq!(limits.admit("2001:db8:0:1:ffff::2".parse().unwrap()), PER_IP);
        assert_eq!(limits.admit("2001:db8:0:2::1".parse().unwrap()), Ok(()));
        assert_eq!(limits.admit("192.0.2.1".parse().unwrap()), Ok(()));
        assert_eq!(limits.admit("::ffff:192.0.2.1".parse().unwrap()), PER_IP);
    }

    #[test]
    fn only_authentic_requests_use_up_the_total() {
        let limits = limits(None, Some(rate(2)), None);
        for number in 0..1000 {
            assert_eq!(limits.admit(v4(number)), Ok(()));
            limits.failed(v4(number));
        }
        assert_eq!([limits.authentic(v4(1)), limits.authentic(v4(2))], [Ok(()), Ok(())]);
        assert_eq!(limits.authentic(v4(3)), Err(Limited::Rate { limit: Limit::Total }));
    }

    #[test]
    fn a_spent_failure_budget_is_a_ban_of_that_address_alone() {
        let limits = limits(None, None, Some(rate(20)));
        for _ in 0..20 {
            limits.failed(v4(1));
            assert_eq!(limits.admit(v4(1)), Ok(()));
        }
        limits.failed(v4(1));
        assert_eq!(limits.admit(v4(1)), Err(Limited::Banned));
        assert_eq!(limits.admit(v4(2)), Ok(()));
    }

    #[test]
    fn a_ban_ends_and_is_not_made_longer_by_failures_meanwhile() {
        let bans = Bans::new(HOUR);
        let start = Instant::now();
        let after = |minutes| start.checked_add(Duration::from_mins(minutes)).unwrap();
        bans.add(v4(1), start);
        bans.add(v4(1), after(30));
        assert!(bans.holds(v4(1), || after(59)));
        assert!(!bans.holds(v4(1), || after(60)));
        assert_eq!(bans.count.load(Ordering::Relaxed), 0);
        bans.add(v4(1), after(60));
        assert!(bans.holds(v4(1), || after(90)), "and can be given again");
    }

    #[test]
    fn a_ban_longer_than_the_clock_reaches_does_not_end_at_once() {
        let bans = Bans::new(Duration::MAX);
        let start = Instant::now();
        bans.add(v4(1), start);
        assert!(bans.holds(v4(1), || start.checked_add(Duration::from_hours(1000)).unwrap()));
    }

    #[test]
    fn two_hundred_thousand_addresses_stay_within_the_bound() {
        let limits = limits(Some(rate(1)), None, Some(rate(1)));
        for number in 0..200_000 {
            assert_eq!(limits.admit(v4(number)), Ok(()), "a new address is never shut out");
            limits.failed(v4(number));
            limits.failed(v4(number));
            for by_address in [&limits.per_ip, &limits.failures] {
                if number % 997 == 0 {
                    let held = by_address.as_ref().unwrap().limiter.load().len();
                    assert!(held <= MAX_ADDRESSES.saturating_add(SWEEP_EVERY), "{held} addresses at {number}");
                }
            }
        }
        let bans = limits.bans.in_order.lock();
        assert_eq!((bans.until.len(), bans.ends.len()), (MAX_BANS, MAX_BANS));
        assert!(bans.until.contains_key(&v4(199_999)) && !bans.until.contains_key(&v4(0)), "the oldest made room");
    }

    #[test]
    fn addresses_whose_rate_came_back_are_forgotten() {
        let short = Rate { count: NonZeroU32::new(1).unwrap(), per: Duration::from_millis(1) };
        let limit = ByAddress::new(quota(short));
        for number in 0..5000 {
            assert!(limit.takes(v4(number)));
        }
        std::thread::sleep(Duration::from_millis(10));
        limit.sweep();
        assert_eq!(limit.limiter.load().len(), 0);
    }
}
