//! Accounts that pay each other, and their owners; and a model of both that knows nothing of the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::{
    Aggregate, Clock, Context, Engine, Events, History, Log, Options, Snapshots, Start, State,
    StoredState,
};
use factlog_tests::Random;

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Deposited {
    pub(crate) cents: i64,
}

#[factlog::event(name = "transferred", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Transferred {
    pub(crate) cents: i64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

#[factlog::event(name = "renamed", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Renamed {
    pub(crate) name: String,
}

#[factlog::vocabulary]
pub(crate) enum AccountEvent {
    Deposited(Deposited),
    Transferred(Transferred),
}

#[factlog::vocabulary]
pub(crate) enum OwnerEvent {
    Renamed(Renamed),
}

/// What happened to an account last.
#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Last {
    Deposit,
    Transfer { with: u64, note: String },
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) cents: i64,
    pub(crate) last: Option<Last>,
    pub(crate) lines: Vec<String>,
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) changes: u32,
}

/// What it did, told in one line; lists stay short, and change at both ends.
fn line(lines: &mut Vec<String>, text: String) {
    lines.push(text);
    if lines.len() > 6 {
        lines.remove(0);
    }
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        match event {
            AccountEventView::Deposited(deposited) => {
                self.cents += deposited.cents();
                self.last = Some(Last::Deposit);
                line(&mut self.lines, format!("+{}", deposited.cents()));
            }
            AccountEventView::Transferred(moved) => {
                // It does not say which of both it is, so both halves are counted.
                self.cents -= moved.cents();
                let note = format!("{}>{}", moved.from(), moved.to());
                line(&mut self.lines, note.clone());
                self.last = Some(Last::Transfer { with: moved.to(), note });
            }
        }
    }
}

impl State for Owner {
    const NAME: &'static str = "owner";
    type Key = String;
    type Event = OwnerEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: OwnerEventView<'_>) {
        let OwnerEventView::Renamed(renamed) = event;
        self.name = renamed.name().to_owned();
        self.changes += 1;
    }
}

#[factlog::event(name = "do-it", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct DoIt {
    /// How many deposits; 0 for a transfer.
    pub(crate) deposits: u32,
    pub(crate) cents: i64,
    pub(crate) to: u64,
}

#[factlog::event(name = "rename", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Rename {
    pub(crate) name: String,
}

impl Aggregate for Account {
    type Command = DoIt;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        command: &DoIt,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<AccountEvent>, String> {
        let DoIt { deposits, cents, to } = *command;
        let from = *context.key();
        if deposits > 0 {
            let deposit = |at: u32| Deposited { cents: cents + i64::from(at) }.into();
            return Ok(Events::from((0..deposits).map(deposit).collect::<Vec<_>>()));
        }
        let events = Events::one(Transferred { cents, from, to });
        Ok(if from == to { events } else { events.also_of::<Account>(to) })
    }
}

impl Aggregate for Owner {
    type Command = Rename;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        rename: &Rename,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<OwnerEvent>, String> {
        Ok(Events::one(Renamed { name: rename.name.clone() }))
    }
}

/// A clock that goes on by itself, in steps of 1,000 with gaps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Arc<AtomicU64>);

impl Steps {
    pub(crate) fn go_on(&self, by: u64) {
        self.0.fetch_add(by * 1_000, Ordering::Relaxed);
    }
}

impl Clock for Steps {
    fn now(&mut self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) fn open(directory: &Path, clock: &Steps) -> Engine {
    // 64 KiB below what a segment may have at least: several of them.
    let options = Options::new().segment_size(4 << 20).clock(clock.clone());
    let snapshots = Snapshots::on_request().bytes_per_second(None).keep(100);
    let engine = Engine::open(directory).options(options).snapshots(snapshots);
    engine.aggregate::<Account>().aggregate::<Owner>().start().expect("an engine")
}

pub(crate) fn history(log: &Log) -> History {
    History::of(log).state::<Account>().state::<Owner>().open()
}

pub(crate) const ACCOUNTS: u64 = 40;
pub(crate) const NAMES: [&str; 4] = ["a/b", "c~d", "e f", "ü\""];

/// Random commands; several events in one, some of two accounts.
pub(crate) fn work(engine: &Engine, clock: &Steps, random: &mut Random, commands: u64) {
    for _ in 0..commands {
        clock.go_on(1 + random.below(5));
        if random.below(8) == 0 {
            let owner = NAMES[random.below(4) as usize];
            let name = "n".repeat(random.below(12) as usize);
            engine.command::<Owner>(owner, Rename { name }).call().expect("accepted");
            continue;
        }
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
        let deposits = [0, 0, 1, 3][random.below(4) as usize];
        let command = DoIt { deposits, cents: random.below(90) as i64, to };
        engine.command::<Account>(from, command).call().expect("accepted");
    }
}

/// All states, as the model has them.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u64, Account>,
    pub(crate) owners: BTreeMap<String, Owner>,
}

/// An event, as it stands in the log.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) ts: u64,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Deposited { to: u64, cents: i64 },
    Transferred(Transferred),
    Renamed { who: String, name: String },
}

impl Model {
    pub(crate) fn fold(&mut self, event: &Event) {
        let mut tell = |key: u64, cents: i64, last: Last, text: &str| {
            let account = self.accounts.entry(key).or_default();
            account.cents += cents;
            account.last = Some(last);
            account.lines.push(text.to_owned());
            let surplus = account.lines.len().saturating_sub(6);
            account.lines.drain(..surplus);
        };
        match &event.what {
            What::Deposited { to, cents } => {
                tell(*to, *cents, Last::Deposit, &format!("+{cents}"));
            }
            What::Transferred(Transferred { cents, from, to }) => {
                let note = format!("{from}>{to}");
                let last = Last::Transfer { with: *to, note: note.clone() };
                tell(*from, -cents, last.clone(), &note);
                if from != to {
                    tell(*to, -cents, last, &note);
                }
            }
            What::Renamed { who, name } => {
                let owner = self.owners.entry(who.clone()).or_default();
                owner.name.clone_from(name);
                owner.changes += 1;
            }
        }
    }
}

/// All events of a log, in order.
pub(crate) fn events(log: &Log) -> Vec<Event> {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut all = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        let key = event.stream().expect("a stream").key().clone();
        let number = match &key {
            factlog::Key::U64(number) => *number,
            _ => 0,
        };
        let what = if let Some(deposited) = event.get::<Deposited>().expect("valid") {
            What::Deposited { to: number, cents: deposited.cents() }
        } else if let Some(moved) = event.get::<Transferred>().expect("valid") {
            What::Transferred(moved.to_owned())
        } else if let Some(renamed) = event.get::<Renamed>().expect("valid") {
            let factlog::Key::Text(who) = &key else { panic!("a text") };
            What::Renamed { who: who.to_string(), name: renamed.name().to_owned() }
        } else {
            panic!("an event of another type");
        };
        all.push(Event { ts: event.ts(), what });
    }
    all
}
