//! Does a named cursor go on where it was, and never in a log that is another one?
//!
//! Method: real logs, opened again and again; files of a log, or of a cursor, are put back from an
//! earlier moment, taken from another log, torn, and changed bit by bit. The answer is the place
//! that was saved, an earlier one where only the older slot is left, or a typed refusal.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use factlog::{
    AttachError, CursorFault, CursorNameError, CursorSlotError, EventType, Log, NamedCursor,
    NotWriter, Opaque, Retention, SaveError, Sequence, Start, SyncError, WaitStrategy, Waited,
    Writer,
};
use factlog_tests::surgery::{copy_directory, segment_path};
use factlog_tests::{Random, small};
use tempfile::TempDir;

static NOTE: EventType = EventType::opaque("note", 1);
static BLOCK: EventType = EventType::opaque("block", 1);
const SOON: Duration = Duration::from_secs(60);

/// Appends so many events with these bytes, and makes them durable.
fn append(writer: &mut Writer, count: u64, bytes: &[u8]) {
    for _ in 0..count {
        writer.append(&Opaque::new(&NOTE, bytes)).expect("appended");
    }
    writer.sync().expect("synced");
}

/// Reads so many events.
fn read(cursor: &mut NamedCursor, count: u64) {
    for _ in 0..count {
        let expected = cursor.next_sequence();
        let event = cursor.next_event().expect("readable").expect("there is one");
        assert_eq!(event.sequence(), expected);
    }
}

fn next(log: &Log, name: &str) -> u64 {
    log.named_cursor(name).expect("it goes on").next_sequence().get()
}

fn cursor_path(directory: &Path, name: &str) -> PathBuf {
    directory.join("cursors").join(name)
}

/// A log of ten events, with a cursor "a" that has saved two places: behind the third event, then
/// behind the sixth.
fn saved() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 10, b"first");
    let mut cursor = writer.log().named_cursor_from("a", Start::Oldest).expect("registered");
    for _ in 0..2 {
        read(&mut cursor, 3);
        cursor.save().expect("saved");
    }
    drop(cursor);
    writer.close().expect("closed");
    directory
}

