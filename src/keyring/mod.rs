//! Platform certificates that take care of themselves: downloaded from WeChat, refreshed before they are needed, kept on
//! disk, dropped when they end.
//!
//! A [`Source`] is one merchant's certificates. Endpoints read its keys without a lock; one task of the source alone
//! downloads (`refresh`), so that there is never more than one download at a time. A callback never waits for it: one
//! that names an unknown serial is refused, may at most wake the task, and finds the certificate on WeChat's next try.
//! What is trusted is decided in [`crate::wechat::pay_v3::certificates`].

mod asked;
mod cache;
mod client;
pub mod expiry;
mod refresh;
pub mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::clock::{Clock, UnixTime};
use crate::observe::{DownloadMetrics, Observe};
use crate::wechat::key::{ApiV3Key, MerchantKey, SharedKeys, VerifyingKey};
use crate::wechat::pay_v3::certificates::Certificate;
use asked::Asked;

/// How long a certificate is trusted on that WeChat lists no more: callbacks that it signed may still be tried again, and
/// not each of WeChat's machines changes at the same moment.
const UNLISTED_FOR: Duration = Duration::from_hours(24);

/// `keys.download`, with what of the endpoint's other keys it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who asks.
    pub merchant: MerchantKey,
    /// What the certificates are encrypted with, newest first.
    pub api_v3: Vec<ApiV3Key>,
    /// Configured keys, which may sign an answer as well.
    pub trusted: Vec<VerifyingKey>,
    /// Where they are: a URL with the path, `https`, or `http` to this machine.
    pub url: Uri,
    /// How long after a good download the next one comes, less up to a tenth.
    pub every: Duration,
    /// Shortest time between two downloads, whatever asks for them.
    pub min_interval: Duration,
    /// The file that they are kept in; none: a restart downloads them again.
    pub cache: Option<PathBuf>,
}

/// Where a downloaded certificate was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A download of this process.
    Download,
    /// The cache: a download of an earlier one.
    Cache,
}

/// A certificate that is trusted.
#[derive(Clone, Debug)]
pub struct Held {
    /// The certificate.
    pub certificate: Certificate,
    /// When WeChat last listed it.
    pub listed_at: UnixTime,
    /// Where it is from.
    pub origin: Origin,
}

/// What a source has done and will do.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// What is trusted now.
    pub held: Vec<Held>,
    /// The last good download, of an earlier process too.
    pub taken_at: Option<UnixTime>,
    /// The last attempt of this process: when, how it ended, and what is to be said about it.
    pub last: Option<Attempt>,
    /// Failed attempts since the last good one.
    pub failures: u32,
}

/// An attempt to download.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it ended.
    pub at: UnixTime,
    /// How, as in `wxgate_keys_downloads_total{result}`.
    pub result: &'static str,
    /// Why it failed; empty if it did not.
    pub detail: String,
}

/// One merchant's certificates. They are refreshed until the source is dropped.
pub struct Source {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    settings: Settings,
    keys: SharedKeys,
    state: Mutex<State>,
    asked: Asked,
    clock: Clock,
    metrics: DownloadMetrics,
}

/// Every source in use. Endpoints of one merchant with the same settings share one, and a reload that changes nothing of
/// them goes on with it.
pub struct Keyring {
    clock: Clock,
    observe: Observe,
    sources: Mutex<Vec<Weak<Source>>>,
}

impl Keyring {
    /// A keyring without sources.
    pub fn new(clock: Clock, observe: Observe) -> Self {
        Self { clock, observe, sources: Mutex::default() }
    }

    /// The source of these settings, started if there is none yet. What an earlier one of the same merchant and URL holds
    /// is taken over, and so is what is in the cache, so that a changed setting or a restart needs no network. Reads one
    /// small file.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn source(&self, settings: &Settings) -> Arc<Source> {
        let mut sources = self.sources.lock();
        sources.retain(|source| source.strong_count() > 0);
        let live: Vec<Arc<Source>> = sources.iter().filter_map(Weak::upgrade).collect();
        if let Some(same) = live.iter().find(|source| source.shared.settings == *settings) {
            return Arc::clone(same);
        }
        let before = live.iter().find(|source| {
            let of = &source.shared.settings;
            of.merchant.mchid() == settings.merchant.mchid() && of.url == settings.url
        });
        let now = self.clock.now();
        let state = match before {
            Some(before) => State { last: None, failures: 0, ..before.state() },
            None => remembered(settings, now),
        };
        let source = Arc::new(Source::start(settings.clone(), state, self.clock.clone(), &self.observe));
        sources.push(Arc::downgrade(&source));
        source
    }
}

/// What the cache holds. Without one, or with one that does not hold, it is as at the very first start.
pub fn remembered(settings: &Settings, now: UnixTime) -> State {
    let Some(path) = &settings.cache else { return State::default() };
    match cache::read(path, settings, now) {
        Ok(Some(cached)) => State { held: cached.held, taken_at: Some(cached.taken_at), ..State::default() },
        Ok(None) => State::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cached certificates are not used; they are downloaded again");
            State::default()
        }
    }
}

impl Source {
    fn start(settings: Settings, state: State, clock: Clock, observe: &Observe) -> Self {
        let metrics = observe.downloads(settings.merchant.mchid());
        if let Some(taken_at) = state.taken_at {
            metrics.taken_at(taken_at);
        }
        let shared = Arc::new(Shared {
            settings,
            keys: SharedKeys::default(),
            state: Mutex::new(state),
            asked: Asked::default(),
            clock,
            metrics,
        });
        shared.publish();
        let task = tokio::spawn(refresh::run(Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// The keys, as they are now and will be.
    pub fn keys(&self) -> &SharedKeys {
        &self.shared.keys
    }

    /// A callback named this serial, which nobody knows. Anybody may have written it: it is looked at, it may wake the
    /// task, and nothing else happens. Never waits.
    pub fn unknown(&self, serial: &str) {
        self.shared.asked.ask(serial);
    }

    /// Whose certificates.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What it has done.
    pub fn state(&self) -> State {
        self.shared.state.lock().clone()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Hands what is held to the endpoints.
    fn publish(&self) {
        let keys = self.state.lock().held.iter().map(|held| Arc::clone(&held.certificate.key)).collect();
        self.keys.set(keys);
    }
}

impl State {
    /// Takes over what a download brought. What it no longer lists is kept for a while; what has ended is dropped.
    fn take(&mut self, certificates: Vec<Certificate>, now: UnixTime) {
        let before = std::mem::take(&mut self.held);
        let listed = |held: &Held| certificates.iter().any(|new| new.key.id() == held.certificate.key.id());
        let kept = before.into_iter().filter(|held| !listed(held)).collect::<Vec<_>>();
        self.held = certificates
            .into_iter()
            .map(|certificate| Held { certificate, listed_at: now, origin: Origin::Download })
            .chain(kept)
            .collect();
        self.taken_at = Some(now);
        self.prune(now);
    }

    /// Drops what has ended and, if a later list is there, what that has left out for long enough.
    fn prune(&mut self, now: UnixTime) {
        let listed_last = self.taken_at;
        self.held.retain(|held| {
            let is_listed = listed_last.is_none_or(|last| held.listed_at >= last);
            held.certificate.key.is_valid(now) && (is_listed || now.since(held.listed_at) < UNLISTED_FOR)
        });
    }
}
