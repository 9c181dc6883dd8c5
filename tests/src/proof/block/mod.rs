//! G2 and G3 on a real ext4 whose power is cut.
//!
//! `qemu-storage-daemon` records every write and flush of a device on which a log is written: the
//! filter `blklogwrites` over an image, exported as a file by FUSE, that file as a loop device, and
//! ext4 on it. The log tells outside what it has appended, and what was acknowledged as durable
//! when how much was recorded. Images are then made of what cuts of the power would have left at any
//! moment: everything before the last flush, and any part of what came after it, down to sectors.
//! ext4 replays its journal, the production code opens the log, and what is there is held against
//! what was told. Some images are gone on with, so that recovery is cut as well.
//!
//! - `tests/power_cut_ext4.sh`: sets up what is recorded, in a mount namespace, and cleans up
//! - `record`: what is done to the log
//! - `told`: what it tells outside
//! - `writes`: what was recorded
//! - `medium`: images of what a power cut leaves
//! - `look`: mounts an image, opens the log, and says what became of it
//! - `tally`: counts
//!
//! A seed repeats what is done to the logs, and what is drawn of what was recorded. Threads and the
//! kernel's writing go as they like, so that two records of one seed are much alike, not the same.

mod look;
mod medium;
mod record;
mod tally;
mod told;
mod writes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use factlog::{Options, WriteWay};

use super::{Request, Row};
use crate::Random;
use crate::plants::root;
use crate::power_cut::life::Kind;
use crate::power_cut::{Breach, ground};
use tally::Tally;
use told::Told;

/// Set in children: what they do, the seed, how many images, and whether flushes do nothing.
const CHILD: &str = "FACTLOG_BLOCK";
/// The folder in which they do it.
const FOLDER: &str = "FACTLOG_BLOCK_FOLDER";
/// What the script says where something is missing.
const MISSING: i32 = 77;

/// Images of one record.
const PER_RECORD: u64 = 25;
/// One log in so many begins with an empty device; the others go on from an image.
const FRESH: u64 = 3;

/// How the power is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cutting {
    /// The disk does nothing at most flushes: then no log can keep what it promised, and that must
    /// be found.
    pub lies: bool,
}

/// What is asked for, tried.
pub fn run(request: &Request) -> Row {
    run_on(request, Cutting::default())
}

/// The same, on a disk of this kind.
pub fn run_on(request: &Request, cutting: Cutting) -> Row {
    let mut row = Row { holds: true, skipped: missing(), ..Row::default() };
    if row.skipped.is_some() {
        return row;
    }
    let wanted = request.times(150, 1_000);
    let (mut tally, began) = (Tally::default(), Instant::now());
    let mut said = began;
    let ended = tempfile::tempdir_in(ground()).map_err(|error| Stop::Failed(error.to_string()));
    let ended = ended.and_then(|folder| {
        for number in 0_u64.. {
            let images = wanted.saturating_sub(tally.get("images")).min(PER_RECORD);
            if images == 0 {
                break;
            }
            let seed = request.seed.wrapping_add(number);
            if number.is_multiple_of(FRESH) {
                clear(folder.path())?;
            }
            one_record(seed, images, cutting, folder.path(), &mut tally).map_err(|stop| {
                let again = format!("power_cut_ext4 --seed {} --images {wanted}", request.seed);
                stop.within(&format!("record {number} of seed {seed} ({again})"))
            })?;
            if said.elapsed().as_secs() >= 10 {
                said = Instant::now();
                eprintln!("power cuts on ext4: {} images", tally.get("images"));
            }
        }
        Ok(())
    });
    row.tried = tally.get("images");
    row.counts = tally.lines();
    row.counts.push(format!("{} seconds", began.elapsed().as_secs()));
    match ended {
        Ok(()) => row.failure = flatters(&tally),
        // What cannot be set up at all is missing; later, it has failed.
        Err(Stop::Missing(what)) if row.tried == 0 => row.skipped = Some(what),
        Err(Stop::Missing(what) | Stop::Failed(what)) => row.failure = Some(what),
    }
    row.holds = row.failure.is_none();
    row
}

/// Why no more is tried.
enum Stop {
    Missing(String),
    Failed(String),
}

