//! `store.url` with `redis:` and its kin, and the keys beside it. The URL holds no password: it can be shown.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::document::{DURATION_HINT, Table, Value};
use super::problem::Findings;
use super::reference::Outside;
use crate::store::EngineSettings;
use crate::store::redis::{Address, OnOutage, RedisSettings, Tls, Topology};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

const URL_HINT: &str = "\"redis://USER@HOST:PORT/DATABASE\", \"redis-sentinel://HOST,HOST/MASTER\" or \
    \"redis-cluster://HOST,HOST\"; with TLS \"rediss\" instead of \"redis\"; user, port and database may be left out";

/// What a URL says by itself.
pub(super) fn url(value: &Value<'_>, scheme: &str, rest: &str, findings: &mut Findings<'_>) -> Option<EngineSettings> {
    let written = rest.strip_prefix("//").map(|rest| rest.split_once('@').map_or((None, rest), |(u, r)| (Some(u), r)));
    let Some((user, place)) = written else {
        value.expected_secretly(findings, "a URL of Redis", URL_HINT);
        return None;
    };
    if user.is_some_and(|user| user.contains(':')) {
        let message = format!("`{}` holds a password", value.name());
        let hint = "a secret is never written in this file: `store.password = { env = \"NAME\" }`, and take a new one if it was shared";
        findings.problem(value.at(), message, hint);
        return None;
    }
    let user = user.filter(|user| !user.is_empty()).map(str::to_owned);
    let Some((topology, database)) = topology(scheme, place) else {
        value.expected(findings, "a URL of Redis", URL_HINT);
        return None;
    };
    Some(EngineSettings::Redis(Arc::new(RedisSettings {
        tls: scheme.starts_with("rediss").then_some(Tls { authorities: None }),
        database,
        user,
        ..RedisSettings::new(topology)
    })))
}

fn topology(scheme: &str, place: &str) -> Option<(Topology, u16)> {
    let (hosts, path) = place.split_once('/').map_or((place, None), |(hosts, path)| (hosts, Some(path)));
    let path = path.filter(|path| !path.is_empty());
    let database = |path: Option<&str>| path.map_or(Some(0), |path| path.parse().ok());
    match scheme {
        "redis" | "rediss" => Some((Topology::Single(address(hosts, PORT)?), database(path)?)),
        "redis-cluster" | "rediss-cluster" if path.is_none_or(|path| path == "0") => {
            Some((Topology::Cluster(addresses(hosts, PORT)?), 0))
        }
        "redis-sentinel" | "rediss-sentinel" => {
            let (master, path) = path?.split_once('/').map_or((path?, None), |(master, path)| (master, Some(path)));
            let sentinels = addresses(hosts, SENTINEL_PORT)?;
            let master = (!master.is_empty()).then(|| master.to_owned())?;
            Some((Topology::Sentinel { sentinels, master }, database(path)?))
        }
        _ => None,
    }
}

fn addresses(hosts: &str, port: u16) -> Option<Vec<Address>> {
    hosts.split(',').map(|host| address(host.trim(), port)).collect()
}

fn address(text: &str, usual: u16) -> Option<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(usual), |port| port.parse().ok().filter(|port| *port != 0))?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
    (!host.is_empty() && host.chars().all(is_host)).then(|| Address { host: host.to_owned(), port })
}

/// The keys that only a `redis:` store has; with another one, each is an error.
pub(super) fn keys(
    engine: &mut EngineSettings,
    url_at: &Range<usize>,
    table: &mut Table<'_>,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) {
    let EngineSettings::Redis(settings) = engine else { return refuse(table, findings) };
    let settings = Arc::make_mut(settings);
    let choices = [("refuse", OnOutage::Refuse), ("local", OnOutage::Local)];
    settings.on_outage = table.take_or("on_outage", settings.on_outage, |v| v.choice(findings, &choices));
    settings.timeout = table.take_or("timeout", settings.timeout, |v| {
        v.duration(findings, Duration::from_millis(10)..=Duration::from_secs(2), DURATION_HINT)
    });
    let prefix = std::mem::take(&mut settings.prefix);
    settings.prefix = table.take_or("prefix", prefix, |v| {
        let hint =
            "what every key begins with, so that several gateways may share a server: letters, digits, `-`, `_`, `.`";
        let is_usual = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let fits = |text: &&str| (1..=32).contains(&text.len()) && text.chars().all(is_usual);
        v.parsed(findings, "1 to 32 letters", hint, |text| Some(text).filter(fits).map(str::to_owned))
    });
    let password = table.take("password");
    let has_password = password.is_some();
    settings.password = password.and_then(|v| outside.secret(&v, findings));
    if let Some(value) = table.take("sentinel_password") {
        if !matches!(settings.topology, Topology::Sentinel { .. }) {
            let message = "`store.sentinel_password` is only for `redis-sentinel:`";
            findings.problem(value.key_at(), message, "the password of the servers is `store.password`");
        }
        settings.sentinel_password = outside.secret(&value, findings);
    }
    if let Some(value) = table.take("ca") {
        let authorities = authorities(&value, outside, findings);
        if let Some(tls) = &mut settings.tls {
            tls.authorities = authorities;
        } else {
            let message = "`store.ca` is given, but `store.url` is without TLS";
            findings.problem(value.key_at(), message, "write `rediss` instead of `redis` in `store.url`");
        }
    }
    if settings.user.is_some() && settings.password.is_none() && !has_password {
        let message = "`store.url` names a user, and `store.password` is missing";
        findings.problem(url_at, message, "add `password = { env = \"WXGATE_REDIS_PASSWORD\" }`");
    }
}

/// PEM of certificates, at least one.
fn authorities(value: &Value<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Option<Arc<str>> {
    let pem = outside.text(value, findings)?;
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    if certificates.is_ok_and(|certificates| !certificates.is_empty()) {
        return Some(pem.into());
    }
    let message = format!("the file that `{}` names holds no certificate in PEM", value.name());
    findings.problem(
        value.at(),
        message,
        "it begins with `-----BEGIN CERTIFICATE-----`: that of the authority, not a key",
    );
    None
}

/// Those keys with another store.
fn refuse(table: &mut Table<'_>, findings: &mut Findings<'_>) {
    if let Some(value) = table.take("on_outage") {
        if value.as_str() == Some("local") {
            let hint = "remove it: this store is in this process, and there is nothing else to go on by";
            findings.problem(value.at(), "`store.on_outage` \"local\" is only for a store of Redis", hint);
        } else {
            value.choice(findings, &[("refuse", ())]);
        }
    }
    for key in ["timeout", "prefix", "password", "sentinel_password", "ca"] {
        if let Some(value) = table.take(key) {
            let message = format!("`{}` is only for a store of Redis", value.name());
            findings.problem(value.key_at(), message, "remove it: this store is in this process");
        }
    }
}

/// Every node opens what another one has sealed.
pub(super) fn seal_key(engine: &EngineSettings, is_given: bool, table: &Table<'_>, findings: &mut Findings<'_>) {
    if matches!(engine, EngineSettings::Redis(_)) && !is_given {
        let message = "`store.seal_key` is missing: with a store of Redis all nodes share one";
        let hint =
            "make one with `openssl rand -hex 32`, and give it to every node: `seal_key = { file = \"seal.key\" }`";
        findings.problem(table.at(), message, hint);
    }
}