/// Puts everything but the cursors of `from` into the place of what is in `to`.
fn put_back(from: &Path, to: &Path) {
    for name in ["seg", "quarantine"] {
        let path = to.join(name);
        if path.is_dir() {
            fs::remove_dir_all(path).expect("removed");
        }
    }
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_dir() && name != "cursors" {
            copy_directory(&path, &to.join(name));
        } else if path.is_file() && name != "LOCK" {
            fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

#[test]
fn does_it_go_on_after_the_last_saved_event() {
    let directory = tempfile::tempdir().expect("a directory");
    for (round, closed) in (0_u64..6).zip([true, false].into_iter().cycle()) {
        let mut writer = small().open(directory.path()).expect("opens");
        append(&mut writer, 10, b"some");
        let log = writer.log();
        let mut cursor = log.named_cursor_from("board", Start::Oldest).expect("attached");
        assert_eq!(cursor.next_sequence().get(), 7 * round + 1);
        assert_eq!(cursor.saved().sequence.get(), 7 * round);
        read(&mut cursor, 4);
        cursor.save().expect("saved");
        read(&mut cursor, 4);
        cursor.save_at(Sequence::new(7 * round + 7)).expect("saved");
        assert_eq!(cursor.next_sequence().get(), 7 * round + 9, "reading goes on");
        // What was not saved is given again.
        let again = thread::spawn(move || drop(cursor));
        again.join().expect("it may go to another thread");
        assert_eq!(next(&log, "board"), 7 * round + 8);
        if closed {
            writer.close().expect("closed");
        } else {
            drop(writer);
        }
        let log = small().open_read_only(directory.path()).expect("opens");
        assert_eq!(next(&log, "board"), 7 * round + 8);
    }
}

#[test]
fn does_each_start_register_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    drop(log.named_cursor_from("empty", Start::End).expect("registered"));
    append(&mut writer, 5, b"x");
    let ts = log.with_event(Sequence::new(4), |event| event.ts()).expect("an event");
    // Not durable yet: it is made so, since a place behind it is saved.
    writer.append(&Opaque::new(&NOTE, b"y")).expect("appended");
    for (name, start, expected) in [
        ("oldest", Start::Oldest, 1),
        ("at", Start::Sequence(Sequence::new(3)), 3),
        ("time", Start::Time(ts), 4),
        ("end", Start::End, 7),
        ("empty", Start::End, 1),
    ] {
        let cursor = log.named_cursor_from(name, start).expect("registered");
        assert_eq!(cursor.next_sequence().get(), expected, "{name}");
        assert_eq!(cursor.saved().next.get(), expected);
        assert_eq!(cursor.saved().sequence.get(), expected - 1);
    }
    assert_eq!(log.durable().0.get(), 6);
    let beyond = log.named_cursor_from("beyond", Start::Sequence(Sequence::new(8)));
    assert!(matches!(beyond, Err(AttachError::Seek(_))));
    assert!(matches!(log.named_cursor("beyond"), Err(AttachError::Unknown)), "it is not there");
    let names: Vec<_> =
        log.named_cursors().iter().map(|known| known.name.as_str().to_owned()).collect();
    assert_eq!(names, ["at", "empty", "end", "oldest", "time"]);
    drop(writer);
    let writer = small().open(directory.path()).expect("opens");
    for known in writer.log().named_cursors() {
        let place = known.place.expect("a place");
        assert_eq!(next(&writer.log(), known.name.as_str()), place.next.get());
    }
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

/// Appends until so many rollovers have happened since opening.
fn fill(writer: &mut Writer, rollovers: u64) {
    while writer.log().stats().rollovers < rollovers {
        writer.append(&Opaque::new(&BLOCK, &[7; 100_000])).expect("appended");
    }
    append(writer, 3, b"last");
}

#[test]
fn does_retention_leave_what_a_cursor_has_not_processed() {
    let directory = tempfile::tempdir().expect("a directory");
    let keep = Retention::keep_segments(1);
    let mut writer = small().open(directory.path()).expect("opens");
    fill(&mut writer, 5);
    let log = writer.log();
    let mut cursor = log.named_cursor_from("slow", Start::Oldest).expect("registered");
    // Into the third segment, but saved only as far as the second.
    read(&mut cursor, 60);
    cursor.save().expect("saved");
    read(&mut cursor, 40);
    drop(cursor);
    let retained = writer.retain(&keep).expect("dropped");
    assert_eq!((retained.dropped, retained.held), (1, Some(Sequence::new(61))));
    assert_eq!(log.stats().cursors, 1);
    drop(log);
    writer.close().expect("closed");

    // Also in a new process, before anybody has attached it.
    let mut writer = small().open(directory.path()).expect("opens");
    let retained = writer.retain(&keep).expect("nothing to drop");
    assert_eq!((retained.dropped, retained.held), (0, Some(Sequence::new(61))));
    let log = writer.log();
    let mut cursor = log.named_cursor("slow").expect("attached");
    read(&mut cursor, 60);
    assert_eq!(writer.retain(&keep).expect("nothing to drop").dropped, 0, "it is not saved");
    cursor.save().expect("saved");
    drop(cursor);
    let retained = writer.retain(&keep).expect("dropped");
    assert_eq!((retained.dropped, retained.held), (1, Some(Sequence::new(121))));
    assert_eq!(next(&log, "slow"), 121);
    // Forgotten, it holds nothing.
    assert!(log.forget_cursor("slow").expect("forgotten"));
    assert!(!log.forget_cursor("slow").expect("it is not there"));
    assert!(!cursor_path(directory.path(), "slow").exists());
    let retained = writer.retain(&keep).expect("dropped");
    assert_eq!((retained.dropped, retained.held), (3, None));
    assert!(matches!(log.named_cursor("slow"), Err(AttachError::Unknown)));
    assert_eq!(log.stats().cursors, 0);
    // Nothing is left before the oldest: how the log begins is what proves the place.
    let cursor = log.named_cursor_from("new", Start::Oldest).expect("registered");
    assert_eq!((cursor.saved().sequence, cursor.saved().next), (Sequence::ZERO, retained.oldest));
    drop((cursor, log));
    fill(&mut writer, 2);
    drop(writer);
    let writer = small().open(directory.path()).expect("opens");
    assert_eq!(next(&writer.log(), "new"), retained.oldest.get());
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
fn is_a_cursor_given_to_one_at_a_time() {
    let directory = saved();
    let writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    let cursor = log.named_cursor("a").expect("attached");
    assert!(matches!(log.named_cursor("a"), Err(AttachError::InUse)));
    assert!(matches!(log.named_cursor_from("a", Start::End), Err(AttachError::InUse)));
    assert!(matches!(log.reset_cursor("a", Start::End), Err(AttachError::InUse)));
    assert!(matches!(log.forget_cursor("a"), Err(AttachError::InUse)));
    assert!(log.named_cursors()[0].attached);
    drop(cursor);
    assert!(!log.named_cursors()[0].attached);
    assert_eq!(next(&log, "a"), 7);
    // Of many who want to register one name, one does.
    let barrier = std::sync::Barrier::new(4);
    let made = thread::scope(|scope| {
        let register = || {
            barrier.wait();
            let cursor = log.named_cursor_from("b", Start::Oldest);
            barrier.wait();
            u32::from(cursor.is_ok())
        };
        let all: Vec<_> = (0..4).map(|_| scope.spawn(register)).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).sum::<u32>()
    });
    assert_eq!(made, 1);
}

#[test]
fn does_only_the_writers_process_save() {
    let directory = saved();
    let before = fs::read(cursor_path(directory.path(), "a")).expect("read");
    let log = small().open_read_only(directory.path()).expect("opens");
    let mut cursor = log.named_cursor("a").expect("attached for reading");
    read(&mut cursor, 2);
    let error = cursor.save().expect_err("nothing is written");
    assert!(matches!(error, SaveError::NotWriter(NotWriter::ReadOnly)), "{error}");
    drop(cursor);
    for error in [
        log.named_cursor_from("b", Start::End).err(),
        log.reset_cursor("a", Start::End).err(),
        log.forget_cursor("a").err(),
    ] {
        assert!(matches!(error, Some(AttachError::NotWriter(NotWriter::ReadOnly))), "{error:?}");
    }
    assert!(matches!(log.named_cursor("b"), Err(AttachError::Unknown)));
    // A writer that is gone has let go of the lock, and somebody else may have it.
    let writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    let mut cursor = log.named_cursor("a").expect("attached");
    read(&mut cursor, 2);
    writer.close().expect("closed");
    let other = small().open(directory.path()).expect("the lock is free");
    read(&mut cursor, 1);
    let error = cursor.save().expect_err("it is not ours any more");
    assert!(matches!(error, SaveError::NotWriter(NotWriter::Closed)), "{error}");
    drop((cursor, other));
    assert!(matches!(log.forget_cursor("a"), Err(AttachError::NotWriter(NotWriter::Closed))));
    assert_eq!(fs::read(cursor_path(directory.path(), "a")).expect("read"), before);
}

#[test]
fn is_only_saved_what_was_read_and_never_less() {
    let directory = saved();
    let writer = small().open(directory.path()).expect("opens");
    let mut cursor = writer.log().named_cursor("a").expect("attached");
    let file = || fs::read(cursor_path(directory.path(), "a")).expect("read");
    let before = file();
    cursor.save().expect("nothing is new");
    assert_eq!(file(), before, "and nothing is written");
    let error = cursor.save_at(Sequence::new(7)).expect_err("it was not read");
    assert!(matches!(error, SaveError::NotRead(next) if next.get() == 7), "{error}");
    read(&mut cursor, 3);
    let error = cursor.save_at(Sequence::new(5)).expect_err("that is back");
    assert!(matches!(error, SaveError::Backwards(saved) if saved.get() == 6), "{error}");
    // From a batch, what was taken is read.
    let drop_two = writer.log().reset_cursor("a", Start::Oldest);
    assert!(matches!(drop_two, Err(AttachError::InUse)));
    cursor.save_at(Sequence::new(8)).expect("saved");
    drop(cursor);
    let mut cursor = writer.log().reset_cursor("a", Start::Oldest).expect("back to the beginning");
    assert_eq!(cursor.poll().expect("readable").take(4).count(), 4);
    cursor.save().expect("saved");
    drop(cursor);
    assert_eq!(next(&writer.log(), "a"), 5);
    for slot in [0, 1] {
        // Neither slot says a later place than that, after the reset.
        let at = slot * 4096 + 64;
        assert!(u64::from_le_bytes(file()[at..at + 8].try_into().expect("eight")) <= 5);
    }
}

#[test]
fn are_names_that_lead_elsewhere_refused() {
    let directory = saved();
    let writer = small().open(directory.path()).expect("opens");
    let log = writer.log();
    for name in ["", ".", "..", ".a", "a/b", "../seg", "A", "a b", "\u{e4}", "a\0b"] {
        let made = log.named_cursor_from(name, Start::End);
        assert!(matches!(made, Err(AttachError::Name(_))), "{name:?}");
        assert!(matches!(log.forget_cursor(name), Err(AttachError::Name(_))), "{name:?}");
    }
    let long = "x".repeat(65);
    let error = log.named_cursor(&long).expect_err("it is too long");
    assert!(matches!(error, AttachError::Name(CursorNameError::Length(65))), "{error}");
    drop(log.named_cursor_from(&long[1..], Start::End).expect("64 bytes are no more than may be"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&directory.path().join("cursors")), 0o700);
        assert_eq!(mode(&cursor_path(directory.path(), &long[1..])), 0o600);
    }
}

#[test]
fn does_it_follow_what_is_durable_and_save_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 2, b"durable");
    let log = writer.log();
    let mut careful = log.named_cursor_from("careful", Start::Oldest).expect("registered");
    let mut hasty =
        log.named_cursor_from("hasty", Start::Oldest).expect("registered").follow_visible();
    writer.append(&Opaque::new(&NOTE, b"visible")).expect("appended");
    read(&mut careful, 2);
    assert!(careful.next_event().expect("readable").is_none());
    read(&mut hasty, 3);
    assert_eq!(log.durable().0.get(), 2);
    hasty.save().expect("made durable first");
    assert_eq!(log.durable().0.get(), 3);
    assert_eq!(careful.wait(WaitStrategy::Park, SOON), Waited::Ready);
    read(&mut careful, 1);
    careful.save().expect("saved");
    // What will not become durable is not saved.
    writer.append(&Opaque::new(&NOTE, b"never")).expect("appended");
    read(&mut hasty, 1);
    drop(writer);
    let error = hasty.save().expect_err("the writer is gone");
    assert!(matches!(error, SaveError::NotWriter(NotWriter::Closed)), "{error}");
}

