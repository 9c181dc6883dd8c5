//! Who may open a log, how, and what opening changes.
//!
//! Method: the whole directory (names, bytes, times of change) is taken down before and after;
//! another process is this test, started again.

use std::env;
use std::fs;
use std::process::Command;

use factlog::{
    EventType, Expected, Meta, Opaque, OpenError, OptionError, Options, RecoveryOutcome, Start,
    StreamKey, WaitStrategy, Waited, Writer,
};
use factlog_tests::surgery::{Inventory, wait_for_segments};
use factlog_tests::{read_all, small};

static BLOCK: EventType = EventType::opaque("block", 1);
const OTHER_PROCESS: &str = "FACTLOG_TEST_SECOND_WRITER";

fn fill(writer: &mut Writer, count: usize) {
    let stream = StreamKey::new("block", 1_u64).expect("a name");
    for number in 0..count {
        let payload = number.to_le_bytes();
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
    }
}

#[test]
fn is_a_second_writer_refused_at_once() {
    if let Some(directory) = env::var_os(OTHER_PROCESS) {
        let opened = small().open(&directory);
        assert!(matches!(opened, Err(OpenError::Locked(path)) if *path == *directory));
        // Reading is allowed, and sees what is there.
        assert_eq!(read_all(&small().open_read_only(&directory).expect("a log")).len(), 3);
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, 3);
    wait_for_segments(directory.path(), 2);
    let before = Inventory::of(directory.path());
    for _ in 0..2 {
        let error = small().open(directory.path()).expect_err("the writer is open");
        assert!(matches!(error, OpenError::Locked(_)), "{error}");
        assert!(error.to_string().contains("open for writing elsewhere"), "{error}");
    }
    let other = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "is_a_second_writer_refused_at_once"])
        .env(OTHER_PROCESS, directory.path())
        .output()
        .expect("another process");
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    before.assert_unchanged(directory.path());
    // The lock goes with the writer, however it goes.
    drop(writer);
    let writer = small().open(directory.path()).expect("free again");
    writer.close().expect("closed");
    assert_eq!(small().open(directory.path()).expect("free again").epoch().get(), 3);
}

#[test]
fn does_opening_for_reading_write_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, 100);
    wait_for_segments(directory.path(), 2);
    let look = |outcome| {
        let before = Inventory::of(directory.path());
        let log = small().open_read_only(directory.path()).expect("a log");
        assert_eq!(log.recovery().outcome, outcome);
        assert_eq!(read_all(&log).len(), 100);
        let stream = StreamKey::new("block", 1_u64).expect("a name");
        assert_eq!(log.stream_version(&stream).get(), 100);
        assert!(log.is_closed());
        let mut cursor = log.cursor(Start::End).expect("a cursor");
        assert!(cursor.next_event().expect("readable").is_none());
        let waited = cursor.wait(WaitStrategy::Yield, std::time::Duration::from_secs(60));
        assert_eq!(waited, Waited::Closed, "nothing more will come");
        drop(log);
        before.assert_unchanged(directory.path());
    };
    look(RecoveryOutcome::Clean);
    writer.close().expect("closed");
    look(RecoveryOutcome::ClosedCleanly);
    // Also where nobody may write.
    let files = ["LOCK", "MANIFEST-a", "MANIFEST-b", "seg/0000000001.log"];
    for name in files {
        let path = directory.path().join(name);
        let mut permissions = fs::metadata(&path).expect("there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).expect("set");
    }
    look(RecoveryOutcome::ClosedCleanly);
}

#[test]
fn is_there_a_typed_error_where_there_is_no_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let before = Inventory::of(directory.path());
    let missing = directory.path().join("not-there");
    for path in [directory.path(), &missing] {
        let error = Options::new().open_read_only(path).expect_err("no log");
        assert!(matches!(&error, OpenError::NoLog(named) if named == path), "{error}");
    }
    before.assert_unchanged(directory.path());
    // A directory that cannot be one.
    let file = directory.path().join("a file");
    fs::write(&file, b"").expect("written");
    assert!(matches!(small().open(&file), Err(OpenError::NotADirectory(_))));
    assert!(matches!(small().open_read_only(&file), Err(OpenError::NotADirectory(_))));
}

