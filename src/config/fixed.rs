//! What a running gateway cannot change.

use super::Config;
use crate::{admin, observe, server, store};

/// The settings that take a restart: everything but the endpoints.
#[derive(Clone, Debug)]
pub struct Fixed {
    server: server::Settings,
    admin: Option<admin::Settings>,
    store: store::Settings,
    audit: observe::AuditSettings,
}

impl Fixed {
    pub(super) fn of(config: &Config) -> Self {
        let Config { server, admin, store, audit, endpoints: _ } = config;
        Self { server: server.clone(), admin: admin.clone(), store: store.clone(), audit: audit.clone() }
    }

    /// Keys (`server.listen`, …) whose values differ.
    pub fn changed(&self, now: &Self) -> Vec<&'static str> {
        let mut changed = server_keys(&self.server, &now.server);
        changed.extend(match (&self.admin, &now.admin) {
            (Some(before), Some(now)) => admin_keys(before, now),
            (None, None) => Vec::new(),
            (Some(_), None) | (None, Some(_)) => vec!["admin"],
        });
        changed.extend(store_keys(&self.store, &now.store));
        changed.extend(audit_keys(&self.audit, &now.audit));
        changed
    }
}

/// The fields are taken apart by name, so that a new one cannot be forgotten here.
macro_rules! differing {
    ($name:ident, $settings:path, $section:literal, { $($field:ident => $key:literal),+ $(,)? }) => {
        fn $name(before: &$settings, now: &$settings) -> Vec<&'static str> {
            let $settings { $($field: _),+ } = before;
            let mut changed = Vec::new();
            $(if before.$field != now.$field { changed.push(concat!($section, ".", $key)); })+
            changed
        }
    };
}

differing!(server_keys, server::Settings, "server", {
    listen => "listen",
    max_body => "max_body",
    header_timeout => "header_timeout",
    body_timeout => "body_timeout",
    max_connections => "max_connections",
    max_in_flight => "max_in_flight",
    trusted_proxies => "trusted_proxies",
    shutdown_delay => "shutdown_delay",
    shutdown_grace => "shutdown_grace",
    threads => "threads",
});
differing!(admin_keys, admin::Settings, "admin", { listen => "listen", token => "token" });
differing!(store_keys, store::Settings, "store", { engine => "url", retention => "retention", seal_keys => "seal_key" });
differing!(audit_keys, observe::AuditSettings, "audit", {
    target => "path",
    max_size => "max_size",
    max_age => "max_age",
    keep => "keep",
    facts => "facts",
});
