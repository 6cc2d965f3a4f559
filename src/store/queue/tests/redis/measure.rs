//! What a waiting event costs Redis: the measurement of docs/decisions/0005-queues-in-one-slot.md. Not part of a test run.

#![allow(clippy::cast_precision_loss, reason = "ratios, to two digits")]

use super::*;

const ROWS: u32 = 5_000;
const ROW: usize = 3_000;

/// Time that Redis itself spent on each run of a command since the last look, in microseconds.
fn spent(server: &Server, command: &str) -> f64 {
    let told = server.tell(&["INFO", "commandstats"]).unwrap();
    let prefix = format!("cmdstat_{command}:");
    let line = told.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
    let per_call = line.split("usec_per_call=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    server.tell(&["CONFIG", "RESETSTAT"]).unwrap();
    per_call
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_scripts_of_the_queues_against_a_bare_set() {
    let server = Server::start();
    let rows = redis_rows(single(&server), "t", &Clock::System);
    put(&rows, 0).await;
    let one = "for i = 1, 5000 do redis.call('SET', 'nonce' .. i, 1, 'NX', 'EX', 660) end";
    server.tell(&["CONFIG", "RESETSTAT"]).unwrap();
    server.tell(&["EVAL", one, "0"]).unwrap();
    let bare = spent(&server, "set");
    put(&rows, ROWS).await;
    let put = spent(&server, "evalsha");
    println!("SET NX EX: {bare:.2} us; put: {put:.1} us, {:.0} times that", put / bare);
    let mut taken = Vec::new();
    while taken.len() < ROWS as usize {
        let take = Take { endpoint: "pay", now: now(), until: now().plus(Duration::from_mins(5)), limit: 1 };
        taken.extend(rows.take(&take).await.unwrap());
    }
    let take = spent(&server, "evalsha");
    println!("take of one row: {take:.1} us, {:.0} times", take / bare);
    for taken in &taken {
        rows.remove(Queue::Pending, taken.row.head.id).await.unwrap();
    }
    let remove = spent(&server, "evalsha");
    println!("remove: {remove:.1} us, {:.0} times", remove / bare);
    println!("put, take and remove: {:.0} times a bare SET", (put + take + remove) / bare);
    for _ in 0..1000 {
        rows.take(&Take { endpoint: "none", now: now(), until: now(), limit: 8 }).await.unwrap();
    }
    println!("take where nothing waits: {:.1} us", spent(&server, "evalsha"));
    let reason = Some(Reason::Held); // that no row has
    let query =
        Query { queue: Queue::Pending, endpoint: None, reason, since: None, until: None, after: None, limit: 100 };
    rows.list(&query).await.unwrap();
    println!("the dearest page of a list: {:.0} us", spent(&server, "evalsha"));
    let memory = |server: &Server| server.info("memory", "used_memory").parse::<f64>().unwrap();
    let before = memory(&server);
    self::put(&rows, 2 * ROWS).await;
    println!(
        "memory of a row beside its {ROW} sealed bytes: {:.0} B",
        (memory(&server) - before) / f64::from(ROWS) - ROW as f64
    );
}

async fn put(rows: &Rows, first: u32) {
    for number in first..first + ROWS {
        rows.put(Stored { head: head(number), sealed: vec![7; ROW].into() }).await.unwrap();
    }
}

/// The head of a row of its own subject.
fn head(number: u32) -> Head {
    let mut id = [0; 24];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Head { id: RowId(id), lane: id[..8].try_into().unwrap(), ..super::head(1) }
}
