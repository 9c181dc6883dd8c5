//! Several engines in one process, each with the keys of its own: rates of 1, 2 and 4, in as many threads; and
//! of one that is observed by 0, 1 and 8 cursors.
//!
//! Each thread has an engine and commands that are there already, so that nothing is measured but deciding,
//! staging, folding and publishing. Times are for a command, of all engines together: with nothing shared,
//! two take half of one on two processors, and four what two take.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factlog::{Durability, Engine, LocalCommand, LocalEngine, Options, Start, WaitStrategy};
use factlog_bench::counter::{Add, Counter};

/// Commands into one frame.
const AT_ONCE: u64 = 512;
/// Instances, of all engines together.
const KEYS: u64 = 4_000;

fn start(directory: &Path) -> LocalEngine {
    let options = Options::new().segment_size(64 << 20).durability(Durability::None);
    let engine = Engine::open(directory).options(options).aggregate::<Counter>();
    engine.start_local().expect("an engine")
}

/// `count` commands on the keys that are `of` modulo `engines`.
fn run(engine: &mut LocalEngine, count: u64, (of, engines): (u64, u64)) {
    let mut done = 0;
    while done < count {
        let end = (done + AT_ONCE).min(count);
        let commands = (done..end).map(|number| {
            let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (KEYS / engines) * engines + of;
            LocalCommand::new(key, Add { amount: number })
        });
        let mut accepted = 0;
        engine.call_all::<Counter>(commands, |verdict| {
            accepted += verdict.expect("accepted").events;
        });
        assert_eq!(accepted, end - done);
        done = end;
    }
}

fn by_key(c: &mut Criterion) {
    let mut group = c.benchmark_group("engines");
    group.throughput(Throughput::Elements(1));
    for engines in [1_u64, 2, 4] {
        let folders: Vec<_> =
            (0..engines).map(|_| tempfile::tempdir().expect("a directory")).collect();
        let mut all: Vec<_> = folders.iter().map(|folder| start(folder.path())).collect();
        group.bench_function(BenchmarkId::from_parameter(engines), |bencher| {
            bencher.iter_custom(|count| {
                let share = count.div_ceil(engines);
                let barrier = Barrier::new(engines as usize + 1);
                let took = std::thread::scope(|scope| {
                    for (of, engine) in (0..).zip(&mut all) {
                        let barrier = &barrier;
                        scope.spawn(move || {
                            barrier.wait();
                            run(engine, share, (of, engines));
                            barrier.wait();
                        });
                    }
                    barrier.wait();
                    let began = Instant::now();
                    barrier.wait();
                    began.elapsed()
                });
                took.mul_f64(count as f64 / (share * engines) as f64)
            });
        });
    }
    group.finish();
}

/// Cursors that are there and asleep: what they read costs their own threads, which on a machine of few
/// processors would be measured too.
fn observed(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine-observed-by");
    group.throughput(Throughput::Elements(1));
    for observers in [0, 1, 8] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut engine = start(directory.path());
        run(&mut engine, KEYS, (0, 1));
        let log = engine.log().clone();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..observers {
                let (log, done) = (&log, &done);
                scope.spawn(move || {
                    let mut cursor = log.cursor(Start::End).expect("a cursor");
                    while !done.load(Ordering::Relaxed) {
                        // Ten times a second it takes what there is.
                        std::thread::sleep(Duration::from_millis(100));
                        while cursor.poll().expect("readable").next().is_some() {}
                        cursor.wait(WaitStrategy::Park, Duration::ZERO);
                    }
                });
            }
            group.bench_function(BenchmarkId::from_parameter(observers), |bencher| {
                bencher.iter_custom(|count| {
                    let began = Instant::now();
                    run(&mut engine, count, (0, 1));
                    began.elapsed()
                });
            });
            done.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
}

criterion_group!(benches, by_key, observed);
criterion_main!(benches);
