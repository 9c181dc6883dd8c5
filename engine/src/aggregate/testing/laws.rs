//! Laws that every aggregate has to keep, tried with random commands.

use std::fmt::Write;

use super::super::batch::Verdict;
use super::super::decide::Aggregate;
use super::super::local::{LocalCommand, LocalEngine};
use super::super::receipt::CommandError;
use super::given::events_between;
use super::place::{Add, Place, Still, opened};
use super::show::difference;
use crate::image::IntoKey;

/// From one command to the next, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A source of random numbers for a test: the same ones for the same seed.
#[derive(Debug, Clone)]
pub struct TestRandom(u64);

impl TestRandom {
    fn of(seed: u64, step: u64) -> Self {
        let mut random = Self(seed ^ step.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next_u64();
        random
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}

/// Laws, in one line of a user's test:
///
/// ```
/// use factlog::testing::Laws;
/// # use factlog::{Aggregate, Context, Events, State};
/// # #[factlog::event(name = "count", version = 1)]
/// # pub struct Count { pub by: u64 }
/// # #[factlog::event(name = "counted", version = 1)]
/// # pub struct Counted { pub by: u64 }
/// # #[factlog::vocabulary]
/// # pub enum CounterEvent { Counted(Counted) }
/// # #[factlog::value]
/// # #[derive(Debug, Default)]
/// # pub struct Counter { sum: u64 }
/// # impl State for Counter {
/// #     const NAME: &'static str = "counter";
/// #     type Key = u64;
/// #     type Event = CounterEvent;
/// #     const STORED: Option<factlog::StoredState<Self>> = factlog::StoredState::new(1);
/// #     fn evolve(&mut self, event: CounterEventView<'_>) {
/// #         let CounterEventView::Counted(counted) = event;
/// #         self.sum += counted.by();
/// #     }
/// # }
/// # impl Aggregate for Counter {
/// #     type Command = Count;
/// #     type Reply = u64;
/// #     type Rejection = String;
/// #     fn decide(&self, count: &Count, cx: &mut Context<'_, Self>) -> Result<Events<CounterEvent>, String> {
/// #         cx.reply(self.sum);
/// #         Ok(Events::one(Counted { by: count.by }))
/// #     }
/// # }
/// Laws::<Counter>::new(|random| (random.below(3), Count { by: random.below(100) })).check();
/// ```
///
/// Random commands go to two engines. One runs on; the other is closed again and again, and
/// comes back by folding its log from the beginning, or (where the state is stored) from a snapshot
/// and what follows it. Both must answer every command the same, and write the same events, byte
/// for byte, to the same instances, as corrections of the same earlier ones. That finds decisions that depend on anything else than state, command and context: a
/// clock, randomness of their own, the order of a hash table, something that `decide` has changed behind
/// its reference; a state that folds otherwise when it is read again, or loses something in a
/// snapshot; an `evolve` that panics.
#[must_use = "laws are held by `check`"]
pub struct Laws<A: Aggregate> {
    make: Box<Make<A>>,
    seed: u64,
    runs: u64,
    commands: u64,
    kinds: Vec<Add>,
    /// Of these, the ones that are not stored.
    unstored: Vec<&'static str>,
    snapshots: bool,
}

type Make<A> =
    dyn Fn(&mut TestRandom) -> (<A as crate::image::State>::Key, <A as Aggregate>::Command);

impl<A: Aggregate> std::fmt::Debug for Laws<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Laws").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// Where the two parted.
struct Parted {
    step: u64,
    said: String,
}

impl<A: Aggregate> Laws<A> {
    /// With these commands: an instance, and what is wanted of it. It is called with the same random
    /// numbers more than once, and must give the same then.
    pub fn new<K: IntoKey<A::Key>, C: Into<A::Command>>(
        make: impl Fn(&mut TestRandom) -> (K, C) + 'static,
    ) -> Self {
        let make = move |random: &mut TestRandom| {
            let (key, command) = make(random);
            (key.into_key(), command.into())
        };
        let kinds: Vec<Add> = vec![|engine| engine.aggregate::<A>()];
        let (unstored, snapshots) = (Vec::new(), A::STORED.is_some());
        Self { make: Box::new(make), seed: 1, runs: 4, commands: 60, kinds, unstored, snapshots }
    }

    /// The engines hold this aggregate as well. If it is not stored no snapshot can be taken: see
    /// [`Laws::without_snapshots`].
    pub fn with<B: Aggregate>(mut self) -> Self {
        self.kinds.push(|engine| engine.aggregate::<B>());
        if B::STORED.is_none() {
            self.unstored.push(B::NAME);
        }
        self
    }

    /// The second engine comes back from its log only, though the state is stored: what is lost in a
    /// snapshot is not found then.
    pub const fn without_snapshots(mut self) -> Self {
        self.snapshots = false;
        self
    }

    /// The first seed: 1 by default.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many runs, of how many commands each: 4 of 60 by default.
    pub const fn runs(mut self, runs: u64, commands: u64) -> Self {
        (self.runs, self.commands) = (runs, commands);
        self
    }

    /// Tries them.
    ///
    /// # Panics
    ///
    /// One does not hold: with the seed, and with a sequence of commands that shows it, out of which
    /// none can be left. Or snapshots are to be taken, and cannot, since an aggregate that was added is
    /// not stored.
    #[track_caller]
    pub fn check(self) {
        if let Some(name) = self.unstored.first().filter(|_| self.snapshots) {
            panic!(
                "`{name}` is not stored, so no snapshot can be taken, and what `{}` loses in one would \
                 not be found: set `STORED` in its `State`, or say `without_snapshots`",
                A::NAME
            );
        }
        for seed in self.seed..self.seed + self.runs {
            let all: Vec<u64> = (0..self.commands).collect();
            if let Err(parted) = self.run(seed, &all) {
                let (steps, parted) = self.shrink(seed, parted);
                panic!("{}", self.told(seed, &steps, &parted));
            }
        }
    }

    /// As few of the commands as still show it.
    fn shrink(&self, seed: u64, parted: Parted) -> (Vec<u64>, Parted) {
        let mut steps: Vec<u64> = (0..=parted.step).collect();
        let mut last = parted;
        let mut size = steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < steps.len() {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + size).min(steps.len()));
                match self.run(seed, &fewer) {
                    Err(parted) if !fewer.is_empty() => {
                        fewer.retain(|step| *step <= parted.step);
                        (steps, last) = (fewer, parted);
                    }
                    _ => at += size,
                }
            }
            size /= 2;
        }
        (steps, last)
    }

    fn told(&self, seed: u64, steps: &[u64], parted: &Parted) -> String {
        let mut text = format!(
            "`{}` is not deterministic, or not folded as it was decided (seed {seed}, {} commands \
             show it):",
            A::NAME,
            steps.len()
        );
        for step in steps {
            let (key, command) = (self.make)(&mut TestRandom::of(seed, *step));
            let name = factlog_codec::types::Encode::event_type(&command).name();
            let _ = write!(text, "\n  {step}. {name} to {key:?}");
        }
        let _ = write!(text, "\nat command {}: {}", parted.step, parted.said);
        text
    }

    /// Sends the commands of these steps to both; where they part.
    fn run(&self, seed: u64, steps: &[u64]) -> Result<(), Parted> {
        let (straight, broken) = (Place::new(), Place::new());
        let clock = Still::at(0);
        let mut one = self.open(&straight, &clock);
        let mut other = Some(self.open(&broken, &clock));
        for step in steps {
            let parted = |said: String| Parted { step: *step, said };
            // What a start or a snapshot writes has its time too, and must not push that of the command.
            clock.set(step * SECOND + SECOND / 2);
            let mut random = TestRandom::of(seed, *step);
            let again = match random.next_u64() % 4 {
                0 => Again::FromTheLog,
                1 => Again::FromASnapshot,
                _ => Again::Not,
            };
            if again != Again::Not {
                drop(other.take());
                match again {
                    Again::FromASnapshot if self.snapshots => {
                        self.take_snapshot(&broken, &clock).map_err(parted)?;
                    }
                    _ => remove_snapshots(&broken).map_err(parted)?,
                }
            }
            let mut engine = other.take().unwrap_or_else(|| self.open(&broken, &clock));
            clock.set((step + 1) * SECOND);
            let answers = [&mut one, &mut engine].map(|engine| self.send(engine, seed, *step));
            other = Some(engine);
            let [(first, events), (second, others)] = answers;
            if let Some(difference) = difference(&events, &others, true) {
                return Err(parted(format!(
                    "(expected: by the engine that runs on; found: by the one that was closed and \
                     opened again) {difference}"
                )));
            }
            if first != second {
                return Err(parted(format!("it was answered `{first}`, and `{second}`")));
            }
        }
        Ok(())
    }

    #[track_caller]
    fn open(&self, place: &Place, clock: &Still) -> LocalEngine {
        match opened(place, clock, &self.kinds).start_local() {
            Ok(engine) => engine,
            Err(error) => panic!("the engine of the test does not start: {error}"),
        }
    }

    fn take_snapshot(&self, place: &Place, clock: &Still) -> Result<(), String> {
        let engine =
            opened(place, clock, &self.kinds).start().map_err(|error| error.to_string())?;
        match engine.snapshot() {
            Ok(_) | Err(crate::image::SnapshotTrouble::Nothing) => Ok(()),
            Err(error) => Err(format!("no snapshot was taken: {error}")),
        }
    }

    /// What a command is answered, and its events.
    fn send(
        &self,
        engine: &mut LocalEngine,
        seed: u64,
        step: u64,
    ) -> (String, Vec<super::show::Archived>) {
        let mut random = TestRandom::of(seed, step);
        let (key, command) = (self.make)(&mut random);
        engine.core.desk.random = random.next_u64();
        let before = engine.log().visible().0;
        let verdict = engine.call_ref(&LocalCommand::<A>::given(key, command));
        let after = engine.log().visible().0;
        (answer_of::<A>(&verdict), events_between::<A>(engine.log(), before, after))
    }
}

/// So that the whole log is folded again.
fn remove_snapshots(place: &Place) -> Result<(), String> {
    match std::fs::remove_dir_all(place.path().join("snapshots")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("snapshots cannot be removed: {error}"))
        }
        _ => Ok(()),
    }
}

/// How the second engine comes back before a command.
#[derive(PartialEq, Eq)]
enum Again {
    Not,
    FromTheLog,
    FromASnapshot,
}

fn answer_of<A: Aggregate>(verdict: &Verdict<A>) -> String {
    match verdict {
        Ok(accepted) => format!("accepted, {:?}", accepted.reply),
        Err(CommandError::Rejected { reason, .. }) => format!("rejected, {reason:?}"),
        Err(error) => error.to_string(),
    }
}
