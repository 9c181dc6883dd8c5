//! The shop, its bugs, and its histories.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use factlog::{
    Aggregate, Context, Determinism, Durability, Engine, Events, LocalCommand, LocalEngine, Newer,
    Options, Sequence, State, StoredState, Upcast,
};
use factlog_tests::Random;

/// What is wrong with the decisions of this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
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
    /// Names are counted otherwise when they are folded.
    Folding,
    /// It corrects another event.
    Corrects,
}

/// A deposit of so many corrects an earlier event.
pub(crate) const CORRECTS: u64 = 7_777;

thread_local! {
    static BUG: Cell<Bug> = const { Cell::new(Bug::None) };
    /// A clock that a decision must not read.
    static CLOCK: Cell<u64> = const { Cell::new(0) };
}

#[factlog::event(name = "deposit", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Deposit {
    pub(crate) cents: u64,
}

#[factlog::event(name = "split", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) names: Vec<String>,
}

#[factlog::event(name = "transfer", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) to: u64,
    pub(crate) cents: u64,
}

#[factlog::event(name = "misbehave", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Misbehave {
    pub(crate) folding: bool,
}

/// As commands were recorded once.
#[factlog::event(name = "pay", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct PayV1 {
    pub(crate) dollars: u32,
}

#[factlog::event(name = "pay", version = 2)]
#[derive(Debug, Clone)]
pub(crate) struct Pay {
    pub(crate) cents: u64,
}

impl Upcast<AccountCommand> for PayV1 {
    fn upcast(old: &PayV1View, newer: &mut Newer<'_, AccountCommand>) {
        newer.push(Pay { cents: u64::from(old.dollars()) * 100 });
    }
}

#[factlog::vocabulary(earlier(PayV1))]
#[derive(Debug, Clone)]
pub(crate) enum AccountCommand {
    Pay(Pay),
    Deposit(Deposit),
    Split(Split),
    Transfer(Transfer),
    Misbehave(Misbehave),
}

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DepositedV1 {
    pub(crate) dollars: u32,
}

#[factlog::event(name = "deposited", version = 2)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deposited {
    pub(crate) cents: u64,
    pub(crate) at: u64,
    pub(crate) id: u64,
}

#[factlog::event(name = "named", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
}

#[factlog::event(name = "transferred", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Transferred {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) cents: u64,
}

#[factlog::event(name = "cursed", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursed {}

#[factlog::vocabulary(earlier(DepositedV1))]
#[derive(Debug)]
pub(crate) enum AccountEvent {
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

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) cents: u64,
    pub(crate) names: u64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        match event {
            AccountEventView::Deposited(event) => self.cents += event.cents(),
            AccountEventView::Named(_) if BUG.get() == Bug::Folding => self.names += 2,
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
                let events = Events::one(Deposited { cents: *cents, at, id: context.random() });
                Ok(match *cents {
                    CORRECTS if bug == Bug::Corrects => events.invalidating(Sequence::new(2)),
                    CORRECTS => events.invalidating(Sequence::new(1)),
                    _ => events,
                })
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

pub(crate) fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).durability(Durability::None)
}

pub(crate) fn open(directory: &Path) -> LocalEngine {
    let engine = Engine::open(directory).options(options()).aggregate::<Account>();
    engine.record_commands().start_local().expect("an engine")
}

pub(crate) fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    CLOCK.set(CLOCK.get() + 1);
    BUG.set(bug);
    let done = work();
    BUG.set(Bug::None);
    done
}

/// A panic of a decision is no failure of the test.
pub(crate) fn quietly() {
    std::panic::set_hook(Box::new(|info| {
        let said = info.to_string();
        if !said.contains("misbehaves") && !said.contains("a curse") {
            eprintln!("{said}");
        }
    }));
}

pub(crate) fn random_command(random: &mut Random) -> (u64, AccountCommand) {
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
pub(crate) fn history(directory: &Path, random: &mut Random, length: u64) -> u64 {
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

/// One engine of which every command is sent by hand.
pub(crate) fn one_by_one(directory: &Path, commands: Vec<(u64, AccountCommand)>) -> Vec<Sequence> {
    let mut engine = open(directory);
    let firsts = commands.into_iter().map(|(key, command)| {
        let first = engine.last().after(1);
        drop(engine.call::<Account>(key, command));
        first
    });
    firsts.collect()
}

pub(crate) fn check(directory: &Path) -> factlog::DeterminismReport {
    let log = options().open_read_only(directory).expect("a log");
    Determinism::of(&log).aggregate::<Account>().run().expect("a log that can be read")
}
