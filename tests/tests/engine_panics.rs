//! What is left of a frame in which the user's code panics where nobody expects it: nothing.
//!
//! Deciding and folding may panic, and fail alone (`aggregates.rs`). Here it is what surrounds them:
//! the commands' own iterator, the default of a state, the clock.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use factlog::{
    Aggregate, Clock, CommandError, Context, Durability, Engine, Events, Expected, Failure,
    LocalCommand, LocalEngine, Meta, Options, Replica, ReplicaError, Sequence, Snapshots, State,
    StoredState, StreamKey, SystemClock,
};
use factlog_tests::scratch;

const LONG: Duration = Duration::from_secs(60);

#[factlog::event(name = "add", version = 1)]
#[derive(Debug, Clone)]
struct Add {
    units: u64,
}

#[factlog::event(name = "added", version = 1)]
#[derive(Debug)]
struct Added {
    units: u64,
}

#[factlog::vocabulary]
enum SumEvent {
    Added(Added),
}

thread_local! {
    /// Whether the next default of a state panics: in this thread.
    static FRAGILE: Cell<bool> = const { Cell::new(false) };
}

/// When so many units are added, the next default panics.
const BREAK: u64 = 77;

/// When so many are, folding it panics, and then the next default.
const BOOM: u64 = 666;

#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
struct Sum {
    units: u64,
    times: u64,
}

impl Default for Sum {
    fn default() -> Self {
        assert!(!FRAGILE.take(), "there is no default");
        Self { units: 0, times: 0 }
    }
}

impl State for Sum {
    const NAME: &'static str = "sum";
    type Key = u64;
    type Event = SumEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: SumEventView<'_>) {
        let SumEventView::Added(added) = event;
        self.units += added.units();
        if added.units() == BOOM {
            FRAGILE.set(true);
            panic!("boom");
        }
        self.times += 1;
    }
}

impl Aggregate for Sum {
    type Command = Add;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Add { units }: &Add,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<SumEvent>, String> {
        if units == BREAK {
            FRAGILE.set(true);
        }
        context.reply(self.units + units);
        Ok(Events::one(Added { units }))
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).durability(Durability::None)
}

fn local(directory: &Path) -> LocalEngine {
    Engine::open(directory).options(options()).aggregate::<Sum>().start_local().expect("opened")
}

/// All states, folded by a thread that knows nothing of the engine.
fn cold(log: &factlog::Log) -> BTreeMap<u64, Sum> {
    let replica = Replica::of(log).state::<Sum>().start().expect("a replica");
    replica.at_least(log.visible().0, LONG).expect("in time");
    let mut all = BTreeMap::new();
    let mut note = |key: &u64, sum: &Sum| {
        all.insert(*key, sum.clone());
    };
    replica.for_each::<Sum>(&mut note).expect("held");
    all
}

fn command(number: u64, units: u64) -> LocalCommand<Sum> {
    LocalCommand::new(number, Add { units }).idempotency_key(number.to_le_bytes())
}

/// The frame in the making goes, with states and keys; those before it stay.
#[test]
fn is_nothing_left_of_a_frame_whose_commands_panic() {
    for at in [0, 1, 31, 32, 33, 40, 200, 5_000] {
        let directory = scratch();
        let mut engine = local(directory.path());
        engine.call::<Sum>(1_000_000, Add { units: 5 }).expect("accepted");
        let mut answered = 0;
        let commands = (0..10_000).map(|number| {
            assert!(number != at, "no command {number}");
            command(number, 1)
        });
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            engine.call_all::<Sum>(commands, |verdict| {
                verdict.expect("accepted");
                answered += 1;
            });
        }));
        assert!(panicked.is_err(), "{at}");
        // What was answered is in the log, and nothing else is.
        assert_eq!(engine.last().get(), 1 + answered, "{at}");
        for key in 0..300 {
            let units = engine.look::<Sum, _>(key, |sum| sum.units).expect("a state");
            assert_eq!(units, u64::from(key < answered), "{at}, {key}");
        }
        // All are sent again: those that were answered are known, the others are done.
        let mut known = 0;
        engine.call_all::<Sum>((0..300).map(|number| command(number, 1)), |verdict| {
            known += u64::from(verdict.expect("accepted").duplicate);
        });
        assert_eq!(known, answered.min(300), "{at}");
        let all = cold(engine.log());
        assert_eq!(all.len() as u64, 1 + answered.max(300), "{at}");
        drop(engine);
        let mut engine = local(directory.path());
        for key in 0..300 {
            assert_eq!(engine.look::<Sum, _>(key, Sum::clone).expect("a state"), all[&key]);
        }
    }
}

