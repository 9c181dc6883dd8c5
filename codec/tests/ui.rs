//! What the macros refuse, and what they say then.
//!
//! Each file of `ui/` must not compile; what the compiler says is in the file beside it. Written
//! anew with `TRYBUILD=overwrite cargo test -p factlog-codec --test ui`.

use std::process::Command;

/// The compiler whose wording `ui/by-version/` has.
const WORDING: &str = "rustc 1.95.";

#[test]
fn is_each_mistake_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    // Where the compiler adds words of its own, they differ from version to version.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("a compiler");
    if String::from_utf8_lossy(&version.stdout).starts_with(WORDING) {
        cases.compile_fail("tests/ui/by-version/*.rs");
    } else {
        println!("skipped: tests/ui/by-version, for another compiler");
    }
}
