//! Metrics, audit and traces. The pipeline opens a [`Record`] for a callback, closes its stages as it goes, and hands it
//! back with the reason: nothing else of observing shows in the flow.

mod audit;
mod deeds;
pub mod logs;
pub mod metrics;
mod record;
mod reloads;
mod verdicts;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntGauge;

use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::risk::RuleSet;
use crate::risk::recorded::Persons;
use audit::Audit;
pub use deeds::{Action, Delivery, DeliveryEnd};
pub use metrics::{DownloadMetrics, DownloadResult, EndpointMetrics, KeyUse};
use metrics::{Metrics, NO_ENDPOINT};
pub use record::Record;
pub use reloads::Reload;
pub use verdicts::RuleTally;

/// The stages of the pipeline, as in `wxgate_stage_seconds{stage}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Route, limits.
    Admit,
    /// Headers.
    Screen,
    /// Body read.
    Read,
    /// Signature.
    Verify,
    /// Decryption.
    Open,
    /// Store, first round trip.
    Claim,
    /// Rules.
    Decide,
    /// Upstream.
    Forward,
    /// Store, last round trip.
    Settle,
}

impl Stage {
    /// Every stage, in the order of the pipeline.
    pub const ALL: &[Self] = &[
        Self::Admit,
        Self::Screen,
        Self::Read,
        Self::Verify,
        Self::Open,
        Self::Claim,
        Self::Decide,
        Self::Forward,
        Self::Settle,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Screen => "screen",
            Self::Read => "read",
            Self::Verify => "verify",
            Self::Open => "open",
            Self::Claim => "claim",
            Self::Decide => "decide",
            Self::Forward => "forward",
            Self::Settle => "settle",
        }
    }
}

/// `[audit]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where records go.
    pub target: AuditTarget,
    /// A file is rotated when it is larger, in bytes.
    pub max_size: u64,
    /// Or older.
    pub max_age: Duration,
    /// How many rotated files are kept.
    pub keep: usize,
    /// What is recorded of events for judging them again; none: nothing.
    pub facts: Option<Persons>,
}

/// `audit.path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// `"stdout"`
    Stdout,
    /// A file, appended to.
    File(PathBuf),
    /// No audit (tests).
    Off,
}

/// What is not counted but read, when the metrics are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Addresses banned, over all endpoints.
    pub bans_active: usize,
    /// Whether the store can promise something.
    pub is_store_up: bool,
    /// How often requests to the store failed since the start: what was asked, the kind of the failure, and how often.
    pub store_failures: Vec<(&'static str, &'static str, u64)>,
    /// Claims that this node answered alone since the start, because the store was out.
    pub answered_locally: u64,
    /// Ends of the certificates that are trusted.
    pub expiries: Vec<KeyExpiry>,
    /// Whether the upstream of each endpoint could be connected to at the last try.
    pub upstreams: Vec<(Arc<str>, bool)>,
    /// How full the queues are.
    pub queues: Vec<QueueReading>,
    /// Rows of queues that did not open, since the start.
    pub quarantined: u64,
}

/// How full a queue of an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReading {
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The queue's name.
    pub queue: &'static str,
    /// Events in it.
    pub events: usize,
    /// How long the oldest has been in it; zero if there is none.
    pub oldest: Duration,
}

/// When the certificate of a key ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExpiry {
    /// The endpoint's name.
    pub endpoint: Arc<str>,
    /// The key's id.
    pub key: Arc<str>,
    /// The end.
    pub not_after: UnixTime,
}

/// Everything that observes. Cloning shares it.
#[derive(Clone)]
pub struct Observe(Arc<Shared>);

