//! Does recovery keep all that was promised, cut only what was not, and say which is which?
//!
//! Method: a log is written, dropped or closed, and its files are edited as a crash or a rotting
//! medium would. Each case has its exact outcome; a refusal must leave every byte as it was.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use factlog::{DamageReason, FrameError, HeaderError, OpenError, RecoveryOutcome, StopReason};
use factlog_codec::{SegOpen, Succession};
use factlog_tests::damaged::append_short;

use factlog_tests::surgery::{
    Inventory, SegmentFile, copy_directory, segment_path, used_segments, wait_for_segments,
};
use factlog_tests::{Random, SealHeld, Seen, read_all, small};
use tempfile::TempDir;

/// How far the log was promised to be durable.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Left {
    Dropped,
    /// Synced, and ten more appended: those bear witness.
    Synced,
    Closed,
}

/// A log of one segment with 100 events, and what is in it.
fn log(left: Left) -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    append_short(&mut writer, 90);
    if left == Left::Synced {
        writer.sync().expect("synced");
    }
    append_short(&mut writer, 10);
    let events = read_all(&writer.log());
    wait_for_segments(directory.path(), 2);
    if left == Left::Closed {
        writer.close().expect("closed");
    }
    (directory, events)
}

/// Opens for writing, which finds a torn tail: the first `kept` events are there, bytes from the
/// cut on are as they were, and nothing comes back later.
fn assert_torn(directory: &Path, events: &[Seen], kept: usize) {
    let before = SegmentFile::read(directory, 1);
    let cut = before.end();
    let mut kept_events = events[..kept].to_vec();
    let log = small().open_read_only(directory).expect("a log");
    assert_eq!(
        (log.recovery().outcome, read_all(&log)),
        (RecoveryOutcome::Torn, kept_events.clone())
    );
    for round in 0..3_u32 {
        let mut writer = small().open(directory).expect("a torn tail is no error");
        let report = writer.recovery().clone();
        if round == 0 {
            assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
            let found = report.cut.as_ref().expect("reported");
            assert_eq!((found.place.segment.get(), found.place.offset), (1, cut));
            assert_eq!(report.next_sequence.get(), kept as u64 + 1);
            assert!(report.to_string().contains("torn tail cut"), "{report}");
        } else {
            assert_eq!((report.outcome, report.cut), (RecoveryOutcome::Clean, None));
        }
        assert_eq!(read_all(&writer.log()), kept_events, "round {round}");
        // Less than was cut, then the next crash.
        append_short(&mut writer, 2);
        kept_events = read_all(&writer.log());
        assert_eq!(kept_events.len(), kept + 2 * (round as usize + 1));
    }
    let after = SegmentFile::read(directory, 1);
    assert!(after.bytes == before.bytes, "the torn segment was written to");
    // Sealed by succession: the next segment says where this one ends, and why.
    let next = SegmentFile::read(directory, 2);
    let frame = factlog_codec::Frame::parse(next.key(), 4096, &next.bytes[4096..]).expect("one");
    let (open, _) = SegOpen::decode(&frame).expect("a SEGOPEN");
    assert_eq!((open.before.segment.get(), open.before.end), (1, cut));
    assert_eq!(open.before.why, Succession::TornTail);
}

/// Opening for writing is refused, nothing is changed, and reading gives the first `kept` events.
fn assert_damaged(directory: &Path, events: &[Seen], kept: usize) -> DamageReason {
    let before = Inventory::of(directory);
    let error = small().open(directory).expect_err("it is damaged");
    let OpenError::Damaged(damage) = &error else { panic!("{error}") };
    assert!(error.to_string().contains("Nothing was changed"), "{error}");
    assert_eq!(damage.next_sequence.get(), kept as u64 + 1, "{error}");
    match small().open_read_only(directory) {
        Ok(log) => {
            assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged);
            assert_eq!(log.recovery().damage, Some(damage.clone()));
            assert_eq!(read_all(&log), events[..kept]);
        }
        // Nothing is left to be read.
        Err(OpenError::Damaged(same)) => assert_eq!((same.reason, kept), (damage.reason, 0)),
        Err(error) => panic!("{error}"),
    }
    before.assert_unchanged(directory);
    damage.reason
}

#[test]
fn does_garbage_behind_the_tail_cost_nothing_that_was_written() {
    let mut random = Random::from_environment("garbage");
    for (case, left) in [Left::Dropped, Left::Synced, Left::Closed].into_iter().enumerate() {
        let (directory, events) = log(left);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let end = segment.end() as usize;
        match case {
            0 => segment.bytes[end..end + 8_000].fill_with(|| random.next() as u8),
            1 => segment.bytes[end..end + 100_000].fill(0xFF),
            // Frames that verified elsewhere.
            _ => segment.bytes.copy_within(5_000..9_000, end),
        }
        segment.write();
        assert_torn(directory.path(), &events, 100);
    }
}

#[test]
fn is_one_byte_of_garbage_anywhere_behind_the_tail_a_torn_tail() {
    for back in [4096 + 1, 100_000] {
        let (directory, events) = log(Left::Dropped);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let at = segment.bytes.len() - back;
        segment.bytes[at] = 1;
        segment.write();
        assert_torn(directory.path(), &events, 100);
    }
}

