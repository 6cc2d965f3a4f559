//! Every metric by name, and the registry that holds them. [`ALL`] is the one list: the metrics are made from it, and
//! `docs/metrics.md` is compared with it.
//!
//! A label value is a word of ours or a name of the configuration, never a stranger's text: nobody outside can make the
//! number of series grow.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::reloads::ReloadMetrics;
use super::verdicts::{EndpointVerdicts, RuleMetrics, SCORE_BUCKETS, Tallies};
use super::{DeliveryEnd, Readings, Stage};
use crate::clock::UnixTime;
use crate::reason::{Outcome, Reason};
use crate::risk::{RuleSet, Verdict};

/// The endpoint label of callbacks that came to no endpoint.
pub const NO_ENDPOINT: &str = "-";

/// Around WeChat's own limits: it waits 5 s, and a forward may take almost as long.
const REQUEST_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 4.0, 5.0, 10.0];
/// From a hash map lookup to an upstream that is slow.
const STAGE_BUCKETS: &[f64] =
    &[0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Statuses of HTTP that an upstream may answer, and so many series of it: 100 to 599.
const STATUSES: usize = 500;
/// Keys of one endpoint that are counted apart; further ones together, as `other`. Nobody configures so many: it is a
/// bound, not a feature.
const MAX_KEYS: usize = 64;

/// A metric as it is documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Full name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    help: &'static str,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $constant:ident = $kind:literal $name:literal { $($label:ident),* };)+) => {
        $(const $constant: Metric =
            Metric { name: $name, kind: $kind, labels: &[$(stringify!($label)),*], help: concat!($($help),+) };)+

        /// Every metric of the gateway's own, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    /// Callbacks that ended, by how and why
    REQUESTS = "counter" "wxgate_requests_total" { endpoint, outcome, reason };
    /// Time from a callback's head to its answer
    REQUEST_SECONDS = "histogram" "wxgate_request_seconds" { endpoint, outcome };
    /// Time spent in each stage of the pipeline
    STAGE_SECONDS = "histogram" "wxgate_stage_seconds" { stage };
    /// Callbacks under way
    IN_FLIGHT = "gauge" "wxgate_in_flight" {};
    /// Connections open on the callback listeners
    CONNECTIONS = "gauge" "wxgate_connections" {};
    /// Callbacks stopped by a limit
    RATE_LIMITED = "counter" "wxgate_rate_limited_total" { endpoint, limit };
    /// Addresses that are banned now, over all endpoints
    BANS_ACTIVE = "gauge" "wxgate_bans_active" {};
    /// Authentic callbacks by the key that verified them
    VERIFIED = "counter" "wxgate_verified_total" { endpoint, key };
    /// When the certificate of a key ends
    KEY_EXPIRES = "gauge" "wxgate_key_expires_timestamp_seconds" { endpoint, key };
    /// Downloads of platform certificates, by how they ended
    KEY_DOWNLOADS = "counter" "wxgate_keys_downloads_total" { mchid, result };
    /// When platform certificates were last downloaded
    KEYS_DOWNLOADED = "gauge" "wxgate_keys_downloaded_timestamp_seconds" { mchid };
    /// Time of one forward
    UPSTREAM_SECONDS = "histogram" "wxgate_upstream_seconds" { endpoint };
    /// Forwards by the status that the upstream answered, none if it did not answer
    UPSTREAM_REQUESTS = "counter" "wxgate_upstream_requests_total" { endpoint, status };
    /// 1 unless the last try to connect failed for every URL of the endpoint
    UPSTREAM_UP = "gauge" "wxgate_upstream_up" { endpoint };
    /// 1 while the store can promise something, else 0
    STORE_UP = "gauge" "wxgate_store_up" {};
    /// Requests to a store behind a network that failed
    STORE_ERRORS = "counter" "wxgate_store_errors_total" { op, kind };
    /// Scores of judged events
    RISK_SCORE = "histogram" "wxgate_risk_score" { endpoint };
    /// Judged events by what becomes of them, and by what would if rules in shadow acted
    VERDICTS = "counter" "wxgate_verdicts_total" { action, shadow_action };
    /// Rules that hit
    RULE_HITS = "counter" "wxgate_rule_hits_total" { ruleset, rule, mode };
    /// Rules whose condition could not be had for an event
    RULE_ERRORS = "counter" "wxgate_rule_errors_total" { ruleset, rule };
    /// Exceptions that kept a rule from hitting
    RULE_EXCEPTIONS = "counter" "wxgate_rule_exceptions_total" { rule, exception };
    /// Always 1; the labels say which rule sets are at work
    RULES_INFO = "gauge" "wxgate_rules_info" { ruleset, digest, version };
    /// What was done without something that belongs to it
    DEGRADED = "counter" "wxgate_degraded_total" { what };
    /// Events in each queue
    QUEUE_EVENTS = "gauge" "wxgate_queue_events" { endpoint, queue };
    /// How long the oldest event of a queue has been in it
    QUEUE_OLDEST = "gauge" "wxgate_queue_oldest_seconds" { endpoint, queue };
    /// Rows of queues that did not open
    QUEUE_QUARANTINED = "counter" "wxgate_queue_quarantined_total" {};
    /// Attempts at deliveries out of the queue
    DELIVERIES = "counter" "wxgate_deliveries_total" { endpoint, result };
    /// Reloads of the configuration
    CONFIG_RELOADS = "counter" "wxgate_config_reloads_total" { result };
    /// 1 while the configuration of the file is at work, 0 while the last reload was rejected
    CONFIG_RELOAD_OK = "gauge" "wxgate_config_reload_ok" {};
    /// When the configuration that is at work was taken
    CONFIG_LOADED = "gauge" "wxgate_config_loaded_timestamp_seconds" {};
    /// 1 while the file has a change that takes a restart
    CONFIG_RESTART = "gauge" "wxgate_config_restart_needed" {};
    /// Audit records that were lost
    AUDIT_DROPPED = "counter" "wxgate_audit_dropped_total" {};
    /// Our clock less the timestamp of the last authentic callback
    CLOCK_SKEW = "gauge" "wxgate_clock_skew_seconds" {};
    /// Always 1; the labels say what runs
    BUILD_INFO = "gauge" "wxgate_build_info" { version, commit };
}

