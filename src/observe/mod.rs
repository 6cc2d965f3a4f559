//! Metrics, audit and traces. The pipeline opens a [`Record`] for a callback, closes its stages as it goes, and hands it
//! back with the reason: nothing else of observing shows in the flow.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Event;
use crate::reason::Reason;

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

impl Observe {
    /// Starts the audit writer.
    pub fn new(audit: &AuditSettings) -> std::io::Result<Self> {
        let _ = audit;
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
}

impl Record {
    /// Ends a stage: the time since the last one ended is its own.
    pub fn close(&mut self, stage: Stage) {
        let _ = stage;
        unimplemented!()
    }

    /// Which endpoint it came to.
    pub fn endpoint(&mut self, name: &Arc<str>, protocol: &'static str) {
        let _ = (name, protocol);
        unimplemented!()
    }

    /// What it told, and by which key. Only authentic events are told.
    pub fn event(&mut self, event: &Event, signed_by: &Arc<str>) {
        let _ = (event, signed_by);
        unimplemented!()
    }
}
