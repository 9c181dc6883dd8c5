//! What becomes of a log whose files were changed: each change with its exact outcome.
//!
//! Logs are made, copied or closed, and their files edited; then they are opened, and what is
//! found is held against what was written. Refusals must leave every file as it was.

use std::fs;
use std::path::Path;

use factlog::{
    DamageReason, EventType, Opaque, OpenError, Options, RecoveryOutcome, Sequence, Start,
};
use factlog_codec::{Frame, FrameHeader, SegmentHeader, Walk};
use factlog_tests::digest;

static NOTE: EventType = EventType::opaque("note", 1);

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).prefault(0)
}

fn payload(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(100 + (number % 50) as usize, number as u8);
    bytes
}

/// A log of `events`, some of them in batches; `sync`ed after the first `durable`.
fn make(directory: &Path, events: u64, durable: u64) {
    let mut writer = options().open(directory).expect("a log");
    let mut next = writer.next_sequence().get();
    while next <= events {
        let mut transaction = writer.begin().expect("a transaction");
        for number in next..(next + 3).min(events + 1) {
            transaction.append(&Opaque::new(&NOTE, &payload(number))).expect("appended");
        }
        next = (next + 3).min(events + 1);
        transaction.commit();
        if next == durable + 1 {
            writer.sync().expect("synced");
        }
    }
}

/// How many events are readable; each is as it was written.
fn readable(log: &factlog::Log) -> u64 {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut seen = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        seen += 1;
        assert_eq!(event.sequence(), Sequence::new(seen));
        assert_eq!(event.payload(), payload(seen));
    }
    seen
}

/// A digest of every file, by name.
fn fingerprint(directory: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.display().to_string();
                all.push((name, digest(&fs::read(&path).expect("read"))));
            }
        }
    }
    all.sort();
    all
}

fn segment(directory: &Path, number: u32) -> std::path::PathBuf {
    directory.join(format!("seg/{number:010}.log"))
}

/// The headers of a segment's frames, and where they end.
fn frames(bytes: &[u8]) -> (Vec<FrameHeader>, usize) {
    let header = SegmentHeader::decode(bytes).expect("a header");
    let mut walk = Walk::new(header.key(), bytes, None);
    let mut all = Vec::new();
    while let Ok(frame) = walk.next_frame() {
        all.push(frame.header);
    }
    (all, walk.state().offset as usize)
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("read");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

fn refused(directory: &Path) -> OpenError {
    let before = fingerprint(directory);
    let error = options().open(directory).expect_err("refused");
    let mut after = fingerprint(directory);
    after.retain(|(name, _)| !name.ends_with("LOCK") || before.iter().any(|(old, _)| old == name));
    assert_eq!(before, after, "a refusal changed something");
    error
}

#[test]
fn is_a_torn_tail_cut_and_nothing_brought_back() {
    for damage in 0..4 {
        let directory = tempfile::tempdir().expect("a directory");
        make(directory.path(), 60, 0);
        let path = segment(directory.path(), 1);
        let mut expected = 60;
        edit(&path, |bytes| {
            let (all, end) = frames(bytes);
            let last = all.last().expect("frames").offset as usize;
            match damage {
                0 => bytes[end..end + 500].fill(0xAB),
                1 => bytes[end + 4000..end + 4001].fill(1),
                2 => bytes[last + 60] ^= 1,
                _ => bytes[last + 10] ^= 0x80,
            }
            if damage >= 2 {
                expected = 57;
            }
        });
        let torn = fs::read(&path).expect("read");
        let writer = options().open(directory.path()).expect("recovered");
        let report = writer.recovery().clone();
        assert_eq!(report.outcome, RecoveryOutcome::Torn, "damage {damage}: {report}");
        let cut = report.cut.as_ref().expect("a cut is reported");
        assert_eq!(readable(&writer.log()), expected);
        drop(writer);
        // The evidence stays, and a second crash brings nothing back.
        let after = fs::read(&path).expect("read");
        let at = cut.place.offset as usize;
        assert_eq!(torn[at..], after[at..], "bytes at or above the cut changed");
        make(directory.path(), expected + 30, 0);
        let writer = options().open(directory.path()).expect("opens again");
        assert_eq!(writer.recovery().outcome, RecoveryOutcome::Clean);
        assert_eq!(readable(&writer.log()), expected + 30);
    }
}

#[test]
fn is_damage_below_a_witness_refused_and_readable_up_to_it() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 90, 60);
    edit(&segment(directory.path(), 1), |bytes| {
        let (all, _) = frames(bytes);
        // The frame with events 31 to 33.
        let hit = all.iter().find(|header| header.sequence.get() == 31).expect("there");
        bytes[hit.offset as usize + 70] ^= 4;
    });
    let error = refused(directory.path());
    let OpenError::Damaged(damage) = &error else { panic!("{error:?}") };
    assert!(matches!(damage.reason, DamageReason::Lost(_)), "{damage:?}");
    assert_eq!(damage.next_sequence.get(), 31);
    assert!(error.to_string().contains("segment 1 offset"), "{error}");
    let before = fingerprint(directory.path());
    let log = options().open_read_only(directory.path()).expect("readable up to it");
    assert_eq!(readable(&log), 30);
    assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged);
    assert_eq!(before, fingerprint(directory.path()), "reading changed something");
}

