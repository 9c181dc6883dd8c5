//! Snapshots that a replica takes, and replicas that begin with a snapshot.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::Duration;

use factlog::{
    CommandError, Engine, PassedOverReason, Replica, ReplicaError, Retention, SnapshotTrouble,
    Snapshots, StateHashError,
};
use factlog_tests::{Random, scratch};

use crate::purse::*;

const LONG: Duration = Duration::from_secs(60);

fn replica(engine: &Engine) -> Replica {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    engine.replica(snapshots).start().expect("a replica")
}

fn caught_up(engine: &Engine, replica: &Replica) {
    replica.at_least(engine.log().visible().0, LONG).expect("in time");
}

/// Everything that was ever sent is answered as the first time, and leaves nothing.
fn known(engine: &Engine, sent: u64) {
    let before = engine.log().visible().0;
    for number in 0..sent {
        let pay = engine.command::<Purse>(0_u64, Pay { units: 1, to: 1 });
        let answer = pay.idempotency_key(number.to_le_bytes()).call();
        assert!(
            matches!(
                answer,
                Err(CommandError::KeyReused | CommandError::Rejected { duplicate: true, .. })
                    | Ok(factlog::Accepted { duplicate: true, .. })
            ),
            "{number}: {answer:?}"
        );
    }
    assert_eq!(engine.log().visible().0, before, "nothing was done twice");
}

/// The engine takes none; its replica does, between random payments; both begin with them.
#[test]
fn does_an_engine_begin_with_what_a_replica_has_taken() {
    for seed in 1..=8 {
        let directory = scratch();
        let mut random = Random::new(seed);
        let purses = 1 + random.below(150);
        let (mut at, mut newest) = (0, None);
        for _ in 0..5 {
            let engine = open(directory.path());
            assert_eq!(engine.restart().snapshot, newest, "{:?}", engine.restart());
            assert!(engine.restart().passed_over.is_empty(), "{:?}", engine.restart());
            let replica = replica(&engine);
            assert_eq!(replica.restart().snapshot, newest);
            same_as_cold(&engine, purses);
            for _ in 0..2 {
                let more = random.below(200);
                pay(&engine, &mut random, at..at + more, purses);
                at += more;
                if random.below(3) > 0 && engine.log().visible().0.get() > 0 {
                    caught_up(&engine, &replica);
                    let end = engine.log().visible().0;
                    if newest != Some(end) {
                        let taken = replica.snapshot().expect("taken");
                        assert_eq!(taken.sequence, end);
                        newest = Some(end);
                    }
                }
            }
            // What the replica shows is what the log says, loaded or not.
            caught_up(&engine, &replica);
            let all = cold(&engine);
            for key in (0..purses).rev() {
                let seen = replica.with::<Purse, _>(&key, Purse::clone).expect("held");
                assert_eq!(seen, all.get(&key).cloned().unwrap_or_default(), "seed {seed}, {key}");
            }
            known(&engine, at);
            engine.close().expect("closes");
        }
    }
}

/// All instances of a replica that has loaded none of them.
#[test]
fn are_all_instances_there_that_stand_in_a_snapshot_only() {
    let (directory, sequence) = with_snapshot();
    let engine = open(directory.path());
    let all = cold(&engine);
    for damaged in [false, true] {
        if damaged {
            let path = files(directory.path()).pop().expect("one");
            let mut bytes = fs::read(&path).expect("readable");
            bytes[500] ^= 1;
            fs::write(&path, bytes).expect("written");
        }
        let replica = Replica::of(engine.log()).state::<Purse>().start().expect("a replica");
        assert_eq!(replica.restart().snapshot.map(factlog::Sequence::get), Some(sequence));
        caught_up(&engine, &replica);
        let mut found = std::collections::BTreeMap::new();
        let seen = replica.for_each::<Purse>(|key, purse| drop(found.insert(*key, purse.clone())));
        assert_eq!(seen.expect("held"), engine.log().visible().0);
        assert_eq!(found, all, "damaged: {damaged}");
        // It knows no idempotency keys: no engine could begin with what it would take.
        assert!(matches!(replica.snapshot(), Err(SnapshotTrouble::NoKeys)));
    }
}

