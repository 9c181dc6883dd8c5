//! How much memory does a log take beyond its mappings?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin memory
//! cargo run --release -p factlog-bench --bin memory -- --written --dir DIRECTORY
//! cargo run --release -p factlog-bench --bin memory -- --keys 1000000
//! ```
//!
//! Many segments and many cursors, in a process of its own that has done nothing else: its
//! anonymous memory (`RssAnon`: heap and stacks; pages of mapped files are none of it) before and
//! after each step. The segments are forged, sparse, with one event each; with `--written` they are
//! written in full by the engine, 4 MiB each, so that there is an index of each one. It fails if
//! more is taken than the goal.
//!
//! With `--keys` it is an engine that is looked at, and what it remembers of so many commands with
//! idempotency keys: beside its own instances, which are as many before as after; when as many again
//! have come, so that the first are forgotten; and after a restart, from the log and from a snapshot.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use factlog::{
    Cursor, Durability, Engine, EventType, IdempotencyWindow, LocalCommand, Log, Opaque, Sequence,
    Start, Writer,
};
use factlog_bench::counter::{Add, Counter};
use factlog_bench::machine;
use factlog_bench::opening::{forged, open, options};

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
usage: memory [--segments N] [--cursors N] [--written] [--keys N] [--dir DIRECTORY]

  --segments N      in the log (1000)
  --cursors N       that read it (100)
  --written         segments are written in full instead of forged; 4 MiB of disk for each
  --keys N          idempotency keys of an engine instead
  --dir DIRECTORY   where the log is made (.)";

static EVENT: EventType = EventType::opaque("memory", 1);
const PAYLOAD: [u8; 1024] = [0xA5; 1024];
const BATCH: usize = 64;
/// The most that is to be taken beyond mappings.
const GOAL: u64 = 16 << 20;

struct Arguments {
    segments: u32,
    cursors: u64,
    written: bool,
    keys: u64,
    directory: PathBuf,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut found =
            Self { segments: 1_000, cursors: 100, written: false, keys: 0, directory: ".".into() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--segments" => {
                    let number = value()?.parse().ok().filter(|count| *count >= 10);
                    found.segments = number.ok_or("--segments is 10 at least")?;
                }
                "--cursors" => {
                    let number = value()?.parse().ok().filter(|count| *count >= 1);
                    found.cursors = number.ok_or("--cursors is 1 at least")?;
                }
                "--keys" => {
                    let number = value()?.parse().ok().filter(|count| *count >= 1_000);
                    found.keys = number.ok_or("--keys is 1000 at least")?;
                }
                "--written" => found.written = true,
                "--dir" => found.directory = value()?.into(),
                _ => return Err(format!("unknown: {word}")),
            }
        }
        Ok(Some(found))
    }
}

/// Anonymous memory of this process now, and the most that was taken since it began.
struct Memory {
    before: u64,
    most: u64,
}

impl Memory {
    fn begin() -> Result<Self, Failure> {
        let before = anonymous()?;
        println!("{:<44}{:>9.2} MiB", "this process, before", mebibytes(before));
        Ok(Self { before, most: 0 })
    }

    fn after(&mut self, step: &str) -> Result<(), Failure> {
        let more = anonymous()?.saturating_sub(self.before);
        self.most = self.most.max(more);
        println!("{step:<44}{:>9.2} MiB more", mebibytes(more));
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        if self.most > GOAL {
            return Err(format!("more than {} MiB were taken", mebibytes(GOAL)).into());
        }
        Ok(())
    }
}

fn anonymous() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no RssAnon in /proc/self/status")?.parse::<u64>()? << 10)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Writes all segments in full.
fn write(directory: &Path, segments: u32) -> Result<(), Failure> {
    let mut memory = Memory::begin()?;
    // What comes to the disk is not what is looked at.
    let mut writer = options().durability(Durability::None).open(directory)?;
    memory.after("a new log is open for writing")?;
    while writer.log().stats().rollovers + 1 < u64::from(segments) {
        let mut transaction = writer.begin()?;
        for _ in 0..BATCH {
            transaction.append(&Opaque::new(&EVENT, &PAYLOAD))?;
        }
        transaction.commit()?;
    }
    memory.after(&format!("{segments} segments have been written"))?;
    writer.close()?;
    memory.end()
}

/// Opens the log, and reads all of it, each cursor a part.
fn read(directory: &Path, segments: u32, count: u64) -> Result<(), Failure> {
    let mut memory = Memory::begin()?;
    let writer: Writer = open(directory);
    let found = writer.recovery().segments;
    if found < segments {
        return Err(format!("the log has {found} segments instead of {segments}").into());
    }
    memory.after(&format!("a log of {found} segments is open for writing"))?;
    let log = writer.log();
    let last = log.visible().0.get();
    // Where the part of each of so many begins.
    let part = |number: u64, of: u64| Start::Sequence(Sequence::new(1 + last * number / of));
    let cursors = (0..count).map(|number| log.cursor(part(number, count)));
    let mut cursors = cursors.collect::<Result<Vec<Cursor>, _>>()?;
    memory.after(&format!("{count} cursors"))?;
    let ends: Vec<_> = cursors.iter().skip(1).map(Cursor::next_sequence).collect();
    let mut seen = 0;
    for (number, cursor) in cursors.iter_mut().enumerate() {
        while ends.get(number).is_none_or(|end| cursor.next_sequence() < *end) {
            let Some(event) = cursor.next_event()? else { break };
            std::hint::black_box(event.payload());
            seen += 1;
        }
    }
    memory.after(&format!("they have read {seen} events, all there are"))?;
    seek(&log, segments, |number| part(number, segments.into()))?;
    memory.after("each segment has been sought in")?;
    let stats = log.stats();
    println!("{:<44}{:>9.2} MiB", "mapped, of segments", mebibytes(stats.mapped_bytes));
    if seen != last || stats.cursors as u64 != count {
        return Err(format!("{seen} events of {last}, {} cursors", stats.cursors).into());
    }
    memory.end()
}

