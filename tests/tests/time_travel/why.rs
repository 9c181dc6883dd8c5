//! Is the event found that made something true? And the past by a time that stands in events?

use std::path::Path;

use factlog::{
    Durability, Expected, History, HistoryError, Meta, Moment, Options, Sequence, State,
    StoredState, StreamKey, SuspensionCause, Writer,
};
use factlog_tests::{Random, scratch};

use crate::world::{ACCOUNTS, Account, Event, Model, Steps, events, history, open, work};

/// The event that first makes `cents` at most so many, by the model: its place, and the states around.
fn first(
    all: &[Event],
    key: u64,
    mut holds: impl FnMut(&Account) -> bool,
) -> Option<(usize, Account, Account)> {
    let mut model = Model::default();
    let mut before = Account::default();
    let mut held = holds(&before);
    for (at, event) in all.iter().enumerate() {
        model.fold(event);
        let after = model.accounts.get(&key).cloned().unwrap_or_default();
        let holds = holds(&after);
        if holds && !held {
            return Some((at, before, after));
        }
        (before, held) = (after, holds);
    }
    None
}

#[test]
fn is_the_event_found_that_first_made_it_true() {
    let mut random = Random::from_environment("why");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..5 {
        work(&engine, &clock, &mut random, 200);
        engine.snapshot().expect("taken");
    }
    work(&engine, &clock, &mut random, 100);
    let all = events(engine.log());
    let mut history = history(engine.log());
    let (mut found, mut none) = (0, 0);
    for round in 0..120 {
        let key = random.below(ACCOUNTS);
        let limit = random.below(600) as i64;
        // Falling below: true again and again. The number of lines only grows.
        let (cause, expected) = if round % 3 == 0 {
            let enough = |account: &Account| account.lines.len() > (limit % 7) as usize;
            (history.why_monotone::<Account>(key, enough), first(&all, key, enough))
        } else {
            let below = |account: &Account| account.cents <= -limit;
            (history.why::<Account>(key, below), first(&all, key, below))
        };
        let cause = cause.expect("readable");
        let Some((at, before, after)) = expected else {
            assert!(cause.is_none(), "{cause:?}");
            none += 1;
            continue;
        };
        let cause = cause.expect("an event");
        assert_eq!(cause.sequence.get(), at as u64 + 1);
        assert_eq!((cause.ts, &cause.before, &cause.after), (all[at].ts, &before, &after));
        let json = cause.event.expect("shown");
        assert!(json.starts_with("{\"cents\":"), "{json}");
        assert!(["deposited", "transferred"].contains(&cause.name.as_str()));
        found += 1;
    }
    assert!(found > 40 && none > 10, "{found} {none}");
}

/// What was promised to stay true needs no look at what was before the last snapshot without it.
#[test]
fn does_bisection_look_at_few_events() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    let deposit = |key: u64, count: u32| {
        let command = crate::world::DoIt { deposits: 1, cents: 1, to: 0 };
        (0..count).for_each(|_| {
            engine.command::<Account>(key, command.clone()).call().map(drop).expect("accepted")
        });
    };
    for _ in 0..16 {
        deposit(1, 100);
        engine.snapshot().expect("taken");
    }
    let mut history = history(engine.log());
    let mut looked = 0;
    let cause = history
        .why_monotone::<Account>(1_u64, |account| {
            looked += 1;
            account.cents >= 1_234
        })
        .expect("readable")
        .expect("an event");
    assert_eq!(cause.sequence.get(), 1_234);
    // Of 16 snapshots at most five, and then at most a hundred events behind one.
    assert!(looked <= 5 + 1 + 100, "{looked}");
    let scanned = history.why::<Account>(1_u64, |account| account.cents >= 1_234);
    assert_eq!(scanned.expect("readable").expect("an event").sequence.get(), 1_234);
    assert!(history.why::<Account>(1_u64, |_| true).expect("readable").is_none());
    assert!(
        history.why::<Account>(77_u64, |account| account.cents > 0).expect("readable").is_none()
    );
}

#[factlog::event(name = "price-set", version = 1)]
struct PriceSet {
    cents: u64,
    /// When it was valid from: the user's own time.
    at: u64,
}

#[factlog::event(name = "note", version = 1)]
struct Note {}

#[factlog::vocabulary]
enum PriceEvent {
    Set(PriceSet),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Price {
    cents: u64,
}

impl State for Price {
    const NAME: &'static str = "price";
    type Key = u64;
    type Event = PriceEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: PriceEventView<'_>) {
        let PriceEventView::Set(set) = event;
        self.cents = set.cents();
    }
}

fn writer(directory: &Path) -> Writer {
    let options = Options::new().segment_size(4 << 20).durability(Durability::None);
    options.open(directory).expect("opens")
}

fn price(key: u64) -> StreamKey {
    StreamKey::new("price", key).expect("a key")
}

