//! Are events of earlier versions folded as what they are today, and never lost or guessed?

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use factlog::{
    Aggregate, AskError, Context, Engine, Event, Events, Expected, Meta, Newer, Options, Replica,
    Start, State, StreamKey, StreamVersion, SuspensionCause, Upcast, UpcastError, Upcasts,
    Vocabulary, Writer, render,
};
use factlog_tests::{Random, scratch};
use proptest::prelude::*;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.try_with(std::cell::Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Folding this panics, when the state has changed already.
const SPOILS: u64 = 777_777;

/// Version 1: whole units, in an integer that was too small.
#[factlog::event(name = "moved", version = 1)]
struct MovedV1 {
    units: u32,
}

/// Version 2: hundredths, and up or down by its sign.
#[factlog::event(name = "moved", version = 2)]
struct MovedV2 {
    hundredths: i64,
}

/// Version 3: two events instead of a sign.
#[factlog::event(name = "raised", version = 3)]
struct Raised {
    hundredths: u64,
}

#[factlog::event(name = "lowered", version = 3)]
struct Lowered {
    hundredths: u64,
}

/// Version 4, of which this program knows nothing.
#[factlog::event(name = "raised", version = 4)]
struct RaisedV4 {
    thousandths: u64,
}

#[factlog::vocabulary(earlier(MovedV1, MovedV2))]
enum LiftEvent {
    Raised(Raised),
    Lowered(Lowered),
}

impl Upcast<LiftEvent> for MovedV1 {
    fn upcast(old: &MovedV1View, newer: &mut Newer<'_, LiftEvent>) {
        assert_ne!(old.units(), 666, "a curse");
        // It knows the version after it only.
        newer.chain(&MovedV2 { hundredths: i64::from(old.units()) * 100 });
    }
}

impl Upcast<LiftEvent> for MovedV2 {
    fn upcast(old: &MovedV2View, newer: &mut Newer<'_, LiftEvent>) {
        let hundredths = old.hundredths().unsigned_abs();
        match old.hundredths() {
            // Nothing happened.
            0 => {}
            // In two steps, as lifts do.
            1.. => {
                newer.push(Raised { hundredths: hundredths / 2 });
                newer.push(Raised { hundredths: hundredths - hundredths / 2 });
            }
            _ => newer.push(Lowered { hundredths }),
        }
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Lift {
    height: i64,
    steps: u64,
}

impl State for Lift {
    const NAME: &'static str = "lift";
    type Key = u64;
    type Event = LiftEvent;

    fn evolve(&mut self, event: LiftEventView<'_>) {
        self.steps += 1;
        match event {
            LiftEventView::Raised(raised) => {
                self.height += raised.hundredths() as i64;
                assert_ne!(raised.hundredths(), SPOILS, "half of it is done");
            }
            LiftEventView::Lowered(lowered) => self.height -= lowered.hundredths() as i64,
        }
    }
}

#[factlog::event(name = "raise", version = 1)]
struct Raise {
    hundredths: u64,
}

impl Aggregate for Lift {
    type Command = Raise;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        &Raise { hundredths }: &Raise,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<LiftEvent>, String> {
        Ok(Events::one(Raised { hundredths }))
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20)
}

fn open(directory: &Path) -> Engine {
    Engine::open(directory).options(options()).aggregate::<Lift>().start().expect("an engine")
}

fn lift(engine: &Engine, key: u64) -> Lift {
    engine.ask::<Lift, _>(key, Lift::clone).expect("a state")
}

fn append(writer: &mut Writer, key: u64, event: &impl factlog::Encode) {
    let stream = StreamKey::new("lift", key).expect("a key");
    writer.append_with(event, Meta::new().stream(&stream, Expected::Any)).expect("appended");
}

/// Random events of all versions; the same facts in the newest, and how many stand in each stream.
fn mixed(directory: &Path, seed: u64) -> Vec<(Lift, u64)> {
    let mut random = Random::new(seed);
    let mut writer = options().open(directory).expect("opens");
    let mut expected = vec![(Lift::default(), 0); 5];
    for _ in 0..random.below(300) {
        let key = random.below(5);
        let units = random.below(50) as u32;
        let (lift, events) = &mut expected[key as usize];
        *events += 1;
        match random.below(4) {
            0 => {
                append(&mut writer, key, &MovedV1 { units });
                lift.height += i64::from(units) * 100;
                lift.steps += if units == 0 { 0 } else { 2 };
            }
            1 => {
                let hundredths = i64::from(units) - 20;
                append(&mut writer, key, &MovedV2 { hundredths });
                lift.height += hundredths;
                lift.steps += match hundredths {
                    0 => 0,
                    1.. => 2,
                    _ => 1,
                };
            }
            2 => {
                append(&mut writer, key, &Raised { hundredths: units.into() });
                lift.height += i64::from(units);
                lift.steps += 1;
            }
            _ => {
                append(&mut writer, key, &Lowered { hundredths: units.into() });
                lift.height -= i64::from(units);
                lift.steps += 1;
            }
        }
    }
    writer.close().expect("closes");
    expected
}

#[test]
fn are_all_versions_folded_as_the_newest() {
    for seed in 1..=40 {
        let directory = scratch();
        let expected = mixed(directory.path(), seed);
        let engine = open(directory.path());
        let end = engine.log().visible().0;
        let replica = Replica::of(engine.log()).state::<Lift>().start().expect("a replica");
        replica.at_least(end, Duration::from_secs(30)).expect("in time");
        for (key, (expected, events)) in (0..).zip(&expected) {
            assert_eq!(&lift(&engine, key), expected, "seed {seed}");
            let there = replica.with::<Lift, _>(&key, Lift::clone).expect("a state");
            assert_eq!(&there, expected, "seed {seed}");
            // A stream counts what is stored, whatever that becomes.
            let stream = StreamKey::new("lift", key).expect("a key");
            assert_eq!(engine.log().stream_version(&stream).get(), *events);
        }
        // What is decided now goes on from there.
        let receipt = engine.call::<Lift>(0, Raise { hundredths: 5 }).expect("accepted");
        assert_eq!(receipt.version, StreamVersion::new(expected[0].1 + 1));
        let Lift { height, steps } = expected[0].0;
        let after = Lift { height: height + 5, steps: steps + 1 };
        assert_eq!(lift(&engine, 0), after);
        // A panic spoils the state, and has the instance folded anew: earlier versions as well.
        assert!(engine.call::<Lift>(0, Raise { hundredths: SPOILS }).is_err());
        assert_eq!(lift(&engine, 0), after, "seed {seed}");
        let receipt = engine.call::<Lift>(0, Raise { hundredths: 6 }).expect("accepted");
        assert_eq!(receipt.version, StreamVersion::new(expected[0].1 + 2));
        // The same after a restart, in which nothing of the command is left.
        engine.close().expect("closes");
        let after = Lift { height: height + 11, steps: steps + 2 };
        assert_eq!(lift(&open(directory.path()), 0), after, "seed {seed}");
    }
}

/// A fact in a version, and for which lift.
#[derive(Debug, Clone, Copy)]
enum Fact {
    Units(u32),
    Signed(i64),
    Up(u64),
    Down(u64),
}

fn facts() -> impl Strategy<Value = Vec<(u64, Fact)>> {
    let fact = prop_oneof![
        (0..500_u32).prop_map(Fact::Units),
        (-500..500_i64).prop_map(Fact::Signed),
        (0..500_u64).prop_map(Fact::Up),
        (0..500_u64).prop_map(Fact::Down),
    ];
    proptest::collection::vec((0..3_u64, fact), 0..80)
}

impl Fact {
    fn append(self, writer: &mut Writer, key: u64) {
        match self {
            Self::Units(units) => append(writer, key, &MovedV1 { units }),
            Self::Signed(hundredths) => append(writer, key, &MovedV2 { hundredths }),
            Self::Up(hundredths) => append(writer, key, &Raised { hundredths }),
            Self::Down(hundredths) => append(writer, key, &Lowered { hundredths }),
        }
    }

    /// The same, written in the newest version by hand.
    fn append_newest(self, writer: &mut Writer, key: u64) {
        let signed = match self {
            Self::Units(units) => i64::from(units) * 100,
            Self::Signed(hundredths) => hundredths,
            Self::Up(_) | Self::Down(_) => return self.append(writer, key),
        };
        if signed > 0 {
            let half = signed.unsigned_abs() / 2;
            append(writer, key, &Raised { hundredths: half });
            append(writer, key, &Raised { hundredths: signed.unsigned_abs() - half });
        } else if signed < 0 {
            append(writer, key, &Lowered { hundredths: signed.unsigned_abs() });
        }
    }
}

/// The lifts of a log, as an engine and as a replica have them.
fn lifts(facts: &[(u64, Fact)], put: fn(Fact, &mut Writer, u64)) -> Vec<[Lift; 2]> {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    facts.iter().for_each(|(key, fact)| put(*fact, &mut writer, *key));
    writer.close().expect("closes");
    let engine = open(directory.path());
    let replica = Replica::of(engine.log()).state::<Lift>().start().expect("a replica");
    replica.at_least(engine.log().visible().0, Duration::from_secs(30)).expect("in time");
    let there = |key: u64| replica.with::<Lift, _>(&key, Lift::clone).expect("a state");
    (0..3).map(|key| [lift(&engine, key), there(key)]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn is_a_mixed_log_what_the_newest_would_be(facts in facts()) {
        let mixed = lifts(&facts, Fact::append);
        prop_assert!(mixed.iter().all(|[live, replica]| live == replica));
        prop_assert_eq!(mixed, lifts(&facts, Fact::append_newest));
    }
}

#[test]
fn does_a_reader_see_the_newest() {
    let directory = scratch();
    let expected = mixed(directory.path(), 7);
    let log = options().open_read_only(directory.path()).expect("opens");
    let mut upcasts = Upcasts::new();
    let (mut height, mut steps) = (0, 0);
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    while let Some(event) = cursor.next_event().expect("readable") {
        let seen = event.newest::<LiftEvent>(&mut upcasts, |view| match view {
            LiftEventView::Raised(raised) => height += raised.hundredths() as i64,
            LiftEventView::Lowered(lowered) => height -= lowered.hundredths() as i64,
        });
        steps += u64::from(seen.expect("made newer").expect("known"));
    }
    assert_eq!(height, expected.iter().map(|(lift, _)| lift.height).sum::<i64>());
    assert_eq!(steps, expected.iter().map(|(lift, _)| lift.steps).sum::<u64>());
}

/// Fixed sizes: the first one has its space made, and nothing else allocates.
#[test]
fn does_making_newer_allocate_nothing() {
    let directory = scratch();
    mixed(directory.path(), 9);
    let log = options().open_read_only(directory.path()).expect("opens");
    let mut upcasts = Upcasts::new();
    let mut read = || {
        let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
        let mut height = 0_i64;
        COUNTS.set(true);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        while let Some(event) = cursor.next_event().expect("readable") {
            let seen = event.newest::<LiftEvent>(&mut upcasts, |view| match view {
                LiftEventView::Raised(raised) => height += raised.hundredths() as i64,
                LiftEventView::Lowered(lowered) => height -= lowered.hundredths() as i64,
            });
            seen.expect("made newer");
        }
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
        COUNTS.set(false);
        (height, allocated)
    };
    let (height, first) = read();
    let (again, second) = read();
    assert_eq!(height, again);
    assert!(first > 0, "the allocator counts");
    assert_eq!(second, 0);
}

#[test]
fn is_what_cannot_be_made_newer_suspended_alone() {
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    append(&mut writer, 1, &MovedV1 { units: 3 });
    append(&mut writer, 2, &MovedV1 { units: 666 });
    append(&mut writer, 3, &RaisedV4 { thousandths: 1 });
    append(&mut writer, 1, &MovedV1 { units: 4 });
    drop(writer);
    let engine = open(directory.path());
    assert_eq!(lift(&engine, 1).height, 700);
    let cause = |key: u64| match engine.ask::<Lift, _>(key, Lift::clone) {
        Err(AskError::Suspended(why)) => why.cause,
        other => panic!("{other:?}"),
    };
    assert!(matches!(cause(2), SuspensionCause::Panicked(said) if said.contains("a curse")));
    assert_eq!(cause(3), SuspensionCause::Unknown { name: "raised".into(), version: 4 });
}

/// Two earlier versions that become each other: a mistake that must not end the process.
#[test]
fn are_versions_that_become_each_other_told() {
    #[factlog::event(name = "looped", version = 1)]
    struct LoopedV1 {}
    #[factlog::event(name = "looped", version = 2)]
    struct LoopedV2 {}
    #[factlog::vocabulary(earlier(LoopedV1, LoopedV2))]
    enum LoopEvent {
        Raised(Raised),
    }
    impl Upcast<LoopEvent> for LoopedV1 {
        fn upcast(_: &LoopedV1View, newer: &mut Newer<'_, LoopEvent>) {
            newer.chain(&LoopedV2 {});
        }
    }
    impl Upcast<LoopEvent> for LoopedV2 {
        fn upcast(_: &LoopedV2View, newer: &mut Newer<'_, LoopEvent>) {
            newer.chain(&LoopedV1 {});
        }
    }
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    append(&mut writer, 1, &LoopedV1 {});
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    let made = event.newest::<LoopEvent>(&mut Upcasts::new(), |_| panic!("there is none"));
    assert_eq!(made, Err(UpcastError::Circular));
}

#[test]
fn are_earlier_versions_among_the_types() {
    let names: Vec<_> = LiftEvent::types().iter().map(|one| (one.name(), one.version())).collect();
    assert_eq!(names, [("raised", 3), ("lowered", 3), ("moved", 1), ("moved", 2)]);
    // So drift of an earlier version is found when a log is opened.
    mod other {
        #[factlog::event(name = "moved", version = 1)]
        pub(super) struct MovedV1 {
            pub(super) units: u64,
        }
    }
    let directory = scratch();
    let mut writer = options().open(directory.path()).expect("opens");
    append(&mut writer, 1, &other::MovedV1 { units: 3 });
    drop(writer);
    let refused = Engine::open(directory.path()).options(options()).aggregate::<Lift>().start();
    let said = refused.expect_err("drift").to_string();
    assert!(said.contains("moved"), "{said}");
    assert_ne!(other::MovedV1::static_type().fingerprint(), MovedV1::static_type().fingerprint());
}

/// The types of this file are released: they stand in a file that is committed, with an archive of
/// each. If this fails, somebody has changed an event, or how events are archived.
#[test]
fn are_released_versions_what_they_were() {
    factlog::schema_lock!("golden/versions.schema", LiftEvent, Raise);
    let golden = |name: &str, event: &dyn Dynamic| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/versions").join(name);
        // A new version gets its file where the schema gets its line.
        if !path.exists() && std::env::var_os("FACTLOG_SCHEMA").is_some() {
            std::fs::write(&path, event.archive()).expect("written");
        }
        let bytes = std::fs::read(&path).expect("a golden file");
        assert_eq!(bytes, event.archive(), "{name} is archived otherwise now");
        // What tools show of it, from its description alone.
        let mut shown = String::new();
        let description = event.of().description().expect("described");
        render(description, &bytes, &mut shown, 4096).expect("valid");
        let path = path.with_extension("json");
        if !path.exists() && std::env::var_os("FACTLOG_SCHEMA").is_some() {
            std::fs::write(&path, format!("{shown}\n")).expect("written");
        }
        let expected = std::fs::read_to_string(path).expect("a golden file");
        assert_eq!(expected.trim_end(), shown, "{name} is shown otherwise now");
        let mut space = vec![0_u128; bytes.len().div_ceil(16)];
        bytemuck::cast_slice_mut::<_, u8>(&mut space)[..bytes.len()].copy_from_slice(&bytes);
        (space, bytes.len())
    };
    let mut heights = Vec::new();
    let mut upcasts = Upcasts::new();
    let events: [(&str, &dyn Dynamic); 4] = [
        ("moved-1", &MovedV1 { units: 7 }),
        ("moved-2", &MovedV2 { hundredths: -35 }),
        ("raised-3", &Raised { hundredths: 21 }),
        ("lowered-3", &Lowered { hundredths: 22 }),
    ];
    for (name, event) in events {
        let of = event.of();
        let (space, len) = golden(name, event);
        let payload = &bytemuck::cast_slice::<_, u8>(&space)[..len];
        let mut lift = Lift::default();
        match LiftEvent::view(of.key(), payload).expect("valid") {
            Some(view) => lift.evolve(view),
            None => {
                let mut see = |view: LiftEventView<'_>| lift.evolve(view);
                let made = LiftEvent::upcast(of.key(), payload, &mut upcasts, &mut see);
                made.expect("valid").expect("known");
            }
        }
        heights.push((lift.height, lift.steps));
    }
    assert_eq!(heights, [(700, 2), (-35, 1), (21, 1), (-22, 1)]);
}

/// Some event.
trait Dynamic {
    fn of(&self) -> &'static factlog::EventType;
    fn archive(&self) -> Vec<u8>;
}

impl<E: Event> Dynamic for E {
    fn of(&self) -> &'static factlog::EventType {
        E::static_type()
    }

    fn archive(&self) -> Vec<u8> {
        let mut space = [0_u128; 16];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
        let len = self.encode(bytes, &mut factlog::Scratch::new()).expect("it fits");
        bytes[..len].to_vec()
    }
}
