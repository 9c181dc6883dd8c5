//! Does opening do what its mode says: refuse all but a clean end, look at everything, have a
//! witness for the last commit?
//!
//! Method: logs are written, dropped or closed, and edited as a crash or rot would.

use std::fs;
use std::path::Path;

use factlog::{
    DamageReason, Durability, EventType, Expected, Meta, Opaque, OpenError, Recovery,
    RecoveryOutcome, StreamKey, Witness,
};
use factlog_tests::damaged::append_short;
use factlog_tests::surgery::{Inventory, SegmentFile, copy_directory, wait_for_segments};
use factlog_tests::{Seen, read_all, small};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);

/// A log with 100 events, dropped or closed.
fn log(closed: bool) -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    append_short(&mut writer, 100);
    let events = read_all(&writer.log());
    wait_for_segments(directory.path(), 2);
    if closed {
        writer.close().expect("closed");
    }
    (directory, events)
}

fn flip(directory: &Path, number: u32, frame: usize) {
    let mut segment = SegmentFile::read(directory, number);
    let header = segment.data_frames()[frame];
    segment.bytes[header.offset as usize + 80] ^= 0x10;
    segment.write();
}

#[test]
fn does_strict_accept_what_ends_cleanly() {
    for closed in [true, false] {
        let (directory, events) = log(closed);
        let log = small().recovery(Recovery::Strict).open_read_only(directory.path());
        assert_eq!(read_all(&log.expect("a clean end")), events);
        let writer = small().recovery(Recovery::Strict).open(directory.path()).expect("clean");
        let outcome = writer.recovery().outcome;
        assert_eq!(outcome == RecoveryOutcome::ClosedCleanly, closed, "{outcome:?}");
        assert_eq!(read_all(&writer.log()), events);
    }
    // A new one is made in that mode too.
    let directory = tempfile::tempdir().expect("a directory");
    let writer = small().recovery(Recovery::Strict).open(directory.path()).expect("made");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::Created);
}

#[test]
fn does_strict_refuse_a_torn_tail_and_change_nothing() {
    for garbage in [true, false] {
        let (directory, events) = log(false);
        let kept = if garbage {
            let mut segment = SegmentFile::read(directory.path(), 1);
            let end = segment.end() as usize;
            segment.bytes[end..end + 500].fill(7);
            segment.write();
            100
        } else {
            flip(directory.path(), 1, 60);
            60
        };
        let before = Inventory::of(directory.path());
        let strict = || small().recovery(Recovery::Strict);
        for error in [
            strict().open(directory.path()).map(drop).expect_err("it is torn"),
            strict().open_read_only(directory.path()).map(drop).expect_err("it is torn"),
        ] {
            let OpenError::NotClean(report) = &error else { panic!("{error}") };
            assert_eq!(report.outcome, RecoveryOutcome::Torn);
            assert_eq!(report.next_sequence.get(), kept + 1);
            assert!(report.cut.is_some());
            assert!(error.to_string().contains("nothing was changed"), "{error}");
        }
        before.assert_unchanged(directory.path());
        // The default cuts it, and then it is clean.
        let writer = small().open(directory.path()).expect("cut");
        assert_eq!(read_all(&writer.log()), events[..kept as usize]);
        drop(writer);
        drop(strict().open(directory.path()).expect("clean now"));
    }
}

#[test]
fn does_strict_refuse_damage_and_change_nothing() {
    let (directory, _) = log(true);
    flip(directory.path(), 1, 60);
    let before = Inventory::of(directory.path());
    let strict = || small().recovery(Recovery::Strict);
    for error in [
        strict().open(directory.path()).map(drop).expect_err("damaged"),
        strict().open_read_only(directory.path()).map(drop).expect_err("damaged"),
    ] {
        let OpenError::Damaged(damage) = &error else { panic!("{error}") };
        assert_eq!(damage.next_sequence.get(), 61);
        assert!(matches!(damage.reason, DamageReason::Lost(_)));
    }
    before.assert_unchanged(directory.path());
}

/// A log of six segments with a stream table behind the fifth, closed.
fn long() -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let stream = StreamKey::new("block", "all").expect("a name");
    let payload = vec![9; 60_000];
    while writer.log().stats().rollovers < 5 {
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
    }
    append_short(&mut writer, 10);
    let events = read_all(&writer.log());
    let table = directory.path().join("seg/0000000005.streams");
    while !table.exists() {
        std::thread::yield_now();
    }
    writer.close().expect("closed");
    (directory, events)
}

