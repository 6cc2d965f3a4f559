//! Which keys an endpoint trusts, since when they were of use, and which of them can go: what `wxgate keys` prints and
//! `GET /v1/keys` answers.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expiry::lasts_longer;
use super::{Origin, Settings, State};
use crate::clock::UnixTime;
use crate::observe::KeyUse;
use crate::wechat::key::VerifyingKey;

/// A key that has verified nothing for so long, while its successor has, is out of use: WeChat's change to public keys
/// takes seven days, and its last retry comes 24 h after the first try.
const OUT_OF_USE_AFTER: Duration = Duration::from_hours(8 * 24);
/// A certificate that ends sooner needs a successor.
const ENDS_SOON: Duration = Duration::from_hours(30 * 24);

/// All endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When the running gateway began to count, RFC 3339; none: no gateway was asked.
    pub since: Option<String>,
    /// By name.
    pub endpoints: Vec<EndpointKeys>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointKeys {
    /// Its name.
    pub endpoint: String,
    /// Configured keys first.
    pub keys: Vec<Key>,
    /// `keys.download`; none if the endpoint has none.
    pub download: Option<Download>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Serial or `PUB_KEY_ID_…`.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is from.
    pub source: Source,
    /// End of validity, RFC 3339; a public key has none.
    pub not_after: Option<String>,
    /// Whole days until then; negative: since then.
    pub expires_in_days: Option<i64>,
    /// Callbacks that it verified since the gateway began to count.
    pub verified: u64,
    /// Its share of what all keys of the endpoint verified, 0 to 1; none if they verified nothing.
    pub share: Option<f64>,
    /// The last of them, RFC 3339.
    pub last_used: Option<String>,
    /// What there is to do about it.
    pub advice: Option<Advice>,
}

/// Certificate or public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A platform certificate.
    Certificate,
    /// WeChat Pay's public key.
    PublicKey,
}

/// Where a key is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file that the configuration names.
    File,
    /// A download of the running gateway.
    Download,
    /// A download of an earlier one, kept on disk.
    Cache,
}

/// What there is to do about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// It has ended and verifies nothing: take it out.
    Ended,
    /// It ends within 30 days and nothing that lasts longer is trusted.
    NeedsSuccessor,
    /// It has verified nothing for eight days while its successor has: take it out.
    OutOfUse,
}

/// The downloads of an endpoint's merchant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Download {
    /// The merchant.
    pub mchid: String,
    /// Where from.
    pub url: String,
    /// The last good download, RFC 3339.
    pub taken_at: Option<String>,
    /// How the last attempt of the running gateway ended, as in `wxgate_keys_downloads_total{result}`.
    pub last_result: Option<String>,
    /// Why, if it failed.
    pub detail: Option<String>,
    /// Failed attempts since the last good one.
    pub failures: u32,
}

/// What is known of an endpoint.
pub struct Known<'a> {
    /// Its name.
    pub endpoint: &'a str,
    /// Keys from files.
    pub configured: &'a [Arc<VerifyingKey>],
    /// Downloaded ones.
    pub downloaded: Option<(&'a Settings, &'a State)>,
    /// What each verified.
    pub uses: &'a [KeyUse],
    /// When counting began; none: nobody counts.
    pub since: Option<UnixTime>,
}

impl EndpointKeys {
    /// What is to be said of an endpoint at `now`.
    pub fn new(known: &Known<'_>, now: UnixTime) -> Self {
        let held = known.downloaded.map(|(_, state)| state.held.as_slice()).unwrap_or_default();
        let of_file = known.configured.iter().map(|key| (&**key, Source::File));
        let all: Vec<(&VerifyingKey, Source)> =
            of_file.chain(held.iter().map(|held| (&*held.certificate.key, held.origin.into()))).collect();
        Self {
            endpoint: known.endpoint.to_owned(),
            keys: all.iter().map(|(key, source)| known.key(key, *source, &all, now)).collect(),
            download: known.downloaded.map(|(settings, state)| Download::new(settings, state)),
        }
    }
}

