//! `cargo run --release --manifest-path bench/peers/Cargo.toml -- --help` says what it does.

use std::process::ExitCode;

use factlog_peers::args::{self, Command};
use factlog_peers::{child, run};

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::Child(order)) => child::answer(&order),
        Ok(Command::Compare(wanted)) => match run::compare(&wanted) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("factlog-peers: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            eprintln!("factlog-peers: {error}; --help says what there is");
            ExitCode::from(2)
        }
    }
}