#[test]
fn can_durable_places_be_saved_in_a_log_that_failed() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    append(&mut writer, 4, b"before");
    let log = writer.log();
    let mut cursor = log.named_cursor_from("a", Start::Oldest).expect("registered");
    let mut hasty = log.named_cursor_from("b", Start::Oldest).expect("registered").follow_visible();
    let path = segment_path(directory.path(), 1);
    let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.set_len((4 << 20) - 4096).expect("cut");
    while writer.append(&Opaque::new(&BLOCK, &[7; 10_000])).is_ok() {}
    assert!(writer.sync().is_err());
    read(&mut cursor, 3);
    cursor.save().expect("it is durable");
    read(&mut hasty, 6);
    let error = hasty.save().expect_err("it is not");
    let poisoned = SaveError::NotDurable(Some(SyncError::Poisoned(hasty_cause(&writer))));
    assert_eq!(error.to_string(), poisoned.to_string());
    hasty.save_at(Sequence::new(4)).expect("but this one is");
    drop((cursor, hasty));
    assert_eq!((next(&log, "a"), next(&log, "b")), (4, 5));
}

fn hasty_cause(writer: &Writer) -> std::sync::Arc<factlog::IoError> {
    match writer.log().wait_durable(Sequence::new(1_000_000), SOON) {
        Err(SyncError::Poisoned(cause)) => cause,
        other => panic!("{other:?}"),
    }
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

/// What a cursor should be like.
#[derive(Debug, Clone, Copy, Default)]
struct Model {
    registered: bool,
    next: u64,
}

#[test]
fn is_every_cursor_what_a_model_says_over_a_thousand_openings() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut random = Random::from_environment("named cursors");
    let names = ["a", "b.c", "d-e_f"];
    let mut models = [Model::default(); 3];
    let mut end = 1;
    for round in 0..1_000 {
        let mut writer = small().open(directory.path()).expect("opens");
        let log = writer.log();
        for _ in 0..random.below(3) {
            let at = random.below(3) as usize;
            let (name, model) = (names[at], &mut models[at]);
            if random.below(4) == 0 {
                let more = random.below(20);
                append(&mut writer, more, &[7; 100]);
                end += more;
            }
            match random.below(12) {
                0 => {
                    assert_eq!(log.forget_cursor(name).expect("forgotten"), model.registered);
                    model.registered = false;
                }
                1 if model.registered => {
                    model.next = 1 + random.below(end);
                    let start = Start::Sequence(Sequence::new(model.next));
                    drop(log.reset_cursor(name, start).expect("reset"));
                }
                _ => {
                    let start = 1 + random.below(end);
                    if !model.registered {
                        *model = Model { registered: true, next: start };
                    }
                    let start = Start::Sequence(Sequence::new(start));
                    let mut cursor = log.named_cursor_from(name, start).expect("attached");
                    assert_eq!(cursor.next_sequence().get(), model.next, "round {round}");
                    let mut seen = model.next;
                    for _ in 0..random.below(8) {
                        let Some(event) = cursor.next_event().expect("readable") else { break };
                        assert_eq!(event.sequence().get(), seen);
                        seen += 1;
                    }
                    let saved = model.next + random.below(seen - model.next + 1);
                    match random.below(4) {
                        0 => {}
                        1 if saved > model.next => {
                            cursor.save_at(Sequence::new(saved - 1)).expect("saved");
                            model.next = saved;
                        }
                        _ => {
                            cursor.save().expect("saved");
                            model.next = seen;
                        }
                    }
                }
            }
        }
        let registered: Vec<_> =
            log.named_cursors().iter().map(|known| known.name.to_string()).collect();
        let expected: Vec<_> = names
            .iter()
            .zip(&models)
            .filter(|(_, model)| model.registered)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(registered, expected);
        if random.below(2) == 0 {
            writer.close().expect("closed");
        }
    }
}
