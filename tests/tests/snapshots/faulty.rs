//! Snapshots that are lost, torn, damaged, foreign, outdated: the state is the same.

use std::fs;
use std::path::Path;

use factlog::{
    Aggregate, Context, Engine, EngineError, Events, PassedOverReason, SnapshotTrouble, Snapshots,
    State, StoredState,
};
use factlog_tests::{Random, scratch};

use crate::purse::*;

#[test]
fn are_snapshots_that_will_not_do_passed_over() {
    let (directory, sequence) = with_snapshot();
    let path = files(directory.path()).pop().expect("one");
    let good = fs::read(&path).expect("readable");
    let (expected, visible) = {
        let engine = open(directory.path());
        assert_eq!(engine.restart().snapshot.map(factlog::Sequence::get), Some(sequence));
        let all: Vec<_> = (0..300).map(|key| warm(&engine, key)).collect();
        (all, engine.log().visible().0)
    };
    let check = |what: &str, wanted: fn(&PassedOverReason) -> bool| {
        let engine = open(directory.path());
        let restart = engine.restart().clone();
        assert_eq!((restart.snapshot, restart.folded), (None, visible.get()), "{what}");
        let reasons: Vec<_> = restart.passed_over.iter().map(|one| &one.reason).collect();
        assert!(reasons.len() == 1 && wanted(reasons[0]), "{what}: {reasons:?}");
        assert!(restart.passed_over[0].to_string().contains("passed over"), "{what}");
        for (key, expected) in expected.iter().enumerate() {
            assert_eq!(&warm(&engine, key as u64), expected, "{what}");
        }
        engine.close().expect("closes");
    };
    // Torn: of every length that is shorter.
    for len in [0, 1, 255, 256, 4096, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..len]).expect("written");
        check(&format!("{len} bytes"), |why| matches!(why, PassedOverReason::Damaged(_)));
    }
    // Damaged in its header, and in its index, which stands at the end.
    for at in [9, 60, 100, good.len() - 20] {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).expect("written");
        check(&format!("byte {at}"), |why| matches!(why, PassedOverReason::Damaged(_)));
    }
    // Under another name.
    let other = path.with_file_name(format!("{:020}.img", sequence - 1));
    fs::write(&other, &good).expect("written");
    fs::remove_file(&path).expect("gone");
    check("another name", |why| matches!(why, PassedOverReason::Name(_)));
    fs::remove_file(&other).expect("gone");
    // Of another log.
    let (foreign, _) = with_snapshot();
    let theirs = files(foreign.path()).pop().expect("one");
    let here = path.with_file_name(theirs.file_name().expect("a name"));
    fs::copy(&theirs, &here).expect("copied");
    check("foreign", |why| matches!(why, PassedOverReason::Foreign));
    fs::remove_file(&here).expect("gone");
    // No regular file.
    fs::create_dir(&path).expect("made");
    check("a folder", |why| matches!(why, PassedOverReason::Io(_)));
    fs::remove_dir(&path).expect("gone");
    // One that was begun and not finished.
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, &good[..1000]).expect("written");
    let engine = open(directory.path());
    assert!(engine.restart().passed_over.is_empty() && !unfinished.exists());
    engine.close().expect("closes");
}

