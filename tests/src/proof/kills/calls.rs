//! Kills before every n-th call to the operating system, and in the middle of a write.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use factlog::WriteWay;

use super::hold::{Found, Running};
use super::start;
use super::work::Work;
use crate::Random;
use crate::again::is_there;
use crate::power_cut::ground;
use crate::proof::{Request, Row};

/// Calls before which a process is killed, each kind counted for itself: all that change files or
/// mappings.
const CALLS: [&str; 11] = [
    "openat",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "fsync,fdatasync",
    "msync",
    "mmap",
    "munmap",
    "madvise",
];
/// Transactions of one process: several rollovers, and retention.
const STEPS: u64 = 600;

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    torn: u64,
    /// Kills in the middle of a write, and torn tails after them, in the staged way.
    tears: (u64, u64),
}

/// Kills at the n-th call of each kind, for every n or for some, in both ways of writing.
pub fn at_every_call(request: &Request) -> Row {
    let mut row = Row { holds: true, ..Row::default() };
    let (mut tally, mut skipped) = (Tally::default(), None);
    let tried = all(request, &mut tally, &mut skipped);
    row.tried = tally.kills + tally.tears.0;
    row.counts.push(format!(
        "by strace: {} kills, {} torn tails; in the middle of a write: {}, {} torn tails",
        tally.kills, tally.torn, tally.tears.0, tally.tears.1
    ));
    row.skipped = skipped;
    let flatters = || (tally.tears.1 == 0).then(|| "no write was torn".to_owned());
    row.failure = tried.err().or_else(flatters);
    row.holds = row.failure.is_none();
    row
}

fn all(request: &Request, tally: &mut Tally, skipped: &mut Option<String>) -> Result<(), String> {
    // A share of what is asked for in all: these take longer.
    let most = request.times(120, u64::MAX).min(request.count.map_or(u64::MAX, |n| n / 8 + 8));
    let mut random = Random::new(request.seed);
    torn_writes(most, &mut random, tally)?;
    if !is_there("strace") {
        *skipped = Some("kills at every call: there is no strace".to_owned());
        return Ok(());
    }
    let share = (most / (2 * CALLS.len() as u64)).max(1);
    for way in [WriteWay::Mapped, WriteWay::Staged] {
        // All of them, or some, drawn from as many as there are.
        let some = request.quick || request.count.is_some();
        let made = if some { counted(way)? } else { [u64::MAX; CALLS.len()] };
        for (calls, made) in CALLS.into_iter().zip(made).filter(|(_, made)| *made > 0) {
            let (mut nth, mut tried) = (0, 0);
            loop {
                nth = if some { 1 + random.below(made) } else { nth + 1 };
                let again = format!("{way:?}, {calls}, call {nth}");
                match before_call(way, calls, nth).map_err(|what| format!("{again}: {what}"))? {
                    // One time a few more are made than another.
                    Killed::Never if some => {}
                    Killed::Never => break,
                    Killed::NotTraced => {
                        *skipped = Some("kills at every call: strace may not trace".to_owned());
                        return Ok(());
                    }
                    Killed::There(found) => {
                        tally.kills += 1;
                        tally.torn += u64::from(found == Found::Torn);
                    }
                }
                if tally.kills.is_multiple_of(50) {
                    eprintln!("kills at the n-th call: {}", tally.kills);
                }
                tried += 1;
                if some && tried >= share {
                    break;
                }
            }
        }
    }
    Ok(())
}

enum Killed {
    /// There is no n-th call: all was done.
    Never,
    NotTraced,
    There(Found),
}

/// How many calls of each kind a thread of one process makes at most, from its beginning to its end.
fn counted(way: WriteWay) -> Result<[u64; CALLS.len()], String> {
    let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
    let listed = home.path().join("calls");
    let trace = format!("trace={}", CALLS.join(","));
    let words = ["strace", "-f", "-qq", "-o", &listed.to_string_lossy(), "-e", &trace];
    let work = Work { way, steps: STEPS, tear: 0 };
    let mut running = Running::start(&mut start(&words, &home.path().join("log"), work)?)?;
    running.child.wait().map_err(|error| error.to_string())?;
    running.told()?;
    // Of a process that may not be traced there is none.
    let listed = std::fs::read_to_string(listed).unwrap_or_default();
    if listed.is_empty() {
        return Ok([1; CALLS.len()]);
    }
    // `strace` counts each call of each thread for itself.
    let mut made: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in listed.lines() {
        let mut words = line.split(['(', ' ']).filter(|word| !word.is_empty());
        if let (Some(thread), Some(call)) = (words.next(), words.next()) {
            *made.entry((call, thread)).or_default() += 1;
        }
    }
    Ok(CALLS.map(|kind| {
        let of = made.iter().filter(|((call, _), _)| kind.split(',').any(|one| one == *call));
        of.map(|(_, count)| *count).max().unwrap_or(0)
    }))
}

fn before_call(way: WriteWay, calls: &str, nth: u64) -> Result<Killed, String> {
    let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
    let directory = home.path().join("log");
    let (trace, inject) =
        (format!("trace={calls}"), format!("inject={calls}:signal=KILL:when={nth}"));
    let words = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let work = Work { way, steps: STEPS, tear: 0 };
    let mut running = Running::start(&mut start(&words, &directory, work)?)?;
    let status = running.child.wait().map_err(|error| error.to_string())?;
    let (told, errors) = running.told()?;
    if errors.contains("ptrace") {
        return Ok(Killed::NotTraced);
    }
    // strace ends as what it traces has ended.
    if status.signal() != Some(9) && !status.success() {
        return Err(format!("{status}: {errors}"));
    }
    // The program's own beginning makes calls as well: then there may be no log yet.
    let found = if directory.exists() { told.hold(&directory, way, true)? } else { Found::Whole };
    Ok(if status.success() { Killed::Never } else { Killed::There(found) })
}

/// Kills in the middle of the n-th write.
fn torn_writes(most: u64, random: &mut Random, tally: &mut Tally) -> Result<(), String> {
    let mut tear = 0;
    for tried in 0..most.min(400) {
        tear += 1 + random.below(1 + tried / 4);
        let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
        let work = Work { way: WriteWay::Staged, steps: STEPS, tear };
        let mut running = Running::start(&mut start(&[], home.path(), work)?)?;
        let status = running.child.wait().map_err(|error| error.to_string())?;
        let (told, errors) = running.told()?;
        if status.success() {
            // There are not so many writes.
            tear = 0;
            continue;
        }
        if status.signal() != Some(9) {
            return Err(format!("torn at write {tear}: {status}: {errors}"));
        }
        let found = told.hold(home.path(), WriteWay::Staged, true);
        let found = found.map_err(|what| format!("torn at write {tear}: {what}"))?;
        tally.tears.0 += 1;
        tally.tears.1 += u64::from(found == Found::Torn);
    }
    Ok(())
}
