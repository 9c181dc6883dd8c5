//! Other file systems, each mounted in a mount namespace of its own: a test, or a proof, runs itself
//! again there.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

use crate::again::{again, is_there};

const INSIDE: &str = "FACTLOG_TEST_MOUNTED";
/// What stands in the errors once everything is mounted.
const MOUNTED: &str = "mounted, and going on";

/// What came of it.
#[derive(Debug)]
pub enum Inside {
    /// It ran to its end, whatever that was.
    Ran(Output),
    /// It cannot be run here: why.
    Skipped(String),
}

/// Runs `test` of this program again, where `mount` has been done on `$MOUNT`; `$IMAGE` is a file for
/// an image. With `variables` in the environment.
///
/// # Panics
///
/// When there is no directory to be had, or no shell.
pub fn run_inside(test: &str, tools: &[&str], mount: &str, variables: &[(&str, &str)]) -> Inside {
    if !rustix::process::geteuid().is_root() {
        return Inside::Skipped("mounting needs root".to_owned());
    }
    if let Some(tool) = tools.iter().find(|tool| !is_there(tool)) {
        return Inside::Skipped(format!("there is no {tool}"));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let point = directory.path().join("mount");
    fs::create_dir(&point).expect("a mount point");
    let script = format!("set -e; {mount}; echo '{MOUNTED}' >&2; exec \"$0\" \"$@\"");
    let output = again(&["unshare", "-m", "sh", "-c", &script], test)
        .expect("this program")
        .env("MOUNT", &point)
        .env("IMAGE", directory.path().join("image"))
        .env(INSIDE, "1")
        .envs(variables.iter().copied())
        .output()
        .expect("unshare runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let told = errors.contains("mount:") || output.status.code() == Some(32);
    if !errors.contains(MOUNTED) && (told || errors.contains("unshare")) {
        return Inside::Skipped(format!("cannot mount here: {}", errors.trim()));
    }
    Inside::Ran(output)
}

/// The same for a test: says so and comes back where it cannot be run.
///
/// # Panics
///
/// When the test does not pass there.
pub fn inside(test: &str, tools: &[&str], mount: &str) {
    let output = match run_inside(test, tools, mount, &[]) {
        Inside::Skipped(why) => {
            println!("skipped: {why}");
            return;
        }
        Inside::Ran(output) => output,
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && said.contains("1 passed");
    assert!(passed, "{}\n{said}\n{errors}", output.status);
    said.lines().filter(|line| line.contains("events")).for_each(|line| println!("{line}"));
}

/// Where it is mounted, if this is what was run again.
pub fn mounted() -> Option<PathBuf> {
    env::var_os(INSIDE)?;
    env::var_os("MOUNT").map(PathBuf::from)
}
