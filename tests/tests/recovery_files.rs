//! What if files of a log are missing, swapped, foreign, or no files at all?
//!
//! Method: a log of four segments, closed; one thing is changed for each case. A refusal is typed,
//! at once, and leaves every byte as it was.

use std::fs;
use std::path::Path;

use factlog::{
    DamageReason, EventType, Expected, HeaderError, ManifestError, Meta, Opaque, OpenError,
    RecoveryOutcome, SegmentId, StreamKey,
};
use factlog_tests::surgery::{
    Inventory, SegmentFile, manifest_path, segment_path, used_segments, wait_for_segments,
};
use factlog_tests::{Seen, read_all, small};
use tempfile::TempDir;

static BLOCK: EventType = EventType::opaque("block", 1);

/// A log of four segments, the fifth prepared.
fn log() -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let stream = StreamKey::new("block", 1_u64).expect("a name");
    let payload = vec![5; 250_000];
    while writer.log().stats().rollovers < 3 {
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
    }
    let events = read_all(&writer.log());
    wait_for_segments(directory.path(), 5);
    writer.close().expect("closed");
    assert_eq!(used_segments(directory.path()), [1, 2, 3, 4]);
    (directory, events)
}

/// The error of opening for writing, which changes nothing.
fn refused(directory: &Path) -> OpenError {
    let before = Inventory::of(directory);
    let error = small().open(directory).expect_err("it cannot be opened");
    assert!(!error.to_string().is_empty());
    before.assert_unchanged(directory);
    error
}

fn damage(directory: &Path) -> (DamageReason, u64) {
    match refused(directory) {
        OpenError::Damaged(damage) => (damage.reason, damage.next_sequence.get()),
        error => panic!("{error}"),
    }
}

/// What can be read: the events before `next`.
fn readable(directory: &Path, events: &[Seen], next: u64) {
    let log = small().open_read_only(directory).expect("up to the damage");
    assert_eq!(log.recovery().outcome, RecoveryOutcome::Damaged);
    assert_eq!(read_all(&log), events[..next as usize - 1]);
}

#[test]
fn is_a_missing_segment_found_out() {
    let firsts = |directory: &Path| {
        [1, 2, 3, 4].map(|number| SegmentFile::read(directory, number).frames()[0].sequence.get())
    };
    for missing in 1..=4 {
        let (directory, events) = log();
        let first = firsts(directory.path())[missing as usize - 1];
        fs::remove_file(segment_path(directory.path(), missing)).expect("removed");
        let (reason, next) = damage(directory.path());
        match missing {
            1 => assert_eq!(reason, DamageReason::Successor(SegmentId::new(2))),
            4 => assert!(matches!(reason, DamageReason::Lost(_)), "{reason:?}"),
            _ => assert_eq!(reason, DamageReason::Successor(SegmentId::new(missing + 1))),
        }
        if missing > 1 {
            assert_eq!(next, first);
            readable(directory.path(), &events, next);
        }
    }
    // All of them: the manifest knows that there was something.
    let (directory, _) = log();
    for number in 1..=5 {
        fs::remove_file(segment_path(directory.path(), number)).expect("removed");
    }
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
    // A prepared one is no loss.
    let (directory, events) = log();
    fs::remove_file(segment_path(directory.path(), 5)).expect("removed");
    let writer = small().open(directory.path()).expect("a log");
    assert_eq!(writer.recovery().outcome, RecoveryOutcome::ClosedCleanly);
    assert_eq!(read_all(&writer.log()), events);
}

#[test]
fn is_a_swapped_or_foreign_segment_found_out() {
    for (one, other) in [(1, 2), (2, 3), (4, 5)] {
        let (directory, _) = log();
        let [one_path, other_path] = [one, other].map(|n| segment_path(directory.path(), n));
        let aside = directory.path().join("aside");
        fs::rename(&one_path, &aside).expect("renamed");
        fs::rename(&other_path, &one_path).expect("renamed");
        fs::rename(&aside, &other_path).expect("renamed");
        let error = refused(directory.path());
        assert!(matches!(error, OpenError::Foreign(id) if id.get() == one), "{error}");
        assert!(matches!(small().open_read_only(directory.path()), Err(OpenError::Foreign(_))));
    }
    let (directory, _) = log();
    let (foreign, _) = log();
    for number in [3, 5] {
        let path = segment_path(directory.path(), number);
        let own = fs::read(&path).expect("there");
        fs::copy(segment_path(foreign.path(), number), &path).expect("copied");
        let error = refused(directory.path());
        assert!(matches!(error, OpenError::Foreign(id) if id.get() == number), "{error}");
        fs::write(&path, own).expect("put back");
    }
    drop(small().open(directory.path()).expect("all is well again"));
}

