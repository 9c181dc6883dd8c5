//! Cuts the power of a log on a simulated disk, again and again, and holds what is recovered against
//! a model: see `factlog_tests::power_cut`.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin power_cut                      100,000 images
//! cargo run --release -p factlog-tests --bin power_cut -- --images 10000000
//! cargo run --release -p factlog-tests --bin power_cut -- --seed 7 --lives 1    one life again
//! ```
//!
//! The seed of each life is printed when something in it does not hold. Threads run as they like,
//! so that a seed repeats what was done to the log, and most often what came of it. The bugs that
//! this must find are planted by the program `proof`, as G2 and G3.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    match unix::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(unix))]
fn main() {
    println!("skipped: the simulated disk needs a Unix");
}

#[cfg(unix)]
mod unix {
    use std::time::Instant;

    use factlog_tests::power_cut::{Asked, Lives, many};
    use factlog_tests::seed_from_clock;

    struct Arguments {
        images: u64,
        seed: Option<u64>,
        lives: Option<u64>,
    }

    fn arguments() -> Result<Arguments, String> {
        let mut found = Arguments { images: 100_000, seed: None, lives: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{word} needs a number"))
            };
            match word.as_str() {
                "--images" => found.images = number()?,
                "--seed" => found.seed = Some(number()?),
                "--lives" => found.lives = Some(number()?),
                _ => return Err(format!("{word}? There are --images, --seed, --lives")),
            }
        }
        Ok(found)
    }

    pub(crate) fn run() -> Result<(), String> {
        let arguments = arguments()?;
        let first = arguments.seed.unwrap_or_else(seed_from_clock);
        println!("seeds from {first}");
        let began = Instant::now();
        let asked = Asked {
            first,
            lives: arguments.lives.unwrap_or(u64::MAX),
            enough: &|report| report.images >= arguments.images,
            fatal: &|_| true,
        };
        let Lives { report, lived, breaches } = many(asked, &|lives| {
            println!("{} images, {:.0} s", lives.report.images, began.elapsed().as_secs_f64());
        });
        println!("{report}\n{lived} lives, {:.0} s", began.elapsed().as_secs_f64());
        if let Some(breach) = breaches.first() {
            return Err(format!("DOES NOT HOLD: {breach}"));
        }
        let missing = report.missing();
        if missing.is_empty() || arguments.lives.is_some() {
            Ok(())
        } else {
            Err(format!("the counts flatter: nothing was {}", missing.join(", ")))
        }
    }
}
