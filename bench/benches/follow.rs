//! Following: a reader at the heels of a writer, on two threads, until it has read all of it; beside
//! the bare bounded queue that a program would use instead.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_queue::ArrayQueue;
use factlog::Start;
use factlog_bench::Bench;

const PAYLOAD: [u8; 64] = [0xA5; 64];
/// Events of one round.
const EVENTS: u64 = 256_000;

/// One round: how long it took until the reader had all of it.
fn followed(batch: u64) -> Duration {
    let mut bench = Bench::new();
    let mut cursor = bench.log().cursor(Start::End).expect("a cursor");
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut seen = 0;
            while seen < EVENTS {
                match cursor.next_event().expect("readable") {
                    Some(event) => {
                        black_box(event.payload());
                        seen += 1;
                    }
                    None => std::hint::spin_loop(),
                }
            }
        });
        bench.append(&PAYLOAD, batch, EVENTS / batch).expect("room");
    });
    began.elapsed()
}

fn queued() -> Duration {
    let queue = ArrayQueue::new(1 << 16);
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while seen < EVENTS {
                match queue.pop() {
                    Some(payload) => {
                        black_box::<[u8; 64]>(payload);
                        seen += 1;
                    }
                    None => std::hint::spin_loop(),
                }
            }
        });
        for _ in 0..EVENTS {
            while queue.push(PAYLOAD).is_err() {
                std::hint::spin_loop();
            }
        }
    });
    began.elapsed()
}

fn following(c: &mut Criterion) {
    let mut group = c.benchmark_group("follow");
    group.throughput(Throughput::Elements(EVENTS));
    for batch in [1_u64, 64] {
        group.bench_function(BenchmarkId::new("factlog", batch), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| followed(batch)).sum());
        });
    }
    group.bench_function("queue", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| queued()).sum());
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! { name = benches; config = config(); targets = following }
criterion_main!(benches);
