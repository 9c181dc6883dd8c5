//! All measurements, in turn: repetition 1 of every subject, then repetition 2, so that what the
//! machine does meanwhile falls on all of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use serde_json::Value;

use crate::args::{Order, Wanted, of_child};
use crate::limits;
use crate::machine::{self, Origin};
use crate::report::{self, Figure, Line};
use crate::row::{Operation, Row};
use crate::statistics::Summary;

/// A child that takes longer is stopped.
const PATIENCE: Duration = Duration::from_secs(300);

/// Why there is no comparison at all.
#[derive(Debug)]
pub struct RunError {
    doing: &'static str,
    at: PathBuf,
    remedy: &'static str,
    source: io::Error,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doing, at, remedy, source } = self;
        write!(f, "cannot {doing} {}: {source}; {remedy}", at.display())
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl RunError {
    fn at<'a>(
        doing: &'static str,
        at: &'a Path,
        remedy: &'static str,
    ) -> impl FnOnce(io::Error) -> Self + use<'a> {
        move |source| Self { doing, at: at.to_owned(), remedy, source }
    }
}

/// Measures what is wanted, prints it, and writes it where it is wanted.
///
/// # Errors
///
/// There is no directory to work in, or the result cannot be written. That a subject fails is a
/// line of the result.
pub fn compare(wanted: &Wanted) -> Result<(), RunError> {
    let program = env::current_exe().map_err(RunError::at(
        "find",
        Path::new("this program"),
        "start it by its full path",
    ))?;
    let base = match &wanted.dir {
        Some(dir) => dir.clone(),
        None => program.parent().unwrap_or(Path::new(".")).to_owned(),
    };
    let choose = "name a directory that can be written to, with --dir";
    let directory =
        tempfile::tempdir_in(&base).map_err(RunError::at("make a directory in", &base, choose))?;
    if let Some(json) = &wanted.json {
        // Before all the work.
        fs::write(json, "").map_err(RunError::at(
            "write",
            json,
            "name another file, with --json",
        ))?;
    }
    println!("{}", machine::header(directory.path()));
    let origin = Origin::new(directory.path(), env::args().skip(1));
    let mut run = Run { program, within: directory.path(), filled: BTreeMap::new() };
    let mut lines = Vec::new();
    for row in &wanted.rows {
        let line = run.line(*row, wanted);
        print!("{}", report::table::line(&line));
        lines.push(line);
        run.forget_other_sizes(row.size);
    }
    print!("{}", report::table::notes(&lines));
    if let Some(json) = &wanted.json {
        let text = report::json::of(&lines, &origin).to_string();
        fs::write(json, text + "\n").map_err(RunError::at(
            "write",
            json,
            "name another file, with --json",
        ))?;
    }
    Ok(())
}

struct Run<'a> {
    program: PathBuf,
    within: &'a Path,
    /// Logs that are replayed and opened, by subject and size; or why there is none.
    filled: BTreeMap<(String, usize), Result<Option<PathBuf>, String>>,
}

impl Run<'_> {
    fn line(&mut self, row: Row, wanted: &Wanted) -> Line {
        let limit = limits::of(row.operation).map(|limit| limit.name().to_owned());
        let mut names = vec!["factlog".to_owned()];
        names.extend(wanted.peers.iter().cloned());
        names.extend(limit.clone());
        let mut rates: Vec<Result<Option<Vec<f64>>, String>> =
            names.iter().map(|_| Ok(Some(Vec::new()))).collect();
        for repetition in 1..=wanted.repetitions {
            for (name, rates) in names.iter().zip(&mut rates) {
                let Ok(Some(so_far)) = rates else { continue };
                progress(&format!("{row}, {repetition} of {}: {name}", wanted.repetitions));
                match self.measure(name, row) {
                    Ok(Some(rate)) => so_far.push(rate),
                    Ok(None) => *rates = Ok(None),
                    Err(error) => {
                        progress("");
                        eprintln!("{row}: {name} failed: {error}");
                        *rates = Err(error);
                    }
                }
            }
        }
        progress("");
        let mut figures = names.into_iter().zip(rates).map(|(name, rates)| {
            let summary = rates.map(|rates| rates.and_then(|rates| Summary::of(&rates)));
            Figure { name, summary }
        });
        let ours = figures.next().unwrap_or_else(Figure::none);
        let mut peers: Vec<Figure> = figures.collect();
        let limit = if limit.is_some() { peers.pop() } else { None };
        Line { row, ours, peers, limit }
    }

    /// The rate of one process.
    fn measure(&mut self, name: &str, row: Row) -> Result<Option<f64>, String> {
        let order = |row, within| Order { subject: name.to_owned(), row, within };
        if !matches!(row.operation, Operation::Replay | Operation::Open) {
            return self.ask(&order(row, self.within.to_owned()));
        }
        let key = (name.to_owned(), row.size);
        let Some(filled) = self.filled.get(&key).cloned() else {
            let log = self.within.join(format!("{name}-{}", row.size));
            let fill = Row { operation: Operation::Fill, ..row };
            let made = self.ask(&order(fill, log.clone()));
            // Read once, so that all of it stands in the page cache.
            let replay = Row { operation: Operation::Replay, ..row };
            let made = made.and_then(|made| match made {
                Some(_) => self.ask(&order(replay, log.clone())).map(|_| Some(log)),
                None => Ok(None),
            });
            self.filled.insert(key, made);
            return self.measure(name, row);
        };
        filled?.map_or(Ok(None), |log| self.ask(&order(row, log)))
    }

    /// Starts a child, and waits for what it says.
    fn ask(&self, order: &Order) -> Result<Option<f64>, String> {
        let mut command = Command::new(&self.program);
        // A peer that panics says why in its last line, but for notes.
        command.args(of_child(order)).stdin(Stdio::null()).env("RUST_BACKTRACE", "0");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("its process cannot be started: {error}"))?;
        let (out, errors) = (listen(child.stdout.take()), listen(child.stderr.take()));
        let began = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if began.elapsed() > PATIENCE => {
                    // It may have ended by itself just now.
                    drop(child.kill());
                    drop(child.wait());
                    return Err(format!("not done after {} s", PATIENCE.as_secs()));
                }
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(format!("its process is lost: {error}")),
            }
        };
        let [out, errors] = [out, errors].map(|said| said.join().unwrap_or_default());
        if !status.success() {
            let last = errors.trim().lines().rfind(|line| !line.starts_with("note:"));
            let last = last.unwrap_or("it said nothing");
            return Err(format!("{last} ({status})"));
        }
        // Some peers print something before.
        let answer: Value = serde_json::from_str(out.lines().last().unwrap_or(""))
            .map_err(|error| format!("it answered {out:?}: {error}"))?;
        Ok(answer["rate"].as_f64())
    }

    /// Removes logs of other sizes: they are not needed any more.
    fn forget_other_sizes(&mut self, size: usize) {
        self.filled.retain(|(_, filled), log| {
            if *filled != size
                && let Ok(Some(log)) = log
            {
                // All goes with the directory in the end.
                drop(fs::remove_dir_all(log));
            }
            *filled == size
        });
    }
}

/// Says on a terminal what goes on, in a line that the next one replaces.
fn progress(text: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// Reads what a child says while it runs: some peers say so much that it would wait for a reader.
fn listen(from: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What cannot be read was not said.
        drop(from.map(|mut from| from.read_to_end(&mut bytes)));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
