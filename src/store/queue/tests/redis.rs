//! The rows in Redis: real servers, several nodes, and what others may do to the keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Weak};
use std::time::Instant;

use http::HeaderMap;
use proptest::prelude::*;

use super::desk::{authentic, queue, rows_of, terms};
use super::differential;
use super::*;
use crate::clock::Clock;
use crate::risk::ask::Asks;
use crate::secret::Secret;
use crate::store::queue::desk::DeskError;
use crate::store::redis::link::Link;
use crate::store::redis::rows::RedisRows;
use crate::store::redis::servers::Server;
use crate::store::redis::{Address, OnOutage, RedisSettings, Topology};
use crate::store::{Settings, Store, Unclaimed};

const LEASE: Duration = Duration::from_secs(10);

/// A server that the tests of this process share. The last that lets go of it stops it.
fn server() -> Arc<Server> {
    static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

fn fresh_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn settings(topology: Topology, prefix: &str) -> RedisSettings {
    RedisSettings {
        topology,
        tls: None,
        database: 0,
        user: None,
        password: None,
        sentinel_password: None,
        prefix: prefix.to_owned(),
        timeout: Duration::from_secs(2),
        on_outage: OnOutage::Refuse,
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

#[tokio::test]
async fn nodes_that_take_at_the_same_time_never_get_the_same_row() {
    let fixture = OneServer::new();
    let nodes: Vec<Arc<Rows>> = (0..4).map(|_| Arc::new(fixture.node())).collect();
    for number in 1..=200 {
        let mut stored = due(number);
        stored.head.lane = [number % 90; 8]; // some are of one subject
        nodes[0].put(stored).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for node in nodes {
        tasks.spawn(async move {
            let mut got = Vec::new();
            loop {
                let taken = take_from(&node, now(), LEASE, 3).await;
                if taken.is_empty() {
                    return got;
                }
                for number in taken {
                    assert!(node.remove(Queue::Pending, RowId([number; 24])).await.unwrap(), "{number} was another's");
                    got.push(number);
                }
            }
        });
    }
    let got = tasks.join_all().await;
    let mut all = got.concat();
    all.sort_unstable();
    // A node may find nothing while the last rows of some subjects are leased by others, and end; those rows stay.
    let rows = fixture.node();
    loop {
        let taken = take_from(&rows, now(), LEASE, 10).await;
        if taken.is_empty() {
            break;
        }
        for number in taken {
            assert!(rows.remove(Queue::Pending, RowId([number; 24])).await.unwrap());
            all.push(number);
        }
    }
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<u8>>());
}

#[tokio::test]
async fn what_a_dead_node_had_is_taken_over_when_its_lease_has_ended() {
    let fixture = OneServer::new();
    let (dead, other) = (fixture.node(), fixture.node());
    dead.put(due(1)).await.unwrap();
    let lease = Duration::from_millis(400);
    let began = Instant::now();
    assert_eq!(take_from(&dead, now(), lease, 1).await, [1]);
    drop(dead);
    while take_from(&other, now(), lease, 1).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "never");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(began.elapsed() >= lease, "after {:?}", began.elapsed());
}

#[tokio::test]
async fn clocks_that_differ_by_half_a_minute_end_no_lease_early_and_keep_none_too_long() {
    let fixture = OneServer::new();
    let (fast, slow) = (fixture.node(), fixture.node());
    let ahead = now().plus(Duration::from_secs(30));
    slow.put(due(1)).await.unwrap();
    assert_eq!(take_from(&slow, now().minus(Duration::from_secs(30)), LEASE, 1).await, [1]);
    assert_eq!(take_from(&fast, ahead, LEASE, 1).await, [0; 0], "its lease has not ended");
    slow.put(due(2)).await.unwrap();
    let lease = Duration::from_millis(50);
    assert_eq!(take_from(&fast, ahead, lease, 1).await, [2]);
    tokio::time::sleep(lease).await;
    assert_eq!(take_from(&slow, now().minus(Duration::from_secs(30)), LEASE, 1).await, [2], "it has ended");
}

#[tokio::test]
async fn rows_leases_and_orders_survive_a_kill_of_redis_that_writes_its_log() {
    let mut server = Server::start_durable();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    for number in 1..=4 {
        let mut stored = due(number);
        stored.head.lane = [number / 3; 8]; // 1 and 2 of one lane, 3 and 4 of another
        rows.put(stored).await.unwrap();
    }
    assert_eq!(take_from(&rows, NOW, LEASE, 1).await.len(), 1);
    let held = rows.list(&query(Queue::Pending)).await.unwrap();
    server.restart();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    assert_eq!(rows.list(&query(Queue::Pending)).await.unwrap(), held);
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await.len(), 1, "one lane is leased still");
    assert_eq!(take_from(&rows, NOW.plus(LEASE), LEASE, 10).await.len(), 2);
}

fn query(queue: Queue) -> Query {
    Query { queue, endpoint: None, reason: None, since: None, until: None, after: None, limit: 1000 }
}

#[tokio::test]
async fn a_row_that_was_deleted_by_hand_holds_nobody_up() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    for number in 1..=3 {
        let mut stored = due(number);
        stored.head.lane = [7; 8];
        rows.put(stored).await.unwrap();
    }
    fixture.tell(&["DEL", &fixture.row_key(1)]);
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await, [0; 0], "the first look forgets it");
    assert_eq!(take_from(&rows, NOW, LEASE, 10).await, [2]);
    fixture.tell(&["DEL", &fixture.row_key(2)]); // while it is leased
    assert_eq!(take_from(&rows, NOW.plus(LEASE), LEASE, 10).await, [3]);
    assert_eq!(ids(&rows.list(&query(Queue::Pending)).await.unwrap()), [3]);
}

