//! Fuzzes every body for some time: see `factlog_tests::proof::fuzzing`, and `fuzz/README.md`.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin fuzz                   30 seconds each
//! cargo run --release -p factlog-tests --bin fuzz -- --seconds 600
//! cargo run --release -p factlog-tests --bin fuzz -- --seed 7
//! cargo run --release -p factlog-tests --bin fuzz -- --corpus       makes fuzz/corpus/ anew
//! cargo run --release -p factlog-tests --bin fuzz -- --run BODY FILE..     in ordinary code
//! ```

use std::process::ExitCode;

use factlog_tests::fuzz::{Body, Reached, make_corpus};
use factlog_tests::proof::{Request, fuzzing};

fn run_files(words: &[String]) -> Result<(), String> {
    let body = words.first().and_then(|name| Body::named(name)).ok_or("--run BODY FILE..")?;
    for file in &words[1..] {
        let bytes = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        let mut reached = Reached::new();
        body.guarded(&bytes, &mut reached).map_err(|said| format!("{file}: {said}"))?;
        println!("{file}: {reached}");
    }
    Ok(())
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut request = Request { seed: 1, count: Some(30), quick: true };
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let number = || words.get(at + 1).and_then(|word| word.parse().ok());
        match word.as_str() {
            "--corpus" => {
                let (files, bytes) = make_corpus()?;
                println!("{files} files, {bytes} bytes");
                return Ok(());
            }
            "--run" => return run_files(&words[at + 1..]),
            "--seconds" => request.count = Some(number().ok_or("--seconds needs a number")?),
            "--seed" => request.seed = number().ok_or("--seed needs a number")?,
            _ => return Err(format!("{word}? There are --seconds, --seed, --corpus, --run")),
        }
        at += 2;
    }
    let row = fuzzing::run(&request);
    for count in &row.counts {
        println!("{count}");
    }
    if let Some(skipped) = &row.skipped {
        println!("skipped: {skipped}");
    }
    println!("{} inputs", row.tried);
    match row.failure {
        Some(failure) => Err(format!("does not hold: {failure}")),
        None if row.holds => Ok(()),
        None => Err("does not hold".to_owned()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
