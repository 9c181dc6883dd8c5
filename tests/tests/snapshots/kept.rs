//! Does retention leave what a restart needs: the tail of a snapshot, keys, what no snapshot has?

use std::fs;
use std::path::Path;

use factlog::{
    Aggregate, CommandError, Context, Draft, Engine, Events, Expected, Failure, Fork, Meta,
    RetainError, Retention, Snapshots, State, StoredState, StreamKey, SuspensionCause,
};
use factlog_tests::scratch;

use crate::purse::{FromTheFuture, options};

#[factlog::event(name = "add", version = 1)]
pub(crate) struct Add {
    pub(crate) amount: u64,
}

#[factlog::event(name = "added", version = 1)]
pub(crate) struct Added {
    pub(crate) amount: u64,
    pub(crate) fill: Vec<u8>,
}

#[factlog::vocabulary]
pub(crate) enum TallyEvent {
    Added(Added),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Tally {
    pub(crate) sum: u64,
    pub(crate) count: u64,
}

/// An amount at which the fold panics.
const BOOM: u64 = 666;

impl State for Tally {
    const NAME: &'static str = "tally";
    type Key = u64;
    type Event = TallyEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: TallyEventView<'_>) {
        let TallyEventView::Added(added) = event;
        self.sum += added.amount();
        assert!(added.amount() != BOOM, "boom");
        self.count += 1;
    }
}

impl Aggregate for Tally {
    type Command = Add;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Add { amount }: &Add,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<TallyEvent>, String> {
        context.reply(self.sum + amount);
        Ok(Events::one(Added { amount, fill: vec![1; 2_000] }))
    }
}

pub(crate) const KEYS: u64 = 40;

pub(crate) fn start(directory: &Path) -> Engine {
    let snapshots = Snapshots::on_request().bytes_per_second(None);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    engine.aggregate::<Tally>().start().expect("an engine")
}

/// Some segments full, each command with its key.
pub(crate) fn fill(engine: &Engine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let add = engine.command::<Tally>(number % KEYS, Add { amount: 1 + number % 7 });
        add.idempotency_key(number.to_le_bytes()).call().expect("accepted");
    }
    engine.log().wait_durable(engine.log().visible().0, std::time::Duration::MAX).expect("durable");
}

pub(crate) fn all(engine: &Engine) -> Vec<Tally> {
    (0..KEYS).map(|key| engine.ask::<Tally, _>(key, Tally::clone).expect("a state")).collect()
}

pub(crate) const PART: u64 = 5_000;

#[test]
fn is_nothing_dropped_that_a_restart_needs() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    // Nothing but the log knows the state.
    let held = engine.retain(&Retention::keep_segments(1)).expect("asked");
    assert_eq!((held.dropped, held.held.map(factlog::Sequence::get)), (0, Some(1)));
    let first = engine.snapshot().expect("taken");
    assert_eq!((first.left_out, first.instances), (0, KEYS));
    fill(&engine, PART..2 * PART);
    let second = engine.snapshot().expect("taken");
    assert_eq!(second.instances, KEYS, "keys of commands are none");
    fill(&engine, 2 * PART..3 * PART);
    // Both are kept, and what follows the first one.
    let dropped = engine.retain(&Retention::keep_segments(1)).expect("retained");
    assert!(dropped.dropped > 0 && dropped.oldest <= first.sequence, "{dropped:?}");
    assert_eq!(dropped.held, Some(first.sequence.after(1)));
    let expected = all(&engine);

    // What is folded anew in this process comes from a snapshot too.
    let failed = engine.call::<Tally>(3_u64, Add { amount: BOOM });
    assert!(matches!(failed, Err(CommandError::Failed(Failure::Panicked(_)))), "{failed:?}");
    assert_eq!(all(&engine), expected);
    engine.close().expect("closes");

    let check = |wanted: factlog::Sequence| {
        let engine = start(directory.path());
        assert_eq!(engine.restart().snapshot, Some(wanted), "{:?}", engine.restart());
        assert_eq!(all(&engine), expected);
        // Every key has its answer, also those whose commands are gone from the log.
        let before = engine.log().visible().0;
        for number in (0..3 * PART).step_by(97) {
            let add = engine.command::<Tally>(number % KEYS, Add { amount: 1 + number % 7 });
            let again = add.idempotency_key(number.to_le_bytes()).call().expect("accepted");
            assert!(again.duplicate, "{number}");
        }
        assert_eq!(engine.log().visible().0, before);
        engine
    };
    check(second.sequence).close().expect("closes");
    // A writer that knows nothing of states leaves what the newest snapshot needs.
    let writer = options().open(directory.path()).expect("opens");
    let held = writer.retain(&Retention::keep_segments(1)).expect("retained");
    assert!(held.oldest <= second.sequence && held.held == Some(second.sequence.after(1)));
    writer.close().expect("closes");
    check(second.sequence).close().expect("closes");
}

