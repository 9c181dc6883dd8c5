//! Snapshots that fail, wait for each other, or cannot be told at once: who learns of it, and what does
//! not go on for ever?

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use factlog::{Engine, Replica, SnapshotFailed, Snapshots, Start, ThreadOptions};
use factlog_tests::scratch;

use crate::purse::*;
use crate::told::{Book, Muse, Note};

fn caught_up(engine: &Engine, replica: &Replica) {
    replica.at_least(engine.log().visible().0, SOON).expect("in time");
}

fn book(directory: &Path, queue: usize) -> Engine {
    let engine = Engine::open(directory).options(options());
    let engine = engine.thread(ThreadOptions::new().queue(queue));
    engine.aggregate::<Book>().start().expect("an engine")
}

/// Three take one after each event, and cannot: what each says is an event, too.
#[test]
fn do_failures_alone_make_no_snapshot_due() {
    const PAID: usize = 4;
    let directory = scratch();
    // Where the folder would be there is something else.
    let folder = directory.path().join("snapshots");
    drop(open(directory.path()));
    let _ = fs::remove_dir(&folder);
    fs::write(&folder, b"in the way").expect("written");
    let every = Snapshots::every(1).bytes_per_second(None);
    let engine = open_with(directory.path(), every);
    let replicas = [(); 2].map(|()| engine.replica(every).start().expect("a replica"));
    for _ in 0..PAID {
        engine.call::<Purse>(1, Pay { units: 1, to: 1 }).expect("accepted");
    }
    let failures = || {
        let (mut count, mut cursor) = (0, engine.log().cursor(Start::Oldest).expect("a cursor"));
        while let Some(event) = cursor.next_event().expect("readable") {
            count += usize::from(event.get::<SnapshotFailed>().expect("readable").is_some());
        }
        count
    };
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let found = failures();
        assert!(found <= 3 * PAID, "{found} say so of {PAID} events");
        sleep(Duration::from_millis(50));
    }
    replicas.iter().for_each(|replica| caught_up(&engine, replica));
    assert!(failures() > 0);
    // The next event is one again.
    let before = failures();
    engine.call::<Purse>(1, Pay { units: 1, to: 1 }).expect("accepted");
    let began = Instant::now();
    while failures() == before {
        assert!(began.elapsed() < SOON, "nobody says so");
        sleep(Duration::from_millis(5));
    }
}

/// One is written for minutes: who would write the next ends without it.
#[test]
fn does_a_replica_end_while_another_one_writes() {
    let directory = scratch();
    let engine = open(directory.path());
    let pay = || engine.call::<Purse>(1, Pay { units: 1, to: 1 }).expect("accepted");
    pay();
    let every = Snapshots::every(1);
    let slow = engine.replica(every.bytes_per_second(Some(1))).start().expect("a replica");
    pay();
    let began = Instant::now();
    let writing = || {
        let is_begun = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "tmp");
        files(directory.path()).iter().any(is_begun)
    };
    while !writing() {
        assert!(began.elapsed() < SOON, "nobody writes");
        sleep(Duration::from_millis(5));
    }
    let next = engine.replica(every.bytes_per_second(None)).start().expect("a replica");
    pay();
    caught_up(&engine, &next);
    // Until it waits for the first one.
    sleep(Duration::from_millis(500));
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        drop(next);
        let _ = sender.send(());
    });
    ended.recv_timeout(SOON).expect("it waits for the whole snapshot of another one");
    drop(slow);
    engine.close().expect("closes");
}

/// The second one waits until the first is written, and is then no faster for that.
#[test]
fn is_a_snapshot_written_at_its_rate_after_a_wait() {
    const RATE: u64 = 6 << 20;
    let directory = scratch();
    let engine = book(directory.path(), 64);
    for key in 0..48_u64 {
        engine.call::<Book>(key, Note { times: 50_000 }).expect("accepted");
    }
    let slow = Snapshots::on_request().bytes_per_second(Some(RATE));
    let replicas = [(); 2].map(|()| engine.replica(slow).start().expect("a replica"));
    replicas.iter().for_each(|replica| caught_up(&engine, replica));
    let began = Instant::now();
    let bytes: u64 = scope(|scope| {
        let taken = replicas.each_ref().map(|one| scope.spawn(|| one.snapshot().expect("taken")));
        taken.into_iter().map(|taken| taken.join().expect("no panic").bytes).sum()
    });
    // What is written last of each is not waited for.
    let least = Duration::from_secs_f64((bytes - (6 << 20)) as f64 / RATE as f64);
    assert!(bytes > 24 << 20 && began.elapsed() >= least, "{bytes} in {:?}", began.elapsed());
}

/// The queue of the engine has no room for longer than anybody would wait.
#[test]
fn does_the_engine_learn_of_a_snapshot_though_its_queue_was_full() {
    let directory = scratch();
    let engine = book(directory.path(), 1);
    engine.call::<Book>(1_u64, Note { times: 1 }).expect("accepted");
    let replica = engine.replica(Snapshots::on_request()).start().expect("a replica");
    caught_up(&engine, &replica);
    scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| engine.call::<Book>(1_u64, Muse { millis: 3_000 }).expect_err("no idea"));
        }
        sleep(Duration::from_millis(300));
        replica.snapshot().expect("taken");
    });
    let began = Instant::now();
    while engine.stats().snapshots == 0 {
        assert!(began.elapsed() < SOON, "nobody has told it");
        sleep(Duration::from_millis(5));
    }
}
