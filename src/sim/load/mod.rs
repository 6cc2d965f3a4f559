//! Load: callbacks that are signed beforehand, for signing costs some twenty-five times what checking costs, and then sent
//! over kept connections as fast as the gateway answers, or at a rate.
//!
//! At a rate the latency of a callback that had to wait for a free connection counts from when it was due, not from when it
//! was sent: a gateway that stalls is not spared the callbacks that it kept from being sent.

mod connection;
mod prepare;
mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::keys::Keys;
use super::notify::unix_now;
use super::wire::{Target, TargetError};
use connection::Connection;
pub use prepare::{Kind, Prepared};
pub use report::{Latency, Report};

/// How old a signature may grow before its callback is sent, in seconds: within the window of 300.
const FRESH_FOR: u64 = 280;
/// Most callbacks of one run: some two gigabytes.
const MAX_CALLBACKS: usize = 1_000_000;
/// Longest time for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is sent, and how.
#[derive(Clone)]
pub struct Settings {
    /// The endpoint, a `http://` URL.
    pub target: String,
    /// Connections that are kept.
    pub connections: usize,
    /// Callbacks a second; none: each connection sends when it has got its answer.
    pub rate: Option<f64>,
    /// Most callbacks.
    pub callbacks: usize,
    /// Longest time of sending.
    pub duration: Duration,
    /// Share of callbacks, 0 to 1, that are further tries of an earlier event, signed afresh.
    pub duplicates: f64,
    /// Share of callbacks, 0 to 1, whose signature is forged.
    pub forged: f64,
}

/// Why no load can be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Numbers that make no sense.
    #[error("{0}")]
    Settings(&'static str),
    /// The key.
    #[error("the key of the platform certificate cannot be read")]
    Key,
    /// It would take so long that signatures are stale before they are sent.
    #[error(
        "signing took {signing} s and sending would take {sending} s, but signatures last {FRESH_FOR} s: ask for fewer callbacks"
    )]
    Stale {
        /// Seconds of signing.
        signing: u64,
        /// Seconds of sending.
        sending: u64,
    },
}

impl Settings {
    /// How many callbacks are to be made.
    fn planned(&self) -> Result<usize, LoadError> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        if !is_share(self.duplicates) || !is_share(self.forged) || self.duplicates + self.forged > 1.0 {
            return Err(LoadError::Settings("shares lie between 0 and 1, and so does their sum"));
        }
        if self.connections == 0 {
            return Err(LoadError::Settings("there must be at least one connection"));
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(LoadError::Settings("the rate must be above 0"));
        }
        if self.callbacks == 0 || self.callbacks > MAX_CALLBACKS {
            return Err(LoadError::Settings("callbacks lie between 1 and 1000000"));
        }
        // A rate fills the duration and no more; `as` saturates, and what is cut off is a part of one callback.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fitting = self.rate.map_or(usize::MAX, |rate| (rate * self.duration.as_secs_f64()).ceil() as usize);
        Ok(self.callbacks.min(fitting.max(1)))
    }
}

/// Signs everything that will be sent, on all cores. Takes its time: half a millisecond a callback and core.
pub async fn prepare(settings: &Settings, keys: &Keys) -> Result<Prepared, LoadError> {
    let planned = settings.planned()?;
    let target = Target::find(&settings.target).await?;
    let (settings, keys) = (settings.clone(), keys.clone());
    let prepared = tokio::task::spawn_blocking(move || prepare::prepare(&settings, &keys, target, planned)).await;
    prepared.map_err(|_| LoadError::Key)?
}

/// Sends what was prepared and measures.
pub async fn send(settings: &Settings, prepared: Prepared) -> Result<Report, LoadError> {
    let signing = unix_now().abs_diff(prepared.signed_from);
    let sending = settings.duration.as_secs();
    if signing.saturating_add(sending) > FRESH_FOR && signing > 0 {
        return Err(LoadError::Stale { signing, sending });
    }
    let run = Arc::new(Run {
        prepared,
        next: AtomicUsize::new(0),
        gap: settings.rate.map(|rate| 1.0 / rate),
        begun: Instant::now(),
        ends: settings.duration,
    });
    let senders: Vec<_> = (0..settings.connections).map(|_| tokio::spawn(sender(Arc::clone(&run)))).collect();
    let mut records = Vec::new();
    for sender in senders {
        records.extend(sender.await.unwrap_or_default());
    }
    let unsent = run.prepared.callbacks.len().saturating_sub(records.len());
    Ok(Report::new(&records, run.begun.elapsed(), unsent, run.prepared.signed_in))
}

struct Run {
    prepared: Prepared,
    next: AtomicUsize,
    /// Seconds between two callbacks, if there is a rate.
    gap: Option<f64>,
    begun: Instant,
    ends: Duration,
}

/// One callback and its answer.
#[derive(Clone, Copy, Debug)]
struct Record {
    kind: Kind,
    /// None: no answer.
    status: Option<u16>,
    latency: Duration,
}

impl Run {
    /// Waits until the callback of this number is due; the result is from when its latency counts.
    async fn due(&self, number: usize) -> Instant {
        let Some(gap) = self.gap else { return Instant::now() };
        // Exact below 2^53 callbacks.
        #[allow(clippy::cast_precision_loss)]
        let after = Duration::try_from_secs_f64(number as f64 * gap).unwrap_or(Duration::MAX);
        let Some(due) = self.begun.checked_add(after) else { return Instant::now() };
        if due <= Instant::now() {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        // The timer's own lateness is no fault of the gateway's.
        Instant::now()
    }
}

async fn sender(run: Arc<Run>) -> Vec<Record> {
    let mut connection = Connection::new(run.prepared.target.address);
    let mut records = Vec::new();
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        let Some(callback) = run.prepared.callbacks.get(number) else { break };
        let from = run.due(number).await;
        if run.begun.elapsed() > run.ends {
            break;
        }
        let answered = tokio::time::timeout(ANSWER_WITHIN, connection.exchange(&callback.message)).await;
        let status = answered.ok().and_then(Result::ok);
        if status.is_none() {
            connection.close();
        }
        records.push(Record { kind: callback.kind, status, latency: from.elapsed() });
    }
    records
}

#[cfg(test)]
mod tests;
