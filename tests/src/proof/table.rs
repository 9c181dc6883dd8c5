//! Tries the promises, one after the other, and plants bugs.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use super::arguments::Arguments;
use super::promises::Promise;
use super::report::{Line, Report};
use super::{Request, Row, fuzzing, models, planted};

/// Does all that is asked for, prints the table, and says how the program ends: 0 if everything
/// holds and all planted bugs were found, and 1 if not.
pub fn run(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let mut ahead = Ahead::start(arguments);
    let mut report = try_all(arguments, &mut ahead);
    ahead.wait();
    if let Some(name) = &arguments.plants {
        let only: Vec<_> = arguments.only.iter().map(|promise| promise.id).collect();
        match planted::find_all(&only, name, arguments.request.quick) {
            Ok(bugs) => note(&mut report, &bugs),
            Err(error) => {
                eprintln!("planted bugs: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    finish(&report, arguments, began)
}

/// Prints and writes what came of it.
fn finish(report: &Report, arguments: &Arguments, began: Instant) -> ExitCode {
    print!("{}", report.table());
    println!("{:.0} s in all", began.elapsed().as_secs_f64());
    if let Some(path) = &arguments.json
        && let Err(error) = fs::write(path, report.json())
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is built beside the first promises, which do not keep all processors busy.
struct Ahead(Option<JoinHandle<()>>);

impl Ahead {
    /// Only what will be needed, and only where there is something to do meanwhile.
    fn start(arguments: &Arguments) -> Self {
        let wanted = |id: &str| arguments.only.iter().any(|promise| promise.id == id);
        let meanwhile = arguments.rows && ["G1", "G2", "G3", "G4"].iter().any(|id| wanted(id));
        if !meanwhile {
            return Self(None);
        }
        let (fuzz, models, plants) = (wanted("G7"), wanted("G8"), arguments.plants.is_some());
        Self(Some(spawn(move || {
            let builds: [(bool, fn()); 3] = [
                (models, models::build_ahead),
                (fuzz, fuzzing::build_ahead),
                (plants, planted::build_ahead),
            ];
            builds.iter().filter(|(wanted, _)| *wanted).for_each(|(_, build)| build());
        })))
    }

    /// Nobody else builds in the same places before this has ended.
    fn wait(&mut self) {
        if let Some(thread) = self.0.take() {
            // What panicked there is done again, and told, by whoever needs it.
            drop(thread.join());
        }
    }
}

fn try_all(arguments: &Arguments, ahead: &mut Ahead) -> Report {
    let request = &arguments.request;
    eprintln!("seed {}", request.seed);
    let mut lines = Vec::new();
    for promise in &arguments.only {
        if ["G7", "G8"].contains(&promise.id) {
            ahead.wait();
        }
        let began = Instant::now();
        let row = if arguments.rows {
            eprintln!("{}: {}", promise.id, promise.title);
            attempt(promise, request)
        } else {
            Row::untried("only planted bugs were asked for")
        };
        if let Some(failure) = &row.failure {
            eprintln!("{} does not hold: {failure}", promise.id);
        }
        let seconds = began.elapsed().as_secs();
        let canaries = row.canaries;
        lines.push(Line { promise, row, planted: canaries, found: canaries, seconds });
    }
    Report { seed: request.seed, lines, notes: Vec::new() }
}

fn note(report: &mut Report, bugs: &[planted::Bug]) {
    for bug in bugs {
        for line in report.lines.iter_mut().filter(|line| line.promise.id == bug.promise) {
            line.planted += 1;
            line.found += u64::from(bug.found);
        }
        report.notes.push(bug.to_string());
    }
}

/// Tries all parts of a promise. One that panics does not hold.
pub fn attempt(promise: &Promise, request: &Request) -> Row {
    Row::sum(promise.parts.iter().map(|part| {
        let (tried, panicked) = watched(|| part(request));
        tried.unwrap_or_else(|| Row {
            holds: false,
            failure: Some(format!("{panicked} (seed {})", request.seed)),
            ..Row::default()
        })
    }))
}

/// Runs `work`; where it panics, gives the first thing that was said of it, in whichever thread.
fn watched<T>(work: impl FnOnce() -> T) -> (Option<T>, String) {
    let first = Arc::new(Mutex::new(String::new()));
    let (before, noted) = (Arc::new(take_hook()), Arc::clone(&first));
    let beside = Arc::clone(&before);
    set_hook(Box::new(move |panic| {
        let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_empty() {
            *noted = panic.to_string().replace('\n', " ");
        }
        drop(noted);
        beside(panic);
    }));
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    set_hook(Box::new(move |panic| before(panic)));
    let said = first.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (done, said)
}