/// The limits, in the order of [`EndpointMetrics::limited`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LimitHit {
    PerIp,
    Total,
    FailuresPerIp,
}

impl LimitHit {
    const ALL: [Self; 3] = [Self::PerIp, Self::Total, Self::FailuresPerIp];

    const fn label(self) -> &'static str {
        match self {
            Self::PerIp => "per_ip",
            Self::Total => "total",
            Self::FailuresPerIp => "failures_per_ip",
        }
    }

    /// Limits are asked at two places: the address's own before anything else, the total once the callback is known to
    /// be authentic. So the reason and the stage that a callback came to say which one it was.
    pub(super) fn of(reason: Reason, last: Option<Stage>) -> Option<Self> {
        if reason == Reason::Banned {
            return Some(Self::FailuresPerIp);
        }
        let is_authentic = matches!(last, Some(Stage::Open));
        (reason == Reason::RateLimited).then_some(if is_authentic { Self::Total } else { Self::PerIp })
    }
}

/// All metrics, registered.
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    stages: Vec<Histogram>,
    rate_limited: IntCounterVec,
    verified: IntCounterVec,
    key_expires: IntGaugeVec,
    /// The series of `key_expires` that there are.
    expiring: Mutex<Vec<(Arc<str>, Arc<str>)>>,
    key_downloads: IntCounterVec,
    keys_downloaded: IntGaugeVec,
    upstream_seconds: HistogramVec,
    upstream_requests: IntCounterVec,
    upstream_up: IntGaugeVec,
    bans_active: IntGauge,
    store_up: IntGauge,
    store_errors: IntCounterVec,
    /// Claims that were answered without the store that nodes share.
    without_store: IntCounter,
    rules: RuleMetrics,
    queue_events: IntGaugeVec,
    queue_oldest: IntGaugeVec,
    quarantined: IntCounter,
    deliveries: IntCounterVec,
    pub(super) reloads: ReloadMetrics,
    pub(super) in_flight: IntGauge,
    pub(super) connections: IntGauge,
    pub(super) audit_dropped: IntCounter,
    pub(super) clock_skew: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let registry = Registry::new();
        let counters = |metric: Metric| registered(&registry, IntCounterVec::new(metric.opts(), metric.labels));
        let gauge = |metric: Metric| registered(&registry, IntGauge::with_opts(metric.opts()));
        let histograms = |metric: Metric, buckets: &[f64]| {
            let opts = HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec());
            registered(&registry, HistogramVec::new(opts, metric.labels))
        };
        let stage_seconds = histograms(STAGE_SECONDS, STAGE_BUCKETS);
        let reloads = counters(CONFIG_RELOADS);
        let degraded = counters(DEGRADED);
        let build = registered(&registry, IntGaugeVec::new(BUILD_INFO.opts(), BUILD_INFO.labels));
        let commit = option_env!("WXGATE_COMMIT").unwrap_or("unknown");
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), commit]).set(1);
        #[cfg(target_os = "linux")]
        registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
            .expect("its names are not ours, and it is registered once");
        Self {
            requests: counters(REQUESTS),
            request_seconds: histograms(REQUEST_SECONDS, REQUEST_BUCKETS),
            stages: Stage::ALL.iter().map(|stage| stage_seconds.with_label_values(&[stage.name()])).collect(),
            rate_limited: counters(RATE_LIMITED),
            verified: counters(VERIFIED),
            key_expires: registered(&registry, IntGaugeVec::new(KEY_EXPIRES.opts(), KEY_EXPIRES.labels)),
            expiring: Mutex::default(),
            key_downloads: counters(KEY_DOWNLOADS),
            keys_downloaded: registered(&registry, IntGaugeVec::new(KEYS_DOWNLOADED.opts(), KEYS_DOWNLOADED.labels)),
            upstream_seconds: histograms(UPSTREAM_SECONDS, REQUEST_BUCKETS),
            upstream_requests: counters(UPSTREAM_REQUESTS),
            upstream_up: registered(&registry, IntGaugeVec::new(UPSTREAM_UP.opts(), UPSTREAM_UP.labels)),
            bans_active: gauge(BANS_ACTIVE),
            store_up: gauge(STORE_UP),
            store_errors: counters(STORE_ERRORS),
            without_store: degraded.with_label_values(&["store"]),
            rules: RuleMetrics {
                scores: histograms(RISK_SCORE, SCORE_BUCKETS),
                verdicts: counters(VERDICTS),
                hits: counters(RULE_HITS),
                errors: counters(RULE_ERRORS),
                exceptions: counters(RULE_EXCEPTIONS),
                info: registered(&registry, IntGaugeVec::new(RULES_INFO.opts(), RULES_INFO.labels)),
                degraded: degraded.with_label_values(&["verdict"]),
                tallies: Arc::default(),
            },
            queue_events: registered(&registry, IntGaugeVec::new(QUEUE_EVENTS.opts(), QUEUE_EVENTS.labels)),
            queue_oldest: registered(&registry, IntGaugeVec::new(QUEUE_OLDEST.opts(), QUEUE_OLDEST.labels)),
            quarantined: registered(&registry, IntCounter::with_opts(QUEUE_QUARANTINED.opts())),
            deliveries: counters(DELIVERIES),
            reloads: ReloadMetrics {
                taken: reloads.with_label_values(&["taken"]),
                rejected: reloads.with_label_values(&["rejected"]),
                is_ok: gauge(CONFIG_RELOAD_OK),
                loaded_at: gauge(CONFIG_LOADED),
                restart_needed: gauge(CONFIG_RESTART),
            },
            in_flight: gauge(IN_FLIGHT),
            connections: gauge(CONNECTIONS),
            audit_dropped: registered(&registry, IntCounter::with_opts(AUDIT_DROPPED.opts())),
            clock_skew: registered(&registry, Gauge::with_opts(CLOCK_SKEW.opts())),
            registry,
        }
    }

    /// The children of one endpoint. All of them exist from the start, so that the first event of a kind is an increase.
    pub(super) fn endpoint(&self, name: &Arc<str>, protocol: &'static str) -> EndpointMetrics {
        let of_reason =
            |reason: &Reason| self.requests.with_label_values(&[&**name, reason.outcome().code(), reason.code()]);
        EndpointMetrics {
            name: Arc::clone(name),
            protocol,
            requests: Reason::ALL.iter().map(of_reason).collect(),
            seconds: Outcome::ALL
                .iter()
                .map(|outcome| self.request_seconds.with_label_values(&[&**name, outcome.code()]))
                .collect(),
            limited: LimitHit::ALL.map(|limit| self.rate_limited.with_label_values(&[&**name, limit.label()])),
            verified: self.verified.clone(),
            verified_by: ArcSwap::default(),
            verdicts: self.rules.endpoint(name),
            upstream_seconds: self.upstream_seconds.with_label_values(&[&**name]),
            upstream_requests: self.upstream_requests.clone(),
            upstream_statuses: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            upstream_none: self.upstream_requests.with_label_values(&[&**name, "none"]),
            deliveries: DeliveryEnd::ALL.map(|end| self.deliveries.with_label_values(&[&**name, end.name()])),
        }
    }

    pub(super) fn downloads(&self, mchid: &str) -> DownloadMetrics {
        DownloadMetrics {
            ended: DownloadResult::ALL.map(|result| self.key_downloads.with_label_values(&[mchid, result.code()])),
            taken_at: self.keys_downloaded.with_label_values(&[mchid]),
        }
    }

    pub(super) fn rules_loaded<'s>(&self, sets: impl Iterator<Item = &'s Arc<RuleSet>>) {
        self.rules.loaded(sets);
    }

    pub(super) fn tallies(&self) -> &Mutex<Tallies> {
        &self.rules.tallies
    }

    pub(super) fn stage(&self, stage: Stage, seconds: f64) {
        if let Some(histogram) = self.stages.get(stage as usize) {
            histogram.observe(seconds);
        }
    }

    /// Takes over what is read and not counted. A certificate that is no longer configured is no longer told, so that it
    /// alerts nobody.
    pub(super) fn read(&self, readings: &Readings) {
        self.bans_active.set(i64::try_from(readings.bans_active).unwrap_or(i64::MAX));
        self.store_up.set(i64::from(readings.is_store_up));
        let mut expiring = self.expiring.lock();
        self.read_store(readings);
        self.read_queues(readings);
        self.upstream_up.reset();
        for (endpoint, is_up) in &readings.upstreams {
            self.upstream_up.with_label_values(&[&**endpoint]).set(i64::from(*is_up));
        }
        let before = std::mem::take(&mut *expiring);
        for expiry in &readings.expiries {
            self.key_expires.with_label_values(&[&*expiry.endpoint, &*expiry.key]).set(expiry.not_after.secs());
            expiring.push((Arc::clone(&expiry.endpoint), Arc::clone(&expiry.key)));
        }
        for (endpoint, key) in before.iter().filter(|series| !expiring.contains(series)) {
            // It fails only if there is no such series, which is what is wanted.
            let _ = self.key_expires.remove_label_values(&[&**endpoint, &**key]);
        }
    }

    /// Under the lock of [`Metrics::read`], so that two readers do not count one rise twice.
    fn read_store(&self, readings: &Readings) {
        for (op, kind, failures) in &readings.store_failures {
            let counter = self.store_errors.with_label_values(&[op, kind]);
            counter.inc_by(failures.saturating_sub(counter.get()));
        }
        self.without_store.inc_by(readings.answered_locally.saturating_sub(self.without_store.get()));
    }

    /// Under the same lock.
    fn read_queues(&self, readings: &Readings) {
        self.quarantined.inc_by(readings.quarantined.saturating_sub(self.quarantined.get()));
        self.queue_events.reset(); // an endpoint that is no longer configured and has no rows is no longer told
        self.queue_oldest.reset();
        for reading in &readings.queues {
            let labels = [&*reading.endpoint, reading.queue];
            let events = i64::try_from(reading.events).unwrap_or(i64::MAX);
            self.queue_events.with_label_values(&labels).set(events);
            let oldest = i64::try_from(reading.oldest.as_secs()).unwrap_or(i64::MAX);
            self.queue_oldest.with_label_values(&labels).set(oldest);
        }
    }

    /// The exposition format, version 0.0.4.
    pub(super) fn render(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }
}

