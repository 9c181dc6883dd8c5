//! The file systems, and who fills them.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::process::ExitStatusExt;

use super::scenes::{copy_on_write, fill, torn_and_full};
use super::squeeze::{Space, squeeze};
use crate::Random;
use crate::mounted::{Inside, mounted, run_inside};
use crate::proof::{Request, Row};

/// Which file system, which seed and how often, in a process that was started for this.
const CHILD: &str = "FACTLOG_PROOF_FULL_DISK";

/// A file system, and what it needs.
#[derive(Debug)]
struct Place {
    name: &'static str,
    tools: &'static [&'static str],
    mount: &'static str,
    /// Each write allocates again: a write into prepared space may meet a full disk.
    copies: bool,
}

const PLACES: [Place; 5] = [
    Place {
        name: "tmpfs",
        tools: &["unshare"],
        mount: "mount -t tmpfs -o size=48m none \"$MOUNT\"",
        copies: false,
    },
    Place {
        name: "ext4",
        tools: &["unshare", "mkfs.ext4"],
        mount: "truncate -s 64M \"$IMAGE\"; mkfs.ext4 -q \"$IMAGE\"; \
                mount -o loop \"$IMAGE\" \"$MOUNT\"",
        copies: false,
    },
    Place {
        name: "XFS",
        tools: &["unshare", "mkfs.xfs"],
        mount: "truncate -s 320M \"$IMAGE\"; mkfs.xfs -q \"$IMAGE\"; \
                mount -o loop \"$IMAGE\" \"$MOUNT\"; \
                head -c 200M /dev/zero > \"$MOUNT/ballast\"",
        copies: false,
    },
    Place {
        name: "btrfs",
        tools: &["unshare", "mkfs.btrfs"],
        mount: "truncate -s 200M \"$IMAGE\"; mkfs.btrfs -q \"$IMAGE\"; \
                mount -o loop \"$IMAGE\" \"$MOUNT\"",
        copies: true,
    },
    Place {
        name: "btrfs with a quota",
        tools: &["unshare", "mkfs.btrfs", "btrfs"],
        mount: "truncate -s 400M \"$IMAGE\"; mkfs.btrfs -q \"$IMAGE\"; \
                mount -o loop \"$IMAGE\" \"$MOUNT\"; btrfs -q quota enable \"$MOUNT\"; \
                btrfs -q subvolume create \"$MOUNT/limited\" > /dev/null; \
                btrfs -q qgroup limit 40M \"$MOUNT/limited\"",
        copies: true,
    },
];

/// Tries all of them.
pub(super) fn run(request: &Request, row: &mut Row) -> Result<(), String> {
    let times = request.times(6, 60).clamp(2, 60);
    let mut skipped = Vec::new();
    for (number, place) in PLACES.iter().enumerate() {
        eprintln!("full disks: {}", place.name);
        let what = format!("{number} {} {times}", request.seed);
        let ran = run_inside("child", place.tools, place.mount, &[(CHILD, &what)]);
        let output = match ran {
            Inside::Ran(output) => output,
            Inside::Skipped(why) => {
                skipped.push(format!("{}: {why}", place.name));
                continue;
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let wrap = |what: String| Err(format!("{}: {what}", place.name));
        if let Some(signal) = output.status.signal() {
            return wrap(format!("signal {signal}\n{said}{errors}"));
        }
        if let Some(line) = said.lines().find(|line| line.contains("does not hold")) {
            return wrap(line.to_owned());
        }
        let held = said.lines().find_map(|line| line.strip_prefix("held: ")?.split_once(' '));
        let Some((tried, counts)) = held else {
            return wrap(format!("{}\n{said}{errors}", output.status));
        };
        row.tried += tried.parse::<u64>().unwrap_or(0);
        row.counts.push(format!("{}: {counts}", place.name));
    }
    row.skipped = (!skipped.is_empty()).then(|| skipped.join("; "));
    Ok(())
}

/// What the process does, where it was started for this.
pub(super) fn child() {
    let (Some(what), Some(point)) = (env::var(CHILD).ok(), mounted()) else { return };
    let mut numbers = what.split(' ').filter_map(|number| number.parse::<u64>().ok());
    let mut number = || numbers.next().expect("three numbers");
    let (place, seed, times) = (&PLACES[number() as usize], number(), number());
    let limited = point.join("limited");
    let space = if limited.exists() { Space::limited(limited) } else { Space::all(point) };
    match live(place, &space, seed, times) {
        Ok(held) => println!("held: {held}"),
        Err(error) => println!("does not hold: {error}"),
    }
    std::process::exit(0);
}

fn live(place: &Place, space: &Space, seed: u64, times: u64) -> Result<String, String> {
    let mut counts = BTreeMap::<String, u64>::new();
    let mut tried = 0;
    // Before anything else: they expect the disk as it was made.
    if place.copies {
        if !space.is_limited() {
            copy_on_write(&space.root);
            space.clear()?;
            *counts.entry("whole lives".to_owned()).or_default() += 1;
            tried += 1;
        }
    } else {
        for life in [fill, torn_and_full] {
            life(&space.root);
            space.clear()?;
            *counts.entry("whole lives".to_owned()).or_default() += 1;
            tried += 1;
        }
    }
    let mut random = Random::new(seed);
    for number in 0..times {
        let told = squeeze(space, place.copies, number, &mut random)
            .map_err(|error| format!("try {number} of {times}: {error}"))?;
        space.clear()?;
        for what in told {
            *counts.entry(what).or_default() += 1;
        }
        tried += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    Ok(format!("{tried} {}", counts.join(", ")))
}
