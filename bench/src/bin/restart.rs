//! What does a restart cost: from the whole log, and from a snapshot and what follows it?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin restart
//! cargo run --release -p factlog-bench --bin restart -- --instances 1000000 --events 100
//! ```
//!
//! A log of so many instances with so many events each is written, closed, and opened again: by
//! folding all of it; then, with a snapshot, several times. Each opening is timed until the engine has
//! started, and until it has answered its first question. With `--tenfold` a second log of the same
//! instances has ten times the events, and both are opened in turn from a snapshot with the same number
//! of events behind it. Last, commands come at a fixed rate, an open
//! loop, while a snapshot is taken and while none is: their latencies side by side.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, Context, Durability, Engine, Events, LocalCommand, Options, Snapshots, State,
    StoredState,
};
use factlog_bench::machine;
use factlog_bench::program::run;
use hdrhistogram::Histogram;

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
usage: restart [--instances N] [--events N] [--state BYTES] [--tenfold] [--rate N] [--dir DIRECTORY]

  --instances N     of an aggregate (100000)
  --events N        for each (20)
  --state BYTES     that the state of each takes beside its numbers (100)
  --tenfold         a second log has ten times the events
  --rate N          commands a second, beside a snapshot and without (20000; 0 for none)
  --dir DIRECTORY   where the log is made (.)";

/// Openings that are timed.
const OPENINGS: usize = 5;
/// How long commands come without a snapshot, and at least with one.
const QUIET: Duration = Duration::from_secs(3);

#[factlog::event(name = "add", version = 1)]
struct Add {
    amount: u64,
    fill: u32,
}

#[factlog::event(name = "added", version = 1)]
struct Added {
    amount: u64,
    fill: u32,
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
    filled: Vec<u8>,
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
        if self.filled.is_empty() {
            self.filled = vec![added.amount() as u8; added.fill() as usize];
        }
    }
}

impl Aggregate for Counter {
    type Command = Add;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        &Add { amount, fill }: &Add,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<CounterEvent>, String> {
        Ok(Events::one(Added { amount, fill }))
    }
}

struct Arguments {
    instances: u64,
    events: u64,
    state: u32,
    rate: u64,
    tenfold: bool,
    directory: PathBuf,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut found = Self {
            instances: 100_000,
            events: 20,
            state: 100,
            rate: 20_000,
            tenfold: false,
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
                "--instances" => found.instances = number(value()?, 100)?,
                "--events" => found.events = number(value()?, 1)?,
                "--state" => found.state = number(value()?, 0)?.min(1 << 20) as u32,
                "--rate" => found.rate = number(value()?, 0)?,
                "--tenfold" => found.tenfold = true,
                "--dir" => found.directory = value()?.into(),
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(Some(found))
    }
}

fn options() -> Options {
    Options::new().durability(Durability::None)
}

fn open(directory: &std::path::Path) -> Result<Engine, Failure> {
    let snapshots = Snapshots::on_request().keep(1);
    let engine = Engine::open(directory).options(options()).snapshots(snapshots);
    Ok(engine.aggregate::<Counter>().start()?)
}

fn write_log(arguments: &Arguments, directory: &std::path::Path) -> Result<(), Failure> {
    let engine = Engine::open(directory).options(options()).aggregate::<Counter>();
    let mut engine = engine.start_local()?;
    let Arguments { instances, events, state, .. } = *arguments;
    let mut refused = 0;
    for round in 0..events {
        // Each round in another order.
        let commands = (0..instances).map(|number| {
            let key = number.wrapping_mul(0x9E37_79B9).wrapping_add(round) % instances;
            LocalCommand::new(key, Add { amount: round ^ key, fill: state })
        });
        engine.call_all::<Counter>(commands, |verdict| refused += u64::from(verdict.is_err()));
    }
    engine.close()?;
    if refused == 0 { Ok(()) } else { Err(format!("{refused} commands failed").into()) }
}

/// Some states, to be compared.
fn sample(engine: &Engine, instances: u64) -> Result<Vec<Counter>, Failure> {
    (0..1_000)
        .map(|number| {
            let key = number * 7_919 % instances;
            Ok(engine.ask::<Counter, _>(key, Counter::clone)?)
        })
        .collect()
}

struct Opening {
    started: Duration,
    answered: Duration,
    folded: u64,
}

fn time_opening(directory: &std::path::Path, instances: u64) -> Result<(Opening, Engine), Failure> {
    let began = Instant::now();
    let engine = open(directory)?;
    let started = began.elapsed();
    engine.ask::<Counter, _>(instances / 2, |counter| counter.count)?;
    let answered = began.elapsed();
    let folded = engine.restart().folded;
    Ok((Opening { started, answered, folded }, engine))
}

/// Latencies of commands at a fixed rate, in nanoseconds, from when each was due; until `enough`.
fn open_loop(
    engine: &Engine,
    arguments: &Arguments,
    enough: impl Fn(Duration) -> bool,
) -> Result<Histogram<u64>, Failure> {
    let mut latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let (began, mut number) = (Instant::now(), 0_u64);
    let mut waiting: std::collections::VecDeque<(Instant, factlog::Pending<Counter>)> =
        std::collections::VecDeque::new();
    while !enough(began.elapsed()) {
        let due = began + Duration::from_nanos(number * 1_000_000_000 / arguments.rate);
        loop {
            // Answers are looked at while there is time, so that none waits for the next.
            if let Some((sent, pending)) = waiting.pop_front() {
                match pending.wait_for(Duration::ZERO) {
                    Ok(verdict) => {
                        verdict?;
                        latencies.saturating_record(sent.elapsed().as_nanos() as u64);
                        continue;
                    }
                    Err(pending) => waiting.push_front((sent, pending)),
                }
            }
            if Instant::now() >= due {
                break;
            }
            std::hint::spin_loop();
        }
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % arguments.instances;
        let command = Add { amount: number, fill: arguments.state };
        let sent = engine.command::<Counter>(key, command).send_within(Duration::from_secs(60));
        waiting.push_back((due, sent.map_err(|error| error.to_string())?));
        number += 1;
    }
    for (sent, pending) in waiting {
        pending.wait()?;
        latencies.saturating_record(sent.elapsed().as_nanos() as u64);
    }
    Ok(latencies)
}

