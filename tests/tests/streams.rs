//! Is every stream read whole, in order, from any version, both ways, and as it grows?
//!
//! Method: streams of lengths around the stretch in which a cursor notes where events stand
//! (4,096), over several segments, interleaved with others; keys of every kind; damage under the
//! reader's hands.
#![cfg(unix)]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use factlog::{
    EventType, Expected, Log, Meta, Opaque, ReadError, StreamKey, StreamKeyError, StreamVersion,
    Writer,
};
use factlog_tests::surgery::{SegmentFile, segment_path};
use factlog_tests::{Random, read_all, small};

static BLOCK: EventType = EventType::opaque("block", 1);

fn name(key: u64) -> StreamKey {
    StreamKey::new("long", key).expect("a name")
}

/// Appends `count` events to a stream, in transactions of various sizes, among others; each says
/// its version, and is as large as `size` says.
fn grow(writer: &mut Writer, stream: &StreamKey, count: u64, size: usize, random: &mut Random) {
    let other = StreamKey::new("other", "noise").expect("a name");
    let mut left = count;
    let mut version = writer.stream_version(stream).get();
    while left > 0 {
        let mut transaction = writer.begin().expect("a transaction");
        for _ in 0..(1 + random.below(6)).min(left) {
            version += 1;
            left -= 1;
            let mut payload = vec![0; size];
            payload[..8].copy_from_slice(&version.to_le_bytes());
            let meta = Meta::new().stream(stream, Expected::Any);
            transaction.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("staged");
            if random.below(3) == 0 {
                let meta = Meta::new().stream(&other, Expected::Any);
                transaction.append_with(&Opaque::new(&BLOCK, b"noise"), meta).expect("staged");
            }
        }
        transaction.commit().expect("committed");
    }
}

/// The versions that a cursor gives from `from` on; each event is held against what it says.
fn forwards(log: &Log, stream: &StreamKey, from: u64) -> Vec<u64> {
    let mut cursor = log.stream(stream, StreamVersion::new(from));
    let mut versions = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        let version = event.stream_version().expect("readable").expect("in a stream").get();
        assert_eq!(event.payload()[..8], version.to_le_bytes());
        assert_eq!(event.stream(), Some(stream));
        versions.push(version);
    }
    assert_eq!(cursor.next_version().get(), log.stream_version(stream).get().max(from - 1) + 1);
    versions
}

fn backwards(log: &Log, stream: &StreamKey) -> Vec<u64> {
    let mut history = log.stream_backwards(stream);
    std::iter::from_fn(|| {
        let event = history.next_event().expect("readable")?;
        let version = event.stream_version().expect("readable").expect("in a stream").get();
        assert_eq!(event.payload()[..8], version.to_le_bytes());
        Some(version)
    })
    .collect()
}

#[test]
fn are_streams_of_every_length_read_in_order_both_ways() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("streams");
    let mut writer = small().open(directory.path()).expect("a log");
    let lengths = [1, 2, 4095, 4096, 4097, 8191, 8192, 8193, 10_000, 12_300];
    for (key, length) in lengths.into_iter().enumerate() {
        grow(&mut writer, &name(key as u64), length, 300, &mut random);
    }
    assert!(writer.log().stats().rollovers > 4);
    let check = |log: &Log| {
        for (key, length) in lengths.into_iter().enumerate() {
            let stream = name(key as u64);
            assert_eq!(log.stream_version(&stream).get(), length);
            for from in [1, 2, length / 2 + 1, length.saturating_sub(4096).max(1), length] {
                let expected: Vec<_> = (from..=length).collect();
                assert_eq!(forwards(log, &stream, from), expected, "{length} from {from}");
            }
            assert_eq!(forwards(log, &stream, length + 1), [0; 0]);
            assert_eq!(forwards(log, &stream, length + 5_000), [0; 0]);
            assert_eq!(backwards(log, &stream), (1..=length).rev().collect::<Vec<_>>());
        }
    };
    check(&writer.log());
    drop(writer);
    check(&small().open_read_only(directory.path()).expect("a log"));
    // Heads are what recovery has found: the next events go on from there.
    let mut writer = small().open(directory.path()).expect("a log");
    grow(&mut writer, &name(1), 4_094, 8, &mut random);
    assert_eq!(forwards(&writer.log(), &name(1), 1), (1..=4_096).collect::<Vec<_>>());
}