/// Name and protocol.
type EndpointId = (Arc<str>, &'static str);

struct Shared {
    metrics: Metrics,
    audit: Audit,
    facts: Option<Persons>,
    /// A reload that changes neither goes on counting where it was.
    endpoints: Mutex<HashMap<EndpointId, Arc<EndpointMetrics>>>,
    no_endpoint: Arc<EndpointMetrics>,
}

/// A connection that is counted while it is open.
pub struct ConnectionGuard(IntGauge);

impl Observe {
    /// Starts the audit writer.
    pub fn new(audit: &AuditSettings) -> io::Result<Self> {
        let metrics = Metrics::new();
        let facts = audit.facts;
        let audit = Audit::start(audit, metrics.audit_dropped.clone())?;
        let no_endpoint = Arc::new(metrics.endpoint(&Arc::from(NO_ENDPOINT), ""));
        Ok(Self(Arc::new(Shared { metrics, audit, facts, endpoints: Mutex::default(), no_endpoint })))
    }

    /// The metrics of the endpoint of this name; the same for every reload.
    pub fn endpoint(&self, name: &Arc<str>, protocol: &'static str) -> Arc<EndpointMetrics> {
        let mut endpoints = self.0.endpoints.lock();
        let of_endpoint = endpoints
            .entry((Arc::clone(name), protocol))
            .or_insert_with(|| Arc::new(self.0.metrics.endpoint(name, protocol)));
        Arc::clone(of_endpoint)
    }

    /// A connection was opened; it is closed when the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard {
        let open = self.0.metrics.connections.clone();
        open.inc();
        ConnectionGuard(open)
    }

    /// The metrics of a merchant's downloads of platform certificates; the same for every reload.
    pub fn downloads(&self, mchid: &str) -> DownloadMetrics {
        self.0.metrics.downloads(mchid)
    }

    /// The gateway starts with a configuration.
    pub fn config_loaded(&self, now: UnixTime) {
        self.0.metrics.reloads.started(now);
    }

    /// A reload was taken or rejected.
    pub fn config_reloaded(&self, reload: Reload, now: UnixTime) {
        self.0.metrics.reloads.ended(reload, now);
    }

    /// These rule sets are at work from now on.
    pub fn rules_loaded<'s>(&self, sets: impl Iterator<Item = &'s Arc<RuleSet>>) {
        self.0.metrics.rules_loaded(sets);
    }

    /// What a rule did since the start.
    pub fn rule(&self, id: &str) -> RuleTally {
        self.0.metrics.tallies().lock().rule(id)
    }

    /// Since when a set is at work as it is.
    pub fn rules_loaded_at(&self, set: &RuleSet) -> Option<UnixTime> {
        self.0.metrics.tallies().lock().loaded_at(set)
    }

    /// A callback begins.
    pub fn begin(&self, client: IpAddr) -> Record {
        Record::begin(self.clone(), client)
    }

    /// A callback ends: counted, timed and audited, once.
    pub fn finish(&self, mut record: Record, reason: Reason, status: u16) {
        record.end(reason, status);
    }

    /// Takes over what is read and not counted, before [`Observe::render`].
    pub fn read(&self, readings: &Readings) {
        self.0.metrics.read(readings);
    }

    /// The metrics in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.metrics.render()
    }

    /// Writes out every audit record and ends the writer.
    pub async fn close(&self) {
        let observe = self.clone();
        if tokio::task::spawn_blocking(move || observe.0.audit.close()).await.is_err() {
            tracing::error!("the audit log was not closed cleanly");
        }
    }

    /// Writes a line of the audit log, if anybody reads it.
    fn write_line<L: serde::Serialize>(&self, line: impl FnOnce() -> L) {
        if !self.0.audit.is_on() {
            return;
        }
        let mut bytes = Vec::with_capacity(512);
        match serde_json::to_writer(&mut bytes, &line()) {
            Ok(()) => {
                bytes.push(b'\n');
                self.0.audit.write(bytes);
            }
            Err(error) => {
                self.0.metrics.audit_dropped.inc();
                tracing::error!(%error, "an audit record cannot be written as JSON");
            }
        }
    }

    fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// How events are recorded for judging them again; none: not, or nobody reads it.
    fn facts(&self) -> Option<Persons> {
        self.0.facts.filter(|_| self.0.audit.is_on())
    }

    fn no_endpoint(&self) -> &Arc<EndpointMetrics> {
        &self.0.no_endpoint
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
