//! What cannot be seen at one key alone.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::endpoint::Found;
use super::problem::Findings;
use crate::gate::endpoint::ProtocolSettings;
use crate::observe::AuditTarget;
use crate::store::EngineSettings;
use crate::{admin, observe, server, store};

/// No request leads to two endpoints.
pub(super) fn routes(endpoints: &[Found], findings: &mut Findings<'_>) {
    for (index, found) in endpoints.iter().enumerate() {
        let Some(route) = &found.route else { continue };
        let takes_it =
            |other: &&Found| other.route.as_ref().is_some_and(|r| r.path.collides(&route.path) && r.host == route.host);
        let Some(first) = endpoints.iter().take(index).find(takes_it) else { continue };
        let is_same = first.route.as_ref().is_some_and(|first| first.path == route.path);
        let message = if is_same {
            format!("`{}` is the path of endpoint `{}` already", route.path, first.name)
        } else {
            format!("`{}` and the path of endpoint `{}` have paths in common", route.path, first.name)
        };
        findings.problem(&route.at, message, "change it, or tell them apart by `host`");
    }
}

/// No listener takes another's address.
pub(super) fn listeners(
    server: &server::Settings,
    admin: Option<&admin::Settings>,
    admin_at: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    let Some(admin) = admin else { return };
    if let Some(taken) = server.listen.iter().find(|address| collide(**address, admin.listen)) {
        let message = format!("`admin.listen` {} is taken by `server.listen` {taken}", admin.listen);
        findings.problem(admin_at, message, "give it a port of its own: the admin listener is not for strangers");
    }
}

/// No endpoint forwards to the gateway itself.
pub(super) fn targets(server: &server::Settings, endpoints: &[Found], findings: &mut Findings<'_>) {
    for (url, at) in endpoints.iter().flat_map(|found| &found.targets) {
        let Some(target) = address_of(url) else { continue };
        if server.listen.iter().any(|address| collide(*address, target)) {
            let message = format!("{url} is the gateway itself (`server.listen`)");
            findings.problem(at, message, "name the address of the app");
        }
    }
}

/// The store and the audit log do not write over each other.
pub(super) fn paths(
    store: &store::Settings,
    audit: &observe::AuditSettings,
    audit_at: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    if let (EngineSettings::File(store), AuditTarget::File(audit)) = (&store.engine, &audit.target)
        && audit.starts_with(store)
    {
        findings.problem(
            audit_at,
            "`audit.path` is inside of the store's directory",
            "put it beside: \"audit.ndjson\"",
        );
    }
}

/// What a v2 notification may be about is not forgotten as long as it may be told: then a captured one never passes again.
pub(super) fn ages(store: &store::Settings, endpoints: &[Found], findings: &mut Findings<'_>) {
    for found in endpoints {
        let Some(ProtocolSettings::PayV2(pay)) = found.settings.as_ref().map(|settings| &settings.protocol) else {
            continue;
        };
        if pay.max_age.is_some_and(|max_age| max_age > store.retention) {
            let message = "`max_age` is longer than `store.retention`: what is forgotten would pass again";
            findings.problem(&found.age_at, message, "make it shorter, or `store.retention` longer");
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_same = one.ip().to_canonical() == other.ip().to_canonical();
    let is_any = |address: SocketAddr| address.ip().is_unspecified();
    let is_here = |address: SocketAddr| address.ip().to_canonical().is_loopback() || is_any(address);
    one.port() != 0
        && one.port() == other.port()
        && (is_same || (is_any(one) && is_here(other)) || (is_any(other) && is_here(one)))
}

fn address_of(url: &http::Uri) -> Option<SocketAddr> {
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = if host.eq_ignore_ascii_case("localhost") { [127, 0, 0, 1].into() } else { host.parse().ok()? };
    Some(SocketAddr::new(ip, url.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_loopback_of_the_same_port_alone() {
        let collides = |one: &str, other: &str| collide(one.parse().unwrap(), other.parse().unwrap());
        assert!(collides("0.0.0.0:8080", "127.0.0.1:8080"));
        assert!(collides("127.0.0.1:8080", "[::]:8080"));
        assert!(collides("10.0.0.1:8080", "10.0.0.1:8080"));
        assert!(!collides("0.0.0.0:8080", "127.0.0.1:9900"));
        assert!(!collides("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!collides("0.0.0.0:80", "10.0.0.7:80"), "an app on another machine");
    }
}
