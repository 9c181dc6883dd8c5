//! G7: any bytes as input give a result or a typed error: no panic, no undefined behaviour, no
//! hang, bounded memory.
//!
//! The bodies of [`fuzz`](crate::fuzz) are fuzzed by libFuzzer, under the address sanitizer where
//! the toolchain has it; where libFuzzer cannot be built, their corpus is changed at random in
//! ordinary code. First the canaries must be found: bugs on purpose, each of another kind. A body
//! that never reaches what counts does not hold either.

mod libfuzzer;
mod ordinary;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use super::{Request, Row};
use crate::fuzz::{BODIES, Body, Reached};

/// What came of fuzzing one body.
#[derive(Debug, Default)]
struct Run {
    /// Inputs.
    tried: u64,
    reached: Reached,
    /// What went wrong, and how to see it again.
    failure: Option<Failure>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    kind: Kind,
    said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crash,
    Hang,
    Memory,
    /// The fuzzer itself did not run.
    Other,
}

/// Runs every body for `count` seconds.
pub fn run(request: &Request) -> Row {
    let seconds = request.times(15, 600).max(1);
    let mut row = Row { holds: true, ..Row::default() };
    match libfuzzer::build(None) {
        Ok(built) => {
            row.counts.push(format!("libFuzzer, {}", built.how));
            row.skipped.clone_from(&built.skipped);
            built.canaries(request.seed, &mut row);
            if row.failure.is_none() {
                side_by_side(&mut row, |body| built.fuzz(body, seconds, request.seed));
            }
        }
        Err(why) => {
            row.skipped = Some(format!("libFuzzer, since {why}: the corpus was changed at random"));
            ordinary::canaries(request.seed, &mut row);
            if row.failure.is_none() {
                side_by_side(&mut row, |body| ordinary::fuzz(body, seconds, request.seed));
            }
        }
    }
    row.holds = row.failure.is_none();
    row
}

/// Builds the targets. What does not build is told by whoever needs it.
pub fn build_ahead() {
    drop(libfuzzer::build(None));
}

/// What `seconds` of fuzzing find of `body` as it is in `tree`, a copy of this one in which a bug is
/// planted.
///
/// # Errors
///
/// It cannot be built, or the fuzzer did not run.
pub fn find_in(tree: &Path, body: &'static Body, seconds: u64) -> Result<Option<String>, String> {
    let run = libfuzzer::build(Some((tree, body)))?.fuzz(body, seconds, 1);
    match run.failure {
        Some(Failure { kind: Kind::Other, said }) => Err(said),
        Some(Failure { said, .. }) => Ok(Some(said)),
        None => Ok(None),
    }
}

/// All bodies, two at a time where there are processors for it.
fn side_by_side(row: &mut Row, fuzz: impl Fn(&'static Body) -> Run + Sync) {
    let bodies: Mutex<VecDeque<&'static Body>> = Mutex::new(BODIES.iter().collect());
    let done = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = bodies.lock().expect("no panic").pop_front();
                    let Some(body) = next else { return };
                    eprintln!("fuzzing {}", body.name);
                    let run = fuzz(body);
                    done.lock().expect("no panic").push((body, run));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort_by_key(|(body, _)| body.name);
    for (body, run) in done {
        row.tried += run.tried;
        row.counts.push(format!("{}: {} inputs, {}", body.name, run.tried, run.reached));
        let missing = body.missing(&run.reached);
        let failure = match run.failure {
            Some(failure) => Some(format!("{}: {}", body.name, failure.said)),
            None if missing.is_empty() => None,
            None => Some(format!("{} never reached {}", body.name, missing.join(", "))),
        };
        row.failure = row.failure.take().or(failure);
    }
}
