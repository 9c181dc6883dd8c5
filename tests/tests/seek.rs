//! Is every event found by its sequence, by its time, and through its stream?
//!
//! Method: logs whose contents are known, with a clock of the test's own; every place in a small
//! one, and the boundaries of segments in a large one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::{
    AppendError, Clock, EventType, Expected, Log, Meta, MetadataTooLong, Opaque, SeekError,
    Sequence, Start, StreamKey, StreamVersion, Writer,
};
use factlog_tests::surgery::{SegmentFile, used_segments};
use factlog_tests::{Random, read_all, read_from, small};

static BLOCK: EventType = EventType::opaque("block", 1);

/// Ten microseconds more at each look, from a time of the test's choice.
struct Steps(Arc<AtomicU64>);

impl Clock for Steps {
    fn now(&mut self) -> u64 {
        self.0.fetch_add(10_000, Ordering::Relaxed)
    }
}

fn open(directory: &std::path::Path) -> Writer {
    small().clock(Steps(Arc::new(AtomicU64::new(1_000_000)))).open(directory).expect("a log")
}

fn put(writer: &mut Writer, size: usize) {
    writer.append(&Opaque::new(&BLOCK, &vec![1; size])).expect("appended");
}

/// Every place that can be asked for by sequence, held against the events themselves.
fn seek_everywhere(log: &Log, sequences: impl Iterator<Item = u64>) {
    let events = read_all(log);
    let next = events.len() as u64 + 1;
    for sequence in sequences {
        let mut cursor = log.cursor(Start::Sequence(Sequence::new(sequence))).expect("a cursor");
        assert_eq!(cursor.next_sequence().get(), sequence);
        let found = cursor.next_event().expect("readable").map(factlog_tests::Seen::of);
        assert_eq!(found.as_ref(), events.get(sequence as usize - 1), "{sequence}");
        let found = log.with_event(Sequence::new(sequence), |event| event.sequence().get());
        if sequence < next {
            assert_eq!(found.expect("there"), sequence);
            let event = &events[sequence as usize - 1];
            // The first event of its frame's time is found by that time and by one more than
            // the time of the frame before.
            let first = events.iter().find(|other| other.ts == event.ts).expect("itself");
            let before = events.iter().rev().find(|other| other.ts < event.ts);
            for time in [event.ts, before.map_or(0, |before| before.ts + 1)] {
                let mut cursor = log.cursor(Start::Time(time)).expect("a cursor");
                assert_eq!(cursor.next_sequence().get(), first.sequence, "{time}");
                let found = cursor.next_event().expect("readable").expect("there");
                assert_eq!(found.sequence().get(), first.sequence);
            }
        } else {
            assert!(matches!(found, Err(SeekError::BeyondEnd(end)) if end.get() == next));
        }
    }
    let seek = |start| log.cursor(start).map(|cursor| cursor.next_sequence().get());
    let zero = seek(Start::Sequence(Sequence::ZERO));
    assert!(matches!(zero, Err(SeekError::BeforeOldest(oldest)) if oldest.get() == 1));
    for beyond in [next + 1, u64::MAX] {
        let found = seek(Start::Sequence(Sequence::new(beyond)));
        assert!(matches!(found, Err(SeekError::BeyondEnd(end)) if end.get() == next));
    }
    assert_eq!(seek(Start::Oldest).expect("there"), 1);
    assert_eq!(seek(Start::End).expect("there"), next);
    assert_eq!(seek(Start::Time(0)).expect("there"), 1);
    let last = events.last().map_or(0, |event| event.ts);
    for late in [last + 1, u64::MAX] {
        assert_eq!(seek(Start::Time(late)).expect("there"), next);
    }
}

#[test]
fn is_every_place_of_a_small_log_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut total = 0;
    for round in 0..4 {
        let mut writer = open(directory.path());
        seek_everywhere(&writer.log(), 1..=total + 1);
        for size in 0..30_u64 {
            // Transactions of different sizes, so that places inside frames are asked for too.
            let mut transaction = writer.begin().expect("a transaction");
            for _ in 0..=size % (round + 2) {
                transaction.append(&Opaque::new(&BLOCK, &[size as u8])).expect("staged");
                total += 1;
            }
            transaction.commit().expect("committed");
        }
        seek_everywhere(&writer.log(), 1..=total + 1);
        drop(writer);
        let log = small().open_read_only(directory.path()).expect("a log");
        seek_everywhere(&log, 1..=total + 1);
    }
}

#[test]
fn are_places_around_the_ends_of_segments_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("seek");
    let mut writer = open(directory.path());
    while writer.log().stats().rollovers < 4 {
        put(&mut writer, random.below(30_000) as usize);
    }
    let check = |log: &Log, next: u64| {
        let mut places: Vec<u64> = (1..next).step_by(97).collect();
        for number in used_segments(directory.path()) {
            let first = SegmentFile::read(directory.path(), number).frames()[0].sequence.get();
            places.extend(first.saturating_sub(2).max(1)..=(first + 2).min(next));
        }
        places.push(next);
        seek_everywhere(log, places.into_iter());
    };
    let next = writer.next_sequence().get();
    check(&writer.log(), next);
    drop(writer);
    check(&small().open_read_only(directory.path()).expect("a log"), next);
}

