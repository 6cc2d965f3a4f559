//! What a `redis:` store costs: CPU of Redis and of the gateway for a claim, on one connection with 256 at a time, beside a
//! bare `SET NX EX` in the same run; memory for a remembered event beside plain keys; and how fast callbacks are answered
//! when Redis hangs.
//!
//! `cargo bench --bench redis -- 1000000`: so many events are remembered, 100,000 unless told. `redis-server` has to be
//! installed. Figures of one machine are only good as ratios within one run.

#![allow(missing_docs, clippy::arithmetic_side_effects, clippy::print_stdout, reason = "a bench prints, and may panic")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "a bench may panic")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures are small")]

#[path = "../src/store/redis/servers/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "tests need more of it")]
mod servers;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use servers::Server;
use servers::groups::Cluster;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use wxgate::clock::{Clock, UnixTime};
use wxgate::risk::ask::{Amount, CounterAsk, ListAsk, Measure};
use wxgate::store::EngineSettings;
use wxgate::store::engine::{Ask, End, Engine, NonceUse, Reply, Settlement};
use wxgate::store::redis::{Address, OnOutage, RedisSettings, Topology};

const AT_A_TIME: u64 = 256;
const OPS: u64 = 20_000;
const ROUNDS: usize = 5;
const RETENTION: Duration = Duration::from_hours(72);

/// A claim over plain keys, as it is often written: a key for the nonce, a key for the event.
const PLAIN: &str = "if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', 660) then return 1 end \
    local known = redis.call('GET', KEYS[2]) if known then return 2 end \
    redis.call('SET', KEYS[2], ARGV[1], 'EX', 259200) return {1}";
const PLAIN_DIGEST: &str = "9f3eacf83da39784ec87892dfd2c6354400d9e46";

fn main() {
    let remembered = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    println!("{}", servers::binary());
    costs(&runtime, remembered);
    memory(&runtime, remembered);
    lists(&runtime);
    outage(&runtime);
}

fn address(server: &Server) -> Address {
    Address { host: "127.0.0.1".to_owned(), port: server.port }
}

fn engine(runtime: &Runtime, topology: Topology, on_outage: OnOutage, timeout: Duration) -> Arc<Engine> {
    let settings = RedisSettings { timeout, on_outage, ..RedisSettings::new(topology) };
    let _inside = runtime.enter();
    Arc::new(Engine::open(&EngineSettings::Redis(Arc::new(settings)), &Clock::System).unwrap())
}

fn patient(runtime: &Runtime, server: &Server) -> Arc<Engine> {
    engine(runtime, Topology::Single(address(server)), OnOutage::Refuse, Duration::from_secs(2))
}

fn digest(number: u64) -> [u8; 16] {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes()
}

fn ask(number: u64, now: UnixTime) -> Ask<'static> {
    Ask {
        endpoint: "shop-pay",
        nonce: Some(NonceUse { digest: digest(number), signed_at: now, until: now.plus(Duration::from_mins(6)) }),
        event: digest(number),
        content: [1; 8],
        lease: Duration::from_secs(9),
        retention: RETENTION,
        now,
        counters: &[],
        order: None,
        lists: &[],
    }
}

/// What is measured: one callback's share of the store.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    SetNx,
    PlainClaim,
    Claim,
    ClaimAndEnd,
    ClaimWithoutNonce,
    ClaimWithCounters,
    ClaimWithLists,
}

impl Work {
    const fn name(self) -> &'static str {
        match self {
            Self::SetNx => "SET NX EX",
            Self::PlainClaim => "claim over plain keys",
            Self::Claim => "claim",
            Self::ClaimAndEnd => "claim and end",
            Self::ClaimWithoutNonce => "claim without a nonce, and end",
            Self::ClaimWithCounters => "claim with 6 counters",
            Self::ClaimWithLists => "claim with 2 lists",
        }
    }
}

#[derive(Clone)]
struct Client {
    engine: Arc<Engine>,
    plain: MultiplexedConnection,
}

impl Client {
    fn new(runtime: &Runtime, server: &Server) -> Self {
        let client = redis::Client::open(("127.0.0.1", server.port)).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(1024);
        let mut plain = runtime.block_on(client.get_multiplexed_async_connection_with_config(&config)).unwrap();
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(PLAIN);
        let digest: String = runtime.block_on(load.query_async(&mut plain)).unwrap();
        assert_eq!(digest, PLAIN_DIGEST, "the digest of the script above");
        Self { engine: patient(runtime, server), plain }
    }

