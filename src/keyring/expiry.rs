//! Certificates that end, told in the log ahead of time: 30 days before, 10 days before, and when it has happened. Whoever
//! holds a key that lasts longer has nothing to do, so that is a note; without one it is a warning.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::UnixTime;
use crate::wechat::key::VerifyingKey;

const DAY: Duration = Duration::from_hours(24);
/// Days before the end at which it is told.
const AHEAD: [u64; 3] = [30, 10, 0];

/// What was told already, so that each is told once.
#[derive(Debug, Default)]
pub struct Expiries {
    told: HashMap<(Arc<str>, Arc<str>), u64>,
}

/// A certificate that ends, or has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its serial.
    pub key: Arc<str>,
    /// Whole days that are left; 0: it has ended, or does so today.
    pub days: u64,
    /// Whether the endpoint trusts another key that lasts longer.
    pub has_successor: bool,
}

impl Expiries {
    /// Looks at the keys of an endpoint and logs what has to be told now.
    pub fn look(&mut self, endpoint: &Arc<str>, keys: &[Arc<VerifyingKey>], now: UnixTime) {
        for Ending { key, days, has_successor } in self.endings(endpoint, keys, now) {
            if has_successor {
                tracing::info!(%endpoint, %key, days, "a certificate ends; another key that lasts longer is trusted");
            } else {
                tracing::warn!(
                    %endpoint, %key, days,
                    "the last key of the endpoint ends: name the next certificate or WeChat's public key, or let keys.download fetch it"
                );
            }
        }
    }

    /// What has not been told yet. What is no longer there is forgotten.
    fn endings(&mut self, endpoint: &Arc<str>, keys: &[Arc<VerifyingKey>], now: UnixTime) -> Vec<Ending> {
        self.told.retain(|(of, id), _| of != endpoint || keys.iter().any(|key| key.id() == id));
        let mut endings = Vec::new();
        for key in keys {
            let Some(end) = key.not_after() else { continue };
            let days = end.since(now).as_secs().checked_div(DAY.as_secs()).unwrap_or_default();
            let Some(step) = AHEAD.into_iter().rev().find(|step| days <= *step) else { continue };
            let told = self.told.insert((Arc::clone(endpoint), Arc::clone(key.id())), step);
            if told.is_none_or(|told| told > step) {
                let has_successor = keys.iter().any(|other| lasts_longer(other, key));
                endings.push(Ending { key: Arc::clone(key.id()), days, has_successor });
            }
        }
        endings
    }
}

/// Whether `other` goes on after `key` has ended: a public key always does.
pub(super) fn lasts_longer(other: &VerifyingKey, key: &VerifyingKey) -> bool {
    match (other.not_after(), key.not_after()) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(other), Some(end)) => other > end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::tests::{certificate, public_key};

    #[test]
    fn each_certificate_is_told_thirty_and_ten_days_ahead_and_at_its_end_once() {
        let endpoint: Arc<str> = Arc::from("shop");
        let old = certificate(2030);
        let end = old.not_after().unwrap();
        let mut expiries = Expiries::default();
        let mut told = |days: u64, keys: &[Arc<VerifyingKey>]| {
            let now = end.minus(DAY.saturating_mul(u32::try_from(days).unwrap()));
            expiries
                .endings(&endpoint, keys, now)
                .iter()
                .map(|ending| (ending.days, ending.has_successor))
                .collect::<Vec<_>>()
        };
        let alone = [Arc::clone(&old)];
        assert_eq!(told(31, &alone), []);
        assert_eq!(told(30, &alone), [(30, false)]);
        assert_eq!(told(29, &alone), []);
        let both = [Arc::clone(&old), certificate(2035)];
        assert_eq!(told(9, &both), [(9, true)]);
        assert_eq!(told(8, &both), []);
        assert_eq!(told(0, &[old, public_key()]), [(0, true)]);
        assert_eq!(told(0, &both), []);
    }
}
