//! One callback under way, as metrics and the audit log will tell it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use serde::{Serialize, Serializer};

use super::metrics::{EndpointMetrics, LimitHit};
use super::{Observe, Stage};
use crate::clock::{Clock, UnixTime};
use crate::reason::Reason;
use crate::risk::Verdict;
use crate::risk::recorded::{Persons, Recorded};
use crate::wechat::Authentic;

/// WeChat's own number of a request, for questions to its support.
const REQUEST_ID: &str = "request-id";
/// Longest method that is recorded, in bytes.
const MAX_METHOD: usize = 16;
/// Longest path that is recorded, in bytes.
const MAX_PATH: usize = 256;
/// Longest other word that is recorded, in bytes.
pub(super) const MAX_WORD: usize = 128;
/// Longest detail that is recorded, in bytes.
pub(super) const MAX_DETAIL: usize = 512;

/// One callback under way. Dropped without an end (a panic, a caller who left) it ends by itself, so that there is one
/// record for every callback, whatever happens.
pub struct Record {
    observe: Observe,
    began: Instant,
    stage_began: Instant,
    stages: Stages,
    last: Option<Stage>,
    endpoint: Option<Arc<EndpointMetrics>>,
    told: Told,
    is_ended: bool,
}

/// The members of an audit line that are gathered on the way.
#[derive(Serialize)]
struct Told {
    client: IpAddr,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventTold>,
    /// Written as a member of [`Line`].
    #[serde(skip)]
    key: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Recorded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
}

#[derive(Serialize)]
struct EventTold {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    endpoint: Option<&'a str>,
    protocol: Option<&'static str>,
    outcome: &'static str,
    reason: &'static str,
    status: u16,
    #[serde(flatten)]
    told: &'a Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    total_us: u64,
    stages_us: &'a Stages,
}

/// How long each stage took, as far as the callback came.
#[derive(Default)]
struct Stages([Option<Duration>; Stage::ALL.len()]);

impl Stages {
    fn add(&mut self, stage: Stage, took: Duration) {
        if let Some(sum) = self.0.get_mut(stage as usize) {
            *sum = Some(sum.unwrap_or_default().saturating_add(took));
        }
    }

    fn of(&self, stage: Stage) -> Option<Duration> {
        self.0.get(stage as usize).copied().flatten()
    }

    fn passed(&self) -> impl Iterator<Item = (Stage, Duration)> {
        Stage::ALL.iter().copied().zip(self.0).filter_map(|(stage, took)| Some((stage, took?)))
    }
}

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.passed().map(|(stage, took)| (stage.name(), micros(took))))
    }
}

impl Record {
    pub(super) fn begin(observe: Observe, client: IpAddr) -> Self {
        let now = Instant::now();
        observe.metrics().in_flight.inc();
        Self {
            observe,
            began: now,
            stage_began: now,
            stages: Stages::default(),
            last: None,
            endpoint: None,
            told: Told {
                client: client.to_canonical(),
                method: String::new(),
                path: String::new(),
                request_id: None,
                detail: String::new(),
                event: None,
                key: None,
                attempt: None,
                verdict: None,
                facts: None,
                upstream_status: None,
            },
            is_ended: false,
        }
    }

    /// What came in, as far as a stranger's words may be recorded.
    pub fn request(&mut self, method: &Method, path: &str, headers: &HeaderMap) {
        self.told.method = printable(method.as_str(), MAX_METHOD);
        self.told.path = printable(path, MAX_PATH);
        let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        self.told.request_id = request_id.map(|id| printable(id, MAX_WORD));
    }

    /// Ends a stage: the time since the last one ended is its own.
    pub fn close(&mut self, stage: Stage) {
        let now = Instant::now();
        self.stages.add(stage, now.duration_since(self.stage_began));
        self.stage_began = now;
        self.last = Some(stage);
    }

    /// Which endpoint it came to.
    pub fn endpoint(&mut self, endpoint: &Arc<EndpointMetrics>) {
        self.endpoint = Some(Arc::clone(endpoint));
    }

