//! As of a thousand random points.

use factlog::{HistoryError, Moment, PastImage, Sequence};
use factlog_tests::{Random, scratch};

use crate::world::{
    ACCOUNTS, Account, Event, Model, NAMES, Owner, Steps, events, history, open, work,
};

fn model_of(image: &PastImage) -> Model {
    let mut model = Model::default();
    let mut keys = Vec::new();
    image
        .for_each::<Account>(|key, account| {
            keys.push(*key);
            model.accounts.insert(*key, account.clone());
        })
        .expect("held");
    assert!(keys.is_sorted(), "{keys:?}");
    let owners = |key: &String, owner: &Owner| {
        model.owners.insert(key.clone(), owner.clone());
    };
    image.for_each::<Owner>(owners).expect("held");
    model
}

/// Random moments, and how many events each takes in.
fn moments(random: &mut Random, all: &[Event], count: usize) -> Vec<(usize, Moment)> {
    let last = all.last().expect("one").ts;
    let moment = |_| {
        if random.below(2) == 0 {
            let sequence = random.below(all.len() as u64 + 1);
            (sequence as usize, Moment::Sequence(Sequence::new(sequence)))
        } else {
            // In between, before the first, behind the last, and exactly when a frame was committed.
            let time = match random.below(10) {
                0 => all[random.below(all.len() as u64) as usize].ts,
                1 => random.below(all[0].ts + 1),
                _ => random.below(last + last / 50),
            };
            (all.partition_point(|event| event.ts <= time), Moment::Time(time))
        }
    };
    let mut moments: Vec<_> = (0..count).map(moment).collect();
    moments.sort_by_key(|(events, _)| *events);
    moments
}

#[test]
fn is_the_image_at_a_thousand_points_the_fold_from_zero() {
    let mut random = Random::from_environment("time travel, images");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..6 {
        work(&engine, &clock, &mut random, 250);
        engine.snapshot().expect("taken");
    }
    work(&engine, &clock, &mut random, 250);
    let log = engine.log().clone();
    let all = events(&log);
    let end = all.last().expect("one").ts;
    let mut history = history(&log);
    let (mut model, mut folded, mut with_snapshot) = (Model::default(), 0, 0);
    for (count, moment) in moments(&mut random, &all, 1_000) {
        all[folded..count].iter().for_each(|event| model.fold(event));
        folded = count;
        let image = history.as_of(moment).expect("an image");
        assert_eq!(model_of(&image), model, "{moment:?}: {count} events");
        assert_eq!(image.moment().sequence.get() as usize, count);
        let open_ended = matches!(moment, Moment::Time(time) if time > end);
        assert_eq!(image.moment().open_ended, open_ended, "{moment:?}");
        // The nearest of the snapshots: never more to fold than from one to the next.
        let from = image.snapshot().map_or(0, Sequence::get);
        assert_eq!(image.folded(), count as u64 - from);
        assert!(image.folded() < 450, "{} events from {from}", image.folded());
        with_snapshot += u32::from(from > 0);
    }
    assert!(with_snapshot > 500, "{with_snapshot}");
    assert!(history.passed_over().is_empty());
}

#[test]
fn is_one_instance_at_a_thousand_points_the_fold_from_zero() {
    let mut random = Random::from_environment("time travel, instances");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for round in 0..6 {
        work(&engine, &clock, &mut random, 250);
        if round % 2 == 1 {
            engine.snapshot().expect("taken");
        }
    }
    let log = engine.log().clone();
    let all = events(&log);
    let mut history = history(&log);
    let (mut model, mut folded) = (Model::default(), 0);
    for (count, moment) in moments(&mut random, &all, 1_000) {
        all[folded..count].iter().for_each(|event| model.fold(event));
        folded = count;
        // Two that have no event at all are among them.
        let key = random.below(ACCOUNTS + 2);
        let past = history.state::<Account>(key, moment).expect("a state");
        let expected = model.accounts.get(&key).cloned().unwrap_or_default();
        assert_eq!(past.state, expected, "account {key}, {moment:?}");
        let owner = NAMES[random.below(4) as usize];
        let past = history.state::<Owner>(owner, moment).expect("a state");
        assert_eq!(past.state, model.owners.get(owner).cloned().unwrap_or_default());
        assert_eq!(past.version.get(), u64::from(past.state.changes));
        assert!(past.folded < 150, "{past:?}");
    }
    let counts = history.counts();
    // Where an event stands was looked for once for most.
    let instances = all
        .iter()
        .map(|event| 1 + u64::from(matches!(event.what, crate::world::What::Transferred(_))));
    assert!(counts.looked_for <= instances.sum::<u64>(), "{counts:?}");
    assert_eq!(counts.questions, 2_000);
    assert!(counts.warm > 1_800, "{counts:?}");
}

