//! Which endpoint a callback belongs to: by exact path, and by host where an endpoint names one.

use std::collections::HashMap;
use std::sync::Arc;

use super::endpoint::Endpoint;

/// The endpoints by path. Paths are compared byte for byte as received: no decoding, no dot segments, no trailing
/// slash is forgiven, so that what a proxy in front allows is what is matched here.
#[derive(Default)]
pub struct Routes {
    by_path: HashMap<Box<str>, Vec<Arc<Endpoint>>>,
}

impl Routes {
    /// Routes over these endpoints. An endpoint with a host stands before one without, on the same path.
    pub fn new(endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> Self {
        let mut by_path: HashMap<Box<str>, Vec<Arc<Endpoint>>> = HashMap::new();
        for endpoint in endpoints {
            by_path.entry(endpoint.path().into()).or_default().push(endpoint);
        }
        for sharing in by_path.values_mut() {
            sharing.sort_by_key(|endpoint| endpoint.host().is_none());
        }
        Self { by_path }
    }

    /// The endpoint of a path and a `Host` (with or without port).
    pub fn find(&self, path: &str, host: Option<&str>) -> Option<&Arc<Endpoint>> {
        let sharing = self.by_path.get(path)?;
        sharing.iter().find(|endpoint| match endpoint.host() {
            None => true,
            Some(wanted) => host.is_some_and(|host| without_port(host).eq_ignore_ascii_case(wanted)),
        })
    }

    /// Every endpoint, in no order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.by_path.values().flatten()
    }

    /// The endpoint of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints().find(|endpoint| &**endpoint.name() == name)
    }
}

/// `example.com:8080` → `example.com`, `[::1]:80` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn ports_are_no_part_of_a_host() {
        assert_eq!(without_port("pay.example.com:8443"), "pay.example.com");
        assert_eq!(without_port("pay.example.com"), "pay.example.com");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
