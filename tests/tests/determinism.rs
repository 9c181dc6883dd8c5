//! Do recorded commands come out as they had, and is it found when they do not?
//!
//! Goal: a report that says what was decided again, what came out otherwise, and where first; and that
//! never takes for good what was not looked at.
//!
//! Method: a shop of accounts with transfers over two instances. Its bugs are switched on by hand, one
//! thread at a time: a decision that reads a clock, one that goes by the order of a hash table, a rule
//! that has changed. Without one everything must come out as it had, over random histories with
//! refusals, panics, duplicates, reopenings; with one the first difference must be the command that a
//! model names.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use factlog::{
    Aggregate, Context, Determinism, DeterminismOutcome, Durability, Engine, Events, LocalCommand,
    LocalEngine, Newer, Options, RecordedOutcome, Retention, Sequence, State, Upcast,
};
use factlog_tests::{Random, scratch};

/// What is wrong with the decisions of this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The amount depends on a clock.
    Clock,
    /// The order of events is that of a hash table.
    HashOrder,
    /// What is answered depends on something else.
    Reply,
    /// A rule was made stricter.
    Stricter,
    /// What panicked does not.
    Mended,
}

thread_local! {
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
    /// A clock that a decision must not read.
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

#[factlog::event(name = "deposit", version = 1)]
#[derive(Debug, Clone)]
struct Deposit {
    cents: u64,
}

#[factlog::event(name = "split", version = 1)]
#[derive(Debug, Clone)]
struct Split {
    names: Vec<String>,
}

#[factlog::event(name = "transfer", version = 1)]
#[derive(Debug, Clone)]
struct Transfer {
    to: u64,
    cents: u64,
}

#[factlog::event(name = "misbehave", version = 1)]
#[derive(Debug, Clone)]
struct Misbehave {
    folding: bool,
}

/// As commands were recorded once.
#[factlog::event(name = "pay", version = 1)]
#[derive(Debug, Clone)]
struct PayV1 {
    dollars: u32,
}

#[factlog::event(name = "pay", version = 2)]
#[derive(Debug, Clone)]
struct Pay {
    cents: u64,
}

impl Upcast<AccountCommand> for PayV1 {
    fn upcast(old: &PayV1View, newer: &mut Newer<'_, AccountCommand>) {
        newer.push(Pay { cents: u64::from(old.dollars()) * 100 });
    }
}

#[factlog::vocabulary(earlier(PayV1))]
#[derive(Debug, Clone)]
enum AccountCommand {
    Pay(Pay),
    Deposit(Deposit),
    Split(Split),
    Transfer(Transfer),
    Misbehave(Misbehave),
}

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct DepositedV1 {
    dollars: u32,
}

#[factlog::event(name = "deposited", version = 2)]
#[derive(Debug, Clone, PartialEq)]
struct Deposited {
    cents: u64,
    at: u64,
    id: u64,
}

#[factlog::event(name = "named", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Named {
    name: String,
}

#[factlog::event(name = "transferred", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Transferred {
    from: u64,
    to: u64,
    cents: u64,
}

#[factlog::event(name = "cursed", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Cursed {}

#[factlog::vocabulary(earlier(DepositedV1))]
#[derive(Debug)]
enum AccountEvent {
    Deposited(Deposited),
    Named(Named),
    Transferred(Transferred),
    Cursed(Cursed),
}

