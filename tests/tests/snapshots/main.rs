//! Does a snapshot with what follows it give the same state as the whole log?

mod failing;
mod faulty;
mod kept;
mod left_out;
mod lost;
mod panics;
mod purse;
mod refused;
mod replicas;
mod stale;
mod told;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Clock, CommandError, Context, Draft, Engine, Events, IdempotencyWindow, Key, Log,
    SnapshotTrouble, Snapshots, Start, State, StoredState, StreamKey, StreamVersion,
    SuspensionCause,
};
use factlog_codec::{Block, Sections, SnapshotHeader};
use factlog_tests::{Random, scratch};

use purse::*;

#[test]
fn is_a_snapshot_with_its_tail_the_whole_log() {
    for seed in 1..=12 {
        let directory = scratch();
        let mut random = Random::new(seed);
        let purses = 1 + random.below(200);
        let mut at = 0;
        let mut snapshots = 0;
        for _ in 0..6 {
            let engine = open(directory.path());
            if snapshots > 0 {
                let restart = engine.restart();
                let tail = engine.log().visible().0.get() - restart.snapshot.expect("used").get();
                assert_eq!(restart.folded, tail, "only what follows it is folded");
                assert!(restart.passed_over.is_empty(), "{:?}", restart.passed_over);
            }
            same_as_cold(&engine, purses);
            let more = random.below(400);
            pay(&engine, &mut random, at..at + more, purses);
            at += more;
            if random.below(2) == 0 && engine.log().visible().0.get() > 0 {
                let taken = engine.snapshot().expect("taken");
                assert!(taken.bytes > 0);
                snapshots += 1;
            }
            // Everything that was ever sent is answered as the first time.
            let before = engine.log().visible().0;
            let mut again = Random::new(seed + 99);
            for _ in 0..20.min(at) {
                let number = again.below(at);
                let pay = engine.command::<Purse>(0_u64, Pay { units: 1, to: 1 });
                let answer = pay.idempotency_key(number.to_le_bytes()).call();
                assert!(matches!(
                    answer,
                    Err(CommandError::KeyReused | CommandError::Rejected { duplicate: true, .. })
                        | Ok(factlog::Accepted { duplicate: true, .. })
                ));
            }
            assert_eq!(engine.log().visible().0, before, "nothing was done twice");
            engine.close().expect("closes");
        }
        assert!(files(directory.path()).len() <= 2, "two are kept");
    }
}

