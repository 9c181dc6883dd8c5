//! Other file systems, each mounted in a mount namespace of a test's own: the test runs itself again
//! there.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const INSIDE: &str = "FACTLOG_TEST_MOUNTED";

/// Runs `test` of the calling file again, where `mount` has been done on `$MOUNT`; `$IMAGE` is a file
/// for an image. Says so and comes back where there is no root, or one of `tools` is missing.
///
/// # Panics
///
/// When the test does not pass there.
pub fn inside(test: &str, tools: &[&str], mount: &str) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: mounting needs root");
        return;
    }
    for tool in tools {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
        if !found.is_ok_and(|found| found.status.success()) {
            println!("skipped: there is no {tool}");
            return;
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let point = directory.path().join("mount");
    fs::create_dir(&point).expect("a mount point");
    let mount = format!("set -e; {mount}; exec \"$0\" \"$@\"");
    let status = Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .arg(env::current_exe().expect("this test"))
        .args(["--exact", test, "--nocapture"])
        .env("MOUNT", &point)
        .env("IMAGE", directory.path().join("image"))
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    let output = String::from_utf8_lossy(&status.stdout);
    let errors = String::from_utf8_lossy(&status.stderr);
    if status.status.code() == Some(32) || errors.contains("mount:") {
        println!("skipped: cannot mount here: {errors}");
        return;
    }
    let passed = status.status.success() && output.contains("1 passed");
    assert!(passed, "{}\n{output}\n{errors}", status.status);
    output.lines().filter(|line| line.contains("events")).for_each(|line| println!("{line}"));
}

/// Where it is mounted, if this is the test that was run again.
pub fn mounted() -> Option<PathBuf> {
    env::var_os(INSIDE)?;
    env::var_os("MOUNT").map(PathBuf::from)
}