#[test]
fn does_a_cursor_at_the_end_give_only_what_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = open(directory.path());
    put(&mut writer, 1);
    let log = writer.log();
    let mut cursors = [Start::End, Start::Sequence(Sequence::new(2)), Start::Time(u64::MAX)]
        .map(|start| log.cursor(start).expect("a cursor"));
    for cursor in &mut cursors {
        assert!(cursor.next_event().expect("readable").is_none());
    }
    for size in [2, 900_000, 900_000, 900_000, 900_000, 900_000, 3] {
        put(&mut writer, size);
        for cursor in &mut cursors {
            let event = cursor.next_event().expect("readable").expect("there");
            assert_eq!(event.payload().len(), size);
            assert!(cursor.next_event().expect("readable").is_none());
        }
    }
    assert!(log.stats().rollovers > 0);
    // One cursor for many readers: each goes on from where it is.
    assert_eq!(read_from(&log, Start::Sequence(Sequence::new(8))).expect("readable").len(), 1);
}

#[test]
fn is_an_expected_version_held_against_the_stream() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = open(directory.path());
    let stream = StreamKey::new("order", "a").expect("a name");
    let version = |version| Expected::Version(StreamVersion::new(version));
    let mut append = |expected| {
        let block = Opaque::new(&BLOCK, b"x");
        match writer.append_with(&block, Meta::new().stream(&stream, expected)) {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict { stream: named, expected, actual }) => {
                assert_eq!(named, stream);
                Err((expected.get(), actual.get()))
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(append(version(1)), Err((1, 0)));
    assert_eq!(append(Expected::NEW), Ok(()));
    assert_eq!(append(Expected::NEW), Err((0, 1)));
    assert_eq!(append(version(2)), Err((2, 1)));
    assert_eq!(append(version(1)), Ok(()));
    assert_eq!(append(Expected::Any), Ok(()));
    assert_eq!(append(version(u64::MAX)), Err((u64::MAX, 3)));
    assert_eq!(append(version(3)), Ok(()));
    drop(writer);
    // And against what recovery has found.
    let mut writer = open(directory.path());
    assert_eq!(writer.stream_version(&stream).get(), 4);
    let block = Opaque::new(&BLOCK, b"x");
    let conflict = writer.append_with(&block, Meta::new().stream(&stream, version(3)));
    assert!(matches!(conflict, Err(AppendError::Conflict { actual, .. }) if actual.get() == 4));
    let at = writer.append_with(&block, Meta::new().stream(&stream, version(4)));
    assert_eq!(at.expect("appended").get(), 5);
}

#[test]
fn does_metadata_come_back_up_to_its_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = open(directory.path());
    let stream = StreamKey::new("order", 1_u64).expect("a name");
    put(&mut writer, 1);
    let bytes: Vec<u8> = (0..5_000_u32).map(|byte| byte as u8).collect();
    let mut expected = vec![(0, None)];
    // All extensions together: 255 units of 16 bytes; metadata has a head of 4.
    for (links, most) in [(0, 4080 - 4), (1, 4080 - 16 - 4), (3, 4080 - 48 - 4)] {
        for length in (0..40).chain(most - 20..=most + 3) {
            let mut meta = Meta::new().metadata(&bytes[..length]);
            if links > 0 {
                meta = meta.stream(&stream, Expected::Any);
            }
            if links > 1 {
                let last = writer.next_sequence().before();
                meta = meta.cause(last).correlation(Sequence::FIRST);
            }
            match writer.append_with(&Opaque::new(&BLOCK, b"x"), meta) {
                Ok(sequence) => {
                    assert!(length <= most, "{length} of {most}");
                    let cause = (links > 1).then(|| sequence.get() - 1);
                    expected.push((length, cause));
                }
                Err(AppendError::Metadata(MetadataTooLong { needed, .. })) => {
                    assert!(length > most && needed > 4080, "{length} of {most}: {needed}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    for event in read_all(&writer.log()) {
        let (length, cause) = expected[event.sequence as usize - 1];
        assert_eq!(event.metadata, bytes[..length]);
        assert_eq!((event.cause, event.correlation), (cause, cause.map(|_| 1)));
    }
    assert_eq!(writer.next_sequence().get(), expected.len() as u64 + 1);
    drop(writer);
    let log = small().open_read_only(directory.path()).expect("a log");
    assert!(
        read_all(&log)
            .iter()
            .zip(&expected)
            .all(|(event, (length, _))| { event.metadata == bytes[..*length] })
    );
}
