//! G1: after `kill -9` at any instruction, every event that a reader could have seen is there, in
//! order.
//!
//! A process that appends as fast as it can is killed: at random, on one directory again and again,
//! also while it opens the log; before every n-th call of each kind that it makes to the operating
//! system, by `strace`; and in the middle of a write, by itself. What its readers saw is outside
//! before it dies. Then the log is opened, and held against that.
//!
//! - `work`: what the process does
//! - `hold`: the log is held against what the process told
//! - `calls`: kills by `strace`, and in the middle of a write

mod calls;
mod hold;
mod work;

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use factlog::WriteWay;

use super::{Request, Row};
use crate::Random;
use crate::again::again;
use crate::power_cut::ground;
use hold::{Found, Running, Told};
use work::{DIRECTORY, WORK, Work};

pub use calls::at_every_call;

/// Of so many kills one is of a process that is still opening the log.
const OPENING: u64 = 6;
/// A worker's directory begins anew after so many kills: the last is looked at more closely.
const FRESH: u64 = 10;
/// In the mapped way at least so many of 100 kills must leave a torn tail, or they hit nothing.
const TORN: u64 = 30;

/// Does not return in a process that was started for this promise.
pub fn child() {
    work::child();
}

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    kills: u64,
    opening: u64,
    torn: u64,
    whole: u64,
    /// Of those in the mapped way that hit a log at work.
    mapped: (u64, u64),
    events: u64,
}

/// Kills at random.
pub fn at_random(request: &Request) -> Row {
    let times = request.times(1_000, 100_000);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let total = Mutex::new((Tally::default(), None::<String>));
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(2, usize::from) as u64 {
            let (next, total) = (&next, &total);
            scope.spawn(move || {
                let mut random = Random::new(request.seed.wrapping_add(worker << 32));
                let ended = series(&mut random, times, next, total);
                if let Err(error) = ended {
                    next.store(times, Ordering::Relaxed);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.1.get_or_insert(error);
                }
            });
        }
        scope.spawn(|| progress(&next, times));
    });
    let (tally, failure) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (hit, torn) = tally.mapped;
    let flatters = (hit >= 50 && torn * 100 < hit * TORN)
        .then(|| format!("the kills hit nothing: {torn} torn tails of {hit}"));
    let flatters = flatters.or_else(|| (tally.events == 0).then(|| "nothing was seen".to_owned()));
    let failure = failure.or(flatters);
    let again = format!("again with --only G1 --seed {}", request.seed);
    Row {
        holds: failure.is_none(),
        tried: tally.kills,
        counts: vec![
            format!(
                "{} kills at random, {} of them while opening, {} s: {} torn tails, {} whole",
                tally.kills,
                tally.opening,
                began.elapsed().as_secs(),
                tally.torn,
                tally.whole
            ),
            format!("mapped: {torn} torn tails of {hit}; {} events had been seen", tally.events),
        ],
        failure: failure.map(|what| format!("{what} ({again})")),
        ..Row::default()
    }
}

fn progress(next: &AtomicU64, times: u64) {
    let mut said = Instant::now();
    while next.load(Ordering::Relaxed) < times {
        std::thread::sleep(Duration::from_millis(50));
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            eprintln!("kills at random: {} of {times}", next.load(Ordering::Relaxed));
        }
    }
}

/// Kills until there were enough, on one directory after the other.
fn series(
    random: &mut Random,
    times: u64,
    next: &AtomicU64,
    total: &Mutex<(Tally, Option<String>)>,
) -> Result<(), String> {
    loop {
        let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
        let way = if random.below(3) == 0 { WriteWay::Staged } else { WriteWay::Mapped };
        for nth in 1..=FRESH {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= times {
                return Ok(());
            }
            let opening = number % OPENING == OPENING - 1;
            let (found, told) = one(home.path(), way, opening, nth == FRESH, random)
                .map_err(|what| format!("kill {number}, {way:?}: {what}"))?;
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            let tally = &mut total.0;
            tally.kills += 1;
            tally.opening += u64::from(opening);
            tally.events += told.seen.len() as u64;
            let torn = u64::from(found == Found::Torn);
            tally.torn += torn;
            tally.whole += 1 - torn;
            if way == WriteWay::Mapped && !opening {
                tally.mapped = (tally.mapped.0 + 1, tally.mapped.1 + torn);
            }
        }
    }
}

/// One kill, and what is there afterwards.
fn one(
    directory: &Path,
    way: WriteWay,
    opening: bool,
    last: bool,
    random: &mut Random,
) -> Result<(Found, Told), String> {
    let work = Work { way, steps: 0, tear: 0 };
    let mut running = Running::start(&mut start(&[], directory, work)?)?;
    if opening {
        std::thread::sleep(Duration::from_micros(random.below(6_000)));
    } else {
        let opened = running.opened.recv_timeout(Duration::from_secs(60));
        if let Err(error) = opened {
            // It may have ended by itself: then this does nothing.
            drop(running.child.kill());
            let status = running.child.wait().map_err(|error| error.to_string())?;
            let (_, said) = running.told()?;
            return Err(format!("the process does not open the log ({error}; {status}): {said}"));
        }
        std::thread::sleep(Duration::from_micros(random.below(4_000)));
    }
    running.child.kill().map_err(|error| error.to_string())?;
    let status = running.child.wait().map_err(|error| error.to_string())?;
    let (told, errors) = running.told()?;
    if status.signal() != Some(9) {
        return Err(format!("the process ended by itself, {status}: {errors}"));
    }
    let found = told.hold(directory, way, last)?;
    Ok((found, told))
}

/// A command that works on the log, behind the words of another one.
fn start(words: &[&str], directory: &Path, work: Work) -> Result<Command, String> {
    let mut command = again(words, "child")?;
    command.env(DIRECTORY, directory).env(WORK, work.words());
    Ok(command)
}
