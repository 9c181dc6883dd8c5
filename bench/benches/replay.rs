//! Replaying with a cursor: every frame verified, every event validated and read; beside a loop
//! that reads the same bytes.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factlog::Start;
use factlog_bench::{Bench, TradeExecuted};

const EVENTS: u64 = 1_000_000;

fn replay(c: &mut Criterion) {
    let mut group = c.benchmark_group("replay");
    group.throughput(Throughput::Elements(EVENTS));
    for batch in [1_u64, 64] {
        let mut bench = Bench::new();
        for first in (0..EVENTS).step_by(batch as usize) {
            let mut transaction = bench.writer().begin().expect("a writer");
            for number in first..(first + batch).min(EVENTS) {
                transaction.append(&TradeExecuted::number(number)).expect("room");
            }
            transaction.commit().expect("committed");
        }
        let log = bench.log();
        group.bench_function(BenchmarkId::new("typed", batch), |bencher| {
            bencher.iter(|| {
                let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
                let mut quantity = 0_u64;
                for event in cursor.poll().expect("readable") {
                    let event = event.expect("readable");
                    let trade = event.get::<TradeExecuted>().expect("valid").expect("a trade");
                    quantity = quantity.wrapping_add(trade.quantity());
                }
                black_box(quantity)
            });
        });
        group.bench_function(BenchmarkId::new("bytes", batch), |bencher| {
            bencher.iter(|| {
                let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
                let mut sum = 0_u64;
                for event in cursor.poll().expect("readable") {
                    sum += u64::from(event.expect("readable").payload()[0]);
                }
                black_box(sum)
            });
        });
    }
    // The limit: as many bytes as those frames have, summed up from memory.
    let bytes = vec![1_u64; (EVENTS as usize * 120) / 8];
    group.bench_function("read-the-bytes", |bencher| {
        bencher.iter(|| black_box(&bytes).iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! { name = benches; config = config(); targets = replay }
criterion_main!(benches);
