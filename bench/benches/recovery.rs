//! The recovery scan: a log that was never closed is opened, and every frame of its only segment
//! has to be verified; beside a checksum of as many bytes, and nothing else.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use factlog::{Durability, EventType, Opaque, Options};
use factlog_bench::{SEGMENT, directory};

static EVENT: EventType = EventType::opaque("recovered", 1);
/// Where the last frame ends.
const TAIL: u64 = SEGMENT - (8 << 20);

fn options() -> Options {
    Options::new().segment_size(SEGMENT).durability(Durability::None).prefault(0)
}

fn scanning(c: &mut Criterion) {
    let mut group = c.benchmark_group("recovery-scan");
    group.throughput(Throughput::Bytes(TAIL));
    for batch in [1_u64, 64] {
        let within = directory();
        let mut writer = options().open(within.path()).expect("a log");
        let log = writer.log();
        while log.visible().1.raw() % SEGMENT < TAIL {
            let mut transaction = writer.begin().expect("a writer");
            for _ in 0..batch {
                transaction.append(&Opaque::new(&EVENT, &[0xA5; 64])).expect("room");
            }
            transaction.commit().expect("committed");
        }
        // A process that was killed: nothing is closed, and nothing bears witness.
        drop((log, writer));
        group.bench_function(BenchmarkId::new("events a frame", batch), |bencher| {
            bencher.iter_with_large_drop(|| {
                let log = options().open_read_only(within.path()).expect("it opens");
                // The header and what came before the first event are not counted.
                assert!(log.recovery().bytes >= TAIL - (1 << 20), "{}", log.recovery());
                log
            });
        });
    }
    let bytes = vec![0xA5_u8; TAIL as usize];
    group.bench_function("crc32 alone", |bencher| {
        bencher.iter(|| black_box(crc32fast::hash(black_box(&bytes))));
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
}

criterion_group! { name = benches; config = config(); targets = scanning }
criterion_main!(benches);
