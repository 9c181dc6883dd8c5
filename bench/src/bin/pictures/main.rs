//! Draws what the other programs have measured.
//!
//! ```text
//! cargo run --release --manifest-path bench/peers/Cargo.toml -- --quick --json peers.json
//! cargo run --release -p factlog-bench --bin latency -- --json latency.json
//! cargo run --release -p factlog-bench --bin pictures -- --peers peers.json --latency latency.json
//! ```
//!
//! Three files: `append.svg` and `durable.svg`, rates beside the peers and the limits, and
//! `latency.svg`, percentiles. Each says in itself when, on what and how it was measured.
//!
//! - `arguments`: what was asked for
//! - `reading`: fields of JSON, and errors that name the file and the field
//! - `peers`, `latency`: the figures
//! - `paint`: colours, text, scales, and the sheet with title and caption
//! - `bars`, `curves`: the pictures

mod arguments;
mod bars;
mod curves;
mod latency;
mod paint;
mod peers;
mod reading;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use factlog_bench::{machine, program};
use paint::{Caption, Drawn};
use reading::Origin;

/// Why there is no picture.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    program::run("pictures", arguments::HELP, Arguments::parse, run)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    // All is drawn before anything is written: bad input leaves what was there.
    let mut drawn = Vec::new();
    let value = reading::parse(&arguments.peers, &text_of(&arguments.peers)?)?;
    let comparison = peers::Comparison::read(&arguments.peers, &value)?;
    let caption =
        caption(arguments, &comparison.origin, arguments.peers_command.as_ref(), peers::COMMAND);
    for picture in bars::PICTURES {
        let rows = comparison.rows(&arguments.peers, &picture)?;
        drawn.push((picture.file, bars::draw(&picture, &rows, &caption)?));
    }
    let value = reading::parse(&arguments.latency, &text_of(&arguments.latency)?)?;
    let latencies = latency::Latencies::read(&arguments.latency, &value)?;
    let caption = self::caption(
        arguments,
        &latencies.origin,
        arguments.latency_command.as_ref(),
        latency::COMMAND,
    );
    drawn.push(("latency.svg", curves::draw(&arguments.latency, &latencies, &caption)?));
    write(&arguments.out, &drawn)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// What is told goes before what the file says of itself, and that before what is so by default.
fn caption(arguments: &Arguments, origin: &Origin, told: Option<&String>, usual: &str) -> Caption {
    let machine = origin.machine.clone();
    let date = arguments.date.clone().or_else(|| origin.date.clone());
    Caption {
        date: date.unwrap_or_else(machine::today),
        machine: machine.unwrap_or_else(|| machine::describe(Path::new("."))),
        command: told.or(origin.command.as_ref()).map_or_else(|| usual.to_owned(), String::clone),
    }
}

fn write(out: &Path, drawn: &[(&str, Drawn)]) -> Result<(), Failure> {
    let failed = |path: &Path, error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(out).map_err(|error| failed(out, error))?;
    for (file, svg) in drawn {
        let path = out.join(file);
        fs::write(&path, svg).map_err(|error| failed(&path, error))?;
        println!("{}", path.display());
    }
    Ok(())
}
