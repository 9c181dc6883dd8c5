//! Instances that a snapshot leaves out, since they are suspended: is what they need kept, and found?

use std::fs;
use std::path::Path;

use factlog::{
    Aggregate, AskError, Context, Draft, Engine, Events, Expected, History, PassedOverReason,
    Retention, Sequence, Snapshots, State, StoredState, StreamKey,
};
use factlog_codec::{Sections, SnapshotHeader};
use factlog_tests::scratch;

use crate::kept::{Add, Added, KEYS, PART, Tally, all, fill, start};
use crate::purse::{FromTheFuture, files, options};

#[factlog::vocabulary]
enum LaterEvent {
    Added(Added),
    FromTheFuture(FromTheFuture),
}

/// A later program: it knows the event that the other one does not.
#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Later {
    sum: u64,
    count: u64,
}

/// What that event adds.
const FUTURE: u64 = 1_000_000;

impl State for Later {
    const NAME: &'static str = "tally";
    type Key = u64;
    type Event = LaterEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: LaterEventView<'_>) {
        match event {
            LaterEventView::Added(added) => {
                self.sum += added.amount();
                self.count += 1;
            }
            LaterEventView::FromTheFuture(_) => self.sum += FUTURE,
        }
    }
}

impl Aggregate for Later {
    type Command = Add;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        add: &Add,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<LaterEvent>, Self::Rejection> {
        Ok(Events::one(Added { amount: add.amount, fill: vec![2; 2_000] }))
    }
}

fn later(directory: &Path) -> Engine {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    engine.aggregate::<Later>().start().expect("an engine")
}

const SUSPENDED: u64 = 3;

fn seen(engine: &Engine, key: u64) -> Tally {
    let look = |later: &Later| Tally { sum: later.sum, count: later.count };
    engine.ask::<Later, _>(key, look).expect("a state")
}

/// A log that begins with a snapshot, and then has an event that the program does not know; what its
/// instances are to a program that does.
fn cut_and_suspended(directory: &Path) -> (Engine, Sequence, Vec<Tally>) {
    let engine = start(directory);
    fill(&engine, 0..PART);
    let whole = engine.snapshot().expect("taken").sequence;
    let mut expected = all(&engine);
    assert!(engine.retain(&Retention::keep_segments(1)).expect("retained").dropped > 0);
    let stream = StreamKey::new("tally", SUSPENDED).expect("a name");
    let future = vec![Draft::new(FromTheFuture {}).stream(stream, Expected::Any)];
    engine.append(future).expect("appended");
    expected[SUSPENDED as usize].sum += FUTURE;
    (engine, whole, expected)
}

/// Some more of another instance.
fn go_on(engine: &Engine, expected: &mut [Tally]) {
    for _ in 0..3_000 {
        engine.call::<Tally>(0_u64, Add { amount: 2 }).expect("accepted");
        expected[0].sum += 2;
        expected[0].count += 1;
    }
    engine.log().wait_durable(engine.log().visible().0, std::time::Duration::MAX).expect("durable");
}

fn is_there(directory: &Path, sequence: Sequence) -> bool {
    directory.join(format!("snapshots/{:020}.img", sequence.get())).exists()
}

fn check(engine: &Engine, expected: &[Tally]) {
    for (key, expected) in (0..KEYS).zip(expected) {
        assert_eq!(&seen(engine, key), expected, "{key}");
    }
}