/// Changes the page, and makes its checksum hold again.
fn edit_page(path: &Path, edit: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(path).expect("there");
    edit(&mut bytes[..4096]);
    // Segment headers have their checksum at 12, manifests at 8.
    let at = if bytes.starts_with(b"\xFActman") { 8..12 } else { 12..16 };
    bytes[at.clone()].fill(0);
    let crc = crc32(&bytes[..4096]);
    bytes[at].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).expect("written");
}

/// CRC-32 (IEEE 802.3), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn is_every_field_of_a_segment_header_checked() {
    // Offset of a byte in each field: magic, version, bits, zero, crc, log, segment, generation,
    // salt, descriptor, reserved, and the rest of the page.
    let fields = [0, 7, 8, 9, 10, 11, 12, 15, 16, 31, 32, 36, 40, 47, 48, 49, 50, 51, 52, 54, 56];
    let (directory, events) = log();
    for number in [1, 2, 4] {
        for at in fields.into_iter().chain([64, 1_000, 4_095]) {
            let path = segment_path(directory.path(), number);
            let mut bytes = fs::read(&path).expect("there");
            bytes[at] ^= 2;
            fs::write(&path, &bytes).expect("written");
            let (reason, next) = damage(directory.path());
            let error = if at < 8 { HeaderError::Magic } else { HeaderError::Checksum };
            assert_eq!(reason, DamageReason::Header(error), "segment {number}, byte {at}");
            if number > 1 {
                readable(directory.path(), &events, next);
            }
            bytes[at] ^= 2;
            fs::write(&path, &bytes).expect("put back");
        }
    }
    // A segment that was never used has nothing to lose: it is put aside.
    let unused = segment_path(directory.path(), 5);
    let mut bytes = fs::read(&unused).expect("there");
    bytes[40] ^= 2;
    let (other, _) = log();
    fs::write(segment_path(other.path(), 5), &bytes).expect("written");
    let writer = small().open(other.path()).expect("a log");
    let report = writer.recovery();
    assert_eq!((report.outcome, report.quarantined.len()), (RecoveryOutcome::ClosedCleanly, 1));
    assert_eq!(read_all(&writer.log()).len(), events.len());
    drop(writer);
    // The same with a checksum that holds.
    let path = segment_path(directory.path(), 2);
    let before = fs::read(&path).expect("there");
    let edited = |at: usize, value: u8| {
        edit_page(&path, |page| page[at] = value);
        let error = refused(directory.path());
        fs::write(&path, &before).expect("put back");
        error
    };
    for (at, value, version) in [(8, 2, 2), (8, 0, 0), (9, 1, 257)] {
        let error = edited(at, value);
        let expected = HeaderError::Version(version);
        assert!(
            matches!(&error, OpenError::Header(id, found) if id.get() == 2 && *found == expected)
        );
        assert!(error.to_string().contains("format version"), "{error}");
    }
    for (at, value) in [(48, 2), (49, 64), (50, 8), (51, 2), (52, 1), (54, 9)] {
        assert!(matches!(edited(at, value), OpenError::Header(_, HeaderError::Descriptor)));
    }
    for (at, value) in [(10, 23), (16, before[16] ^ 1), (31, before[31] ^ 1), (32, 9)] {
        assert!(matches!(edited(at, value), OpenError::Foreign(id) if id.get() == 2));
    }
    let bits = [(10, 21, HeaderError::Bits(21)), (10, 31, HeaderError::Bits(31))];
    let zeros = [11, 60, 64, 4_000].map(|at| (at, 1, HeaderError::Reserved));
    for (at, value, expected) in bits.into_iter().chain(zeros) {
        let error = edited(at, value);
        let OpenError::Damaged(damage) = error else { panic!("{error}") };
        assert_eq!(damage.reason, DamageReason::Header(expected));
    }
    // Another salt: then no frame verifies, and those of the next segment say that some should.
    let error = edited(40, before[40] ^ 1);
    assert!(matches!(error, OpenError::Damaged(_)), "{error}");
}

#[test]
fn does_one_slot_of_the_manifest_do() {
    for slot in [0, 1] {
        for at in [0, 8, 12, 16, 64, 80, 4_095] {
            let (directory, events) = log();
            let path = manifest_path(directory.path(), slot);
            let mut page = fs::read(&path).expect("there");
            page[at] ^= 1;
            fs::write(&path, page).expect("written");
            let writer = small().open(directory.path()).expect("the other one does");
            let error = if at == 0 { ManifestError::Magic } else { ManifestError::Checksum };
            assert_eq!(writer.recovery().manifest, Some(error));
            assert_eq!(read_all(&writer.log()), events);
            assert!(writer.epoch().get() > 1);
            writer.close().expect("closed");
            let log = small().open_read_only(directory.path()).expect("a log");
            assert_eq!(log.recovery().outcome, RecoveryOutcome::ClosedCleanly);
            assert_eq!(log.recovery().manifest, None, "the slot was written anew");
        }
        let (directory, events) = log();
        fs::remove_file(manifest_path(directory.path(), slot)).expect("removed");
        let writer = small().open(directory.path()).expect("the other one does");
        assert_eq!(writer.recovery().manifest, None);
        assert_eq!(read_all(&writer.log()), events);
    }
}

