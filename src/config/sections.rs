//! `[server]`, `[admin]`, `[store]` and `[audit]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::document::{DURATION_HINT, SIZE_HINT, Table, Value};
use super::problem::Findings;
use super::redis;
use super::reference::Outside;
use crate::risk::recorded::Persons;
use crate::secret::Secret;
use crate::{admin, observe, server, store};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// WeChat retries for 24 h 4 min: an event that is forgotten sooner would be forwarded twice (I1).
pub(super) const MIN_RETENTION: Duration = Duration::from_hours(25);

const ADDRESS_HINT: &str =
    "write address and port, \"0.0.0.0:8080\", \"127.0.0.1:8080\" or \"[::]:8080\"; names are not looked up";

/// A table at the top of the file; empty if it is absent.
fn section<'d>(root: &mut Table<'d>, key: &'static str, findings: &mut Findings<'_>) -> Option<Table<'d>> {
    root.take(key)?.table(findings, &format!("begin it with a line `[{key}]`"))
}

/// `[server]`.
pub(super) fn server(root: &mut Table<'_>, findings: &mut Findings<'_>) -> server::Settings {
    let mut settings = server::Settings {
        listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))],
        max_body: usize::try_from(MIB).unwrap_or(usize::MAX),
        header_timeout: SECOND.saturating_mul(5),
        body_timeout: SECOND.saturating_mul(5),
        max_connections: 10_000,
        max_in_flight: 2000,
        trusted_proxies: Vec::new(),
        shutdown_delay: Duration::ZERO,
        shutdown_grace: SECOND.saturating_mul(25),
        threads: 0,
    };
    let Some(mut table) = section(root, "server", findings) else { return settings };
    let arrival = Duration::from_millis(100)..=SECOND.saturating_mul(60);
    let many =
        "more than the machine has memory for helps nobody; what is over the limit waits or is told to come again";
    settings.listen = table.take_or("listen", settings.listen, |v| Some(listen(v, findings)));
    settings.max_body = table.take_or("max_body", settings.max_body, |v| {
        v.size(findings, KIB..=MIB.saturating_mul(16), SIZE_HINT).and_then(|bytes| usize::try_from(bytes).ok())
    });
    settings.header_timeout = table
        .take_or("header_timeout", settings.header_timeout, |v| v.duration(findings, arrival.clone(), DURATION_HINT));
    settings.body_timeout =
        table.take_or("body_timeout", settings.body_timeout, |v| v.duration(findings, arrival, DURATION_HINT));
    settings.max_connections =
        table.take_or("max_connections", settings.max_connections, |v| v.count(findings, 1..=1_000_000, many));
    settings.max_in_flight =
        table.take_or("max_in_flight", settings.max_in_flight, |v| v.count(findings, 1..=1_000_000, many));
    settings.trusted_proxies =
        table.take_or("trusted_proxies", settings.trusted_proxies, |v| Some(trusted_proxies(v, findings)));
    settings.shutdown_delay = table.take_or("shutdown_delay", settings.shutdown_delay, |v| {
        let hint = "how long your load balancer takes to notice that /readyz answers 503: \"10s\"";
        v.duration(findings, Duration::ZERO..=SECOND.saturating_mul(300), hint)
    });
    settings.shutdown_grace = table.take_or("shutdown_grace", settings.shutdown_grace, |v| {
        v.duration(findings, Duration::ZERO..=SECOND.saturating_mul(600), DURATION_HINT)
    });
    settings.threads = table.take_or("threads", settings.threads, |v| v.count(findings, 0..=1024, "0 is one per core"));
    table.not_yet("tls", findings, "put a TLS terminator in front and name it in `trusted_proxies`");
    table.not_yet(
        "proxy_protocol",
        findings,
        "let the balancer write X-Forwarded-For and name it in `trusted_proxies`",
    );
    table.finish(findings);
    settings
}

fn listen(value: &Value<'_>, findings: &mut Findings<'_>) -> Vec<SocketAddr> {
    let items = value.items(findings, "an array of addresses", ADDRESS_HINT);
    let mut addresses: Vec<SocketAddr> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(address) = socket_address(item, findings) else { continue };
        if address.port() != 0 && addresses.contains(&address) {
            findings.problem(item.at(), format!("`server.listen` has {address} twice"), "remove one of them");
        }
        addresses.push(address);
    }
    if items.is_empty() {
        let message = "`server.listen` has no address, expected at least one";
        findings.problem(value.at(), message, "leave it out to listen on 0.0.0.0:8080");
    }
    addresses
}