impl Stop {
    fn within(self, place: &str) -> Self {
        match self {
            Self::Failed(what) => Self::Failed(format!("{place}: {what}")),
            missing => missing,
        }
    }
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

/// What did not happen at all in so many images, though it should have.
fn flatters(tally: &Tally) -> Option<String> {
    const MANY: u64 = 150;
    let wanted = [
        "torn",
        "clean",
        "closed cleanly",
        "images with more than was acknowledged",
        "logs in the mapped way",
        "logs in the staged way",
        "logs that went on from an image",
        "rollovers",
        "segments dropped by retention",
        "clean closes",
        "writes lost",
        "writes torn",
        "acknowledged events, all there",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|name| tally.get(name) == 0).collect();
    let flatters = tally.get("images") >= MANY && !missing.is_empty();
    flatters.then(|| format!("the counts flatter: nothing of {}", missing.join(", ")))
}

/// Records one log, and looks at images of it. What is gone on with is left in `folder`.
fn one_record(
    seed: u64,
    images: u64,
    cutting: Cutting,
    folder: &Path,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let recorded = script("record", seed, images, cutting, folder)?;
    let said = String::from_utf8_lossy(&recorded.stderr).trim().to_owned();
    match recorded.status.code() {
        Some(0) => {}
        Some(MISSING) => return Err(Stop::Missing(format!("no record: {said}"))),
        _ => return Err(Stop::Failed(format!("{}, {said}", recorded.status))),
    }
    let looked = script("look", seed, images, cutting, folder)?;
    let output = String::from_utf8_lossy(&looked.stdout);
    let mut ended = false;
    for line in output.lines() {
        ended |= line == "end";
        tally.read(line);
    }
    if let Some(breach) = output.lines().find_map(|line| line.strip_prefix("breach ")) {
        return Err(Stop::Failed(breach.to_owned()));
    }
    if !looked.status.success() || !ended {
        let said = String::from_utf8_lossy(&looked.stderr);
        return Err(Stop::Failed(format!("looking: {}, {}", looked.status, said.trim())));
    }
    Ok(())
}

/// Runs the script, which runs this program again as a child.
fn script(
    what: &str,
    seed: u64,
    images: u64,
    cutting: Cutting,
    folder: &Path,
) -> Result<Output, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let lies = if cutting.lies { "lies" } else { "honest" };
    // Files that take another's place are flushed by ext4 itself, unless it is told not to.
    let data = if seed.is_multiple_of(2) { "data=ordered" } else { "data=writeback" };
    let mount = format!("{data},{}auto_da_alloc", if seed % 4 < 2 { "no" } else { "" });
    let block = if seed % 5 == 4 { "1024" } else { "4096" };
    let mut command = Command::new(path_of_script()?);
    command.arg(what).arg(folder).arg(program);
    command.env(CHILD, format!("{what} {seed} {images} {lies}")).env(FOLDER, folder);
    command.env("FACTLOG_BLOCK_MOUNT", mount).env("FACTLOG_BLOCK_SIZE", block);
    command.env("RUST_BACKTRACE", "0");
    command.output().map_err(|error| format!("the script: {error}"))
}

fn path_of_script() -> Result<PathBuf, String> {
    Ok(root()?.join("tests").join("power_cut_ext4.sh"))
}

/// What this needs and this machine does not have.
fn missing() -> Option<String> {
    let probed = path_of_script().and_then(|script| {
        Command::new(script).arg("probe").output().map_err(|error| error.to_string())
    });
    let said = match probed {
        Ok(probed) if probed.status.success() => {
            String::from_utf8_lossy(&probed.stdout).into_owned()
        }
        Ok(probed) => String::from_utf8_lossy(&probed.stderr).into_owned(),
        Err(error) => error,
    };
    let said = said.trim();
    (!said.is_empty()).then(|| format!("power cuts on ext4: {said}"))
}

/// The next log begins with an empty device.
fn clear(folder: &Path) -> Result<(), String> {
    for name in ["disk", "heir"] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(format!("{name}: {error}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The kind of log of this seed: one is written in the mapped way, the next one in the other.
fn kind(seed: u64) -> Kind {
    let mut kind = Kind::draw(&mut Random::new(seed));
    kind.way = if seed.is_multiple_of(2) { WriteWay::Mapped } else { WriteWay::Staged };
    kind
}

fn options(seed: u64) -> Options {
    kind(seed).options()
}

/// Does the work of a child and ends, in a process that the script has started for that.
pub fn child() {
    let (Ok(words), Some(folder)) = (std::env::var(CHILD), std::env::var_os(FOLDER)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let words: Vec<&str> = words.split(' ').collect();
    let done = match *words.as_slice() {
        [what, seed, images, lies] => match (what, seed.parse(), images.parse()) {
            ("record", Ok(seed), Ok(_)) => record::record(seed, &folder),
            ("look", Ok(seed), Ok(images)) => look::look(seed, images, lies == "lies", &folder),
            _ => Err(format!("{CHILD}={words:?}")),
        },
        _ => Err(format!("{CHILD}={words:?}")),
    };
    if let Err(error) = done {
        eprintln!("{error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}