/// The metrics of one endpoint, with their labels resolved once.
pub struct EndpointMetrics {
    name: Arc<str>,
    protocol: &'static str,
    requests: Vec<IntCounter>,
    seconds: Vec<Histogram>,
    limited: [IntCounter; 3],
    verified: IntCounterVec,
    /// The children of `verified` by key. A handful: looked through, not hashed.
    verified_by: ArcSwap<Vec<Verified>>,
    verdicts: EndpointVerdicts,
    upstream_seconds: Histogram,
    upstream_requests: IntCounterVec,
    /// The children of `upstream_requests` from status 100 on, made when the status is first seen.
    upstream_statuses: Box<[OnceLock<IntCounter>]>,
    upstream_none: IntCounter,
    deliveries: [IntCounter; 3],
}

/// The callbacks that one key verified.
#[derive(Clone)]
struct Verified {
    key: Arc<str>,
    counter: IntCounter,
    /// Milliseconds since the epoch.
    last: Arc<AtomicI64>,
}

/// What a key has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Its id.
    pub key: Arc<str>,
    /// How many callbacks.
    pub verified: u64,
    /// The last of them.
    pub last: UnixTime,
}

impl Verified {
    fn count(&self, now: UnixTime) {
        self.counter.inc();
        self.last.store(now.millis(), Ordering::Relaxed);
    }
}

