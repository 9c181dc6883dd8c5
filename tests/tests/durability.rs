//! Does each durability keep what it says, and is nobody left waiting?
//!
//! What a sync does to a disk is not asked here; the watermark is, and who waits for it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use factlog::{
    DamageReason, DiskObserver, DiskOperation, Durability, EventType, Expected, Meta, Opaque,
    OpenError, Position, Retention, Sequence, Start, StreamKey, ThreadOptions, WaitStrategy,
    Waited, Witness, WriteWay,
};
use factlog_codec::Manifest;
use factlog_tests::surgery::{SegmentFile, manifest_path, used_segments};
use factlog_tests::{Gate, read_all, small};

static NOTE: EventType = EventType::opaque("note", 1);
const SOON: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(60);

fn note() -> Opaque<'static> {
    Opaque::new(&NOTE, b"a note")
}

#[test]
fn is_nothing_durable_without_being_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().durability(Durability::None).open(directory.path()).expect("opens");
    writer.append(&note()).expect("appended");
    thread::sleep(SHORT);
    assert_eq!(writer.log().durable().0, Sequence::ZERO);
    // Whoever waits for it has it made durable.
    assert_eq!(writer.log().wait_durable(Sequence::FIRST, SOON).expect("synced"), Waited::Ready);
    assert_eq!(writer.log().durable(), writer.log().visible());
    // Also for an event that comes later, from a writer that is idle after it.
    let log = writer.log();
    let waiting = thread::spawn(move || log.wait_durable(Sequence::new(3), SOON));
    thread::sleep(SHORT);
    writer.append(&note()).expect("appended");
    writer.append(&note()).expect("appended");
    assert_eq!(waiting.join().expect("no panic").expect("synced"), Waited::Ready);
    assert_eq!(writer.log().durable().0, Sequence::new(3));
    let timed_out = writer.log().wait_durable(Sequence::new(4), SHORT).expect("no failure");
    assert_eq!(timed_out, Waited::TimedOut);
    let log = writer.log();
    writer.append(&note()).expect("appended");
    drop(writer);
    // It was asked for, so it may have become durable in the last moment; else it never will.
    let ended = log.wait_durable(Sequence::new(4), SOON).expect("no failure");
    assert!(matches!(ended, Waited::Closed | Waited::Ready));
    let ended = log.wait_durable(Sequence::new(5), SOON).expect("no failure");
    assert_eq!(ended, Waited::Closed);
}

#[test]
fn does_an_interval_make_durable_what_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let interval = Durability::Interval(Duration::from_millis(5));
    let mut writer = small().durability(interval).open(directory.path()).expect("opens");
    let payload = vec![7; 30_000];
    for _ in 0..500 {
        writer.append(&Opaque::new(&NOTE, &payload)).expect("appended");
    }
    assert!(writer.log().stats().rollovers > 2);
    let began = Instant::now();
    while writer.log().durable() != writer.log().visible() {
        assert!(began.elapsed() < SOON, "it was forgotten");
        thread::yield_now();
    }
    // Never the other way round, whenever one looks.
    let log = writer.log();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2_000 {
                writer.append(&note()).expect("appended");
            }
        });
        for _ in 0..20_000 {
            let (durable, at) = log.durable();
            let (visible, end) = log.visible();
            assert!(durable <= visible && at <= end);
        }
    });
}

#[test]
fn is_a_commit_durable_when_it_returns_where_that_is_promised() {
    for durability in [Durability::Group, Durability::Always] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut writer = small().durability(durability).open(directory.path()).expect("opens");
        let stream = StreamKey::new("note", 1_u64).expect("a key");
        for _ in 0..20 {
            let meta = Meta::new().stream(&stream, Expected::Any);
            let sequence = writer.append_with(&note(), meta).expect("appended");
            assert_eq!(writer.log().durable().0, sequence);
        }
        let mut transaction = writer.begin().expect("begun");
        transaction.append(&note()).expect("appended");
        transaction.append(&note()).expect("appended");
        let receipt = transaction.commit().expect("durable");
        assert!(receipt.durable);
        assert_eq!(writer.log().durable().0, receipt.last());
        assert!(writer.append_all(&[note(), note()]).expect("durable").durable);

        let service = writer.spawn(ThreadOptions::new()).expect("a thread");
        let log = service.log();
        thread::scope(|scope| {
            for _ in 0..4 {
                let (producer, log) = (service.producer(), &log);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let answer = producer.submit(note(), SOON).expect("accepted");
                        let receipt = answer.wait().expect("written");
                        assert!(receipt.durable);
                        assert!(log.durable().0 >= receipt.last(), "answered too early");
                    }
                });
            }
        });
        service.close().expect("closed");
        assert_eq!(log.visible().0, Sequence::new(224));
    }
}

