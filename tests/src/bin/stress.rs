//! The concurrent log under load, for as long as one likes: see `factlog_tests::stress`.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin stress                    20 seconds
//! cargo run --release -p factlog-tests --bin stress -- --seconds 600   ten minutes
//! cargo run --release -p factlog-tests --bin stress -- --rounds 10000000
//! ```
//!
//! Each of the three parts gets a third of the time; `--rounds` of ping-pong come instead of a time.

use std::process::ExitCode;
use std::time::Duration;

use factlog_tests::stress::{child, come_and_go, kill_producers, ping_pong};

fn main() -> ExitCode {
    child();
    let mut seconds = 20;
    let mut rounds = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        match (word.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--rounds", Some(value)) => rounds = Some(value),
            _ => {
                eprintln!("usage: stress [--seconds N] [--rounds N]");
                return ExitCode::from(2);
            }
        }
    }
    let each = Duration::from_secs(seconds) / 3;
    let say = |said: Vec<String>| said.iter().for_each(|line| println!("{line}"));
    say(come_and_go(1, each));
    say(ping_pong(each, rounds));
    say(kill_producers(4, each));
    println!("all held");
    ExitCode::SUCCESS
}