#[test]
fn is_an_instance_found_in_the_snapshot_before_the_one_that_leaves_it_out() {
    let directory = scratch();
    let (engine, whole, mut expected) = cut_and_suspended(directory.path());
    go_on(&engine, &mut expected);
    let lacking = engine.snapshot().expect("taken");
    assert_eq!(lacking.left_out, 1);
    engine.close().expect("closes");
    for _ in 0..2 {
        let engine = later(directory.path());
        assert_eq!(engine.restart().snapshot, Some(lacking.sequence));
        check(&engine, &expected);
        // The snapshot that it began with still leaves it out.
        let held = engine.retain(&Retention::keep_segments(1)).expect("asked");
        assert_eq!(held.dropped, 0, "{held:?}");
        // The past as well, of one instance and of all.
        let mut history = History::of(engine.log()).state::<Later>().open();
        let past = history.state::<Later>(SUSPENDED, lacking.sequence).expect("a past");
        assert_eq!(past.state.sum, expected[SUSPENDED as usize].sum);
        let mut past = history.as_of(lacking.sequence).expect("a past");
        let sum = past.with::<Later, _>(SUSPENDED, |later| later.sum).expect("a state");
        assert_eq!(sum, expected[SUSPENDED as usize].sum);
        engine.close().expect("closes");
    }
    let engine = later(directory.path());
    check(&engine, &expected);
    engine.call::<Later>(0_u64, Add { amount: 2 }).expect("accepted");
    expected[0].sum += 2;
    expected[0].count += 1;
    let taken = engine.snapshot().expect("taken");
    assert_eq!((taken.left_out, taken.instances), (0, KEYS));
    // If that one is lost, the two before it are needed still.
    assert!(is_there(directory.path(), whole), "{taken:?}");
    engine.retain(&Retention::keep_segments(1)).expect("asked");
    engine.close().expect("closes");
    fs::remove_file(files(directory.path()).pop().expect("one")).expect("gone");
    let engine = later(directory.path());
    assert_eq!(engine.restart().snapshot, Some(lacking.sequence));
    check(&engine, &expected);
}

#[test]
fn does_the_last_snapshot_that_is_whole_stay_while_others_leave_out_instances() {
    let directory = scratch();
    let (engine, whole, mut expected) = cut_and_suspended(directory.path());
    for _ in 0..4 {
        go_on(&engine, &mut expected);
        let taken = engine.snapshot().expect("taken");
        assert_eq!(taken.left_out, 1);
        assert!(is_there(directory.path(), whole), "{taken:?}");
        engine.retain(&Retention::keep_segments(1)).expect("asked");
    }
    // Of those that leave it out no more are kept than otherwise.
    assert_eq!(files(directory.path()).len(), 3);
    engine.close().expect("closes");
    let engine = later(directory.path());
    check(&engine, &expected);
    for _ in 0..2 {
        engine.call::<Later>(0_u64, Add { amount: 2 }).expect("accepted");
        assert_eq!(engine.snapshot().expect("taken").left_out, 0);
    }
    assert_eq!(files(directory.path()).len(), 2);
}

/// Who is left out cannot be read: nobody knows then whose state is missing.
#[test]
fn is_a_snapshot_passed_over_that_cannot_say_whom_it_leaves_out() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..100);
    let stream = StreamKey::new("tally", SUSPENDED).expect("a name");
    let future = vec![Draft::new(FromTheFuture {}).stream(stream, Expected::Any)];
    engine.append(future).expect("appended");
    assert_eq!(engine.snapshot().expect("taken").left_out, 1);
    engine.close().expect("closes");
    let path = files(directory.path()).pop().expect("one");
    let mut bytes = fs::read(&path).expect("readable");
    let header = SnapshotHeader::decode(&bytes, bytes.len() as u64).expect("a header");
    let sections = Sections::new(header.index(&bytes).expect("an index"));
    let left_out = sections.map(|one| one.expect("good")).find(|one| one.name == "$left-out");
    let blocks = left_out.expect("there").blocks;
    let at = blocks.first().map(|block| block.offset as usize + block.len as usize / 2);
    bytes[at.expect("a block")] ^= 1;
    fs::write(&path, bytes).expect("written");
    let engine = start(directory.path());
    let asked = engine.ask::<Tally, _>(SUSPENDED, Tally::clone);
    assert!(matches!(asked, Err(AskError::Suspended(_))), "{asked:?}");
    let passed_over = &engine.restart().passed_over;
    assert!(
        matches!(&passed_over[..], [one] if matches!(one.reason, PassedOverReason::Instances(_))),
        "{passed_over:?}"
    );
}
