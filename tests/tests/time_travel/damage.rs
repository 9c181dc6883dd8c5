//! What if snapshots are damaged or of other logic, or retention has dropped the beginning?

use std::fs;
use std::path::{Path, PathBuf};

use factlog::{
    Engine, Expected, History, HistoryError, Meta, Moment, Options, PassedOverReason, Retention,
    Sequence, Start, State, StoredState, StreamKey, SuspensionCause, Writer,
};
use factlog_tests::{Random, scratch};

use crate::world::{
    ACCOUNTS, Account, AccountEvent, AccountEventView, Deposited, Last, Owner, Rename, Steps,
    Transferred, history, open, work,
};

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("snapshots")).expect("snapshots");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn states(history: &mut History, at: Sequence) -> Vec<Account> {
    let one = |key| history.state::<Account>(key, at).expect("a state").state;
    (0..ACCOUNTS).map(one).collect()
}

#[test]
fn are_damaged_snapshots_passed_over_and_the_past_is_the_same() {
    let mut random = Random::from_environment("time travel, damage");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..3 {
        work(&engine, &clock, &mut random, 150);
        engine.snapshot().expect("taken");
    }
    let end = engine.log().visible().0;
    let log = engine.log().clone();
    let mut sound = history(&log);
    let image = sound.as_of(end).expect("an image");
    let (hash, expected) = (image.state_hash().expect("stored"), states(&mut sound, end));
    assert_eq!(image.snapshot(), Some(end));
    let newest = files(directory.path()).pop().expect("a snapshot");
    let bytes = fs::read(&newest).expect("readable");
    let mut said = Vec::new();
    for round in 0..60 {
        let mut damaged = bytes.clone();
        match round {
            0 => damaged.truncate(bytes.len() / 2),
            1 => damaged.clear(),
            2 => damaged.extend_from_slice(&[0; 64]),
            _ => {
                let at = random.below(bytes.len() as u64) as usize;
                damaged[at] ^= 1 << random.below(8);
            }
        }
        // Another file under its name: the one before stays mapped by who has it.
        fs::remove_file(&newest).expect("removed");
        fs::write(&newest, &damaged).expect("written");
        let mut history = history(&log);
        let image = history.as_of(end).expect("an image");
        assert_eq!(image.state_hash().expect("stored"), hash, "round {round}");
        assert_eq!(states(&mut history, end), expected, "round {round}");
        if image.snapshot() != Some(end) {
            assert!(!history.passed_over().is_empty(), "round {round}");
            said.extend(history.passed_over().iter().map(|one| one.reason.to_string()));
        }
    }
    assert!(said.iter().any(|reason| reason.contains("instances")), "{said:?}");
    assert!(said.len() > 20, "{said:?}");
    // Gone altogether; and the one that had it mapped goes on.
    files(directory.path()).iter().for_each(|file| fs::remove_file(file).expect("removed"));
    let mut without = history(&log);
    let image = without.as_of(end).expect("an image");
    assert_eq!((image.state_hash().expect("stored"), image.snapshot()), (hash, None));
    assert_eq!(sound.as_of(end).expect("an image").snapshot(), Some(end));
    assert_eq!(states(&mut sound, end), expected);
}

/// The same name, and other logic: its snapshots are of no use, and its past is today's logic on the
/// facts of then.
#[test]
fn is_the_past_todays_logic_on_the_facts_of_then() {
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Counting {
        events: u64,
    }
    impl State for Counting {
        const NAME: &'static str = "account";
        type Key = u64;
        type Event = AccountEvent;
        const STORED: Option<StoredState<Self>> = StoredState::new(1);
        fn evolve(&mut self, _: AccountEventView<'_>) {
            self.events += 1;
        }
    }
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut Random::new(2), 200);
    engine.snapshot().expect("taken");
    let end = engine.log().visible().0;
    let mut history = History::of(engine.log()).state::<Counting>().open();
    let past = history.state::<Counting>(3_u64, end).expect("a state");
    assert_eq!((past.state.events, past.snapshot), (past.version.get(), None));
    assert!(past.state.events > 3);
    let reasons: Vec<_> = history.passed_over().iter().map(|one| &one.reason).collect();
    assert!(matches!(reasons.as_slice(), [PassedOverReason::Outdated("account")]), "{reasons:?}");
    let mut image = history.as_of(end).expect("an image");
    assert_eq!(image.snapshot(), None);
    let events = image.with::<Counting, _>(3_u64, |state| state.events).expect("a state");
    assert_eq!(events, past.state.events);
    // Asked again, it is not said again.
    history.state::<Counting>(4_u64, end).expect("a state");
    assert_eq!(history.passed_over().len(), 1);
}

