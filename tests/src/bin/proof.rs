//! What is promised, G1 to G8, is tried, and bugs that are planted must be found: one table.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin proof -- --quick           at most ten minutes
//! cargo run --release -p factlog-tests --bin proof                      the full figures
//! cargo run --release -p factlog-tests --bin proof -- --only G2 --seed 7 --count 1
//! cargo run --release -p factlog-tests --bin proof -- --plants NAME     planted bugs alone
//! ```

use std::process::ExitCode;

use factlog_tests::proof;
use factlog_tests::proof::arguments::{Arguments, USAGE};

fn main() -> ExitCode {
    proof::child();
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => proof::table::run(&arguments),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
