//! What Redis itself may do: die, fill up, evict, be gone.

use std::time::Instant;

use super::*;

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
    let refused = rows.put(dead.clone()).await;
    assert!(matches!(refused, Err(StoreError::QueueFull { queue: Queue::Dead, rows: MOST_ROWS })), "{refused:?}");
    assert!(rows.put(due(1)).await.unwrap());
    let taken = rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 1 }).await.unwrap();
    let refused = rows.replace(Queue::Pending, Some(taken[0].lease), dead).await;
    assert!(matches!(refused, Err(StoreError::QueueFull { .. })), "{refused:?}");
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
}

#[tokio::test]
async fn what_was_delivered_while_redis_was_gone_leaves_the_queue_when_it_is_back() {
    let mut server = Server::start_durable();
    let rows = redis_rows(single(&server), "t", &Clock::manual(NOW));
    rows.put(due(1)).await.unwrap();
    rows.put(due(2)).await.unwrap();
    let taken =
        rows.take(&Take { endpoint: "pay", now: NOW, until: NOW.plus(LEASE), limit: 1 }).await.unwrap().remove(0);
    server.kill();
    rows.delivered(taken.row.head.id).await.unwrap_err();
    server.restart();
    let began = Instant::now();
    let other = redis_rows(single(&server), "t", &Clock::manual(NOW));
    let left = loop {
        let page = other.list(&query(Queue::Pending)).await;
        if let Some(page) = page.ok().filter(|page| page.rows.len() == 1) {
            break ids(&page);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the row stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let first = taken.row.head.id.0[0];
    assert_eq!(left, [3 - first]);
    assert_eq!(take_from(&rows, NOW.plus(LEASE), LEASE, 10).await, [3 - first]);
}
