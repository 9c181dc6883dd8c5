//! What do forks take: time, and space on the disk?
//!
//! ```text
//! cargo run --release -p factlog-bench --bin forks
//! cargo run --release -p factlog-bench --bin forks -- --mib 4096 --forks 1000 --dir DIRECTORY
//! ```
//!
//! A log of so many MiB is forked at places all over its sealed segments. Space is what the file system
//! says that files and folders take which no other fork shares; beside it stands what as many copies would
//! take. Then each fork is opened for reading, and one is written. It fails if all forks together take one
//! hundredth of the log or more before any is written.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use factlog::{Durability, EventType, Fork, Opaque, Options, Sequence};
use factlog_bench::{machine, program};

type Failure = Box<dyn std::error::Error>;

const HELP: &str = "\
usage: forks [--mib N] [--forks N] [--dir DIRECTORY]

  --mib N           size of the log in MiB (1024)
  --forks N         how many there are to be (100)
  --dir DIRECTORY   where all of it is made (.)";

static EVENT: EventType = EventType::opaque("forks", 1);
const PAYLOAD: [u8; 4096] = [0xA5; 4096];
const BATCH: usize = 128;

struct Arguments {
    mib: u64,
    forks: usize,
    directory: PathBuf,
}

impl Arguments {
    /// `None` if help was asked for.
    fn parse(words: &[String]) -> Result<Option<Self>, String> {
        let mut words = words.iter();
        let mut found = Self { mib: 1024, forks: 100, directory: ".".into() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--mib" => {
                    let mib = value()?.parse().ok().filter(|mib| *mib >= 256);
                    found.mib = mib.ok_or("--mib is 256 at least")?;
                }
                "--forks" => {
                    let forks = value()?.parse().ok().filter(|forks| *forks >= 1);
                    found.forks = forks.ok_or("--forks is 1 at least")?;
                }
                "--dir" => found.directory = value()?.into(),
                _ => return Err(format!("there is no option {word}")),
            }
        }
        Ok(Some(found))
    }
}

fn main() -> ExitCode {
    program::run("forks", HELP, Arguments::parse, run)
}

fn options() -> Options {
    Options::new().durability(Durability::None).spare_segments(1).prefault(0)
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    println!("{}", machine::describe(&arguments.directory));
    let folder = tempfile::tempdir_in(&arguments.directory)?;
    let from = folder.path().join("origin");
    let mut writer = options().open(&from)?;
    let bytes = arguments.mib << 20;
    while writer.log().stats().bytes < bytes {
        let mut transaction = writer.begin()?;
        for _ in 0..BATCH {
            transaction.append(&Opaque::new(&EVENT, &PAYLOAD))?;
        }
        transaction.commit()?;
    }
    writer.close()?;

    let log = Options::new().open_read_only(&from)?;
    let last = log.visible().0.get();
    // Not in the segment in use, which would be copied as far as it goes.
    let sealed = last - (64 << 20) / (PAYLOAD.len() as u64 + 16) - BATCH as u64;
    let origin = space(&from)?;
    println!("log: {} MiB on the disk, {last} events", origin >> 20);

    let (mut took, mut directories) = (Vec::new(), Vec::new());
    for number in 0..arguments.forks {
        let at = Sequence::new(1 + (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % sealed);
        let to = folder.path().join(format!("fork-{number}"));
        let began = Instant::now();
        let forked = Fork::of(&log).at(at).links_only().create(&to)?;
        took.push(began.elapsed());
        assert_eq!((forked.copied, forked.copied_bytes), (0, 0));
        directories.push(to);
    }
    let mut taken = 0;
    for directory in &directories {
        taken += space(directory)?;
    }
    let share = taken as f64 / origin as f64 * 100.0;
    println!(
        "{} forks: {:.2} MiB on the disk, {share:.3} % of the log; copies would take up to {} MiB",
        arguments.forks,
        taken as f64 / f64::from(1 << 20),
        (origin >> 20) * arguments.forks as u64
    );
    tell("forked in", &mut took);

    let mut opened = Vec::new();
    for directory in &directories {
        let began = Instant::now();
        let fork = Options::new().open_read_only(directory)?;
        opened.push(began.elapsed());
        assert_eq!(fork.lineage().len(), 1);
    }
    tell("opened for reading in", &mut opened);

    let directory = directories.first().ok_or("no fork")?;
    let began = Instant::now();
    let mut fork = options().open(directory)?;
    fork.append(&Opaque::new(&EVENT, &PAYLOAD))?;
    let first = began.elapsed();
    fork.close()?;
    println!("opened for writing, and one event appended, in {:.1} ms", first.as_secs_f64() * 1e3);
    println!("then it takes {} MiB of its own", space(directory)? >> 20);
    if share >= 1.0 {
        return Err(format!("all forks together take {share:.3} % of the log").into());
    }
    Ok(())
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at =
        |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    println!("{what} {:.2} ms (median; {:.2} to {:.2})", at(50), at(0), at(100));
}

/// Bytes on the disk below a directory that nothing else shares.
fn space(directory: &Path) -> Result<u64, Failure> {
    let mut sum = fs::metadata(directory)?.blocks() * 512;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let known = entry.metadata()?;
        if known.is_dir() {
            sum += space(&entry.path())?;
        } else if known.nlink() == 1 {
            sum += known.blocks() * 512;
        }
    }
    Ok(sum)
}
