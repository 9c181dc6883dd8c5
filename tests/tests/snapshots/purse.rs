//! Purses that pay each other, and what is asked of all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use factlog::{
    Aggregate, CommandError, Context, Engine, Events, Options, Replica, Snapshots, State,
    StoredState,
};
use factlog_tests::{Random, scratch};
use tempfile::TempDir;

/// Whatever is waited for has come by then.
pub(crate) const SOON: Duration = Duration::from_secs(60);

#[factlog::event(name = "pay", version = 1)]
#[derive(Debug, Clone)]
pub(crate) struct Pay {
    pub(crate) units: u64,
    pub(crate) to: u64,
}

#[factlog::event(name = "paid", version = 1)]
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) units: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

#[factlog::event(name = "from-the-future", version = 1)]
pub(crate) struct FromTheFuture {}

#[factlog::vocabulary]
pub(crate) enum PurseEvent {
    Paid(Paid),
}

#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Broke {
    pub(crate) units: u64,
}

impl std::fmt::Display for Broke {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "only {} units", self.units)
    }
}

pub(crate) const BEGIN: u64 = 1_000;

/// Everybody begins with so many units. The notes make some of them long.
#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Purse {
    pub(crate) got: u64,
    pub(crate) gave: u64,
    pub(crate) notes: Vec<String>,
}

/// A state like this, stored like that.
macro_rules! purse {
    ($purse:ident, $stored:expr) => {
        impl State for $purse {
            const NAME: &'static str = "purse";
            type Key = u64;
            type Event = PurseEvent;
            const STORED: Option<StoredState<Self>> = $stored;

            fn evolve(&mut self, event: PurseEventView<'_>) {
                let PurseEventView::Paid(paid) = event;
                // Which of the two it is cannot be told from the event alone: both are in it.
                self.notes.push(format!("{} from {} to {}", paid.units(), paid.from(), paid.to()));
                self.gave += paid.units();
                self.got += 1;
            }
        }

        impl Aggregate for $purse {
            type Command = Pay;
            type Reply = u64;
            type Rejection = Broke;

            fn decide(
                &self,
                &Pay { units, to }: &Pay,
                context: &mut Context<'_, Self>,
            ) -> Result<Events<PurseEvent>, Broke> {
                let left = BEGIN.checked_sub(self.gave).unwrap_or_default();
                if units > left {
                    return Err(Broke { units: left });
                }
                // It looks at the other purse, loaded or not.
                if context.state::<$purse>(to).got == u64::MAX {
                    return Err(Broke { units: 0 });
                }
                let from = *context.key();
                context.reply(left - units);
                let events = Events::one(Paid { units, from, to });
                Ok(if from == to { events } else { events.also_of::<$purse>(to) })
            }
        }
    };
}

pub(crate) use purse;

purse!(Purse, StoredState::new(1));

pub(crate) fn options() -> Options {
    Options::new().segment_size(4 << 20)
}

pub(crate) fn open_with(directory: &Path, snapshots: Snapshots) -> Engine {
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    engine.aggregate::<Purse>().start().expect("an engine")
}

pub(crate) fn open(directory: &Path) -> Engine {
    open_with(directory, Snapshots::on_request().bytes_per_second(None))
}

/// Random payments between so many, each with its key; some are refused.
pub(crate) fn pay(
    engine: &Engine,
    random: &mut Random,
    numbers: std::ops::Range<u64>,
    purses: u64,
) {
    let sent: Vec<_> = numbers
        .map(|number| {
            let (from, to) = (random.below(purses), random.below(purses));
            let pay = engine.command::<Purse>(from, Pay { units: random.below(40), to });
            let pay = pay.idempotency_key(number.to_le_bytes());
            pay.send_within(Duration::from_secs(60)).expect("room")
        })
        .collect();
    for sent in sent {
        match sent.wait() {
            Ok(_) | Err(CommandError::Rejected { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// All states, folded by a thread that knows no snapshot.
pub(crate) fn cold(engine: &Engine) -> BTreeMap<u64, Purse> {
    let replica =
        Replica::of(engine.log()).state::<Purse>().whole_log().start().expect("a replica");
    let end = engine.log().visible().0;
    replica.at_least(end, Duration::from_secs(60)).expect("in time");
    let mut all = BTreeMap::new();
    let seen = replica.for_each::<Purse>(|key, purse| drop(all.insert(*key, purse.clone())));
    assert_eq!(seen.expect("held"), end);
    all
}

pub(crate) fn warm(engine: &Engine, key: u64) -> Purse {
    engine.ask::<Purse, _>(key, Purse::clone).expect("a state")
}

#[track_caller]
pub(crate) fn same_as_cold(engine: &Engine, purses: u64) {
    let cold = cold(engine);
    for key in 0..purses {
        let expected = cold.get(&key).cloned().unwrap_or_default();
        assert_eq!(warm(engine, key), expected, "purse {key}");
    }
}

pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("snapshots")).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// A log of 300 purses with a snapshot in the middle, closed; its sequence.
pub(crate) fn with_snapshot() -> (TempDir, u64) {
    let directory = scratch();
    let engine = open(directory.path());
    let mut random = Random::new(7);
    pay(&engine, &mut random, 0..2_000, 300);
    let taken = engine.snapshot().expect("taken");
    assert_eq!(taken.sequence, engine.log().visible().0);
    pay(&engine, &mut random, 2_000..2_500, 300);
    engine.close().expect("closes");
    (directory, taken.sequence.get())
}
