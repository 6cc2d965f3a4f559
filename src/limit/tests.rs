//! The limits at work, by a clock that the tests turn.

use std::net::IpAddr;
use std::time::Duration;

use governor::clock::FakeRelativeClock;

use super::*;

const WECHAT: &str = "101.226.103.7";
const FORGER: &str = "198.51.100.9";

fn rate(count: u32, seconds: u64) -> Rate {
    Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(seconds) }
}

fn settings() -> Settings {
    Settings { per_ip: None, total: None, failures_per_ip: None, ban: Duration::from_mins(10), exempt: Vec::new() }
}

fn limits(settings: &Settings) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
    let clock = FakeRelativeClock::default();
    (Limits::with_clock(settings, None, clock.clone()), clock)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_burst_of_the_rate_passes_and_then_one_at_a_time() {
    let (limits, clock) = limits(&Settings { per_ip: Some(rate(50, 1)), ..settings() });
    for _ in 0..50 {
        limits.admit(ip(WECHAT)).unwrap();
    }
    let over = limits.admit(ip(WECHAT)).unwrap_err();
    assert_eq!(over, Limited::Rate { limit: Limit::PerIp, retry_after: Duration::from_millis(20) });
    assert_eq!(over.retry_after(), 1);
    assert_eq!(limits.admit(ip(FORGER)), Ok(()), "another address has its own rate");
    clock.advance(Duration::from_millis(20));
    assert_eq!(limits.admit(ip(WECHAT)), Ok(()));
    assert!(limits.admit(ip(WECHAT)).is_err());
}

#[test]
fn no_limit_limits_nothing() {
    let (limits, _) = limits(&settings());
    for _ in 0..1_000 {
        limits.admit(ip(FORGER)).unwrap();
        limits.failed(ip(FORGER));
        limits.authentic(ip(FORGER)).unwrap();
    }
    assert_eq!(limits.bans_active(), 0);
}

#[test]
fn forged_traffic_takes_nothing_from_the_total() {
    let (limits, _) = limits(&Settings { total: Some(rate(10, 1)), ..settings() });
    for _ in 0..10_000 {
        limits.admit(ip(FORGER)).unwrap();
        limits.failed(ip(FORGER));
    }
    for _ in 0..10 {
        limits.admit(ip(WECHAT)).unwrap();
        limits.authentic(ip(WECHAT)).unwrap();
    }
    let over = limits.authentic(ip(WECHAT)).unwrap_err();
    assert!(matches!(over, Limited::Rate { limit: Limit::Total, .. }), "{over:?}");
}

#[test]
fn an_address_that_overspends_its_failures_is_banned_for_as_long_as_told_and_no_other_is() {
    let (limits, clock) = limits(&Settings { failures_per_ip: Some(rate(20, 60)), ..settings() });
    for _ in 0..20 {
        limits.failed(ip(FORGER));
        assert_eq!(limits.admit(ip(FORGER)), Ok(()), "within the budget");
    }
    limits.failed(ip(FORGER));
    assert_eq!(limits.admit(ip(FORGER)), Err(Limited::Banned { retry_after: Duration::from_mins(10) }));
    assert_eq!(limits.bans_active(), 1);
    assert_eq!(limits.admit(ip(WECHAT)), Ok(()));

    clock.advance(Duration::from_millis(599_500));
    let still = limits.admit(ip(FORGER)).unwrap_err();
    assert_eq!(still.retry_after(), 1, "half a second is rounded up: {still:?}");
    clock.advance(Duration::from_millis(500));
    assert_eq!(limits.admit(ip(FORGER)), Ok(()));
    assert_eq!(limits.bans_active(), 0, "a ban that is over is not counted");
}

