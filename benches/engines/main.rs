//! What judging costs: the conditions of 20 and of 200 rules on one event, beside the fastest engines of others on the same
//! rules and the same event.
//!
//! `cd benches/engines && cargo bench`. Times are CPU of the thread; compare the cases of one run, absolute times move
//! with the machine. The others get the easier part: their programs and contexts are ready, so that nothing is bound for
//! them, money is a bare number, and what they lack is given to them (`shapes`). Ours is measured with its values bound
//! (`wxgate`), and with the binding of the event and its local time (`wxgate, bound`).

mod cel;
mod cpu;
mod evalexpr;
mod ours;
mod shapes;
mod values;
mod zen;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;

use cpu::Cpu;

fn rules(c: &mut Criterion<Cpu>) {
    let (event, order, zone) = (values::event(), values::order(), TimeZone::get("Asia/Shanghai").unwrap());
    let bind = || ours::bind(&event, &order, &zone);
    let mut group = c.benchmark_group("rules");
    for count in [20, 200] {
        let (ours, cel) = (ours::rules(count), cel::rules(count));
        let (evalexpr, zen) = (evalexpr::rules(count), zen::rules(count));
        let facts = bind();
        let fired = ours.judge(&facts);
        assert_eq!([cel.judge(), evalexpr.judge(), zen.judge()], [fired; 3], "all fire the same rules");
        group.throughput(cpu::rules(count));
        group.bench_function(BenchmarkId::new("wxgate", count), |b| b.iter(|| ours.judge(black_box(&facts))));
        group.bench_function(BenchmarkId::new("wxgate, bound", count), |b| b.iter(|| ours.judge(&black_box(bind()))));
        group.bench_function(BenchmarkId::new("cel", count), |b| b.iter(|| black_box(cel.judge())));
        group.bench_function(BenchmarkId::new("evalexpr", count), |b| b.iter(|| black_box(evalexpr.judge())));
        group.bench_function(BenchmarkId::new("zen", count), |b| b.iter(|| black_box(zen.judge())));
    }
    group.bench_function("bind", |b| b.iter(|| black_box(bind())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(Cpu).sample_size(50);
    targets = rules
}
criterion_main!(benches);