#[test]
fn is_nothing_left_of_a_command_whose_state_has_no_default() {
    let directory = scratch();
    let mut engine = local(directory.path());
    engine.call::<Sum>(1, Add { units: 5 }).expect("accepted");
    let commands = || [command(1, 1), command(2, BREAK), command(3, 1)];
    let mut answered = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        engine.call_all::<Sum>(commands(), |_| answered += 1);
    }));
    assert!(panicked.is_err() && answered == 0);
    assert_eq!(engine.last().get(), 1);
    assert_eq!(engine.look::<Sum, _>(1, |sum| sum.times).expect("a state"), 1);
    // In an engine with a thread of its own the commands of that frame fail, and it goes on.
    drop(engine);
    let engine = Engine::open(directory.path()).options(options());
    let engine = engine.aggregate::<Sum>().start().expect("an engine");
    let failed = engine.command::<Sum>(2, Add { units: BREAK }).idempotency_key("a").call();
    match failed {
        Err(CommandError::Failed(Failure::Panicked(said))) => {
            assert!(said.contains("no default"), "{said}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.log().visible().0.get(), 1);
    let reply = engine.call::<Sum>(1, Add { units: 1 }).expect("accepted").reply;
    assert_eq!(reply, Some(6));
    assert_eq!(cold(engine.log())[&1], Sum { units: 6, times: 2 });
}

/// What was spoilt has to be folded anew, and that panics, too: nobody sees what is left.
#[test]
fn is_a_state_that_cannot_be_folded_anew_used_no_more() {
    let directory = scratch();
    let mut engine = local(directory.path());
    engine.call::<Sum>(1, Add { units: 5 }).expect("accepted");
    let mut verdicts = Vec::new();
    engine.call_all::<Sum>([command(1, BOOM)], |verdict| verdicts.push(verdict));
    assert!(matches!(verdicts[..], [Err(CommandError::Failed(Failure::Panicked(_)))]));
    let seen = engine.look::<Sum, _>(1, Sum::clone);
    assert!(seen.is_err(), "{seen:?}");
    let refused = engine.call::<Sum>(1, Add { units: 1 });
    assert!(matches!(refused, Err(CommandError::Failed(Failure::Unreadable(_)))), "{refused:?}");
    drop(engine);
    let mut engine = local(directory.path());
    assert_eq!(engine.look::<Sum, _>(1, |sum| sum.units).expect("a state"), 5);
    assert_eq!(engine.call::<Sum>(1, Add { units: 1 }).expect("accepted").reply, Some(6));
}

/// A clock that panics when it is told to.
struct Told(Arc<AtomicBool>, SystemClock);

impl Clock for Told {
    fn now(&mut self) -> u64 {
        assert!(!self.0.load(Ordering::Relaxed), "the clock has stopped");
        self.1.now()
    }
}

/// Runs it in a thread of its own; nothing if it takes too long.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(LONG).ok()
}

#[test]
fn does_a_snapshot_have_an_answer_though_the_clock_panics() {
    let directory = scratch();
    let stopped = Arc::new(AtomicBool::new(false));
    let clock = Told(Arc::clone(&stopped), SystemClock);
    let engine = Engine::open(directory.path()).options(options().clock(clock));
    let engine = engine.snapshots(Snapshots::on_request().bytes_per_second(None));
    let engine = Arc::new(engine.aggregate::<Sum>().start().expect("an engine"));
    engine.call::<Sum>(1, Add { units: 5 }).expect("accepted");
    stopped.store(true, Ordering::Relaxed);
    let asked = Arc::clone(&engine);
    let taken = in_time(move || asked.snapshot()).expect("an answer").expect("taken");
    assert_eq!(taken.sequence.get(), 1);
    // The engine goes on.
    let failed = engine.call::<Sum>(1, Add { units: 1 });
    assert!(matches!(failed, Err(CommandError::Failed(Failure::Panicked(_)))), "{failed:?}");
    stopped.store(false, Ordering::Relaxed);
    assert_eq!(engine.call::<Sum>(1, Add { units: 1 }).expect("accepted").reply, Some(6));
}

/// Whether there is a default of this one, in any thread.
static BRITTLE: AtomicBool = AtomicBool::new(false);

struct Brittle;

impl Default for Brittle {
    fn default() -> Self {
        assert!(!BRITTLE.load(Ordering::Relaxed), "there is no default");
        Self
    }
}

impl State for Brittle {
    const NAME: &'static str = "brittle";
    type Key = u64;
    type Event = SumEvent;

    fn evolve(&mut self, _: SumEventView<'_>) {}
}

#[test]
fn does_a_replica_say_that_its_thread_has_panicked() {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("a log");
    let replica = Replica::of(&writer.log()).state::<Brittle>().start().expect("a replica");
    let mut append = |key: u64| {
        let stream = StreamKey::new("brittle", key).expect("a name");
        let meta = Meta::new().stream(&stream, Expected::NEW);
        writer.append_with(&Added { units: 1 }, meta).expect("appended")
    };
    let first = append(1);
    replica.at_least(first, LONG).expect("in time");
    BRITTLE.store(true, Ordering::Relaxed);
    let second = append(2);
    match replica.at_least(second, LONG) {
        Err(ReplicaError::Stopped(why, at)) => {
            assert!(why.contains("no default") && at == first, "{why}, {at}");
        }
        other => panic!("{other:?}"),
    }
}

/// It changes before it panics.
#[derive(Debug, Default)]
struct HalfFolded(u64);

impl State for HalfFolded {
    const NAME: &'static str = "half";
    type Key = u64;
    type Event = SumEvent;

    fn evolve(&mut self, event: SumEventView<'_>) {
        let SumEventView::Added(added) = event;
        self.0 += added.units();
        assert!(added.units() != BREAK, "half of it is folded");
    }
}

#[test]
fn does_a_replica_show_nothing_that_is_half_folded() {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("a log");
    let replica = Replica::of(&writer.log()).state::<HalfFolded>().start().expect("a replica");
    let mut last = Sequence::ZERO;
    for (key, units) in [(1, 1), (2, 5), (1, BREAK)] {
        let stream = StreamKey::new("half", key).expect("a name");
        let meta = Meta::new().stream(&stream, Expected::Any);
        last = writer.append_with(&Added { units }, meta).expect("appended");
    }
    replica.at_least(last, LONG).expect("in time");
    let one = replica.with::<HalfFolded, _>(&1, |state| state.0);
    assert!(matches!(one, Err(ReplicaError::Suspended(_))), "{one:?}");
    let mut all = Vec::new();
    let seen = replica.for_each::<HalfFolded>(|key, state| all.push((*key, state.0)));
    assert_eq!((seen.expect("held"), all), (last, vec![(2, 5)]));
}
