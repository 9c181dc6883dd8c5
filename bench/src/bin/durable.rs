//! How fast do commands become durable, beside the bare log in the same run?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin durable
//! cargo run --release -p factlog-bench --bin durable -- --millis 100 --rounds 80 --dir DIRECTORY
//! ```
//!
//! Under [`Durability::Group`], in turn: the same events appended by hand, so many a commit; commands
//! decided by a local engine, so many a frame; events submitted to a writer's thread, and commands sent
//! to an engine, with 256 that wait. Rounds are short, so that what disturbs one disturbs the other; each
//! gives ratios of what was measured side by side. Medians are shown, and the quartiles beside them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use factlog::{
    Answer, Draft, Durability, Engine, Expected, LocalCommand, Meta, Options, Pending, StreamKey,
    ThreadOptions,
};
use factlog_bench::counter::{Add, Added, Counter};
use factlog_bench::machine;
use factlog_bench::program::run;

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
usage: durable [--rounds N] [--millis N] [--commit N] [--dir DIRECTORY]

  --rounds N        of each (40)
  --millis N        for each in a round (50)
  --commit N        events a commit (64)
  --dir DIRECTORY   where the logs are made (.)";

const KEYS: u64 = 1_000;
/// Commands that wait for their answer.
const OUTSTANDING: usize = 256;

struct Arguments {
    rounds: usize,
    millis: u64,
    commit: u64,
    directory: PathBuf,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut found = Self { rounds: 40, millis: 50, commit: 64, directory: ".".into() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            let number = |value: String| {
                let number = value.parse().ok().filter(|number: &u64| *number >= 1);
                number.ok_or_else(|| format!("{word} is a number, 1 at least"))
            };
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--rounds" => found.rounds = number(value()?)? as usize,
                "--millis" => found.millis = number(value()?)?,
                "--commit" => found.commit = number(value()?)?.min(4_096),
                "--dir" => found.directory = value()?.into(),
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(Some(found))
    }
}

fn options() -> Options {
    Options::new().durability(Durability::Group)
}

/// How many a second `work` does, which says how many it has done each time.
fn rate(millis: u64, mut work: impl FnMut() -> Result<u64, Failure>) -> Result<f64, Failure> {
    let (began, mut done) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(millis) {
        done += work()?;
    }
    Ok(done as f64 / began.elapsed().as_secs_f64())
}

/// Keeps so many waiting; gives one that is there to be waited for.
struct Waiting<P> {
    waiting: VecDeque<P>,
}

impl<P> Waiting<P> {
    fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(OUTSTANDING) }
    }

    fn add(&mut self, one: P) -> Option<P> {
        self.waiting.push_back(one);
        if self.waiting.len() < OUTSTANDING { None } else { self.waiting.pop_front() }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { rounds, millis, commit, .. } = *arguments;
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    println!("{}", machine::describe(folder.path()));
    println!("{commit} events a commit, {KEYS} streams, in thousands a second\n");
    let at = |name: &str| folder.path().join(name);

    let mut writer = options().open(at("bare"))?;
    let streams = (0..KEYS).map(|key| StreamKey::new("counter", key));
    let streams = streams.collect::<Result<Vec<_>, _>>()?;
    let mut local =
        Engine::open(at("local")).options(options()).aggregate::<Counter>().start_local()?;
    let submitting = options().open(at("submit"))?.spawn(ThreadOptions::new())?;
    let producer = submitting.producer();
    let engine = Engine::open(at("engine")).options(options()).aggregate::<Counter>().start()?;

    let mut number = 0_u64;
    let mut key = || {
        number += 1;
        number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % KEYS
    };
    let mut found: Vec<[f64; 4]> = Vec::new();
    for _ in 0..rounds {
        let bare = rate(millis, || {
            let mut transaction = writer.begin()?;
            for amount in 0..commit {
                let meta = Meta::new().stream(&streams[key() as usize], Expected::Any);
                transaction.append_with(&Added { amount }, meta)?;
            }
            let receipt = transaction.commit()?;
            if receipt.durable { Ok(receipt.events) } else { Err("not durable".into()) }
        })?;
        let decided = rate(millis, || {
            let commands: Vec<_> =
                (0..commit).map(|amount| LocalCommand::new(key(), Add { amount })).collect();
            let mut done = 0;
            local.call_all::<Counter>(commands, |verdict| {
                done += verdict.map_or(0, |accepted| u64::from(accepted.durable));
            });
            if done == commit { Ok(done) } else { Err("not durable".into()) }
        })?;
        let mut waiting: Waiting<Answer<Draft<Added>>> = Waiting::new();
        let submitted = rate(millis, || {
            let draft = Draft::new(Added { amount: 1 })
                .stream(streams[key() as usize].clone(), Expected::Any);
            let answer = producer.submit_drafts(draft, Duration::from_secs(60));
            if let Some(answer) = waiting.add(answer.map_err(|error| error.to_string())?) {
                answer.wait().map_err(|error| error.to_string())?;
            }
            Ok(1)
        })?;
        for answer in waiting.waiting {
            answer.wait().map_err(|error| error.to_string())?;
        }
        let mut waiting: Waiting<Pending<Counter>> = Waiting::new();
        let sent = rate(millis, || {
            let command = engine.command::<Counter>(key(), Add { amount: 1 });
            let pending = command.send_within(Duration::from_secs(60));
            if let Some(pending) = waiting.add(pending.map_err(|error| error.to_string())?) {
                pending.wait()?;
            }
            Ok(1)
        })?;
        for pending in waiting.waiting {
            pending.wait()?;
        }
        found.push([bare, decided, submitted, sent]);
    }
    let middle = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        let at = |part: usize| list[(list.len() - 1) * part / 4];
        (at(2), at(1), at(3))
    };
    let names = ["events by hand", "commands, local", "events, submitted", "commands, sent"];
    for (at, name) in names.iter().enumerate() {
        let (median, least, most) = middle(found.iter().map(|round| round[at] / 1e3).collect());
        println!("{name:<20} {median:>9.1} ({least:.1} to {most:.1})");
    }
    for (name, of, against) in [("local", 1, 0), ("sent", 3, 2)] {
        let ratios = found.iter().map(|round| 100.0 * round[of] / round[against]).collect();
        let (median, least, most) = middle(ratios);
        println!("commands, {name:<10} {median:>9.0} % of the bare log ({least:.0} to {most:.0})");
    }
    engine.close()?;
    local.close()?;
    Ok(())
}

fn main() -> ExitCode {
    run("durable", HELP, |words| Arguments::parse(words.iter().cloned()), measure)
}
