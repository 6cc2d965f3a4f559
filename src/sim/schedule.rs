//! When WeChat tries again.

use std::time::Duration;

/// Gaps before the retries of payment and refund notifications (protocol 1.9), in seconds: 15 retries, 24 h 4 min in all.
pub const GAPS: [u64; 15] =
    [15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600];

/// How long WeChat waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The gap before retry number `retry` (0 is the first one) on a clock that runs `scale` times faster than life; none
/// after the last.
pub fn gap(retry: usize, scale: f64) -> Option<Duration> {
    GAPS.get(retry).map(|seconds| Duration::from_secs(*seconds).div_f64(scale.max(f64::MIN_POSITIVE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_retries_take_24_hours_and_4_minutes() {
        assert_eq!(GAPS.iter().sum::<u64>(), 24 * 3600 + 4 * 60);
        assert_eq!(gap(0, 200.0), Some(Duration::from_millis(75)));
        assert_eq!(gap(15, 1.0), None);
    }
}
