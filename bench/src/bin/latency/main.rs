//! How long things take: percentiles, not averages.
//!
//! ```text
//! cargo run --release -p factlog-bench --bin latency
//! cargo run --release -p factlog-bench --bin latency -- --seconds 10 --only rollover --json FILE
//! ```
//!
//! An open loop: each operation has a time at which it is to start, whatever became of the one
//! before, and its latency counts from there. So a stall is seen by all that should have happened
//! meanwhile, as it would be by those who wait for them. The clock is the processor's counter
//! (crate `quanta`); what reading it costs is printed, and is in every figure.
//!
//! - `arguments`: what was asked for
//! - `pace`: intended starts, the clock, and its cost
//! - `appends`: a single append, in several situations
//! - `handover`: from before the append to the hand of a reader on another thread; beside one
//!   atomic store that another thread spins on
//! - `commits`: durable commits of 64 events; beside a raw `pwrite` and `fdatasync` of as many bytes
//! - `report`: the table, and JSON

mod appends;
mod arguments;
mod commits;
mod handover;
mod pace;
mod report;

use std::process::ExitCode;

use arguments::Arguments;
use factlog_bench::program;
use pace::Timer;
use report::Report;

/// Why there is no figure.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    program::run("latency", arguments::HELP, Arguments::parse, run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let timer = Timer::new();
    let mut report = Report::begin(&timer, &arguments.directory);
    appends::measure(arguments, &timer, &mut report)?;
    handover::measure(arguments, &timer, &mut report)?;
    commits::measure(arguments, &timer, &mut report)?;
    report.end();
    if let Some(path) = &arguments.json {
        let written = std::fs::write(path, report.json(&arguments.command()));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(())
}
