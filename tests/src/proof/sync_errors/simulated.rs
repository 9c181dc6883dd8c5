//! Syncs that fail on a simulated disk, as on Linux: what was to be synced is taken for clean, and is
//! not on the medium. Then the power goes, before the log is opened again and after.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use factlog::{CommitAlign, Durability, OpenError, Options, RecoveryOutcome, WriteWay};
use factlog_simdisk::{Fault, Medium, Operation, SimDisk};

use super::story::{Ending, append, compare, live};
use crate::Random;
use crate::power_cut::ground;

/// Images that are drawn at each moment.
const IMAGES: u32 = 3;

/// Which sync fails, of what log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    way: WriteWay,
    durability: Durability,
    kind: Operation,
    nth: u64,
    /// All that come after it fail as well, until the story has ended.
    sticky: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) tried: u64,
    /// Stories in which a sync failed, by how they ended.
    pub(super) endings: BTreeMap<Ending, u64>,
    /// Stories that were over before so many syncs.
    pub(super) missed: u64,
    pub(super) images: u64,
    /// Images without events that could be read before the power went, none of them acknowledged.
    pub(super) lost: u64,
}

impl Seen {
    pub(super) fn join(&mut self, other: Self) {
        self.tried += other.tried;
        self.missed += other.missed;
        self.images += other.images;
        self.lost += other.lost;
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
        }
    }
}

/// How many syncs of each kind there are in a story, about.
const fn most(kind: Operation) -> u64 {
    match kind {
        Operation::Sync => 60,
        _ => 16,
    }
}

impl Case {
    /// The n-th sync is each one in turn, though not in order; the rest is drawn.
    fn draw(number: u64, random: &mut Random) -> Self {
        // Syncs of files are what it is about; of directories there are fewer.
        let sync = random.below(5) > 0;
        let kind = if sync { Operation::Sync } else { Operation::SyncDirectory };
        Self {
            kind,
            way: if random.below(2) == 0 { WriteWay::Mapped } else { WriteWay::Staged },
            durability: match random.below(5) {
                0 | 1 => Durability::Group,
                2 => Durability::Always,
                _ => Durability::Interval(Duration::from_millis(2)),
            },
            nth: 1 + number * 37 % most(kind),
            sticky: random.below(2) == 0,
        }
    }

    fn options(&self) -> Options {
        Options::new()
            .segment_size(4 << 20)
            .spare_segments(1)
            .prefault(0)
            .write_way(self.way)
            .durability(self.durability)
            .commit_align(if self.nth.is_multiple_of(2) {
                CommitAlign::Page
            } else {
                CommitAlign::None
            })
    }
}

/// Tries case `number`.
///
/// # Errors
///
/// What does not hold.
pub(super) fn attempt(seed: u64, number: u64) -> Result<Seen, String> {
    let mut random = Random::new(seed ^ number.wrapping_mul(0x9E37_79B9));
    let case = Case::draw(number, &mut random);
    let wrap = |error: String| format!("case {number}, {case:?}: {error}");
    one(case, &mut random).map_err(wrap)
}

fn one(case: Case, random: &mut Random) -> Result<Seen, String> {
    let io = |error: std::io::Error| error.to_string();
    let home = tempfile::tempdir_in(ground()).map_err(io)?;
    let root = home.path().join("disk");
    fs::create_dir(&root).map_err(io)?;
    let disk = Arc::new(SimDisk::new(&root).map_err(io)?);
    let options = || case.options().disk_observer(Arc::clone(&disk) as Arc<_>);
    let directory = root.join("log");

    let mut fault = Fault::at(case.nth, ErrorKind::Other).only(case.kind);
    if case.sticky {
        fault = fault.sticky();
    }
    disk.inject(fault);
    let mut acknowledged = 0;
    let ending = live(&options, &directory, &mut |last| acknowledged = acknowledged.max(last))?;
    disk.heal();
    let mut seen = Seen { tried: 1, ..Seen::default() };
    if disk.operations_of(case.kind) < case.nth {
        seen.missed = 1;
        return match ending {
            Ending::Finished => Ok(seen),
            other => Err(format!("{other:?} without a fault")),
        };
    }
    *seen.endings.entry(ending).or_default() += 1;
    // What the page cache has, the medium may lack.
    let cached = match case.options().open_read_only(&directory) {
        Ok(log) => compare(&log)?,
        Err(_) => 0,
    };
    let target = home.path().join("image");
    let mut cut = |claimed: u64, seen: &mut Seen| {
        for _ in 0..IMAGES {
            let image = disk.crash(Medium::PowerSafe, &mut || random.next()).map_err(io)?;
            image.write_to(&target).map_err(io)?;
            let last = last_of(&case, &target.join("log"), claimed)?;
            if last < claimed {
                return Err(format!("durable up to {claimed}, but {last} is the last event"));
            }
            seen.images += 1;
            fs::remove_dir_all(&target).map_err(io)?;
            seen.lost += u64::from(last < cached);
        }
        Ok(())
    };
    cut(acknowledged, &mut seen)?;

    // The page cache has what the medium lacks: it may be read, and is not durable for that.
    let mut writer = options().open(&directory).map_err(|error| format!("again: {error}"))?;
    let there = compare(&writer.log())?;
    let durable = writer.log().durable().0.get();
    if there < acknowledged || durable > there {
        return Err(format!("{acknowledged} acknowledged, {durable} durable, {there} there"));
    }
    cut(acknowledged.max(durable), &mut seen)?;
    let last = append(&mut writer).map_err(|error| format!("after opening: {error}"))?;
    writer.sync().map_err(|error| format!("after opening: {error}"))?;
    cut(last, &mut seen)?;
    drop(writer);
    Ok(seen)
}

/// The last event of an image.
fn last_of(case: &Case, directory: &Path, claimed: u64) -> Result<u64, String> {
    let log = match case.options().open_read_only(directory) {
        Ok(log) => log,
        Err(OpenError::NoLog(_)) if claimed == 0 => return Ok(0),
        Err(error) => return Err(format!("the image does not open: {error}")),
    };
    if log.recovery().outcome == RecoveryOutcome::Damaged {
        return Err(format!("a failed sync is no damage: {}", log.recovery()));
    }
    compare(&log)
}