#[test]
fn is_the_older_snapshot_good_when_the_newest_is_lost() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    let first = engine.snapshot().expect("taken");
    fill(&engine, PART..2 * PART);
    let second = engine.snapshot().expect("taken");
    assert!(engine.retain(&Retention::keep_segments(1)).expect("retained").dropped > 0);
    let expected = all(&engine);
    engine.close().expect("closes");
    let name = format!("snapshots/{:020}.img", second.sequence.get());
    fs::remove_file(directory.path().join(name)).expect("gone");
    let engine = start(directory.path());
    assert_eq!(engine.restart().snapshot, Some(first.sequence));
    assert_eq!(all(&engine), expected);
    // The next one is the only one again.
    fill(&engine, 2 * PART..3 * PART);
    let held = engine.retain(&Retention::keep_segments(1)).expect("asked");
    assert!(held.oldest <= first.sequence && held.held == Some(first.sequence.after(1)));
}

#[test]
fn is_the_history_of_a_suspended_instance_kept() {
    let directory = scratch();
    let engine = start(directory.path());
    let stream = StreamKey::new("tally", 3_u64).expect("a name");
    fill(&engine, 0..100);
    let future = vec![Draft::new(FromTheFuture {}).stream(stream.clone(), Expected::Any)];
    engine.append(future).expect("appended");
    fill_others(&engine, PART);
    let taken = engine.snapshot().expect("taken");
    assert_eq!(taken.left_out, 1);
    let nothing = |engine: &Engine| {
        let held = engine.retain(&Retention::keep_segments(1)).expect("asked");
        assert_eq!((held.dropped, held.held.map(factlog::Sequence::get)), (0, Some(1)));
    };
    nothing(&engine);
    engine.close().expect("closes");
    let engine = start(directory.path());
    assert!(engine.restart().snapshot.is_some());
    nothing(&engine);
    engine.close().expect("closes");
    // Nor does a writer drop it that knows nothing of states.
    let mut writer = options().open(directory.path()).expect("opens");
    let held = writer.retain(&Retention::keep_segments(1)).expect("asked");
    assert_eq!((held.dropped, held.held.map(factlog::Sequence::get)), (0, Some(1)));
    // Without snapshots it does: it was told to.
    fs::remove_dir_all(directory.path().join("snapshots")).expect("gone");
    assert!(writer.retain(&Retention::keep_segments(1)).expect("retained").dropped > 0);
    writer.append_with(&FromTheFuture {}, Meta::new()).expect("appended");
    writer.close().expect("closes");
    // What is gone is gone, and holds nothing.
    let engine = start(directory.path());
    let refused = engine.call::<Tally>(3_u64, Add { amount: 1 });
    let Err(CommandError::Suspended(why)) = refused else { panic!("{refused:?}") };
    assert_eq!(why.cause, SuspensionCause::HistoryDropped);
    let taken = engine.snapshot().expect("taken");
    assert_eq!(taken.left_out, 0);
    let more = 100_000 + PART;
    for number in 100_000..more {
        engine.call::<Tally>(KEYS + number % 7, Add { amount: 1 }).expect("accepted");
    }
    engine.log().wait_durable(engine.log().visible().0, std::time::Duration::MAX).expect("durable");
    let taken = engine.snapshot().expect("taken");
    engine.call::<Tally>(KEYS, Add { amount: 1 }).expect("accepted");
    engine.snapshot().expect("taken");
    let dropped = engine.retain(&Retention::keep_segments(1)).expect("retained");
    assert!(dropped.dropped > 0 && dropped.oldest <= taken.sequence, "{dropped:?}");
}