    async fn one(&mut self, work: Work, number: u64) {
        let hex = |sort: &str| format!("{sort}:{:032x}", u128::from_le_bytes(digest(number)));
        match work {
            Work::SetNx => {
                let mut set = redis::cmd("SET");
                set.arg(hex("s")).arg(1).arg("NX").arg("EX").arg(660);
                let _: redis::Value = set.query_async(&mut self.plain).await.unwrap();
            }
            Work::PlainClaim => {
                let mut eval = redis::cmd("EVALSHA");
                eval.arg(PLAIN_DIGEST).arg(2).arg(hex("n")).arg(hex("e")).arg([1; 8].as_slice());
                let _: redis::Value = eval.query_async(&mut self.plain).await.unwrap();
            }
            Work::Claim
            | Work::ClaimAndEnd
            | Work::ClaimWithoutNonce
            | Work::ClaimWithCounters
            | Work::ClaimWithLists => claim(&self.engine, work, number).await,
        }
    }

    /// Runs so many, 256 at a time.
    fn run(&self, runtime: &Runtime, work: Work, numbers: std::ops::Range<u64>) {
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for first in 0..AT_A_TIME {
                let (mut client, numbers) = (self.clone(), numbers.clone());
                tasks.spawn(async move {
                    for number in numbers.skip(first as usize).step_by(AT_A_TIME as usize) {
                        client.one(work, number).await;
                    }
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        });
    }
}

async fn claim(engine: &Engine, work: Work, number: u64) {
    let now = Clock::System.now();
    let counters = counters(number, now);
    let listed = |value: &str| ListAsk { list: "blocked".to_owned(), value: value.to_owned() };
    let lists = [listed("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"), listed("203.0.113.9")];
    let mut ask = ask(number, now);
    match work {
        Work::ClaimWithCounters => ask.counters = &counters,
        Work::ClaimWithLists => ask.lists = &lists,
        Work::ClaimWithoutNonce => ask.nonce = None,
        Work::SetNx | Work::PlainClaim | Work::Claim | Work::ClaimAndEnd => {}
    }
    let reply = engine.claim(&ask).await.unwrap();
    let Reply::Claimed { lease, .. } = reply else { panic!("{reply:?}") };
    if matches!(work, Work::ClaimAndEnd | Work::ClaimWithoutNonce) {
        let Ask { endpoint, event, content, retention, .. } = ask;
        let settlement = Settlement { endpoint, event, content, lease, end: End::Done, retention, now };
        engine.settle(&settlement).await.unwrap();
    }
}

/// The payer's, of which there are many, and one that all share.
fn counters(number: u64, at: UnixTime) -> [CounterAsk; 6] {
    let counter = |counter: u64| {
        let key = if counter < 5 { number % 10_000 } else { 0 };
        let measure = match counter {
            0 => Measure::FirstSeen,
            1 | 2 => Measure::Sum,
            3 => Measure::Distinct { exact_up_to: 8 },
            _ => Measure::Count,
        };
        let add = match measure {
            Measure::Distinct { .. } => Amount::Member(number.to_le_bytes()),
            Measure::Count | Measure::Sum | Measure::Last | Measure::FirstSeen => Amount::Number(1),
        };
        let (window, slice) = (Duration::from_hours(1), Duration::from_mins(1));
        CounterAsk { id: digest(key << 8 | counter), measure, add: Some(add), window, slice, at }
    };
    std::array::from_fn(|number| counter(number as u64))
}

/// Microseconds of CPU.
#[derive(Clone, Copy)]
struct Cpu {
    server: f64,
    client: f64,
}

fn cpu(server: &Server) -> Cpu {
    let seconds = |field: &str| server.info("cpu", field).parse::<f64>().unwrap();
    let of_server = seconds("used_cpu_user") + seconds("used_cpu_sys");
    // Nanoseconds that this thread, the only one of the runtime, was on a core.
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let client: f64 = text.split(' ').next().unwrap().parse().unwrap();
    Cpu { server: of_server * 1e6, client: client / 1e3 }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn costs(runtime: &Runtime, remembered: u64) {
    let server = Server::start();
    let client = Client::new(runtime, &server);
    let mut next = 0;
    let mut numbers = |many: u64| {
        next += many;
        next - many..next
    };
    client.run(runtime, Work::ClaimAndEnd, numbers(remembered));
    client.run(runtime, Work::PlainClaim, numbers(remembered));
    let works =
        [Work::SetNx, Work::PlainClaim, Work::Claim, Work::ClaimAndEnd, Work::ClaimWithCounters, Work::ClaimWithLists];
    let mut figures = vec![(Vec::new(), Vec::new(), Vec::new()); works.len()];
    for _ in 0..ROUNDS {
        for (work, (of_server, of_client, seconds)) in works.iter().zip(&mut figures) {
            let (before, began) = (cpu(&server), Instant::now());
            client.run(runtime, *work, numbers(OPS));
            let after = cpu(&server);
            of_server.push((after.server - before.server) / OPS as f64);
            of_client.push((after.client - before.client) / OPS as f64);
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    println!(
        "\n{AT_A_TIME} at a time on one connection, {remembered} events remembered; medians of {ROUNDS} rounds of {OPS}"
    );
    println!("| work | Redis, µs of CPU | to SET NX EX | gateway, µs of CPU | a second |\n|---|---:|---:|---:|---:|");
    let base = median(figures[0].0.clone());
    for (work, (of_server, of_client, seconds)) in works.iter().zip(figures) {
        let (of_server, of_client) = (median(of_server), median(of_client));
        let rate = OPS as f64 / median(seconds);
        println!("| {} | {of_server:.1} | {:.1} | {of_client:.1} | {rate:.0} |", work.name(), of_server / base);
    }
}

fn memory(runtime: &Runtime, remembered: u64) {
    println!("\n| {remembered} remembered | bytes each |\n|---|---:|");
    let used = |server: &Server| server.info("memory", "used_memory").parse::<f64>().unwrap();
    for work in [Work::PlainClaim, Work::ClaimAndEnd, Work::ClaimWithoutNonce] {
        let server = Server::start();
        let client = Client::new(runtime, &server);
        client.run(runtime, work, u64::MAX / 2..u64::MAX / 2 + 1); // scripts and connections are there before
        let before = used(&server);
        client.run(runtime, work, 0..remembered);
        println!("| {} | {:.1} |", work.name(), (used(&server) - before) / remembered as f64);
    }
}

/// What it costs that lists lie in another slot of a Cluster than the keys of an endpoint.
fn lists(runtime: &Runtime) {
    let cluster = Cluster::start();
    let nodes = cluster.nodes.iter().map(address).collect();
    let engine = engine(runtime, Topology::Cluster(nodes), OnOutage::Refuse, Duration::from_secs(2));
    println!(
        "\n| in a Cluster of 3, one at a time | µs until the answer, median | Redis, µs of CPU |\n|---|---:|---:|"
    );
    let spent = || cluster.nodes.iter().map(|node| cpu(node).server).sum::<f64>();
    let mut number = 0;
    for work in [Work::Claim, Work::Claim, Work::ClaimWithLists] {
        let before = spent();
        let mut waits = Vec::new();
        for _ in 0..5000 {
            let began = Instant::now();
            runtime.block_on(claim(&engine, work, number));
            waits.push(began.elapsed().as_secs_f64() * 1e6);
            number += 1;
        }
        println!("| {} | {:.0} | {:.1} |", work.name(), median(waits), (spent() - before) / 5000.0);
    }
}

/// Redis hangs for two seconds under load: how long callbacks wait for the store's answer meanwhile.
fn outage(runtime: &Runtime) {
    const TIMEOUT: Duration = Duration::from_millis(200);
    println!("\n| Redis hangs, 64 at a time, timeout {TIMEOUT:?} | answers | p50 | p99 | longest | after it is back |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (on_outage, name) in [(OnOutage::Refuse, "refuse"), (OnOutage::Local, "local")] {
        let server = Server::start();
        let engine = engine(runtime, Topology::Single(address(&server)), on_outage, TIMEOUT);
        let (mut waits, back) = runtime.block_on(hang(&engine, &server));
        waits.sort();
        let at = |share: usize| waits[(waits.len() * share / 100).min(waits.len() - 1)];
        let (p50, p99, longest) = (at(50), at(99), at(100));
        println!("| {name} | {} | {p50:.1?} | {p99:.1?} | {longest:.1?} | {back:.1?} |", waits.len());
    }
}

async fn hang(engine: &Arc<Engine>, server: &Server) -> (Vec<Duration>, Duration) {
    static NUMBERS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 40);
    let fresh = || ask(NUMBERS.fetch_add(1, std::sync::atomic::Ordering::Relaxed), Clock::System.now());
    for _ in 0..1000 {
        engine.claim(&fresh()).await.unwrap();
    }
    server.pause();
    let ends = Instant::now() + Duration::from_secs(2);
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let engine = Arc::clone(engine);
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < ends {
                let began = Instant::now();
                let _ = engine.claim(&fresh()).await;
                waits.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await; // the next callback
            }
            waits
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done.unwrap());
    }
    server.resume();
    let resumed = Instant::now();
    while !engine.is_whole() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (waits, resumed.elapsed())
}
