//! A state that is stored by hand, and panics there: that is told, and the engine goes on.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use factlog::{
    Aggregate, AskError, Context, Engine, Events, SnapshotTrouble, Snapshots, State, Stored,
    StoredState,
};
use factlog_tests::scratch;

use crate::kept::{Add, Added};
use crate::purse::options;

#[factlog::vocabulary]
enum OddEvent {
    Added(Added),
}

/// A sum that cannot be stored, and one that cannot be restored.
const NOT_STORED: u64 = 13;
const NOT_RESTORED: u64 = 17;

/// Whether there is no default.
static FRAGILE: AtomicBool = AtomicBool::new(false);

/// Had by whoever depends on there being one.
static ALONE: Mutex<()> = Mutex::new(());

#[derive(Debug)]
struct Odd(u64);

impl Default for Odd {
    fn default() -> Self {
        assert!(!FRAGILE.load(Ordering::Relaxed), "there is no default");
        Self(0)
    }
}

impl Stored for Odd {
    fn store(
        &self,
        out: &mut [u8],
        scratch: &mut factlog::Scratch,
    ) -> Result<usize, factlog::EncodeError> {
        assert!(self.0 != NOT_STORED, "not that one");
        self.0.store(out, scratch)
    }

    fn restore(bytes: &[u8]) -> Result<Self, factlog::ViewError> {
        let sum = u64::restore(bytes)?;
        assert!(sum != NOT_RESTORED, "nor this");
        Ok(Self(sum))
    }

    fn fingerprint() -> u64 {
        1
    }
}

impl State for Odd {
    const NAME: &'static str = "odd";
    type Key = u64;
    type Event = OddEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: OddEventView<'_>) {
        let OddEventView::Added(added) = event;
        self.0 += added.amount();
    }
}

impl Aggregate for Odd {
    type Command = Add;
    type Reply = ();
    type Rejection = String;

    fn decide(&self, add: &Add, _: &mut Context<'_, Self>) -> Result<Events<OddEvent>, String> {
        Ok(Events::one(Added { amount: add.amount, fill: Vec::new() }))
    }
}

fn open(directory: &Path) -> Engine {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    engine.aggregate::<Odd>().start().expect("an engine")
}

fn add(engine: &Engine, key: u64, amount: u64) {
    engine.call::<Odd>(key, Add { amount }).expect("accepted");
}

fn sum(engine: &Engine, key: u64) -> Result<u64, AskError> {
    engine.ask::<Odd, _>(key, |odd| odd.0)
}

#[test]
fn is_a_panic_where_a_state_is_stored_told() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = scratch();
    let engine = open(directory.path());
    add(&engine, 1, 5);
    add(&engine, 2, NOT_STORED);
    for replica in [false, true] {
        let taken = if replica {
            let replica = engine.replica(Snapshots::on_request()).start().expect("a replica");
            let end = engine.log().visible().0;
            replica.at_least(end, std::time::Duration::MAX).expect("in time");
            let taken = replica.snapshot();
            // It goes on, too.
            assert_eq!(replica.with::<Odd, _>(&1, |odd| odd.0).expect("a state"), 5);
            add(&engine, 3, 1);
            let end = engine.log().visible().0;
            replica.at_least(end, std::time::Duration::MAX).expect("in time");
            taken
        } else {
            engine.snapshot()
        };
        match taken {
            Err(SnapshotTrouble::Panicked("odd", said)) => assert!(said.contains("not that one")),
            other => panic!("{other:?}"),
        }
    }
    add(&engine, 2, 1);
    engine.snapshot().expect("taken");
    assert_eq!(sum(&engine, 2).expect("a state"), NOT_STORED + 1);
    engine.close().expect("closes");
}

#[test]
fn is_a_state_folded_from_the_log_where_restoring_it_panics() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = scratch();
    let engine = open(directory.path());
    for amount in [10, NOT_RESTORED - 10] {
        add(&engine, 1, amount);
    }
    add(&engine, 2, 5);
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let engine = open(directory.path());
    assert!(engine.restart().snapshot.is_some());
    // It has to be made anew, and that panics as well.
    FRAGILE.store(true, Ordering::Relaxed);
    let asked = sum(&engine, 1);
    FRAGILE.store(false, Ordering::Relaxed);
    assert!(matches!(asked, Err(AskError::Lost)), "{asked:?}");
    assert_eq!(sum(&engine, 1).expect("a state"), NOT_RESTORED);
    assert_eq!(sum(&engine, 2).expect("a state"), 5);
    add(&engine, 1, 1);
    assert_eq!(sum(&engine, 1).expect("a state"), NOT_RESTORED + 1);
    engine.close().expect("closes");
}
