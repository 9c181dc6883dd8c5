//! What do several crashes in a row leave, and what do names, lengths and frames that a crash has
//! lost or left over come to?
//!
//! Method: a log is dropped without a sync, and its files are edited as power cuts would, several
//! times in a row. The oracle is a vector of payloads, cut by hand.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use factlog::{EventType, Opaque, OpenError, Options, Recovery, RecoveryOutcome, Start};
use factlog_tests::surgery::{
    Inventory, SegmentFile, segment_path, used_segments, wait_for_segments,
};
use factlog_tests::{Random, read_all, scratch, small};

static NOTE: EventType = EventType::opaque("note", 1);

fn payload(serial: u64) -> Vec<u8> {
    let mut bytes = serial.to_le_bytes().to_vec();
    bytes.resize(40 + (serial % 300) as usize, serial as u8);
    bytes
}

fn append(directory: &Path, serials: std::ops::Range<u64>) -> RecoveryOutcome {
    let mut writer = small().open(directory).expect("a crash is no damage");
    for serial in serials {
        writer.append(&Opaque::new(&NOTE, &payload(serial))).expect("appended");
    }
    writer.recovery().outcome
}

fn payloads(directory: &Path) -> Vec<Vec<u8>> {
    let log = small().open_read_only(directory).expect("opens");
    read_all(&log).into_iter().map(|event| event.payload).collect()
}

/// What stands behind a torn frame verifies, and stays in its file: after less was appended than
/// was cut, and another crash, none of it may come back.
#[test]
fn does_nothing_that_was_cut_come_back_at_the_second_crash() {
    let mut random = Random::from_environment("second crash");
    for _ in 0..20 {
        let directory = scratch();
        let (mut model, mut serial): (Vec<Vec<u8>>, u64) = (Vec::new(), 0);
        let mut torn = 0;
        for crash in 0..6 {
            // Each time less than the time before: residue stays behind whatever is written.
            let count = 60 / (crash + 1);
            let outcome = append(directory.path(), serial..serial + count);
            torn += u64::from(outcome == RecoveryOutcome::Torn);
            model.extend((serial..serial + count).map(payload));
            serial += count;
            assert_eq!(payloads(directory.path()), model);
            // One of what this life has written did not get to the disk; all behind it did.
            let number = *used_segments(directory.path()).last().expect("in use");
            let mut segment = SegmentFile::read(directory.path(), number);
            let frames = segment.data_frames();
            let own = frames.len().min(count as usize);
            let lost = random.below(own as u64) as usize;
            let frame = frames[frames.len() - own + lost];
            let at = frame.offset as usize;
            match random.below(3) {
                0 => segment.bytes[at..at + 16].fill(0),
                1 => segment.bytes[at + 50] ^= 4,
                _ => segment.bytes[at..frame.next_offset() as usize].fill(0xFF),
            }
            segment.write();
            model.truncate(model.len() - (own - lost));
            assert_eq!(payloads(directory.path()), model, "crash {crash}");
        }
        assert!(torn >= 5, "the crashes hit nothing: {torn}");
        append(directory.path(), serial..serial + 1);
        model.push(payload(serial));
        assert_eq!(payloads(directory.path()), model);
    }
}

/// A log over three segments, of which nothing was synced.
fn unsynced(directory: &Path) -> Vec<Vec<u8>> {
    let mut writer = small().open(directory).expect("opens");
    let mut serial = 0;
    while writer.log().stats().rollovers < 2 {
        let mut bytes = payload(serial);
        bytes.resize(200_000, 1);
        writer.append(&Opaque::new(&NOTE, &bytes)).expect("appended");
        serial += 1;
    }
    writer.append(&Opaque::new(&NOTE, &payload(serial))).expect("appended");
    drop(writer);
    payloads(directory)
}

/// The newest names are lost, whose directory was never synced: segments in use, or prepared.
#[test]
fn is_a_log_a_prefix_of_itself_when_names_were_lost() {
    for (lost, promised) in [(1, false), (2, false), (1, true)] {
        let directory = scratch();
        let events = unsynced(directory.path());
        if promised {
            small().open(directory.path()).expect("opens").close().expect("closed");
        }
        let used = used_segments(directory.path());
        assert!(used.len() >= 3, "{used:?}");
        let gone = &used[used.len() - lost..];
        let mut left = 0;
        for number in used.iter().filter(|number| !gone.contains(number)) {
            left += SegmentFile::read(directory.path(), *number).data_frames().len();
        }
        for entry in fs::read_dir(directory.path().join("seg")).expect("readable") {
            let path = entry.expect("an entry").path();
            if path >= segment_path(directory.path(), gone[0]) {
                fs::remove_file(path).expect("removed");
            }
        }
        // What ended was made durable in the background, and the frames after it bear witness to
        // that; but these are gone.
        match small().open(directory.path()) {
            Ok(writer) if !promised => {
                let found: Vec<_> =
                    read_all(&writer.log()).into_iter().map(|event| event.payload).collect();
                assert_eq!(found, events[..left]);
            }
            Err(OpenError::Damaged(damage)) if promised => {
                assert!(damage.to_string().contains("segment"), "{damage}");
            }
            other => panic!("{lost} lost, promised {promised}: {:?}", other.map(drop)),
        }
    }
}

