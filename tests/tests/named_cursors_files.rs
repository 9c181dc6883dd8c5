//! Does a named cursor ever go on in a log, or from a file, that is another one?
//!
//! Method: files of a log, or of a cursor, are put back from an earlier moment, taken from another
//! log, torn, and changed bit by bit. The answer is the place that was saved, an earlier one where
//! only the older slot is left, or a typed refusal.

use std::fs;
use std::path::Path;

use factlog::{AttachError, CursorFault, CursorSlotError, Retention, Sequence, Start};
use factlog_tests::named::{append, cursor_path, fill, next, read, saved};
use factlog_tests::small;
use factlog_tests::surgery::copy_directory;

/// Puts everything but the cursors of `from` into the place of what is in `to`.
fn put_back(from: &Path, to: &Path) {
    let aside = tempfile::tempdir().expect("a directory");
    copy_directory(&to.join("cursors"), aside.path());
    for entry in fs::read_dir(to).expect("listed") {
        let path = entry.expect("an entry").path();
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("removed");
    }
    copy_directory(from, to);
    copy_directory(aside.path(), &to.join("cursors"));
}

#[test]
fn is_an_older_place_taken_where_a_slot_is_torn() {
    let directory = saved();
    let path = cursor_path(directory.path(), "a");
    let whole = fs::read(&path).expect("read");
    assert_eq!(whole.len(), 8192);
    // Which slot is the newer one.
    let generation = |slot: usize| {
        u64::from_le_bytes(whole[slot * 4096 + 16..][..8].try_into().expect("eight bytes"))
    };
    for torn in 0..2 {
        let expected = if generation(torn) > generation(1 - torn) { 4 } else { 7 };
        for sector in 0..2 {
            let mut bytes = whole.clone();
            bytes[torn * 4096 + sector * 512..][..64].fill(0xA5);
            fs::write(&path, bytes).expect("written");
            let mut writer = small().open(directory.path()).expect("opens");
            assert!(writer.recovery().damaged_cursors.is_empty());
            let mut cursor = writer.log().named_cursor("a").expect("the other slot does");
            assert_eq!(cursor.next_sequence().get(), expected);
            // The torn one is written next.
            read(&mut cursor, 1);
            cursor.save().expect("saved");
            drop(cursor);
            append(&mut writer, 1, b"more");
            writer.close().expect("closed");
            let log = small().open_read_only(directory.path()).expect("opens");
            assert_eq!(next(&log, "a"), expected + 1);
        }
    }
}

#[test]
fn is_every_changed_bit_answered_by_a_place_that_was_saved() {
    let directory = saved();
    let path = cursor_path(directory.path(), "a");
    let whole = fs::read(&path).expect("read");
    let log = || small().open_read_only(directory.path()).expect("it always opens");
    let mut older = 0;
    for slot in 0..2 {
        // Every bit of the fields, and some of the zeros behind them.
        for bit in (0..152 * 8).chain((152 * 8..4096 * 8).step_by(211)) {
            let mut bytes = whole.clone();
            bytes[slot * 4096 + bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).expect("written");
            let place = next(&log(), "a");
            assert!(matches!(place, 4 | 7), "slot {slot}, bit {bit}: {place}");
            older += u32::from(place == 4);
            if bit % 19 == 0 {
                bytes[(1 - slot) * 4096 + bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &bytes).expect("written");
                let error = log().named_cursor("a").expect_err("both are damaged");
                let AttachError::Damaged(CursorFault::Slots(reason)) = error else {
                    panic!("{error}")
                };
                let magic = bit < 64;
                let expected =
                    if magic { CursorSlotError::Magic } else { CursorSlotError::Checksum };
                assert_eq!(reason, expected);
            }
        }
    }
    assert!(older > 1_000, "one of the slots is the newer one");
    for len in [0, 1, 4095, 4096, 8191] {
        fs::write(&path, &whole[..len]).expect("written");
        let found = log().named_cursor("a").map(|cursor| cursor.next_sequence().get());
        match found {
            Ok(place) => assert!(len >= 4096 && matches!(place, 4 | 7)),
            Err(AttachError::Damaged(CursorFault::Slots(CursorSlotError::Short))) => {
                assert!(len < 4096);
            }
            Err(error) => panic!("{len}: {error}"),
        }
    }
}

