//! What the programs share: words in, an exit code out.

use std::error::Error;
use std::process::ExitCode;

/// Reads the words of the command line and runs: exit code 0, 1 when `run` fails, 2 for words that
/// `parse` does not understand. `parse` returns `None` when help was asked for.
pub fn run<A>(
    name: &str,
    help: &str,
    parse: impl FnOnce(&[String]) -> Result<Option<A>, String>,
    run: impl FnOnce(&A) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match parse(&words) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{help}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}\n\n{help}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
