//! What cannot be decided again, and what needs more than one kind of state.

use std::path::Path;

use factlog::{
    Aggregate, Context, Determinism, DeterminismOutcome, Engine, Events, LocalCommand, Retention,
    State,
};
use factlog_tests::scratch;

use super::support::*;

#[test]
fn is_what_cannot_be_checked_never_taken_for_good() {
    let directory = scratch();
    let log = |directory: &Path| options().open_read_only(directory).expect("a log");
    {
        // An empty log.
        let nothing = scratch();
        drop(open(nothing.path()));
        let report = check(nothing.path());
        assert_eq!((report.outcome(), report.commands), (DeterminismOutcome::NothingToCheck, 0));
        let report = std::panic::catch_unwind(|| report.assert_same());
        assert!(report.is_err(), "nothing was checked");
    }
    {
        // Only keys are recorded.
        let engine = Engine::open(directory.path()).options(options()).aggregate::<Account>();
        let mut engine = engine.start_local().expect("an engine");
        let commands = (0..5_u64).map(|at| {
            let command = Deposit { cents: 20 };
            LocalCommand::<Account>::new(at, command).idempotency_key(at.to_le_bytes())
        });
        engine.call_all(commands.collect::<Vec<_>>(), |verdict| {
            verdict.expect("accepted");
        });
        // Without a key nothing at all is.
        engine.call::<Account>(9_u64, Deposit { cents: 4 }).expect("accepted");
    }
    let report = with(Bug::Clock, || check(directory.path()));
    assert_eq!(report.outcome(), DeterminismOutcome::NothingToCheck, "{report}");
    assert_eq!((report.commands, report.unchecked.not_recorded), (5, 5));
    assert!(report.to_string().starts_with("nothing could be checked: of 5 commands"), "{report}");
    // Some more that are recorded: then it is said that not all were checked.
    with(Bug::None, || one_by_one(directory.path(), vec![(1, Deposit { cents: 20 }.into())]));
    let report = check(directory.path());
    assert_eq!(report.outcome(), DeterminismOutcome::SameAsFarAsChecked, "{report}");
    assert_eq!((report.commands, report.checked, report.unchecked.sum()), (6, 1, 5));
    // The aggregate was not given.
    let report = Determinism::of(&log(directory.path())).run().expect("a log");
    assert_eq!(report.outcome(), DeterminismOutcome::NothingToCheck);
    assert_eq!(report.unchecked.other_aggregates, 1);
}

#[test]
fn are_commands_that_were_decided_elsewhere_told_apart() {
    let directory = scratch();
    let engine = Engine::open(directory.path()).options(options()).aggregate::<Account>();
    let engine = engine.record_commands().start().expect("an engine");
    engine.call::<Account>(1_u64, Deposit { cents: 30 }).expect("accepted");
    let read = engine.read::<Account, _>(1_u64, |account| account.cents);
    let (cents, basis) = read.expect("an answer");
    let events = Events::one(Deposited { cents, at: 77, id: 77 });
    let command = engine.command::<Account>(1_u64, Deposit { cents: 30 });
    command.prepared(basis, events).call().expect("accepted");
    let report = Determinism::of(engine.log()).aggregate::<Account>().run().expect("a log");
    assert_eq!(report.outcome(), DeterminismOutcome::SameAsFarAsChecked, "{report}");
    assert_eq!((report.checked, report.unchecked.prepared), (1, 1));
}

/// The program as it was before its event and its command had a second version.
mod before {
    use super::{DepositedV1, PayV1};
    use factlog::{Aggregate, Context, Events, State};

    #[factlog::vocabulary]
    #[derive(Debug)]
    pub(super) enum OldEvent {
        Deposited(DepositedV1),
    }

    #[derive(Debug, Default)]
    pub(super) struct Old {
        dollars: u64,
    }

    impl State for Old {
        const NAME: &'static str = "account";
        type Key = u64;
        type Event = OldEvent;

        fn evolve(&mut self, event: OldEventView<'_>) {
            let OldEventView::Deposited(event) = event;
            self.dollars += u64::from(event.dollars());
        }
    }

    impl Aggregate for Old {
        type Command = PayV1;
        type Reply = ();
        type Rejection = String;

        fn decide(
            &self,
            command: &PayV1,
            _: &mut Context<'_, Self>,
        ) -> Result<Events<OldEvent>, String> {
            Ok(Events::one(DepositedV1 { dollars: command.dollars }))
        }
    }
}