#[tokio::test]
async fn fields_that_were_changed_by_hand_keep_no_row_from_its_place() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    for number in 1..=2 {
        rows.put(due(number)).await.unwrap();
    }
    let key = fixture.row_key(1);
    fixture.tell(&["HSET", &key, "endpoint", "other", "reason", "no-such-reason", "entered", "x", "attempts", "-1"]);
    fixture.tell(&["HDEL", &key, "sealed", "next"]);
    let taken = rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 10 }).await.unwrap();
    let first = taken.iter().map(|taken| &taken.row).find(|row| row.head.id.0[0] == 1).unwrap();
    assert_eq!((&*first.head.endpoint, first.head.queue), ("pay", Queue::Pending), "as was asked for, not as it says");
    assert_eq!((first.head.attempts, first.sealed.len()), (0, 0));
    assert_eq!(taken.len(), 2);
    assert!(rows.set_aside(RowId([1; 24])).await.unwrap());
    assert_eq!(rows.list(&query(Queue::Pending)).await.unwrap().rows.len(), 2);
}

#[tokio::test]
async fn rows_set_aside_are_tried_once_more_after_a_node_starts_however_many_they_are() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    let many = 700_u16; // more than one script recalls
    let id = |number: u16| {
        let mut id = [0; 24];
        id[22..].copy_from_slice(&number.to_be_bytes());
        RowId(id)
    };
    for number in 0..many {
        let queue = if number == 0 { Queue::Held } else { Queue::Pending };
        let lane = u64::from(number).to_be_bytes();
        rows.put(row(Head { id: id(number), queue, lane, ..head(1) })).await.unwrap();
        rows.set_aside(id(number)).await.unwrap();
    }
    let take = Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 2000 };
    assert_eq!(rows.take(&take).await.unwrap().len(), usize::from(many) - 1, "its own first take is a start too");
    assert!(!rows.list(&query(Queue::Held)).await.unwrap().rows[0].is_quarantined);
    rows.set_aside(id(1)).await.unwrap();
    let later = Take { now: NOW.plus(LEASE), until: NOW.plus(LEASE), ..take };
    let taken = rows.take(&later).await.unwrap();
    assert_eq!(taken.len(), usize::from(many) - 2, "it stays aside for this node");
    let started = fixture.open().await;
    assert_eq!(started.take(&later).await.unwrap().len(), usize::from(many) - 1);
}

#[tokio::test]
async fn a_take_looks_at_no_more_however_many_rows_wait() {
    let server = Server::start();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    rows.put(due(1)).await.unwrap();
    let calls = || {
        let told = server.tell(&["INFO", "commandstats"]).unwrap();
        let inside = |line: &&str| !line.starts_with("cmdstat_info") && !line.starts_with("cmdstat_eval");
        let calls = |line: &str| line.split_once("calls=")?.1.split_once(',')?.0.parse::<u64>().ok();
        told.lines().filter(|line| line.starts_with("cmdstat_")).filter(inside).filter_map(calls).sum::<u64>()
    };
    assert_eq!(take_from(&rows, NOW, LEASE, 1).await, [1]);
    let before = calls();
    assert_eq!(take_from(&rows, NOW.plus(LEASE), LEASE, 1).await, [1]);
    let alone = calls() - before;
    for number in 0..3000_u16 {
        let mut id = [9; 24];
        id[22..].copy_from_slice(&number.to_be_bytes());
        let endpoint = Arc::from(if number % 2 == 0 { "refund" } else { "pay" });
        let lane = [u8::from(number % 4 == 1); 8]; // of the same endpoint: some behind the row, and one lane that is due later
        let next_at = later(u64::from(number));
        rows.put(row(Head { id: RowId(id), endpoint, lane, next_at, received_at: later(9), ..head(1) })).await.unwrap();
    }
    let before = calls();
    assert_eq!(take_from(&rows, NOW.plus(LEASE).plus(LEASE), LEASE, 1).await, [1]);
    assert!(calls() - before <= alone + 2, "{} commands, {alone} for one row alone", calls() - before);
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_others_do_not() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    let fill = "for i = 1, tonumber(ARGV[1]) do redis.call('ZADD', KEYS[1], 0, i) end";
    fixture.tell(&["EVAL", fill, "1", &fixture.key("list:dead"), &MOST_ROWS.to_string()]);
    let mut dead = due(1);
    dead.head.queue = Queue::Dead;
    let full = rows.put(dead.clone()).await;
    assert!(matches!(full, Err(StoreError::QueueFull { queue: Queue::Dead, rows: MOST_ROWS })), "{full:?}");
    assert!(rows.put(due(1)).await.unwrap());
    let taken = rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 1 }).await.unwrap();
    let full = rows.replace(Queue::Pending, Some(taken[0].lease), dead).await;
    assert!(matches!(full, Err(StoreError::QueueFull { .. })), "{full:?}");
    assert!(rows.get(Queue::Pending, RowId([1; 24])).await.unwrap().is_some(), "it stays where it is");
}

