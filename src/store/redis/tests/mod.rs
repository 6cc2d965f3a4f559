//! The engine against real servers: see [`super::servers`].

mod conformance;
mod groups;
mod layout;
mod link;
mod outage;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::servers::Server;
use super::servers::groups::Cluster;
use super::{Address, RedisEngine, RedisSettings, Topology};
use crate::clock::UnixTime;
use crate::store::engine::{Ask, End, Lease, NonceUse, Reply, Settlement};

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
        prefix: format!("test-{}-{}", std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed)),
        timeout: Duration::from_secs(5), // a busy machine is no outage
        ..RedisSettings::new(topology)
    }
}

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn digest(number: u32) -> [u8; 16] {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes()
}

/// A claim of an event by its number, with a nonce of another number.
fn ask(event: u32, nonce: u32) -> Ask<'static> {
    Ask {
        endpoint: "pay",
        nonce: Some(NonceUse { digest: digest(nonce), signed_at: NOW, until: NOW.plus(Duration::from_mins(6)) }),
        event: digest(event),
        content: [1; 8],
        lease: Duration::from_secs(10),
        retention: Duration::from_hours(72),
        now: NOW,
        counters: &[],
        order: None,
        lists: &[],
    }
}

fn ended<'a>(ask: &Ask<'a>, lease: Lease, end: End) -> Settlement<'a> {
    let &Ask { endpoint, event, content, retention, now, .. } = ask;
    Settlement { endpoint, event, content, lease, end, retention, now }
}

async fn claimed(engine: &RedisEngine, ask: &Ask<'_>) -> Lease {
    let reply = engine.claim(ask).await.unwrap();
    let Reply::Claimed { lease, .. } = reply else { panic!("not claimed but {reply:?}") };
    lease
}

/// From the claim to the end.
async fn done(engine: &RedisEngine, ask: &Ask<'_>) {
    let lease = claimed(engine, ask).await;
    engine.settle(&ended(ask, lease, End::Done)).await.unwrap();
}
