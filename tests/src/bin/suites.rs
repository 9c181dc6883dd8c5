//! Plants known bugs one by one, and sees that the test which is named with each fails.
//!
//! ```text
//! cargo run -p factlog-tests --bin suites            all of them
//! cargo run -p factlog-tests --bin suites -- NAME    those whose name contains NAME
//! ```
//!
//! They are in `tests/suites/`; they are applied to a copy of the repository under
//! `target/suites`. `model:` is the suite and one of its tests.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use factlog_tests::plants::{Copied, Plant, root};

/// Seconds after which a test that does not end is ended.
const PATIENCE: u32 = 300;

/// Whether the test fails; that it runs at all is looked at.
fn fails(copied: &Copied, suite: &str, test: &str) -> Result<bool, String> {
    let words = ["test", "--quiet", "-p", "factlog-tests", "--test", suite];
    let built = copied.cargo(&[&words[..], &["--no-run"]].concat(), "")?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(format!("it does not compile:\n{said}"));
    }
    let ran = copied.cargo_within(PATIENCE, &[&words[..], &["--", "--exact", test]].concat())?;
    if !String::from_utf8_lossy(&ran.stdout).contains("running 1 test") {
        return Err(format!("{suite} has no test called {test}"));
    }
    Ok(!ran.status.success())
}

fn run() -> Result<bool, String> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let copied = Copied::make("suites")?;
    let mut bugs = Plant::all(&root()?.join("tests").join("suites"))?;
    bugs.retain(|bug| bug.name.contains(&wanted));
    let test = |bug: &Plant| {
        let (suite, test) = bug.model.split_once(' ').ok_or("`model:` is a suite and a test")?;
        Ok::<_, String>((suite.to_owned(), test.to_owned()))
    };
    // Without a bug all must hold: first, since each bug costs a build.
    let tests: BTreeSet<_> = bugs.iter().map(test).collect::<Result<_, _>>()?;
    for (suite, test) in &tests {
        if fails(&copied, suite, test)? {
            return Err(format!("{suite} {test} fails without a bug"));
        }
    }
    println!("{} tests hold ({} s)", tests.len(), began.elapsed().as_secs());
    let (planted, mut found) = (bugs.len(), 0);
    for bug in bugs {
        let (suite, test) = test(&bug)?;
        let verdict = match copied.with(&bug, || fails(&copied, &suite, &test)) {
            Ok(true) => {
                found += 1;
                "found".to_owned()
            }
            Ok(false) => "NOT FOUND".to_owned(),
            Err(error) => format!("NOT PLANTED ({error})"),
        };
        println!("{verdict} by {suite} {test}: {} ({})", bug.about, bug.name);
    }
    println!("{found} of {planted} planted bugs found ({} s)", began.elapsed().as_secs());
    Ok(found == planted && planted > 0)
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