#[test]
fn does_a_stream_cursor_follow_what_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("following");
    let mut writer = small().open(directory.path()).expect("a log");
    let stream = name(1);
    let log = writer.log();
    // From before its beginning: version 0 is the same as 1.
    let mut cursor = log.stream(&stream, StreamVersion::NONE);
    let mut history = log.stream_backwards(&stream);
    assert!(cursor.next_event().expect("readable").is_none());
    let mut seen = 0;
    for count in [1, 1, 100, 4_095, 4_096, 4_097, 1] {
        grow(&mut writer, &stream, count, 100, &mut random);
        // Some now, the others when more have come.
        for _ in 0..=count / 2 {
            if let Some(event) = cursor.next_event().expect("readable") {
                seen += 1;
                assert_eq!(event.payload()[..8], u64::to_le_bytes(seen));
            }
        }
    }
    while let Some(event) = cursor.next_event().expect("readable") {
        seen += 1;
        assert_eq!(event.payload()[..8], u64::to_le_bytes(seen));
    }
    assert_eq!(seen, 12_391);
    // A history is that of its moment, and there was none.
    assert!(history.next_event().expect("readable").is_none());
}

#[test]
fn does_another_thread_follow_a_stream() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("another thread");
    let mut writer = small().open(directory.path()).expect("a log");
    let (stream, log) = (name(9), writer.log());
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut cursor = log.stream(&stream, StreamVersion::NONE);
            let mut seen = 0_u64;
            while seen < 20_000 {
                let closed = log.is_closed();
                while let Some(event) = cursor.next_event().expect("readable") {
                    seen += 1;
                    assert_eq!(event.payload()[..8], seen.to_le_bytes());
                }
                assert!(!closed || seen == 20_000, "the writer is gone, {seen} were seen");
            }
        });
        for _ in 0..200 {
            grow(&mut writer, &stream, 100, 400, &mut random);
        }
        drop(writer);
        reader.join().expect("all were seen");
    });
}

#[test]
fn can_keys_be_of_every_kind() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let ids = [writer.log_id().uuid(), writer.history().uuid()];
    let long = "ä".repeat(127) + "x";
    let category = "c".repeat(64);
    let new = |category: &str, key: factlog::Key| StreamKey::new(category, key).expect("a name");
    let names = [
        new("a", 0_u64.into()),
        new("a", u64::MAX.into()),
        new("b", 0_u64.into()),
        new("a", ids[0].into()),
        new("a", ids[1].into()),
        new("a", "".into()),
        new("a", "0".into()),
        new("a", long.as_str().into()),
        new("a", (&b""[..]).into()),
        new("a", (&b"0"[..]).into()),
        new("a", (&0_u64.to_le_bytes()[..]).into()),
        new("a", (&ids[0].as_bytes()[..]).into()),
        new("a", (&[0xFF; 255][..]).into()),
        new(&category, "\u{1b}[31m\0".into()),
    ];
    for round in 0..3_u64 {
        for (number, stream) in names.iter().enumerate() {
            let meta = Meta::new().stream(stream, Expected::Version(StreamVersion::new(round)));
            let payload = number.to_le_bytes();
            writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
        }
    }
    let check = |log: &Log| {
        assert_eq!(log.streams(), names.len() as u64);
        for (number, stream) in names.iter().enumerate() {
            assert_eq!(log.stream_version(stream).get(), 3);
            let mut cursor = log.stream(stream, StreamVersion::NONE);
            for _ in 0..3 {
                let event = cursor.next_event().expect("readable").expect("there");
                assert_eq!(event.payload(), number.to_le_bytes());
                assert_eq!(event.stream(), Some(stream));
            }
        }
        let unknown = new("b", 1_u64.into());
        assert_eq!(log.stream_version(&unknown), StreamVersion::NONE);
        assert!(log.stream_backwards(&unknown).next_event().expect("readable").is_none());
    };
    check(&writer.log());
    drop(writer);
    check(&small().open(directory.path()).expect("a log").log());
    // No name shown in a terminal moves its cursor.
    assert!(!names[13].to_string().contains(char::is_control), "{}", names[13]);

    assert_eq!(StreamKey::new("", 1_u64), Err(StreamKeyError::NoCategory));
    let error = StreamKey::new(&"c".repeat(65), 1_u64);
    assert_eq!(error, Err(StreamKeyError::CategoryTooLong(65)));
    assert_eq!(StreamKey::new("c", "k".repeat(256)), Err(StreamKeyError::KeyTooLong(256)));
    assert_eq!(StreamKey::new("c", &[0; 300][..]), Err(StreamKeyError::KeyTooLong(300)));
}

