//! Syncs of a real process that fail: `strace` answers its n-th sync with an error.
//!
//! What the process says was acknowledged comes through a pipe, and is held against the log when the
//! process is gone.

use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use factlog::{CommitAlign, Durability, Options, RecoveryOutcome, WriteWay};

use super::story::{compare, live};
use crate::Random;
use crate::again::{again, is_there};
use crate::power_cut::ground;
use crate::proof::{Request, Row};

/// The directory of the log, in a process that was started for this.
const CHILD: &str = "FACTLOG_PROOF_SYNC_ERRORS";
const SYNCS: &str = "fsync,fdatasync,msync,sync_file_range,syncfs";

/// Which sync fails, of what log.
#[derive(Debug, Clone, Copy)]
struct Case {
    way: WriteWay,
    interval: bool,
    nth: u64,
    /// All that come after it fail as well.
    sticky: bool,
}

impl Case {
    fn draw(number: u64, random: &mut Random) -> Self {
        Self {
            way: if random.below(2) == 0 { WriteWay::Mapped } else { WriteWay::Staged },
            interval: random.below(3) == 0,
            nth: 1 + number * 7 % 40,
            sticky: random.below(2) == 0,
        }
    }
}

fn options(way: WriteWay, interval: bool) -> Options {
    let durability =
        if interval { Durability::Interval(Duration::from_millis(2)) } else { Durability::Group };
    Options::new()
        .segment_size(4 << 20)
        .spare_segments(1)
        .prefault(0)
        .write_way(way)
        .durability(durability)
        .commit_align(CommitAlign::None)
}

/// What the process does, where it was started for this.
pub(super) fn child() {
    let Some(directory) = env::var_os(CHILD) else { return };
    let word = |name| env::var(name).unwrap_or_default();
    let way =
        if word("FACTLOG_PROOF_WAY") == "Mapped" { WriteWay::Mapped } else { WriteWay::Staged };
    let interval = word("FACTLOG_PROOF_INTERVAL") == "true";
    let mut told = |last: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {last}").expect("the parent reads");
        out.flush().expect("the parent reads");
    };
    let ended = live(&|| options(way, interval), Path::new(&directory), &mut told);
    match ended {
        Ok(ending) => println!("ended: {}", ending.name()),
        Err(error) => println!("does not hold: {error}"),
    }
    std::process::exit(0);
}

/// Tries as many syncs as are asked for, one after the other.
pub(super) fn run(
    request: &Request,
    row: &mut Row,
    skipped: &mut Vec<String>,
) -> Result<(), String> {
    if !is_there("strace") {
        skipped.push("syncs of a real process: there is no strace".to_owned());
        return Ok(());
    }
    let times = request.count.map_or(if request.quick { 40 } else { 480 }, |count| count.min(480));
    let mut random = Random::new(request.seed);
    let mut ends = BTreeMap::<String, u64>::new();
    for number in 0..times {
        let case = Case::draw(number, &mut random);
        let wrap = |error: String| format!("by strace, {case:?}: {error}");
        let Some((ended, struck)) = one(case).map_err(wrap)? else {
            skipped.push("syncs of a real process: strace may not trace here".to_owned());
            return Ok(());
        };
        let ended = if struck { ended } else { "over before it".to_owned() };
        *ends.entry(ended).or_default() += 1;
        row.tried += 1;
        if number % 16 == 15 {
            eprintln!("failed syncs, by strace: {} of {times}", number + 1);
        }
    }
    let counts: Vec<_> = ends.iter().map(|(ended, count)| format!("{ended} {count}")).collect();
    row.counts.push(format!("by strace, n-th sync: {times} processes: {}", counts.join(", ")));
    if !ends.contains_key("stopped for good") {
        return Err("the counts flatter: no process was stopped by strace".to_owned());
    }
    Ok(())
}

/// How the process ended, and whether a sync of it failed.
fn one(case: Case) -> Result<Option<(String, bool)>, String> {
    let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
    let (directory, trace) = (home.path().join("log"), home.path().join("trace"));
    let Case { way, interval, nth, sticky } = case;
    let when = if sticky { format!("{nth}+") } else { nth.to_string() };
    let inject = format!("inject={SYNCS}:error=EIO:when={when}");
    let (traced, kinds) = (trace.to_string_lossy(), format!("trace={SYNCS}"));
    let words = ["strace", "-f", "-qq", "-o", &traced, "-e", &kinds, "-e", &inject];
    let mut command = again(&words, "child")?;
    let output = command
        .env(CHILD, &directory)
        .env("FACTLOG_PROOF_WAY", format!("{way:?}"))
        .env("FACTLOG_PROOF_INTERVAL", interval.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("ptrace") {
        return Ok(None);
    }
    if let Some(signal) = output.status.signal() {
        return Err(format!("signal {signal}: {errors}"));
    }
    if let Some(line) = said.lines().find(|line| line.contains("does not hold")) {
        return Err(line.to_owned());
    }
    let Some(ended) = said.lines().find_map(|line| line.strip_prefix("ended: ")) else {
        return Err(format!("{}: {said}{errors}", output.status));
    };
    let acknowledged =
        said.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
    let acknowledged: u64 = acknowledged.max().unwrap_or(0);
    let traced = std::fs::read_to_string(&trace).unwrap_or_default();
    let struck = traced.contains("(INJECTED)");

    // Nothing was lost here, since the calls were not made: what was acknowledged is there, and
    // recovery finds no damage.
    match options(way, interval).open(&directory) {
        Ok(writer) => {
            if writer.recovery().outcome == RecoveryOutcome::Damaged {
                return Err(format!("a failed sync is no damage: {}", writer.recovery()));
            }
            let last = compare(&writer.log())?;
            if last < acknowledged {
                return Err(format!("acknowledged up to {acknowledged}, {last} is the last"));
            }
        }
        Err(error) => return Err(format!("it does not open again: {error}")),
    }
    Ok(Some((ended.to_owned(), struck)))
}