impl Known<'_> {
    fn key(&self, key: &VerifyingKey, source: Source, all: &[(&VerifyingKey, Source)], now: UnixTime) -> Key {
        let total: u64 = self.uses.iter().fold(0, |sum, of| sum.saturating_add(of.verified));
        let (verified, last_used) = self.use_of(key);
        let day = 24 * 3600;
        // A share for people: exact below 2^53 callbacks.
        #[allow(clippy::cast_precision_loss)]
        let share = (total > 0).then(|| verified as f64 / total as f64);
        Key {
            id: key.id().to_string(),
            kind: if key.is_public_key() { Kind::PublicKey } else { Kind::Certificate },
            source,
            not_after: key.not_after().map(rfc3339),
            expires_in_days: key.not_after().map(|end| end.secs().saturating_sub(now.secs()).div_euclid(day)),
            verified,
            share,
            last_used: last_used.map(rfc3339),
            advice: self.advice(key, source, all, now),
        }
    }

    fn use_of(&self, key: &VerifyingKey) -> (u64, Option<UnixTime>) {
        let of = self.uses.iter().find(|of| of.key == *key.id());
        of.map_or((0, None), |of| (of.verified, Some(of.last)))
    }

    fn advice(
        &self,
        key: &VerifyingKey,
        source: Source,
        all: &[(&VerifyingKey, Source)],
        now: UnixTime,
    ) -> Option<Advice> {
        if key.not_after().is_some_and(|_| !key.is_valid(now)) {
            return Some(Advice::Ended);
        }
        let lasts = all.iter().any(|(other, _)| lasts_longer(other, key));
        if !lasts && key.not_after().is_some_and(|end| end < now.plus(ENDS_SOON)) {
            return Some(Advice::NeedsSuccessor);
        }
        // Downloaded ones go by themselves.
        (source == Source::File && self.is_out_of_use(key, all, now)).then_some(Advice::OutOfUse)
    }

    /// Nobody can tell before the gateway has counted for long enough. A public key that is not used *yet* has a
    /// successor only in another public key; a certificate in a later one, and in any public key.
    fn is_out_of_use(&self, key: &VerifyingKey, all: &[(&VerifyingKey, Source)], now: UnixTime) -> bool {
        let is_long_ago = |last: UnixTime| now.since(last) >= OUT_OF_USE_AFTER;
        let Some(since) = self.since.filter(|since| is_long_ago(*since)) else { return false };
        let last_used = |key: &VerifyingKey| self.use_of(key).1.unwrap_or(since);
        let succeeds = |other: &VerifyingKey| match key.not_after() {
            Some(_) => lasts_longer(other, key),
            None => other.is_public_key() && other.id() != key.id(),
        };
        let successor_in_use = all.iter().any(|(other, _)| succeeds(other) && !is_long_ago(last_used(other)));
        is_long_ago(last_used(key)) && successor_in_use
    }
}

impl Download {
    fn new(settings: &Settings, state: &State) -> Self {
        let detail = state.last.as_ref().map(|last| last.detail.clone()).filter(|detail| !detail.is_empty());
        Self {
            mchid: settings.merchant.mchid().to_string(),
            url: settings.url.to_string(),
            taken_at: state.taken_at.map(rfc3339),
            last_result: state.last.as_ref().map(|last| last.result.to_owned()),
            detail,
            failures: state.failures,
        }
    }
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Download => Self::Download,
            Origin::Cache => Self::Cache,
        }
    }
}