#[test]
fn does_a_cursor_that_failed_fail_again_and_pass_nothing_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("failing");
    let mut writer = small().open(directory.path()).expect("a log");
    grow(&mut writer, &name(1), 300, 64, &mut random);
    let log = writer.log();
    let segment = SegmentFile::read(directory.path(), 1);
    let frames = segment.data_frames();
    let bad = &frames[frames.len() / 2];
    assert!(frames.len() > 5);
    // Somebody writes into the file under the engine's hands: readers see that through their
    // mapping.
    let at = u64::from(bad.offset) + 48 + 16;
    let byte = segment.bytes[at as usize];
    let file = OpenOptions::new().write(true).open(segment_path(directory.path(), 1));
    let file = file.expect("the segment");
    let write = |byte: u8| file.write_all_at(&[byte], at).expect("written");
    write(byte ^ 1);

    let is_damage =
        |error: &ReadError| matches!(error, ReadError::Frame(_, stop) if stop.offset == bad.offset);
    let all = factlog_tests::read_from(&log, factlog::Start::Oldest);
    assert!(is_damage(&all.expect_err("damaged")));
    let mut cursor = log.cursor(factlog::Start::Oldest).expect("a cursor");
    let mut seen = 0;
    let error = loop {
        match cursor.next_event() {
            Ok(event) => assert!(event.is_some(), "the damage was passed over"),
            Err(error) => break error,
        }
        seen += 1;
    };
    assert!(is_damage(&error));
    assert_eq!(seen + 1, bad.sequence.get(), "everything before is given");
    let mut stream = log.stream(&name(1), StreamVersion::NONE);
    let mut history = log.stream_backwards(&name(1));
    while let Ok(event) = history.next_event() {
        let event = event.expect("it fails before the first");
        assert!(event.sequence().get() > bad.sequence.get());
    }
    for _ in 0..3 {
        assert!(is_damage(&cursor.next_event().expect_err("it has failed")));
        assert!(is_damage(&cursor.poll().expect_err("it has failed")));
        assert!(is_damage(&stream.next_event().expect_err("it has failed")));
        assert!(is_damage(&history.next_event().expect_err("it has failed")));
    }
    assert_eq!(stream.next_version().get(), 1, "nothing was passed over");
    // Other places can be read.
    let behind = factlog::Start::Sequence(bad.next_sequence());
    assert!(!factlog_tests::read_from(&log, behind).expect("readable").is_empty());
    write(byte);
    drop(writer);
    let before = read_all(&log).len();
    assert_eq!(read_all(&small().open(directory.path()).expect("a log").log()).len(), before);
}
