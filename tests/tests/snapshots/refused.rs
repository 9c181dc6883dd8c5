//! Are answers that left no event known after a restart, wherever they stand?
//!
//! Frames without events have the sequence of the event that comes next: whoever begins with that
//! event begins behind the last of them, unless that is looked at.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use factlog::{CommandError, Engine, IdempotencyWindow, Snapshots};
use factlog_tests::scratch;

use crate::purse::*;

/// Sends a payment that nobody can make; whether that was answered before.
fn refused(engine: &Engine, key: u64) -> bool {
    let pay = engine.command::<Purse>(key, Pay { units: BEGIN + 1, to: key });
    match pay.idempotency_key(key.to_le_bytes()).call() {
        Err(CommandError::Rejected { duplicate, .. }) => duplicate,
        other => panic!("{key}: {other:?}"),
    }
}

fn paid(engine: &Engine) {
    engine.call::<Purse>(99, Pay { units: 1, to: 98 }).expect("there is enough");
}

/// Takes a snapshot; whether there is one then.
type Take = fn(&Engine) -> bool;

const TAKES: [(&str, Take); 3] = [
    ("no snapshot", |_| false),
    ("its own", |engine| engine.snapshot().is_ok()),
    ("of a replica", |engine| {
        let snapshots = Snapshots::on_request().bytes_per_second(None);
        let replica = engine.replica(snapshots).start().expect("a replica");
        replica.snapshot().is_ok()
    }),
];

#[test]
fn are_refusals_known_that_stand_alone_behind_a_snapshot_or_the_beginning() {
    for (name, take) in TAKES {
        for followed in [false, true] {
            let directory = scratch();
            let engine = open(directory.path());
            if take(&engine) {
                panic!("{name}: there is nothing to take");
            }
            if name != "no snapshot" {
                paid(&engine);
                assert!(take(&engine), "{name}");
            }
            // Each in a frame of its own.
            for key in 0..3 {
                assert!(!refused(&engine, key), "{name}, {key}");
            }
            if followed {
                paid(&engine);
            }
            let before = engine.log().visible().0;
            engine.close().expect("closes");
            for round in 0..3 {
                let engine = open(directory.path());
                assert_eq!(engine.restart().snapshot.is_some(), name != "no snapshot");
                for key in 0..3 {
                    assert!(refused(&engine, key), "{name}, {key}, restart {round}");
                }
                assert_eq!(engine.log().visible().0, before);
                engine.close().expect("closes");
            }
        }
    }
}

/// What a snapshot has of them already is not remembered twice: nothing older is forgotten for it.
#[test]
fn do_refusals_that_a_snapshot_has_count_once() {
    let directory = scratch();
    let open = |path: &Path| {
        let window = IdempotencyWindow { keys: 4, ..IdempotencyWindow::default() };
        let snapshots = Snapshots::on_request().bytes_per_second(None);
        let engine = Engine::open(path).options(options()).snapshots(snapshots);
        engine.idempotency(window).aggregate::<Purse>().start().expect("an engine")
    };
    let engine = open(directory.path());
    assert!(!refused(&engine, 0));
    paid(&engine);
    for key in 1..4 {
        assert!(!refused(&engine, key));
    }
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    for round in 0..3 {
        let engine = open(directory.path());
        assert!(engine.restart().snapshot.is_some());
        for key in 0..4 {
            assert!(refused(&engine, key), "{key}, restart {round}");
        }
        engine.close().expect("closes");
    }
}

/// A refusal that was too old, and given again: it is as young as the second one, also after a start from
/// a snapshot that has the first.
#[test]
fn is_a_refusal_as_young_as_the_last_one() {
    const MS: u64 = 1_000_000;
    let window = IdempotencyWindow { age: Duration::from_secs(1), ..IdempotencyWindow::default() };
    let (directory, clock) = (scratch(), crate::Still::default());
    let open = || {
        let options = options().clock(clock.clone());
        let engine = Engine::open(directory.path()).options(options).idempotency(window);
        engine.aggregate::<Purse>().start().expect("an engine")
    };
    let later = |millis: u64| clock.0.fetch_add(millis * MS, Ordering::Relaxed);
    later(5_000);
    let engine = open();
    paid(&engine);
    assert!(!refused(&engine, 1));
    engine.snapshot().expect("taken");
    later(1_100);
    assert!(!refused(&engine, 1), "it is too old");
    later(600);
    assert!(refused(&engine, 1));
    engine.close().expect("closes");
    let engine = open();
    assert!(engine.restart().snapshot.is_some());
    assert!(refused(&engine, 1), "it was given 600 ms ago");
}