#[test]
fn is_a_changed_byte_torn_above_the_durable_bound_and_damage_below() {
    // Frame (from 0), left how: kept events if torn, damage otherwise.
    for (left, frame, torn) in [
        (Left::Dropped, 99, true),
        (Left::Dropped, 50, true),
        (Left::Synced, 95, true),
        (Left::Synced, 89, false),
        (Left::Synced, 10, false),
        (Left::Closed, 99, false),
        (Left::Closed, 0, false),
    ] {
        for (at, error) in [
            (0, FrameError::Checksum),
            (5, FrameError::HeaderSum),
            (20, FrameError::HeaderSum),
            (48, FrameError::Checksum),
            (48 + 16 + 33, FrameError::Checksum),
        ] {
            let (directory, events) = log(left);
            let mut segment = SegmentFile::read(directory.path(), 1);
            let header = segment.data_frames()[frame];
            segment.bytes[header.offset as usize + at] ^= 0x10;
            segment.write();
            if torn {
                assert_torn(directory.path(), &events, frame);
            } else {
                let reason = assert_damaged(directory.path(), &events, frame);
                let DamageReason::Lost(stop) = reason else { panic!("{reason:?}") };
                assert_eq!((stop.offset, stop.reason), (header.offset, StopReason::Frame(error)));
            }
        }
    }
}

#[test]
fn is_a_zero_sector_torn_above_the_durable_bound_and_damage_below() {
    for (left, frame, torn) in
        [(Left::Dropped, 40, true), (Left::Synced, 96, true), (Left::Synced, 40, false)]
    {
        let (directory, events) = log(left);
        let mut segment = SegmentFile::read(directory.path(), 1);
        let frames = segment.data_frames();
        let sector = frames[frame].offset as usize / 512 * 512;
        segment.bytes[sector..sector + 512].fill(0);
        let kept = frames.iter().take_while(|one| one.next_offset() as usize <= sector).count();
        segment.write();
        if torn {
            assert_torn(directory.path(), &events, kept);
        } else {
            assert_damaged(directory.path(), &events, kept);
        }
    }
}

#[test]
fn is_a_segment_of_any_length_recovered_or_refused() {
    let lengths = |segment: &SegmentFile| {
        let frames = segment.data_frames();
        let (half, end) = (frames[50].offset as usize, segment.end() as usize);
        vec![
            (half + 20, 50),
            (half, 50),
            (end - 1, 99),
            (end, 100),
            (end + 8, 100),
            (2 << 20, 100),
            ((4 << 20) - 4096, 100),
            ((4 << 20) - 1, 100),
        ]
    };
    let (directory, _) = log(Left::Dropped);
    let lengths = lengths(&SegmentFile::read(directory.path(), 1));
    for left in [Left::Dropped, Left::Closed] {
        for (length, kept) in lengths.clone() {
            let (directory, events) = log(left);
            let file = OpenOptions::new().write(true).open(segment_path(directory.path(), 1));
            file.expect("it").set_len(length as u64).expect("cut");
            if left == Left::Closed && kept < 100 {
                assert_damaged(directory.path(), &events, kept);
            } else {
                assert_torn(directory.path(), &events, kept);
            }
        }
        for length in [0, 63, 4095] {
            let (directory, events) = log(left);
            let file = OpenOptions::new().write(true).open(segment_path(directory.path(), 1));
            file.expect("it").set_len(length).expect("cut");
            let reason = assert_damaged(directory.path(), &events, 0);
            assert_eq!(reason, DamageReason::Header(HeaderError::Short));
        }
    }
}

#[test]
fn does_a_segment_whose_beginning_was_never_written_go_to_quarantine() {
    let (directory, events) = log(Left::Dropped);
    let mut spare = SegmentFile::read(directory.path(), 2);
    assert!(spare.frames().is_empty());
    // Part of a SEGOPEN, as it is when the power goes in a rollover.
    spare.bytes[4096 + 16..4096 + 300].fill(7);
    spare.write();
    let writer = small().open(directory.path()).expect("nothing was promised");
    let report = writer.recovery();
    assert_eq!((report.outcome, report.quarantined.len()), (RecoveryOutcome::Clean, 1), "{report}");
    assert!(fs::read(&report.quarantined[0]).expect("kept") == spare.bytes);
    assert_eq!(read_all(&writer.log()), events);
}

#[test]
fn does_recovery_done_ten_times_come_to_the_same() {
    let mut random = Random::from_environment("ten times");
    let directory = tempfile::tempdir().expect("a directory");
    // No segment is sealed, and nothing durable, before the crash.
    let held = Arc::new(SealHeld::default());
    let options = small().disk_observer(Arc::clone(&held) as Arc<_>);
    let mut writer = options.open(directory.path()).expect("a log");
    while used_segments(directory.path()).len() < 3 {
        append_short(&mut writer, 2_000);
    }
    let events = read_all(&writer.log());
    wait_for_segments(directory.path(), 4);
    let crashed = tempfile::tempdir().expect("a directory");
    copy_directory(directory.path(), crashed.path());
    held.release();
    drop(writer);
    // A frame in the middle of the last but one segment is gone: what is behind it goes too.
    let mut segment = SegmentFile::read(crashed.path(), 2);
    let frames = segment.data_frames();
    let lost = &frames[frames.len() - 1 - random.below(20) as usize];
    segment.bytes[lost.offset as usize + 60] ^= 1;
    segment.write();
    let kept = lost.sequence.get() as usize - 1;
    let here = factlog::Position::new(segment.header.segment, lost.offset, 22);
    let later = SegmentFile::read(crashed.path(), 3).frames();
    assert!(frames.iter().chain(&later).all(|frame| frame.durable <= here), "it was durable");
    for round in 0..10 {
        let writer = small().open(crashed.path()).expect("recovered");
        let report = writer.recovery();
        assert_eq!(report.outcome == RecoveryOutcome::Torn, round == 0, "{report}");
        assert_eq!(report.quarantined.len(), usize::from(round == 0));
        assert_eq!(writer.epoch().get(), round + 2);
        assert_eq!(read_all(&writer.log()), events[..kept], "round {round}");
    }
}
