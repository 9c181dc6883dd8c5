//! Plants bugs, one by one, in a copy of the tree; each must be found by what tries its promise.
//!
//! There is one copy for the program and one for models. A plant is applied, the program built and
//! put aside, and the plant taken back; while that program runs, the next one is built.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, PoisonError};
use std::thread::{available_parallelism, scope, sleep};
use std::time::{Duration, Instant};

use super::fuzzing::find_in;
use crate::fuzz::Body;
use crate::models::Models;
use crate::plants::{Copied, Plant, root};

/// What a planted bug may take until it is found.
const PATIENCE: Duration = Duration::from_secs(300);

/// Seconds for which a body is fuzzed, if the plant does not say.
const FUZZING: u64 = 60;

/// As many of each promise when there is little time.
const QUICK: usize = 1;

/// A planted bug, and whether it was found.
#[derive(Debug, Clone)]
pub struct Bug {
    /// Whose proof must find it.
    pub promise: String,
    /// Whether it did.
    pub found: bool,
    name: String,
    about: String,
    said: String,
    took: Duration,
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.found { "found" } else { "NOT FOUND" };
        let (promise, about, name, said) = (&self.promise, &self.about, &self.name, &self.said);
        let seconds = self.took.as_secs();
        write!(f, "{promise}  {verdict}, {seconds} s: {about} ({name})")?;
        if said.is_empty() { Ok(()) } else { write!(f, "\n      {said}") }
    }
}

/// A plant, and what must find it.
#[derive(Debug, Clone)]
struct Job {
    promise: String,
    /// How often the promise is tried; or else the plant names a model.
    way: Way,
    plant: Plant,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Program(Option<u64>),
    Model,
    /// One body is fuzzed for so many seconds: to try all of G7 would take minutes.
    Fuzz(&'static Body, u64),
}

impl Job {
    fn of(plant: Plant) -> Self {
        let mut words = plant.model.split_whitespace();
        let first = words.next().unwrap_or_default().to_owned();
        let digits = first.strip_prefix('G').unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self { promise: "G8".to_owned(), way: Way::Model, plant };
        }
        let second = words.next();
        let way = match second.and_then(Body::named) {
            Some(body) => {
                let seconds = words.next().and_then(|seconds| seconds.parse().ok());
                Way::Fuzz(body, seconds.unwrap_or(FUZZING))
            }
            None => Way::Program(second.and_then(|count| count.parse().ok())),
        };
        Self { promise: first, way, plant }
    }
}

/// Plants all bugs of `only` whose name contains `name`; few of each when `quick`.
///
/// # Errors
///
/// A file is no plant, or there is none with this name.
pub fn find_all(only: &[&str], name: &str, quick: bool) -> Result<Vec<Bug>, String> {
    let tests = root()?.join("tests");
    let mut jobs = Vec::new();
    for folder in ["plants", "power_cuts", "models"] {
        let folder = tests.join(folder);
        if folder.is_dir() {
            jobs.extend(Plant::all(&folder)?.into_iter().map(Job::of));
        }
    }
    jobs.retain(|job| only.contains(&job.promise.as_str()) && job.plant.name.contains(name));
    if jobs.is_empty() && !name.is_empty() {
        return Err(format!("none is called {name}"));
    }
    let all = jobs.len();
    if quick && name.is_empty() {
        jobs = chosen(jobs, QUICK);
        eprintln!("planted bugs: {} of {all}, {QUICK} for each promise", jobs.len());
    }
    Ok(Pool::new(jobs).run())
}

/// Builds what planted bugs are planted in, without one, so that each of them is built quickly later.
/// What does not build is told by whoever needs it.
pub fn build_ahead() {
    drop(Copied::make("planted").and_then(|copied| build(&copied, 0)));
}

/// The first `each` of each promise: those that are marked as quick, then by name. Not of G7: to build
/// its fuzzers anew takes minutes, and it has bugs on purpose of its own, which it looks for each
/// time.
fn chosen(mut jobs: Vec<Job>, each: usize) -> Vec<Job> {
    jobs.retain(|job| job.promise != "G7");
    let key = |job: &Job| (job.promise.clone(), !job.plant.quick, job.plant.name.clone());
    jobs.sort_by_key(key);
    let mut chosen: Vec<Job> = Vec::new();
    for job in jobs {
        let taken = chosen.iter().filter(|taken| taken.promise == job.promise).count();
        if taken < each {
            chosen.push(job);
        }
    }
    chosen
}

