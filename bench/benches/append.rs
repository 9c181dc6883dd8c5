//! Appending: one and 64 events a call, of 64 and 256 bytes, and typed events; each beside a loop
//! that copies the same payloads into the same kind of mapping.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use factlog_bench::{Bench, CopyLoop, TradeExecuted};

fn appending(c: &mut Criterion) {
    for size in [64_usize, 256] {
        let payload = vec![0xA5_u8; size];
        let mut group = c.benchmark_group(format!("append-{size}-bytes"));
        for batch in [1_u64, 64] {
            let frame = 48 + batch * (16 + size as u64) + 16;
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new("factlog", batch), |bencher| {
                let mut bench = Bench::new();
                bencher.iter_custom(|calls| {
                    let (mut left, mut took) = (calls, Duration::ZERO);
                    while left > 0 {
                        if bench.room(frame) == 0 {
                            bench = Bench::new();
                        }
                        let now = left.min(bench.room(frame));
                        let began = Instant::now();
                        bench.append(&payload, batch, now).expect("room");
                        took += began.elapsed();
                        left -= now;
                    }
                    took
                });
            });
            group.bench_function(BenchmarkId::new("copy", batch), |bencher| {
                let mut target = CopyLoop::new();
                bencher.iter_custom(|calls| {
                    let (mut left, mut took) = (calls * batch, Duration::ZERO);
                    while left > 0 {
                        if target.room(size) == 0 {
                            target = CopyLoop::new();
                        }
                        let now = left.min(target.room(size));
                        let began = Instant::now();
                        target.copy(&payload, now);
                        took += began.elapsed();
                        left -= now;
                    }
                    took
                });
            });
        }
        checked(&mut group, size);
        group.finish();
    }
}

/// As many bytes as 64 events take with their headers, copied and checksummed: what is left to do
/// where nothing is to be done but that.
fn checked(group: &mut BenchmarkGroup<'_, WallTime>, size: usize) {
    const BATCH: u64 = 64;
    const HEADER: usize = 48;
    let record = vec![0xA5_u8; 16 + size];
    let frame = HEADER + BATCH as usize * record.len();
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(BenchmarkId::new("copy, headers and checksum", BATCH), |bencher| {
        let mut target = CopyLoop::new();
        bencher.iter_custom(|calls| {
            let (mut left, mut took) = (calls, Duration::ZERO);
            while left > 0 {
                if target.room(frame) == 0 {
                    target = CopyLoop::new();
                }
                let now = left.min(target.room(frame));
                let began = Instant::now();
                target.copy_checked(&record, BATCH, HEADER, now);
                took += began.elapsed();
                left -= now;
            }
            took
        });
    });
}

fn typed(c: &mut Criterion) {
    let mut group = c.benchmark_group("append-typed");
    for batch in [1_u64, 64] {
        let frame = 48 + batch * (16 + 112) + 16;
        group.throughput(Throughput::Elements(batch));
        group.bench_function(BenchmarkId::new("trade", batch), |bencher| {
            let mut bench = Bench::new();
            let mut number = 0;
            bencher.iter_custom(|calls| {
                let (mut left, mut took) = (calls, Duration::ZERO);
                while left > 0 {
                    if bench.room(frame) == 0 {
                        bench = Bench::new();
                    }
                    let now = left.min(bench.room(frame));
                    let began = Instant::now();
                    for _ in 0..now {
                        let mut transaction = bench.writer().begin().expect("a writer");
                        for _ in 0..batch {
                            number += 1;
                            let trade = TradeExecuted::number(number);
                            transaction.append(&trade).expect("room");
                        }
                        transaction.commit().expect("committed");
                    }
                    took += began.elapsed();
                    left -= now;
                }
                took
            });
        });
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! { name = benches; config = config(); targets = appending, typed }
criterion_main!(benches);