/// How a download of platform certificates ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownloadResult {
    /// It brought certificates.
    Taken,
    /// The merchant has none, only public keys.
    NoCertificates,
    /// There was no answer.
    Unreachable,
    /// WeChat refused.
    Refused,
    /// The answer proved nothing.
    Invalid,
}

impl DownloadResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Taken, Self::NoCertificates, Self::Unreachable, Self::Refused, Self::Invalid];

    /// The stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::NoCertificates => "no-certificates",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
        }
    }
}

/// The metrics of one merchant's downloads.
pub struct DownloadMetrics {
    ended: [IntCounter; 5],
    taken_at: IntGauge,
}

impl DownloadMetrics {
    /// A download ended.
    pub fn ended(&self, result: DownloadResult) {
        if let Some(counter) = self.ended.get(result as usize) {
            counter.inc();
        }
    }

    /// When the last good one was.
    pub fn taken_at(&self, time: UnixTime) {
        self.taken_at.set(time.secs());
    }
}

impl EndpointMetrics {
    /// An event was judged by rules.
    pub fn judged(&self, verdict: &Verdict) {
        self.verdicts.judged(verdict);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn protocol(&self) -> &'static str {
        self.protocol
    }

    pub(super) fn ended(&self, reason: Reason, seconds: f64) {
        if let Some(counter) = self.requests.get(reason as usize) {
            counter.inc();
        }
        if let Some(histogram) = self.seconds.get(reason.outcome() as usize) {
            histogram.observe(seconds);
        }
    }

