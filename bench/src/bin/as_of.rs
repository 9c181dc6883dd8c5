//! What does a question about the past cost: how one instance was, as of any event or time?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin as_of
//! cargo run --release -p factlog-bench --bin as_of -- --instances 100000 --between 64
//! ```
//!
//! A log of so many instances is written, with a snapshot whenever each has had so many events more; all
//! in frames as a busy engine writes them. Then random moments of random instances are asked for: first
//! from a new handle, which has to open snapshots and look for events (cold); then again and again (warm),
//! in rounds, of which median, least and greatest are shown. Each answer is held against what is known to
//! be right. Beside it: what folding as many events takes that stand in memory side by side.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Context, Durability, Encode, Engine, Event, Events, History, LocalCommand, Log,
    Moment, Options, Scratch, Sequence, Snapshots, State, StoredState, Vocabulary,
};
use factlog_bench::machine;
use factlog_bench::program::run;
use factlog_tests::Random;
use hdrhistogram::Histogram;

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
usage: as_of [--instances N] [--between N] [--snapshots N] [--questions N] [--dir DIRECTORY]

  --instances N     of an aggregate (1000)
  --between N       events of each from one snapshot to the next (256)
  --snapshots N     of them (8)
  --questions N     in a round (100000)
  --dir DIRECTORY   where the log is made (.)";

/// Rounds of warm questions.
const ROUNDS: usize = 5;
/// Whole images that are asked for.
const IMAGES: usize = 21;

#[factlog::event(name = "add", version = 1)]
struct Add {
    amount: u64,
}

#[factlog::event(name = "added", version = 1)]
struct Added {
    amount: u64,
}

#[factlog::vocabulary]
enum CounterEvent {
    Added(Added),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Counter {
    sum: u64,
    count: u64,
}

impl State for Counter {
    const NAME: &'static str = "counter";
    type Key = u64;
    type Event = CounterEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: CounterEventView<'_>) {
        let CounterEventView::Added(added) = event;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(added.amount());
        self.count += 1;
    }
}

impl Aggregate for Counter {
    type Command = Add;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        &Add { amount }: &Add,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<CounterEvent>, String> {
        Ok(Events::one(Added { amount }))
    }
}

struct Arguments {
    instances: u64,
    between: u64,
    snapshots: u64,
    questions: u64,
    directory: PathBuf,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut found = Self {
            instances: 1_000,
            between: 256,
            snapshots: 8,
            questions: 100_000,
            directory: ".".into(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            let number = |value: String, least: u64| {
                let number = value.parse().ok().filter(|number| *number >= least);
                number.ok_or_else(|| format!("{word} is a number, {least} at least"))
            };
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--instances" => found.instances = number(value()?, 2)?,
                "--between" => found.between = number(value()?, 2)?,
                "--snapshots" => found.snapshots = number(value()?, 1)?,
                "--questions" => found.questions = number(value()?, 100)?,
                "--dir" => found.directory = value()?.into(),
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(Some(found))
    }
}

/// Which instance has which event: each once in a round, in another order in each.
struct Order {
    instances: u64,
    /// The place of an instance in round 0.
    place: Vec<u64>,
}

impl Order {
    fn of(instances: u64) -> Self {
        let mut keys: Vec<u64> = (0..instances).collect();
        let mut random = Random::new(instances);
        for at in (1..keys.len()).rev() {
            keys.swap(at, random.below(at as u64 + 1) as usize);
        }
        let mut place = vec![0; keys.len()];
        for (at, key) in (0..).zip(keys) {
            place[key as usize] = at;
        }
        Self { instances, place }
    }

    /// The place of an instance in a round, from 0.
    fn place(&self, round: u64, key: u64) -> u64 {
        (self.place[key as usize] + round * 7) % self.instances
    }

    /// The instances of a round, in order.
    fn round(&self, round: u64) -> Vec<u64> {
        let mut keys = vec![0; self.place.len()];
        for key in 0..self.instances {
            keys[self.place(round, key) as usize] = key;
        }
        keys
    }