/// Snapshots are taken all the time, while four threads pay: each of them is of one sequence.
#[test]
fn is_a_snapshot_of_one_sequence_while_there_are_commands() {
    const PURSES: u64 = 2_000;
    let directory = scratch();
    let snapshots = Snapshots::on_request().keep(1_000).bytes_per_second(None);
    let engine = open_with(directory.path(), snapshots);
    let (done, enough) = (AtomicBool::new(false), AtomicU32::new(0));
    let taken = scope(|scope| {
        let workers: Vec<_> = (0..4_u64)
            .map(|thread| {
                let (engine, enough) = (&engine, &enough);
                scope.spawn(move || {
                    let mut random = Random::new(thread + 1);
                    let mut at = thread * 100_000_000;
                    while enough.load(Ordering::Acquire) < 4 {
                        pay(engine, &mut random, at..at + 1_000, PURSES);
                        at += 1_000;
                    }
                })
            })
            .collect();
        let taker = scope.spawn(|| {
            let mut taken = Vec::new();
            while !done.load(Ordering::Acquire) {
                match engine.snapshot() {
                    Ok(one) => {
                        taken.push(one);
                        enough.fetch_add(1, Ordering::AcqRel);
                    }
                    Err(SnapshotTrouble::Nothing) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            taken
        });
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        done.store(true, Ordering::Release);
        taker.join().expect("no panic")
    });
    let end = engine.log().visible().0;
    let during = taken.iter().filter(|one| one.sequence < end).count();
    assert!(during >= 2, "{taken:?}");
    same_as_cold(&engine, PURSES);
    engine.close().expect("closes");
    // Each of them has every stream at the version that it had then.
    let all = files(directory.path());
    let log = options().open_read_only(directory.path()).expect("opens");
    let checked: Vec<_> = all
        .iter()
        .map(|file| versions_are_those_of_the_log(&fs::read(file).expect("readable"), &log))
        .collect();
    // The first may have been taken of the first few; not all of them.
    let most = checked.iter().max().expect("some");
    assert!(*most > 1_000, "{checked:?}");
    drop(log);
    // Each of them alone.
    let aside = scratch();
    for file in &all {
        fs::rename(file, aside.path().join(file.file_name().expect("a name"))).expect("aside");
    }
    let step = (all.len() / 6).max(1);
    for file in all.iter().step_by(step) {
        let name = file.file_name().expect("a name");
        fs::rename(aside.path().join(name), file).expect("back");
        let engine = open(directory.path());
        let used = engine.restart().snapshot.expect("used").get();
        assert_eq!(name.to_str(), Some(format!("{used:020}.img").as_str()));
        same_as_cold(&engine, PURSES);
        engine.close().expect("closes");
        fs::remove_file(file).expect("gone");
    }
}

/// Reads a snapshot as its format says, and counts events in the log; how many instances it has.
#[track_caller]
fn versions_are_those_of_the_log(file: &[u8], log: &Log) -> u64 {
    let header = SnapshotHeader::decode(file, file.len() as u64).expect("a header");
    let index = header.index(file).expect("an index");
    let purses = Sections::new(index).map(|one| one.expect("good"));
    let (number, section) =
        purses.enumerate().find(|(_, section)| section.name == "purse").expect("there");
    let mut checked = 0;
    for block in &section.blocks {
        let place = (block.offset, block.len);
        let block = Block::verify(file, place, number as u16, header.place.sequence);
        let block = block.expect("good");
        for entry in (0..block.len()).map(|at| block.entry(at).expect("good")) {
            let key = Key::from_ordered(entry.key).expect("a key");
            let stream = StreamKey::new("purse", key).expect("a key");
            // The event with which it came to this version, and the next one.
            let at = |version: StreamVersion| {
                let mut cursor = log.stream(&stream, version);
                cursor.next_event().expect("readable").map(|event| event.sequence())
            };
            assert!(at(entry.version).is_some_and(|at| at <= header.place.sequence));
            assert!(at(entry.version.next()).is_none_or(|at| at > header.place.sequence));
            checked += 1;
        }
    }
    assert_eq!(checked, section.entries);
    checked
}

#[test]
fn are_snapshots_taken_by_themselves_and_thinned_out() {
    let directory = scratch();
    let snapshots = Snapshots::every(100).keep(2).ladder().bytes_per_second(None);
    let engine = open_with(directory.path(), snapshots);
    let mut random = Random::new(3);
    // On a slow disk fewer are taken.
    let (began, mut round) = (Instant::now(), 0);
    while round < 200 || (engine.stats().snapshots < 4 && began.elapsed() < SOON) {
        pay(&engine, &mut random, round * 20..round * 20 + 20, 1_000);
        round += 1;
    }
    let end = engine.log().visible().0.get();
    engine.close().expect("closes");
    let sequences: Vec<u64> = files(directory.path())
        .iter()
        .filter_map(|file| file.file_stem()?.to_str()?.parse().ok())
        .collect();
    assert!((2..=15).contains(&sequences.len()), "{sequences:?}");
    assert!(*sequences.first().expect("one") <= end / 2, "{sequences:?} of {end}");
}

#[test]
fn are_suspended_instances_left_out_and_told_once() {
    let directory = scratch();
    let purse = |key: u64| StreamKey::new("purse", key).expect("a key");
    {
        let mut writer = options().open(directory.path()).expect("opens");
        let meta = || factlog::Expected::Any;
        for key in [3, 4] {
            let stream = purse(key);
            let meta = factlog::Meta::new().stream(&stream, meta());
            writer.append_with(&FromTheFuture {}, meta).expect("appends");
        }
    }
    let facts = |engine: &Engine| {
        let mut cursor = engine.log().cursor(Start::Oldest).expect("a cursor");
        let mut count = 0;
        while let Some(event) = cursor.next_event().expect("readable") {
            count += usize::from(
                event.get::<factlog::InstanceSuspended>().is_ok_and(|fact| fact.is_some()),
            );
        }
        count
    };
    let suspended = |engine: &Engine, key: u64| {
        let asked = engine.ask::<Purse, _>(key, Purse::clone);
        assert!(
            matches!(&asked, Err(factlog::AskError::Suspended(why))
                if matches!(why.cause, SuspensionCause::Unknown { .. })),
            "{asked:?}"
        );
    };
    let engine = open(directory.path());
    pay(&engine, &mut Random::new(5), 0..300, 3);
    engine.snapshot().expect("taken");
    assert_eq!(facts(&engine), 2);
    engine.close().expect("closes");
    for _ in 0..2 {
        let engine = open(directory.path());
        assert!(engine.restart().snapshot.is_some());
        suspended(&engine, 3);
        suspended(&engine, 4);
        assert_eq!(facts(&engine), 2, "it was told before");
        same_as_cold(&engine, 3);
        // A snapshot that is taken on a snapshot leaves them out as well.
        engine.snapshot().expect("taken");
        engine.close().expect("closes");
    }
    // A program that knows the event goes on from the log.
    #[factlog::vocabulary]
    enum LaterEvent {
        Paid(Paid),
        FromTheFuture(FromTheFuture),
    }
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Later {
        got: u64,
        gave: u64,
        notes: Vec<String>,
    }
    impl State for Later {
        const NAME: &'static str = "purse";
        type Key = u64;
        type Event = LaterEvent;
        const STORED: Option<StoredState<Self>> = StoredState::new(1);
        fn evolve(&mut self, event: LaterEventView<'_>) {
            if let LaterEventView::FromTheFuture(_) = event {
                self.got += 1_000;
            }
        }
    }
    impl Aggregate for Later {
        type Command = Pay;
        type Reply = ();
        type Rejection = Broke;
        fn decide(&self, _: &Pay, _: &mut Context<'_, Self>) -> Result<Events<LaterEvent>, Broke> {
            Ok(Events::none())
        }
    }
    let engine = Engine::open(directory.path()).options(options()).aggregate::<Later>();
    let engine = engine.start().expect("an engine");
    assert!(engine.restart().snapshot.is_some());
    for key in [3_u64, 4] {
        assert_eq!(engine.ask::<Later, _>(key, |later| later.got).expect("a state"), 1_000);
    }
}

/// Commands for instances that stand in the snapshot only, and a window that is smaller than what
/// was sent.
#[test]
fn does_the_window_keep_its_size_over_snapshots() {
    let directory = scratch();
    let window = IdempotencyWindow { keys: 100, ..IdempotencyWindow::default() };
    let open = || {
        let engine = Engine::open(directory.path()).options(options()).idempotency(window);
        engine.aggregate::<Purse>().start().expect("an engine")
    };
    let known = |engine: &Engine, number: u64| {
        let pay = engine.command::<Purse>(9_u64, Pay { units: 10_000, to: 9 });
        let answer = pay.idempotency_key(number.to_le_bytes()).call();
        // All others are refused for want of units.
        !matches!(answer, Err(CommandError::Rejected { duplicate: false, .. }))
    };
    let engine = open();
    pay(&engine, &mut Random::new(5), 0..80, 5);
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let engine = open();
    pay(&engine, &mut Random::new(6), 80..150, 5);
    // 150 came: of the first 50 none is known, of the others all are.
    assert!(known(&engine, 149) && known(&engine, 50) && known(&engine, 80));
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let engine = open();
    assert!(known(&engine, 149) && known(&engine, 50) && known(&engine, 80));
    for forgotten in [49, 0, 30] {
        assert!(!known(&engine, forgotten), "{forgotten}");
    }
}

/// A clock that stands still until it is set.
#[derive(Debug, Clone, Default)]
struct Still(Arc<AtomicU64>);

impl Clock for Still {
    fn now(&mut self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A key is too old by the time that has passed, though no other one came that would have pushed it out;
/// by the log, or by a snapshot that has it.
#[test]
fn is_a_key_too_old_though_no_other_came() {
    const MS: u64 = 1_000_000;
    let window = IdempotencyWindow { age: Duration::from_secs(1), ..IdempotencyWindow::default() };
    for snapshots in [false, true] {
        let (directory, clock) = (scratch(), Still::default());
        let open = || {
            let options = options().clock(clock.clone());
            let engine = Engine::open(directory.path()).options(options).idempotency(window);
            engine.aggregate::<Purse>().start().expect("an engine")
        };
        // Whether it is answered as before, after so many milliseconds.
        let again = |engine: &Engine, later: u64| {
            clock.0.fetch_add(later * MS, Ordering::Relaxed);
            let pay = engine.command::<Purse>(1_u64, Pay { units: 1, to: 1 });
            pay.idempotency_key("once").call().expect("accepted").duplicate
        };
        let restart = |engine: Engine| {
            if snapshots {
                engine.snapshot().expect("taken");
            }
            engine.close().expect("closes");
            let engine = open();
            assert_eq!(engine.restart().snapshot.is_some(), snapshots);
            engine
        };
        let engine = open();
        assert!(!again(&engine, 5_000), "the first time");
        assert!(again(&engine, 900) && !again(&engine, 200), "1,100 ms later it is done again");
        let engine = restart(engine);
        assert!(again(&engine, 900) && !again(&engine, 200), "after a start as well");
        assert!(again(&engine, 900), "now the last one counts");
        // A start does not make it younger.
        let engine = restart(engine);
        assert!(!again(&engine, 200));
        let got = engine.ask::<Purse, _>(1_u64, |purse| purse.got).expect("told");
        assert_eq!(got, 4, "snapshots: {snapshots}");
        engine.close().expect("closes");
    }
}

#[test]
fn is_the_mark_read_by_others() {
    let (directory, _) = with_snapshot();
    // Cursors give all events, and the mark is none of them.
    let log = options().open_read_only(directory.path()).expect("opens");
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut count = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        count += 1;
        assert_eq!(event.sequence().get(), count);
    }
    assert_eq!(count, log.visible().0.get());
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let mut command = std::process::Command::new("python3");
    let Ok(output) = command.arg("-B").arg(reader).arg(directory.path()).output() else {
        println!("skipped: there is no python3");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

#[test]
fn is_no_snapshot_taken_of_nothing_and_raw_events_are_in_it() {
    let directory = scratch();
    let engine = open(directory.path());
    assert!(matches!(engine.snapshot(), Err(SnapshotTrouble::Nothing)));
    let stream = StreamKey::new("purse", 1_u64).expect("a key");
    let paid = Paid { units: 5, from: 1, to: 1 };
    let draft = Draft::new(paid).stream(stream, factlog::Expected::Any);
    engine.append(vec![draft]).expect("appended");
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let engine = open(directory.path());
    assert_eq!((engine.restart().folded, warm(&engine, 1).gave), (0, 5));
}
