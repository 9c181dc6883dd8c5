//! A stream of which it is not kept where all its events stand.

use std::path::Path;

use factlog::{
    Aggregate, Context, Durability, Engine, Events, Expected, History, Meta, Moment, Options,
    Retention, Sequence, Snapshots, State, StoredState, StreamKey,
};
use factlog_tests::{Random, scratch};

#[factlog::event(name = "ticked", version = 1)]
struct Ticked {
    by: u64,
}

#[factlog::vocabulary]
enum TickEvent {
    Ticked(Ticked),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Ticks {
    count: u64,
    sum: u64,
}

impl State for Ticks {
    const NAME: &'static str = "ticks";
    type Key = u64;
    type Event = TickEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: TickEventView<'_>) {
        let TickEventView::Ticked(ticked) = event;
        self.count += 1;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(ticked.by());
    }
}

impl Aggregate for Ticks {
    type Command = Ticked;
    type Reply = ();
    type Rejection = String;

    fn decide(&self, _: &Ticked, _: &mut Context<'_, Self>) -> Result<Events<TickEvent>, String> {
        Ok(Events::none())
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20).durability(Durability::None)
}

/// Ticks for one stream, a few of them for another one.
fn tick(directory: &Path, from: u64, count: u64) {
    let mut writer = options().open(directory).expect("opens");
    let stream = StreamKey::new("ticks", 1_u64).expect("a key");
    let other = StreamKey::new("ticks", 2_u64).expect("a key");
    for begin in (from..from + count).step_by(500) {
        let mut transaction = writer.begin().expect("begun");
        for by in begin..begin + 500 {
            let to = if by % 100 == 99 { &other } else { &stream };
            let meta = Meta::new().stream(to, Expected::Any);
            transaction.append_with(&Ticked { by }, meta).expect("appended");
        }
        transaction.commit().expect("committed");
    }
    writer.close().expect("closes");
}

fn take_snapshot(directory: &Path) {
    let snapshots = Snapshots::on_request().bytes_per_second(None).keep(100);
    let options = Options::new().segment_size(4 << 20);
    let engine = Engine::open(directory).options(options).snapshots(snapshots);
    let engine = engine.aggregate::<Ticks>().start().expect("an engine");
    engine.snapshot().expect("taken");
    engine.close().expect("closes");
}

/// As of each event, by arithmetic: which of the two streams, what it had summed up.
fn model(end: u64) -> Vec<[Ticks; 2]> {
    let mut at = [Ticks::default(), Ticks::default()];
    let mut all = vec![at.clone()];
    for by in 0..end {
        let one = &mut at[usize::from(by % 100 == 99)];
        one.count += 1;
        one.sum = one.sum.wrapping_mul(31).wrapping_add(by);
        all.push(at.clone());
    }
    all
}

#[test]
fn are_questions_about_a_long_stream_answered_from_near() {
    const STEP: u64 = 10_000;
    const END: u64 = 120_000;
    let mut random = Random::from_environment("a long stream");
    let directory = scratch();
    for from in (0..END).step_by(STEP as usize) {
        tick(directory.path(), from, STEP);
        take_snapshot(directory.path());
    }
    let model = model(END);
    let log = options().open_read_only(directory.path()).expect("opens");
    assert_eq!(log.visible().0.get(), END);
    let mut history = History::of(&log).state::<Ticks>().open();
    const QUESTIONS: u64 = 100;
    for _ in 0..QUESTIONS {
        let at = random.below(END + 1);
        let key = 1 + u64::from(random.below(8) == 0);
        let past = history.state::<Ticks>(key, Sequence::new(at)).expect("a state");
        assert_eq!(past.state, model[at as usize][key as usize - 1], "{key} as of {at}");
        assert_eq!(past.version.get(), past.state.count);
        assert!(past.folded < STEP, "{past:?}");
    }
    // Each part was gone through once; from then on it is gone back from a mark, of which there is one
    // at every 64th event, to the snapshot. From the end it would be some 60,000 each time.
    let looked_for = history.counts().looked_for;
    assert!(looked_for < END + QUESTIONS * (64 + STEP), "{looked_for}");
    // The same moment again costs nothing.
    let at = Sequence::new(77_777);
    history.state::<Ticks>(1_u64, at).expect("a state");
    let before = history.counts();
    history.state::<Ticks>(1_u64, at).expect("a state");
    assert_eq!(history.counts().looked_for, before.looked_for);
}

/// Without snapshots there is more to fold than is kept: it is read one by one.
#[test]
fn is_a_long_stream_without_snapshots_folded_all_the_same() {
    const END: u64 = 80_000;
    let directory = scratch();
    tick(directory.path(), 0, END);
    let model = model(END);
    let log = options().open_read_only(directory.path()).expect("opens");
    let mut history = History::of(&log).state::<Ticks>().open();
    for at in [END, 70_001, 66_000, 10, END] {
        let past = history.state::<Ticks>(1_u64, Sequence::new(at)).expect("a state");
        assert_eq!(past.state, model[at as usize][0], "as of {at}");
        let past = history.state::<Ticks>(2_u64, Sequence::new(at)).expect("a state");
        assert_eq!(past.state, model[at as usize][1], "as of {at}");
    }
    let cut = |event: TickEventView<'_>| {
        let TickEventView::Ticked(ticked) = event;
        ticked.by() < 73_456
    };
    let found = history.partition_point::<Ticks>(1_u64, cut).expect("readable");
    assert_eq!(found.get(), 73_457);
    let why = history.why::<Ticks>(1_u64, |ticks| ticks.count == 70_000).expect("readable");
    assert_eq!(why.expect("an event").version.get(), 70_000);
    let now = history.state::<Ticks>(1_u64, Moment::Now).expect("a state");
    assert_eq!(now.state, model[END as usize][0]);
}

#[factlog::event(name = "padded", version = 1)]
struct Padded {
    with: String,
}

/// A snapshot has the state, what comes before it is dropped, and a long stream follows: what is gone is
/// not needed.
#[test]
fn is_what_a_snapshot_has_told_though_what_comes_before_is_dropped() {
    const MORE: u64 = 33_000;
    let directory = scratch();
    tick(directory.path(), 0, 1_000);
    let mut writer = options().open(directory.path()).expect("opens");
    for _ in 0..300 {
        writer.append(&Padded { with: "p".repeat(20_000) }).expect("appended");
    }
    writer.close().expect("closes");
    take_snapshot(directory.path());
    tick(directory.path(), 1_000, MORE + 1_000);
    let writer = options().open(directory.path()).expect("opens");
    let taken = Sequence::new(1_300);
    writer.retain(&Retention::keep_from(taken)).expect("retained");
    let log = writer.log();
    let oldest = log.cursor(factlog::Start::Oldest).expect("a cursor").next_sequence();
    assert!(oldest > Sequence::new(1_000) && oldest <= taken, "{oldest}");
    let model = model(MORE + 2_000);
    for at in [0, 1, 5, MORE / 2, MORE] {
        let mut history = History::of(&log).state::<Ticks>().open();
        let past = history.state::<Ticks>(1_u64, taken.after(at)).expect("a state");
        assert_eq!(past.state, model[(1_000 + at) as usize][0], "{at} events behind the snapshot");
        // Asked again by the same one, from both ends.
        for at in [0, MORE, 0] {
            let past = history.state::<Ticks>(1_u64, taken.after(at)).expect("a state");
            assert_eq!(past.state, model[(1_000 + at) as usize][0], "then {at} events behind it");
        }
    }
}
