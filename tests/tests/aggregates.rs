//! Are commands decided one after the other, on the state that all before them have left?

use std::sync::Barrier;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use factlog::{
    Accepted, Aggregate, AskError, CommandError, CommandFailed, Context, Draft, Engine, Events,
    Expected, Failure, InstanceSuspended, Options, Replica, Retention, SendError, Start, State,
    StreamKey, SuspensionCause, ThreadOptions,
};
use factlog_tests::scratch;

#[factlog::event(name = "withdraw", version = 1)]
#[derive(Debug, Clone)]
struct Withdraw {
    units: u64,
}

#[factlog::event(name = "deposit", version = 1)]
#[derive(Debug, Clone)]
struct Deposit {
    units: u64,
}

#[factlog::event(name = "misbehave", version = 1)]
#[derive(Debug, Clone)]
struct Misbehave {
    folding: bool,
}

#[factlog::vocabulary]
#[derive(Debug, Clone)]
enum AccountCommand {
    Withdraw(Withdraw),
    Deposit(Deposit),
    Misbehave(Misbehave),
}

#[factlog::event(name = "withdrawn", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Withdrawn {
    units: u64,
}

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Deposited {
    units: u64,
}

#[factlog::event(name = "cursed", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Cursed {}

#[factlog::vocabulary]
#[derive(Debug)]
enum AccountEvent {
    Withdrawn(Withdrawn),
    Deposited(Deposited),
    Cursed(Cursed),
}

#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
enum Refusal {
    Insufficient { missing: u64 },
    Nothing,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Account {
    units: u64,
    changes: u64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;

    fn evolve(&mut self, event: AccountEventView<'_>) {
        self.changes += 1;
        match event {
            AccountEventView::Withdrawn(event) => self.units -= event.units(),
            AccountEventView::Deposited(event) => self.units += event.units(),
            AccountEventView::Cursed(_) => panic!("a curse"),
        }
    }
}

impl Aggregate for Account {
    type Command = AccountCommand;
    type Reply = u64;
    type Rejection = Refusal;

    fn decide(
        &self,
        command: &AccountCommand,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, Refusal> {
        match command {
            AccountCommand::Withdraw(Withdraw { units: 0 }) => Err(Refusal::Nothing),
            AccountCommand::Withdraw(Withdraw { units }) => {
                let left = self
                    .units
                    .checked_sub(*units)
                    .ok_or_else(|| Refusal::Insufficient { missing: units - self.units })?;
                context.reply(left);
                Ok(Events::one(Withdrawn { units: *units }))
            }
            // In two parts, so that a command has more than one event.
            AccountCommand::Deposit(Deposit { units }) => {
                context.reply(self.units + units);
                let half = units / 2;
                Ok(Events::one(Deposited { units: half }).and(Deposited { units: units - half }))
            }
            AccountCommand::Misbehave(Misbehave { folding: true }) => {
                Ok(Events::one(Deposited { units: 1 }).and(Cursed {}))
            }
            AccountCommand::Misbehave(_) => panic!("account {} misbehaves", context.key()),
        }
    }
}

fn options() -> Options {
    Options::new().segment_size(4 << 20)
}

fn open(directory: &std::path::Path) -> Engine {
    Engine::open(directory).options(options()).aggregate::<Account>().start().expect("an engine")
}

fn state(engine: &Engine, key: u64) -> Account {
    engine.ask::<Account, _>(key, Account::clone).expect("a state")
}

fn is_insufficient(outcome: &Result<Accepted<u64>, CommandError<Refusal>>) -> bool {
    let rejected = outcome.as_ref().err();
    matches!(rejected, Some(CommandError::Rejected { reason: Refusal::Insufficient { .. }, .. }))
}

/// The engine's thread, kept busy with a question.
struct Held {
    go: Sender<()>,
    busy: JoinHandle<()>,
}

impl Held {
    fn begin(engine: &Engine) -> Self {
        let (go, wait) = channel();
        let (began, begun) = channel();
        let client = engine.client();
        let busy = std::thread::spawn(move || {
            let ask = move |_: &Account| {
                began.send(()).expect("heard");
                wait.recv().expect("told");
            };
            client.ask::<Account, _>(1, ask).expect("answered");
        });
        begun.recv().expect("it looks");
        Self { go, busy }
    }

