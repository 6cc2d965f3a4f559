//! Failover, and slots that move: what a group of servers does to events that are remembered.

use std::time::{Duration, Instant};

use super::{NOW, address, addresses, ask, done, settings};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::store::engine::Reply;
use crate::store::redis::servers::groups::{Cluster, Watched};
use crate::store::redis::{RedisEngine, RedisSettings, Topology};

fn engine(settings: &RedisSettings) -> RedisEngine {
    RedisEngine::open(settings, &Clock::manual(NOW)).unwrap()
}

/// Tries with a fresh nonce each time, until the store answers.
async fn answered(engine: &RedisEngine, event: u32, nonces: std::ops::Range<u32>) -> Reply {
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
    done(&engine, &ask(1, 1)).await;
    watched.fail_over();
    assert_eq!(answered(&engine, 1, 2..100).await, Reply::Duplicate);
    assert_eq!(engine.claim(&ask(2, 1)).await.unwrap(), Reply::Replayed);
    done(&engine, &ask(3, 200)).await;
}

#[tokio::test]
async fn while_a_slot_moves_nothing_is_forgotten() {
    let cluster = Cluster::start();
    let settings =
        RedisSettings { timeout: Duration::from_millis(500), ..settings(Topology::Cluster(addresses(&cluster))) };
    let engine = engine(&settings);
    done(&engine, &ask(1, 1)).await;
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
    done(&engine, &ask(3, 200)).await;
}

#[tokio::test]
async fn a_cluster_that_lost_a_node_serves_again_when_it_is_back() {
    let mut cluster = Cluster::start();
    let settings =
        RedisSettings { timeout: Duration::from_millis(500), ..settings(Topology::Cluster(addresses(&cluster))) };
    let engine = engine(&settings);
    done(&engine, &ask(1, 1)).await;
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
