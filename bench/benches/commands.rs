//! Commands of aggregates: rates with many outstanding, from one and four threads, beside events that
//! nobody decides; and the round trip of one alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factlog::{Client, Durability, Engine, Options, ThreadOptions, WaitStrategy};
use factlog_bench::counter::{Add, Added, Adding, ByHand, Counter, Decided, key_of};

/// Commands that wait for their answer.
const OUTSTANDING: usize = 256;

fn options() -> Options {
    Options::new().segment_size(256 << 20).durability(Durability::None)
}

/// `count` commands on `keys` instances, of which some wait all the time.
fn flood(client: &Client, count: u64, keys: u64, idempotent: bool) {
    let mut waiting = VecDeque::with_capacity(OUTSTANDING);
    for number in 0..count {
        if waiting.len() == OUTSTANDING {
            let oldest: factlog::Pending<Counter> = waiting.pop_front().expect("there are some");
            oldest.wait().expect("accepted");
        }
        let mut command = client.command::<Counter>(key_of(number, keys), Add { amount: number });
        if idempotent {
            command = command.idempotency_key(fresh().to_le_bytes());
        }
        waiting.push_back(command.send_within(Duration::from_secs(60)).expect("there is room"));
    }
    for pending in waiting {
        pending.wait().expect("accepted");
    }
}

/// A number that was never used before.
fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn start(directory: &std::path::Path, idle: WaitStrategy) -> Engine {
    Engine::open(directory)
        .options(options())
        .thread(ThreadOptions::new().idle(idle))
        .aggregate::<Counter>()
        .start()
        .expect("an engine")
}

fn rates(c: &mut Criterion) {
    let mut group = c.benchmark_group("commands");
    group.throughput(Throughput::Elements(1));
    for (name, keys, threads, idempotent) in [
        ("1000-keys", 1_000, 1, false),
        ("1000000-keys", 1_000_000, 1, false),
        ("idempotency-keys", 1_000, 1, true),
        ("four-threads", 1_000, 4, false),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = start(directory.path(), WaitStrategy::Park);
        group.bench_function(BenchmarkId::new("outstanding-256", name), |bencher| {
            bencher.iter_custom(|count| {
                let began = Instant::now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let share = count / threads + u64::from(thread < count % threads);
                        let client = engine.client();
                        scope.spawn(move || flood(&client, share, keys, idempotent));
                    }
                });
                began.elapsed()
            });
        });
    }
    let directory = tempfile::tempdir().expect("a directory");
    let writer = options().open(directory.path()).expect("opens");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    group.bench_function("bare-submissions", |bencher| {
        bencher.iter_custom(|count| {
            let producer = service.producer();
            let mut waiting = VecDeque::with_capacity(OUTSTANDING);
            let began = Instant::now();
            for amount in 0..count {
                if waiting.len() == OUTSTANDING {
                    let oldest: factlog::Answer<factlog::Draft<Added>> =
                        waiting.pop_front().expect("there are some");
                    oldest.wait().expect("written");
                }
                let event = Added { amount };
                let answer = producer.submit(event, Duration::from_secs(60));
                waiting.push_back(answer.expect("there is room"));
            }
            for answer in waiting {
                answer.wait().expect("written");
            }
            began.elapsed()
        });
    });
    group.finish();
}

/// Commands that are there already: decided by the thread that has the engine, in as few frames as
/// they need; beside the same events appended by hand. All pages are present beforehand.
fn local(c: &mut Criterion) {
    let mut group = c.benchmark_group("local-commands");
    group.throughput(Throughput::Elements(1));
    for (name, keys, idempotent) in [
        ("1000-keys", 1_000, false),
        ("1000000-keys", 1_000_000, false),
        ("idempotency-keys", 1_000, true),
    ] {
        let mut ready = None;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                Decided::time(&mut ready, count, || Decided::new(keys, idempotent))
            });
        });
    }
    for (name, keys) in [("by-hand-1000-streams", 1_000), ("by-hand-1000000-streams", 1_000_000)] {
        let mut ready = None;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| ByHand::time(&mut ready, count, || ByHand::new(keys)));
        });
    }
    group.finish();
}

fn round_trip(c: &mut Criterion) {
    let mut group = c.benchmark_group("command-round-trip");
    for (name, idle) in [("park", WaitStrategy::Park), ("spin", WaitStrategy::Spin)] {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = start(directory.path(), idle);
        group.bench_function(name, |bencher| {
            bencher.iter(|| engine.call::<Counter>(7, Add { amount: 1 }).expect("accepted"));
        });
    }
    group.finish();
}

criterion_group!(benches, rates, local, round_trip);
criterion_main!(benches);