/// Names that fill several segments of 4 MiB, for one owner.
fn fill(engine: &Engine, count: u64) {
    for _ in 0..count {
        let name = "n".repeat(20_000);
        engine.command::<Owner>("long", Rename { name }).call().expect("accepted");
    }
}

/// Opens for writing what an engine has closed.
fn reopened(engine: Engine, directory: &Path) -> Writer {
    engine.close().expect("closes");
    Options::new().segment_size(4 << 20).open(directory).expect("opens")
}

/// Drops what it may; the oldest event that is left.
fn drop_before(writer: &Writer, at: Sequence) -> Sequence {
    writer.retain(&Retention::keep_from(at)).expect("retained");
    let cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    cursor.next_sequence()
}

#[test]
fn is_what_retention_has_dropped_told_unless_a_snapshot_has_it() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    let mut random = Random::new(9);
    work(&engine, &clock, &mut random, 100);
    fill(&engine, 700);
    let taken = engine.snapshot().expect("taken").sequence;
    fill(&engine, 200);
    let writer = reopened(engine, directory.path());
    let log = writer.log();
    let end = log.visible().0;
    let mut before = history(&log);
    let (early, hash) =
        (states(&mut before, end), before.as_of(end).expect("an image").state_hash());
    drop(before);
    let oldest = drop_before(&writer, taken);
    assert!(oldest > Sequence::FIRST && oldest <= taken, "{oldest} {taken}");

    let mut history = history(&log);
    // With the snapshot everything from it on is as it was.
    assert_eq!(states(&mut history, end), early);
    let image = history.as_of(end).expect("an image");
    assert_eq!((image.snapshot(), image.state_hash()), (Some(taken), hash));
    let filled = history.state::<Owner>("long", taken.after(10)).expect("a state");
    assert_eq!((filled.folded, filled.snapshot), (10, Some(taken)));
    // Before it, and behind the floor: nobody knows any more.
    for gone in [Sequence::FIRST, oldest.before().before()] {
        let image = history.as_of(gone);
        assert!(matches!(image, Err(HistoryError::BeforeOldest(at)) if at == oldest), "{image:?}");
        let one = history.state::<Account>(1_u64, gone);
        assert!(matches!(one, Err(HistoryError::BeforeOldest(at)) if at == oldest), "{one:?}");
    }
    assert!(matches!(history.as_of(Moment::Time(1_000)), Err(HistoryError::BeforeOldest(_))));
    // Before everything there was nothing.
    let nothing = history.as_of(Sequence::ZERO).expect("an image");
    nothing.for_each::<Account>(|key, _| panic!("{key}")).expect("held");
    // Between floor and snapshot: what began before is not known, and said so.
    let between = Sequence::new(u64::midpoint(oldest.get(), taken.get()));
    let one = history.state::<Owner>("long", between);
    let dropped = |error: &HistoryError| matches!(error, HistoryError::Suspended(why) if why.cause == SuspensionCause::HistoryDropped);
    assert!(one.as_ref().is_err_and(dropped), "{one:?}");
    let mut image = history.as_of(between).expect("an image");
    let one = image.with::<Owner, _>("long", Owner::clone);
    assert!(one.as_ref().is_err_and(dropped), "{one:?}");
    let why = history.why::<Owner>("long", |owner| owner.changes > 70);
    assert!(why.as_ref().is_err_and(dropped), "{why:?}");
    // What holds ever after is found all the same, if it was not so in the snapshot.
    let late = filled.state.changes;
    let why = history.why_monotone::<Owner>("long", |owner| owner.changes >= late);
    assert_eq!(why.expect("readable").expect("an event").sequence, taken.after(10));
    let why = history.why_monotone::<Owner>("long", |owner| owner.changes >= 1);
    assert!(why.as_ref().is_err_and(dropped), "{why:?}");
    let mut stepper = history.stepper(taken.after(3)).expect("a stepper");
    let _ = stepper.break_when_back(|step, _| step.sequence == oldest).expect("readable");
    assert_eq!(stepper.backwards().expect("readable"), None);
    assert_eq!(
        stepper.image().with::<Owner, _>("nobody", |owner| owner.changes).expect("blank"),
        0
    );
}