#[test]
fn is_a_flipped_bit_in_an_old_segment_found_by_verify_alone() {
    let (directory, events) = long();
    let whole = small().verify(directory.path()).expect("readable");
    assert_eq!((whole.outcome, whole.walked), (RecoveryOutcome::ClosedCleanly, 6), "{whole}");
    assert_eq!(whole.next_sequence.get(), events.len() as u64 + 1);
    flip(directory.path(), 2, 7);
    let segment = SegmentFile::read(directory.path(), 2);
    let place = (2, segment.end());
    let before = Inventory::of(directory.path());
    // Opening goes by the table and the SEALs.
    let log = small().open_read_only(directory.path()).expect("opens");
    assert_eq!(log.recovery().outcome, RecoveryOutcome::ClosedCleanly);
    assert!(log.recovery().walked <= 2, "{}", log.recovery());
    drop(log);
    let report = small().verify(directory.path()).expect("it says so");
    assert_eq!(report.outcome, RecoveryOutcome::Damaged, "{report}");
    let damage = report.damage.expect("where");
    assert_eq!((damage.place.segment.get(), damage.place.offset), place);
    before.assert_unchanged(directory.path());
    let writer = small().open(directory.path()).expect("opens for writing too");
    assert!(writer.recovery().walked <= 2, "{}", writer.recovery());
    assert_eq!(writer.next_sequence().get(), events.len() as u64 + 1);
    drop(writer);
    // A repair looks at everything.
    let repaired = small().recovery(Recovery::Repair).open(directory.path()).expect("repaired");
    let kept = damage.next_sequence.get() as usize - 1;
    let lost = repaired.recovery().lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!(lost, Some((kept as u64 + 1, events.len() as u64)));
    assert_eq!(read_all(&repaired.log()), events[..kept]);
}

/// Opening does not walk segments that ended long ago: a cursor looks for itself.
#[test]
fn is_a_frame_out_of_its_place_refused_by_a_cursor() {
    type Edit = fn(&mut [u8]);
    let edits: [(&str, Edit); 5] = [
        ("one earlier", |frame| frame[8] = frame[8].wrapping_sub(1)),
        ("one later", |frame| frame[8] = frame[8].wrapping_add(1)),
        ("far later", |frame| frame[12] = 1),
        ("a SEGOPEN", |frame| frame[38] = 2),
        ("an EPOCH with events", |frame| frame[38] = 3),
    ];
    let (directory, events) = long();
    let segment = SegmentFile::read(directory.path(), 2);
    let frame = segment.data_frames()[5];
    let before = u64::from_le_bytes(
        segment.bytes[frame.offset as usize + 8..][..8].try_into().expect("eight"),
    );
    for (what, edit) in edits {
        let mut changed = SegmentFile::read(directory.path(), 2);
        let whole = changed.bytes.clone();
        changed.edit_frame(frame.offset, edit);
        changed.write();
        let log = small().open_read_only(directory.path()).expect("opens");
        assert!(log.recovery().walked <= 2, "{}", log.recovery());
        let mut cursor = log.cursor(factlog::Start::Oldest).expect("a cursor");
        let mut read = 0;
        let error = loop {
            match cursor.next_event() {
                Ok(Some(event)) => {
                    read += 1;
                    assert_eq!(event.sequence().get(), read, "{what}");
                }
                Ok(None) => panic!("{what}: read to the end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, factlog::ReadError::Frame(..)), "{what}: {error}");
        assert_eq!(read + 1, before, "{what}: {error}");
        changed.bytes = whole;
        changed.write();
    }
    let log = small().open_read_only(directory.path()).expect("opens");
    assert_eq!(read_all(&log), events);
}

#[test]
fn does_verify_look_at_a_log_that_is_being_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    for round in 1..=5 {
        append_short(&mut writer, 10);
        let report = small().verify(directory.path()).expect("readable");
        assert_eq!((report.outcome, report.walked), (RecoveryOutcome::Clean, 1), "{report}");
        assert_eq!(report.next_sequence.get(), round * 10 + 1);
    }
    let nothing = tempfile::tempdir().expect("a directory");
    assert!(matches!(small().verify(nothing.path()), Err(OpenError::NoLog(_))));
    assert_eq!(fs::read_dir(nothing.path()).expect("readable").count(), 0);
}

/// The last commit was acknowledged, and rots before anything else is written.
#[test]
fn is_rot_of_the_last_commit_damage_under_a_strict_witness_and_torn_without() {
    for (witness, strict) in [(Witness::NextFrame, false), (Witness::Strict, true)] {
        for zero in [true, false] {
            let live = tempfile::tempdir().expect("a directory");
            let options = || small().durability(Durability::Always).witness(witness);
            let mut writer = options().open(live.path()).expect("a log");
            // Before: a log that rests notes in its manifest what is durable.
            wait_for_segments(live.path(), 2);
            append_short(&mut writer, 5);
            assert_eq!(writer.log().durable().0.get(), 5);
            let directory = tempfile::tempdir().expect("a directory");
            copy_directory(live.path(), directory.path());
            let events = read_all(&writer.log());
            drop(writer);
            let mut segment = SegmentFile::read(directory.path(), 1);
            let last = *segment.data_frames().last().expect("five");
            let frame = last.offset as usize..last.next_offset() as usize;
            if zero {
                segment.bytes[frame].fill(0);
            } else {
                segment.bytes[frame.start + 60] ^= 1;
            }
            segment.write();
            let opened = options().open(directory.path());
            if strict {
                let Err(OpenError::Damaged(damage)) = opened else { panic!("{opened:?}") };
                assert_eq!(damage.next_sequence.get(), 5);
                continue;
            }
            let writer = opened.expect("nothing bears witness to it");
            let outcome = if zero { RecoveryOutcome::Clean } else { RecoveryOutcome::Torn };
            assert_eq!(writer.recovery().outcome, outcome);
            assert_eq!(read_all(&writer.log()), events[..4]);
        }
    }
}
