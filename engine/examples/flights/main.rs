//! The flights that left New York in January 2013 (or another table of flights), as a log of facts.
//!
//! Each flight becomes facts: scheduled, departed, arrived, cancelled, diverted. Several threads
//! hand them to the one that writes, in the order of their own time, while three parked cursors
//! follow on threads of their own: an airport board, the delays of carriers, where each aircraft
//! is. A fourth thread watches what becomes durable. Then the log is closed, opened again and
//! folded from the beginning, and the views are compared whole.
//!
//! Then the same steps come as commands, into a log of their own: two aggregates, flights and
//! aircraft, decide which of them can be, and the report says how many cannot, and why.
//!
//! With `--what-if UA1545` that flight is cancelled in a fork of the log, and what is shown is what its
//! aircraft would have missed.
//!
//! ```text
//! cargo run --release --example flights
//! cargo run --release --example flights -- --dir DIR --crash   # stops dead halfway
//! cargo run --release --example flights -- --dir DIR           # goes on from there
//! cargo run --release --example flights -- --at 2013-01-15T18:00:00Z   # the board as it was
//! cargo run --release --example flights -- --why EV4321        # what made it late
//! ```

mod append;
mod args;
mod durable;
mod events;
mod failure;
mod follow;
mod input;
mod latency;
mod operations;
mod past;
mod produce;
mod report;
mod views;
mod what_if;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use factlog::{Log, OpenError, Options, RecoveryReport, Writer};

use append::{Appended, append};
use args::{Args, EXIT_USAGE, Parsed, USAGE};
use events::FlightFact;
use failure::Failure;
use follow::{Views, fold};
use input::Input;
use operations::decide_all;
use produce::check_prefix;
use report::{Report, grouped};
use views::Totals;

/// How many bad lines are shown; all are counted.
const BAD_SHOWN: usize = 10;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Parsed::Help) => None,
        Ok(Parsed::Run(args)) => Some(args),
        Err(error) => {
            eprintln!("flights: {error}\n\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match args.map_or_else(|| say(USAGE), |args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    let input = read_input(args)?;
    let temporary;
    let directory = match &args.dir {
        Some(directory) => directory.as_path(),
        None => {
            temporary = tempfile::tempdir().map_err(Failure::Temporary)?;
            temporary.path()
        }
    };
    let mut notes = bad_lines(&input);
    let total = input.steps.len() as u64;

    let appended = match look_first(directory, &input)? {
        // A log that has everything is only read.
        Some(log) => {
            notes.push(found(log.recovery()));
            let live = fold(&log, total, |_, _| {})?;
            Appended::nothing(live)
        }
        None => {
            let writer = open(directory, args)?;
            notes.push(found(writer.recovery()));
            append(writer, &input, args.durability, args.crash)?
        }
    };

    let log = Options::new().vocabulary::<FlightFact>().open_read_only(directory)?;
    if args.at.is_some() || args.why.is_some() {
        return say(&past::answer(&log, args)?);
    }
    let began = Instant::now();
    let replayed: Views = fold(&log, total, |_, _| {})?;
    let replay_seconds = began.elapsed().as_secs_f64();

    if let Some(flight) = &args.what_if {
        let folder = tempfile::tempdir_in(directory).map_err(Failure::Temporary)?;
        let missed = what_if::cancel(&log, flight, folder.path(), &replayed)?;
        return say(&if args.json { missed.to_json() + "\n" } else { missed.to_page() });
    }

    let decided = decide_all(&input, &directory.join("decided"))?;

    let Views { airports, carriers, aircraft } = &replayed;
    let report = Report {
        totals: Totals::of(airports, carriers, aircraft),
        airports,
        carriers,
        aircraft,
        events: total,
        append_events_per_second: (appended.events > 0)
            .then(|| appended.events as f64 / appended.took.as_secs_f64()),
        replay_events_per_second: total as f64 / replay_seconds.max(f64::MIN_POSITIVE),
        // Opening reads only what it needs.
        log_bytes: Options::new().verify(directory)?.bytes,
        append_to_board: appended.to_board,
        durability: args.durability,
        submit_to_answer: appended.to_answer,
        visible_to_durable: appended.to_durable,
        live_equals_replay: appended.live == replayed,
        decided,
        notes,
    };
    if args.json {
        for note in &report.notes {
            eprintln!("{note}");
        }
        say(&(report.to_json() + "\n"))?;
    } else {
        say(&report.to_page())?;
    }
    if report.live_equals_replay { Ok(()) } else { Err(Failure::Different) }
}

/// Prints it. That nobody reads on is no failure.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

fn read_input(args: &Args) -> Result<Input, Failure> {
    let Some(path) = &args.data else { return Ok(input::january()?) };
    let quiet = args.json || !std::io::stderr().is_terminal();
    let input = input::from_file(path, &mut |progress| {
        if !quiet {
            eprint!("\rread {} flights", grouped(progress.rows));
        }
    })?;
    if !quiet {
        eprintln!();
    }
    Ok(input)
}

fn bad_lines(input: &Input) -> Vec<String> {
    if input.bad_count == 0 {
        return Vec::new();
    }
    for bad in input.bad.iter().take(BAD_SHOWN) {
        eprintln!("flights: passed over {bad}");
    }
    let more = input.bad_count.saturating_sub(BAD_SHOWN as u64);
    if more > 0 {
        eprintln!("flights: and {more} more");
    }
    vec![match input.bad_count {
        1 => "1 line was passed over: it is no flight".to_owned(),
        count => format!("{} lines were passed over: they are no flights", grouped(count)),
    }]
}

fn found(report: &RecoveryReport) -> String {
    format!("the log was found: {report}")
}

/// Looks at what is there, without writing. Gives the log if it has everything.
fn look_first(directory: &Path, input: &Input) -> Result<Option<Log>, Failure> {
    let log = match Options::new().vocabulary::<FlightFact>().open_read_only(directory) {
        Ok(log) => log,
        Err(OpenError::NoLog(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if let Some(damage) = &log.recovery().damage {
        return Err(Failure::Damaged(damage.clone()));
    }
    let have = check_prefix(&log, input, directory)?;
    Ok((have == input.steps.len() as u64).then_some(log))
}

fn open(directory: &Path, args: &Args) -> Result<Writer, Failure> {
    let quiet = args.json || !std::io::stderr().is_terminal();
    let writer = Options::new()
        .vocabulary::<FlightFact>()
        .durability(args.durability.durability())
        .progress(move |progress| {
            if !quiet && progress.of > 4 {
                eprint!("\rrecovering: {} of {} segments", progress.done, progress.of);
            }
        })
        .open(directory)?;
    Ok(writer)
}
