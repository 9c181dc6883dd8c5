//! The concurrent log under load, for as long as one likes: see `factlog_tests::stress`.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin stress                    20 seconds
//! cargo run --release -p factlog-tests --bin stress -- --seconds 600   ten minutes
//! cargo run --release -p factlog-tests --bin stress -- --rounds 10000000
//! cargo run --release -p factlog-tests --bin stress -- --pairs 1000000 --seconds 3
//! ```
//!
//! Each of three parts gets a third of the time; `--rounds` of ping-pong come instead of a time. Behind
//! them so many `--pairs` of a command and a read that must not be older (20,000 unless told otherwise).

use std::process::ExitCode;
use std::time::Duration;

use factlog_tests::stress::{child, come_and_go, kill_producers, ping_pong, write_and_read};

fn main() -> ExitCode {
    child();
    let mut seconds = 20;
    let (mut rounds, mut pairs) = (None, 20_000);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u64>().ok());
        match (word.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--pairs", Some(value)) => pairs = value,
            ("--rounds", Some(value)) => rounds = Some(value),
            _ => {
                eprintln!("usage: stress [--seconds N] [--rounds N] [--pairs N]");
                return ExitCode::from(2);
            }
        }
    }
    let each = Duration::from_secs(seconds) / 3;
    let say = |said: Vec<String>| said.iter().for_each(|line| println!("{line}"));
    say(come_and_go(1, each));
    say(ping_pong(each, rounds));
    say(kill_producers(4, each));
    say(write_and_read(pairs));
    println!("all held");
    ExitCode::SUCCESS
}
