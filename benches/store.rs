//! What a claim and its commit cost, engine by engine, and how long a `file:` store takes to open.
//!
//! `cargo bench --bench store`. The disk is the one that holds the temporary directory (`TMPDIR`).

#![allow(missing_docs, clippy::arithmetic_side_effects, reason = "a bench is no interface, and may panic")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};
use wxgate::clock::{Clock, UnixTime};
use wxgate::risk::ask::{Amount, CounterAsk, Measure, Order};
use wxgate::store::EngineSettings;
use wxgate::store::engine::{Ask, End, Engine, NonceUse, PutOrder, Reply, Settlement};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
/// Events in the store that is opened.
const REMEMBERED: u64 = 1_000_000;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime of one thread")
}

fn open(settings: &EngineSettings) -> Arc<Engine> {
    Arc::new(Engine::open(settings, &Clock::manual(NOW)).expect("an empty store opens"))
}

/// Counters of a callback that is judged: the payer's, of which there are many, and the merchant's, which all share.
const COUNTERS: u64 = 8;

fn counters(number: u64) -> Vec<CounterAsk> {
    let ask = |counter: u64| {
        let key = if counter < 6 { number % 10_000 } else { 0 };
        let id = u128::from((key << 8) | counter).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
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
        CounterAsk { id, measure, add: Some(add), window, slice, at: NOW }
    };
    (0..COUNTERS).map(ask).collect()
}

/// One callback's share of the store: claim, then done.
async fn forward(engine: &Engine, number: u64, is_judged: bool) {
    let counters = if is_judged { counters(number) } else { Vec::new() };
    let nonce = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let ask = Ask {
        endpoint: "shop-pay",
        nonce: Some(NonceUse { digest: nonce.to_le_bytes(), signed_at: NOW, until: NOW.plus(Duration::from_mins(6)) }),
        event: nonce.rotate_left(64).to_le_bytes(),
        content: [1; 8],
        lease: Duration::from_secs(9),
        retention: Duration::from_hours(72),
        now: NOW,
        counters: &counters,
        order: is_judged.then_some([1; 16]),
        lists: &[],
    };
    let reply = engine.claim(&ask).await.expect("the store is up");
    let Reply::Claimed { lease, .. } = reply else { panic!("event {number} is not new: {reply:?}") };
    let Ask { endpoint, event, content, retention, now, .. } = ask;
    let done = Settlement { endpoint, event, content, lease, end: End::Done, retention, now };
    engine.settle(&done).await.expect("the store is up");
}

/// `count` callbacks, `concurrency` at a time, on one thread as in the gateway.
async fn forward_many(engine: &Arc<Engine>, first: u64, count: u64, concurrency: u64, is_judged: bool) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..concurrency {
        let engine = Arc::clone(engine);
        tasks.spawn(async move {
            for number in (first + task..first + count).step_by(usize::try_from(concurrency).expect("a small number")) {
                forward(&engine, number, is_judged).await;
            }
        });
    }
    tasks.join_all().await;
}

fn claim_and_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/claim+commit");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(4));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engines = [("memory", EngineSettings::Memory), ("file", EngineSettings::File(dir.path().join("store")))];
    for (name, settings) in engines {
        let runtime = runtime();
        let engine = runtime.block_on(async { open(&settings) });
        runtime.block_on(async {
            let says = Order { amount_total: 8800, currency: "CNY".to_owned(), ..Order::default() };
            let order = PutOrder { order: [1; 16], says, until: NOW.plus(Duration::from_hours(72)) };
            engine.put_orders("shop-pay", vec![order], NOW).await.expect("the store is up");
        });
        let mut next = 0;
        for (suffix, is_judged) in [("", false), (" with 8 counters and an order", true)] {
            for concurrency in [1, 64] {
                group.bench_function(BenchmarkId::new(format!("{name}{suffix}"), concurrency), |bencher| {
                    bencher.iter_custom(|count| {
                        let first = next;
                        next += count;
                        let start = Instant::now();
                        runtime.block_on(forward_many(&engine, first, count, concurrency, is_judged));
                        start.elapsed()
                    });
                });
            }
        }
        runtime.block_on(engine.close());
    }
}

/// What a process that is killed leaves: files as they are while the engine runs.
fn crashed(events: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    runtime().block_on(async {
        let engine = open(&EngineSettings::File(dir.path().to_owned()));
        forward_many(&engine, 0, events, 256, false).await;
        tokio::time::sleep(Duration::from_secs(2)).await; // for a compaction to end: copies are taken file by file
        copy_of(dir.path())
    })
}

fn copy_of(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(dir).expect("the store's directory") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, copy.path().join(path.file_name().expect("a file"))).expect("a copy");
        }
    }
    copy
}

fn open_after_a_crash(criterion: &mut Criterion) {
    let crashed = crashed(REMEMBERED);
    let mut group = criterion.benchmark_group("store/open");
    group.throughput(Throughput::Elements(REMEMBERED)).sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function(BenchmarkId::new("file", REMEMBERED), |bencher| {
        bencher.iter_custom(|count| {
            let mut spent = Duration::ZERO;
            for _ in 0..count {
                let dir = copy_of(crashed.path());
                let start = Instant::now();
                let engine = open(&EngineSettings::File(dir.path().to_owned()));
                spent += start.elapsed();
                runtime().block_on(black_box(&engine).close());
            }
            spent
        });
    });
}

criterion_group!(benches, claim_and_commit, open_after_a_crash);
criterion_main!(benches);
