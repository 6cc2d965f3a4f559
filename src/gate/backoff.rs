//! How long a delivery that failed waits for its next try. Pure: the same row and try wait the same time.

use std::time::Duration;

/// The wait after the first failure, before jitter.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait, before jitter: an app that comes back is found within this time.
const MOST: Duration = Duration::from_mins(5);

/// The wait after `tries` failures, from 1 on: twice as long each time, up to five minutes, and of that at least half and
/// at most the whole, drawn by `seed`, so that rows which failed together do not come back together.
pub(super) fn delay(tries: u32, seed: u64) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.saturating_sub(1).min(31));
    let whole = FIRST.saturating_mul(doubled).min(MOST);
    let drawn = scrambled(seed ^ u64::from(tries)) >> 32; // of 2³² equal shares
    let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
    let share = u64::try_from(u128::from(half).saturating_mul(u128::from(drawn)) >> 32).unwrap_or(half);
    Duration::from_millis(half.saturating_add(share))
}

/// The finalizer of SplitMix64: neighbouring seeds give unrelated numbers.
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_until_they_are_five_minutes() {
        for (tries, whole) in (1..).zip([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
            let longest = (0..2000).map(|seed| delay(tries, seed)).max().unwrap();
            let whole = Duration::from_secs(whole);
            assert!(longest <= whole && longest > whole.mul_f64(0.99), "try {tries}: {longest:?}");
        }
    }

    proptest! {
        #[test]
        fn jitter_takes_at_most_half(tries in any::<u32>(), seed in any::<u64>()) {
            let whole = FIRST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(31))).min(MOST);
            let waits = delay(tries, seed);
            prop_assert!(waits.saturating_mul(2) >= whole && waits <= whole);
            prop_assert_eq!(waits, delay(tries, seed));
        }
    }
}
