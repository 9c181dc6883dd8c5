//! Does a named cursor go on where it was, for one at a time, and is what it needs kept?
//!
//! Method: real logs, opened again and again; a dumb model over a thousand openings.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use factlog::{
    AttachError, CursorNameError, EventType, NotWriter, Opaque, Retention, SaveError, Sequence,
    Start, SyncError, WaitStrategy, Waited, Writer,
};
use factlog_tests::named::{append, cursor_path, fill, next, read, saved};
use factlog_tests::surgery::segment_path;
use factlog_tests::{Random, small};

static NOTE: EventType = EventType::opaque("note", 1);
static BLOCK: EventType = EventType::opaque("block", 1);
const SOON: Duration = Duration::from_secs(60);

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
    assert_eq!(writer.log().stats().cursors, 1, "what it held before the reset is let go");
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