/// The same log, whose end was cut off after the snapshot was taken: it knows more than the log.
#[test]
fn is_a_snapshot_of_a_history_that_is_gone_passed_over() {
    let directory = scratch();
    let engine = open(directory.path());
    pay(&engine, &mut Random::new(7), 0..500, 50);
    engine.close().expect("closes");
    let before = scratch();
    copy(directory.path(), before.path());
    let engine = open(directory.path());
    pay(&engine, &mut Random::new(8), 500..700, 50);
    let taken = engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let name = format!("{:020}.img", taken.sequence.get());
    let folder = before.path().join("snapshots");
    fs::create_dir_all(&folder).expect("made");
    fs::copy(directory.path().join("snapshots").join(&name), folder.join(&name)).expect("copied");
    let engine = open(before.path());
    // It is as of an event that the log does not have: it is not even looked at.
    assert!(engine.restart().snapshot.is_none(), "{:?}", engine.restart());
    // Now it has one of that number, and another history.
    pay(&engine, &mut Random::new(9), 1_500..2_500, 50);
    assert!(engine.log().visible().0 > taken.sequence);
    engine.close().expect("closes");
    let engine = open(before.path());
    let restart = engine.restart();
    assert!(restart.snapshot.is_none());
    let reason = &restart.passed_over.first().expect("one").reason;
    assert!(matches!(reason, PassedOverReason::Rewritten(_)), "{reason:?}");
    same_as_cold(&engine, 50);
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            fs::create_dir_all(&target).expect("made");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// A byte of a block: nobody knows before somebody asks, and then it comes from the log.
#[test]
fn are_instances_of_a_damaged_block_folded_from_the_log() {
    let (directory, _) = with_snapshot();
    let path = files(directory.path()).pop().expect("one");
    let good = fs::read(&path).expect("readable");
    let (mut found, mut passed_over) = (0, 0);
    for at in (300..good.len() - 8_000).step_by(good.len() / 24) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).expect("written");
        let engine = open(directory.path());
        let restart = engine.restart();
        // Where keys of commands are damaged, all of it is passed over.
        let keys = |one: &factlog::PassedOver| matches!(one.reason, PassedOverReason::Keys(_));
        assert!(restart.snapshot.is_some() || restart.passed_over.iter().all(keys), "{restart:?}");
        same_as_cold(&engine, 300);
        // Of those that never were nobody can say that they do not stand in the damaged block.
        for unknown in [1_u64 << 40, u64::MAX] {
            assert_eq!(warm(&engine, unknown), Purse::default(), "byte {at}");
        }
        for (from, to) in [(5, 1_u64 << 41), (1 << 42, 7), (1 << 43, 1 << 44)] {
            engine.call::<Purse>(from, Pay { units: 1, to }).expect("accepted");
            assert_eq!(warm(&engine, to).got, cold(&engine)[&to].got, "byte {at}");
        }
        same_as_cold(&engine, 300);
        found += engine.damaged_blocks().min(1);
        passed_over += restart.passed_over.len();
        // Nothing that is not known for sure goes into the next one; there everything was loaded.
        match engine.snapshot() {
            Ok(_) | Err(SnapshotTrouble::Damaged(..)) => {}
            Err(other) => panic!("{other}"),
        }
        for extra in files(directory.path()).iter().filter(|extra| **extra != path) {
            fs::remove_file(extra).expect("gone");
        }
        engine.close().expect("closes");
    }
    assert!(found > 5 && passed_over > 2, "{found}, {passed_over}");
}

/// The same aggregate in a later program: its logic has changed, or its shape.
#[test]
fn is_a_snapshot_of_other_logic_or_another_shape_passed_over() {
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Logic {
        got: u64,
        gave: u64,
        notes: Vec<String>,
    }
    purse!(Logic, StoredState::new(2));
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Shape {
        got: u64,
        gave: u64,
        notes: Vec<String>,
        more: Option<u8>,
    }
    purse!(Shape, StoredState::new(1));
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Unstored {
        got: u64,
        gave: u64,
        notes: Vec<String>,
    }
    purse!(Unstored, None);

    fn look<A: Aggregate<Key = u64>>(directory: &Path) -> Engine {
        Engine::open(directory).options(options()).aggregate::<A>().start().expect("an engine")
    }
    let (directory, _) = with_snapshot();
    let engine = look::<Logic>(directory.path());
    let reasons = &engine.restart().passed_over;
    assert!(
        matches!(&reasons[..], [one] if matches!(one.reason, PassedOverReason::Outdated("purse"))),
        "{reasons:?}"
    );
    engine.close().expect("closes");
    let engine = look::<Shape>(directory.path());
    assert!(matches!(engine.restart().passed_over[0].reason, PassedOverReason::Outdated("purse")));
    engine.close().expect("closes");
    let engine = look::<Unstored>(directory.path());
    assert!(engine.restart().snapshot.is_none());
    assert!(matches!(engine.snapshot(), Err(SnapshotTrouble::NotStored("purse"))));
    engine.close().expect("closes");
    let automatic =
        Engine::open(directory.path()).options(options()).snapshots(Snapshots::every(9));
    let refused = automatic.aggregate::<Unstored>().start();
    assert!(matches!(refused, Err(EngineError::NotStored("purse"))));
    // Its own program still has use for it.
    assert!(open(directory.path()).restart().snapshot.is_some());
}