    pub(super) fn limited(&self, limit: LimitHit) {
        if let Some(counter) = self.limited.get(limit as usize) {
            counter.inc();
        }
    }

    /// `key` is a configured or downloaded key's id: only those verify anything.
    pub(super) fn verified(&self, key: &Arc<str>, now: UnixTime) {
        let known = self.verified_by.load();
        match known.iter().find(|of| Arc::ptr_eq(&of.key, key) || of.key == *key) {
            Some(of) => of.count(now),
            None if known.len() < MAX_KEYS => self.first_verified(key).count(now),
            None => self.verified.with_label_values(&[&*self.name, "other"]).inc(),
        }
    }

    fn first_verified(&self, key: &Arc<str>) -> Verified {
        let counter = self.verified.with_label_values(&[&*self.name, &**key]);
        let new = Verified { key: Arc::clone(key), counter, last: Arc::default() };
        self.verified_by.rcu(|known| {
            let mut more = Vec::clone(known);
            more.push(new.clone());
            more
        });
        new
    }

    /// What each key has verified since the process began, the keys that verified nothing left out.
    pub fn key_uses(&self) -> Vec<KeyUse> {
        let of = |of: &Verified| KeyUse {
            key: Arc::clone(&of.key),
            verified: of.counter.get(),
            last: UnixTime::from_millis(of.last.load(Ordering::Relaxed)),
        };
        self.verified_by.load().iter().map(of).collect()
    }