/// Bugs that wait, and what came of the others.
struct Pool {
    copy: Mutex<Option<Copied>>,
    waiting: Mutex<VecDeque<(usize, Job)>>,
    done: Mutex<Vec<(usize, Bug)>>,
}

impl Pool {
    fn new(jobs: Vec<Job>) -> Self {
        let waiting = jobs.into_iter().enumerate().collect();
        let done = Mutex::new(Vec::new());
        Self { copy: Mutex::new(None), waiting: Mutex::new(waiting), done }
    }

    fn run(self) -> Vec<Bug> {
        let workers = available_parallelism().map_or(1, usize::from);
        scope(|scope| {
            for worker in 0..workers {
                let pool = &self;
                scope.spawn(move || pool.work(worker));
            }
        });
        let mut done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, bug)| bug).collect()
    }

    /// The first worker alone has the copy for models, and takes these first; the others leave
    /// them to it.
    fn take(&self, worker: usize) -> Option<(usize, Job)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let model = waiting.iter().position(|(_, job)| matches!(job.way, Way::Model));
        let other = waiting.iter().position(|(_, job)| !matches!(job.way, Way::Model));
        let at = if worker == 0 { model.or(other) } else { other };
        at.and_then(|at| waiting.remove(at))
    }

    fn work(&self, worker: usize) {
        let mut models = None;
        while let Some((at, job)) = self.take(worker) {
            let began = Instant::now();
            let tried = match job.way {
                Way::Model => in_models(&mut models, &job.plant),
                Way::Program(count) => self.in_program(worker, &job, count),
                Way::Fuzz(body, seconds) => self.in_fuzzer(&job, body, seconds),
            };
            let (found, said) = match tried {
                Ok((found, said)) => (found, said),
                Err(error) => (false, error),
            };
            let Job { promise, plant, .. } = job;
            let (name, about, took) = (plant.name, plant.about, began.elapsed());
            let bug = Bug { promise, found, name, about, said, took };
            eprintln!("{bug}");
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push((at, bug));
        }
    }

    fn in_program(
        &self,
        worker: usize,
        job: &Job,
        count: Option<u64>,
    ) -> Result<(bool, String), String> {
        let (aside, tree) = self.planted(|copied| {
            let aside = copied.with(&job.plant, || build(copied, worker))?;
            Ok((aside, copied.tree().to_path_buf()))
        })?;
        // The next one is planted while this one runs.
        try_program(&aside, &tree, job, count)
    }

    fn in_fuzzer(
        &self,
        job: &Job,
        body: &'static Body,
        seconds: u64,
    ) -> Result<(bool, String), String> {
        // What builds the target also runs it: the bug is there until it has.
        let found = self
            .planted(|copied| copied.with(&job.plant, || find_in(copied.tree(), body, seconds)))?;
        Ok(match found {
            Some(said) => (true, short(&format!("by {}: {said}", body.name))),
            None => (false, format!("by {}: nothing in {seconds} s", body.name)),
        })
    }

    /// Works on the copy, which is made for the first one.
    fn planted<T>(&self, work: impl FnOnce(&Copied) -> Result<T, String>) -> Result<T, String> {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        work(match &mut *copy {
            Some(copied) => copied,
            none => none.insert(Copied::make("planted")?),
        })
    }
}

/// The program as the tree is now, put aside.
fn build(copied: &Copied, worker: usize) -> Result<PathBuf, String> {
    let words = ["build", "--quiet", "--profile", "planted", "-p", "factlog-tests"];
    let built = copied.cargo(&[&words[..], &["--bin", "proof"]].concat(), "")?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(format!("it does not compile: {said}"));
    }
    let aside = copied.built(&format!("proof-{worker}"));
    fs::copy(copied.built("planted/proof"), &aside).map_err(|error| error.to_string())?;
    Ok(aside)
}