#[test]
fn is_a_log_without_a_manifest_refused() {
    let (directory, _) = log();
    let paths = [0, 1].map(|slot| manifest_path(directory.path(), slot));
    for path in &paths {
        let mut page = fs::read(path).expect("there");
        page[20] ^= 1;
        fs::write(path, page).expect("written");
    }
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::Manifest(_, ManifestError::Checksum)), "{error}");
    for path in &paths {
        fs::remove_file(path).expect("removed");
    }
    let error = refused(directory.path());
    assert!(matches!(error, OpenError::Manifest(_, ManifestError::Short)), "{error}");
}

#[test]
fn is_a_newer_manifest_beside_an_older_one_refused() {
    for (at, value) in [(12, 2), (13, 1), (56, 2), (62, 9)] {
        for slot in [0, 1] {
            let (directory, _) = log();
            edit_page(&manifest_path(directory.path(), slot), |page| page[at] = value);
            let error = refused(directory.path());
            let OpenError::Manifest(_, reason) = error else { panic!("{error}") };
            let version = matches!(reason, ManifestError::Version(_));
            assert_eq!(version, at < 56, "{reason}");
            assert!(version || reason == ManifestError::Descriptor);
        }
    }
}

#[test]
fn is_the_lock_file_made_again() {
    let (directory, events) = log();
    let lock = directory.path().join("LOCK");
    fs::remove_file(&lock).expect("removed");
    let writer = small().open(directory.path()).expect("a log");
    assert!(lock.is_file());
    assert_eq!(read_all(&writer.log()), events);
    assert!(matches!(small().open(directory.path()), Err(OpenError::Locked(_))));
}

#[test]
fn is_what_was_being_prepared_cleared_away() {
    let (directory, events) = log();
    for name in ["0000000006.tmp", "0000000001.tmp", "junk.tmp"] {
        fs::write(directory.path().join("seg").join(name), b"half of it").expect("written");
    }
    for name in ["notes.txt", "6.log", "00000000006.log", "0000000000.log", "0000000003.idx"] {
        fs::write(directory.path().join("seg").join(name), b"not ours").expect("written");
    }
    let before = Inventory::of(directory.path());
    assert_eq!(read_all(&small().open_read_only(directory.path()).expect("a log")), events);
    before.assert_unchanged(directory.path());
    let writer = small().open(directory.path()).expect("a log");
    assert_eq!(read_all(&writer.log()), events);
    writer.close().expect("closed");
    let mut left: Vec<_> = fs::read_dir(directory.path().join("seg"))
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| !(name.len() == 14 && name.ends_with(".log") && name != "0000000000.log"))
        .filter(|name| !name.ends_with(".streams"))
        .collect();
    left.sort_unstable();
    let foreign = ["0000000000.log", "00000000006.log", "0000000003.idx", "6.log", "notes.txt"];
    assert_eq!(left, foreign);
}

#[test]
#[cfg(unix)]
fn is_what_is_no_regular_file_refused_without_waiting() {
    use std::os::unix::fs::symlink;
    type Make = fn(&Path, &Path);
    let make: [(&str, Make); 4] = [
        ("a FIFO", |path, _| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo").success());
        }),
        ("a directory", |path, _| fs::create_dir(path).expect("made")),
        ("a link", |path, aside| symlink(aside, path).expect("made")),
        ("a link to nothing", |path, _| symlink("/nowhere/at/all", path).expect("made")),
    ];
    let (directory, events) = log();
    let aside = directory.path().join("aside");
    let names = ["seg/0000000002.log", "seg/0000000005.log", "MANIFEST-a", "MANIFEST-b", "LOCK"];
    for (what, make) in make {
        for name in names {
            let path = directory.path().join(name);
            fs::rename(&path, &aside).expect("renamed");
            make(&path, &aside);
            let error = refused(directory.path());
            assert!(matches!(error, OpenError::Io(_)), "{name} is {what}: {error}");
            // For reading nobody needs the lock.
            let log = small().open_read_only(directory.path());
            assert_eq!(log.is_ok(), name == "LOCK", "{name} is {what}");
            if path.is_dir() && !path.is_symlink() {
                fs::remove_dir(&path).expect("removed");
            } else {
                fs::remove_file(&path).expect("removed");
            }
            fs::rename(&aside, &path).expect("put back");
        }
    }
    assert_eq!(read_all(&small().open(directory.path()).expect("a log").log()), events);
}