#[test]
fn does_a_damaged_file_neither_block_the_log_nor_go_unnoticed() {
    let directory = saved();
    let path = cursor_path(directory.path(), "a");
    fs::write(&path, [7; 8192]).expect("written");
    fs::create_dir(cursor_path(directory.path(), "folder")).expect("made");
    fs::write(cursor_path(directory.path(), "Not-a-Name"), b"x").expect("written");
    fs::write(cursor_path(directory.path(), ".a"), b"left by a crash").expect("written");
    let writer = small().open(directory.path()).expect("it opens");
    let damaged: Vec<_> =
        writer.recovery().damaged_cursors.iter().map(|name| name.as_str()).collect();
    damaged.iter().for_each(|name| assert!(["a", "folder"].contains(name)));
    assert_eq!(damaged.len(), 2);
    assert!(writer.recovery().to_string().contains("cursor a is not usable"));
    let log = writer.log();
    for known in log.named_cursors() {
        assert!(known.place.is_err());
    }
    let error = log.named_cursor("folder").expect_err("it is no file");
    assert!(matches!(error, AttachError::Damaged(CursorFault::Io(_))), "{error}");
    let error = log.named_cursor_from("a", Start::End).expect_err("it is registered");
    assert!(matches!(error, AttachError::Damaged(CursorFault::Slots(_))), "{error}");
    assert!(error.to_string().contains("reset it"), "{error}");
    assert_eq!(log.stats().cursors, 0, "what it held cannot be known");
    // Accepted, by a call that says so.
    let mut cursor = log.reset_cursor("a", Start::Sequence(Sequence::new(2))).expect("reset");
    read(&mut cursor, 2);
    cursor.save().expect("saved");
    drop(cursor);
    assert_eq!(next(&log, "a"), 4);
    writer.close().expect("closed");
    let writer = small().open(directory.path()).expect("it opens");
    assert_eq!(next(&writer.log(), "a"), 4);
    let newer = {
        // A newer version beside a slot that can be read: the older place does not count.
        let mut bytes = fs::read(&path).expect("read");
        bytes[12] = 2;
        bytes[8..12].fill(0);
        let crc = crc32(&bytes[..4096]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    };
    drop(writer);
    fs::write(&path, newer).expect("written");
    let writer = small().open(directory.path()).expect("it opens");
    let error = writer.log().named_cursor("a").expect_err("it is of a newer version");
    let version = CursorSlotError::Version(2);
    assert!(matches!(error, AttachError::Damaged(CursorFault::Slots(found)) if found == version));
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
fn is_a_log_that_lost_its_tail_found_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let earlier = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 10, b"first");
    let log = writer.log();
    let mut two = ["early", "late"]
        .map(|name| log.named_cursor_from(name, Start::Oldest).expect("registered"));
    two.iter_mut().for_each(|cursor| read(cursor, 10));
    two[0].save().expect("saved");
    copy_directory(directory.path(), earlier.path());
    append(&mut writer, 10, b"lost");
    read(&mut two[1], 6);
    two[1].save().expect("saved");
    drop((two, log));
    writer.close().expect("closed");
    put_back(earlier.path(), directory.path());

    // As if a power cut had taken what was promised.
    let mut writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    assert_eq!(next(&log, "early"), 11);
    let error = log.named_cursor("late").expect_err("what was processed is gone");
    let AttachError::Lost { processed, next: end } = error else { panic!("{error}") };
    assert_eq!((processed.get(), end.get()), (16, 11));
    let read_only = small().open_read_only(directory.path()).expect("opens");
    assert!(matches!(read_only.named_cursor("late"), Err(AttachError::Lost { .. })));
    // The log goes on, one event at a time, the same bytes in the same places.
    for more in 11..=16 {
        assert!(matches!(log.named_cursor("late"), Err(AttachError::Lost { .. })), "{more}");
        append(&mut writer, 1, b"lost");
    }
    let error = log.named_cursor("late").expect_err("it has other events");
    let AttachError::Rewritten { processed, epoch, found } = error else { panic!("{error}") };
    assert_eq!((processed.get(), epoch.get(), found.get()), (16, 1, 2));
    drop((log, writer));
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 10, b"lost");
    let log = writer.log();
    let error = log.named_cursor_from("late", Start::End).expect_err("nothing is accepted unasked");
    assert!(matches!(error, AttachError::Rewritten { .. }), "{error}");
    assert_eq!(next(&log, "early"), 11, "what was before is as it was");
    drop(log.reset_cursor("late", Start::Sequence(Sequence::new(11))).expect("accepted"));
    assert_eq!(next(&log, "late"), 11);
}

#[test]
fn are_two_copies_that_went_on_apart_told_apart() {
    let one = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(one.path()).expect("opens");
    append(&mut writer, 3, b"both");
    drop(writer.log().named_cursor_from("a", Start::Oldest).expect("registered"));
    writer.close().expect("closed");
    copy_directory(one.path(), other.path());
    // The same epoch, the same sequences, the same bytes.
    for directory in [&one, &other] {
        let mut writer = small().open(directory.path()).expect("opens");
        assert_eq!(writer.epoch().get(), 2);
        append(&mut writer, 3, b"apart");
        let mut cursor = writer.log().named_cursor("a").expect("attached");
        read(&mut cursor, 5);
        cursor.save().expect("saved");
        drop(cursor);
        writer.close().expect("closed");
    }
    fs::copy(cursor_path(one.path(), "a"), cursor_path(other.path(), "a")).expect("copied");
    let writer = small().open(other.path()).expect("opens");
    let error = writer.log().named_cursor("a").expect_err("it is the other one's");
    let AttachError::Rewritten { processed, epoch, found } = error else { panic!("{error}") };
    assert_eq!((processed.get(), epoch.get(), found.get()), (5, 2, 2));
}

