//! An endpoint: a path with its protocol, keys, limits, policy and upstream.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::routes::Pattern;
use super::upstream::{self, Upstream};
use super::worker;
use crate::clock::UnixTime;
use crate::keyring::report::{EndpointKeys, Known};
use crate::keyring::{self, Keyring, Source};
use crate::limit::{self, Limits};
use crate::observe::{EndpointMetrics, KeyExpiry, Observe};
use crate::risk::Policy;
use crate::store::Terms;
use crate::wechat::key::{SharedKeys, VerifyingKey};
use crate::wechat::{Protocol, Refused, message, pay_v2, pay_v3, wecom};

/// How much longer than the upstream's deadline an event stays ours: time to write down how it ended. With the longest
/// deadline (below WeChat's 5 s) the lease is below WeChat's first retry gap of 15 s.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// `[endpoint.NAME]`, checked, with its keys read and parsed.
pub struct Settings {
    /// The endpoint's name, a label of metrics.
    pub name: String,
    /// Host that it answers to; none: any.
    pub host: Option<String>,
    /// Path that it answers to.
    pub path: Pattern,
    /// Protocol with keys.
    pub protocol: ProtocolSettings,
    /// `keys.download`
    pub download: Option<keyring::Settings>,
    /// Source addresses that may call; empty: any.
    pub allow_from: Vec<IpNet>,
    /// `limits`
    pub limits: limit::Settings,
    /// `upstream`
    pub upstream: upstream::Settings,
    /// `queue`
    pub queue: worker::Settings,
    /// How far a timestamp may be off.
    pub window: Duration,
    /// `rules`
    pub policy: Policy,
}

/// `protocol`, with what it needs.
pub enum ProtocolSettings {
    /// `pay-v3`
    PayV3(pay_v3::Settings),
    /// `pay-v2`
    PayV2(pay_v2::Settings),
    /// `message` or `open-platform`
    Message(message::Settings),
    /// `wecom`
    WeCom(wecom::Settings),
}

/// An endpoint at work.
pub struct Endpoint {
    host: Option<String>,
    path: Pattern,
    allow_from: Vec<IpNet>,
    limit_settings: limit::Settings,
    limits: Arc<Limits>,
    pub(super) protocol: Protocol,
    pub(super) policy: Policy,
    pub(super) terms: Terms,
    pub(super) upstream: Upstream,
    queue: worker::Settings,
    pub(super) metrics: Arc<EndpointMetrics>,
    /// Where its certificates are downloaded.
    source: Option<Arc<Source>>,
}

impl ProtocolSettings {
    /// The protocol at work.
    pub fn build(self) -> Protocol {
        match self {
            Self::PayV3(pay) => Protocol::PayV3(pay_v3::PayV3::new(pay)),
            Self::PayV2(pay) => Protocol::PayV2(pay_v2::PayV2::new(pay)),
            Self::Message(push) => Protocol::Message(message::Message::new(push)),
            Self::WeCom(push) => Protocol::WeCom(wecom::WeCom::new(push)),
        }
    }

    /// The protocol's name in configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::PayV3(_) => "pay-v3",
            Self::PayV2(_) => "pay-v2",
            Self::Message(push) => {
                if push.is_open_platform {
                    "open-platform"
                } else {
                    "message"
                }
            }
            Self::WeCom(_) => "wecom",
        }
    }

    /// The configured keys that verify callbacks; none where a shared secret does.
    pub fn verifying_keys(&self) -> &[VerifyingKey] {
        match self {
            Self::PayV3(pay) => &pay.verifying_keys,
            Self::PayV2(_) | Self::Message(_) | Self::WeCom(_) => &[],
        }
    }

    /// Takes the keys that downloads bring, where the protocol has such keys.
    pub fn take_downloaded(&mut self, keys: &SharedKeys) {
        match self {
            Self::PayV3(pay) => pay.downloaded = keys.clone(),
            Self::PayV2(_) | Self::Message(_) | Self::WeCom(_) => {}
        }
    }
}

impl Endpoint {
    /// Builds an endpoint. `before` is the endpoint of this name until now: what its limits have counted stays if the
    /// limits themselves do.
    pub fn new(settings: Settings, before: Option<&Endpoint>, observe: &Observe, keyring: &Keyring) -> Self {
        let name: Arc<str> = Arc::from(settings.name);
        let limits = match before {
            Some(before) if before.limit_settings == settings.limits => Arc::clone(&before.limits),
            _ => Arc::new(Limits::new(&settings.limits)),
        };
        let source = settings.download.as_ref().map(|download| keyring.source(download));
        let mut protocol = settings.protocol;
        if let Some(source) = &source {
            protocol.take_downloaded(source.keys());
        }
        let protocol = protocol.build();
        let upstream = Upstream::new(&name, &settings.upstream);
        let lease = upstream.timeout().saturating_add(SETTLE_WITHIN);
        let metrics = observe.endpoint(&name, protocol.name());
        Self {
            host: settings.host,
            path: settings.path,
            allow_from: settings.allow_from,
            limit_settings: settings.limits,
            limits,
            protocol,
            policy: settings.policy,
            terms: Terms { endpoint: name, lease, window: settings.window },
            upstream,
            queue: settings.queue,
            metrics,
            source,
        }
    }

    /// The rules that it judges by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The endpoint's name.
    pub fn name(&self) -> &Arc<str> {
        &self.terms.endpoint
    }

    /// Host that it answers to; none: any.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Path that it answers to.
    pub fn path(&self) -> &Pattern {
        &self.path
    }

    /// Rate limits and bans.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// How its queue is delivered.
    pub fn queue(&self) -> worker::Settings {
        self.queue
    }

    /// Every key that verifies its callbacks now.
    pub fn verifying_keys(&self) -> Vec<Arc<VerifyingKey>> {
        self.protocol.verifying_keys()
    }

    /// Ends of the certificates among them; bare public keys do not end.
    pub fn key_expiries(&self) -> Vec<KeyExpiry> {
        let expiry = |key: &Arc<VerifyingKey>| {
            let not_after = key.not_after()?;
            Some(KeyExpiry { endpoint: Arc::clone(self.name()), key: Arc::clone(key.id()), not_after })
        };
        self.verifying_keys().iter().filter_map(expiry).collect()
    }

    /// What is to be said of its keys. `since`: when the process began to count.
    pub fn keys(&self, since: UnixTime, now: UnixTime) -> EndpointKeys {
        let state = self.source.as_ref().map(|source| (source.settings(), source.state()));
        let known = Known {
            endpoint: self.name(),
            configured: self.protocol.configured_keys(),
            downloaded: state.as_ref().map(|(settings, state)| (*settings, state)),
            uses: &self.metrics.key_uses(),
            since: Some(since),
        };
        EndpointKeys::new(&known, now)
    }

    /// A callback did not pass the screen: if it was for an unknown serial, a download may be due. Never waits.
    pub(super) fn refused(&self, refused: &Refused) {
        if let (Some(serial), Some(source)) = (&refused.unknown_key, &self.source) {
            source.unknown(serial);
        }
    }

    /// Whether this address may call at all (`allow_from`). Never instead of signatures.
    pub(super) fn allows(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.allow_from.is_empty() || self.allow_from.iter().any(|range| range.contains(&client))
    }
}
