//! A fork is there whole or not at all: it is cut short at each operation, and forked over and over while
//! its origin is written and dropped from.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use factlog::{DiskObserver, DiskOperation, Fork, ForkError, Retention, Start, ThreadOptions};
use factlog_tests::{Random, read_from, small};

use super::*;

/// Fails the n-th operation of one thread and all after it, as if the process had been killed before it.
#[derive(Debug, Default)]
struct Killed {
    thread: Mutex<Option<ThreadId>>,
    left: AtomicU64,
    said: Mutex<Vec<String>>,
}

impl Killed {
    fn within(&self, operations: u64) {
        self.left.store(operations, Ordering::SeqCst);
        self.said.lock().expect("no panic").clear();
        *self.thread.lock().expect("no panic") = Some(thread::current().id());
    }

    fn over(&self) -> Vec<String> {
        *self.thread.lock().expect("no panic") = None;
        std::mem::take(&mut *self.said.lock().expect("no panic"))
    }
}

impl DiskObserver for Killed {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if *self.thread.lock().expect("no panic") != Some(thread::current().id()) {
            return Ok(());
        }
        if self.left.load(Ordering::SeqCst) == 0 {
            return Err(io::Error::other("killed"));
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
        let said = format!("{operation:?}");
        self.said
            .lock()
            .expect("no panic")
            .push(said.split(['(', '{']).next().unwrap_or("").into());
        Ok(())
    }
}

/// At each operation: what is left has no name that anybody opens, or is the whole fork; the origin is as it
/// was; and the same done again makes the fork, and clears away what was left.
#[test]
fn does_a_fork_that_is_cut_short_leave_nothing() {
    let mut random = Random::from_environment("forks cut short");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let killed = Arc::new(Killed::default());
    let options = || small().disk_observer(Arc::clone(&killed) as Arc<dyn DiskObserver>);
    let mut writer = options().open(&from).expect("a log");
    fill(&mut writer, &mut random, 3);
    writer.sync().expect("synced");
    let dropped = writer.retain(&Retention::keep_segments(3)).expect("dropped");
    assert_eq!(dropped.dropped, 1, "so that there is a catalog");
    let events = read_from(&writer.log(), Start::Oldest).expect("readable");
    writer.close().expect("closed");
    let writer = options().open(&from).expect("opens");
    factlog_tests::surgery::wait_for_segments(&from, used_segments(&from).len());
    let before = files(&from);
    let (mut cut, mut kinds) = (0, Vec::new());
    for operations in 0.. {
        killed.within(operations);
        let made = Fork::of(&writer.log()).create(&to);
        let done = killed.over();
        match made {
            Ok(forked) => {
                assert_eq!(forked.last.get(), events.last().expect("one").sequence);
                assert_eq!(read_from(&reading(&to), Start::Oldest).expect("readable"), events);
                kinds = done;
                break;
            }
            Err(ForkError::Io(_)) if to.exists() => {
                // It has its name, which may not be durable.
                assert_eq!(done.last().map(String::as_str), Some("Rename"));
                assert_eq!(read_from(&reading(&to), Start::Oldest).expect("readable"), events);
                fs::remove_dir_all(&to).expect("removed");
            }
            Err(ForkError::Io(_)) => cut += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(Options::new().open_read_only(&to).is_err());
        assert_eq!(files(&from), before, "after {operations} operations");
        // What is left does not hinder, and goes: now and then, since it takes time.
        if operations % 7 == 3 {
            Fork::of(&writer.log()).create(&to).expect("forked");
            assert!(!directory.path().join(".fork.forking").exists());
            assert_eq!(read_from(&reading(&to), Start::Oldest).expect("readable"), events);
            fs::remove_dir_all(&to).expect("removed");
        }
    }
    println!("cut short at {cut} operations");
    assert!(cut > 20, "{cut}");
    for kind in ["Link", "Create", "Write", "Sync", "SyncDirectory", "Rename", "MakeDirectory"] {
        assert!(kinds.iter().any(|done| done == kind), "{kind}: {kinds:?}");
    }
    assert_eq!(files(&from), before);
    let mut writer = writer;
    fill(&mut writer, &mut random, 1);
    writer.close().expect("the origin was not poisoned");
}

/// An operation alone fails: nothing is left, not even under the other name.
#[test]
fn is_cleared_away_what_could_not_be_made() {
    let mut random = Random::from_environment("forks that fail");
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("origin"), directory.path().join("fork"));
    let failing = Arc::new(FailsOnce::default());
    let mut writer = small()
        .disk_observer(Arc::clone(&failing) as Arc<dyn DiskObserver>)
        .open(&from)
        .expect("a log");
    fill(&mut writer, &mut random, 1);
    writer.sync().expect("synced");
    for at in 1.. {
        *failing.0.lock().expect("no panic") = Some((thread::current().id(), at));
        let made = Fork::of(&writer.log()).create(&to);
        let unmet = failing.0.lock().expect("no panic").take().is_some();
        if unmet {
            assert!(made.is_ok() && at > 20, "{at}: {made:?}");
            break;
        }
        // A stream table or a snapshot that cannot be linked is left out.
        if made.is_ok() || to.exists() {
            fs::remove_dir_all(&to).expect("removed");
        }
        let left: Vec<_> = fs::read_dir(directory.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .filter(|name| name != "origin")
            .collect();
        assert!(left.is_empty(), "{at}: {left:?}");
    }
    writer.close().expect("closed");
}

/// One operation of a thread, counted from 1.
#[derive(Debug, Default)]
struct FailsOnce(Mutex<Option<(ThreadId, u64)>>);

impl DiskObserver for FailsOnce {
    fn before(&self, _: &DiskOperation<'_>) -> io::Result<()> {
        let mut which = self.0.lock().expect("no panic");
        match &mut *which {
            Some((thread, left)) if *thread == thread::current().id() => {
                *left -= 1;
                if *left == 0 {
                    *which = None;
                    return Err(io::Error::other("this one fails"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Written, dropped from and forked at once: each fork is whole.
#[test]
fn can_the_origin_be_written_and_dropped_from_meanwhile() {
    let mut random = Random::from_environment("forks meanwhile");
    let directory = tempfile::tempdir().expect("a directory");
    let (writer, _) = origin(&directory.path().join("origin"), &mut random, 2);
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = service.producer();
            while !done.load(Ordering::SeqCst) {
                let event = Counted { bytes: vec![7; 20_000] };
                drop(producer.submit(event, Duration::from_secs(20)).expect("accepted"));
                thread::sleep(Duration::from_micros(200));
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                service.retain(&Retention::keep_segments(3)).expect("no error");
                thread::sleep(Duration::from_millis(3));
            }
        });
        for round in 0..15 {
            let to = directory.path().join(format!("fork-{round}"));
            let forked = Fork::of(&service.log()).create(&to).expect("forked");
            let mut fork = small().open(&to).expect("opens");
            let seen = read_from(&fork.log(), Start::Oldest).expect("readable");
            assert_eq!(seen.last().expect("one").sequence, forked.last.get());
            transaction(&mut fork, &mut random, 100);
            fork.close().expect("closed");
            fs::remove_dir_all(&to).expect("removed");
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(!read_from(&service.log(), Start::Oldest).expect("readable").is_empty());
}

#[factlog::event(name = "counted", version = 1)]
struct Counted {
    bytes: Vec<u8>,
}
