//! `[endpoint.NAME]`: where WeChat calls, with which keys, and the app behind it.

use std::ops::Range;
use std::time::Duration;

use http::Uri;

use super::document::{DURATION_HINT, Table, Value, quoted};
use super::keys;
use super::problem::Findings;
use super::push::{self, Family};
use super::reference::Outside;
use super::rules::{self, Rules};
use super::sections::{MIN_RETENTION, address_ranges};
use crate::gate::endpoint::{ProtocolSettings, Settings};
use crate::gate::routes::Pattern;
use crate::gate::upstream::{self, Ack, Format};
use crate::gate::worker;
use crate::risk::schema::EnumType;
use crate::secret::Secret;
use crate::wechat::pay_v2::SignType;
use crate::{keyring, limit};

/// WeChat hangs up after 5 s. What an upstream may take of it leaves 500 ms for the network, the signature and both round
/// trips to the store.
const MAX_UPSTREAM_TIMEOUT: Duration = Duration::from_millis(4500);
/// Nonces are remembered as long as their timestamp would pass: the window on both sides of now.
const MAX_WINDOW: Duration = Duration::from_hours(1);
const DEFAULT_WINDOW: Duration = Duration::from_mins(5);
/// What a v2 notification may be about at the latest: WeChat tells for 24 h 4 min.
const MAX_AGE: std::ops::RangeInclusive<Duration> = Duration::from_hours(25)..=Duration::from_hours(90 * 24);
/// An endpoint's name is a label of metrics and part of a header.
const MAX_NAME: usize = 64;
const MAX_PATH: usize = 512;

// Whoever remembers an event remembers its nonce, so no timestamp may pass longer than events are remembered.
const _: () = assert!(MAX_WINDOW.as_secs() * 2 <= MIN_RETENTION.as_secs());

const PROTOCOL_HINT: &str = "\"pay-v3\", \"pay-v2\", \"message\", \"open-platform\" or \"wecom\"";
const URL_HINT: &str = "where the app takes events: \"http://127.0.0.1:9000/events\"";

/// An endpoint as far as it could be read, with the places that checks across endpoints point at.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) route: Option<Route>,
    pub(super) targets: Vec<Target>,
    /// Where `max_age` is written, or else the endpoint begins.
    pub(super) age_at: Range<usize>,
    /// None if something is wrong with it.
    pub(super) settings: Option<Settings>,
}

/// A URL of an upstream, and where it is written.
type Target = (Uri, Range<usize>);

/// What an endpoint answers to.
pub(super) struct Route {
    pub(super) path: Pattern,
    pub(super) host: Option<String>,
    pub(super) at: Range<usize>,
}