#[test]
fn are_options_out_of_bounds_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    for size in [0, 1, 4096, (4 << 20) - 1, (4 << 20) + 1, 6 << 20, 2 << 30, 1 << 40, u64::MAX] {
        let error = Options::new().segment_size(size).open(&path).expect_err("refused");
        let expected = OptionError::SegmentSize(size);
        assert!(matches!(&error, OpenError::Option(found) if *found == expected), "{error}");
        assert!(error.to_string().contains(&size.to_string()), "{error}");
    }
    for count in [0, 17, usize::MAX] {
        let error = small().spare_segments(count).open(&path).expect_err("refused");
        let expected = OptionError::SpareSegments(count);
        assert!(matches!(error, OpenError::Option(found) if found == expected));
    }
    assert!(!path.exists());
    for count in [1, 16] {
        drop(small().spare_segments(count).open(path.join(count.to_string())).expect("a log"));
    }
}

#[test]
fn does_a_log_keep_the_segment_size_that_it_was_made_with() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    fill(&mut writer, 1);
    drop(writer);
    let mut writer = small().segment_size(8 << 20).open(directory.path()).expect("a log");
    fill(&mut writer, 1);
    drop(writer);
    for entry in fs::read_dir(directory.path().join("seg")).expect("segments") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("there").len(), 4 << 20, "{entry:?}");
    }
    assert_eq!(read_all(&small().open_read_only(directory.path()).expect("a log")).len(), 2);
}

#[test]
fn does_closing_tell_readers() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    let log = writer.log();
    assert!(!log.is_closed());
    let mut cursor = log.cursor(Start::End).expect("a cursor");
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while cursor.wait(WaitStrategy::Yield, std::time::Duration::MAX) != Waited::Closed {
                seen += cursor.poll().expect("readable").map(Result::unwrap).count();
            }
            seen
        });
        fill(&mut writer, 500);
        drop(writer);
        assert_eq!(reader.join().expect("read"), 500, "all of them, then the end");
    });
    assert!(log.is_closed());
    // What was handed out can still be read.
    assert_eq!(read_all(&log).len(), 500);
}

#[test]
#[cfg(unix)]
fn can_nobody_else_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made by the engine");
    let mut writer = small().open(&path).expect("a log");
    fill(&mut writer, 1);
    writer.close().expect("closed");
    let mode = |name: &str| fs::metadata(path.join(name)).expect("there").permissions().mode();
    for (name, expected) in [
        ("", 0o700),
        ("seg", 0o700),
        ("LOCK", 0o600),
        ("MANIFEST-a", 0o600),
        ("MANIFEST-b", 0o600),
        ("seg/0000000001.log", 0o600),
    ] {
        assert_eq!(mode(name) & 0o777, expected, "{name}");
    }
}

/// Opened for reading only beside a writer at work, the end is wherever it was, but never torn.
#[test]
fn is_an_end_in_motion_not_taken_for_a_torn_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("opens");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut payload = vec![7_u8; 3_000];
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                payload.rotate_left(1);
                writer.append(&Opaque::new(&BLOCK, &payload)).expect("appended");
                match writer.next_sequence().get() % 50 {
                    0 => writer.sync().expect("synced"),
                    // So that the log does not grow faster than it can be read.
                    25 => std::thread::sleep(std::time::Duration::from_millis(5)),
                    _ => {}
                }
            }
        });
        for _ in 0..40 {
            let log = small().open_read_only(directory.path()).expect("opens");
            let report = log.recovery();
            assert_eq!(report.outcome, RecoveryOutcome::Clean, "{report}");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn is_a_file_in_place_of_a_log_said_to_be_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    fs::write(&path, b"something").expect("written");
    let errors = [
        small().open(&path).map(drop),
        small().open_read_only(&path).map(drop),
        small().verify(&path).map(drop),
        small().open_follower(&path).map(drop),
    ];
    for opened in errors {
        let Err(error) = opened else { panic!("it is a file") };
        assert!(matches!(&error, OpenError::NotADirectory(named) if *named == path), "{error}");
        assert!(error.to_string().contains("is a file, and a log is a directory"), "{error}");
    }
    assert_eq!(fs::read(&path).expect("readable"), b"something");
}

#[test]
fn is_one_segment_not_spoken_of_as_several() {
    let directory = tempfile::tempdir().expect("a directory");
    small().open(directory.path()).expect("a log").close().expect("closed");
    let said = small().open_read_only(directory.path()).expect("a log").recovery().to_string();
    assert!(said.contains(": 1 segment, of which 1 was read ("), "{said}");
}
