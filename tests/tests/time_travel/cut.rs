//! What is still told of a log of which retention has dropped the beginning.

use std::fs;
use std::path::{Path, PathBuf};

use factlog::{
    Aggregate, Context, Engine, Events, History, Moment, Options, Retention, Sequence, Snapshots,
    Start, State, StoredState,
};
use factlog_tests::scratch;

use crate::world::{Account, Owner, OwnerEvent, OwnerEventView, Rename, Steps, history, open};

/// The same owner, in a program that stored it otherwise.
#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Older {
    changes: u64,
}

impl State for Older {
    const NAME: &'static str = "owner";
    type Key = String;
    type Event = OwnerEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(77);

    fn evolve(&mut self, _: OwnerEventView<'_>) {
        self.changes += 1;
    }
}

impl Aggregate for Older {
    type Command = Rename;
    type Reply = ();
    type Rejection = String;

    fn decide(&self, _: &Rename, _: &mut Context<'_, Self>) -> Result<Events<OwnerEvent>, String> {
        Ok(Events::none())
    }
}

fn rename(engine: &Engine, count: u64, len: usize) {
    for _ in 0..count {
        let name = "n".repeat(len);
        engine.command::<Owner>("long", Rename { name }).call().expect("accepted");
    }
}

/// Something happens to the owner.
fn renamed(directory: &Path, clock: &Steps, count: u64, len: usize) {
    let engine = open(directory, clock);
    rename(&engine, count, len);
    engine.close().expect("closes");
}

/// A snapshot of the older program: its file.
fn outdated(directory: &Path) -> (Sequence, PathBuf) {
    let snapshots = Snapshots::on_request().bytes_per_second(None).keep(100);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    let engine = engine.aggregate::<Account>().aggregate::<Older>().start().expect("an engine");
    let taken = engine.snapshot().expect("taken").sequence;
    engine.close().expect("closes");
    (taken, directory.join("snapshots").join(format!("{:020}.img", taken.get())))
}

fn options() -> Options {
    Options::new().segment_size(4 << 20)
}

/// Snapshots that are of no use say nothing; those behind them do.
#[test]
fn is_what_made_it_so_found_behind_snapshots_of_no_use() {
    // Retention drops what comes before both of them; or they are mapped when it drops them too.
    for mapped in [false, true] {
        let (directory, clock) = (scratch(), Steps::default());
        let path = directory.path();
        let fill = |now: bool| renamed(path, &clock, if now { 300 } else { 10 }, 20_000);
        fill(!mapped);
        let first = outdated(path);
        renamed(path, &clock, 10, 5);
        let second = outdated(path);
        fill(mapped);
        let engine = open(path, &clock);
        let taken = engine.snapshot().expect("taken").sequence;
        rename(&engine, 10, 5);
        engine.close().expect("closes");
        let writer = options().open(path).expect("opens");
        let mut history = history(&writer.log());
        let last = history.state::<Owner>("long", taken).expect("a state").state.changes;
        let mut made_so = || {
            let why = history.why_monotone::<Owner>("long", |owner| owner.changes >= last + 5);
            assert_eq!(why.expect("readable").expect("an event").sequence, taken.after(5));
        };
        if mapped {
            made_so();
        }
        // They would hold what follows them.
        let aside = |path: &PathBuf| path.with_extension("aside");
        for (_, file) in [&first, &second] {
            fs::rename(file, aside(file)).expect("aside");
        }
        writer.retain(&Retention::keep_from(taken)).expect("retained");
        for (_, file) in [&first, &second] {
            fs::rename(aside(file), file).expect("back");
        }
        let oldest = writer.log().cursor(Start::Oldest).expect("a cursor").next_sequence();
        assert!(oldest > Sequence::FIRST && oldest <= taken, "{oldest}");
        assert_eq!([first.0, second.0].map(|at| at.after(1) < oldest), [mapped; 2], "{oldest}");
        made_so();
    }
}

/// A history that is open does not know the snapshot that was taken since; what is older is dropped.
#[test]
fn is_a_snapshot_found_that_was_taken_since() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    rename(&engine, 300, 20_000);
    let asked = |mut history: History| {
        history.state::<Account>(1_u64, Moment::Now).expect("a state");
        history
    };
    let [mut one, mut all, mut why] = [(); 3].map(|()| asked(history(engine.log())));
    // Where its events stand is known already.
    one.state::<Owner>("long", Moment::Now).expect("a state");
    let mut stepped = asked(history(engine.log()));
    let mut stepper = stepped.stepper(Moment::Now).expect("a stepper");
    let taken = engine.snapshot().expect("taken").sequence;
    rename(&engine, 2, 5);
    for _ in 0..2 {
        stepper.forwards().expect("readable").expect("an event");
    }
    engine.retain(&Retention::keep_from(taken)).expect("retained");
    let oldest = engine.log().cursor(Start::Oldest).expect("a cursor").next_sequence();
    assert!(oldest > Sequence::FIRST, "{oldest}");
    for at in [Moment::Now, Moment::Sequence(taken)] {
        let past = one.state::<Owner>("long", at).expect("a state");
        assert_eq!(past.snapshot, Some(taken));
    }
    let mut image = all.as_of(Moment::Now).expect("an image");
    assert_eq!((image.snapshot(), image.suspensions().len()), (Some(taken), 0));
    let changes = image.with::<Owner, _>("long", |owner| owner.changes).expect("a state");
    let cause = why.why_monotone::<Owner>("long", |owner| owner.changes >= changes);
    assert_eq!(cause.expect("readable").expect("an event").sequence, taken.after(2));
    stepper.backwards().expect("readable").expect("an event");
    let seen = stepper.image().with::<Owner, _>("long", |owner| owner.changes);
    assert_eq!(seen.expect("a state"), changes - 1);
}
