//! Does a repair keep all that stands before the damage, say exactly what was lost, and never give
//! a sequence twice?
//!
//! Method: logs of one and of four segments, closed and dropped, damaged in every way; what is there
//! afterwards is held against what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use factlog::{
    DamageReason, Log, OpenError, Recovery, RecoveryOutcome, Retention, SeekError, Sequence, Start,
    StreamVersion, Writer,
};
use factlog_codec::Manifest;
use factlog_tests::damaged::{Damage, STREAMS, append, log, stream_of};
use factlog_tests::surgery::{Inventory, SegmentFile, manifest_path, segment_path, used_segments};
use factlog_tests::{Seen, read_all, read_from, small};

fn repair(directory: &Path) -> Writer {
    small().recovery(Recovery::Repair).open(directory).expect("repaired")
}

/// Everything from the oldest on; the sequences rise, and are not dense.
fn everything(log: &Log) -> Vec<Seen> {
    let events = read_from(log, Start::Oldest).expect("readable");
    assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    events
}

/// Reads `events` by every sequence, by every time and by streams; `next` is the next sequence.
fn check_reads(log: &Log, events: &[Seen], next: u64) {
    assert_eq!(everything(log), events);
    // At the end a cursor stands where the log goes on, also right behind a gap.
    let mut cursor = log.cursor(Start::Oldest).expect("placed");
    while cursor.next_event().expect("readable").is_some() {}
    assert_eq!(cursor.next_sequence().get(), next);
    for wanted in 1..=next {
        let behind = events.partition_point(|event| event.sequence < wanted);
        let mut cursor = log.cursor(Start::Sequence(Sequence::new(wanted))).expect("placed");
        let found = cursor.next_event().expect("readable").map(Seen::of);
        assert_eq!(found.as_ref(), events.get(behind), "from {wanted}");
        let one = log.with_event(Sequence::new(wanted), Seen::of);
        match events.get(behind).filter(|event| event.sequence == wanted) {
            Some(event) => assert_eq!(one.expect("there"), *event),
            None if wanted == next => assert!(matches!(one, Err(SeekError::BeyondEnd(_)))),
            None => assert!(matches!(one, Err(SeekError::Lost(lost)) if lost.get() == wanted)),
        }
    }
    for time in events.iter().flat_map(|event| [event.ts - 1, event.ts, event.ts + 1]) {
        let behind = events.partition_point(|event| event.ts < time);
        let mut cursor = log.cursor(Start::Time(time)).expect("placed");
        let found = cursor.next_event().expect("readable").map(Seen::of);
        assert_eq!(found.as_ref(), events.get(behind), "from {time}");
    }
    for number in 0..STREAMS {
        let name = stream_of(number);
        let of_stream: Vec<_> = events
            .iter()
            .filter(|event| event.stream.as_ref().is_some_and(|s| s.0 == name))
            .collect();
        let mut cursor = log.stream(&name, StreamVersion::NONE);
        for expected in &of_stream {
            let found = cursor.next_event().expect("readable").map(Seen::of);
            assert_eq!(found.as_ref(), Some(*expected));
        }
        assert!(cursor.next_event().expect("readable").is_none());
        let last = of_stream.last().map_or(0, |event| event.stream.as_ref().map_or(0, |s| s.1));
        assert_eq!(log.stream_version(&name).get(), last);
    }
}

/// Segment files by number.
fn files(directory: &Path) -> BTreeMap<u32, Vec<u8>> {
    (1..30)
        .filter_map(|number| Some((number, fs::read(segment_path(directory, number)).ok()?)))
        .collect()
}

