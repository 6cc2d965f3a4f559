//! Metrics, audit and traces. The pipeline opens a [`Record`] for a callback, closes its stages as it goes, and hands it
//! back with the reason: nothing else of observing shows in the flow.

pub mod logs;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::clock::UnixTime;
use crate::reason::Reason;
use crate::wechat::Authentic;

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

/// Everything that observes. Cloning shares it.
#[derive(Clone)]
pub struct Observe {}

/// One callback under way.
pub struct Record {}

/// The metrics of one endpoint, with their labels resolved once.
pub struct EndpointMetrics {}

/// A connection that is counted while it is open.
pub struct ConnectionGuard {}

impl Observe {
    /// Starts the audit writer.
    pub fn new(audit: &AuditSettings) -> std::io::Result<Self> {
        let _ = audit;
        unimplemented!()
    }

    /// The metrics of the endpoint of this name; the same for every reload.
    pub fn endpoint(&self, name: &Arc<str>, protocol: &'static str) -> Arc<EndpointMetrics> {
        let _ = (name, protocol);
        unimplemented!()
    }

    /// A connection was opened; it is closed when the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard {
        unimplemented!()
    }

    /// A reload was taken or rejected.
    pub fn config_reloaded(&self, taken: bool) {
        let _ = taken;
        unimplemented!()
    }

    /// A callback begins.
    pub fn begin(&self, client: IpAddr) -> Record {
        let _ = client;
        unimplemented!()
    }

    /// A callback ends: counted, timed and audited, once.
    pub fn finish(&self, record: Record, reason: Reason, status: u16) {
        let _ = (record, reason, status);
        unimplemented!()
    }

    /// Writes out every audit record and ends the writer.
    pub async fn close(&self) {
        unimplemented!()
    }
}

impl Record {
    /// What came in, as far as a stranger's words may be recorded.
    pub fn request(&mut self, method: &Method, path: &str, headers: &HeaderMap) {
        let _ = (method, path, headers);
        unimplemented!()
    }

    /// Ends a stage: the time since the last one ended is its own.
    pub fn close(&mut self, stage: Stage) {
        let _ = stage;
        unimplemented!()
    }

    /// Which endpoint it came to.
    pub fn endpoint(&mut self, endpoint: &Arc<EndpointMetrics>) {
        let _ = endpoint;
        unimplemented!()
    }

    /// What it told, and by which key. Only authentic events are told. `now` gives the skew of the signed timestamp.
    pub fn authentic(&mut self, authentic: &Authentic, now: UnixTime) {
        let _ = (authentic, now);
        unimplemented!()
    }

    /// How often the event was claimed, this time included.
    pub fn attempt(&mut self, attempt: u32) {
        let _ = attempt;
        unimplemented!()
    }

    /// What the upstream answered; none if nothing.
    pub fn upstream(&mut self, status: Option<u16>) {
        let _ = status;
        unimplemented!()
    }

    /// For the operator: the words behind the reason.
    pub fn detail(&mut self, detail: &str) {
        let _ = detail;
        unimplemented!()
    }
}