/// Every `[endpoint.NAME]`, in the order of the file.
pub(super) fn endpoints(
    root: &mut Table<'_>,
    rules: &Rules,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Found> {
    let hint = "begin one with a line `[endpoint.shop-pay]`; docs/configuration.md has an example";
    let named = root.require("endpoint", findings, hint).and_then(|value| Some((value.table(findings, hint)?, value)));
    let Some((table, value)) = named else { return Vec::new() };
    let entries = table.into_entries();
    if entries.is_empty() {
        findings.problem(value.key_at(), "no endpoint is configured: nothing could ever be answered", hint);
    }
    entries.iter().filter_map(|(name, value)| endpoint(name, value, rules, outside, findings)).collect()
}

fn endpoint(
    name: &str,
    value: &Value<'_>,
    rules: &Rules,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<Found> {
    check_name(name, value, findings);
    let mut table = value.table(findings, "begin it with a line `[endpoint.NAME]`")?;
    let route = route(&mut table, findings);
    let age_at = table.place_of("max_age");
    let written_window = table.take("window");
    let window = written_window.as_ref().map_or(Some(DEFAULT_WINDOW), |v| {
        let hint = "WeChat says 5 minutes; a wider window is a longer time for a captured request to be of use";
        v.duration(findings, Duration::from_secs(1)..=MAX_WINDOW, hint)
    });
    let window = window.unwrap_or(DEFAULT_WINDOW);
    let allow_from = table.take("allow_from").map(|value| address_ranges(&value, findings)).unwrap_or_default();
    let limits = limits(&mut table, findings);
    let protocol = protocol(&mut table, route.as_ref(), window, outside, findings);
    if let (Some((ProtocolSettings::PayV2(_), _)), Some(written)) = (&protocol, &written_window) {
        let message = format!("`{}` says nothing about pay-v2, which signs no time", written.name());
        findings.problem(written.key_at(), message, "remove it; `max_age = \"72h\"` bounds the age of what is told");
    }
    let upstream = table
        .require("upstream", findings, &format!("add `[{}.upstream]` with `url = [\"http://…\"]`", value.name()))
        .and_then(|upstream| read_upstream(&upstream, outside, findings));
    let named = protocol.as_ref().map_or("", |(protocol, _)| protocol.name());
    let policy = rules::policy(table.take("rules").as_ref(), rules, named, findings);
    let trade_types = trade_types(&mut table, named, findings);
    let queue = queue(&mut table, findings);
    table.finish(findings);
    let targets = upstream.iter().flat_map(|(_, targets)| targets.clone()).collect();
    let settings = match (&route, protocol, upstream, policy) {
        (Some(route), Some((protocol, download)), Some((upstream, _)), Some(policy)) => Some(Settings {
            name: name.to_owned(),
            host: route.host.clone(),
            path: route.path.clone(),
            protocol,
            download,
            allow_from: allow_from.into_iter().map(|(range, _)| range).collect(),
            limits,
            upstream,
            queue,
            window,
            policy,
            trade_types,
        }),
        (_, _, _, _) => None,
    };
    Some(Found { name: name.to_owned(), route, targets, age_at, settings })
}

fn check_name(name: &str, value: &Value<'_>, findings: &mut Findings<'_>) {
    let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
        let message = format!("{} is no name of an endpoint, expected a-z, 0-9, `-` and `_`, 64 at most", quoted(name));
        findings.problem(value.key_at(), message, "it is a label of metrics and part of headers: \"shop-pay\"");
    }
}

/// `trade_types`, which rules read as `route.allowed_trade_types`; none: all are allowed.
fn trade_types(table: &mut Table<'_>, protocol: &str, findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let value = table.take("trade_types")?;
    let known = EnumType::TradeType.members();
    let hint =
        format!("WeChat's words are {}; leave it out to allow all: trade_types = [\"NATIVE\"]", known.join(", "));
    if !protocol.is_empty() && !protocol.starts_with("pay-") {
        let message = format!("`{}` says nothing about {protocol}: only payments have a trade type", value.name());
        findings.problem(value.key_at(), message, "remove it");
        return None;
    }
    let items = value.one_or_more();
    if items.is_empty() {
        findings.problem(value.at(), format!("`{}` is empty: no payment could be by any of it", value.name()), &*hint);
    }
    let one_of = |word: &str| known.contains(&word).then(|| word.to_owned());
    Some(items.iter().filter_map(|item| item.parsed(findings, "a trade type of WeChat's", &hint, one_of)).collect())
}

fn route(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Route> {
    let hint = "the path of the notify URL that WeChat was given: path = \"/notify/shop-pay\"";
    let path = table.require("path", findings, hint);
    let host = table.take("host").map(|host| read_host(&host, findings));
    let path = path?;
    let at = path.at().clone();
    let path = read_path(&path, findings)?;
    match host {
        None => Some(Route { path, host: None, at }),
        Some(host) => Some(Route { path, host: Some(host?), at }),
    }
}

fn read_path(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Pattern> {
    let pattern = value.as_str().and_then(Pattern::new);
    if pattern.is_none() && value.as_str().is_some() {
        let message = format!("`{}` has braces, which stand only around one whole segment: `{{appid}}`", value.name());
        findings.problem(value.at(), message, "of an open platform: path = \"/open/{appid}/callback\"");
        return None;
    }
    let hint = "\"/notify/shop-pay\", without host and query, as it stands in the request line; it is matched exactly";
    let is_path = |path: &str| {
        let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\' | b'"' | b'<' | b'>');
        path.starts_with('/') && path.len() <= MAX_PATH && path.bytes().all(is_plain) && path.parse::<Uri>().is_ok()
    };
    value.parsed(findings, "a path", hint, |path| pattern.filter(|_| is_path(path)))
}

fn read_host(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let hint = "\"pay.example.com\", without scheme and port; leave it out to answer to every host";
    let is_host = |host: &str| {
        let is_name = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let is_v6 = host
            .strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
        host.len() <= 255 && (is_name || is_v6)
    };
    value.parsed(findings, "a host name", hint, |host| is_host(host).then(|| host.to_ascii_lowercase()))
}

/// The protocol with its keys. The keys of one that this version does not speak are not looked at.
fn protocol(
    table: &mut Table<'_>,
    route: Option<&Route>,
    window: Duration,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<(ProtocolSettings, Option<keyring::Settings>)> {
    let protocol = table.require("protocol", findings, PROTOCOL_HINT);
    let keys = table.take("keys");
    let expect = table.take("expect");
    let spoken = protocol.and_then(|protocol| {
        let choices = [
            ("pay-v3", Spoken::PayV3),
            ("pay-v2", Spoken::PayV2),
            ("message", Spoken::Push(Family::Message)),
            ("open-platform", Spoken::Push(Family::OpenPlatform)),
            ("wecom", Spoken::Push(Family::WeCom)),
        ];
        protocol.choice(findings, &choices)
    });
    if keys.is_none() {
        let message = format!("`{}` is missing: nothing could be verified", table.name_of("keys"));
        let hint = match spoken {
            Some(Spoken::PayV2) => keys::MISSING_V2_HINT,
            Some(Spoken::Push(_)) => push::MISSING_HINT,
            Some(Spoken::PayV3) | None => keys::MISSING_HINT,
        };
        findings.problem(table.at(), message, hint);
    }
    let spoken = spoken?;
    if let Some(Route { path: Pattern::WithAppid { .. }, at, .. }) = route
        && !matches!(spoken, Spoken::Push(Family::OpenPlatform))
    {
        let message = format!("`{}` has an `{{appid}}`, which only open platforms have", table.name_of("path"));
        findings.problem(
            at,
            message,
            "give every merchant or app an endpoint of its own: nobody signs what a path says",
        );
    }
    if let Spoken::Push(family) = spoken {
        return push::settings(family, table, (keys, expect), window, outside, findings)
            .map(|settings| (settings, None));
    }
    let expect = if let Some(value) = &expect {
        keys::expect(value, findings)
    } else {
        let message =
            format!("`{}` is not set: an event of any merchant that these keys open is taken", table.name_of("expect"));
        let hint = "expect = { mchid = [\"1900000001\"], appid = [\"wxd678efh567hg6787\"] }";
        findings.warning(table.at(), message, hint);
        Some(keys::Expect::default())
    };
    match spoken {
        Spoken::PayV3 | Spoken::Push(_) => {
            let (pay, download) = keys::pay_v3(&keys?, expect?, window, outside, findings)?;
            Some((ProtocolSettings::PayV3(pay), download))
        }
        Spoken::PayV2 => {
            let sign_type = sign_type(table, findings);
            let max_age = max_age(table, findings);
            let pay = keys::pay_v2(&keys?, expect?, sign_type?, max_age, outside, findings)?;
            Some((ProtocolSettings::PayV2(pay), None))
        }
    }
}

/// The protocols that this version speaks.
#[derive(Clone, Copy)]
enum Spoken {
    PayV3,
    PayV2,
    Push(Family),
}

/// The algorithm is never guessed: a wrong guess refuses everything, or trusts what is easier to forge.
fn sign_type(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<SignType> {
    let hint = "\"MD5\", WeChat's default, or \"HMAC-SHA256\": what your orders say in `sign_type`";
    let choices = [("MD5", SignType::Md5), ("HMAC-SHA256", SignType::HmacSha256), ("either", SignType::Either)];
    table.require("sign_type", findings, hint)?.choice(findings, &choices)
}

fn max_age(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Duration> {
    let hint = "WeChat tells of a payment for 24 h; at most as long as `store.retention`: \"72h\"";
    if let Some(value) = table.take("max_age") {
        return value.duration(findings, MAX_AGE, hint);
    }
    let message = format!(
        "`{}` is not set: v2 signs no time, so that a captured notification passes again once its event is forgotten",
        table.name_of("max_age")
    );
    findings.warning(table.at(), message, hint);
    None
}

fn limits(table: &mut Table<'_>, findings: &mut Findings<'_>) -> limit::Settings {
    let mut settings = limit::Settings {
        per_ip: None,
        total: None,
        failures_per_ip: None,
        ban: Duration::from_mins(10),
        exempt: Vec::new(),
    };
    let hint = "limits = { per_ip = \"50/s\", total = \"5000/s\", failures_per_ip = \"20/m\", ban = \"10m\" }";
    let Some(mut limits) = table.take("limits").and_then(|value| value.table(findings, hint)) else { return settings };
    settings.per_ip = limits.take("per_ip").and_then(|v| v.rate(findings));
    settings.total = limits.take("total").and_then(|v| v.rate(findings));
    let failures = limits.take("failures_per_ip");
    settings.failures_per_ip = failures.as_ref().and_then(|v| v.rate(findings));
    if let Some(value) = limits.take("ban") {
        let bounds = Duration::from_secs(1)..=Duration::from_hours(24);
        settings.ban = value.duration(findings, bounds, DURATION_HINT).unwrap_or(settings.ban);
        if failures.is_none() {
            let message = format!("`{}` bans nobody without `failures_per_ip`", value.name());
            findings.problem(value.key_at(), message, "add `failures_per_ip = \"20/m\"`, or remove it");
        }
    }
    if let Some(value) = limits.take("exempt") {
        settings.exempt = address_ranges(&value, findings).into_iter().map(|(range, _)| range).collect();
    }
    limits.finish(findings);
    settings
}

fn read_upstream(
    value: &Value<'_>,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<(upstream::Settings, Vec<Target>)> {
    let mut table = value.table(findings, &format!("begin it with a line `[{}]`", value.name()))?;
    let mut targets: Vec<Target> = Vec::new();
    if let Some(value) = table.require("url", findings, URL_HINT) {
        let items = value.one_or_more();
        if items.is_empty() {
            findings.problem(value.at(), format!("`{}` has no URL, expected at least one", value.name()), URL_HINT);
        }
        for item in &items {
            let Some(url) = read_url(item, findings) else { continue };
            if targets.iter().any(|(known, _)| *known == url) {
                findings.problem(item.at(), format!("`{}` has {url} twice", value.name()), "remove one of them");
            }
            targets.push((url, item.at().clone()));
        }
    }
    let format = table.take_or("format", Format::Event, |v| {
        v.choice(findings, &[("event", Format::Event), ("original", Format::Original)])
    });
    let timeout = table.take_or("timeout", Duration::from_secs(4), |v| {
        let hint = "WeChat hangs up after 5 s; the rest is for the way, the signature and the store";
        v.duration(findings, Duration::from_millis(10)..=MAX_UPSTREAM_TIMEOUT, hint)
    });
    let ack = table.take_or("ack", Ack::AfterUpstream, |v| {
        v.choice(findings, &[("after-upstream", Ack::AfterUpstream), ("after-store", Ack::AfterStore)])
    });
    let signing = signing(&mut table, outside, findings);
    table.finish(findings);
    let urls = targets.iter().map(|(url, _)| url.clone()).collect();
    Some((upstream::Settings { urls, format, timeout, ack, signing }, targets))
}

/// `queue`: how what waits is delivered.
fn queue(table: &mut Table<'_>, findings: &mut Findings<'_>) -> worker::Settings {
    let mut settings = worker::Settings::default();
    let hint = "queue = { max_age = \"1d\", concurrency = 8 }";
    let Some(mut queue) = table.take("queue").and_then(|value| value.table(findings, hint)) else { return settings };
    settings.max_age = queue.take_or("max_age", settings.max_age, |v| {
        let hint = "what is older is given up and goes to `dead`, where it waits for a person";
        v.duration(findings, Duration::from_mins(1)..=Duration::from_hours(24 * 30), hint)
    });
    settings.concurrency = queue.take_or("concurrency", settings.concurrency, |v| {
        v.count(findings, 1..=256, "deliveries to the app at once, beside the callbacks that are forwarded directly")
    });
    queue.finish(findings);
    settings
}

fn read_url(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Uri> {
    // A user and password in a URL are a secret written in the file.
    if value.as_str().is_some_and(|url| url.contains('@')) {
        value.expected_secretly(
            findings,
            "a URL without user and password",
            "the app checks `webhook-signature` instead",
        );
        return None;
    }
    if value.as_str().is_some_and(|url| url.starts_with("https://")) {
        let message = format!("`{}` with https:// is not supported by this version", value.name());
        findings.problem(value.at(), message, "run the app beside the gateway, or put a TLS proxy between them");
        return None;
    }
    value.parsed(findings, "an http:// URL", URL_HINT, |text| {
        let url: Uri = text.parse().ok()?;
        let authority = url.authority()?;
        // `port()` is none for "host:" and for a port out of range alike.
        let has_good_port = authority.as_str() == authority.host() || authority.port_u16().is_some_and(|port| port > 0);
        let is_good = url.scheme() == Some(&http::uri::Scheme::HTTP) && !authority.host().is_empty() && has_good_port;
        (is_good && !text.contains('#')).then_some(url)
    })
}

fn signing(table: &mut Table<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Vec<Secret> {
    let Some(value) = table.take("signing") else {
        let message =
            format!("`{}` is not set: the app cannot tell the gateway from somebody else", table.name_of("signing"));
        let hint = "signing = { env = \"SHOP_WEBHOOK_SECRET\" }, made with: echo whsec_$(openssl rand -base64 32)";
        findings.warning(table.at(), message, hint);
        return Vec::new();
    };
    let mut keys = Vec::new();
    for (secret, at) in outside.secrets(&value, findings) {
        match signing_key(&secret) {
            Some(key) if keys.contains(&key) => {
                let message = format!("`{}` holds the same secret twice", value.name());
                findings.problem(&at, message, "while it rotates: the new one first, then the old one");
            }
            Some(key) => keys.push(key),
            None => {
                let message = format!(
                    "`{}` refers to {} bytes that are no Standard Webhooks secret, expected `whsec_` and 24 to 64 bytes in base64",
                    value.name(),
                    secret.len()
                );
                findings.problem(&at, message, "make one with: echo whsec_$(openssl rand -base64 32)");
            }
        }
    }
    keys
}

/// `whsec_` and base64, padded or not.
fn signing_key(secret: &Secret) -> Option<Secret> {
    let encoded = secret.expose().strip_prefix(b"whsec_")?;
    let unpadded = encoded.strip_suffix(b"==").or_else(|| encoded.strip_suffix(b"=")).unwrap_or(encoded);
    let key = Secret::new(base64_simd::STANDARD_NO_PAD.decode_to_vec(unpadded).ok()?);
    (24..=64).contains(&key.len()).then_some(key)
}