/// A prepared segment is cut: as long as it has a header, nothing of it is missed. Where that is gone,
/// too, nobody can tell whether there was something in it, which is for a repair to decide: a crash
/// does not leave it so, since a segment gets its name last.
#[test]
fn is_nothing_missed_of_a_prepared_segment_that_was_cut() {
    for len in [0, 1, 63, 4_095, 4_096, 4_097, 1 << 20, (4 << 20) - 1] {
        for closed in [false, true] {
            let directory = scratch();
            let mut writer = small().open(directory.path()).expect("opens");
            writer.append(&Opaque::new(&NOTE, b"before")).expect("appended");
            wait_for_segments(directory.path(), 2);
            if closed {
                writer.close().expect("closed");
            } else {
                drop(writer);
            }
            let file = OpenOptions::new().write(true).open(segment_path(directory.path(), 2));
            file.expect("there").set_len(len).expect("cut");
            if len < 4_096 {
                let before = Inventory::of(directory.path());
                let refused = small().open(directory.path()).map(drop).expect_err("who knows");
                assert!(matches!(refused, OpenError::Damaged(_)), "{len}: {refused}");
                before.assert_unchanged(directory.path());
                assert_eq!(payloads(directory.path()), [b"before"]);
                let repaired = small().recovery(Recovery::Repair).open(directory.path());
                assert_eq!(read_all(&repaired.expect("repaired").log()).len(), 1);
                continue;
            }
            // Also where it is the next one: it is filled, or made anew.
            let mut writer = small().open(directory.path()).expect("opens");
            while writer.log().stats().rollovers < 2 {
                writer.append(&Opaque::new(&NOTE, &[1; 100_000])).expect("appended");
            }
            let events = read_all(&writer.log()).len();
            writer.close().expect("closed");
            assert_eq!(payloads(directory.path()).len(), events, "{len}");
        }
    }
}

/// Frames that hold where they come from: of another log, of another segment, of another place.
#[test]
fn are_frames_of_another_log_segment_or_place_never_taken() {
    let (directory, other) = (scratch(), scratch());
    let events = unsynced(directory.path());
    unsynced(other.path());
    let used = used_segments(directory.path());
    let last = *used.last().expect("in use");
    let clean = SegmentFile::read(directory.path(), last);
    let end = clean.end() as usize;
    let foreign = SegmentFile::read(other.path(), 1);
    let own = SegmentFile::read(directory.path(), 1);
    let first = own.data_frames()[0];
    let (from, to) = (first.offset as usize, first.next_offset() as usize);
    // At the end, and where a frame would stand if there was one that is gone.
    for at in [end, end + 16, end + 4_096, end + 100_000] {
        for (what, bytes) in [
            ("of another log", &foreign.bytes[from..to]),
            ("of another segment", &own.bytes[from..to]),
            ("at another place", &clean.bytes[4_096..end]),
        ] {
            let mut segment = SegmentFile::read(directory.path(), last);
            segment.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            segment.write();
            let log = small().open_read_only(directory.path()).expect("opens");
            assert_eq!(log.recovery().outcome, RecoveryOutcome::Torn, "{what}: {}", log.recovery());
            let cut = log.recovery().cut.as_ref().expect("reported");
            assert_eq!((cut.place.offset as usize, cut.frames), (end, 0), "{what} at {at}");
            assert_eq!(read_all(&log).len(), events.len(), "{what} at {at}");
            clean.write();
        }
    }
    // The same bytes at their own place, in a file of another log: its header is another one.
    let mut segment = SegmentFile::read(directory.path(), last);
    segment.bytes[4_096..].copy_from_slice(&foreign.bytes[4_096..]);
    segment.write();
    let refused = small().open(directory.path());
    assert!(!refused.is_ok_and(|writer| read_all(&writer.log()).len() >= events.len()));
}

/// Read-only, while its writer is started again and again, with an end and without, and grows.
#[test]
fn can_a_log_be_read_while_its_writer_recovers_and_starts_again() {
    let directory = scratch();
    append(directory.path(), 0..1);
    let (stop, started) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut opened, mut most) = (0, 0);
    std::thread::scope(|scope| {
        let restarts = scope.spawn(|| {
            let (mut serial, mut restarts) = (1, 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let mut writer = options(restarts).open(directory.path()).expect("opens");
                for _ in 0..30 {
                    let mut bytes = payload(serial);
                    bytes.resize(20_000, 7);
                    writer.append(&Opaque::new(&NOTE, &bytes)).expect("appended");
                    serial += 1;
                }
                restarts += 1;
                started.store(restarts, Ordering::Relaxed);
                if restarts % 2 == 0 {
                    writer.close().expect("closed");
                }
            }
            restarts
        });
        while opened < 60 || (started.load(Ordering::Relaxed) < 3 && !restarts.is_finished()) {
            let log = small().open_read_only(directory.path()).expect("it is there all the time");
            let damaged = matches!(log.recovery().outcome, RecoveryOutcome::Damaged);
            assert!(!damaged, "{}", log.recovery());
            let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
            let mut count = 0;
            while let Some(event) = cursor.next_event().expect("readable") {
                assert_eq!(event.payload()[..8], count_of(count), "in order");
                count += 1;
            }
            assert!(count >= most, "{count} events after {most}");
            (opened, most) = (opened + 1, count);
        }
        stop.store(true, Ordering::Relaxed);
        let restarts = restarts.join().expect("no panic");
        println!("opened {opened} times beside {restarts} restarts, {most} events");
        assert!(restarts > 2);
    });
}

fn count_of(serial: u64) -> [u8; 8] {
    serial.to_le_bytes()
}

fn options(restart: u64) -> Options {
    let way = if restart.is_multiple_of(3) {
        factlog::WriteWay::Staged
    } else {
        factlog::WriteWay::Mapped
    };
    small().write_way(way)
}