/// Whether the program finds its bug, and what it said.
fn try_program(
    aside: &Path,
    tree: &Path,
    job: &Job,
    count: Option<u64>,
) -> Result<(bool, String), String> {
    let mut program = Command::new(aside);
    program.current_dir(tree);
    program.args(["--only", &job.promise, "--seed", "1", "--quick", "--no-plants"]);
    if let Some(count) = count {
        program.args(["--count", &count.to_string()]);
    }
    let said = aside.with_extension("txt");
    let status = run(&mut program, &said)?;
    let text = fs::read_to_string(&said).map_err(|error| error.to_string())?;
    let line = text.lines().find(|line| line.contains("does not hold"));
    Ok(match (status, line) {
        (None, _) => (false, "it ran out of time".to_owned()),
        (Some(status), Some(line)) if status.code() == Some(1) => (true, short(line)),
        (Some(status), _) if status.success() => (false, "everything held".to_owned()),
        (Some(status), _) => (false, format!("it ended with {status}: {}", short(&text))),
    })
}

fn in_models(models: &mut Option<Models>, plant: &Plant) -> Result<(bool, String), String> {
    let models = match models {
        Some(models) => models,
        None => models.insert(Models::make("models")?),
    };
    Ok((models.find(plant)?, format!("by the model {}", plant.model)))
}

/// As much of a text as fits into a line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 200 { line } else { line.chars().take(200).chain(['…']).collect() }
}

/// Runs a program, with all that it starts, until it ends or patience does.
fn run(program: &mut Command, said: &Path) -> Result<Option<ExitStatus>, String> {
    let text = |error: std::io::Error| error.to_string();
    let out = File::create(said).map_err(text)?;
    program.stdout(out.try_clone().map_err(text)?).stderr(out);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(program, 0);
    let began = Instant::now();
    let mut child = loop {
        match program.spawn() {
            // A process that is just being started has the file open still.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                if began.elapsed() > Duration::from_secs(10) {
                    return Err(text(error));
                }
                sleep(Duration::from_millis(20));
            }
            child => break child.map_err(text)?,
        }
    };
    loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            return Ok(Some(status));
        }
        if began.elapsed() > PATIENCE {
            #[cfg(unix)]
            {
                use rustix::process::{Pid, Signal, kill_process_group};
                let group = Pid::from_child(&child);
                kill_process_group(group, Signal::KILL).map_err(|error| error.to_string())?;
            }
            child.kill().map_err(text)?;
            child.wait().map_err(text)?;
            return Ok(None);
        }
        sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(model: &str, name: &str, quick: bool) -> Job {
        let text =
            format!("About.\nmodel: {model}\n{}file: x\n", if quick { "quick\n" } else { "" });
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join(format!("{name}.plant"));
        fs::write(path, format!("{text}<<<<\na\n====\nb\n>>>>\n")).expect("written");
        let plants = Plant::all(home.path()).expect("plants");
        Job::of(plants.into_iter().next().expect("one"))
    }

    #[test]
    fn is_it_known_who_must_find_a_plant() {
        let of = |model: &str| {
            let job = job(model, "a", false);
            (job.promise, job.way)
        };
        assert!(matches!(of("G1 200"), (promise, Way::Program(Some(200))) if promise == "G1"));
        assert!(matches!(of("G4"), (promise, Way::Program(None)) if promise == "G4"));
        let Way::Fuzz(body, 20) = of("G7 files 20").1 else { panic!("a body") };
        assert_eq!((of("G7 files 20").0.as_str(), body.name), ("G7", "files"));
        assert!(matches!(of("the_pair"), (promise, Way::Model) if promise == "G8"));
        assert!(matches!(of("Gap"), (promise, Way::Model) if promise == "G8"));
    }

    #[test]
    fn are_those_that_are_marked_chosen_first() {
        let jobs = ["a", "b", "c"].map(|name| job("G1", name, name == "c"));
        let other = job("G2", "d", false);
        let jobs: Vec<_> = jobs.into_iter().chain([other]).collect();
        let names = |each| {
            let chosen = chosen(jobs.clone(), each);
            chosen.into_iter().map(|job| job.plant.name).collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["c", "d"]);
        assert_eq!(names(2), ["c", "a", "d"]);
    }
}
