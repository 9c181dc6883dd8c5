//! Does a stepper show the image as of where it is, whichever way it came?

use factlog::{Expected, History, Meta, Moment, PastImage, Sequence, Step};
use factlog_tests::{Random, scratch};

use crate::world::{Account, Steps, history, open, work};

#[test]
fn is_the_image_the_same_from_both_sides() {
    let mut random = Random::from_environment("stepper");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..3 {
        work(&engine, &clock, &mut random, 120);
        engine.snapshot().expect("taken");
    }
    let end = engine.log().visible().0;
    let mut expected = history(engine.log());
    let mut hashes = Vec::new();
    for sequence in 0..=end.get() {
        let image = expected.as_of(Sequence::new(sequence)).expect("an image");
        hashes.push(image.state_hash().expect("stored"));
    }
    let mut history = history(engine.log());
    let mut stepper = history.stepper(Sequence::ZERO).expect("a stepper");
    let mut steps: Vec<Step> = Vec::new();
    while let Some(step) = stepper.forwards().expect("readable") {
        assert_eq!(step.sequence, stepper.at());
        let hash = stepper.image().state_hash().expect("stored");
        assert_eq!(hash, hashes[step.sequence.get() as usize], "forwards, {}", step.sequence);
        assert!(!step.streams.is_empty() && step.streams[0].1.get() > 0);
        steps.push(step);
    }
    assert_eq!(stepper.at(), end);
    // All the way back, through all snapshots.
    while let Some(step) = stepper.backwards().expect("readable") {
        assert_eq!(Some(&step), steps.get(step.sequence.get() as usize - 1));
        let hash = stepper.image().state_hash().expect("stored");
        assert_eq!(hash, hashes[step.sequence.get() as usize - 1], "backwards, {}", step.sequence);
    }
    assert_eq!(stepper.at(), Sequence::ZERO);
    // To and fro, and jumps.
    for _ in 0..400 {
        match random.below(12) {
            0 => {
                let to = Sequence::new(random.below(end.get() + 1));
                stepper.go_to(to).expect("there");
                assert_eq!(stepper.at(), to);
            }
            1..6 => drop(stepper.forwards().expect("readable")),
            _ => drop(stepper.backwards().expect("readable")),
        }
        let hash = stepper.image().state_hash().expect("stored");
        assert_eq!(hash, hashes[stepper.at().get() as usize], "{}", stepper.at());
        assert!(!stepper.image().moment().open_ended);
    }
}

/// From a snapshot back to before what stands in it: what had no event yet is not in the image, however
/// one asks.
#[test]
fn is_what_was_taken_back_to_nothing_not_in_the_image() {
    let mut random = Random::from_environment("stepper, back to nothing");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..3 {
        work(&engine, &clock, &mut random, 60);
        engine.snapshot().expect("taken");
    }
    work(&engine, &clock, &mut random, 20);
    let end = engine.log().visible().0;
    let mut expected = history(engine.log());
    let mut history = history(engine.log());
    let mut stepper = history.stepper(end).expect("a stepper");
    let accounts = |image: &PastImage| {
        let mut all = Vec::new();
        let each = |key: &u64, account: &Account| all.push((*key, account.clone()));
        image.for_each::<Account>(each).expect("readable");
        all
    };
    loop {
        let at = stepper.at();
        let there = expected.as_of(at).expect("an image");
        let here = stepper.image();
        assert!(accounts(here) == accounts(&there), "as of {at}");
        let hash = there.state_hash().expect("stored");
        assert_eq!(here.state_hash().expect("stored"), hash, "{at}");
        there.diff(here, |one| panic!("as of {at}: {one:?}")).expect("described");
        if stepper.backwards().expect("readable").is_none() {
            break;
        }
    }
    assert_eq!((stepper.at(), accounts(stepper.image())), (Sequence::ZERO, Vec::new()));
}

#[test]
fn does_it_stop_where_it_is_told_to() {
    let mut random = Random::from_environment("stepper, breaks");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut random, 300);
    let end = engine.log().visible().0;
    let mut other = history(engine.log());
    let mut history = history(engine.log());
    let mut stepper = history.stepper(Sequence::ZERO).expect("a stepper");
    let cents = |image: &mut PastImage| {
        image.with::<Account, _>(3_u64, |account| account.cents).expect("a state")
    };
    let stopped = stepper.break_when(|_, image| cents(image) < -50).expect("readable");
    let expected = other.why::<Account>(3_u64, |account| account.cents < -50).expect("readable");
    assert_eq!(stopped.as_ref().map(|step| step.sequence), expected.map(|cause| cause.sequence));
    if let Some(step) = stopped {
        assert_eq!(stepper.at(), step.sequence);
        let shown = stepper.event().expect("readable").expect("shown");
        assert!(shown.contains("\"cents\""), "{shown}");
        // Back to where it was not so yet: the very event is taken back.
        let back = stepper.break_when_back(|_, image| cents(image) >= -50).expect("readable");
        assert_eq!(back, Some(step));
    }
    assert_eq!(stepper.break_when(|_, _| false).expect("readable"), None);
    assert_eq!(stepper.at(), end);
    assert_eq!(stepper.break_when_back(|_, _| false).expect("readable"), None);
    assert_eq!(stepper.at(), Sequence::ZERO);
}

#[factlog::event(name = "from-the-future", version = 1)]
struct FromTheFuture {}

/// Over an event that nobody knows: its instance is suspended behind it, and is not before it.
#[test]
fn is_a_suspended_instance_so_only_behind_that_event() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut Random::new(4), 100);
    engine.close().expect("closes");
    let mut writer = factlog::Options::new().open(directory.path()).expect("opens");
    let stream = factlog::StreamKey::new("account", 3_u64).expect("a key");
    let meta = Meta::new().stream(&stream, Expected::Any);
    let unknown = writer.append_with(&FromTheFuture {}, meta).expect("appended");
    writer.append(&FromTheFuture {}).expect("appended");
    let mut history = History::of(&writer.log()).state::<Account>().open();
    let mut stepper = history.stepper(Moment::Now).expect("a stepper");
    let suspended = |stepper: &mut factlog::Stepper<'_>| stepper.image().suspensions().len();
    assert_eq!(suspended(&mut stepper), 1);
    for round in 0..2 {
        let back = stepper.break_when_back(|step, _| step.sequence == unknown).expect("readable");
        assert!(back.is_some(), "{round}");
        assert_eq!(suspended(&mut stepper), 0);
        assert_eq!(stepper.forwards().expect("readable").expect("an event").sequence, unknown);
        assert_eq!(suspended(&mut stepper), 1);
    }
}
