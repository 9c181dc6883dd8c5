//! Snapshots that are of no use: do they push out those that are, or let go of what these need? And
//! does somebody who knows less than they do?

use std::fs;
use std::path::Path;

use factlog::{Retention, Sequence, SnapshotTrouble, Snapshots};
use factlog_tests::scratch;

use crate::kept::{PART, all, fill, start};
use crate::purse::files;

fn path(directory: &Path, sequence: Sequence) -> std::path::PathBuf {
    directory.join(format!("snapshots/{:020}.img", sequence.get()))
}

/// Turns a bit of its header.
fn damage(directory: &Path, sequence: Sequence) {
    let path = path(directory, sequence);
    let mut bytes = fs::read(&path).expect("readable");
    bytes[60] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn does_a_file_with_a_greater_number_push_out_nothing() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    engine.snapshot().expect("taken");
    for number in 1..=3 {
        let beyond = Sequence::new(number * 1_000_000_000);
        fs::write(path(directory.path(), beyond), b"of another time").expect("written");
    }
    fill(&engine, PART..2 * PART);
    let taken = engine.snapshot().expect("taken");
    assert!(path(directory.path(), taken.sequence).exists(), "{taken:?}");
    assert_eq!(taken.removed, []);
    engine.retain(&Retention::keep_segments(1)).expect("retained");
    let expected = all(&engine);
    engine.close().expect("closes");
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken.sequence));
    assert_eq!(all(&engine), expected);
}

#[test]
fn does_a_snapshot_that_is_damaged_count_as_none() {
    let directory = scratch();
    let engine = start(directory.path());
    let mut taken = Vec::new();
    for round in 0..3 {
        fill(&engine, round * 100..round * 100 + 100);
        let one = engine.snapshot().expect("taken");
        taken.push(one.sequence);
        if round == 1 {
            damage(directory.path(), one.sequence);
        }
    }
    assert!(path(directory.path(), taken[0]).exists(), "the only other one that is good");
    // It goes with those that are as old.
    for round in 3..5 {
        fill(&engine, round * 100..round * 100 + 100);
        engine.snapshot().expect("taken");
    }
    assert_eq!(files(directory.path()).len(), 2);
    assert!(!path(directory.path(), taken[1]).exists());
}

/// What an engine holds after a start is what the older of the snapshots needs that are kept.
#[test]
fn is_what_the_older_snapshot_needs_held_after_a_start() {
    let directory = scratch();
    let engine = start(directory.path());
    let mut taken = Vec::new();
    for round in 0..2 {
        fill(&engine, round * PART..(round + 1) * PART);
        taken.push(engine.snapshot().expect("taken").sequence);
    }
    fill(&engine, 2 * PART..3 * PART);
    engine.close().expect("closes");
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken[1]));
    let held = engine.retain(&Retention::keep_segments(1)).expect("retained");
    assert_eq!(held.held, Some(taken[0].after(1)), "{held:?}");
    let expected = all(&engine);
    engine.close().expect("closes");
    damage(directory.path(), taken[1]);
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken[0]));
    assert_eq!(all(&engine), expected);
}

#[test]
fn do_two_snapshots_of_one_event_count_once() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    let first = engine.snapshot().expect("taken").sequence;
    fill(&engine, PART..2 * PART);
    let again = [(); 3].map(|()| engine.snapshot().expect("taken").sequence);
    assert!(again.iter().all(|sequence| *sequence == again[0]));
    fill(&engine, 2 * PART..3 * PART);
    let held = engine.retain(&Retention::keep_segments(1)).expect("retained");
    assert_eq!(held.held, Some(first.after(1)), "{held:?}");
    assert_eq!(files(directory.path()).len(), 2);
}

/// A log that was cut, with one snapshot that has what is gone.
fn cut(directory: &Path) -> (factlog::Engine, Sequence) {
    let engine = start(directory);
    fill(&engine, 0..PART);
    let taken = engine.snapshot().expect("taken").sequence;
    assert!(engine.retain(&Retention::keep_segments(1)).expect("retained").dropped > 0);
    fill(&engine, PART..PART + 100);
    (engine, taken)
}

#[test]
fn does_a_replica_that_knows_less_than_the_snapshots_take_none() {
    let directory = scratch();
    let (engine, taken) = cut(directory.path());
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let replica = engine.replica(snapshots).whole_log().start().expect("a replica");
    replica.at_least(engine.log().visible().0, std::time::Duration::MAX).expect("in time");
    let refused = replica.snapshot();
    assert!(matches!(refused, Err(SnapshotTrouble::BeginningGone)), "{refused:?}");
    let expected = all(&engine);
    drop(replica);
    engine.close().expect("closes");
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken));
    assert_eq!(all(&engine), expected);
    // One that begins with it takes them.
    let replica = engine.replica(snapshots).start().expect("a replica");
    replica.at_least(engine.log().visible().0, std::time::Duration::MAX).expect("in time");
    assert_eq!(replica.snapshot().expect("taken").left_out, 0);
}

#[test]
fn does_an_engine_that_knows_less_than_the_snapshots_take_none() {
    let directory = scratch();
    let (engine, taken) = cut(directory.path());
    let expected = all(&engine);
    engine.close().expect("closes");
    damage(directory.path(), taken);
    let engine = start(directory.path());
    assert!(engine.restart().snapshot.is_none());
    for _ in 0..3 {
        let refused = engine.snapshot().expect_err("it would say that all is lost");
        assert!(matches!(refused, SnapshotTrouble::BeginningGone), "{refused}");
        assert!(refused.to_string().contains("remove them"), "{refused}");
    }
    assert_eq!(engine.retain(&Retention::keep_segments(1)).expect("asked").dropped, 0);
    engine.close().expect("closes");
    // Another copy of the file was found.
    damage(directory.path(), taken);
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken));
    assert_eq!(all(&engine), expected);
}
