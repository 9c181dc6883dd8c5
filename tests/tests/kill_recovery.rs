//! Is the result the same when recovery itself is killed, at any operation, ten times in a row?
//!
//! Method: a log of three segments, of which the second has a torn frame, so that there is something
//! to move away, to end and to begin. A child opens it, and kills itself before its n-th operation
//! on files: for every n on a copy of its own, and for ten of them one after the other on one. What
//! is there afterwards is held against a recovery that nobody disturbed.
#![cfg(unix)]

use std::env;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::{
    DiskObserver, DiskOperation, EventType, Expected, Meta, Opaque, RecoveryOutcome, StreamKey,
};
use factlog_tests::surgery::{copy_directory, segment_path};
use factlog_tests::{SealHeld, Seen, read_all, small};

static BLOCK: EventType = EventType::opaque("block", 1);
const DIRECTORY: &str = "FACTLOG_TEST_KILL_DIRECTORY";
const AT: &str = "FACTLOG_TEST_KILL_AT";

/// Kills this process before an operation.
struct Killer {
    left: AtomicU64,
}

impl DiskObserver for Killer {
    fn before(&self, _: &DiskOperation<'_>) -> io::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
        }
        Ok(())
    }
}

/// What the child does; not a test of its own.
#[test]
fn child() {
    let (Some(directory), Ok(at)) = (env::var_os(DIRECTORY), env::var(AT)) else { return };
    let left = AtomicU64::new(at.parse().expect("a number"));
    let writer = small().disk_observer(Arc::new(Killer { left })).open(directory);
    drop(writer.expect("opens, or is killed on the way"));
}

/// Whether a child was killed before its `at`th operation while it opened the log.
fn killed(directory: &Path, at: u64) -> bool {
    let status = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(AT, at.to_string())
        .output()
        .expect("it runs")
        .status;
    if status.signal() == Some(rustix::process::Signal::KILL.as_raw()) {
        return true;
    }
    assert!(status.success(), "{status}");
    false
}

/// A log whose second of three segments has a torn frame; nothing in it was ever synced.
fn torn(directory: &Path) {
    let held = Arc::new(SealHeld::default());
    let observed = small().disk_observer(Arc::clone(&held) as Arc<dyn DiskObserver>);
    let mut writer = observed.open(directory).expect("a log");
    let stream = StreamKey::new("block", 1_u64).expect("a name");
    while writer.log().stats().rollovers < 2 {
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &[5; 250_000]), meta).expect("appended");
    }
    held.release();
    drop(writer);
    let file = OpenOptions::new().write(true).open(segment_path(directory, 2)).expect("there");
    file.write_all_at(&[0x55; 4096], 1 << 20).expect("written");
}

/// Events, and what the log is found to be when it is opened for writing once more.
fn opened(directory: &Path) -> (Vec<Seen>, RecoveryOutcome) {
    let writer = small().open(directory).expect("opens");
    (read_all(&writer.log()), writer.recovery().outcome)
}

#[test]
fn is_the_result_the_same_wherever_recovery_is_killed() {
    let home = tempfile::tempdir().expect("a directory");
    let damaged = home.path().join("damaged");
    torn(&damaged);
    let undisturbed = home.path().join("undisturbed");
    copy_directory(&damaged, &undisturbed);
    let (events, outcome) = opened(&undisturbed);
    assert_eq!(outcome, RecoveryOutcome::Torn);
    assert!(events.len() > 15, "{} events", events.len());

    let (mut kills, mut torn) = (0, 0);
    for at in 1.. {
        let directory = home.path().join("one");
        copy_directory(&damaged, &directory);
        let was_killed = killed(&directory, at);
        let (found, outcome) = opened(&directory);
        assert_eq!(found, events, "killed before operation {at}");
        torn += u64::from(outcome == RecoveryOutcome::Torn);
        std::fs::remove_dir_all(&directory).expect("removed");
        if !was_killed {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills, {torn} times the tail was still torn afterwards");
    assert!(kills >= 10 && torn > 5, "{kills} kills, {torn} torn");

    let directory = home.path().join("ten");
    copy_directory(&damaged, &directory);
    let mut in_a_row = 0;
    for at in [3, 7, 2, 8, 5, 4, 9, 6, 8, 10, 3, 7] {
        in_a_row += u64::from(killed(&directory, at));
    }
    assert!(in_a_row >= 10, "only {in_a_row} kills in a row");
    assert_eq!(opened(&directory).0, events);
    assert_eq!(opened(&directory), (events, RecoveryOutcome::Clean));
}