#[tokio::test]
async fn a_redis_without_memory_takes_no_more_and_what_waits_is_delivered() {
    let server = Server::start();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    for number in 1..=3 {
        rows.put(due(number)).await.unwrap();
    }
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert!(matches!(rows.put(due(4)).await, Err(StoreError::OutOfMemory)));
    let taken = rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 10 }).await.unwrap();
    assert_eq!(taken.len(), 3);
    assert!(rows.remove(Queue::Pending, taken[0].row.head.id).await.unwrap());
    rows.postpone(taken[1].row.head.id, taken[1].lease, 1, later(60)).await.unwrap();
    let mut dead = taken[2].row.clone();
    dead.head.queue = Queue::Dead;
    assert!(rows.replace(Queue::Pending, Some(taken[2].lease), dead).await.unwrap());
    server.tell(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert!(rows.put(due(4)).await.unwrap());
    assert_eq!(rows.list(&query(Queue::Pending)).await.unwrap().rows.len(), 2);
    assert_eq!(rows.list(&query(Queue::Dead)).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn a_redis_that_may_evict_rows_is_refused_until_it_may_not() {
    let server = Server::start();
    server.tell(&["CONFIG", "SET", "maxmemory", "1gb"]).unwrap();
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).unwrap();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    let refused = rows.put(due(1)).await.unwrap_err().to_string();
    assert!(refused.contains("allkeys-lru") && refused.contains("noeviction"), "{refused}");
    assert!(!rows.is_up());
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).unwrap();
    assert_eq!(take_from(&rows, NOW, LEASE, 1).await, [0; 0]);
    assert!(rows.is_up(), "rows have no expiry, so it spares them");
    assert!(rows.put(due(1)).await.unwrap());
}

#[tokio::test]
async fn rows_have_no_expiry_and_what_has_gone_leaves_nothing_behind() {
    let fixture = OneServer::new();
    let rows = fixture.open().await;
    for number in 1..=3 {
        rows.put(due(number)).await.unwrap();
    }
    let keys = || {
        let pattern = format!("{{{}:@queues}}*", fixture.prefix);
        let told = fixture.tell(&["KEYS", &pattern]);
        told.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect::<Vec<_>>()
    };
    for key in keys() {
        assert_eq!(fixture.tell(&["TTL", &key]).trim(), ":-1", "{key}");
    }
    for number in take_from(&rows, NOW, LEASE, 10).await {
        rows.remove(Queue::Pending, RowId([number; 24])).await.unwrap();
    }
    let (gone, left): (Vec<_>, Vec<_>) = keys().into_iter().partition(|key| key.contains(":gone:"));
    assert_eq!(left, [format!("{{{}:@queues}}", fixture.prefix)], "only the count of turns");
    assert_eq!(gone.len(), 3);
    for key in gone {
        assert_ne!(fixture.tell(&["PTTL", &key]).trim(), ":-1", "{key}");
    }
}

