//! This program, started again as another process.
//!
//! A suite runs one of its tests, a program itself: both find in the environment what they are
//! started for.

use std::env;
use std::process::{Command, Stdio};

/// Whether there is a program of this name.
pub fn is_there(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    found.is_ok_and(|found| found.status.success())
}

/// A command that starts `test` of this program again behind the words of another one, if there are
/// any. What the environment has to say is for the caller to add.
///
/// # Errors
///
/// This program's file is not known.
pub fn again(words: &[&str], test: &str) -> Result<Command, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = match words.split_first() {
        Some((first, words)) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args(["--exact", test, "--nocapture"]).stdin(Stdio::null());
    Ok(command)
}
