//! A small aggregate: a counter that is added to, one event of 8 bytes a command.

use std::path::Path;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Context, Durability, Engine, Events, Expected, LocalCommand, LocalEngine, Meta,
    Options, State, StoredState, StreamKey, Writer,
};
use tempfile::TempDir;

use crate::{MARGIN, SEGMENT, directory, wait_for_pages};

/// Add something.
#[factlog::event(name = "add", version = 1)]
pub struct Add {
    /// What is added.
    pub amount: u64,
}

/// Something was added.
#[factlog::event(name = "added", version = 1)]
pub struct Added {
    /// What was added.
    pub amount: u64,
}

/// What happens to a counter.
#[factlog::vocabulary]
pub enum CounterEvent {
    /// It was added to.
    Added(Added),
}

/// The sum of all that was added.
#[factlog::value]
#[derive(Default)]
pub struct Counter {
    /// The sum, modulo 2^64.
    pub sum: u64,
}

impl State for Counter {
    const NAME: &'static str = "counter";
    type Key = u64;
    type Event = CounterEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: CounterEventView<'_>) {
        let CounterEventView::Added(added) = event;
        self.sum = self.sum.wrapping_add(added.amount());
    }
}

impl Aggregate for Counter {
    type Command = Add;
    type Reply = u64;
    type Rejection = String;

    fn decide(
        &self,
        &Add { amount }: &Add,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<CounterEvent>, String> {
        context.reply(self.sum.wrapping_add(amount));
        Ok(Events::one(Added { amount }))
    }
}

/// Commands in one call, or events in one commit.
pub const AT_ONCE: u64 = 512;
/// Most bytes of the log that a command takes, its idempotency key included.
const MOST: u64 = 256;

/// All keys in turn, far apart.
#[inline]
pub fn key_of(number: u64, keys: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % keys
}

/// Something that counters are added to, one call after the other.
pub trait Adding {
    /// Adds so many times, at most [`AT_ONCE`].
    fn add(&mut self, numbers: std::ops::Range<u64>);

    /// Where the log ends.
    fn end(&self) -> u64;

    /// The time of `count` additions in logs whose pages are present: before a segment ends, another
    /// log is made, off the clock.
    fn time(ready: &mut Option<Self>, count: u64, make: impl Fn() -> Self) -> Duration
    where
        Self: Sized,
    {
        let (mut took, mut done) = (Duration::ZERO, 0);
        while done < count {
            let full = |one: &Self| one.end() % SEGMENT + AT_ONCE * MOST > SEGMENT - MARGIN;
            if ready.as_ref().is_none_or(full) {
                // First: there shall not be both of them.
                *ready = None;
                *ready = Some(make());
            }
            let Some(one) = ready else { continue };
            let began = Instant::now();
            while done < count && !full(one) {
                let end = (done + AT_ONCE).min(count);
                one.add(done..end);
                done = end;
            }
            took += began.elapsed();
        }
        took
    }
}

fn options() -> Options {
    let options = Options::new().segment_size(SEGMENT).spare_segments(1);
    options.prefault(SEGMENT as usize).durability(Durability::None)
}

/// Commands, decided by the thread that has the engine.
#[derive(Debug)]
pub struct Decided {
    engine: LocalEngine,
    keys: u64,
    idempotent: bool,
    next: u64,
    _directory: TempDir,
}

impl Decided {
    /// An engine in which all instances are there, with pages present.
    ///
    /// # Panics
    ///
    /// When it cannot be made: there is nothing to measure then.
    pub fn new(keys: u64, idempotent: bool) -> Self {
        let directory = directory();
        let engine = wait_for_pages(|| start(directory.path()));
        let mut made = Self { engine, keys, idempotent, next: 0, _directory: directory };
        let all = (0..keys).map(|key| LocalCommand::new(key, Add { amount: 1 }));
        made.engine.call_all::<Counter>(all, |verdict| assert!(verdict.is_ok()));
        made
    }
}

fn start(directory: &Path) -> LocalEngine {
    let engine = Engine::open(directory).options(options()).aggregate::<Counter>();
    engine.start_local().expect("an engine")
}

impl Adding for Decided {
    fn add(&mut self, numbers: std::ops::Range<u64>) {
        let (count, keys) = (numbers.end - numbers.start, self.keys);
        let (idempotent, next) = (self.idempotent, &mut self.next);
        let commands = numbers.map(|number| {
            let one = LocalCommand::new(key_of(number, keys), Add { amount: number });
            if !idempotent {
                return one;
            }
            // One that was never used before.
            *next += 1;
            one.idempotency_key(next.to_le_bytes())
        });
        let mut accepted = 0;
        self.engine.call_all::<Counter>(commands, |verdict| {
            accepted += verdict.expect("accepted").events;
        });
        assert_eq!(accepted, count);
    }

    fn end(&self) -> u64 {
        self.engine.log().visible().1.raw()
    }
}

/// The same events, appended by hand to the same streams.
#[derive(Debug)]
pub struct ByHand {
    writer: Writer,
    streams: Vec<StreamKey>,
    _directory: TempDir,
}

impl ByHand {
    /// A log with pages present.
    ///
    /// # Panics
    ///
    /// When it cannot be made: there is nothing to measure then.
    pub fn new(keys: u64) -> Self {
        let directory = directory();
        let writer = wait_for_pages(|| options().open(directory.path()).expect("a log"));
        let name = |key| StreamKey::new("counter", key).expect("a key");
        let streams: Vec<_> = (0..keys).map(name).collect();
        let mut made = Self { writer, streams, _directory: directory };
        for from in (0..keys).step_by(AT_ONCE as usize) {
            made.add(from..(from + AT_ONCE).min(keys));
        }
        made
    }
}

impl Adding for ByHand {
    fn add(&mut self, numbers: std::ops::Range<u64>) {
        let keys = self.streams.len() as u64;
        let mut transaction = self.writer.begin().expect("room");
        for number in numbers {
            let stream = &self.streams[key_of(number, keys) as usize];
            let meta = Meta::new().stream(stream, Expected::Any);
            transaction.append_with(&Added { amount: number }, meta).expect("appended");
        }
        transaction.commit().expect("committed");
    }

    fn end(&self) -> u64 {
        self.writer.log().visible().1.raw()
    }
}
