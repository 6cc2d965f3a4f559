//! Durations, sizes and rates as people write them, and back again for messages.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::limit::Rate;

/// Units of durations in milliseconds, the largest first.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of sizes in bytes, the largest first. Powers of 1024 alone: `MB` means two things.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// `"5m"`, `"200ms"`: a whole number and a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    measure(text, &SPANS).map(Duration::from_millis)
}

/// `"1MiB"`, `"512B"`: a whole number and a unit.
pub(super) fn size(text: &str) -> Option<u64> {
    measure(text, &SIZES)
}

/// `"100/s"`, `"20/m"`: a whole number from 1 on, per second, minute or hour.
pub(super) fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let per = SPANS.iter().find(|(name, _)| *name == unit && matches!(unit, "s" | "m" | "h"))?;
    if !is_number(count) {
        return None;
    }
    Some(Rate { count: count.parse::<NonZeroU32>().ok()?, per: Duration::from_millis(per.1) })
}

/// The inverse of [`duration`], to the millisecond.
pub(super) fn show_duration(span: Duration) -> String {
    show(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), &SPANS, "0s")
}

/// The inverse of [`size`].
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES, "0B")
}

fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    if !is_number(number) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Digits alone: `parse` would take a sign as well.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn show(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let whole = units.iter().find_map(|(name, factor)| {
        let count = amount.checked_div(*factor)?;
        (count > 0 && count.checked_mul(*factor) == Some(amount)).then(|| format!("{count}{name}"))
    });
    whole.unwrap_or_else(|| zero.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_sizes_and_rates_are_a_number_and_a_unit() {
        assert_eq!(duration("5m"), Some(Duration::from_mins(5)));
        assert_eq!(duration("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("512B"), Some(512));
        let hundred = Rate { count: NonZeroU32::new(100).unwrap(), per: Duration::from_secs(1) };
        assert_eq!(rate("100/s"), Some(hundred));
        assert_eq!(rate("20/m").unwrap().per, Duration::from_mins(1));
        for wrong in ["", "5", "m", "-5m", "+5m", "5 m", "1.5h", "5M", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        for wrong in ["1MB", "1m", "1", "1 MiB", "1mib"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        for wrong in ["0/s", "100", "100/", "100/ms", "100/d", "+1/s", "/s", "5000000000/s"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same(millis in any::<u64>(), bytes in any::<u64>()) {
            let span = Duration::from_millis(millis);
            if millis > 0 {
                prop_assert_eq!(duration(&show_duration(span)), Some(span));
            }
            if bytes > 0 {
                prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
            }
        }

        #[test]
        fn arbitrary_text_is_read_without_a_panic(text in ".{0,24}") {
            let _ = (duration(&text), size(&text), rate(&text));
        }
    }
}