    /// A status outside 100 to 599 shares one series, so that there are never more than 502.
    pub(super) fn upstream(&self, status: Option<u16>) {
        let Some(status) = status else { return self.upstream_none.inc() };
        let labelled = |label: &str| self.upstream_requests.with_label_values(&[&*self.name, label]);
        let known = usize::from(status).checked_sub(100).and_then(|at| self.upstream_statuses.get(at));
        match known {
            Some(counter) => counter.get_or_init(|| labelled(&status.to_string())).inc(),
            None => labelled("other").inc(),
        }
    }

    pub(super) fn delivery(&self, end: DeliveryEnd) {
        if let Some(counter) = self.deliveries.get(end as usize) {
            counter.inc();
        }
    }

    pub(super) fn forwarded_within(&self, seconds: f64) {
        self.upstream_seconds.observe(seconds);
    }
}

impl Metric {
    fn opts(self) -> Opts {
        Opts::new(self.name, self.help)
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("names and labels are constants, and a test makes them all");
    registry.register(Box::new(collector.clone())).expect("each constant is registered once, and a test does it");
    collector
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::observe::{KeyExpiry, QueueReading};

    fn expiry(endpoint: &str, key: &str, secs: i64) -> KeyExpiry {
        KeyExpiry { endpoint: Arc::from(endpoint), key: Arc::from(key), not_after: UnixTime::from_secs(secs) }
    }

    #[test]
    fn every_listed_metric_is_rendered_with_its_kind_and_no_other_is() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint(&Arc::from("shop"), "pay-v3");
        endpoint.verified(&Arc::from("PUB_KEY_ID_1"), UnixTime::from_secs(1));
        metrics.downloads("1900000001").taken_at(UnixTime::from_secs(1));
        endpoint.upstream(Some(200));
        metrics.rules.verdicts.with_label_values(&["hold", "hold"]).inc();
        metrics.rules.hits.with_label_values(&["set", "WXP-1001", "enforce"]).inc();
        metrics.rules.errors.with_label_values(&["set", "WXP-1001"]).inc();
        metrics.rules.exceptions.with_label_values(&["WXP-1001", "why"]).inc();
        metrics.rules.info.with_label_values(&["set", "0", "1"]).set(1);
        let queue = QueueReading { endpoint: "shop".into(), queue: "dead", events: 2, oldest: Duration::from_secs(9) };
        metrics.read(&Readings {
            expiries: vec![expiry("shop", "KEY", 1)],
            upstreams: vec![(Arc::from("shop"), true)],
            queues: vec![queue],
            store_failures: vec![("claim", "timeout", 1)],
            ..Readings::default()
        });
        let text = metrics.render();
        let rendered: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter(|line| line.starts_with("wxgate_"))
            .map(str::to_owned)
            .collect();
        let listed: BTreeSet<String> = ALL.iter().map(|metric| format!("{} {}", metric.name, metric.kind)).collect();
        assert_eq!(rendered, listed);
    }