impl Upcast<AccountEvent> for DepositedV1 {
    fn upcast(old: &DepositedV1View, newer: &mut Newer<'_, AccountEvent>) {
        newer.push(Deposited { cents: u64::from(old.dollars()) * 100, at: 0, id: 0 });
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Account {
    cents: u64,
    names: u64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;

    fn evolve(&mut self, event: AccountEventView<'_>) {
        match event {
            AccountEventView::Deposited(event) => self.cents += event.cents(),
            AccountEventView::Named(_) => self.names += 1,
            AccountEventView::Transferred(event) => self.cents += event.cents(),
            AccountEventView::Cursed(_) => panic!("a curse"),
        }
    }
}

impl Aggregate for Account {
    type Command = AccountCommand;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        command: &AccountCommand,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, String> {
        let bug = BUG.get();
        match command {
            AccountCommand::Pay(Pay { cents }) => {
                Ok(Events::one(Deposited { cents: *cents, at: 0, id: 0 }))
            }
            AccountCommand::Deposit(Deposit { cents: 0 }) => Err("nothing".into()),
            AccountCommand::Deposit(Deposit { cents }) if bug == Bug::Stricter && *cents < 10 => {
                Err("too little".into())
            }
            AccountCommand::Deposit(Deposit { cents }) => {
                let at = if bug == Bug::Clock { CLOCK.get() } else { context.now() };
                let answer = if bug == Bug::Reply { CLOCK.get() } else { self.cents + cents };
                context.reply(answer);
                Ok(Events::one(Deposited { cents: *cents, at, id: context.random() }))
            }
            AccountCommand::Split(Split { names }) => {
                let mut names = names.clone();
                if bug == Bug::HashOrder {
                    let table: HashMap<String, ()> =
                        names.into_iter().map(|name| (name, ())).collect();
                    names = table.into_keys().collect();
                }
                let events: Vec<AccountEvent> =
                    names.into_iter().map(|name| Named { name }.into()).collect();
                Ok(events.into())
            }
            AccountCommand::Transfer(Transfer { to, cents }) => {
                // What the other one has decides too.
                let there = context.state::<Account>(*to).cents;
                if *cents > self.cents || there > 1_000_000 {
                    return Err(format!("{} and {there}", self.cents));
                }
                let from = *context.key();
                Ok(Events::one(Transferred { from, to: *to, cents: *cents })
                    .also_of::<Account>(*to))
            }
            AccountCommand::Misbehave(Misbehave { folding: true }) => {
                Ok(Events::one(Deposited { cents: 1, at: 0, id: 0 }).and(Cursed {}))
            }
            AccountCommand::Misbehave(_) if bug == Bug::Mended => Ok(Events::none()),
            AccountCommand::Misbehave(_) => panic!("account {} misbehaves", context.key()),
        }
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).durability(Durability::None)
}

fn open(directory: &Path) -> LocalEngine {
    let engine = Engine::open(directory).options(options()).aggregate::<Account>();
    engine.record_commands().start_local().expect("an engine")
}

fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    CLOCK.set(CLOCK.get() + 1);
    BUG.set(bug);
    let done = work();
    BUG.set(Bug::None);
    done
}

/// A panic of a decision is no failure of the test.
fn quietly() {
    std::panic::set_hook(Box::new(|info| {
        let said = info.to_string();
        if !said.contains("misbehaves") && !said.contains("a curse") {
            eprintln!("{said}");
        }
    }));
}

fn random_command(random: &mut Random) -> (u64, AccountCommand) {
    let key = random.below(5);
    let command = match random.below(12) {
        0..6 => Deposit { cents: random.below(40) }.into(),
        6 => {
            Split { names: (0..8).map(|at| format!("{at}-{}", random.below(99))).collect() }.into()
        }
        7..10 => Transfer { to: (key + 1) % 5, cents: random.below(60) }.into(),
        10 => Misbehave { folding: false }.into(),
        _ => Misbehave { folding: true }.into(),
    };
    (key, command)
}

/// A random history; how many commands were sent.
fn history(directory: &Path, random: &mut Random, length: u64) -> u64 {
    let (mut engine, mut sent) = (open(directory), 0);
    while sent < length {
        if random.below(60) == 0 {
            drop(engine);
            engine = open(directory);
        }
        // Some in one frame, so that those behind see what those before have staged.
        let some: Vec<_> = (0..random.below(9)).map(|_| random_command(random)).collect();
        let commands = some.into_iter().flat_map(|(key, command)| {
            sent += 1;
            let one = || LocalCommand::<Account>::new(key, command.clone());
            let name = format!("key {sent}");
            // The same again is a duplicate: it is answered, and leaves no record.
            match sent % 8 {
                0 => vec![one().idempotency_key(&name), one().idempotency_key(&name)],
                _ => vec![one()],
            }
        });
        engine.call_all(commands.collect::<Vec<_>>(), |_| {});
    }
    sent
}

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

/// One engine of which every command is sent by hand.
fn one_by_one(directory: &Path, commands: Vec<(u64, AccountCommand)>) -> Vec<Sequence> {
    let mut engine = open(directory);
    let firsts = commands.into_iter().map(|(key, command)| {
        let first = engine.last().after(1);
        drop(engine.call::<Account>(key, command));
        first
    });
    firsts.collect()
}

fn check(directory: &Path) -> factlog::DeterminismReport {
    let log = options().open_read_only(directory).expect("a log");
    Determinism::of(&log).aggregate::<Account>().run().expect("a log that can be read")
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
        engine.call_all(commands.collect::<Vec<_>>(), |verdict| drop(verdict.expect("accepted")));
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
struct Till {
    open: bool,
}

#[factlog::event(name = "opened", version = 1)]
#[derive(Debug, Clone)]
struct Opened {}

#[factlog::event(name = "open", version = 1)]
#[derive(Debug, Clone)]
struct Open {}

#[factlog::vocabulary]
#[derive(Debug)]
enum TillEvent {
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
