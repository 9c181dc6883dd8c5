//! Is what was acknowledged there after the power of a real ext4 was cut? G2 and G3, on a device
//! whose every write and flush is recorded; `factlog_tests::proof::block` says how. Here a few images,
//! to be run at every change; `tests/power_cut_ext4.sh` makes as many as there is time for.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

/// Runs the program; what it printed, if anything was missing.
fn run(words: &[&str]) -> (Output, bool) {
    let program = env!("CARGO_BIN_EXE_power_cut_ext4");
    let output = Command::new(program).args(words).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let skipped = said.lines().any(|line| line.starts_with("skipped: "));
    (output, skipped)
}

#[test]
fn is_what_was_acknowledged_there_after_power_cuts_of_ext4() {
    let (output, skipped) = run(&["--seed", "1", "--images", "20"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(skipped || said.starts_with("20 images"), "{said}");
}

/// Where flushes do nothing, no log can keep what it promised: it must be found.
#[test]
fn is_a_disk_found_whose_flushes_do_nothing() {
    let (output, skipped) = run(&["--seed", "1", "--images", "40", "--lies"]);
    if !skipped {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("DOES NOT HOLD"), "{errors}");
    }
}
