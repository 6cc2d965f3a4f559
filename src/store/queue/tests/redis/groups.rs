//! The rows in a Cluster of three, in a group that a Sentinel watches, and behind TLS and an ACL user.

use super::*;
use crate::store::redis::Tls;
use crate::store::redis::servers::groups::{Cluster, Guarded, Watched};

/// A Cluster that the tests of this process share; it ends with the process.
fn cluster() -> Arc<Cluster> {
    static CLUSTER: OnceLock<Arc<Cluster>> = OnceLock::new();
    Arc::clone(CLUSTER.get_or_init(|| Arc::new(Cluster::start())))
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

mod shared_slots {
    use crate::store::queue::tests::conformance::conformance;

    conformance!(super::InCluster, 8, all at once);
}

/// By TLS, as a user who may do what docs/configuration.md gives him, and nothing else.
struct Secured {
    prefix: String,
}

impl Fixture for Secured {
    fn new() -> Self {
        Self { prefix: fresh_prefix() }
    }

    async fn open(&self) -> Rows {
        static GUARDED: OnceLock<Guarded> = OnceLock::new();
        let guarded = GUARDED.get_or_init(Guarded::start);
        let settings = RedisSettings {
            tls: Some(Tls { authorities: Some(guarded.authority.as_str().into()) }),
            user: Some(Guarded::USER.to_owned()),
            password: Some(Secret::new(Guarded::PASSWORD.as_bytes().to_vec())),
            ..settings(single(&guarded.server), &self.prefix)
        };
        Rows::Redis(RedisRows::open(Link::open(&settings).unwrap(), &Clock::manual(NOW)).unwrap())
    }

    async fn crash(&self, rows: Rows) -> Option<Rows> {
        drop(rows);
        Some(self.open().await)
    }
}

mod tls_and_acl_user {
    use crate::store::queue::tests::conformance::conformance;

    conformance!(super::Secured, 4, all at once);
}

/// A slot that is on its way from one node to another.
struct Move<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: usize,
    to: usize,
}

impl<'a> Move<'a> {
    fn begin(cluster: &'a Cluster, key: &str) -> Self {
        let (slot, from, to) = cluster.place_of(key);
        cluster.tell(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &cluster.name(from)]);
        cluster.tell(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &cluster.name(to)]);
        Self { cluster, slot, from, to }
    }

    fn key(&self, key: &str) {
        let port = self.cluster.nodes[self.to].port.to_string();
        let moved = self.cluster.tell(self.from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        assert_eq!(moved, "+OK\r\n", "{key}");
    }

    /// Moves what is left.
    fn end(self) {
        let left = self.cluster.tell(self.from, &["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"]);
        left.lines().filter(|line| line.starts_with('{')).for_each(|key| self.key(key));
        let owner = self.cluster.name(self.to);
        for node in [self.to, self.from, 3 - self.to - self.from] {
            self.cluster.tell(node, &["CLUSTER", "SETSLOT", &self.slot, "NODE", &owner]);
        }
    }
}

#[tokio::test]
async fn while_a_slot_is_moved_a_change_is_made_whole_or_not_at_all() {
    let cluster = cluster();
    let keys =
        ["row:1", "lists", "list:pending", "list:pending:pay", "lanes:pay", "due:pay", "leases:pay", "taken:pay"];
    let row_key = format!("row:{}", RowId([1; 24]));
    for away in keys {
        let fixture = InCluster { cluster: Arc::clone(&cluster), prefix: fresh_prefix() };
        let tag = format!("{{{}:@queues}}", fixture.prefix);
        let rows = fixture.open().await;
        for number in 1..=3 {
            let mut stored = due(number);
            stored.head.next_at = later(u64::from(number == 1)); // what is removed is not leased
            rows.put(stored).await.unwrap();
        }
        assert_eq!(take_from(&rows, NOW, LEASE, 1).await.len(), 1);

        let moving = Move::begin(&cluster, &tag);
        moving.key(&format!("{tag}:{}", if away == "row:1" { &row_key } else { away }));
        let removed = rows.remove(Queue::Pending, RowId([1; 24])).await;
        let put = rows.put(due(9)).await;
        assert!(removed.is_err() && put.is_err(), "{away} is away: {removed:?}, {put:?}");
        moving.end();

        let rows = fixture.open().await;
        until_served(&rows).await;
        assert_eq!(ids(&rows.list(&query(Queue::Pending)).await.unwrap()), [1, 2, 3], "with {away} away");
        assert_eq!(rows.depths().await.unwrap()[0].rows, 3, "with {away} away");
        let mut taken = take_from(&rows, NOW.plus(LEASE), LEASE, 10).await;
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3], "with {away} away");
        assert!(rows.remove(Queue::Pending, RowId([1; 24])).await.unwrap());
        assert!(rows.put(due(9)).await.unwrap());
    }
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