fn fill_others(engine: &Engine, count: u64) {
    for number in 0..count {
        engine.call::<Tally>(4 + number % 9, Add { amount: 1 }).expect("accepted");
    }
    engine.log().wait_durable(engine.log().visible().0, std::time::Duration::MAX).expect("durable");
}

/// A fork has its origin's snapshots, and starts from them: a writer of it leaves what they need.
#[test]
fn is_nothing_dropped_that_a_restart_of_a_fork_needs() {
    let (here, there) = (scratch(), scratch());
    let (one, two) = (there.path().join("fork"), there.path().join("fork of it"));
    let engine = start(here.path());
    fill(&engine, 0..PART);
    let taken = engine.snapshot().expect("taken").sequence;
    fill(&engine, PART..2 * PART);
    let expected = all(&engine);
    Fork::of(engine.log()).create(&one).expect("a fork");
    engine.close().expect("closes");
    let fork = options().open(&one).expect("opens");
    Fork::of(&fork.log()).create(&two).expect("a fork of the fork");
    fork.close().expect("closes");
    for directory in [&one, &two] {
        let writer = options().open(directory).expect("opens");
        let held = writer.retain(&Retention::keep_segments(1)).expect("retained");
        assert!(held.dropped > 0 && held.oldest <= taken, "{held:?}");
        assert_eq!(held.held, Some(taken.after(1)));
        writer.close().expect("closes");
        let engine = start(directory);
        assert_eq!(engine.restart().snapshot, Some(taken), "{:?}", engine.restart());
        assert_eq!(all(&engine), expected);
        engine.close().expect("closes");
    }
}

/// Of a snapshot that cannot be read now nobody knows what it needs.
#[test]
fn is_nothing_dropped_while_snapshots_cannot_be_read() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    let taken = engine.snapshot().expect("taken").sequence;
    fill(&engine, PART..2 * PART);
    engine.close().expect("closes");
    let folder = directory.path().join("snapshots");
    let file = folder.join(format!("{:020}.img", taken.get()));
    let writer = options().open(directory.path()).expect("opens");
    let before = writer.log().stats().segments;
    // As if it could not be opened, listed: by whoever these tests are run.
    for path in [&file, &folder] {
        let aside = directory.path().join("aside");
        fs::rename(path, &aside).expect("moved");
        if path == &file {
            fs::create_dir(path).expect("something else");
        } else {
            fs::write(path, b"").expect("something else");
        }
        let refused = writer.retain(&Retention::keep_segments(1)).expect_err("nobody knows");
        let RetainError::Io(error) = &refused else { panic!("{refused}") };
        assert_eq!(error.path, *path, "{refused}");
        assert_eq!(writer.log().stats().segments, before);
        if path == &file {
            fs::remove_dir(path).expect("gone");
        } else {
            fs::remove_file(path).expect("gone");
        }
        fs::rename(&aside, path).expect("moved back");
    }
    let held = writer.retain(&Retention::keep_segments(1)).expect("retained");
    assert!(held.dropped > 0 && held.held == Some(taken.after(1)), "{held:?}");
}

/// What was made durable of names, and when the catalog got its own.
#[derive(Default)]
struct Order(std::sync::Mutex<Vec<std::path::PathBuf>>);

impl factlog::DiskObserver for Order {
    fn after(&self, operation: &factlog::DiskOperation<'_>) {
        let path = match operation {
            factlog::DiskOperation::SyncDirectory(path) => path,
            factlog::DiskOperation::Rename(_, to) => to,
            _ => return,
        };
        self.0.lock().expect("no panic").push(path.to_path_buf());
    }
}

/// A process may have been killed between giving a snapshot its name and making that durable: before
/// anything is dropped that the snapshot stands for, it is.
#[test]
fn is_the_name_of_a_snapshot_durable_before_the_log_goes() {
    let directory = scratch();
    let engine = start(directory.path());
    fill(&engine, 0..PART);
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
    let order = std::sync::Arc::new(Order::default());
    let writer = options().disk_observer(order.clone()).open(directory.path()).expect("opens");
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped > 0);
    let order = order.0.lock().expect("no panic");
    let at = |name: &str| order.iter().position(|path| *path == directory.path().join(name));
    let (snapshots, catalog) = (at("snapshots"), at("CATALOG").expect("there is one"));
    assert!(snapshots.is_some_and(|snapshots| snapshots < catalog), "{order:?}");
}
