//! The rows in a Cluster of three, and in a group that a Sentinel watches.

use super::*;
use crate::store::redis::servers::groups::{Cluster, Watched};
use crate::store::redis::servers::wait_until;

/// A Cluster that the tests of this process share.
fn cluster() -> Arc<Cluster> {
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
    let mut shared = CLUSTER.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let cluster = Arc::new(Cluster::start());
        *shared = Arc::downgrade(&cluster);
        cluster
    })
}

fn nodes(cluster: &Cluster) -> Topology {
    let address = |server: &Server| Address { host: "127.0.0.1".to_owned(), port: server.port };
    Topology::Cluster(cluster.nodes.iter().map(address).collect())
}

/// Many gateways in turn, over one Cluster.
struct InCluster {
    cluster: Arc<Cluster>,
    prefix: String,
}

impl Fixture for InCluster {
    fn new() -> Self {
        Self { cluster: cluster(), prefix: fresh_prefix() }
    }

    async fn open(&self) -> Rows {
        redis_rows(nodes(&self.cluster), &self.prefix, &Clock::manual(NOW))
    }

    async fn crash(&self, rows: Rows) -> Option<Rows> {
        drop(rows);
        Some(self.open().await)
    }
}

mod suite {
    use crate::store::queue::tests::conformance::conformance;

    conformance!(super::InCluster, 4);
}

/// Moves some keys of a slot from one node to another.
fn move_keys(cluster: &Cluster, (slot, from, to): &(String, usize, usize), most: &str) -> usize {
    let told = cluster.tell(*from, &["CLUSTER", "GETKEYSINSLOT", slot, most]);
    let keys: Vec<&str> = told.lines().filter(|line| line.starts_with('{')).collect();
    let port = cluster.nodes[*to].port.to_string();
    for key in &keys {
        let moved = cluster.tell(*from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert!(moved.starts_with('+'), "{moved}");
    }
    keys.len()
}

#[tokio::test]
async fn while_a_slot_is_moved_a_change_is_made_whole_or_not_at_all() {
    let fixture = InCluster::new();
    let rows = fixture.open().await;
    for number in 1..=4 {
        let mut stored = due(number);
        stored.head.lane = [number % 2; 8];
        rows.put(stored).await.unwrap();
    }
    let leased =
        rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 1 }).await.unwrap().remove(0);
    let place = fixture.cluster.place_of(&format!("{{{}:@queues}}", fixture.prefix));
    let (slot, from, to) = &place;
    let names = [*from, *to].map(|node| fixture.cluster.name(node));
    fixture.cluster.tell(*to, &["CLUSTER", "SETSLOT", slot, "IMPORTING", &names[0]]);
    fixture.cluster.tell(*from, &["CLUSTER", "SETSLOT", slot, "MIGRATING", &names[1]]);
    let before = rows.list(&query(Queue::Pending)).await;
    let mut refused = 0;
    loop {
        // Some of the keys are here and some there, in one order or another.
        let results = [
            rows.put(due(9)).await.map(drop).is_err(),
            rows.remove(Queue::Pending, RowId([2; 24])).await.is_err(),
            rows.postpone(leased.row.head.id, leased.lease, 1, later(5)).await.is_err(),
            rows.set_aside(RowId([3; 24])).await.is_err(),
        ];
        refused += results.iter().filter(|failed| **failed).count();
        if move_keys(&fixture.cluster, &place, "1") == 0 {
            break;
        }
    }
    assert!(refused > 0, "no call met a slot that was on its way, so this shows nothing");
    for node in 0..3 {
        fixture.cluster.tell(node, &["CLUSTER", "SETSLOT", slot, "NODE", &names[1]]);
    }
    wait_until("the rows are served again", || {
        let told = fixture.cluster.tell(*to, &["EXISTS", &format!("{{{}:@queues}}", fixture.prefix)]);
        told.starts_with(":1")
    });
    drop(before);
    // Each of the four changes was made, now or then; and the rows are in every index or in none.
    let rows = fixture.open().await;
    until_served(&rows).await;
    rows.put(due(9)).await.unwrap();
    rows.remove(Queue::Pending, RowId([2; 24])).await.unwrap();
    rows.set_aside(RowId([3; 24])).await.unwrap();
    let page = rows.list(&query(Queue::Pending)).await.unwrap();
    assert_eq!(ids(&page), [1, 3, 4, 9]);
    assert_eq!(rows.depths().await.unwrap()[0].rows, 4);
    let mut got = Vec::new();
    let mut now = NOW.plus(LEASE).plus(LEASE);
    loop {
        let taken = take_from(&rows, now, LEASE, 10).await;
        if taken.is_empty() {
            break;
        }
        for number in taken {
            rows.remove(Queue::Pending, RowId([number; 24])).await.unwrap();
            got.push(number);
        }
        now = now.plus(LEASE);
    }
    got.sort_unstable();
    // The third is aside, or was and is tried again by a node that starts: `rows` is one.
    assert!(got == [1, 4, 9] || got == [1, 3, 4, 9], "{got:?}");
}

async fn until_served(rows: &Rows) {
    let began = std::time::Instant::now();
    while let Err(error) = rows.depths().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn after_a_failover_the_rows_that_the_replica_had_are_delivered() {
    let mut group = Watched::start();
    let sentinel = Address { host: "127.0.0.1".to_owned(), port: group.sentinel.port };
    let topology = Topology::Sentinel { sentinels: vec![sentinel], master: Watched::MASTER.to_owned() };
    let rows = redis_rows(topology, "t", &Clock::manual(NOW));
    for number in 1..=3 {
        rows.put(due(number)).await.unwrap();
    }
    let leased =
        rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 1 }).await.unwrap().remove(0);
    group.fail_over();
    until_served(&rows).await;
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await.len(), 2, "the lease of the first is known there too");
    assert!(rows.remove(Queue::Pending, leased.row.head.id).await.unwrap());
    assert_eq!(rows.list(&query(Queue::Pending)).await.unwrap().rows.len(), 2);
}
