//! Seeking: a cursor made at a sequence, at a time, and the last event of a stream, in a log of a
//! million events over several segments; beside a cursor made at the end, which seeks nothing.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use factlog::{
    Durability, EventType, Expected, Log, Meta, Opaque, Options, Sequence, Start, StreamKey,
};
use factlog_bench::directory;

static EVENT: EventType = EventType::opaque("sought", 1);
const EVENTS: u64 = 1_000_000;
const STREAMS: u64 = 1_000;

fn key(number: u64) -> StreamKey {
    StreamKey::new("sought", number).expect("a name")
}

/// Reads one event from `start`.
fn first(log: &Log, start: Start) -> u64 {
    let mut cursor = log.cursor(start).expect("a cursor");
    cursor.next_event().expect("readable").map_or(0, |event| event.sequence().get())
}

fn seeking(c: &mut Criterion) {
    let within = directory();
    let options = Options::new().segment_size(16 << 20).durability(Durability::None);
    let mut writer = options.open(within.path()).expect("a log");
    for batch in 0..EVENTS / 50 {
        let mut transaction = writer.begin().expect("a writer");
        for number in batch * 50..batch * 50 + 50 {
            let stream = key(number % STREAMS);
            let meta = Meta::new().stream(&stream, Expected::Any);
            transaction.append_with(&Opaque::new(&EVENT, &[0xA5; 64]), meta).expect("room");
        }
        transaction.commit().expect("committed");
    }
    let log = writer.log();
    let time = |sequence| {
        let mut cursor = log.cursor(Start::Sequence(Sequence::new(sequence))).expect("a cursor");
        cursor.next_event().expect("readable").expect("an event").ts()
    };
    let (oldest, newest) = (time(1), time(EVENTS));

    let mut group = c.benchmark_group("seek");
    group.throughput(Throughput::Elements(1));
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    group.bench_function("sequence", |bencher| {
        bencher.iter(|| black_box(first(&log, Start::Sequence(Sequence::new(1 + next(EVENTS))))));
    });
    group.bench_function("time", |bencher| {
        bencher.iter(|| black_box(first(&log, Start::Time(oldest + next(newest - oldest)))));
    });
    group.bench_function("stream, its last event", |bencher| {
        bencher.iter(|| {
            let mut history = log.stream_backwards(&key(next(STREAMS)));
            let event = history.next_event().expect("readable").expect("an event");
            black_box(event.sequence().get())
        });
    });
    group.bench_function("end", |bencher| {
        bencher.iter(|| black_box(first(&log, Start::End)));
    });
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = config(); targets = seeking }
criterion_main!(benches);