/// Damages the log, and has it repaired.
fn check(segments: u64, closed: bool, damage: Damage) {
    println!("{segments} segments, closed: {closed}, {damage:?}");
    let (directory, events) = log(segments, closed);
    let directory = directory.path();
    let used = used_segments(directory);
    let first = damage.apply(directory);
    let (total, kept) = (events.len() as u64, &events[..first as usize - 1]);
    // Nobody else takes it.
    let before = Inventory::of(directory);
    for mode in [Recovery::CutTorn, Recovery::Strict] {
        let error = small().recovery(mode).open(directory).expect_err("damaged");
        assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    }
    before.assert_unchanged(directory);

    let taken = files(directory);
    let mut writer = repair(directory);
    let report = writer.recovery().clone();
    assert_eq!(report.outcome, RecoveryOutcome::Repaired, "{report}");
    let lost = report.lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!(lost, Some((first, total)), "{report}");
    assert_eq!(report.next_sequence.get(), total + 1);
    assert!(report.damage.is_some() && report.to_string().contains("are lost"), "{report}");
    check_reads(&writer.log(), kept, total + 1);
    // What stood behind the damaged segment is in quarantine, byte for byte.
    let end = report.end.segment.get();
    let aside: Vec<u32> =
        used.into_iter().filter(|number| *number > end && taken.contains_key(number)).collect();
    assert_eq!(report.quarantined.len(), aside.len(), "{report}");
    for number in aside {
        let ending = format!("-{number:010}.log");
        let moved =
            report.quarantined.iter().find(|path| path.to_string_lossy().ends_with(&ending));
        let moved = moved.expect("it was moved");
        assert!(moved.starts_with(directory.join("quarantine")));
        assert!(fs::read(moved).expect("kept") == taken[&number], "segment {number}");
    }
    // The damaged one itself is not written to.
    assert!(fs::read(segment_path(directory, end)).expect("there") == taken[&end]);

    for _ in 0..7 {
        append(&mut writer, 100);
    }
    let mut events = everything(&writer.log());
    assert_eq!(events[..kept.len()], *kept);
    let given: Vec<_> = events[kept.len()..].iter().map(|event| event.sequence).collect();
    assert_eq!(given, (total + 1..=total + 7).collect::<Vec<_>>());
    check_reads(&writer.log(), &events, total + 8);
    let backup = tempfile::tempdir().expect("a directory");
    writer.backup(backup.path()).expect("copied over the gap");
    let copy = small().open_read_only(backup.path()).expect("opens");
    check_reads(&copy, &events, total + 8);
    if closed {
        writer.close().expect("closed");
    } else {
        drop(writer);
    }

    for round in 1..=2 {
        let mut writer = small().open(directory).expect("opens by default");
        let report = writer.recovery();
        assert!(
            matches!(report.outcome, RecoveryOutcome::Clean | RecoveryOutcome::ClosedCleanly),
            "{report}"
        );
        assert_eq!((report.lost, report.quarantined.len()), (None, 0), "{report}");
        append(&mut writer, 100);
        events = everything(&writer.log());
        check_reads(&writer.log(), &events, total + 8 + round);
    }
    // Another repair finds nothing to do.
    let mut writer = repair(directory);
    assert_eq!((writer.recovery().outcome, writer.recovery().lost), (RecoveryOutcome::Clean, None));
    // Retention over the gap.
    let rollovers = writer.log().stats().rollovers;
    while writer.log().stats().rollovers < rollovers + 2 {
        append(&mut writer, 150_000);
    }
    writer.sync().expect("synced");
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped >= 2 && retained.oldest.get() > total);
    let left = everything(&writer.log());
    let next = writer.next_sequence();
    writer.close().expect("closed");
    let writer = small().open(directory).expect("opens");
    assert_eq!((everything(&writer.log()), writer.next_sequence()), (left, next));
}

#[test]
fn is_damage_in_the_only_segment_repaired() {
    for damage in [Damage::Flip(1, 7), Damage::Flip(1, 0), Damage::Tail(1, 2)] {
        check(1, true, damage);
    }
}

#[test]
fn is_damage_in_the_middle_of_several_segments_repaired() {
    for closed in [true, false] {
        check(4, closed, Damage::Flip(2, 9));
        check(4, closed, Damage::Flip(3, 0));
    }
}

#[test]
fn is_a_rotten_header_repaired() {
    for closed in [true, false] {
        check(4, closed, Damage::Header(2));
        check(4, closed, Damage::Header(3));
    }
    check(4, true, Damage::Header(4));
}

#[test]
fn is_a_missing_segment_repaired() {
    for closed in [true, false] {
        check(4, closed, Damage::Missing(2));
        check(4, closed, Damage::Missing(3));
    }
    check(4, true, Damage::Missing(4));
}

#[test]
fn is_a_rotten_beginning_of_a_segment_repaired() {
    for closed in [true, false] {
        check(4, closed, Damage::SegOpen(2));
        check(4, closed, Damage::SegOpen(3));
    }
    check(4, true, Damage::SegOpen(4));
}

