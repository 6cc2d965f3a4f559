//! Whose request it is: the peer of the socket, or what a trusted proxy says. An address decides on limits and bans, so
//! one that anybody can write into a header is worth nothing.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use ipnet::IpNet;

/// Finds the client's address.
#[derive(Clone, Debug)]
pub(super) struct ClientAddress {
    trusted: Arc<[IpNet]>,
}

impl ClientAddress {
    pub(super) fn new(trusted: &[IpNet]) -> Self {
        Self { trusted: trusted.into() }
    }

    /// The rightmost address of X-Forwarded-For that is not itself a trusted proxy, if the peer is one; else the peer.
    /// What stands further left was written by somebody whom no trusted proxy vouches for.
    pub(super) fn of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.trusted.is_empty() {
            return client;
        }
        let mut hops = headers.get_all("x-forwarded-for").iter().rev().flat_map(|line| {
            let line = line.to_str().unwrap_or_default();
            line.rsplit(',').map(str::trim)
        });
        while self.is_trusted(client) {
            let Some(hop) = hops.next() else { break };
            let Some(address) = parse_hop(hop) else { break };
            client = address.to_canonical();
        }
        client
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(&address))
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').split(']').next().unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        ClientAddress::new(&trusted).of(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn a_stranger_cannot_say_who_he_is() {
        assert_eq!(of(&[], "198.51.100.7", &["203.0.113.9"]), "198.51.100.7");
        assert_eq!(of(&["10.0.0.0/8"], "198.51.100.7", &["203.0.113.9"]), "198.51.100.7");
    }

    #[test]
    fn the_last_hop_that_no_trusted_proxy_wrote_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(of(&trusted, "10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(of(&trusted, "10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(of(&trusted, "10.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(of(&trusted, "::ffff:10.0.0.1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(of(&trusted, "2001:db8::7", &["[2001:db9::9]:443"]), "2001:db9::9");
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(of(&["10.0.0.0/8"], "10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(of(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
    }
}
