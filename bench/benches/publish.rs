//! What readers and producers cost the writer.
//!
//! - `publish-with-cursors`: one append of 64 bytes, with 0, 1, 64 and 1,000 cursors that exist, and
//!   with 1, 64 and 1,000 that sleep and are woken (each waking is one call into the system, whoever
//!   and however many sleep).
//! - `submit`: from 1 to 4 producers through the queue to the writer's thread, beside the bare queue
//!   with the same number of threads at its ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;
use factlog::{EventType, Opaque, Start, ThreadOptions};
use factlog_bench::Bench;

static OPAQUE: EventType = EventType::opaque("bench", 1);
const PAYLOAD: [u8; 64] = [0xA5; 64];
const FRAME: u64 = 48 + 16 + 64;
/// Submissions that wait for the writer.
const QUEUE: usize = 1024;
const SOON: Duration = Duration::from_secs(10);

fn publishing(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish-with-cursors");
    group.throughput(Throughput::Elements(1));
    for count in [0_usize, 1, 64, 1000] {
        group.bench_function(BenchmarkId::new("idle", count), |bencher| {
            let mut bench = Bench::new();
            let hold = |bench: &Bench| -> Vec<_> {
                (0..count).map(|_| bench.log().cursor(Start::End).expect("a cursor")).collect()
            };
            let mut cursors = hold(&bench);
            bencher.iter_custom(|calls| {
                let (mut left, mut took) = (calls, Duration::ZERO);
                while left > 0 {
                    if bench.room(FRAME) == 0 {
                        cursors.clear();
                        bench = Bench::new();
                        cursors = hold(&bench);
                    }
                    let now = left.min(bench.room(FRAME));
                    let began = Instant::now();
                    bench.append(&PAYLOAD, 1, now).expect("room");
                    took += began.elapsed();
                    left -= now;
                }
                took
            });
        });
    }
    group.bench_function("stats, 1,000 times a second", |bencher| {
        let mut bench = Bench::new();
        bencher.iter_custom(|calls| {
            let (mut left, mut took) = (calls, Duration::ZERO);
            while left > 0 {
                if bench.room(FRAME) == 0 {
                    bench = Bench::new();
                }
                let now = left.min(bench.room(FRAME));
                let (log, stop) = (bench.log(), AtomicBool::new(false));
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            std::hint::black_box(log.stats());
                            thread::sleep(Duration::from_millis(1));
                        }
                    });
                    let began = Instant::now();
                    bench.append(&PAYLOAD, 1, now).expect("room");
                    took += began.elapsed();
                    stop.store(true, Ordering::Relaxed);
                });
                left -= now;
            }
            took
        });
    });
    group.finish();
}

fn waking(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish-to-sleepers");
    group.throughput(Throughput::Elements(1));
    for count in [1_usize, 64, 1000] {
        group.bench_function(BenchmarkId::new("asleep", count), |bencher| {
            bencher.iter_custom(|calls| {
                let mut bench = Bench::new();
                let log = bench.log();
                let woken = AtomicU64::new(0);
                let stop = AtomicBool::new(false);
                let mut took = Duration::ZERO;
                thread::scope(|scope| {
                    for _ in 0..count {
                        scope.spawn(|| {
                            let mut cursor = log.cursor(Start::End).expect("a cursor");
                            while !stop.load(Ordering::Relaxed) {
                                cursor.wait(factlog::WaitStrategy::Park, SOON);
                                while cursor.next_event().expect("readable").is_some() {
                                    woken.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        });
                    }
                    let mut expected = 0;
                    for _ in 0..calls {
                        // All have read the last event, and had time to lie down.
                        while log.stats().cursors < count
                            || woken.load(Ordering::Relaxed) < expected
                        {
                            thread::yield_now();
                        }
                        thread::sleep(Duration::from_micros(200));
                        let began = Instant::now();
                        bench.append(&PAYLOAD, 1, 1).expect("room");
                        took += began.elapsed();
                        expected += count as u64;
                    }
                    stop.store(true, Ordering::Relaxed);
                    bench.append(&PAYLOAD, 1, 1).expect("room");
                });
                took
            });
        });
    }
    group.finish();
}

fn submitting(c: &mut Criterion) {
    let mut group = c.benchmark_group("submit");
    for producers in 1..=4_u64 {
        const EACH: u64 = 50_000;
        group.throughput(Throughput::Elements(producers * EACH));
        group.bench_function(BenchmarkId::new("factlog", producers), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let service = Bench::new().into_writer();
                    let (writer, _directory) = service;
                    let options = ThreadOptions::new().queue(QUEUE);
                    let service = writer.spawn(options).expect("a thread");
                    let began = Instant::now();
                    thread::scope(|scope| {
                        for _ in 0..producers {
                            let producer = service.producer();
                            scope.spawn(move || {
                                let mut last = None;
                                for _ in 0..EACH {
                                    let event = Opaque::new(&OPAQUE, &PAYLOAD);
                                    last = producer.submit(event, SOON).ok();
                                }
                                last.expect("accepted").wait().expect("written");
                            });
                        }
                    });
                    took += began.elapsed();
                }
                took
            });
        });
        group.bench_function(BenchmarkId::new("queue", producers), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let queue = Arc::new(ArrayQueue::new(QUEUE));
                    let began = Instant::now();
                    thread::scope(|scope| {
                        for _ in 0..producers {
                            scope.spawn(|| {
                                for number in 0..EACH {
                                    let mut entry = Arc::new((number, PAYLOAD));
                                    while let Err(back) = queue.push(entry) {
                                        entry = back;
                                        thread::yield_now();
                                    }
                                }
                            });
                        }
                        let mut taken = 0;
                        while taken < producers * EACH {
                            match queue.pop() {
                                Some(_) => taken += 1,
                                None => std::hint::spin_loop(),
                            }
                        }
                    });
                    took += began.elapsed();
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
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = publishing, waking, submitting }
criterion_main!(benches);