#[test]
fn are_events_and_commands_of_earlier_versions_held_against_those_of_today() {
    let directory = scratch();
    {
        let engine = Engine::open(directory.path()).options(options()).aggregate::<before::Old>();
        let mut engine = engine.record_commands().start_local().expect("an engine");
        for dollars in 1..6 {
            engine.call::<before::Old>(1_u64, PayV1 { dollars }).expect("accepted");
        }
    }
    one_by_one(directory.path(), vec![(1, Deposit { cents: 30 }.into())]);
    let report = check(directory.path());
    assert_eq!(report.outcome(), DeterminismOutcome::Same, "{report}");
    assert_eq!((report.checked, report.upcast), (6, 5));
    // The old program does not know what came later.
    let log = options().open_read_only(directory.path()).expect("a log");
    let report = Determinism::of(&log).aggregate::<before::Old>().run().expect("a log");
    assert_eq!(report.outcome(), DeterminismOutcome::SameAsFarAsChecked, "{report}");
    assert_eq!((report.checked, report.unchecked.unknown), (5, 1));
}

/// A decision that looks at a kind of state of its own.
#[derive(Debug, Default)]
pub(crate) struct Till {
    open: bool,
}

#[factlog::event(name = "opened", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Opened {}

#[factlog::event(name = "open", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Open {}

#[factlog::vocabulary]
#[derive(Debug)]
pub(crate) enum TillEvent {
    Opened(Opened),
}

impl State for Till {
    const NAME: &'static str = "till";
    type Key = String;
    type Event = TillEvent;

    fn evolve(&mut self, _: TillEventView<'_>) {
        self.open = true;
    }
}

impl Aggregate for Till {
    type Command = Open;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        _: &Open,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<TillEvent>, String> {
        match context.state::<Account>(1_u64).cents {
            0..10 => Err("the account is empty".into()),
            _ => Ok(Events::one(Opened {})),
        }
    }
}

#[test]
fn is_a_decision_over_two_kinds_decided_on_both() {
    let directory = scratch();
    let engine = Engine::open(directory.path()).options(options()).aggregate::<Account>();
    let engine = engine.aggregate::<Till>().record_commands();
    let mut engine = engine.start_local().expect("an engine");
    // Refused before the deposit, accepted behind it.
    engine.call::<Till>("north", Open {}).expect_err("refused");
    engine.call::<Account>(1_u64, Deposit { cents: 30 }).expect("accepted");
    engine.call::<Till>("north", Open {}).expect("accepted");
    let both = Determinism::of(engine.log()).aggregate::<Till>().aggregate::<Account>();
    let report = both.run().expect("a log");
    assert_eq!((report.outcome(), report.checked), (DeterminismOutcome::Same, 3), "{report}");
    let state = Determinism::of(engine.log()).aggregate::<Till>().state::<Account>();
    let report = state.run().expect("a log");
    assert_eq!((report.checked, report.unchecked.other_aggregates), (2, 1), "{report}");
    // Without it they cannot be decided, and it is said what is missing.
    let report = Determinism::of(engine.log()).aggregate::<Till>().run().expect("a log");
    assert_eq!((report.checked, report.unchecked.not_held), (0, 2), "{report}");
    assert_eq!(report.not_held, ["account"]);
    // Twice the same kind is a mistake.
    let twice = Determinism::of(engine.log()).aggregate::<Till>().state::<Till>();
    twice.run().expect_err("refused");
}

#[test]
fn are_commands_counted_whose_history_was_dropped() {
    let directory = scratch();
    {
        let mut engine = open(directory.path());
        engine.call::<Account>(1_u64, Deposit { cents: 30 }).expect("accepted");
        let names = || (0..200).map(|at| format!("{at:0>500}")).collect();
        for _ in 0..60 {
            engine.call::<Account>(2_u64, Split { names: names() }).expect("accepted");
        }
        engine.call::<Account>(1_u64, Deposit { cents: 31 }).expect("accepted");
        engine.call::<Account>(3_u64, Deposit { cents: 31 }).expect("accepted");
    }
    let mut writer = options().open(directory.path()).expect("a log");
    writer.sync().expect("durable");
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped > 0);
    drop(writer);
    let report = check(directory.path());
    // Only the instance that began later is whole.
    assert!(report.unchecked.suspended >= 1, "{report}");
    assert_eq!((report.checked, report.differing), (1, 0), "{report}");
    assert_eq!(report.outcome(), DeterminismOutcome::SameAsFarAsChecked);
}
