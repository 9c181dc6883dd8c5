//! Does any hot path make a system call?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin hot_path
//! cargo run --release -p factlog-bench --bin hot_path -- --events 2000000 --dir DIRECTORY
//! ```
//!
//! It runs itself under `strace`, as a process that appends one and 64 a call over several
//! rollovers, follows on another thread, and replays on a third. Each of these threads calls
//! `getppid`, which nobody else does, before and after each of its works: what it calls in between
//! is counted, and beside it what the threads in the background call meanwhile. It fails if the
//! writer or a reader of mapped segments makes any call. `--trace FILE` keeps what `strace` wrote.
//!
//! - `work`: what is watched
//! - `calls`: what `strace` has seen, by thread and work

mod calls;
mod work;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use calls::{Trace, Works};
use factlog_bench::machine;

/// Why nothing was shown.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
usage: hot_path [--events N] [--dir DIRECTORY] [--trace FILE]

  --events N        so many are appended one a call, and as many 64 a call (1000000)
  --dir DIRECTORY   where the log is made (.)
  --trace FILE      what strace has written is kept there";

struct Arguments {
    events: u64,
    directory: PathBuf,
    trace: Option<PathBuf>,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut found = Self { events: 1_000_000, directory: ".".into(), trace: None };
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(None);
            }
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--events" => {
                    let text = value()?;
                    let events = text.parse().ok().filter(|events| work::fits(*events));
                    let wrong = || format!("--events is {}, not {text}", work::EVENTS);
                    found.events = events.ok_or_else(wrong)?;
                }
                "--dir" => found.directory = value()?.into(),
                "--trace" => found.trace = Some(value()?.into()),
                _ => return Err(format!("unknown: {word}")),
            }
        }
        Ok(Some(found))
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "--work").is_some() {
        return ended(watched(words).map(|()| true));
    }
    match Arguments::parse(words) {
        Ok(Some(arguments)) => ended(watch(&arguments)),
        Ok(None) => {
            println!("{HELP}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn ended(done: Result<bool, Failure>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("hot_path: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The process that is watched.
fn watched(mut words: impl Iterator<Item = String>) -> Result<(), Failure> {
    let (Some(directory), Some(events)) = (words.next(), words.next()) else {
        return Err("--work takes a directory and a number of events".into());
    };
    work::run(Path::new(&directory), events.parse()?)
}

/// Starts it, and says what it has called; whether that is what was promised.
fn watch(arguments: &Arguments) -> Result<bool, Failure> {
    let directory = tempfile::tempdir_in(&arguments.directory)?;
    let written = directory.path().join("calls");
    println!("{}", machine::describe(directory.path()));
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&written);
    strace.arg(std::env::current_exe()?).arg("--work");
    strace.arg(directory.path().join("log")).arg(arguments.events.to_string());
    let status = strace.status().map_err(|error| format!("cannot start strace: {error}"))?;
    let text = std::fs::read_to_string(&written).unwrap_or_default();
    if let Some(path) = &arguments.trace {
        std::fs::write(path, &text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    if !status.success() {
        return Err(format!("what was to be watched under strace ended with {status}").into());
    }
    let trace = Trace::read(&text);
    let mut kept = true;
    println!("\n{:<16}{:<48}{:>12}", "thread", "work", "calls");
    for works in work::WORKS {
        kept &= show(&trace, &works)?;
    }
    println!("\nmeanwhile, in the background");
    for (thread, calls) in trace.others(&work::WORKS) {
        println!("{thread:<16}{}", calls::list(&calls));
    }
    println!("\n{}", if kept { "no hot path makes a system call" } else { "not as promised" });
    Ok(kept)
}

/// The works of one thread, and whether each made as many calls as it may.
fn show(trace: &Trace<'_>, works: &Works) -> Result<bool, Failure> {
    let found = trace.between_marks(works.thread);
    if found.len() != works.works.len() {
        let (thread, seen) = (works.thread, found.len());
        return Err(format!("{thread} did {seen} works instead of {}", works.works.len()).into());
    }
    let mut kept = true;
    for ((work, silent), calls) in works.works.iter().zip(&found) {
        let count: u64 = calls.values().sum();
        let which = if count > 0 { calls::list(calls) } else { String::new() };
        println!("{}", format!("{:<16}{work:<48}{count:>12}  {which}", works.thread).trim_end());
        kept &= !silent || count == 0;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn is_what_makes_no_sense_refused() {
        for line in ["--events", "--events 0", "--events 99999999999", "--wat"] {
            assert!(of(line).is_err(), "{line:?}");
        }
        assert!(of("--help").is_ok_and(|found| found.is_none()));
        let found = of("--events 500000 --trace t").expect("known").expect("no help");
        assert_eq!((found.events, found.trace), (500_000, Some("t".into())));
    }
}
