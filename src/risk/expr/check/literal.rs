//! Literals that are written as texts: durations, moments, days, addresses.

use core::net::IpAddr;

use ipnet::IpNet;

/// Milliseconds of `1d2h30m`, `-10s`, `250ms`.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest.is_empty() {
        return None;
    }
    let mut all = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let number: i64 = number.parse().ok()?;
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        all = number.checked_mul(millis).and_then(|part| all.checked_add(part))?;
        rest = behind;
    }
    if negative { all.checked_neg() } else { Some(all) }
}

/// Milliseconds since the epoch of `2026-03-01T12:00:00+08:00`.
pub(super) fn timestamp(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// `2026-03-01` as 20260301.
pub(super) fn date(text: &str) -> Option<i64> {
    let date = text.parse::<jiff::civil::Date>().ok().filter(|date| date.to_string() == text)?;
    let parts = [i64::from(date.year()).checked_mul(10_000)?, i64::from(date.month()).checked_mul(100)?];
    Some(parts.into_iter().sum::<i64>().saturating_add(i64::from(date.day())))
}

/// An address, mapped ones as IPv4.
pub(super) fn ip(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// A block of addresses without bits beyond its prefix, or a single address.
pub(super) fn block(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => Some(net),
        Ok(_) => None,
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}
