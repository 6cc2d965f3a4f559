//! The engine against real servers: see [`super::servers`].

mod conformance;
mod groups;
mod link;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::servers::Server;
use super::servers::groups::Cluster;
use super::{Address, OnOutage, RedisSettings, Topology};

/// One server for all tests that only want an empty store: each has keys of its own.
fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

fn address(server: &Server) -> Address {
    Address { host: "127.0.0.1".to_owned(), port: server.port }
}

fn addresses(cluster: &Cluster) -> Vec<Address> {
    cluster.nodes.iter().map(address).collect()
}

/// Settings that nothing else in any test uses the keys of.
fn settings(topology: Topology) -> RedisSettings {
    static NUMBERS: AtomicU64 = AtomicU64::new(1);
    RedisSettings {
        topology,
        tls: None,
        database: 0,
        user: None,
        password: None,
        sentinel_password: None,
        prefix: format!("test-{}-{}", std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed)),
        timeout: Duration::from_secs(5), // a busy machine is no outage
        on_outage: OnOutage::Refuse,
    }
}