#[test]
fn is_every_truncation_of_a_closed_log_damage_below_its_end() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 30, 0);
    options().open(directory.path()).expect("opens").close().expect("closed");
    let path = segment(directory.path(), 1);
    let whole = fs::read(&path).expect("read");
    let (_, end) = frames(&whole);
    for len in (0..end).step_by(173).chain([end - 1]) {
        fs::write(&path, &whole[..len]).expect("written");
        let error = options().open(directory.path()).expect_err("refused");
        assert!(matches!(error, OpenError::Damaged(_)), "{len} bytes: {error:?}");
    }
    fs::write(&path, &whole).expect("written");
    let writer = options().open(directory.path()).expect("whole again");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::ClosedCleanly);
    assert_eq!(readable(&writer.log()), 30);
}

/// A log over several segments, closed.
fn long(directory: &Path) -> u64 {
    let mut writer = options().open(directory).expect("a log");
    let big = vec![9_u8; 500_000];
    for _ in 0..30 {
        writer.append(&Opaque::new(&NOTE, &big)).expect("appended");
    }
    writer.close().expect("closed");
    30
}

#[test]
fn are_missing_swapped_and_foreign_segments_found() {
    let make_long = || {
        let directory = tempfile::tempdir().expect("a directory");
        long(directory.path());
        assert!(segment(directory.path(), 4).exists(), "several segments");
        directory
    };
    for missing in [1, 2, 4] {
        let directory = make_long();
        fs::remove_file(segment(directory.path(), missing)).expect("removed");
        assert!(matches!(refused(directory.path()), OpenError::Damaged(_)), "{missing} missing");
    }
    let directory = make_long();
    let (one, two) = (segment(directory.path(), 1), segment(directory.path(), 2));
    let aside = directory.path().join("aside");
    fs::rename(&one, &aside).expect("renamed");
    fs::rename(&two, &one).expect("renamed");
    fs::rename(&aside, &two).expect("renamed");
    assert!(matches!(refused(directory.path()), OpenError::Foreign(_)));

    let (directory, other) = (make_long(), make_long());
    fs::copy(segment(other.path(), 2), segment(directory.path(), 2)).expect("copied");
    assert!(matches!(refused(directory.path()), OpenError::Foreign(_)));
}

#[test]
fn is_every_changed_bit_of_a_header_found() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 9, 9);
    let path = segment(directory.path(), 1);
    let whole = fs::read(&path).expect("read");
    for bit in (0..64 * 8).chain([8 * 100, 8 * 4095]) {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).expect("written");
        let error = options().open(directory.path()).expect_err("refused");
        assert!(matches!(error, OpenError::Damaged(_)), "bit {bit}: {error:?}");
    }
}

#[test]
fn does_one_slot_of_the_manifest_do_and_none_not() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 9, 0);
    make(directory.path(), 12, 0);
    let slots = ["MANIFEST-a", "MANIFEST-b"].map(|name| directory.path().join(name));
    edit(&slots[0], |bytes| bytes[20] ^= 1);
    let writer = options().open(directory.path()).expect("the other slot does");
    assert!(writer.recovery().manifest.is_some(), "a broken slot is reported");
    assert_eq!(readable(&writer.log()), 12);
    drop(writer);
    for slot in &slots {
        edit(slot, |bytes| bytes[20] ^= 1);
    }
    assert!(matches!(refused(directory.path()), OpenError::Manifest(..)));
    for slot in &slots {
        fs::remove_file(slot).expect("removed");
    }
    assert!(matches!(refused(directory.path()), OpenError::Manifest(..)));
}

