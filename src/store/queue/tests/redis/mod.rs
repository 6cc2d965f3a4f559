//! The rows in Redis: real servers, several nodes, and what others may do to the keys.

mod groups;
mod hands;
mod limits;
mod measure;
mod nodes;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::desk::{queue, rows_of};
use super::differential;
use super::*;
use crate::clock::Clock;
use crate::secret::Secret;
use crate::store::redis::link::Link;
use crate::store::redis::rows::RedisRows;
use crate::store::redis::servers::Server;
use crate::store::redis::{Address, RedisSettings, Topology};
use crate::store::{Settings, Store};

const LEASE: Duration = Duration::from_secs(10);

/// A server that the tests of this process share; it ends with the process.
fn server() -> Arc<Server> {
    static SERVER: OnceLock<Arc<Server>> = OnceLock::new();
    Arc::clone(SERVER.get_or_init(|| Arc::new(Server::start())))
}

fn fresh_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn settings(topology: Topology, prefix: &str) -> RedisSettings {
    RedisSettings {
        prefix: prefix.to_owned(),
        timeout: Duration::from_secs(5), // a busy machine is no outage
        ..RedisSettings::new(topology)
    }
}

fn single(server: &Server) -> Topology {
    Topology::Single(Address { host: "127.0.0.1".to_owned(), port: server.port })
}

fn redis_rows(topology: Topology, prefix: &str, clock: &Clock) -> Rows {
    let link = Link::open(&settings(topology, prefix)).unwrap();
    Rows::Redis(RedisRows::open(link, clock).unwrap())
}

/// A gateway that is killed: what it wrote is in Redis, and so are its leases.
struct OneServer {
    server: Arc<Server>,
    prefix: String,
}

impl OneServer {
    fn key(&self, rest: &str) -> String {
        format!("{{{}:@queues}}:{rest}", self.prefix)
    }

    fn row_key(&self, number: u8) -> String {
        self.key(&format!("row:{}", RowId([number; 24])))
    }

    /// A node by the clock of Redis, as gateways are.
    fn node(&self) -> Rows {
        redis_rows(single(&self.server), &self.prefix, &Clock::System)
    }

    fn tell(&self, command: &[&str]) -> String {
        let answer = self.server.tell(command).unwrap();
        assert!(!answer.starts_with('-'), "{command:?}: {answer}");
        answer
    }
}

impl Fixture for OneServer {
    fn new() -> Self {
        Self { server: server(), prefix: fresh_prefix() }
    }

    async fn open(&self) -> Rows {
        redis_rows(single(&self.server), &self.prefix, &Clock::manual(NOW))
    }

    async fn crash(&self, rows: Rows) -> Option<Rows> {
        drop(rows);
        Some(self.open().await)
    }
}

mod one_server {
    super::super::conformance::conformance!(super::OneServer, 32);
}

#[test]
fn any_operations_have_the_answers_that_the_table_in_memory_gives() {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in differential::steps())| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = OneServer::new();
            differential::run(fixture.open().await, steps).await;
        });
    });
}

fn now() -> UnixTime {
    Clock::System.now()
}

/// A row that is due now by any clock.
fn due(number: u8) -> Stored {
    row(head(number))
}

async fn take_from(rows: &Rows, now: UnixTime, lease: Duration, limit: usize) -> Vec<u8> {
    let taken = rows.take(&Take { endpoint: "pay", now, until: now.plus(lease), limit }).await.unwrap();
    taken.iter().map(|taken| taken.row.head.id.0[0]).collect()
}

fn query(queue: Queue) -> Query {
    Query { queue, endpoint: None, reason: None, since: None, until: None, after: None, limit: 1000 }
}

/// Two gateways over one Redis, with the same seal key.
struct Stores {
    fixture: OneServer,
    stores: [Store; 2],
}

fn seal_key(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

fn store(fixture: &OneServer, seal_keys: Vec<Secret>) -> Store {
    let redis = settings(single(&fixture.server), &fixture.prefix);
    let engine = EngineSettings::Redis(Arc::new(redis));
    let settings = Settings { engine, retention: Duration::from_hours(72), seal_keys };
    Store::open(&settings, Clock::manual(NOW)).unwrap()
}

/// Both have begun to take, as gateways do when they start.
async fn stores() -> Stores {
    let fixture = OneServer::new();
    let stores = [store(&fixture, vec![seal_key(1)]), store(&fixture, vec![seal_key(1)])];
    for store in &stores {
        assert!(store.take("pay", LEASE, 10).await.unwrap().is_empty());
    }
    Stores { fixture, stores }
}