    /// How many events an instance has had as of one.
    fn events(&self, key: u64, sequence: u64) -> u64 {
        let (round, rest) = (sequence / self.instances, sequence % self.instances);
        round + u64::from(self.place(round, key) < rest)
    }
}

fn options() -> Options {
    Options::new().durability(Durability::None)
}

fn write_log(arguments: &Arguments, order: &Order, directory: &Path) -> Result<u64, Failure> {
    let mut refused = 0;
    let mut bytes = 0;
    for snapshot in 0..=arguments.snapshots {
        let engine = Engine::open(directory).options(options()).aggregate::<Counter>();
        let mut engine = engine.start_local()?;
        for round in snapshot * arguments.between..(snapshot + 1) * arguments.between {
            let keys = order.round(round).into_iter();
            let commands = keys.map(|key| LocalCommand::new(key, Add { amount: round ^ key }));
            engine.call_all::<Counter>(commands, |verdict| refused += u64::from(verdict.is_err()));
        }
        engine.close()?;
        if snapshot < arguments.snapshots {
            let snapshots = Snapshots::on_request().keep(1_000).bytes_per_second(None);
            let engine = Engine::open(directory).options(options()).snapshots(snapshots);
            let engine = engine.aggregate::<Counter>().start()?;
            bytes += engine.snapshot()?.bytes;
            engine.close()?;
        }
    }
    if refused == 0 { Ok(bytes) } else { Err(format!("{refused} commands failed").into()) }
}

/// Random questions about what came behind the first snapshot.
struct Asking<'a> {
    arguments: &'a Arguments,
    order: &'a Order,
    random: Random,
    last: u64,
    /// The times of frames, by the last event in them.
    times: Vec<(u64, u64)>,
}

impl Asking<'_> {
    /// Instance, moment, and how many events of it that takes in.
    fn next(&mut self, by_time: bool) -> (u64, Moment, u64) {
        let first = self.arguments.between * self.arguments.instances;
        let key = self.random.below(self.arguments.instances);
        let sequence = first + self.random.below(self.last - first + 1);
        if by_time {
            let at = self.times.partition_point(|(last, _)| *last < sequence);
            let (last, time) = self.times[at.min(self.times.len() - 1)];
            return (key, Moment::Time(time), self.order.events(key, last));
        }
        let moment = Moment::Sequence(Sequence::new(sequence));
        (key, moment, self.order.events(key, sequence))
    }

    /// Asks so many questions: their latencies in nanoseconds, and how many events were folded.
    fn ask(
        &mut self,
        history: &mut History,
        count: u64,
        by_time: bool,
    ) -> Result<(Histogram<u64>, u64), Failure> {
        let mut latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        let mut folded = 0;
        for _ in 0..count {
            let (key, moment, expected) = self.next(by_time);
            let began = Instant::now();
            let past = history.state::<Counter>(key, moment)?;
            latencies.saturating_record(began.elapsed().as_nanos() as u64);
            if past.state.count != expected {
                return Err(format!("{key} as of {moment:?}: {past:?}, not {expected}").into());
            }
            folded += past.folded;
        }
        Ok((latencies, folded))
    }
}

fn history(log: &Log) -> History {
    History::of(log).state::<Counter>().open()
}

fn frame_times(log: &Log) -> Result<Vec<(u64, u64)>, Failure> {
    let mut cursor = log.cursor(factlog::Start::Oldest)?;
    let mut times: Vec<(u64, u64)> = Vec::new();
    while let Some(event) = cursor.next_event()? {
        match times.last_mut() {
            Some((last, ts)) if *ts == event.ts() => *last = event.sequence().get(),
            _ => times.push((event.sequence().get(), event.ts())),
        }
    }
    Ok(times)
}

fn show(name: &str, found: &Histogram<u64>, rest: &str) {
    let at = |quantile: f64| found.value_at_quantile(quantile) as f64 / 1e3;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(at);
    println!("{name:<22} p50 {p50:>8.1}  p99 {p99:>8.1}  p99.9 {p999:>8.1}  {rest}");
}

/// Median, least and greatest of the rounds, in us.
fn spread(rounds: &[Histogram<u64>], quantile: f64) -> String {
    let mut all: Vec<f64> =
        rounds.iter().map(|round| round.value_at_quantile(quantile) as f64 / 1e3).collect();
    all.sort_by(f64::total_cmp);
    let (first, last) = (all[0], all[all.len() - 1]);
    format!("{:>6.1} ({first:.1} to {last:.1})", all[all.len() / 2])
}