    #[test]
    fn the_children_stand_in_the_order_of_their_enums() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint(&Arc::from("shop"), "pay-v3");
        for reason in Reason::ALL {
            endpoint.ended(*reason, 0.001);
        }
        for (times, limit) in (1..).zip(LimitHit::ALL) {
            (0..times).for_each(|_| endpoint.limited(limit));
        }
        let text = metrics.render();
        for reason in Reason::ALL {
            let (outcome, code) = (reason.outcome().code(), reason.code());
            let line = format!(r#"wxgate_requests_total{{endpoint="shop",outcome="{outcome}",reason="{code}"}} 1"#);
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
        for outcome in Outcome::ALL {
            let count = Reason::ALL.iter().filter(|reason| reason.outcome() == *outcome).count();
            let code = outcome.code();
            let line = format!(r#"wxgate_request_seconds_count{{endpoint="shop",outcome="{code}"}} {count}"#);
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
        for (limit, times) in [("per_ip", 1), ("total", 2), ("failures_per_ip", 3)] {
            let line = format!(r#"wxgate_rate_limited_total{{endpoint="shop",limit="{limit}"}} {times}"#);
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn the_results_of_downloads_stand_in_the_order_of_their_enum() {
        let metrics = Metrics::new();
        let downloads = metrics.downloads("1900000001");
        for (times, result) in (1..).zip(DownloadResult::ALL) {
            (0..times).for_each(|_| downloads.ended(result));
        }
        let text = metrics.render();
        for (times, result) in (1..).zip(DownloadResult::ALL) {
            let code = result.code();
            let line = format!(r#"wxgate_keys_downloads_total{{mchid="1900000001",result="{code}"}} {times}"#);
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn an_upstream_cannot_make_series_without_end() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint(&Arc::from("shop"), "pay-v3");
        for status in 0..=u16::MAX {
            endpoint.upstream(Some(status));
        }
        endpoint.upstream(None);
        let text = metrics.render();
        let series = text.lines().filter(|line| line.starts_with("wxgate_upstream_requests_total{")).count();
        assert_eq!(series, 502);
    }
    #[test]
    fn keys_without_end_share_a_series_and_known_ones_keep_theirs() {
        let metrics = Metrics::new();
        let endpoint = metrics.endpoint(&Arc::from("shop"), "pay-v3");
        for number in 0..200 {
            endpoint.verified(&Arc::from(format!("KEY-{number}")), UnixTime::from_secs(number));
        }
        // The same id in another place, as after a reload.
        endpoint.verified(&Arc::from("KEY-0"), UnixTime::from_secs(1000));
        let uses = endpoint.key_uses();
        assert_eq!(uses.len(), MAX_KEYS);
        let first = KeyUse { key: Arc::from("KEY-0"), verified: 2, last: UnixTime::from_secs(1000) };
        assert_eq!(uses[0], first);
        let text = metrics.render();
        assert_eq!(text.lines().filter(|line| line.starts_with("wxgate_verified_total{")).count(), MAX_KEYS + 1);
        for line in [r#"key="KEY-0"} 2"#, r#"key="KEY-63"} 1"#, r#"key="other"} 136"#] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn readings_are_told_as_they_are_and_a_removed_certificate_is_forgotten() {
        let metrics = Metrics::new();
        let both = vec![expiry("shop", "OLD", 1_700_000_000), expiry("shop", "NEW", 1_900_000_000)];
        let store_failures = vec![("claim", "timeout", 7)];
        for answered_locally in [3, 5] {
            metrics.read(&Readings {
                bans_active: 3,
                is_store_up: true,
                expiries: both.clone(),
                store_failures: store_failures.clone(),
                answered_locally,
                ..Readings::default()
            });
        }
        let text = metrics.render();
        for line in [
            r#"wxgate_key_expires_timestamp_seconds{endpoint="shop",key="OLD"} 1700000000"#,
            r#"wxgate_key_expires_timestamp_seconds{endpoint="shop",key="NEW"} 1900000000"#,
            "wxgate_bans_active 3",
            "wxgate_store_up 1",
            r#"wxgate_store_errors_total{kind="timeout",op="claim"} 7"#,
            r#"wxgate_degraded_total{what="store"} 5"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        let new = vec![expiry("shop", "NEW", 1_900_000_000)];
        metrics.read(&Readings { bans_active: 0, expiries: new, ..Readings::default() });
        let text = metrics.render();
        assert!(!text.contains(r#"key="OLD""#) && text.contains(r#"key="NEW""#), "{text}");
        assert!(text.contains("wxgate_bans_active 0") && text.contains("wxgate_store_up 0"), "{text}");
    }
}
