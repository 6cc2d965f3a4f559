//! Time as an argument: the type that the pure layers take, and the one place that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch (UTC). Arithmetic saturates: a moment never wraps round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(i64);

impl UnixTime {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `span` more.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(span)))
    }

    /// This moment less `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(span)))
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis_of(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Where "now" comes from. Cloned freely; the clones of a manual clock show the same time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// The machine's clock and so many milliseconds more: a node whose clock is wrong, in tests.
    Shifted(i64),
    /// A clock that tests turn by hand; holds milliseconds since the epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now` until it is set.
    pub fn manual(now: UnixTime) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.millis())))
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        match self {
            Self::System => system_time(),
            Self::Shifted(millis) => UnixTime(system_time().0.saturating_add(*millis)),
            Self::Manual(millis) => UnixTime(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward; the system's clock takes no orders.
    pub fn advance(&self, span: Duration) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(millis_of(span), Ordering::SeqCst);
        }
    }
}

fn system_time() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    UnixTime(millis_of(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_do_not_wrap() {
        assert_eq!(UnixTime::from_secs(i64::MAX).plus(Duration::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime::from_secs(i64::MIN).minus(Duration::MAX), UnixTime(i64::MIN));
        assert_eq!(UnixTime::from_secs(i64::MIN).since(UnixTime::from_secs(5)), Duration::ZERO);
        assert_eq!(UnixTime::from_millis(-1).secs(), -1);
    }

    #[test]
    fn a_shifted_clock_goes_on_at_its_distance_from_the_systems() {
        for shift in [-30_000, 30_000] {
            let before = Clock::System.now();
            let shifted = Clock::Shifted(shift).now();
            let after = Clock::System.now();
            assert!((before.millis() + shift..=after.millis() + shift).contains(&shifted.millis()));
        }
        assert_eq!(Clock::Shifted(i64::MAX).now(), UnixTime(i64::MAX));
    }
}
