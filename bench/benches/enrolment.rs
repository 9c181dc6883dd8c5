//! The speed run of the Dynamic Consistency Boundary community, as `engine/examples/enrolment.rs` has it: one
//! client that sends 120 commands one after the other, each when the one before it was answered. Beside
//! it the same events appended to the same streams by hand, decided by nobody: the bare log.
//!
//! Times are for a command. In memory, that is until it is visible; `durable` until it is that.

#[allow(dead_code, reason = "the example has a main of its own")]
#[path = "../../engine/examples/enrolment.rs"]
mod enrolment;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use enrolment::{COMMANDS, Course, EACH, Student, iteration};
use factlog::{
    Durability, Engine, EngineBuilder, Expected, LocalCommand, Meta, Options, StreamKey,
    ThreadOptions, WaitStrategy, Writer,
};

fn options(durability: Durability) -> Options {
    Options::new().segment_size(64 << 20).durability(durability)
}

fn engine(directory: &std::path::Path, durability: Durability) -> EngineBuilder {
    let engine = Engine::open(directory).options(options(durability));
    engine.aggregate::<Student>().aggregate::<Course>()
}

/// Runs whole iterations until `count` commands are done; how long `count` of them took.
fn timed(count: u64, mut run: impl FnMut()) -> Duration {
    let iterations = count.div_ceil(COMMANDS);
    let began = Instant::now();
    for _ in 0..iterations {
        run();
    }
    began.elapsed().mul_f64(count as f64 / (iterations * COMMANDS) as f64)
}

#[factlog::event(name = "registered", version = 1)]
struct Registered {
    name: String,
    most: u32,
}

#[factlog::event(name = "joined", version = 1)]
struct Joined {
    student: u64,
    course: u64,
}

/// The events of an iteration, each in a transaction of its own.
fn append(writer: &mut Writer, number: u64) {
    let stream = |category: &str, id: u64| StreamKey::new(category, id).expect("a name");
    let ids = || number * EACH..(number + 1) * EACH;
    for category in ["student", "course"] {
        for id in ids() {
            let event = Registered { name: format!("{category} {id}"), most: EACH as u32 };
            let of = stream(category, id);
            let meta = Meta::new().stream(&of, Expected::NEW);
            writer.append_with(&event, meta).expect("appended");
        }
    }
    for student in ids() {
        for course in ids() {
            let (of, also) = (stream("course", course), stream("student", student));
            let also = [(&also, Expected::Any)];
            let meta = Meta::new().stream(&of, Expected::Any).further(&also);
            writer.append_with(&Joined { student, course }, meta).expect("appended");
        }
    }
}

fn speed_run(c: &mut Criterion) {
    for (name, durability, samples) in
        [("enrolment", Durability::None, 30), ("enrolment-durable", Durability::Always, 10)]
    {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1)).sample_size(samples);
        let mut number = 0;
        let mut next = move || {
            number += 1;
            number
        };

        for (name, idle) in
            [("engine", WaitStrategy::Park), ("engine-spinning", WaitStrategy::Spin)]
        {
            let directory = tempfile::tempdir().expect("a directory");
            let thread = ThreadOptions::new().idle(idle);
            let engine = engine(directory.path(), durability).thread(thread);
            let engine = engine.start().expect("an engine");
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|count| {
                    timed(count, || {
                        iteration(
                            next(),
                            |id, one| {
                                engine.call::<Student>(id, one).expect("accepted");
                            },
                            |id, one| {
                                engine.call::<Course>(id, one).expect("accepted");
                            },
                        );
                    })
                });
            });
        }

        // In the thread that has the engine, one command in a frame.
        let directory = tempfile::tempdir().expect("a directory");
        let local = engine(directory.path(), durability).start_local();
        let local = std::cell::RefCell::new(local.expect("an engine"));
        group.bench_function("local", |bencher| {
            bencher.iter_custom(|count| {
                timed(count, || {
                    iteration(
                        next(),
                        |id, one| {
                            local.borrow_mut().call::<Student>(id, one).expect("accepted");
                        },
                        |id, one| {
                            local.borrow_mut().call::<Course>(id, one).expect("accepted");
                        },
                    );
                })
            });
        });
        // All joins of an iteration are there at once: not the speed run, but what a queue would bring.
        group.bench_function("local-joins-together", |bencher| {
            bencher.iter_custom(|count| {
                timed(count, || {
                    let mut joins = Vec::new();
                    iteration(
                        next(),
                        |id, one| {
                            local.borrow_mut().call::<Student>(id, one).expect("accepted");
                        },
                        |id, one| joins.push(LocalCommand::<Course>::new(id, one)),
                    );
                    let mut local = local.borrow_mut();
                    local.call_all(joins, |verdict| {
                        verdict.expect("accepted");
                    });
                })
            });
        });

        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = options(durability).open(directory.path()).expect("a log");
        group.bench_function("bare-log", |bencher| {
            bencher.iter_custom(|count| timed(count, || append(&mut writer, next())));
        });
        group.finish();
    }
}

criterion_group!(benches, speed_run);
criterion_main!(benches);