#[test]
fn is_a_half_prepared_segment_put_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 9, 0);
    // Its SEGOPEN was being written when the process went.
    edit(&segment(directory.path(), 2), |bytes| bytes[4096..4200].fill(7));
    fs::write(directory.path().join("seg/0000000009.tmp"), b"left over").expect("written");
    let writer = options().open(directory.path()).expect("recovered");
    assert_eq!(writer.recovery().quarantined.len(), 1, "{}", writer.recovery());
    assert_eq!(readable(&writer.log()), 9);
    assert!(!directory.path().join("seg/0000000009.tmp").exists());
}

#[cfg(unix)]
#[test]
fn are_links_pipes_and_folders_in_the_place_of_segments_refused() {
    for kind in 0..3 {
        let directory = tempfile::tempdir().expect("a directory");
        make(directory.path(), 9, 0);
        let path = segment(directory.path(), 1);
        let aside = directory.path().join("aside");
        fs::rename(&path, &aside).expect("renamed");
        match kind {
            0 => std::os::unix::fs::symlink(&aside, &path).expect("linked"),
            1 => fs::create_dir(&path).expect("made"),
            _ => {
                let done = std::process::Command::new("mkfifo").arg(&path).status();
                assert!(done.expect("mkfifo runs").success());
            }
        }
        let error = options().open(directory.path()).expect_err("refused");
        assert!(matches!(error, OpenError::Io(_)), "{error:?}");
    }
}

#[test]
fn does_recovery_come_to_the_same_ten_times_over() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 60, 0);
    edit(&segment(directory.path(), 1), |bytes| {
        let (_, end) = frames(bytes);
        bytes[end..end + 64].fill(0xEE);
    });
    for round in 0..10 {
        let writer = options().open(directory.path()).expect("recovered");
        assert_eq!(readable(&writer.log()), 60, "round {round}");
        let expected = if round == 0 { RecoveryOutcome::Torn } else { RecoveryOutcome::Clean };
        assert_eq!(writer.recovery().outcome, expected);
        assert_eq!(writer.epoch().get(), round + 2);
    }
}

#[test]
fn is_a_second_writer_refused_and_reading_without_traces() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 9, 0);
    let mut writer = options().open(directory.path()).expect("opens");
    assert!(matches!(options().open(directory.path()), Err(OpenError::Locked(_))));
    writer.append(&Opaque::new(&NOTE, &payload(10))).expect("appended");
    drop(writer);
    let before = fingerprint(directory.path());
    assert_eq!(readable(&options().open_read_only(directory.path()).expect("opens")), 10);
    assert_eq!(before, fingerprint(directory.path()));
    let empty = tempfile::tempdir().expect("a directory");
    assert!(matches!(options().open_read_only(empty.path()), Err(OpenError::NoLog(_))));
    assert!(matches!(
        Options::new().segment_size(5 << 20).open(empty.path()),
        Err(OpenError::Option(_))
    ));
    assert!(matches!(
        Options::new().spare_segments(0).open(empty.path()),
        Err(OpenError::Option(_))
    ));
}

#[test]
fn are_old_frames_behind_the_tail_left_where_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 30, 0);
    let path = segment(directory.path(), 1);
    edit(&path, |bytes| {
        // The middle frame's header is lost: what is behind it verifies, but nothing leads there.
        let (all, _) = frames(bytes);
        let hit = all[all.len() / 2].offset as usize;
        bytes[hit..hit + 48].fill(0);
        let header = SegmentHeader::decode(bytes).expect("a header");
        let last = all.last().expect("frames").offset;
        assert!(Frame::parse(header.key(), last, &bytes[last as usize..]).is_ok());
    });
    let writer = options().open(directory.path()).expect("recovered");
    let cut = writer.recovery().cut.clone().expect("a cut");
    assert!(cut.frames > 3, "frames behind the cut are counted: {cut:?}");
    let kept = readable(&writer.log());
    assert!((10..20).contains(&kept), "{kept}");
    drop(writer);
    make(directory.path(), kept + 60, 0);
    let log = options().open_read_only(directory.path()).expect("opens");
    assert_eq!(readable(&log), kept + 60, "something came back to life");
}