/// A moment to the second, in UTC.
pub fn rfc3339(time: UnixTime) -> String {
    jiff::Timestamp::from_second(time.secs()).map_or_else(|_| String::new(), |stamp| stamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::tests::{certificate, public_key};

    const DAY: Duration = Duration::from_hours(24);

    fn days(of: u32) -> Duration {
        DAY.saturating_mul(of)
    }

    /// Advice on each of `keys` at `now`, where counting began `watched` days before and each key was last used so many
    /// days ago.
    fn advice(keys: &[(Arc<VerifyingKey>, Option<u32>)], watched: u32, now: UnixTime) -> Vec<Option<Advice>> {
        let uses: Vec<KeyUse> = keys
            .iter()
            .filter_map(|(key, ago)| {
                let last = now.minus(days((*ago)?));
                Some(KeyUse { key: Arc::clone(key.id()), verified: 10, last })
            })
            .collect();
        let configured: Vec<_> = keys.iter().map(|(key, _)| Arc::clone(key)).collect();
        let since = Some(now.minus(days(watched)));
        let known = Known { endpoint: "shop", configured: &configured, downloaded: None, uses: &uses, since };
        EndpointKeys::new(&known, now).keys.iter().map(|key| key.advice).collect()
    }

    #[test]
    fn an_old_key_is_told_to_go_when_its_successor_has_taken_over_and_never_before() {
        let (old, new, public) = (certificate(2034), certificate(2039), public_key());
        let now = UnixTime::from_secs(1_790_000_000);
        let of = |old_used, new_used, watched| {
            advice(&[(Arc::clone(&old), old_used), (Arc::clone(&public), new_used)], watched, now)
        };
        assert_eq!(of(Some(9), Some(0), 20), [Some(Advice::OutOfUse), None]);
        assert_eq!(of(None, Some(0), 8), [Some(Advice::OutOfUse), None], "not used since counting began");
        assert_eq!(of(None, Some(0), 7), [None, None], "not watched for long enough");
        assert_eq!(of(Some(7), Some(0), 20), [None, None], "used a week ago");
        assert_eq!(of(Some(9), Some(9), 20), [None, None], "nothing is used: it is quiet");
        assert_eq!(of(Some(0), None, 20), [None, None], "a public key that WeChat does not use yet stays");
        let certificates = [(Arc::clone(&old), Some(9)), (Arc::clone(&new), Some(0))];
        assert_eq!(advice(&certificates, 20, now), [Some(Advice::OutOfUse), None]);
        let back = [(old, Some(0)), (new, Some(9))];
        assert_eq!(advice(&back, 20, now), [None, None], "the later certificate stays");
    }

    #[test]
    fn a_certificate_that_ends_needs_a_successor_or_has_one() {
        let old = certificate(2030);
        let now = old.not_after().unwrap().minus(days(29));
        assert_eq!(advice(&[(Arc::clone(&old), Some(0))], 1, now), [Some(Advice::NeedsSuccessor)]);
        assert_eq!(advice(&[(Arc::clone(&old), Some(0)), (public_key(), None)], 1, now), [None, None]);
        let late = old.not_after().unwrap().plus(days(2));
        assert_eq!(advice(&[(old, Some(3))], 1, late), [Some(Advice::Ended)]);
    }

    #[test]
    fn shares_are_of_what_all_keys_verified() {
        let (one, other) = (certificate(2034), public_key());
        let of = |key: &Arc<VerifyingKey>, verified| KeyUse {
            key: Arc::clone(key.id()),
            verified,
            last: UnixTime::from_secs(1_700_000_000),
        };
        let uses = [of(&one, 1), of(&other, 3)];
        let configured = [one, other];
        let known = Known { endpoint: "shop", configured: &configured, downloaded: None, uses: &uses, since: None };
        let keys = EndpointKeys::new(&known, UnixTime::from_secs(1_700_000_000)).keys;
        assert_eq!(keys.iter().map(|key| key.share).collect::<Vec<_>>(), [Some(0.25), Some(0.75)]);
        assert_eq!(keys[0].last_used.as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!((keys[0].kind, keys[1].kind), (Kind::Certificate, Kind::PublicKey));
    }
}