/// Snapshots that stay mapped while retention goes on: what comes behind one was dropped meanwhile.
#[test]
fn is_a_snapshot_of_no_use_once_retention_has_passed_it() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    fill(&engine, 20);
    let taken = engine.snapshot().expect("taken").sequence;
    fill(&engine, 800);
    let writer = reopened(engine, directory.path());
    let log = writer.log();
    let end = log.visible().0;
    let mut history = history(&log);
    assert_eq!(history.as_of(Moment::Now).expect("an image").snapshot(), Some(taken));
    // A snapshot that is there holds what follows it; this one is only mapped.
    files(directory.path()).iter().for_each(|file| fs::remove_file(file).expect("removed"));
    let oldest = drop_before(&writer, end);
    assert!(oldest > taken.after(1), "{oldest} {taken}");
    let one = history.state::<Owner>("long", end);
    assert!(
        matches!(&one, Err(HistoryError::Suspended(why)) if why.cause == SuspensionCause::HistoryDropped),
        "{one:?}"
    );
    let image = history.as_of(end).expect("an image");
    assert_eq!(image.snapshot(), None);
    assert_eq!(image.suspensions().len(), 1);
    assert!(history.passed_over().iter().any(|one| matches!(one.reason, PassedOverReason::Behind)));
}

#[factlog::event(name = "from-the-future", version = 1)]
struct FromTheFuture {}

/// An instance that was suspended when a snapshot was taken is not in it. A later program knows its events,
/// and folds them from its stream: up to the moment, and no further.
#[test]
fn is_what_a_snapshot_leaves_out_folded_up_to_the_moment() {
    #[factlog::vocabulary]
    enum LaterEvent {
        Deposited(Deposited),
        Transferred(Transferred),
        FromTheFuture(FromTheFuture),
    }
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Later {
        cents: i64,
        last: Option<Last>,
        lines: Vec<String>,
    }
    impl State for Later {
        const NAME: &'static str = "account";
        type Key = u64;
        type Event = LaterEvent;
        const STORED: Option<StoredState<Self>> = StoredState::new(1);
        fn evolve(&mut self, event: LaterEventView<'_>) {
            if let LaterEventView::FromTheFuture(_) = event {
                self.cents += 1_000;
            }
        }
    }
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut Random::new(1), 50);
    let stream = StreamKey::new("account", 77_u64).expect("a key");
    let append = |writer: &mut Writer| {
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&FromTheFuture {}, meta).expect("appended")
    };
    let mut writer = reopened(engine, directory.path());
    append(&mut writer);
    writer.close().expect("closes");
    let engine = open(directory.path(), &clock);
    let taken = engine.snapshot().expect("taken").sequence;
    let mut writer = reopened(engine, directory.path());
    let second = append(&mut writer);
    let third = append(&mut writer);
    let mut history = History::of(&writer.log()).state::<Later>().state::<Owner>().open();
    for (at, thousands) in [(taken, 1), (second, 2), (third, 3), (second, 2)] {
        let mut image = history.as_of(at).expect("an image");
        assert_eq!(image.snapshot(), Some(taken));
        let cents = image.with::<Later, _>(77_u64, |later| later.cents).expect("a state");
        assert_eq!(cents, thousands * 1_000, "as of {at}");
        let one = history.state::<Later>(77_u64, at).expect("a state");
        assert_eq!(one.state.cents, cents);
    }
}
