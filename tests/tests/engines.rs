//! Do engines in one process share nothing, and do observers change nothing?
//!
//! Engines by key: each has a log, a thread and keys of its own. One is stopped where it would hold whatever
//! it held (in a decision, in a sync, in making a segment), and the others must go on. Observers: with none,
//! one and eight of them a log comes to the same frames, and each of them sees every state change, in
//! order.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use factlog::{
    Aggregate, AskError, CommandError, Context, DiskObserver, DiskOperation, Durability, Engine,
    EngineBuilder, Events, Failure, LocalCommand, Options, Replica, Sequence, SnapshotTrouble,
    Start, State, WaitStrategy, Waited,
};
use factlog_tests::surgery::wait_for_segments;
use factlog_tests::{Gate, Random, scratch, small};

#[factlog::event(name = "add", version = 1)]
struct Add {
    amount: u64,
}

#[factlog::event(name = "added", version = 1)]
struct Added {
    amount: u64,
}

#[factlog::vocabulary]
enum CounterEvent {
    Added(Added),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counter {
    sum: u64,
}

impl State for Counter {
    const NAME: &'static str = "counter";
    type Key = u64;
    type Event = CounterEvent;

    fn evolve(&mut self, event: CounterEventView<'_>) {
        let CounterEventView::Added(added) = event;
        self.sum = self.sum.wrapping_mul(3).wrapping_add(added.amount());
    }
}

/// At this amount a decision waits until it is let go.
const WAITS: u64 = u64::MAX;
static GATE: Gate = Gate::new();

impl Aggregate for Counter {
    type Command = Add;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Add { amount }: &Add,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CounterEvent>, String> {
        if amount == WAITS {
            GATE.pass();
        }
        context.reply(self.sum);
        Ok(Events::one(Added { amount }))
    }
}

/// Stops at one kind of operation on the disk, once it is armed.
#[derive(Debug)]
struct StopsAt {
    armed: AtomicU64,
    kind: &'static str,
    gate: Gate,
}

impl StopsAt {
    fn new(kind: &'static str) -> Arc<Self> {
        Arc::new(Self { armed: AtomicU64::new(0), kind, gate: Gate::new() })
    }
}

impl DiskObserver for StopsAt {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        let kind = match operation {
            DiskOperation::Sync(_) => "sync",
            DiskOperation::Create(_) => "create",
            _ => return Ok(()),
        };
        if kind == self.kind && self.armed.swap(0, Ordering::SeqCst) == 1 {
            self.gate.pass();
        }
        Ok(())
    }
}

fn engine(directory: &Path, options: Options) -> EngineBuilder {
    Engine::open(directory).options(options).aggregate::<Counter>()
}

/// The engine that has a key.
fn of(key: u64, engines: &[Engine]) -> &Engine {
    &engines[(key % engines.len() as u64) as usize]
}

/// One of four engines stands still in a decision; the others decide all that is theirs, and make it durable.
#[test]
fn does_an_engine_that_stands_still_hinder_no_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = |number: u64| {
        let options = small().durability(Durability::Group);
        engine(&directory.path().join(number.to_string()), options).start().expect("an engine")
    };
    let engines: Vec<_> = (0..4).map(open).collect();
    let stopped = engines[0].send::<Counter>(0, Add { amount: WAITS }).expect("sent");
    GATE.wait_reached();
    for key in (0..400).filter(|key| key % 4 != 0) {
        let accepted =
            of(key, &engines).call::<Counter>(key, Add { amount: key }).expect("accepted");
        assert!(accepted.durable);
    }
    // They close, and open again, and begin with new segments.
    let mut engines = engines;
    let others = engines.split_off(1);
    for (number, one) in (1..).zip(others) {
        assert_eq!(one.log().visible().0, Sequence::new(100));
        one.close().expect("closed");
        let again = open(number);
        assert_eq!(again.ask::<Counter, _>(number, |state| state.sum).expect("asked"), number);
        again.close().expect("closed");
    }
    assert_eq!(engines[0].log().visible().0, Sequence::ZERO, "it still stands");
    GATE.open();
    assert_eq!(stopped.wait().expect("accepted").first, Sequence::FIRST);
}

/// The same where the disk of one of them does not answer: to a sync, to the making of a segment.
#[test]
fn does_a_disk_that_does_not_answer_hinder_its_own_engine_only() {
    for (kind, durability, commands) in
        [("sync", Durability::Group, 60), ("create", Durability::None, 80_000)]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let stops = StopsAt::new(kind);
        let observed = small()
            .durability(durability)
            .disk_observer(Arc::clone(&stops) as Arc<dyn DiskObserver>);
        let slow = engine(&directory.path().join("slow"), observed).start().expect("an engine");
        let other = small().durability(Durability::Group);
        let quick = engine(&directory.path().join("quick"), other).start().expect("an engine");
        // What is synced from now on is the engine's.
        wait_for_segments(&directory.path().join("slow"), 2);
        stops.armed.store(1, Ordering::SeqCst);
        thread::scope(|scope| {
            let client = slow.client();
            let flood = scope.spawn(move || {
                // Many enough for several segments, where that is what stops.
                for number in 0..commands {
                    client.call::<Counter>(number % 7, Add { amount: number }).expect("accepted");
                }
            });
            stops.gate.wait_reached();
            for key in 0..300 {
                quick.call::<Counter>(key, Add { amount: 1 }).expect("accepted");
            }
            stops.gate.open();
            flood.join().expect("no panic");
        });
        assert_eq!(slow.log().visible().0, Sequence::new(commands));
        assert_eq!(quick.log().visible().0, Sequence::new(300), "{kind}");
        slow.close().expect("closed");
        quick.close().expect("closed");
    }
}