#[test]
fn does_a_receipt_say_which_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    assert!(!writer.append_all(&[note()]).expect("appended").durable);
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let answer = service.producer().submit(note(), SOON).expect("accepted");
    let receipt = answer.wait().expect("written");
    assert!(!receipt.durable);
    assert_eq!(service.log().wait_durable(receipt.last(), SOON).expect("synced"), Waited::Ready);
}

#[test]
fn does_a_durable_cursor_see_only_what_is_durable() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().durability(Durability::None).open(directory.path()).expect("opens");
    let log = writer.log();
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor").only_durable();
    writer.append(&note()).expect("appended");
    assert!(cursor.next_event().expect("readable").is_none());
    writer.sync().expect("synced");
    let first = cursor.next_event().expect("readable").expect("durable now").sequence();
    assert_eq!(first, Sequence::FIRST);
    // One that sleeps has it made durable, and is woken; across segments too.
    let payload = vec![7; 30_000];
    let follower = thread::spawn({
        let log = log.clone();
        move || {
            let mut seen = 1;
            loop {
                match cursor.wait(WaitStrategy::Park, SOON) {
                    Waited::Ready => {}
                    Waited::Closed => return seen,
                    Waited::TimedOut => panic!("it was forgotten"),
                }
                while let Some(event) = cursor.next_event().expect("readable") {
                    let sequence = event.sequence();
                    assert!(sequence <= log.durable().0, "it was not durable yet");
                    seen += 1;
                }
            }
        }
    });
    for _ in 0..400 {
        writer.append(&Opaque::new(&NOTE, &payload)).expect("appended");
    }
    writer.close().expect("closed");
    assert_eq!(follower.join().expect("no panic"), 401);
}

#[test]
fn does_a_cursor_that_turns_durable_in_the_middle_of_a_frame_miss_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().durability(Durability::None).open(directory.path()).expect("opens");
    writer.append_all(&[note(), note(), note()]).expect("appended");
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    assert!(cursor.next_event().expect("readable").is_some());
    let mut cursor = cursor.only_durable();
    assert!(cursor.next_event().expect("readable").is_none(), "the rest is not durable");
    for strategy in [WaitStrategy::Spin, WaitStrategy::Yield, WaitStrategy::Park] {
        // Whoever waits has it made durable, whichever way it waits.
        assert_eq!(cursor.wait(strategy, SOON), Waited::Ready);
        let event = cursor.next_event().expect("readable").expect("durable now");
        assert!(event.sequence() > Sequence::FIRST);
        writer.append(&note()).expect("appended");
    }
    writer.close().expect("closed");
    let mut left = 0;
    while cursor.wait(WaitStrategy::Park, SOON) == Waited::Ready {
        while cursor.next_event().expect("readable").is_some() {
            left += 1;
        }
    }
    assert_eq!(left, 2, "2 of the first frame and 1 behind it were read above");
}

/// The newest checkpoint in the manifest.
fn checkpoint(directory: &Path) -> Position {
    let slots = [0, 1].map(|slot| fs::read(manifest_path(directory, slot)).expect("there"));
    // One of them may just be written.
    let slots = slots.iter().filter_map(|page| Manifest::decode(page).ok());
    slots.max_by_key(|manifest| manifest.generation).expect("one is whole").checkpoint
}