/// Four threads pay, two read, the replica takes snapshots by itself: each is of one sequence.
#[test]
fn are_snapshots_of_a_replica_of_one_sequence_while_there_are_commands() {
    const PURSES: u64 = 1_500;
    let directory = scratch();
    let engine = open(directory.path());
    let snapshots = Snapshots::every(3_000).keep(1_000).bytes_per_second(None);
    let replica = engine.replica(snapshots).start().expect("a replica");
    let done = AtomicBool::new(false);
    let mut sent = 0;
    scope(|scope| {
        for reader in 0..2_u64 {
            let (replica, done) = (&replica, &done);
            scope.spawn(move || {
                let mut random = Random::new(100 + reader);
                while !done.load(Ordering::Acquire) {
                    let key = random.below(PURSES);
                    replica.with::<Purse, _>(&key, |purse| purse.got).expect("held");
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
        }
        while engine.stats().snapshots < 4 {
            scope_pay(&engine, sent, PURSES);
            sent += 4_000;
            assert!(sent < 400_000, "{:?}", engine.stats());
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(engine.stats().snapshots_failed, 0, "{:?}", engine.stats());
    same_as_cold(&engine, PURSES);
    drop(replica);
    engine.close().expect("closes");
    let log = options().open_read_only(directory.path()).expect("opens");
    let all = files(directory.path());
    assert!(all.len() >= 4);
    let checked: Vec<_> = all
        .iter()
        .map(|file| crate::versions_are_those_of_the_log(&fs::read(file).expect("readable"), &log))
        .collect();
    assert!(checked.iter().max() > Some(&1_000), "{checked:?}");
    drop(log);
    // Each of them leads to the state of now, with all keys.
    for newest in all.iter().rev().take(3) {
        let engine = open(directory.path());
        assert!(
            newest
                .to_string_lossy()
                .contains(&format!("{:020}", engine.restart().snapshot.expect("used").get()))
        );
        same_as_cold(&engine, PURSES);
        engine.close().expect("closes");
        fs::remove_file(newest).expect("gone");
    }
    let engine = open(directory.path());
    known(&engine, 2_000);
}

/// Four threads pay.
fn scope_pay(engine: &Engine, from: u64, purses: u64) {
    scope(|scope| {
        for thread in 0..4 {
            let begin = from + thread * 1_000;
            scope.spawn(move || {
                pay(engine, &mut Random::new(begin + 1), begin..begin + 1_000, purses);
            });
        }
    });
}

/// What a replica has taken lets retention go on, and a restart needs nothing that was dropped.
#[test]
fn does_retention_ask_the_snapshots_of_a_replica() {
    let directory = scratch();
    let engine = open(directory.path());
    let replica = replica(&engine);
    let mut at = 0;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let until = engine.log().stats().segments + 1;
        while engine.log().stats().segments <= until {
            pay(&engine, &mut Random::new(at + 1), at..at + 2_000, 100_000);
            at += 2_000;
        }
        caught_up(&engine, &replica);
        taken.push(replica.snapshot().expect("taken").sequence);
    }
    // The engine is told through its queue.
    while engine.stats().snapshots < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    engine.log().wait_durable(engine.log().visible().0, LONG).expect("durable");
    let dropped = engine.retain(&Retention::keep_segments(1)).expect("retained");
    assert!(dropped.dropped > 0 && dropped.oldest <= taken[1], "{dropped:?}, {taken:?}");
    let some: Vec<_> = (0..500).map(|key| warm(&engine, key)).collect();
    engine.close().expect("closes");
    drop(replica);
    let engine = open(directory.path());
    assert_eq!(engine.restart().snapshot, Some(taken[2]));
    assert_eq!((0..500).map(|key| warm(&engine, key)).collect::<Vec<_>>(), some);
    known(&engine, 3_000);
}

/// While one is taken slowly, a second request is refused, and the first is whole.
#[test]
fn is_the_first_snapshot_whole_when_a_second_one_is_refused() {
    let directory = scratch();
    let slow = Snapshots::on_request().bytes_per_second(Some(500_000));
    let engine = open_with(directory.path(), slow);
    pay(&engine, &mut Random::new(3), 0..6_000, 3_000);
    // Whoever comes first: the other one is refused.
    let (mut taken, mut busy, mut at) = (0, 0, 6_000);
    let mut count = |answer| match answer {
        Ok(_) => taken += 1,
        Err(SnapshotTrouble::Busy) => busy += 1,
        Err(other) => panic!("{other}"),
    };
    scope(|scope| {
        let first = scope.spawn(|| engine.snapshot());
        while !first.is_finished() {
            pay(&engine, &mut Random::new(at), at..at + 50, 3_000);
            at += 50;
            count(engine.snapshot());
        }
        count(first.join().expect("no panic"));
    });
    assert!(taken > 0 && busy > 0, "{taken} taken, {busy} refused");
    engine.close().expect("closes");
    while let Some(newest) = files(directory.path()).pop() {
        let engine = open(directory.path());
        assert!(engine.restart().snapshot.is_some());
        same_as_cold(&engine, 3_000);
        engine.close().expect("closes");
        fs::remove_file(newest).expect("gone");
    }
    let engine = open(directory.path());
    let why = |one: &factlog::PassedOver| matches!(one.reason, PassedOverReason::Io(_));
    assert!(engine.restart().passed_over.iter().all(why));
}

/// Whoever looks keeps it from folding: to ask it again from inside would be to wait for oneself, now or as
/// soon as something comes.
#[test]
fn is_a_look_from_inside_a_look_refused() {
    let (directory, _) = with_snapshot();
    let engine = open(directory.path());
    let (replica, other) = (replica(&engine), replica(&engine));
    caught_up(&engine, &replica);
    let beyond = engine.log().visible().0.after(1);
    let mut looks = 0;
    let mut inside = || {
        let looking = |error: ReplicaError| matches!(error, ReplicaError::Looking);
        assert!(replica.with::<Purse, _>(&2, |_| {}).is_err_and(looking));
        assert!(replica.read::<Purse, _>(&2, |_| {}).is_err_and(looking));
        assert!(replica.for_each::<Purse>(|_, _| {}).is_err_and(looking));
        assert!(matches!(replica.state_hash(), Err(StateHashError::Looking)));
        assert!(replica.at_least(beyond, LONG).is_err_and(looking));
        replica.at_least(beyond.before(), LONG).expect("it is there");
        assert!(matches!(replica.snapshot(), Err(SnapshotTrouble::Busy)));
        // Another one is looked at all the same.
        other.with::<Purse, _>(&2, |_| {}).expect("held");
        looks += 1;
    };
    replica.with::<Purse, _>(&1, |_| inside()).expect("held");
    replica.read::<Purse, _>(&1, |_| inside()).expect("held");
    let mut once = false;
    let each = |_: &u64, _: &Purse| {
        if !std::mem::replace(&mut once, true) {
            inside();
        }
    };
    replica.for_each::<Purse>(each).expect("held");
    assert_eq!(looks, 3);
    // A look that panics has ended, too.
    let panics = || replica.with::<Purse, ()>(&1, |_| panic!("a look"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    replica.with::<Purse, _>(&1, |_| {}).expect("held");
    replica.state_hash().expect("stored");
}
