//! What comes out otherwise, and where first.

use factlog::{Determinism, DeterminismOutcome, Engine, LocalCommand, RecordedOutcome, Sequence};
use factlog_tests::{Random, scratch};

use super::support::*;

#[test]
fn do_recorded_commands_come_out_as_they_had() {
    quietly();
    let mut random = Random::from_environment("do_recorded_commands_come_out_as_they_had");
    for _ in 0..8 {
        let directory = scratch();
        let sent = history(directory.path(), &mut random, 300);
        let engine = open(directory.path());
        let mut told = Vec::new();
        let report = Determinism::of(engine.log())
            .aggregate::<Account>()
            .progress(|progress| told.push(progress))
            .run()
            .expect("a log that can be read");
        // All that were decided, whatever became of them; and that was more than nothing.
        assert_eq!(report.outcome(), DeterminismOutcome::Same, "{report}");
        assert!(report.checked > 150 && report.checked <= sent, "{report}");
        assert_eq!((report.checked, report.differing), (report.commands, 0));
        assert!(report.events > 50 && report.last == engine.log().visible().0);
        report.assert_same();
        assert_eq!(
            told.last().map(|last| (last.done, last.checked)),
            Some((report.last, report.checked))
        );
    }
}

#[test]
fn is_a_clock_that_is_read_found_where_it_was_read_first() {
    let directory = scratch();
    let commands = vec![
        (1, Deposit { cents: 0 }.into()),
        (1, Split { names: vec!["a".into()] }.into()),
        (2, Deposit { cents: 5 }.into()),
        (2, Deposit { cents: 6 }.into()),
    ];
    let firsts = with(Bug::Clock, || one_by_one(directory.path(), commands));
    let report = with(Bug::Clock, || check(directory.path()));
    assert_eq!(report.outcome(), DeterminismOutcome::Differs);
    assert_eq!((report.checked, report.differing), (4, 2));
    let difference = report.difference.clone().expect("where");
    assert_eq!(difference.sequence, firsts[2]);
    assert_eq!(difference.instance.to_string(), "account/2");
    assert_eq!(difference.event, Some(0));
    assert!(difference.command.contains("deposit") && difference.command.contains("\"cents\":5"));
    let (
        RecordedOutcome::Accepted { events: then, .. },
        RecordedOutcome::Accepted { events: now, .. },
    ) = (&difference.recorded, &difference.decided)
    else {
        panic!("{report}")
    };
    assert!(then[0] != now[0] && then[0].contains("\"cents\":5") && now[0].contains("\"cents\":5"));
    let shown = report.to_string();
    assert!(shown.contains("2 of 4 commands came out otherwise"), "{shown}");
    assert!(shown.contains(&format!("at sequence {}", firsts[2])), "{shown}");
}

#[test]
fn is_the_order_of_a_hash_table_found() {
    let directory = scratch();
    let names = |of: u64| (0..9).map(|at| format!("name {of} {at}")).collect();
    let commands = (0..20).map(|of| (of % 3, Split { names: names(of) }.into())).collect();
    let firsts = with(Bug::HashOrder, || one_by_one(directory.path(), commands));
    let report = with(Bug::HashOrder, || check(directory.path()));
    // Each comes out the same by chance once in 362,880 times.
    assert_eq!(report.outcome(), DeterminismOutcome::Differs);
    assert!(report.differing >= 18, "{report}");
    let difference = report.difference.expect("where");
    assert!(firsts[..3].contains(&difference.sequence));
    assert!(difference.event.is_some());
}

#[test]
fn is_what_is_answered_held_against_the_log() {
    let directory = scratch();
    let commands = vec![(1, Deposit { cents: 4 }.into()), (1, Deposit { cents: 5 }.into())];
    with(Bug::None, || one_by_one(directory.path(), commands));
    let report = with(Bug::Reply, || check(directory.path()));
    let difference = report.difference.clone().expect("where");
    // Events are the same, and it is said so.
    assert_eq!((report.differing, difference.event), (2, None));
    assert!(report.to_string().contains("with reply 4"), "{report}");
}