/// A second log with ten times the history beside this one, opened in turn.
fn tenfold(arguments: &Arguments, small: &std::path::Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    let large = folder.path();
    let Arguments { instances, events, state, rate, .. } = *arguments;
    let directory = PathBuf::new();
    let more = Arguments { events: 10 * events, instances, state, rate, tenfold: true, directory };
    write_log(&more, large)?;
    let engine = open(large)?;
    engine.snapshot()?;
    for key in 0..instances.min(100) {
        engine.call::<Counter>(key, Add { amount: 1, fill: state })?;
    }
    engine.close()?;
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..2 * OPENINGS {
        let opened = [small, large].map(|directory| {
            let (opening, engine) = time_opening(directory, instances)?;
            engine.close()?;
            Ok::<_, Failure>(opening)
        });
        let [small, large] = opened;
        let (small, large) = (small?, large?);
        if small.folded != large.folded {
            return Err("not the same number of events follow".into());
        }
        let ratio = |small: Duration, large: Duration| large.as_secs_f64() / small.as_secs_f64();
        ratios[0].push(ratio(small.started, large.started));
        ratios[1].push(ratio(small.answered, large.answered));
    }
    println!("\nten times the history, as against once, both from a snapshot:");
    for (name, mut list) in ["started", "first answer"].into_iter().zip(ratios) {
        list.sort_by(f64::total_cmp);
        let [first, middle, last] = [0, OPENINGS, 2 * OPENINGS - 1].map(|at| list[at]);
        println!("{name:<17} {middle:>10.2} times as long ({first:.2} to {last:.2})");
    }
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { instances, events, state, rate, .. } = *arguments;
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    let directory = folder.path();
    println!("{}", machine::describe(directory));
    println!("{instances} instances, {events} events each, {state} bytes in each state\n");
    write_log(arguments, directory)?;

    let (whole, engine) = time_opening(directory, instances)?;
    println!(
        "whole log         {:>10.1} ms, {} events folded",
        millis(whole.started),
        whole.folded
    );
    let expected = sample(&engine, instances)?;
    let taken = engine.snapshot()?;
    println!(
        "snapshot          {:>10.1} ms to take, {} bytes, {:.0} for each instance",
        millis(taken.took),
        taken.bytes,
        taken.bytes as f64 / instances as f64
    );
    // Something follows it.
    for key in 0..instances.min(100) {
        engine.call::<Counter>(key, Add { amount: 1, fill: state })?;
    }
    let tail = sample(&engine, instances)?;
    engine.close()?;

    let (mut started, mut answered, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..OPENINGS {
        let began = Instant::now();
        let writer = options().open(directory)?;
        bare.push(millis(began.elapsed()));
        writer.close()?;
        let (opening, engine) = time_opening(directory, instances)?;
        if sample(&engine, instances)? != tail {
            return Err("the states differ".into());
        }
        started.push(millis(opening.started));
        answered.push(millis(opening.answered));
    }
    if expected == tail {
        return Err("nothing followed the snapshot".into());
    }
    for list in [&mut started, &mut answered, &mut bare] {
        list.sort_by(f64::total_cmp);
    }
    let [first, middle, last] = [0, OPENINGS / 2, OPENINGS - 1];
    let show = |name: &str, list: &[f64]| {
        println!("{name:<17} {:>10.1} ms ({:.1} to {:.1})", list[middle], list[first], list[last]);
    };
    show("the log alone", &bare);
    show("from the snapshot", &started);
    show("first answer", &answered);
    println!("{:<17} {:>10.0} times faster", "", millis(whole.started) / started[middle]);

    if arguments.tenfold {
        tenfold(arguments, directory)?;
    }

    if rate > 0 {
        let engine = open(directory)?;
        let quiet = open_loop(&engine, arguments, |elapsed| elapsed >= QUIET)?;
        let done = std::sync::atomic::AtomicBool::new(false);
        let (beside, bytes) = std::thread::scope(|scope| {
            let taking = scope.spawn(|| {
                let taken = engine.snapshot();
                done.store(true, std::sync::atomic::Ordering::Release);
                taken
            });
            let over = |_| done.load(std::sync::atomic::Ordering::Acquire);
            let beside = open_loop(&engine, arguments, over);
            let taken = taking.join().map_err(|_| "the taking thread panicked")?;
            Ok::<_, Failure>((beside?, taken?.bytes))
        })?;
        println!("\n{rate} commands/s, from when each was due until it was answered, in us:");
        for (name, found) in [("without", quiet), ("beside a snapshot", beside)] {
            let at = |quantile: f64| found.value_at_quantile(quantile) as f64 / 1e3;
            println!(
                "{name:<17} p50 {:>8.1}  p99 {:>8.1}  p99.9 {:>8.1}  of {}",
                at(0.5),
                at(0.99),
                at(0.999),
                found.len()
            );
        }
        println!("the snapshot had {bytes} bytes");
    }
    Ok(())
}

fn main() -> ExitCode {
    run("restart", HELP, |words| Arguments::parse(words.iter().cloned()), measure)
}
