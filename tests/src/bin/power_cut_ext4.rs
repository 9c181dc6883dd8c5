//! Cuts the power of a log on a real ext4, again and again, and holds what is left against what was
//! acknowledged: see `factlog_tests::proof::block`.
//!
//! ```text
//! tests/power_cut_ext4.sh                              1,000 images
//! tests/power_cut_ext4.sh --images 150 --seed 7
//! tests/power_cut_ext4.sh --lies                       flushes do nothing: that must be found
//! ```

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    use factlog_tests::proof::block::{Cutting, run_on};
    use factlog_tests::proof::{Request, child};
    child();
    let mut request = Request { seed: 1, count: None, quick: false };
    let mut cutting = Cutting::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = |value: Option<String>| value.and_then(|value| value.parse().ok());
        match word.as_str() {
            "--lies" => cutting.lies = true,
            "--images" => request.count = number(words.next()),
            "--seed" => request.seed = number(words.next()).unwrap_or(1),
            _ => {
                eprintln!("{word}? There are --images, --seed, --lies");
                return ExitCode::FAILURE;
            }
        }
    }
    let row = run_on(&request, cutting);
    println!("{} images, seed {}", row.tried, request.seed);
    row.counts.iter().for_each(|count| println!("    {count}"));
    if let Some(why) = &row.skipped {
        println!("skipped: {why}");
    }
    match row.failure {
        Some(failure) => {
            eprintln!("DOES NOT HOLD: {failure}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("skipped: ext4 is tried on Linux only");
    ExitCode::SUCCESS
}