/// Has an index made of each segment.
fn seek(log: &Log, segments: u32, part: impl Fn(u64) -> Start) -> Result<(), Failure> {
    for number in 0..u64::from(segments) {
        std::hint::black_box(log.cursor(part(number))?.next_event()?);
    }
    Ok(())
}

/// What an engine remembers of commands with idempotency keys of 16 bytes, and replies of 8.
fn keys(directory: &Path, keys: u64, step: &str) -> Result<(), Failure> {
    let window = IdempotencyWindow { keys: keys as usize, ..IdempotencyWindow::default() };
    let options = options().durability(Durability::None);
    let engine = Engine::open(directory).options(options).idempotency(window);
    let engine = engine.aggregate::<Counter>();
    let per_key = |name: &str, bytes: u64| {
        println!("{name:<44}{:>9.1} bytes a key", bytes as f64 / keys as f64);
    };
    let before = anonymous()?;
    if step != "fill" {
        let engine = engine.start()?;
        let more = anonymous()?.saturating_sub(before);
        let from = engine.restart().snapshot.map_or("the log", |_| "a snapshot");
        per_key(&format!("started from {from}"), more);
        if step == "log" {
            let taken = engine.snapshot()?;
            println!("{:<44}{:>9} bytes, all keys in it", "a snapshot has", taken.bytes);
        }
        engine.close()?;
        return Ok(());
    }
    let mut engine = engine.start_local()?;
    let mut send = |numbers: std::ops::Range<u64>, with: bool| {
        let mut refused = 0;
        let commands = numbers.map(|number| {
            let one = LocalCommand::new(number % 1_000, Add { amount: number });
            if with { one.idempotency_key(u128::from(number).to_le_bytes()) } else { one }
        });
        engine.call_all::<Counter>(commands, |verdict| refused += u64::from(verdict.is_err()));
        if refused == 0 { Ok(()) } else { Err(format!("{refused} commands failed")) }
    };
    send(0..keys, false)?;
    let without = anonymous()?;
    per_key("as many commands without a key", without.saturating_sub(before));
    send(0..keys, true)?;
    let with = anonymous()?;
    per_key("with a key", with.saturating_sub(without));
    send(keys..2 * keys, true)?;
    per_key("as many again, the first are forgotten", anonymous()?.saturating_sub(without));
    engine.close()?;
    Ok(())
}

fn in_a_process(words: &[&str], directory: &Path) -> Result<bool, Failure> {
    let mut itself = Command::new(std::env::current_exe()?);
    Ok(itself.arg("--work").args(words).arg(directory).status()?.success())
}

fn measure(arguments: &Arguments) -> Result<bool, Failure> {
    println!("{}\n", machine::describe(&arguments.directory));
    if arguments.keys > 0 {
        let directory = tempfile::tempdir_in(&arguments.directory)?;
        for step in ["fill", "log", "snapshot"] {
            println!();
            let keys = arguments.keys.to_string();
            if !in_a_process(&["keys", &keys, step], directory.path())? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let segments = arguments.segments.to_string();
    let directory = if arguments.written {
        let directory = tempfile::tempdir_in(&arguments.directory)?;
        if !in_a_process(&["write", &segments, "0"], directory.path())? {
            return Ok(false);
        }
        println!();
        directory
    } else {
        forged(&arguments.directory, arguments.segments, 0)
    };
    in_a_process(&["read", &segments, &arguments.cursors.to_string()], directory.path())
}

fn work(words: &[String]) -> Result<bool, Failure> {
    let [name, segments, cursors, directory] = words else {
        return Err("--work takes what, how many segments and cursors, and where".into());
    };
    let directory = Path::new(directory);
    match name.as_str() {
        "write" => write(directory, segments.parse()?)?,
        "read" => read(directory, segments.parse()?, cursors.parse()?)?,
        "keys" => keys(directory, segments.parse()?, cursors)?,
        other => return Err(format!("there is no work {other}").into()),
    }
    Ok(true)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = if words.first().is_some_and(|word| word == "--work") {
        work(&words[1..])
    } else {
        match Arguments::parse(words.into_iter()) {
            Ok(Some(arguments)) => measure(&arguments),
            Ok(None) => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            Err(error) => {
                eprintln!("{error}\n\n{HELP}");
                return ExitCode::from(2);
            }
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}