#[test]
fn is_a_rule_that_has_changed_found_at_the_first_command_that_it_would_change() {
    quietly();
    for (bug, at) in [(Bug::Stricter, 2), (Bug::Mended, 1)] {
        let directory = scratch();
        let commands = vec![
            (1, Deposit { cents: 50 }.into()),
            (1, Misbehave { folding: false }.into()),
            (1, Deposit { cents: 9 }.into()),
            (1, Deposit { cents: 10 }.into()),
        ];
        let firsts = with(Bug::None, || one_by_one(directory.path(), commands));
        let report = with(bug, || check(directory.path()));
        let difference = report.difference.clone().expect("where");
        assert_eq!((report.checked, report.differing), (4, 1), "{report}");
        assert_eq!(difference.sequence, firsts[at], "{report}");
        let said = match (&difference.recorded, &difference.decided) {
            (RecordedOutcome::Accepted { .. }, RecordedOutcome::Rejected { reason }) => reason,
            (RecordedOutcome::Failed { said }, RecordedOutcome::Accepted { .. }) => said,
            _ => panic!("{report}"),
        };
        assert!(said.contains("too little") || said.contains("account 1 misbehaves"), "{report}");
    }
}

#[test]
fn does_it_end_at_the_first_difference_if_it_shall() {
    let directory = scratch();
    let commands = (0..9).map(|cents| (1, Deposit { cents: 20 + cents }.into())).collect();
    with(Bug::None, || one_by_one(directory.path(), commands));
    let log = options().open_read_only(directory.path()).expect("a log");
    let run = || Determinism::of(&log).aggregate::<Account>().only_first().run();
    let report = with(Bug::Clock, run).expect("a log that can be read");
    assert_eq!((report.checked, report.differing, report.last), (1, 1, Sequence::new(1)));
}

#[test]
fn is_a_correction_of_another_event_found() {
    let directory = scratch();
    let commands = [10, 20, CORRECTS].map(|cents| (1, Deposit { cents }.into()));
    let firsts = with(Bug::None, || one_by_one(directory.path(), commands.into()));
    let report = with(Bug::None, || check(directory.path()));
    assert_eq!((report.checked, report.differing), (3, 0), "{report}");
    let report = with(Bug::Corrects, || check(directory.path()));
    assert_eq!((report.checked, report.differing), (3, 1), "{report}");
    let difference = report.difference.clone().expect("where");
    assert_eq!((difference.sequence, difference.event), (firsts[2], Some(0)), "{report}");
    let said = report.to_string();
    assert!(said.contains("corrects event 1") && said.contains("corrects event 2"), "{said}");
}

#[test]
fn is_one_command_not_spoken_of_as_several() {
    quietly();
    let said = |commands: Vec<_>, bug| {
        let directory = scratch();
        with(Bug::None, || one_by_one(directory.path(), commands));
        with(bug, || check(directory.path())).to_string()
    };
    let one = || vec![(1, Deposit { cents: 20 }.into())];
    assert_eq!(said(one(), Bug::None), "the one command came out as it had, 1 event");
    assert!(said(one(), Bug::Clock).starts_with("1 of 1 command came out otherwise\n"));
    let two = vec![(1, Deposit { cents: 20 }.into()), (1, Deposit { cents: 20 }.into())];
    assert_eq!(said(two, Bug::None), "all 2 commands came out as they had, 2 events");
    // Without a record one cannot be decided again.
    let directory = scratch();
    let engine = Engine::open(directory.path()).options(options()).aggregate::<Account>();
    let mut engine = engine.start_local().expect("an engine");
    let command = LocalCommand::<Account>::new(1_u64, Deposit { cents: 20 });
    let accepted = |verdict: Result<_, _>| assert!(verdict.is_ok());
    engine.call_all::<Account>([command.idempotency_key("one")], accepted);
    drop(engine);
    let said = check(directory.path()).to_string();
    assert!(said.contains("of 1 command in the log none could be decided again"), "{said}");
    assert!(said.ends_with("; 1 was not recorded as a whole"), "{said}");
}