#[test]
fn is_each_part_of_the_proof_needed() {
    let directory = saved();
    let path = cursor_path(directory.path(), "a");
    let whole = fs::read(&path).expect("read");
    // A byte of history, position, checksum and epoch: one changed, the checks made to hold.
    for at in [40, 55, 72, 80, 84] {
        let mut bytes = whole.clone();
        for slot in bytes.chunks_mut(4096) {
            slot[at] ^= 16;
            slot[8..12].fill(0);
            let crc = crc32(slot);
            slot[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        fs::write(&path, bytes).expect("written");
        let log = small().open_read_only(directory.path()).expect("opens");
        let error = log.named_cursor("a").expect_err("it is not that frame");
        assert!(matches!(error, AttachError::Rewritten { .. }), "byte {at}: {error}");
    }
    fs::write(&path, whole).expect("put back");
    assert_eq!(next(&small().open_read_only(directory.path()).expect("opens"), "a"), 7);
}

#[test]
fn is_the_file_of_another_log_or_cursor_refused() {
    let (directory, foreign) = (saved(), saved());
    let path = cursor_path(directory.path(), "a");
    let own = fs::read(&path).expect("read");
    let id = small().open_read_only(foreign.path()).expect("opens").log_id();
    fs::copy(cursor_path(foreign.path(), "a"), &path).expect("copied");
    let writer = small().open(directory.path()).expect("opens");
    let error = writer.log().named_cursor("a").expect_err("it is foreign");
    assert!(matches!(&error, AttachError::Foreign { log, .. } if *log == id), "{error}");
    assert_eq!(writer.log().stats().cursors, 0, "a place elsewhere holds nothing here");
    drop(writer);
    fs::write(&path, &own).expect("put back");
    fs::write(cursor_path(directory.path(), "b"), &own).expect("written");
    let writer = small().open(directory.path()).expect("opens");
    assert_eq!(next(&writer.log(), "a"), 7);
    let error = writer.log().named_cursor("b").expect_err("it is another one's");
    assert!(matches!(&error, AttachError::Foreign { name, .. } if name.as_str() == "a"), "{error}");
}

#[test]
fn is_a_place_that_retention_has_dropped_said_to_be_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 3);
    let log = writer.log();
    let mut cursor = log.named_cursor_from("a", Start::Oldest).expect("registered");
    read(&mut cursor, 2);
    cursor.save().expect("saved");
    drop(cursor);
    let path = cursor_path(directory.path(), "a");
    let before = fs::read(&path).expect("read");
    assert!(log.forget_cursor("a").expect("forgotten"));
    let oldest = writer.retain(&Retention::keep_segments(1)).expect("dropped").oldest;
    drop((log, writer));
    // Put back from elsewhere.
    fs::write(&path, before).expect("written");
    let writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    let error = log.named_cursor("a").expect_err("it is behind");
    let AttachError::Behind { next: wanted, oldest: left } = error else { panic!("{error}") };
    assert_eq!((wanted.get(), left), (3, oldest));
    assert_eq!(log.stats().cursors, 1, "what is left is held until that is decided");
    let cursor = log.reset_cursor("a", Start::Oldest).expect("accepted");
    assert_eq!(cursor.next_sequence(), oldest);
}

#[test]
fn is_a_file_that_somebody_keeps_a_copy_of_left_alone() {
    let directory = saved();
    let copy = directory.path().join("copy");
    let path = cursor_path(directory.path(), "a");
    fs::hard_link(&path, &copy).expect("linked");
    let before = fs::read(&copy).expect("read");
    let writer = small().open(directory.path()).expect("opens");
    let mut cursor = writer.log().named_cursor("a").expect("attached");
    for _ in 0..2 {
        read(&mut cursor, 1);
        cursor.save().expect("saved");
    }
    drop(cursor);
    assert_eq!(fs::read(&copy).expect("read"), before);
    assert_eq!(next(&writer.log(), "a"), 9);
    // A file that is gone is made again.
    fs::remove_file(&path).expect("removed");
    let mut cursor = writer.log().named_cursor("a").expect("attached");
    read(&mut cursor, 1);
    cursor.save().expect("saved");
    drop((cursor, writer));
    assert_eq!(next(&small().open_read_only(directory.path()).expect("opens"), "a"), 10);
}