/// Asked while somebody writes, in any order: an answer for what is visible is never behind it.
#[test]
fn is_what_is_visible_found_while_more_comes() {
    let mut random = Random::from_environment("time travel, meanwhile");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut random, 50);
    let log = engine.log().clone();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut history = history(&log);
            let (mut random, mut asked) = (Random::new(5), Vec::new());
            while !log.is_closed() || asked.len() < 50 {
                let end = log.visible().0;
                let key = random.below(ACCOUNTS);
                let past = history.state::<Account>(key, end).expect("a state");
                asked.push((key, end, past.state));
            }
            asked
        });
        let mut writing = Random::new(6);
        work(&engine, &clock, &mut writing, 3_000);
        engine.close().expect("closes");
        let asked = reader.join().expect("it ends");
        let all = events(&log);
        let (mut model, mut folded) = (Model::default(), 0);
        for (key, end, state) in asked {
            let count = end.get() as usize;
            all[folded..count].iter().for_each(|event| model.fold(event));
            folded = count;
            let expected = model.accounts.get(&key).cloned().unwrap_or_default();
            assert_eq!(state, expected, "account {key} as of {end}");
        }
    });
}

#[test]
fn are_moments_outside_of_the_log_told() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    let log = engine.log().clone();
    let mut history = history(&log);
    // Nothing has happened.
    let image = history.as_of(Moment::Now).expect("an image");
    assert_eq!((image.moment().sequence, image.moment().open_ended), (Sequence::ZERO, true));
    let past = history.state::<Account>(1_u64, Moment::Time(u64::MAX)).expect("a state");
    assert_eq!((past.state, past.open_ended), (Account::default(), true));
    work(&engine, &clock, &mut Random::new(1), 20);
    let end = log.visible().0;
    for beyond in [end.after(1), Sequence::new(u64::MAX)] {
        let image = history.as_of(beyond);
        assert!(matches!(image, Err(HistoryError::BeyondEnd(last)) if last == end), "{image:?}");
        let one = history.state::<Account>(1_u64, beyond);
        assert!(matches!(one, Err(HistoryError::BeyondEnd(last)) if last == end), "{one:?}");
    }
    let all = events(&log);
    let exactly = history.as_of(Moment::Time(all.last().expect("one").ts)).expect("an image");
    assert_eq!((exactly.moment().sequence, exactly.moment().open_ended), (end, false));
    let later = history.as_of(Moment::Time(u64::MAX)).expect("an image");
    assert_eq!((later.moment().sequence, later.moment().open_ended), (end, true));
    let before = history.as_of(Moment::Time(0)).expect("an image");
    assert_eq!(before.moment().sequence, Sequence::ZERO);
    assert_eq!(model_of(&before), Model::default());
}

#[test]
fn is_a_kind_that_was_not_given_told() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    let mut history = factlog::History::of(engine.log()).state::<Account>().open();
    let owner = history.state::<Owner>("x", Moment::Now);
    assert!(matches!(owner, Err(HistoryError::NoKind("owner"))), "{owner:?}");
    let image = history.as_of(Moment::Now).expect("an image");
    assert!(matches!(image.for_each::<Owner>(|_, _| {}), Err(HistoryError::NoKind("owner"))));
}
