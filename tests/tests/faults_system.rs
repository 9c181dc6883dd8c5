//! What if the operating system answers reads with errors, or lets nobody write?
//!
//! Method: a child is traced, and its n-th read fails, for each n; a file system is mounted for
//! reading only. Where a tool or the right to do that is missing, the test says so and passes.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use factlog::{EventType, Expected, Log, Meta, Opaque, OpenError, Start, StreamKey, WriteWay};
use factlog_tests::again::{again, is_there};
use factlog_tests::mounted::{inside, mounted};
use factlog_tests::surgery::Inventory;
use factlog_tests::{read_all, scratch, small};

static NOTE: EventType = EventType::opaque("note", 1);
/// Where a child is to read, and how.
const DIRECTORY: &str = "FACTLOG_TEST_READ";
const HOW: &str = "FACTLOG_TEST_READ_HOW";
const EVENTS: u64 = 45;

/// A log of several segments.
fn log(directory: &Path, closed: bool) {
    let mut writer = small().open(directory).expect("opens");
    let stream = StreamKey::new("note", 1_u64).expect("a name");
    for _ in 0..EVENTS {
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&NOTE, &[3; 200_000]), meta).expect("appended");
    }
    writer.sync().expect("durable");
    if closed {
        writer.close().expect("closed");
    }
}

fn count(log: &Log) -> Result<u64, String> {
    let mut cursor = log.cursor(Start::Oldest).map_err(|error| error.to_string())?;
    let mut count = 0;
    while cursor.next_event().map_err(|error| error.to_string())?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// What a child does, whose reads fail; not a test of its own.
#[test]
fn child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let refused = |error: OpenError| match error {
        OpenError::Io(error) => println!("refused: {error}"),
        other => println!("refused otherwise: {other}"),
    };
    match env::var(HOW).expect("it is said").as_str() {
        "read" => match small().open_read_only(&directory) {
            Ok(log) => println!("events {:?}", count(&log)),
            Err(error) => refused(error),
        },
        "write" => match small().open(&directory) {
            Ok(writer) => println!("events {:?}", count(&writer.log())),
            Err(error) => refused(error),
        },
        _ => match small().verify(&directory) {
            Ok(report) => println!("events Ok({})", report.next_sequence.get() - 1),
            Err(error) => refused(error),
        },
    }
}

/// The child, whose `nth` read of the log's files fails; none if it may not be traced.
fn with_failed_read(directory: &Path, how: &str, nth: u64) -> Option<Output> {
    let inject = format!("inject=pread64:error=EIO:when={nth}");
    let trace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pread64", "-e", &inject];
    // Of these files alone: programs are read as well.
    let names = ["MANIFEST-a", "MANIFEST-b", "CATALOG"].map(|name| directory.join(name));
    let segments = fs::read_dir(directory.join("seg")).expect("readable");
    let segments = segments.map(|entry| entry.expect("an entry").path());
    let paths: Vec<_> = names.into_iter().chain(segments).collect();
    let paths = paths.iter().flat_map(|path| ["-P", path.to_str().expect("a name in UTF-8")]);
    let words: Vec<_> = trace.into_iter().chain(paths).collect();
    let mut command = again(&words, "child").expect("this program");
    let output = command.env(DIRECTORY, directory).env(HOW, how).output().expect("strace runs");
    assert_eq!(output.status.signal(), None, "{how}, read {nth}");
    if String::from_utf8_lossy(&output.stderr).contains("ptrace") {
        return None;
    }
    assert!(output.status.success(), "{how}, read {nth}: {output:?}");
    Some(output)
}

/// A read that fails is a typed error that says which file, or it is one of something that can be
/// done without. No event is lost by it, nothing is changed, and the next time all is there.
#[test]
fn is_a_failed_read_an_error_and_no_damage() {
    if !is_there("strace") {
        println!("skipped: there is no strace");
        return;
    }
    for (how, closed) in [
        ("read", false),
        ("read", true),
        ("write", false),
        ("write", true),
        ("verify", false),
        ("verify", true),
    ] {
        let mut directory = scratch();
        log(directory.path(), closed);
        let (mut refusals, mut done_without) = (0, 0);
        for nth in 1..200 {
            let before = Inventory::of(directory.path());
            let Some(output) = with_failed_read(directory.path(), how, nth) else {
                println!("skipped: strace may not trace here");
                return;
            };
            let said = String::from_utf8_lossy(&output.stdout);
            let mut words = said.lines();
            let said = words.find(|line| line.starts_with("refused") || line.starts_with("events"));
            let said = said.unwrap_or_else(|| panic!("{how}, read {nth}: {output:?}"));
            if said.starts_with("refused") {
                let told = said.contains("os error 5") && said.contains('/');
                assert!(told, "{how}, closed {closed}, read {nth}: {said}");
                before.assert_unchanged(directory.path());
                let log = small().open_read_only(directory.path()).expect("nothing was damaged");
                assert_eq!(read_all(&log).len() as u64, EVENTS);
                refusals += 1;
                continue;
            }
            assert_eq!(said, format!("events Ok({EVENTS})"), "{how}, closed {closed}, read {nth}");
            done_without += 1;
            // There are not so many reads: the next ones would fail as little.
            if done_without > 6 {
                break;
            }
            if how == "write" {
                directory = scratch();
                log(directory.path(), closed);
            }
        }
        println!("{how}, closed {closed}: {refusals} refusals");
        assert!(refusals > 3, "{how}, closed {closed}: the errors hit nothing");
    }
}

#[test]
fn can_a_log_on_a_read_only_mount_be_read_and_not_opened_for_writing() {
    let Some(point) = mounted() else {
        return inside(
            "can_a_log_on_a_read_only_mount_be_read_and_not_opened_for_writing",
            &["unshare", "mount"],
            "mount -t tmpfs -o size=64m none \"$MOUNT\"",
        );
    };
    let remount = |how: &str| {
        let how = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &how]).arg(&point).status();
        assert!(done.expect("mount runs").success(), "{how}");
    };
    for (name, way, closed) in [
        ("a", WriteWay::Mapped, false),
        ("b", WriteWay::Staged, false),
        ("c", WriteWay::Mapped, true),
    ] {
        let directory = point.join(name);
        let mut writer = small().write_way(way).open(&directory).expect("opens");
        for _ in 0..10 {
            writer.append(&Opaque::new(&NOTE, &[3; 1_000])).expect("appended");
        }
        if closed {
            writer.close().expect("closed");
        } else {
            drop(writer);
        }
        remount("ro");
        let before = Inventory::of(&directory);
        let refused = small().write_way(way).open(&directory).map(drop).expect_err("read-only");
        let OpenError::Io(error) = &refused else { panic!("{refused}") };
        assert_eq!(error.source.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{error}");
        let log = small().open_read_only(&directory).expect("readable");
        assert_eq!(read_all(&log).len(), 10);
        drop(log);
        small().verify(&directory).expect("readable");
        before.assert_unchanged(&directory);
        // Nothing can be made there either.
        let refused = small().open(point.join("new")).map(drop).expect_err("read-only");
        assert!(matches!(refused, OpenError::Io(_)), "{refused}");
        remount("rw");
        let writer = small().write_way(way).open(&directory).expect("opens");
        assert_eq!(read_all(&writer.log()).len(), 10);
    }
    println!("30 events on a read-only mount");
}