    fn release(self) {
        self.go.send(()).expect("it waits");
        self.busy.join().expect("no panic");
    }
}

#[test]
fn do_64_threads_withdraw_no_more_than_there_is() {
    let directory = scratch();
    let engine = open(directory.path());
    engine.call::<Account>(7, Deposit { units: 100 }).expect("accepted");
    let start = Barrier::new(64);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..64_u64)
            .map(|thread| {
                let (client, start) = (engine.client(), &start);
                scope.spawn(move || {
                    start.wait();
                    client.call::<Account>(7, Withdraw { units: 1 + thread % 5 })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    // Each accepted one saw what all before it had left: the replies are a serial order.
    let mut left: Vec<u64> = outcomes.iter().flatten().filter_map(|done| done.reply).collect();
    left.sort_unstable_by(|one, other| other.cmp(one));
    assert!(left.windows(2).all(|pair| pair[0] > pair[1]), "{left:?}");
    let taken: u64 = outcomes
        .iter()
        .zip(0..)
        .filter(|(outcome, _)| outcome.is_ok())
        .map(|(_, thread): (_, u64)| 1 + thread % 5)
        .sum();
    assert_eq!(state(&engine, 7).units, 100 - taken);
    assert!(outcomes.iter().all(|outcome| outcome.is_ok() || is_insufficient(outcome)));
    // Who was refused asked for more than was left at the end.
    assert!(outcomes.iter().any(Result::is_err) && 100 - taken < 5);
}

#[test]
fn do_64_withdrawals_of_one_frame_see_each_other() {
    let directory = scratch();
    let engine = open(directory.path());
    engine.call::<Account>(1, Deposit { units: 30 }).expect("accepted");
    // While the thread is asked, commands gather.
    let held = Held::begin(&engine);
    let pending: Vec<_> = (0..64)
        .map(|_| engine.send::<Account>(1, Withdraw { units: 1 }).expect("there is room"))
        .collect();
    held.release();
    let outcomes: Vec<_> = pending.into_iter().map(factlog::Pending::wait).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 30);
    assert!(outcomes[..30].iter().all(Result::is_ok), "in the order in which they came");
    assert!(outcomes[30..].iter().all(is_insufficient));
    assert_eq!(state(&engine, 1).units, 0);
    // They stand in as few frames as possible.
    let mut cursor = engine.log().cursor(Start::Oldest).expect("a cursor");
    let mut times = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        times.push(event.ts());
    }
    times.dedup();
    assert_eq!(times.len(), 2, "the deposit's frame, and that of all withdrawals");
}

#[test]
fn does_a_refused_command_leave_no_event() {
    let directory = scratch();
    let engine = open(directory.path());
    let refused = engine.call::<Account>(1, Withdraw { units: 5 });
    match refused {
        Err(CommandError::Rejected { reason, duplicate: false }) => {
            assert_eq!(reason, Refusal::Insufficient { missing: 5 });
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.log().visible().0.get(), 0);
    assert_eq!(state(&engine, 1), Account::default());
    let accepted = engine.call::<Account>(1, Deposit { units: 5 }).expect("accepted");
    assert_eq!((accepted.first.get(), accepted.events, accepted.version.get()), (1, 2, 2));
    assert_eq!((accepted.reply, accepted.duplicate, accepted.last().get()), (Some(5), false, 2));
}

#[test]
fn is_the_state_the_same_after_a_restart() {
    let directory = scratch();
    let before: Vec<_> = {
        let engine = open(directory.path());
        for number in 0..500 {
            let key = number % 7;
            engine.call::<Account>(key, Deposit { units: number }).expect("accepted");
            drop(engine.call::<Account>(key, Withdraw { units: number / 3 }));
        }
        (0..8).map(|key| state(&engine, key)).collect()
    };
    let engine = open(directory.path());
    assert_eq!((0..8).map(|key| state(&engine, key)).collect::<Vec<_>>(), before);
    assert_eq!(before[7], Account::default());
    engine.close().expect("closed");
}

#[test]
fn is_a_command_with_a_key_done_once() {
    let directory = scratch();
    let send = |engine: &Engine, key: &str, units| {
        engine.command::<Account>(3, Deposit { units }).idempotency_key(key).call()
    };
    let take = |engine: &Engine, units| {
        engine.command::<Account>(4, Withdraw { units }).idempotency_key("take").call()
    };
    let first = {
        let engine = open(directory.path());
        let first = send(&engine, "a", 10).expect("accepted");
        let again = send(&engine, "a", 10).expect("accepted");
        assert_eq!(again, Accepted { duplicate: true, ..first.clone() });
        assert!(matches!(send(&engine, "a", 11), Err(CommandError::KeyReused)));
        send(&engine, "b", 10).expect("another key");
        // A refusal is an answer too, though the account could pay by now.
        assert!(is_insufficient(&take(&engine, 1)));
        engine.call::<Account>(4, Deposit { units: 9 }).expect("accepted");
        let refused = take(&engine, 1);
        assert!(
            matches!(refused, Err(CommandError::Rejected { duplicate: true, .. })),
            "{refused:?}"
        );
        first
    };
    let engine = open(directory.path());
    assert_eq!(send(&engine, "a", 10).expect("accepted"), Accepted { duplicate: true, ..first });
    assert!(matches!(send(&engine, "a", 11), Err(CommandError::KeyReused)));
    assert!(is_insufficient(&take(&engine, 1)));
    assert_eq!(state(&engine, 3).units, 20);
    // A failure is an answer as well.
    let misbehave = |engine: &Engine| {
        let command = Misbehave { folding: false };
        engine.command::<Account>(3, command).idempotency_key("bad").call()
    };
    let failed = misbehave(&engine);
    assert!(matches!(failed, Err(CommandError::Failed(Failure::Panicked(_)))), "{failed:?}");
    drop(engine);
    let engine = open(directory.path());
    match misbehave(&engine) {
        Err(CommandError::Failed(Failure::Earlier(said))) => {
            assert_eq!(said, "account 3 misbehaves");
        }
        other => panic!("{other:?}"),
    }
    let long = engine.command::<Account>(3, Deposit { units: 1 }).idempotency_key([0; 256]).call();
    assert!(matches!(long, Err(CommandError::Failed(Failure::IdempotencyKey(256)))));
}

#[test]
fn does_a_panic_fail_its_own_command_alone() {
    let directory = scratch();
    let engine = open(directory.path());
    for key in 0..3 {
        engine.call::<Account>(key, Deposit { units: 10 }).expect("accepted");
    }
    let before = state(&engine, 1);
    for folding in [false, true] {
        let failed = engine.call::<Account>(1, Misbehave { folding });
        assert!(matches!(failed, Err(CommandError::Failed(Failure::Panicked(_)))), "{failed:?}");
        assert_eq!(state(&engine, 1), before, "nothing of it is left");
    }
    for key in 0..3 {
        engine.call::<Account>(key, Withdraw { units: 1 }).expect("others go on, and it does too");
    }
    let mut cursor = engine.log().cursor(Start::Oldest).expect("a cursor");
    let mut facts = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        if let Some(fact) = event.get::<CommandFailed>().expect("readable") {
            facts.push(fact.to_owned());
        }
    }
    assert_eq!(facts.len(), 2);
    let said =
        |fact: &CommandFailed| (fact.aggregate.clone(), fact.key.clone(), fact.command.clone());
    assert_eq!(said(&facts[0]), ("account".into(), "1".into(), "misbehave".into()));
    assert_eq!(facts[0].cause, "account 1 misbehaves");
    assert!(facts[1].cause.contains("a curse"), "{}", facts[1].cause);
    // Folding what is in the log does not meet the curse.
    drop(engine);
    let engine = open(directory.path());
    assert_eq!(state(&engine, 1), Account { units: 9, changes: before.changes + 1 });
}

#[factlog::event(name = "deposited", version = 2)]
#[derive(Debug)]
struct DepositedInCents {
    cents: u64,
}

#[test]
fn does_an_event_from_the_future_suspend_its_instance_alone() {
    let directory = scratch();
    {
        let engine = open(directory.path());
        for key in [1, 2] {
            engine.call::<Account>(key, Deposit { units: 10 }).expect("accepted");
        }
    }
    {
        let mut writer = options().open(directory.path()).expect("opens");
        let stream = StreamKey::new("account", 1_u64).expect("a name");
        let meta = factlog::Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&DepositedInCents { cents: 1 }, meta).expect("appended");
    }
    for _ in 0..2 {
        let engine = open(directory.path());
        let refused = engine.call::<Account>(1, Deposit { units: 1 });
        let Err(CommandError::Suspended(why)) = refused else { panic!("{refused:?}") };
        let cause = SuspensionCause::Unknown { name: "deposited".into(), version: 2 };
        assert_eq!((why.version.get(), &why.cause), (3, &cause));
        let asked = engine.ask::<Account, _>(1_u64, Account::clone);
        assert!(matches!(asked, Err(AskError::Suspended(_))), "{asked:?}");
        engine.call::<Account>(2, Deposit { units: 1 }).expect("the other one goes on");
        let mut cursor = engine.log().cursor(Start::Oldest).expect("a cursor");
        let mut said = 0;
        while let Some(event) = cursor.next_event().expect("readable") {
            if let Some(fact) = event.get::<InstanceSuspended>().expect("readable") {
                assert_eq!((fact.aggregate(), fact.key(), fact.event()), ("account", "1", 5));
                said += 1;
            }
        }
        assert_eq!(said, 1, "it is said once, however often the engine starts");
    }
}

/// Before there are snapshots nothing else knows the state: it is not taken for a blank one.
#[test]
fn is_an_instance_suspended_whose_beginning_retention_has_dropped() {
    let directory = scratch();
    let names = [1_u64, 2, 3].map(|key| StreamKey::new("account", key).expect("a name"));
    let of = |key: usize| factlog::Meta::new().stream(&names[key - 1], Expected::Any);
    {
        let mut writer = options().open(directory.path()).expect("opens");
        for key in [1, 2] {
            writer.append_with(&Deposited { units: 10 }, of(key)).expect("appended");
        }
        static FILLER: factlog::EventType = factlog::EventType::opaque("filler", 1);
        while writer.log().stats().rollovers < 3 {
            let filler = factlog::Opaque::new(&FILLER, &[0; 100_000]);
            writer.append(&filler).expect("appended");
        }
        // One goes on behind what is dropped, one does not, one begins there.
        writer.append_with(&Deposited { units: 5 }, of(2)).expect("appended");
        writer.append_with(&Deposited { units: 7 }, of(3)).expect("appended");
        writer.sync().expect("durable");
        let dropped = writer.retain(&Retention::keep_segments(1)).expect("retained");
        assert!(dropped.dropped > 0);
    }
    let engine = open(directory.path());
    let replica = Replica::of(engine.log()).state::<Account>().start().expect("a replica");
    replica.at_least(engine.log().visible().0, Duration::from_secs(60)).expect("it follows");
    for key in [1, 2] {
        let refused = engine.call::<Account>(key, Deposit { units: 1 });
        let Err(CommandError::Suspended(why)) = refused else { panic!("{refused:?}") };
        assert_eq!(why.cause, SuspensionCause::HistoryDropped);
        let seen = replica.with::<Account, _>(&key, Account::clone);
        assert!(matches!(seen, Err(factlog::ReplicaError::Suspended(_))), "{seen:?}");
    }
    assert_eq!(state(&engine, 3), Account { units: 7, changes: 1 });
    assert_eq!(replica.with::<Account, _>(&3, |account| account.units).expect("it is there"), 7);
    engine.call::<Account>(4, Deposit { units: 1 }).expect("a new one begins");
}

#[test]
fn are_events_that_nobody_decided_folded_as_well() {
    let directory = scratch();
    let engine = open(directory.path());
    engine.call::<Account>(5, Deposit { units: 10 }).expect("accepted");
    let stream = StreamKey::new("account", 5_u64).expect("a name");
    let other = StreamKey::new("account", 6_u64).expect("a name");
    let drafts = vec![
        Draft::new(Withdrawn { units: 4 }).stream(stream, Expected::Any),
        Draft::new(Withdrawn { units: 0 }).stream(other, Expected::NEW),
    ];
    let (first, events) = engine.append(drafts).expect("appended");
    assert_eq!((first.get(), events), (3, 2));
    assert_eq!(state(&engine, 5), Account { units: 6, changes: 3 });
    assert_eq!(state(&engine, 6).changes, 1);
    engine.call::<Account>(6, Deposit { units: 1 }).expect("accepted");
    assert_eq!(state(&engine, 6), Account { units: 1, changes: 3 });
}

#[test]
fn is_a_replica_never_older_than_a_receipt() {
    let directory = scratch();
    let engine = open(directory.path());
    let replica = Replica::of(engine.log()).state::<Account>().start().expect("a replica");
    for number in 1..=2_000_u64 {
        let done = engine.call::<Account>(number % 3, Deposit { units: 2 }).expect("accepted");
        replica.at_least(done.last(), Duration::from_secs(60)).expect("it follows");
        let units = replica.with::<Account, _>(&(number % 3), |account| account.units);
        assert_eq!(Some(units.expect("it is there")), done.reply);
    }
    let mut sum = 0;
    let at = replica.for_each::<Account>(|_, account| sum += account.units).expect("it is there");
    assert_eq!((sum, at.get()), (4_000, 4_000));
    drop(engine);
    let late = replica.at_least(at.after(1), Duration::from_secs(60));
    assert!(matches!(late, Err(factlog::ReplicaError::Stopped(..))), "{late:?}");
}

#[test]
fn is_a_full_queue_told_and_the_command_given_back() {
    let directory = scratch();
    let engine = Engine::open(directory.path())
        .options(options())
        .thread(ThreadOptions::new().queue(2))
        .aggregate::<Account>()
        .start()
        .expect("an engine");
    let held = Held::begin(&engine);
    let taken: Vec<_> = (0..2)
        .map(|_| engine.send::<Account>(1, Deposit { units: 1 }).expect("there is room"))
        .collect();
    let full = engine.send::<Account>(1, Deposit { units: 77 });
    let Err(SendError::Full(AccountCommand::Deposit(Deposit { units: 77 }))) = full else {
        panic!("{full:?}")
    };
    held.release();
    assert!(taken.into_iter().all(|pending| pending.wait().is_ok()));
    let (client, log) = (engine.client(), engine.log().clone());
    engine.close().expect("closed");
    let closed = client.send::<Account>(1, Deposit { units: 1 });
    assert!(matches!(closed, Err(SendError::Closed(_))), "{closed:?}");
    assert!(log.is_closed());
}

/// A task that finds the queue full sleeps until there is room, and ends when there never will be.
#[test]
fn is_room_waited_for_as_a_task() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Wake, Waker};