/// Scenario 2: a correction is a new fact. Both are readable, the first one says what it said, and
/// as of before the correction the price was the wrong one.
#[test]
fn does_the_past_show_what_was_known_then() {
    let directory = scratch();
    let mut writer = writer(directory.path());
    let stream = price(1);
    let meta = || Meta::new().stream(&stream, Expected::Any);
    let wrong = writer.append_with(&PriceSet { cents: 10, at: 1 }, meta()).expect("appended");
    let right = PriceSet { cents: 12, at: 1 };
    let right = writer.append_with(&right, meta().invalidates(wrong)).expect("appended");
    let log = writer.log();
    let mut history = History::of(&log).state::<Price>().open();
    let mut cents = |moment: Moment| {
        let one = history.state::<Price>(1_u64, moment).expect("a state").state.cents;
        let mut image = history.as_of(moment).expect("an image");
        assert_eq!(image.with::<Price, _>(1_u64, |price| price.cents).expect("a state"), one);
        one
    };
    assert_eq!(cents(wrong.into()), 10);
    assert_eq!(cents(right.into()), 12);
    assert_eq!(cents(Moment::Now), 12);
    let read = |sequence| {
        log.with_event(sequence, |event| {
            let cents = event.get::<PriceSet>().expect("valid").expect("a price").cents();
            (cents, event.invalidates().expect("readable"))
        })
        .expect("there")
    };
    assert_eq!((read(wrong), read(right)), ((10, None), (12, Some(wrong))));
}

/// Events of the user's own time, among others that have none, in a random order of streams.
#[test]
fn is_the_past_by_a_time_of_the_users_own_found() {
    let mut random = Random::from_environment("partition point");
    let directory = scratch();
    let mut writer = writer(directory.path());
    let (mut at, mut model) = (100, Vec::new());
    for _ in 0..3_000 {
        at += random.below(3);
        let key = random.below(5);
        if random.below(4) == 0 {
            writer.append(&Note {}).expect("appended");
            continue;
        }
        let stream = price(key);
        let meta = Meta::new().stream(&stream, Expected::Any);
        let sequence = writer.append_with(&PriceSet { cents: at * 7, at }, meta).expect("appended");
        model.push((sequence, key, at));
    }
    let log = writer.log();
    let end = log.visible().0.after(1);
    let mut history = History::of(&log).state::<Price>().open();
    for round in 0..400 {
        let time = if round == 0 { 0 } else { 90 + random.below(at) };
        let mut looked = 0;
        let found = log
            .partition_point(|event| {
                looked += 1;
                Some(event.get::<PriceSet>().ok()??.at() <= time)
            })
            .expect("readable");
        let first = model.iter().find(|(_, _, at)| *at > time);
        assert_eq!(found, first.map_or(end, |(sequence, ..)| *sequence), "by {time}");
        assert!(looked < 150, "{looked} of {}", model.len());
        let key = random.below(6);
        let found = history.partition_point::<Price>(key, |event| {
            let PriceEventView::Set(set) = event;
            set.at() <= time
        });
        let found = found.expect("readable");
        let first = model.iter().find(|(_, of, at)| *of == key && *at > time);
        assert_eq!(found, first.map_or(end, |(sequence, ..)| *sequence), "{key} by {time}");
        // The price that was valid then.
        let then = history.state::<Price>(key, found.before()).expect("a state").state.cents;
        let valid = model.iter().rfind(|(_, of, at)| *of == key && *at <= time);
        assert_eq!(then, valid.map_or(0, |(_, _, at)| at * 7));
    }
}

#[test]
fn is_an_event_that_is_not_known_told() {
    let directory = scratch();
    let mut writer = writer(directory.path());
    let stream = price(1);
    let meta = || Meta::new().stream(&stream, Expected::Any);
    writer.append_with(&PriceSet { cents: 10, at: 1 }, meta()).expect("appended");
    let unknown = writer.append_with(&Note {}, meta()).expect("appended");
    let mut history = History::of(&writer.log()).state::<Price>().open();
    let now = history.state::<Price>(1_u64, Moment::Now);
    assert!(
        matches!(&now, Err(HistoryError::Suspended(why)) if why.sequence == unknown
            && why.cause == SuspensionCause::Unknown { name: "note".into(), version: 1 }),
        "{now:?}"
    );
    // Before it, it was as it was.
    let before = history.state::<Price>(1_u64, unknown.before()).expect("a state");
    assert_eq!(before.state.cents, 10);
    let image = history.as_of(Moment::Now).expect("an image");
    assert_eq!(image.suspensions().len(), 1);
    let image = history.as_of(unknown.before()).expect("an image");
    assert_eq!(image.suspensions().len(), 0);
    // What was true before is still found, what would come after is not guessed.
    let why = history.why::<Price>(1_u64, |price| price.cents == 10).expect("readable");
    assert_eq!(why.expect("an event").sequence, Sequence::FIRST);
    let why = history.why::<Price>(1_u64, |price| price.cents == 11);
    assert!(matches!(why, Err(HistoryError::Suspended(_))), "{why:?}");
    let cut = history.partition_point::<Price>(1_u64, |_| true);
    assert!(matches!(cut, Err(HistoryError::UnknownEvent(at)) if at == unknown), "{cut:?}");
}