#[test]
fn are_the_last_acknowledged_frames_given_up() {
    check(3, true, Damage::Tail(3, 1));
    check(3, true, Damage::Tail(3, 20));
}

/// Nobody knows what stood in a last segment whose header is gone: no number of it may come back.
#[test]
fn is_no_sequence_of_an_unreadable_last_segment_given_again() {
    let (directory, events) = log(3, false);
    let first = Damage::Header(3).apply(directory.path());
    let writer = repair(directory.path());
    let (from, to) = writer.recovery().lost.expect("something is lost");
    assert_eq!(from.get(), first);
    assert!(to.get() >= events.len() as u64, "{to}");
    assert!(writer.next_sequence() > to);
    assert_eq!(everything(&writer.log()), events[..first as usize - 1]);
}

#[test]
fn is_a_log_that_has_lost_its_beginning_refused() {
    for damage in [Damage::Missing(1), Damage::Header(1), Damage::SegOpen(1)] {
        let (directory, _) = log(3, true);
        damage.apply(directory.path());
        let before = Inventory::of(directory.path());
        let error = small().recovery(Recovery::Repair).open(directory.path());
        let error = error.expect_err("there is nothing to keep");
        assert!(matches!(error, OpenError::Damaged(_)), "{damage:?}: {error}");
        before.assert_unchanged(directory.path());
    }
}

#[test]
fn does_a_repair_cut_a_torn_tail_without_a_gap() {
    let (directory, events) = log(1, false);
    let mut segment = SegmentFile::read(directory.path(), 1);
    let end = segment.end() as usize;
    segment.bytes[end..end + 100].fill(3);
    segment.write();
    let writer = repair(directory.path());
    let report = writer.recovery();
    assert_eq!((report.outcome, report.lost), (RecoveryOutcome::Torn, None), "{report}");
    assert_eq!(writer.next_sequence().get(), events.len() as u64 + 1);
    assert_eq!(read_all(&writer.log()), events);
}

/// A GAP may name more sequences than a segment has bytes; what comes after it is not forgotten when
/// the log is damaged once more, before the gap.
#[test]
fn does_a_second_repair_know_what_came_after_a_wide_gap() {
    let far = 1_000_000_000;
    let (directory, events) = log(1, true);
    let total = events.len() as u64;
    // The manifest bears witness to events that no file has.
    for slot in 0..2 {
        let path = manifest_path(directory.path(), slot);
        let mut manifest = Manifest::decode(&fs::read(&path).expect("there")).expect("whole");
        manifest.checkpoint = factlog::Position::from_raw(manifest.checkpoint.raw() + 4096);
        manifest.checkpoint_sequence = Sequence::new(far);
        manifest.clean = false;
        fs::write(&path, manifest.encode()).expect("written");
    }
    let mut writer = repair(directory.path());
    let lost = writer.recovery().lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!(lost, Some((total + 1, far - 1)));
    for _ in 0..5 {
        append(&mut writer, 100);
    }
    drop(writer);
    // Dropped, so that the manifest knows nothing of the five. The beginning rots.
    Damage::Flip(1, 3).apply(directory.path());
    let error = small().open(directory.path()).expect_err("damaged");
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert!(matches!(damage.reason, DamageReason::Lost(_)));
    let writer = repair(directory.path());
    let lost = writer.recovery().lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!(lost, Some((4, far + 4)));
    assert_eq!(writer.next_sequence().get(), far + 5);
}

/// The epoch that repaired goes on, and is closed: what the manifest says then counts.
#[test]
fn is_rot_after_a_repair_damage_again() {
    let (directory, _) = log(2, true);
    Damage::Flip(1, 3).apply(directory.path());
    let mut writer = repair(directory.path());
    for _ in 0..5 {
        append(&mut writer, 100);
    }
    let next = writer.next_sequence().get();
    writer.close().expect("closed");
    Damage::Tail(2, 1).apply(directory.path());
    let error = small().open(directory.path()).expect_err("an acknowledged event is gone");
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert_eq!(damage.next_sequence.get(), next - 1);
    let writer = repair(directory.path());
    let lost = writer.recovery().lost.map(|(first, last)| (first.get(), last.get()));
    assert_eq!(lost, Some((next - 1, next - 1)));
}