    struct Woken(Sender<()>);
    impl Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            // Nobody may listen any more.
            let _ = self.0.send(());
        }
    }
    let directory = scratch();
    let engine = Engine::open(directory.path()).options(options());
    let engine = engine.thread(ThreadOptions::new().queue(2)).aggregate::<Account>();
    let engine = engine.start().expect("an engine");
    let (sender, woken) = channel();
    let waker = Waker::from(std::sync::Arc::new(Woken(sender)));
    let mut context = Context::from_waker(&waker);
    {
        let mut free = pin!(engine.room());
        assert_eq!(free.as_mut().poll(&mut context), Poll::Ready(()), "it is empty");
    }
    for closes in [false, true] {
        let held = Held::begin(&engine);
        let taken: Vec<_> = (0..2)
            .map(|_| engine.send::<Account>(1, Deposit { units: 1 }).expect("there is room"))
            .collect();
        let client = engine.client();
        let mut room = pin!(client.room());
        assert_eq!(room.as_mut().poll(&mut context), Poll::Pending, "it is full");
        // One that is given up is not in anybody's way.
        let _ = Box::pin(engine.room()).as_mut().poll(&mut context);
        held.release();
        woken.recv_timeout(Duration::from_secs(60)).expect("woken");
        while room.as_mut().poll(&mut context).is_pending() {
            woken.recv_timeout(Duration::from_secs(60)).expect("woken");
        }
        engine.send::<Account>(1, Deposit { units: 1 }).expect("there is room").wait().expect("ok");
        assert!(taken.into_iter().all(|pending| pending.wait().is_ok()));
        if closes {
            break;
        }
    }
    let client = engine.client();
    engine.close().expect("closed");
    let mut never = pin!(client.room());
    assert_eq!(never.as_mut().poll(&mut context), Poll::Ready(()), "nobody will make any");
}

/// Frames that hold commands and no event are part of the format too.
#[test]
fn does_an_independent_reader_read_a_log_of_commands() {
    let directory = scratch();
    let engine = open(directory.path());
    for number in 0..20_u64 {
        // Every other one is refused, and leaves nothing but the command.
        let key = number.to_le_bytes();
        let deposit = Deposit { units: number };
        let withdraw = Withdraw { units: 1 + number * 100 };
        engine.command::<Account>(1, deposit).idempotency_key(key).call().expect("accepted");
        let again = [key, [1; 8]].concat();
        let refused = engine.command::<Account>(1, withdraw).idempotency_key(again).call();
        assert!(refused.is_err(), "{number}");
    }
    let events = engine.log().visible().0.get();
    engine.close().expect("closed");
    let verified = options().verify(directory.path()).expect("looked at");
    assert!(verified.damage.is_none(), "{verified}");

    let reader = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let mut command = std::process::Command::new("python3");
    let Ok(output) = command.arg("-B").arg(reader).arg(directory.path()).output() else {
        println!("skipped: there is no python3");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the reader refuses: {errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().filter(|line| line.contains("\"sequence\":")).count() as u64;
    assert_eq!(lines, events);
}
