//! Is it found which event a change of folding makes something else of, and in which instance?

use std::convert::Infallible;
use std::path::Path;

use factlog::{Drift, Sequence, StateHash, StateTrail, TrailError, first_drift, instances_of};
use factlog_tests::scratch;

use super::support::*;

fn log(directory: &Path) -> factlog::Log {
    options().open_read_only(directory).expect("a log")
}

/// Many deposits, and then a name in account 2.
fn history(directory: &Path, deposits: u64) -> Sequence {
    let mut commands: Vec<(u64, AccountCommand)> =
        (0..deposits).map(|at| (at % 5, Deposit { cents: 1 + at }.into())).collect();
    commands.push((2, Split { names: vec!["a".into()] }.into()));
    commands.extend((0..deposits).map(|at| (at % 5, Deposit { cents: 1 + at }.into())));
    let firsts = one_by_one(directory, commands);
    firsts[usize::try_from(deposits).expect("few")]
}

fn trail(directory: &Path, every: u64) -> StateTrail {
    let log = log(directory);
    StateTrail::of(&log).state::<Account>().every(every).run().expect("a trail")
}

fn hash_at(directory: &Path, sequence: Sequence) -> Option<StateHash> {
    let log = log(directory);
    StateTrail::of(&log).state::<Account>().at(sequence).expect("a hash")
}

#[test]
fn is_the_event_found_of_which_something_else_is_made() {
    let directory = scratch();
    let directory = directory.path();
    let culprit = history(directory, 137);
    // What another program has left, as a text.
    let then = with(Bug::None, || trail(directory, 50).to_string());
    let then: StateTrail = then.parse().expect("a trail");
    assert_eq!(then.hashes().len(), 6);
    assert_eq!(with(Bug::None, || trail(directory, 50)), then);
    let now = with(Bug::Folding, || trail(directory, 50));
    let drift = now.drift(&then).expect("the states differ");
    assert!(drift.same < culprit && culprit <= drift.differs, "{drift}");
    assert_eq!((drift.same.get() % 50, drift.differs.get() % 50), (0, 0));
    // By halves.
    let mut asked = 0;
    let first = first_drift(&drift, |sequence| {
        asked += 1;
        let one = with(Bug::None, || hash_at(directory, sequence));
        let other = with(Bug::Folding, || hash_at(directory, sequence));
        Ok::<_, Infallible>(one.expect("a hash") == other.expect("a hash"))
    });
    assert_eq!(first, Ok(culprit));
    assert!(asked <= 6, "{asked}");
    let instances = instances_of(&log(directory), culprit).expect("an event");
    assert_eq!(instances.iter().map(ToString::to_string).collect::<Vec<_>>(), ["account/2"]);
    // Or by every event in between.
    let fine = |bug| {
        with(bug, || {
            let log = log(directory);
            let trail = StateTrail::of(&log).state::<Account>().every(1);
            trail.between(drift.same, drift.differs).run().expect("a trail")
        })
    };
    let fine = fine(Bug::Folding).drift(&fine(Bug::None)).expect("the states differ");
    assert_eq!(fine, {
        let mut exact = fine.clone();
        exact.differs = culprit;
        exact
    });
    assert_eq!(fine.same, culprit.before());
    assert_eq!(fine.to_string(), format!("the states differ from event {culprit} on"));
}

#[test]
fn does_a_trail_come_back_from_its_text_and_nothing_else() {
    let directory = scratch();
    history(directory.path(), 30);
    let trail = trail(directory.path(), 7);
    let text = trail.to_string();
    assert_eq!(text.parse::<StateTrail>(), Ok(trail.clone()));
    // The last event, whatever its number.
    assert_eq!(trail.hashes().last().map(|(last, _)| last.get()), Some(61));
    let lines: Vec<&str> = text.lines().collect();
    let wrong = [
        (format!("{}\n{}", lines[1], lines[0]), 2),
        (format!("{}\n{}", lines[0], lines[0]), 2),
        (lines[0].replace(' ', ""), 1),
        (lines[0][..lines[0].len() - 1].to_owned(), 1),
        (format!("x{}", lines[0]), 1),
    ];
    for (text, line) in wrong {
        assert_eq!(text.parse::<StateTrail>().expect_err(&text).0, line, "{text}");
    }
    // Trails that looked at other events say nothing of each other.
    assert_eq!(trail.drift(&StateTrail::default()), None::<Drift>);
}

#[test]
fn is_state_without_a_hash_refused() {
    let directory = scratch();
    history(directory.path(), 3);
    let log = log(directory.path());
    let trail = StateTrail::of(&log).state::<super::unchecked::Till>().run();
    assert!(matches!(trail, Err(TrailError::Hash(_))), "{trail:?}");
    let trail = StateTrail::of(&log).state::<Account>().state::<Account>().run();
    assert!(matches!(trail, Err(TrailError::Twice("account"))), "{trail:?}");
}