#[tokio::test]
async fn with_redis_gone_every_call_fails_at_once() {
    let mut server = Server::start();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    rows.put(due(1)).await.unwrap();
    server.kill();
    assert!(rows.put(due(2)).await.is_err());
    let began = Instant::now();
    for _ in 0..100 {
        assert!(rows.put(due(2)).await.is_err());
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?} for 100 refusals", began.elapsed());
    assert!(!rows.is_up());
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

fn stores() -> Stores {
    let fixture = OneServer::new();
    let stores = [store(&fixture, vec![seal_key(1)]), store(&fixture, vec![seal_key(1)])];
    Stores { fixture, stores }
}

#[tokio::test]
async fn what_one_gateway_queued_another_lists_opens_and_delivers() {
    let Stores { stores: [one, other], .. } = stores();
    let key = queue(&one, "EV-1").await;
    let listed = rows_of(&other, Queue::Pending).await;
    assert_eq!(other.show(Queue::Pending, listed[0].id).await.unwrap().webhook_id, key);
    let opened = other.take("pay", LEASE, 10).await.unwrap().remove(0);
    assert!(one.take("pay", LEASE, 10).await.unwrap().is_empty(), "it is the other's");
    assert_eq!((opened.idempotency_key(), opened.event().id.as_str()), (key, "EV-1"));
    opened.finish().await.unwrap();
    assert_eq!(rows_of(&one, Queue::Pending).await, []);
}

#[tokio::test]
async fn a_row_whose_bytes_were_changed_in_redis_is_quarantined_and_never_delivered() {
    let Stores { fixture, stores: [one, other] } = stores();
    queue(&one, "EV-1").await;
    queue(&one, "EV-2").await;
    let ids: Vec<RowId> = rows_of(&one, Queue::Pending).await.iter().map(|head| head.id).collect();
    let flip = "local sealed = redis.call('HGET', KEYS[1], 'sealed') local last = string.byte(sealed, -1) \
        redis.call('HSET', KEYS[1], 'sealed', string.sub(sealed, 1, -2) .. string.char((last + 1) % 256))";
    fixture.tell(&["EVAL", flip, "1", &fixture.key(&format!("row:{}", ids[0]))]);
    let taken = other.take("pay", LEASE, 10).await.unwrap();
    let taken = if taken.is_empty() { other.take("pay", LEASE, 10).await.unwrap() } else { taken };
    assert_eq!(taken.iter().map(Opened::id).collect::<Vec<_>>(), [ids[1]], "the other of its subject goes on");
    assert!(one.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!((other.quarantined(), one.quarantined()), (1, 0), "one of them says so, once");
    assert!(matches!(one.show(Queue::Pending, ids[0]).await, Err(DeskError::Unopened { .. })));
    assert_eq!(one.quarantined(), 0);
    let page = one.list(&query(Queue::Pending)).await.unwrap();
    assert!(page.rows.iter().any(|listed| listed.head.id == ids[0] && listed.is_quarantined), "{page:?}");
}

#[tokio::test]
async fn what_a_person_holds_cannot_be_released_by_who_writes_into_redis() {
    let Stores { fixture, stores: [one, other] } = stores();
    queue(&one, "EV-1").await;
    let told = authentic("EV-1", "n2", r#"{"amount":1}"#);
    let claimed = one.claim(told, &HeaderMap::new(), &terms(), &Asks::default(), NOW).await;
    assert!(matches!(claimed, Err(Unclaimed::IdConflict)));
    one.take("pay", LEASE, 10).await.unwrap().remove(0).finish().await.unwrap();
    let id = rows_of(&one, Queue::Held).await[0].id.to_string();
    // Everything that a release does, but for the seal.
    fixture.tell(&["HSET", &fixture.key(&format!("row:{id}")), "queue", "pending"]);
    let place = fixture.tell(&["HGET", &fixture.key(&format!("row:{id}")), "place"]);
    let place = place.lines().nth(1).unwrap();
    fixture.tell(&["ZADD", &fixture.key("lanes:pay"), "0", &format!("{place}{id}")]);
    fixture.tell(&["ZADD", &fixture.key("due:pay"), "0", &place[..16]]);
    assert!(other.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!(other.quarantined(), 1);
}

#[tokio::test]
async fn a_key_that_one_gateway_lacked_opens_after_the_next_start() {
    let fixture = OneServer::new();
    let new = store(&fixture, vec![seal_key(2), seal_key(1)]);
    let old = store(&fixture, vec![seal_key(1)]);
    queue(&new, "EV-1").await;
    assert!(old.take("pay", LEASE, 10).await.unwrap().is_empty());
    assert_eq!(old.quarantined(), 1);
    let restarted = store(&fixture, vec![seal_key(2), seal_key(1)]);
    assert_eq!(restarted.take("pay", LEASE, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_of_redis_does_not_open_without_a_seal_key() {
    let redis = settings(single(&server()), &fresh_prefix());
    let engine = EngineSettings::Redis(Arc::new(redis));
    let settings = Settings { engine, retention: Duration::from_hours(72), seal_keys: Vec::new() };
    let refused = Store::open(&settings, Clock::manual(NOW)).err().unwrap();
    assert!(matches!(refused, OpenError::NoSealKey), "{refused}");
}
