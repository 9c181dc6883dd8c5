//! Runs the models of the engine's concurrency under loom, then plants known bugs one by one and
//! sees that a model finds each.
//!
//! ```text
//! cargo run -p factlog-tests --bin models            all models and all plants
//! cargo run -p factlog-tests --bin models -- NAME    those whose name contains NAME
//! ```
//!
//! Plants are in `tests/models/`; they are applied to a copy of the repository under
//! `target/models`.

use std::process::ExitCode;
use std::time::Instant;

use factlog_tests::models::Models;
use factlog_tests::plants::{Plant, root};

fn run() -> Result<bool, String> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let seconds = || began.elapsed().as_secs();
    let models = Models::make("models")?;
    let ran = models.run(&wanted)?;
    ran.lines.iter().for_each(|line| println!("{line}"));
    if let Some(failure) = ran.failure {
        return Err(format!("{failure}\na model failed"));
    }
    if ran.models == 0 && wanted.is_empty() {
        return Err("there is no model to run".to_owned());
    }
    println!("{} models hold ({} s)", ran.models, seconds());

    let (mut planted, mut found) = (0, 0);
    for bug in Plant::all(&root()?.join("tests").join("models"))? {
        if !bug.name.contains(&wanted) && !bug.model.contains(&wanted) {
            continue;
        }
        planted += 1;
        let verdict = match models.find(&bug) {
            Ok(true) => {
                found += 1;
                "found".to_owned()
            }
            Ok(false) => "NOT FOUND".to_owned(),
            Err(error) => format!("NOT PLANTED ({error})"),
        };
        println!("{verdict} by {}: {} ({})", bug.model, bug.about, bug.name);
    }
    println!("{found} of {planted} planted bugs found ({} s)", seconds());
    Ok(found == planted && (planted > 0 || !wanted.is_empty()))
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