fn warm(
    asking: &mut Asking<'_>,
    history: &mut History,
    name: &str,
    by_time: bool,
) -> Result<f64, Failure> {
    let (mut rounds, mut folded) = (Vec::new(), 0);
    let before = history.counts();
    for _ in 0..ROUNDS {
        let (latencies, some) = asking.ask(history, asking.arguments.questions, by_time)?;
        rounds.push(latencies);
        folded += some;
    }
    let now = history.counts();
    let questions = asking.arguments.questions * ROUNDS as u64;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| spread(&rounds, quantile));
    let each = folded as f64 / questions as f64;
    println!("{name:<22} p50 {p50}  p99 {p99}  p99.9 {p999}");
    println!(
        "{:<22} {each:.0} events folded each, {} looked for in {questions} questions",
        "",
        now.looked_for - before.looked_for
    );
    Ok(each)
}

/// Folding `count` events that stand in memory side by side, in us.
fn in_memory(count: u64) -> Result<f64, Failure> {
    let mut space = vec![0_u128; count as usize];
    let (key, mut scratch) = (Added::static_type().key(), Scratch::new());
    for (amount, space) in (0..).zip(space.chunks_mut(1)) {
        Added { amount }.encode(bytemuck::cast_slice_mut(space), &mut scratch)?;
    }
    let mut best = Vec::new();
    for _ in 0..101 {
        let began = Instant::now();
        let mut counter = Counter::default();
        for one in space.chunks(1) {
            let payload: &[u8] = bytemuck::cast_slice(black_box(one));
            if let Some(view) = CounterEvent::view(key, payload.get(..8).unwrap_or(payload))? {
                counter.evolve(view);
            }
        }
        black_box(counter);
        best.push(began.elapsed().as_nanos() as f64 / 1e3);
    }
    best.sort_by(f64::total_cmp);
    Ok(best[best.len() / 2])
}

fn files(directory: &Path) -> Result<(usize, u64), Failure> {
    let mut all = (0, 0);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            all = (all.0 + 1, all.1 + entry.metadata()?.len());
        }
    }
    Ok(all)
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    let directory = folder.path();
    println!("{}", machine::describe(directory));
    let Arguments { instances, between, snapshots, questions, .. } = *arguments;
    let order = Order::of(instances);
    write_log(arguments, &order, directory)?;
    let log = options().open_read_only(directory)?;
    let last = log.visible().0.get();
    let (count, bytes) = files(&directory.join("snapshots"))?;
    println!(
        "{instances} instances, {last} events; {count} snapshots, after {between} events of each: \
         {bytes} bytes on disk, {:.0} for each instance and snapshot; the log takes {} bytes\n",
        bytes as f64 / (instances * snapshots) as f64,
        log.visible().1.raw()
    );
    println!("one instance as of a random moment, in us:");
    let times = frame_times(&log)?;
    let random = Random::from_environment("questions");
    let mut asking = Asking { arguments, order: &order, random, last, times };
    let mut kept = history(&log);
    let (cold, _) = asking.ask(&mut kept, instances, false)?;
    let counts = kept.counts();
    let rest = format!(
        "of {instances}; {} snapshots opened, {} events looked for",
        counts.opened, counts.looked_for
    );
    show("cold", &cold, &rest);
    // Until every instance was asked for.
    asking.ask(&mut kept, questions, false)?;
    let each = warm(&mut asking, &mut kept, "warm, by sequence", false)?;
    warm(&mut asking, &mut kept, "warm, by time", true)?;
    let limit = in_memory(each.round() as u64)?;
    println!("{:<22} p50 {limit:>6.1}", format!("{each:.0} events in memory"));

    let (mut took, mut folded) = (Vec::new(), 0);
    for _ in 0..IMAGES {
        let (_, moment, _) = asking.next(false);
        let began = Instant::now();
        let image = kept.as_of(moment)?;
        took.push(began.elapsed());
        folded += image.folded();
    }
    took.sort_unstable();
    let millis = |at: usize| Duration::as_secs_f64(&took[at]) * 1e3;
    println!(
        "\nall instances: {:.1} ms ({:.1} to {:.1}), {} events folded each",
        millis(IMAGES / 2),
        millis(0),
        millis(IMAGES - 1),
        folded / IMAGES as u64
    );
    Ok(())
}

fn main() -> ExitCode {
    run("as_of", HELP, |words| Arguments::parse(words.iter().cloned()), measure)
}
