//! What a waiting event costs Redis: the measurement of docs/decisions/0005-queues-in-one-slot.md. Not part of a test run.

#![allow(clippy::cast_precision_loss, reason = "ratios, to two digits")]

use super::*;

const ROWS: u32 = 5_000;
const ROW: usize = 3_000;

/// What requests cost the server from a moment on.
struct Costs<'a> {
    server: &'a Server,
    began: f64,
}

impl<'a> Costs<'a> {
    fn begin(server: &'a Server) -> Self {
        Self { server, began: spent(server) }
    }

    /// Processor time of each of so many requests, in microseconds.
    fn of_each(&self, requests: u32) -> f64 {
        (spent(self.server) - self.began) * 1e6 / f64::from(requests)
    }
}

/// Processor seconds of the thread that serves: those of others on the machine are not in it.
fn spent(server: &Server) -> f64 {
    ["used_cpu_user_main_thread", "used_cpu_sys_main_thread"]
        .map(|field| server.info("cpu", field).parse::<f64>().unwrap())
        .iter()
        .sum()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn measure_scripts_of_the_queues_against_a_bare_set() {
    let server = Server::start();
    let rows = redis_rows(single(&server), "t", &Clock::System);
    put(&rows, 0).await; // the scripts are known from here on, and the queue is not empty
    let told = |what: &str, cost: f64, bare: f64| println!("{what}: {cost:.1} us, {:.1} times a SET", cost / bare);

    let mut connection =
        ::redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap().get_connection().unwrap();
    let costs = Costs::begin(&server);
    for number in 0..4 * ROWS {
        let set = ::redis::cmd("SET").arg(format!("nonce{number}")).arg(1).arg("NX").arg("EX").arg(660).clone();
        set.exec(&mut connection).unwrap();
    }
    let bare = costs.of_each(4 * ROWS);
    println!("SET NX EX: {bare:.1} us");

    let costs = Costs::begin(&server);
    put(&rows, ROWS).await;
    let put = costs.of_each(ROWS);
    told("put", put, bare);

    let costs = Costs::begin(&server);
    let mut taken = Vec::new();
    while taken.len() < ROWS as usize {
        let take = Take { endpoint: "pay", now: now(), until: now().plus(Duration::from_mins(5)), limit: 1 };
        taken.extend(rows.take(&take).await.unwrap());
    }
    let take = costs.of_each(ROWS);
    told("take of one row", take, bare);

    let costs = Costs::begin(&server);
    for taken in &taken {
        rows.remove(Queue::Pending, taken.row.head.id).await.unwrap();
    }
    let remove = costs.of_each(ROWS);
    told("remove", remove, bare);
    told("an event that waits and is delivered", put + take + remove, bare);

    let costs = Costs::begin(&server);
    for _ in 0..ROWS {
        rows.take(&Take { endpoint: "none", now: now(), until: now(), limit: 8 }).await.unwrap();
    }
    told("take where nothing waits", costs.of_each(ROWS), bare);

    let reason = Some(Reason::Held); // that no row has
    let filtered =
        Query { queue: Queue::Pending, endpoint: None, reason, since: None, until: None, after: None, limit: 100 };
    let costs = Costs::begin(&server);
    for _ in 0..100 {
        rows.list(&filtered).await.unwrap();
    }
    told("a page of a list that fits nothing", costs.of_each(100), bare);

    let memory = |server: &Server| server.info("memory", "used_memory").parse::<f64>().unwrap();
    let before = memory(&server);
    self::put(&rows, 2 * ROWS).await;
    let each = (memory(&server) - before) / f64::from(ROWS);
    println!("memory of a row beside its {ROW} sealed bytes: {:.0} B", each - ROW as f64);
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
