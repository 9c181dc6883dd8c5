//! Cuts the power of a log on a simulated disk, again and again, and holds what is recovered against
//! a model: see `factlog_tests::power_cut`.
//!
//! ```text
//! cargo run --release -p factlog-tests --bin power_cut                      100,000 images
//! cargo run --release -p factlog-tests --bin power_cut -- --images 10000000
//! cargo run --release -p factlog-tests --bin power_cut -- --seed 7 --lives 1    one life again
//! cargo run --release -p factlog-tests --bin power_cut -- --plants [NAME]       planted bugs are found
//! ```
//!
//! The seed of each life is printed when something in it does not hold. Threads run as they like,
//! so that a seed repeats what was done to the log, and most often what came of it.

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
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use factlog_tests::Random;
    use factlog_tests::plants::{Copied, Plant, root};
    use factlog_tests::power_cut::{Report, live};

    /// Images of one life.
    const PER_LIFE: u64 = 120;

    /// Images that are tried for a planted bug.
    const PER_PLANT: &str = "60000";

    struct Arguments {
        plants: Option<String>,
        images: u64,
        seed: Option<u64>,
        lives: Option<u64>,
    }

    fn arguments() -> Result<Arguments, String> {
        let mut found = Arguments { plants: None, images: 100_000, seed: None, lives: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if word == "--plants" {
                found.plants = Some(words.next().unwrap_or_default());
                continue;
            }
            let mut number = || {
                let value = words.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("{word} needs a number"))
            };
            match word.as_str() {
                "--images" => found.images = number()?,
                "--seed" => found.seed = Some(number()?),
                "--lives" => found.lives = Some(number()?),
                _ => return Err(format!("{word}? There are --images, --seed, --lives, --plants")),
            }
        }
        Ok(found)
    }

    /// Plants bugs one by one, each of which must be found.
    fn plants(name: &str) -> Result<(), String> {
        let copied = Copied::make("power_cuts")?;
        let words = ["run", "--quiet", "--release", "-p", "factlog-tests", "--bin", "power_cut"];
        let (mut planted, mut found) = (0, 0);
        for plant in Plant::all(&root()?.join("tests").join("power_cuts"))? {
            if !plant.name.contains(name) {
                continue;
            }
            let began = Instant::now();
            let tried = copied.with(&plant, || {
                let build = ["build", "--quiet", "--release", "-p", "factlog-tests"];
                let built = copied.cargo(&build, "")?;
                if !built.status.success() {
                    let said = String::from_utf8_lossy(&built.stderr).into_owned();
                    return Err(format!("it does not compile:\n{said}"));
                }
                let behind = ["--", "--seed", "1", "--images", PER_PLANT];
                let output = copied.cargo(&[&words[..], &behind].concat(), "")?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                Ok(said.lines().find(|line| line.contains("DOES NOT HOLD")).map(str::to_owned))
            });
            planted += 1;
            let verdict = match tried {
                Ok(Some(said)) => {
                    found += 1;
                    format!("found: {}\n    {said}", plant.about)
                }
                Ok(None) => format!("NOT FOUND: {}", plant.about),
                Err(error) => format!("NOT PLANTED: {} ({error})", plant.about),
            };
            println!("{verdict} ({:.0} s)", began.elapsed().as_secs_f64());
        }
        println!("{found} of {planted} planted bugs found");
        if found == planted { Ok(()) } else { Err("a planted bug was not found".to_owned()) }
    }

    pub(crate) fn run() -> Result<(), String> {
        let arguments = arguments()?;
        if let Some(name) = &arguments.plants {
            return plants(name);
        }
        let first = match arguments.seed {
            Some(seed) => seed,
            None => Random::from_environment("power cuts").next() >> 16,
        };
        let lives = arguments.lives.unwrap_or(u64::MAX);
        println!("seeds from {first}");
        let began = Instant::now();
        let next = AtomicU64::new(0);
        let total = Mutex::new((Report::default(), 0_u64, None::<String>));
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let life = next.fetch_add(1, Ordering::Relaxed);
                        let done = {
                            let total = total.lock().expect("no panic");
                            total.0.images >= arguments.images || total.2.is_some()
                        };
                        if done || life >= lives {
                            return;
                        }
                        let seed = first.wrapping_add(life);
                        let lived = std::panic::catch_unwind(|| live(seed, PER_LIFE));
                        let mut total = total.lock().expect("no panic");
                        match lived {
                            Ok(Ok(report)) => total.0.add(&report),
                            Ok(Err(error)) => total.2 = Some(error),
                            Err(_) => total.2 = Some(format!("seed {seed}: a panic")),
                        }
                        total.1 += 1;
                        if total.1.is_multiple_of(500) {
                            let seconds = began.elapsed().as_secs_f64();
                            println!("{} images, {seconds:.0} s", total.0.images);
                        }
                    }
                });
            }
        });
        let (report, lived, failure) = total.into_inner().expect("no panic");
        println!("{report}\n{lived} lives, {:.0} s", began.elapsed().as_secs_f64());
        if let Some(failure) = failure {
            return Err(format!("DOES NOT HOLD: {failure}"));
        }
        let missing = report.missing();
        if missing.is_empty() || lives < u64::MAX {
            Ok(())
        } else {
            Err(format!("the counts flatter: nothing was {}", missing.join(", ")))
        }
    }
}