fn socket_address(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    value.parsed(findings, "an IP address with a port", ADDRESS_HINT, |text| text.parse().ok())
}

fn trusted_proxies(value: &Value<'_>, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut proxies = Vec::new();
    for (range, item) in address_ranges(value, findings) {
        if range.prefix_len() == 0 {
            let message = format!("`server.trusted_proxies` holds {range}: every stranger could then say who he is");
            findings.problem(item.at(), message, "name the addresses of your own proxies");
        }
        proxies.push(range);
    }
    proxies
}

/// Address ranges; an address alone is the range of itself.
pub(super) fn address_ranges<'d>(value: &Value<'d>, findings: &mut Findings<'_>) -> Vec<(IpNet, Value<'d>)> {
    let hint = "a range is an address and how many of its bits count, \"10.0.0.0/8\"; an address alone is itself";
    let items = value.items(findings, "an array of address ranges", hint);
    let range = |text: &str| text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let ranges = items.into_iter().filter_map(|item| {
        let range = item.parsed(findings, "an address range", hint, range)?;
        Some((range.trunc(), item))
    });
    ranges.collect()
}

/// `[admin]`; none if it is absent.
pub(super) fn admin(
    root: &mut Table<'_>,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<admin::Settings> {
    let mut table = section(root, "admin", findings)?;
    let listen = table.take("listen");
    let token = table.take("token").map(|value| outside.secret(&value, findings));
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9900));
    let address = listen.as_ref().map_or(Some(default), |value| socket_address(value, findings));
    if let (Some(address), None) = (address, &token)
        && !address.ip().to_canonical().is_loopback()
    {
        let at = listen.as_ref().map_or(table.at(), Value::at);
        let message = format!("`admin.listen` is {address}, off loopback, and `admin.token` is missing");
        findings.problem(at, message, "add `token = { env = \"WXGATE_ADMIN_TOKEN\" }`, or listen on 127.0.0.1");
    }
    table.finish(findings);
    Some(admin::Settings { listen: address?, token: token.flatten() })
}

