//! Failover, and slots that move: what a group of servers does to events that are remembered.

use std::time::{Duration, Instant};

use super::{address, addresses, settings};
use crate::clock::{Clock, UnixTime};
use crate::store::StoreError;
use crate::store::engine::{Ask, End, Lease, NonceUse, Reply, Settlement};
use crate::store::redis::servers::groups::{Cluster, Watched};
use crate::store::redis::{RedisEngine, RedisSettings, Topology};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const RETENTION: Duration = Duration::from_hours(72);

fn engine(settings: &RedisSettings) -> RedisEngine {
    RedisEngine::open(settings, &Clock::manual(NOW)).unwrap()
}

fn ask(event: u8, nonce: u8) -> Ask<'static> {
    Ask {
        endpoint: "pay",
        nonce: Some(NonceUse { digest: [nonce; 16], signed_at: NOW, until: NOW.plus(Duration::from_mins(6)) }),
        event: [event; 16],
        content: [1; 8],
        lease: Duration::from_secs(10),
        retention: RETENTION,
        now: NOW,
        counters: &[],
        order: None,
        lists: &[],
    }
}

async fn done(engine: &RedisEngine, event: u8, nonce: u8) {
    let ask = ask(event, nonce);
    let Reply::Claimed { lease, .. } = engine.claim(&ask).await.unwrap() else { panic!("not claimed") };
    engine.settle(&end(&ask, lease)).await.unwrap();
}

fn end<'a>(ask: &Ask<'a>, lease: Lease) -> Settlement<'a> {
    let &Ask { endpoint, event, content, retention, now, .. } = ask;
    Settlement { endpoint, event, content, lease, end: End::Done, retention, now }
}

/// Tries with a fresh nonce each time, until the store answers.
async fn answered(engine: &RedisEngine, event: u8, nonces: std::ops::Range<u8>) -> Reply {
    let began = Instant::now();
    for nonce in nonces.cycle() {
        match engine.claim(&ask(event, nonce)).await {
            Ok(reply) => return reply,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "it never answered again: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("a cycle has no end")
}

#[tokio::test]
async fn what_was_done_is_known_to_who_takes_over() {
    let mut watched = Watched::start();
    let (sentinels, master) = (vec![address(&watched.sentinel)], Watched::MASTER.to_owned());
    let engine = engine(&settings(Topology::Sentinel { sentinels, master }));
    done(&engine, 1, 1).await;
    watched.fail_over();
    assert_eq!(answered(&engine, 1, 2..100).await, Reply::Duplicate);
    assert_eq!(engine.claim(&ask(2, 1)).await.unwrap(), Reply::Replayed);
    done(&engine, 3, 200).await;
}

#[tokio::test]
async fn while_a_slot_moves_nothing_is_forgotten() {
    let cluster = Cluster::start();
    let settings =
        RedisSettings { timeout: Duration::from_millis(500), ..settings(Topology::Cluster(addresses(&cluster))) };
    let engine = engine(&settings);
    done(&engine, 1, 1).await;
    let tag = format!("{{{}:pay}}", settings.prefix);
    let (slot, from, to) = cluster.place_of(&tag);
    let (from_name, to_name) = (cluster.name(from), cluster.name(to));
    cluster.tell(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_name]);
    cluster.tell(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_name]);
    // Neither node has all of the keys, at any time of the move.
    let port = cluster.nodes[to].port.to_string();
    loop {
        let moving = engine.claim(&ask(1, 2)).await;
        assert!(matches!(moving, Err(StoreError::Unreachable { .. })), "{moving:?}");
        let keys = cluster.tell(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "1"]);
        let Some(key) = keys.lines().nth(2) else { break };
        let moved = cluster.tell(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
        assert_eq!(moved, "+OK\r\n");
    }
    assert!(engine.is_up(), "other slots are served");
    for node in [to, from] {
        cluster.tell(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &to_name]);
    }
    assert_eq!(answered(&engine, 1, 3..100).await, Reply::Duplicate);
    assert_eq!(engine.claim(&ask(2, 1)).await.unwrap(), Reply::Replayed, "its nonce has moved too");
    done(&engine, 3, 200).await;
}

#[tokio::test]
async fn a_cluster_that_lost_a_node_serves_again_when_it_is_back() {
    let mut cluster = Cluster::start();
    let settings =
        RedisSettings { timeout: Duration::from_millis(500), ..settings(Topology::Cluster(addresses(&cluster))) };
    let engine = engine(&settings);
    done(&engine, 1, 1).await;
    let (_, with_keys, other) = cluster.place_of(&format!("{{{}:pay}}", settings.prefix));
    cluster.nodes[other].kill();
    cluster.nodes[with_keys].tell(&["CONFIG", "SET", "cluster-require-full-coverage", "yes"]).unwrap();
    let began = Instant::now();
    while engine.claim(&ask(1, 2)).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(20), "the others never saw it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.nodes[other].restart();
    assert!(matches!(answered(&engine, 1, 3..100).await, Reply::Duplicate | Reply::Replayed));
}