    /// What it told, and by which key. Only authentic events are told. `now` gives the skew of the signed timestamp.
    pub fn authentic(&mut self, authentic: &Authentic, now: UnixTime) {
        let event = authentic.event();
        self.told.event = Some(EventTold {
            id: printable(&event.id, MAX_WORD),
            kind: printable(&event.kind, MAX_WORD),
            subject: event.subject.as_deref().map(|subject| printable(subject, MAX_WORD)),
        });
        self.told.key = Some(Arc::clone(authentic.signed_by()));
        if let Some(endpoint) = &self.endpoint {
            endpoint.verified(authentic.signed_by(), now);
        }
        if let Some(freshness) = authentic.freshness() {
            let (later, earlier) = (now.since(freshness.signed_at), freshness.signed_at.since(now));
            self.observe.metrics().clock_skew.set(later.as_secs_f64() - earlier.as_secs_f64());
        }
    }

    /// How often the event was claimed, this time included.
    pub fn attempt(&mut self, attempt: u32) {
        self.told.attempt = Some(attempt);
    }

    /// What rules saw, so that other rules can judge the event again. Not asked for if nobody would read it.
    pub fn facts(&mut self, recorded: impl FnOnce(Persons) -> Recorded) {
        self.told.facts = self.observe.facts().map(recorded);
    }

    /// What rules decided; nothing is told where there are none.
    pub fn judged(&mut self, verdict: &Verdict) {
        if verdict.sets().is_empty() {
            return;
        }
        self.told.verdict = Some(verdict.clone());
        if let Some(endpoint) = &self.endpoint {
            endpoint.judged(verdict);
        }
    }

    /// What the upstream answered; none if nothing.
    pub fn upstream(&mut self, status: Option<u16>) {
        self.told.upstream_status = status;
        if let Some(endpoint) = &self.endpoint {
            endpoint.upstream(status);
        }
    }

    /// For the operator: the words behind the reason.
    pub fn detail(&mut self, detail: &str) {
        self.told.detail = printable(detail, MAX_DETAIL);
    }

    /// Counts, times and audits it, once.
    pub(super) fn end(&mut self, reason: Reason, status: u16) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        let took = self.began.elapsed();
        let metrics = self.observe.metrics();
        metrics.in_flight.dec();
        for (stage, took) in self.stages.passed() {
            metrics.stage(stage, took.as_secs_f64());
        }
        let endpoint = self.endpoint.as_ref().unwrap_or_else(|| self.observe.no_endpoint());
        endpoint.ended(reason, took.as_secs_f64());
        if let Some(took) = self.stages.of(Stage::Forward) {
            endpoint.forwarded_within(took.as_secs_f64());
        }
        if let Some(limit) = LimitHit::of(reason, self.last) {
            endpoint.limited(limit);
        }
        if self.observe.audit().is_on() {
            self.audit(reason, status, took);
        }
    }

    fn audit(&self, reason: Reason, status: u16, took: Duration) {
        let line = Line {
            time: timestamp(Clock::System.now()),
            endpoint: self.endpoint.as_ref().map(|endpoint| endpoint.name()),
            protocol: self.endpoint.as_ref().map(|endpoint| endpoint.protocol()),
            outcome: reason.outcome().code(),
            reason: reason.code(),
            status,
            told: &self.told,
            key: self.told.key.as_deref(),
            total_us: micros(took),
            stages_us: &self.stages,
        };
        self.observe.write_line(|| line);
    }
}

impl Drop for Record {
    /// A caller who leaves while his body is awaited broke the body off: a stranger must not be able to cause what
    /// wakes somebody up. Everything else that has no end is a fault of ours.
    fn drop(&mut self) {
        let awaits_body = matches!(self.last, Some(Stage::Screen)) && !std::thread::panicking();
        let reason = if awaits_body { Reason::BodyTimeout } else { Reason::InternalError };
        self.end(reason, reason.status());
    }
}

/// At most `max` bytes, without what moves a terminal's cursor.
pub(super) fn printable(text: &str, max: usize) -> String {
    let cut = text.get(..text.floor_char_boundary(max)).unwrap_or_default();
    if cut.contains(char::is_control) { cut.replace(char::is_control, "?") } else { cut.to_owned() }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn timestamp(time: UnixTime) -> String {
    jiff::Timestamp::from_millisecond(time.millis()).map(|time| format!("{time:.3}")).unwrap_or_default()
}