/// `[store]`.
pub(super) fn store(root: &mut Table<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> store::Settings {
    let mut settings = store::Settings {
        engine: store::EngineSettings::File(outside.path("wxgate.db")),
        retention: DAY.saturating_mul(3),
        seal_keys: Vec::new(),
    };
    let Some(mut table) = section(root, "store", findings) else { return settings };
    let url_at = table.place_of("url");
    settings.engine = table.take_or("url", settings.engine, |v| engine(v, outside, findings));
    settings.retention = table.take_or("retention", settings.retention, |v| {
        let hint = "WeChat retries for 24 h 4 min: an event that is forgotten sooner could be forwarded twice";
        v.duration(findings, MIN_RETENTION..=DAY.saturating_mul(90), hint)
    });
    redis::keys(&mut settings.engine, &url_at, &mut table, outside, findings);
    let seal_key = table.take("seal_key");
    redis::seal_key(&settings.engine, seal_key.is_some(), &table, findings);
    settings.seal_keys = seal_key.map(|v| seal_keys(&v, outside, findings)).unwrap_or_default();
    table.finish(findings);
    settings
}

/// The keys that seal the queues, the newest first.
fn seal_keys(value: &Value<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Vec<Secret> {
    let hint = "make one with: openssl rand -hex 32";
    let mut keys = Vec::new();
    for (secret, at) in outside.secrets(value, findings) {
        match store::queue::key_of_text(secret.expose()) {
            Some(key) if keys.contains(&key) => {
                let message = format!("`{}` holds the same key twice", value.name());
                findings.problem(&at, message, "while it rotates: the new one first, then the old one");
            }
            Some(key) => keys.push(key),
            None => {
                let message = format!(
                    "`{}` refers to {} characters, expected a key of 32 bytes in hexadecimal or base64",
                    value.name(),
                    secret.len()
                );
                findings.problem(&at, message, hint);
            }
        }
    }
    keys
}

fn engine(value: &Value<'_>, outside: &Outside<'_>, findings: &mut Findings<'_>) -> Option<store::EngineSettings> {
    let hint = "\"file:wxgate.db\" keeps what it knows over restarts, \"memory:\" is for trials";
    let Some((scheme, rest)) = value.as_str().and_then(|url| url.split_once(':')) else {
        value.expected_secretly(findings, "\"file:PATH\", \"redis://HOST\" or \"memory:\"", hint);
        return None;
    };
    // What stands behind another scheme may hold a password and is not repeated.
    match scheme {
        "memory" if rest.is_empty() => {
            let message = "`store.url` is \"memory:\": events and nonces are forgotten at every restart";
            findings.warning(value.at(), message, "use \"file:PATH\" where payments depend on it");
            Some(store::EngineSettings::Memory)
        }
        "file" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || (path.len() != rest.len() && !path.starts_with('/')) {
                value.expected(
                    findings,
                    "\"file:PATH\"",
                    "a relative path has no slashes before it: \"file:wxgate.db\"",
                );
                return None;
            }
            let path = outside.path(path);
            if path.is_file() {
                let message = "`store.url` names a file, expected a directory or nothing yet";
                findings.problem(value.at(), message, "the store is a directory of its own; name another path");
            }
            Some(store::EngineSettings::File(path))
        }
        scheme if scheme.starts_with("redis") => redis::url(value, scheme, rest, findings),
        _ => {
            value.expected_secretly(findings, "\"file:PATH\", \"redis://HOST\" or \"memory:\"", hint);
            None
        }
    }
}

/// `[audit]`.
pub(super) fn audit(
    root: &mut Table<'_>,
    outside: &Outside<'_>,
    findings: &mut Findings<'_>,
) -> observe::AuditSettings {
    let mut settings = observe::AuditSettings {
        target: observe::AuditTarget::File(outside.path("audit.ndjson")),
        max_size: MIB.saturating_mul(100),
        max_age: DAY,
        keep: 14,
        facts: Some(Persons::Plain),
    };
    let Some(mut table) = section(root, "audit", findings) else { return settings };
    settings.target = table.take_or("path", settings.target, |v| audit_target(v, outside, findings));
    settings.max_size =
        table.take_or("max_size", settings.max_size, |v| v.size(findings, MIB..=GIB.saturating_mul(64), SIZE_HINT));
    settings.max_age = table
        .take_or("max_age", settings.max_age, |v| v.duration(findings, HOUR..=DAY.saturating_mul(366), DURATION_HINT));
    let hint = "the oldest file is removed when a new one is begun; ship them elsewhere to keep them longer";
    settings.keep = table.take_or("keep", settings.keep, |v| v.count(findings, 1..=10_000, hint));
    settings.facts = table.take_or("facts", settings.facts, |v| facts(v, findings));
    table.finish(findings);
    settings
}

/// `audit.facts`: what is recorded for judging events again.
#[expect(clippy::option_option, reason = "none: the value is wrong")]
fn facts(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Option<Persons>> {
    let hint = "\"plain\" keeps what backtests of rules need; \"hashed\" hides who paid; \"off\" records no facts";
    value.parsed(findings, "\"plain\", \"hashed\" or \"off\"", hint, |written| match written {
        "plain" => Some(Some(Persons::Plain)),
        "hashed" => Some(Some(Persons::Hashed)),
        "off" => Some(None),
        _ => None,
    })
}

fn audit_target(value: &Value<'_>, outside: &Outside<'_>, findings: &mut Findings<'_>) -> Option<observe::AuditTarget> {
    let hint = "a file that records are appended to, or \"stdout\"";
    let written = value.parsed(findings, "the path of a file", hint, |path| (!path.is_empty()).then_some(path))?;
    if written == "stdout" {
        return Some(observe::AuditTarget::Stdout);
    }
    let path = outside.path(written);
    if path.is_dir() {
        findings.problem(value.at(), "`audit.path` names a directory, expected a file", hint);
    } else if path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        findings.problem(value.at(), "`audit.path` is in a directory that does not exist", "make the directory first");
    }
    Some(observe::AuditTarget::File(path))
}