/// All commands of a run, the same for the same seed.
fn commands(seed: u64) -> Vec<(u64, u64)> {
    let mut random = Random::new(seed);
    (0..3_000).map(|_| (random.below(5), random.below(1_000))).collect()
}

/// What a cursor sees: each state of each key, as it comes to be.
fn observe(log: &factlog::Log, events: u64) -> Vec<(u64, u64, Counter)> {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut states = [Counter::default(); 5];
    let mut seen = Vec::new();
    while (seen.len() as u64) < events {
        for event in cursor.poll().expect("readable") {
            let event = event.expect("readable");
            let key = match event.stream().expect("one").key() {
                factlog::Key::U64(key) => *key,
                other => panic!("{other:?}"),
            };
            let state = &mut states[key as usize];
            state.evolve(event.view::<CounterEvent>().expect("valid").expect("one of it"));
            seen.push((event.sequence().get(), key, *state));
        }
        if (seen.len() as u64) < events {
            let waited = cursor.wait(WaitStrategy::Park, Duration::from_secs(60));
            assert_eq!(waited, Waited::Ready, "{} of {events}", seen.len());
        }
    }
    seen
}

/// With none, one and eight that follow, the publisher writes the same frames of the same bytes; each of them
/// sees every state as it came to be, and nothing else.
#[test]
fn do_observers_see_everything_and_change_nothing() {
    let seed = Random::from_environment("observed").next();
    let commands = commands(seed);
    let mut expected = Vec::new();
    let mut states = [Counter::default(); 5];
    for (number, (key, amount)) in (1..).zip(&commands) {
        let state = &mut states[*key as usize];
        state.sum = state.sum.wrapping_mul(3).wrapping_add(*amount);
        expected.push((number, *key, *state));
    }
    let mut published = Vec::new();
    for observers in [0, 1, 8] {
        let directory = tempfile::tempdir().expect("a directory");
        let mut engine = engine(directory.path(), small()).start_local().expect("an engine");
        let log = engine.log().clone();
        let replicas: Vec<_> = (0..observers.min(2))
            .map(|_| Replica::of(&log).state::<Counter>().start().expect("a replica"))
            .collect();
        thread::scope(|scope| {
            let followers: Vec<_> = (0..observers)
                .map(|_| scope.spawn(|| observe(&log, commands.len() as u64)))
                .collect();
            for batch in commands.chunks(17) {
                let all = batch.iter().map(|(key, amount)| {
                    LocalCommand::<Counter>::new(*key, Add { amount: *amount })
                });
                engine.call_all(all, |verdict| {
                    verdict.expect("accepted");
                });
            }
            for follower in followers {
                assert_eq!(follower.join().expect("no panic"), expected, "of {observers}");
            }
        });
        for replica in &replicas {
            replica.at_least(log.visible().0, Duration::from_secs(60)).expect("it comes to that");
            for (key, state) in (0..).zip(&states) {
                assert_eq!(replica.with::<Counter, _>(&key, |seen| *seen).expect("folded"), *state);
            }
        }
        let stats = log.stats();
        published.push((stats.events, stats.frames, stats.bytes));
        drop(replicas);
        engine.close().expect("closed");
    }
    assert!(published.windows(2).all(|pair| pair[0] == pair[1]), "{published:?}");
    assert_eq!(published[0].0, commands.len() as u64);
}

/// What asks the engine again, inside a question to it, would wait for the thread that it stops.
#[test]
fn is_a_question_inside_a_question_refused() {
    let directory = scratch();
    let (told, asked) = std::sync::mpsc::channel();
    let directory_path = directory.path().to_owned();
    thread::spawn(move || {
        let engine = Engine::open(&directory_path)
            .options(small())
            .aggregate::<Counter>()
            .start()
            .expect("starts");
        let elsewhere = scratch();
        let other = Engine::open(elsewhere.path())
            .options(small())
            .aggregate::<Counter>()
            .start()
            .expect("starts");
        let (client, others) = (engine.client(), other.client());
        let inside = move |_: &Counter| {
            let ask = client.ask::<Counter, _>(2_u64, |counter| counter.sum);
            assert!(matches!(ask, Err(AskError::Asking)), "{ask:?}");
            let read = client.read::<Counter, _>(2_u64, |counter| counter.sum);
            assert!(matches!(read, Err(AskError::Asking)));
            let call = client.call::<Counter>(2_u64, Add { amount: 1 });
            assert!(matches!(call, Err(CommandError::Failed(Failure::Asking))), "{call:?}");
            let append = client.append::<Added>(Vec::new());
            assert!(matches!(append, Err(Failure::Asking)), "{append:?}");
            assert!(matches!(client.snapshot(), Err(SnapshotTrouble::Busy)));
            // Another engine answers; and what nobody waits for is taken.
            let there = others.ask::<Counter, _>(2_u64, |counter| counter.sum).expect("answered");
            drop(client.send::<Counter>(2_u64, Add { amount: 5 }).expect("taken"));
            there
        };
        assert_eq!(engine.ask::<Counter, _>(1_u64, inside).expect("answered"), 0);
        let sum = engine.ask::<Counter, _>(2_u64, |counter| counter.sum).expect("answered");
        told.send(sum).expect("somebody waits");
    });
    assert_eq!(asked.recv_timeout(Duration::from_secs(60)).expect("nobody waits for itself"), 5);
}
