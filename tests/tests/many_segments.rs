//! Does a log of 10,000 segments open, read and shrink within 1,024 descriptors?
//!
//! Method: a forged log, each of whose segments has one event. Alone in this file, since the limit
//! of descriptors holds for the whole process.

#![cfg(target_os = "linux")]

use factlog::{
    Expected, Meta, Opaque, Options, Retention, Sequence, Start, StreamKey, StreamVersion,
};
use factlog_tests::forge::{Forge, NOTE, stream};
use factlog_tests::small;

const SEGMENTS: u32 = 10_000;
const STREAMS: u64 = 100;

fn limit_descriptors(count: u64) {
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    // SAFETY: a valid pointer to a limit; it touches nothing but this process's own limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

fn read_all(log: &factlog::Log) -> (u64, Sequence) {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let (mut count, mut last) = (0, Sequence::ZERO);
    while let Some(event) = cursor.next_event().expect("readable") {
        if event.sequence().get() > STREAMS
            && event.sequence().get() < STREAMS + u64::from(SEGMENTS)
        {
            assert_eq!(event.payload(), format!("event {}", event.sequence()).as_bytes());
        }
        (count, last) = (count + 1, event.sequence());
    }
    (count, last)
}

fn read_streams(log: &factlog::Log) -> u64 {
    let mut count = 0;
    for number in 0..STREAMS {
        let mut cursor = log.stream(&stream(number), StreamVersion::NONE);
        while cursor.next_event().expect("readable").is_some() {
            count += 1;
        }
        assert_eq!(cursor.next_version(), log.stream_version(&stream(number)).next());
    }
    count
}

#[test]
fn do_ten_thousand_segments_open_within_a_thousand_descriptors() {
    limit_descriptors(1024);
    let directory = tempfile::tempdir().expect("a directory");
    let mut forge = Forge::begin(directory.path(), STREAMS);
    for _ in 1..SEGMENTS {
        forge.add();
    }
    let events = STREAMS + u64::from(SEGMENTS) - 1;
    let mut writer = small().open(directory.path()).expect("opens");
    assert_eq!(writer.recovery().segments, SEGMENTS);
    let log = writer.log();
    assert_eq!(read_all(&log), (events, Sequence::new(events)));
    assert_eq!(read_streams(&log), events);
    // What was read does not stay mapped, but for the last few.
    assert!(log.stats().mapped_bytes <= 24 << 22, "{} bytes", log.stats().mapped_bytes);
    // A thousand cursors, each in a segment of its own.
    let mut cursors: Vec<_> = (0..1000)
        .map(|number| log.cursor(Start::Sequence(Sequence::new(STREAMS + 1 + number * 9))))
        .collect::<Result<_, _>>()
        .expect("cursors");
    for (number, cursor) in (0..).zip(&mut cursors) {
        let event = cursor.next_event().expect("readable").expect("an event");
        assert_eq!(event.sequence().get(), STREAMS + 1 + number * 9);
    }
    assert_eq!(log.stats().cursors, 1000);
    drop(cursors);
    writer.append(&Opaque::new(&NOTE, b"one more")).expect("appended");
    writer.sync().expect("synced");

    // All but the last go; what is left opens again, and goes on.
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped >= SEGMENTS - 1, "{retained:?}");
    writer.close().expect("closed");
    let mut writer = small().open(directory.path()).expect("opens");
    let (count, last) = read_all(&writer.log());
    assert!((1..3).contains(&count) && last.get() == events + 1);
    assert!(read_streams(&writer.log()) <= count);
    #[factlog::event(name = "another", version = 1)]
    struct Another {
        number: u64,
    }
    let new = StreamKey::new("another", 1_u64).expect("a key");
    let meta = Meta::new().stream(&new, Expected::NEW);
    writer.append_with(&Another { number: 1 }, meta).expect("another type, another stream");
    let old = stream(7);
    let version = writer.stream_version(&old);
    assert_eq!(version.get(), forge.version(7));
    let meta = Meta::new().stream(&old, Expected::Version(version));
    writer.append_with(&Another { number: 2 }, meta).expect("an old stream goes on");
    writer.close().expect("closed");
    let log = Options::new().open_read_only(directory.path()).expect("opens");
    assert_eq!(read_all(&log).0, count + 2);
}