/// Waits until something has happened in the background.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn does_a_log_at_rest_note_in_the_manifest_how_far_it_is_durable() {
    let directory = tempfile::tempdir().expect("a directory");
    let interval = Durability::Interval(Duration::from_millis(5));
    let mut writer = small().durability(interval).open(directory.path()).expect("opens");
    for _ in 0..10 {
        writer.append(&note()).expect("appended");
    }
    let end = writer.log().visible().1;
    until("it is noted", || checkpoint(directory.path()) == end);
    drop(writer);
    // So the last frame, behind which there is none, has a witness: its rot is damage.
    let mut segment = SegmentFile::read(directory.path(), 1);
    let last = *segment.frames().last().expect("frames");
    segment.bytes[last.offset as usize + 60] ^= 1;
    segment.write();
    match small().open(directory.path()) {
        Err(OpenError::Damaged(damage)) => {
            assert!(matches!(damage.reason, DamageReason::Lost(_)), "{damage}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn is_what_recovery_found_made_durable_without_being_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    for _ in 0..10 {
        writer.append(&note()).expect("appended");
    }
    drop(writer);
    // Nobody commits or waits: that would be a reason to sync.
    let writer = small().durability(Durability::Group).open(directory.path()).expect("opens");
    until("it is durable", || writer.log().durable().0 == Sequence::new(10));
}

#[test]
fn does_another_way_of_writing_begin_with_another_segment() {
    let directory = tempfile::tempdir().expect("a directory");
    let ways = [WriteWay::Mapped, WriteWay::Mapped, WriteWay::Staged, WriteWay::Mapped];
    for way in ways {
        let mut writer = small().write_way(way).open(directory.path()).expect("opens");
        writer.append(&note()).expect("appended");
        writer.close().expect("closed");
    }
    let numbers = used_segments(directory.path());
    let read = |number: &u32| SegmentFile::read(directory.path(), *number);
    let found: Vec<_> = numbers.iter().map(|number| read(number).way()).collect();
    assert_eq!(found, [WriteWay::Mapped, WriteWay::Staged, WriteWay::Mapped]);
    assert_eq!(read_all(&small().open_read_only(directory.path()).expect("opens")).len(), 4);
}

/// Archiving takes as long as it is told to.
#[derive(Debug, Default)]
struct SlowArchive(Gate);

impl DiskObserver for SlowArchive {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if matches!(operation, DiskOperation::Link(..)) {
            self.0.pass();
        }
        Ok(())
    }
}

/// An archive on another disk takes minutes: meanwhile, events become durable as ever, also after the
/// manifest was to note how far they are, and where it has to.
#[test]
fn does_an_archive_that_is_slow_keep_nothing_from_becoming_durable() {
    for witness in [Witness::NextFrame, Witness::Strict] {
        let directory = tempfile::tempdir().expect("a directory");
        let slow = Arc::new(SlowArchive::default());
        let observer: Arc<dyn DiskObserver> = Arc::clone(&slow) as _;
        let options = small().durability(Durability::Interval(Duration::from_millis(5)));
        let options = options.witness(witness).disk_observer(observer);
        let mut writer = options.open(directory.path().join("log")).expect("opens");
        while writer.log().stats().rollovers < 2 {
            writer.append(&Opaque::new(&NOTE, &[7; 30_000])).expect("appended");
        }
        writer.sync().expect("synced");
        let service = writer.spawn(ThreadOptions::new()).expect("a thread");
        let (log, producer) = (service.log(), service.producer());
        let retention = Retention::keep_segments(1).archive(directory.path().join("archive"));
        let (durable, retained) = thread::scope(|scope| {
            let retaining = scope.spawn(|| service.retain(&retention));
            slow.0.wait_reached();
            // Longer than a log is at rest before the manifest is to say so.
            thread::sleep(Duration::from_millis(1_300));
            let wanted = log.visible().0.after(1);
            let submitted = producer.submit(note(), SOON).map(drop).is_ok();
            let began = Instant::now();
            while log.durable().0 < wanted && began.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(1));
            }
            let durable = submitted && log.durable().0 >= wanted;
            slow.0.open();
            (durable, retaining.join().expect("no panic"))
        });
        assert!(durable, "{witness:?}: it waited for the archive");
        assert_eq!(retained.expect("dropped").dropped, 2);
        service.close().expect("closed");
    }
}

/// One waits for the next event, which the writer makes durable itself; another one for a later
/// event, which it does not.
#[test]
fn is_nobody_forgotten_who_waits_for_more_than_the_writer_made_durable() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().durability(Durability::None).open(directory.path()).expect("opens");
    for round in 0..20 {
        let (log, next) = (writer.log(), writer.next_sequence());
        let wait = |sequence: Sequence| {
            let log = log.clone();
            thread::spawn(move || log.wait_durable(sequence, SOON).expect("no failure"))
        };
        let near = wait(next);
        // Most often it waits by then.
        thread::sleep(Duration::from_millis(5));
        writer.append(&note()).expect("appended");
        writer.sync().expect("synced");
        assert_eq!(near.join().expect("no panic"), Waited::Ready);
        let far = wait(next.after(3));
        thread::sleep(Duration::from_millis(40));
        for _ in 0..5 {
            writer.append(&note()).expect("appended");
        }
        assert_eq!(far.join().expect("no panic"), Waited::Ready, "round {round}");
    }
}