#[test]
fn asking_while_banned_does_not_extend_the_ban() {
    let (limits, clock) = limits(&Settings { failures_per_ip: Some(rate(1, 60)), ..settings() });
    limits.failed(ip(FORGER));
    limits.failed(ip(FORGER));
    for _ in 0..600 {
        assert!(limits.admit(ip(FORGER)).is_err());
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(limits.admit(ip(FORGER)), Ok(()));
}

#[test]
fn failures_as_slow_as_the_budget_refills_never_ban() {
    let (limits, clock) = limits(&Settings { failures_per_ip: Some(rate(20, 60)), ..settings() });
    for _ in 0..1_000 {
        limits.failed(ip(FORGER));
        clock.advance(Duration::from_secs(3));
        assert_eq!(limits.admit(ip(FORGER)), Ok(()));
    }
}

#[test]
fn an_address_that_authentic_callbacks_come_from_is_not_banned_until_they_cease() {
    let (limits, clock) = limits(&Settings { failures_per_ip: Some(rate(5, 60)), ..settings() });
    limits.authentic(ip(WECHAT)).unwrap();
    for _ in 0..100 {
        limits.failed(ip(WECHAT));
    }
    assert_eq!(limits.admit(ip(WECHAT)), Ok(()), "a forger behind the same proxy shuts nobody out");
    clock.advance(PROVEN_FOR);
    for _ in 0..100 {
        limits.failed(ip(WECHAT));
    }
    assert!(matches!(limits.admit(ip(WECHAT)), Err(Limited::Banned { .. })));
}

#[test]
fn another_address_of_the_same_ipv6_network_is_no_way_round_a_ban() {
    let (limits, _) = limits(&Settings { failures_per_ip: Some(rate(1, 60)), per_ip: Some(rate(2, 1)), ..settings() });
    limits.failed(ip("2001:db8::1"));
    limits.failed(ip("2001:db8::2"));
    assert!(matches!(limits.admit(ip("2001:db8::3")), Err(Limited::Banned { .. })));
    assert_eq!(limits.admit(ip("2001:db8:0:1::1")), Ok(()));
}

#[test]
fn no_number_of_addresses_fills_any_map_or_shuts_out_a_new_one() {
    let one = Some(rate(1, 3600));
    let (limits, _) = limits(&Settings { per_ip: one, failures_per_ip: one, ..settings() });
    for n in 0..120_000_u32 {
        let client = IpAddr::V4(n.into());
        assert_eq!(limits.admit(client), Ok(()), "a new address is never refused for want of room");
        limits.failed(client);
        limits.failed(client);
    }
    assert!(limits.bans_active() <= bounded::MAX_ADDRESSES);
    let by_rate = Arc::into_inner(limits.per_ip.unwrap()).unwrap().into_state_store();
    for map in [by_rate, limits.spent] {
        assert!(map.len() <= bounded::MAX_ADDRESSES, "{}", map.len());
    }
}

#[test]
fn an_address_over_its_rate_stays_over_it_however_many_others_come() {
    let (limits, _) = limits(&Settings { per_ip: Some(rate(3, 3600)), ..settings() });
    while limits.admit(ip(FORGER)).is_ok() {}
    for n in 0..120_000_u32 {
        limits.admit(IpAddr::V4(n.into())).unwrap();
    }
    assert!(limits.admit(ip(FORGER)).is_err(), "a crowd does not wash anybody clean");
}

#[test]
fn who_is_exempt_is_never_banned_nor_counted_by_address_and_the_total_holds_for_him_too() {
    let exempt = vec!["198.51.100.0/24".parse().unwrap()];
    let (one, two) = (Some(rate(1, 3600)), Some(rate(2, 3600)));
    let (limits, _) = limits(&Settings { per_ip: one, failures_per_ip: one, total: two, exempt, ..settings() });
    for _ in 0..10 {
        limits.failed(ip(FORGER));
        assert_eq!(limits.admit(ip(FORGER)), Ok(()));
        assert_eq!(limits.admit(ip("::ffff:198.51.100.9")), Ok(()));
    }
    assert_eq!(limits.bans_active(), 0);
    limits.admit(ip(WECHAT)).unwrap();
    assert!(limits.admit(ip(WECHAT)).is_err(), "others are counted");
    limits.authentic(ip(FORGER)).unwrap();
    limits.authentic(ip(FORGER)).unwrap();
    assert!(limits.authentic(ip(FORGER)).is_err());
}

#[test]
fn a_ban_is_told_and_lifted_with_what_led_to_it() {
    let (limits, clock) = limits(&Settings { failures_per_ip: Some(rate(1, 3600)), ..settings() });
    for address in [FORGER, "2001:db8::1"] {
        limits.failed(ip(address));
        limits.failed(ip(address));
        clock.advance(Duration::from_secs(1));
    }
    let told: Vec<String> = limits.bans().iter().map(|ban| format!("{} {:?}", ban.network, ban.left)).collect();
    assert_eq!(told, ["2001:db8::/64 599s", "198.51.100.9/32 598s"]);
    assert!(limits.lift(ip("2001:db8::2")), "another address of the same network");
    assert!(!limits.lift(ip("2001:db8::2")) && !limits.lift(ip(WECHAT)), "nobody is banned there");
    limits.failed(ip("2001:db8::1"));
    assert_eq!(limits.admit(ip("2001:db8::1")), Ok(()), "the failures are forgiven");
    assert!(limits.admit(ip(FORGER)).is_err());
}

#[test]
fn a_limit_that_changes_takes_nothing_from_the_others() {
    let before = Settings {
        per_ip: Some(rate(2, 3600)),
        total: Some(rate(2, 3600)),
        failures_per_ip: Some(rate(1, 3600)),
        ..settings()
    };
    let (limits, clock) = limits(&before);
    limits.failed(ip(FORGER));
    limits.failed(ip(FORGER));
    limits.admit(ip(WECHAT)).unwrap();
    limits.admit(ip(WECHAT)).unwrap();
    clock.advance(Duration::from_secs(5));
    let more = Settings { total: Some(rate(5, 1)), ..before.clone() };
    let changed = Limits::with_clock(&more, Some(&limits), clock.clone());
    let still = changed.admit(ip(FORGER)).unwrap_err();
    assert_eq!(still, Limited::Banned { retry_after: Duration::from_secs(595) }, "whoever was banned stays so");
    assert!(changed.admit(ip(WECHAT)).is_err(), "`per_ip` goes on counting");
    let longer = Settings { failures_per_ip: Some(rate(3, 60)), ban: Duration::from_mins(20), ..before };
    assert!(Limits::with_clock(&longer, Some(&changed), clock.clone()).admit(ip(FORGER)).is_err());
    let none = Settings { failures_per_ip: None, ..longer };
    assert_eq!(Limits::with_clock(&none, Some(&changed), clock).admit(ip(FORGER)), Ok(()), "nobody is banned any more");
}

#[test]
fn extreme_rates_are_quotas_too() {
    let most = Rate { count: NonZeroU32::MAX, per: Duration::from_nanos(1) };
    assert_eq!(quota(most).burst_size(), NonZeroU32::MAX);
    let least = Rate { count: NonZeroU32::MIN, per: Duration::MAX };
    let (limits, _) = limits(&Settings { per_ip: Some(least), ..settings() });
    assert_eq!(limits.admit(ip(WECHAT)), Ok(()));
    assert!(limits.admit(ip(WECHAT)).is_err());
}
