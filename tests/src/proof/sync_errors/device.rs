//! A file system that really fails: ext4 on a device that is a file on a tmpfs too small for it. The
//! first sync that meets the end of the space fails, later ones may succeed, and the data is gone.

use std::env;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use factlog::{
    AppendError, CommitAlign, Durability, OpenError, Options, RecoveryOutcome, SyncError, WriteWay,
    Writer,
};

use super::story::{compare_readable, compare_with, filled, insist, put};
use crate::mounted::{Inside, mounted, run_inside};
use crate::proof::{Request, Row};

/// The way of writing, in a process that was started for this.
const CHILD: &str = "FACTLOG_PROOF_DEVICE";
/// The device: a file on a tmpfs, mounted on `$MOUNT/fs`.
///
/// A loop device takes a write of which its file took only a part for done (Linux 6.18: the first
/// write that meets the end of the space, and the sync after it, succeed, and the rest is gone). No
/// program can know. So requests have one page: the file takes it or not, and the device says so.
const DEVICE: &str = "device=$(losetup -f --show \"$MOUNT/image\") \
     || { echo mount: no loop device >&2; exit 32; }; \
     echo 4 > /sys/block/${device#/dev/}/queue/max_sectors_kb \
     || { losetup -d $device; echo mount: its requests cannot be made small >&2; exit 32; }; \
     failed=0; mount -o errors=continue $device \"$MOUNT/fs\" || failed=1; \
     losetup -d $device; [ $failed = 0 ]";
const FILE: &str = "mount -t tmpfs -o size=${SIZE}m none \"$MOUNT\"; mkdir \"$MOUNT/fs\"; \
     truncate -s 300M \"$MOUNT/image\"; mkfs.ext4 -q -b 4096 -J size=4 \
     -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 \"$MOUNT/image\"";

const STOPPED: &str = "stopped for good";
/// Said where the page cache had events that the device did not have.
const GONE: &str = "events were gone with the page cache";

/// What became of the logs of one way of writing.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    tried: u64,
    stopped: u64,
    gone: u64,
}

/// Tries it with devices of several sizes, in both ways of writing.
pub(super) fn run(
    request: &Request,
    row: &mut Row,
    skipped: &mut Vec<String>,
) -> Result<(), String> {
    let times =
        request.count.map_or(if request.quick { 3 } else { 12 }, |count| count.clamp(1, 12));
    let (mut counts, mount) = ([Count::default(); 2], format!("{FILE}; {DEVICE}"));
    let tools = ["unshare", "losetup", "mkfs.ext4", "e2fsck"];
    for (number, way) in (0..times).flat_map(|number| [(number, "Mapped"), (number, "Staged")]) {
        // In MiB; another seed, other places at which the space ends.
        let size = (24 + (number * 5 + request.seed) % 24).to_string();
        let ran = run_inside("child", &tools, &mount, &[(CHILD, way), ("SIZE", &size)]);
        let output = match ran {
            Inside::Ran(output) => output,
            Inside::Skipped(why) => {
                skipped.push(format!("ext4 that really fails: {why}"));
                return Ok(());
            }
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let wrap = |what: &str| Err(format!("ext4 on {size} MiB, {way}: {what}"));
        if let Some(signal) = output.status.signal() {
            return wrap(&format!("signal {signal}\n{said}{errors}"));
        }
        if let Some(line) = said.lines().find(|line| line.contains("does not hold")) {
            return wrap(line);
        }
        let Some(line) = said.lines().find_map(|line| line.strip_prefix("held: ")) else {
            return wrap(&format!("{}\n{said}{errors}", output.status));
        };
        row.tried += 1;
        let count = &mut counts[usize::from(way == "Staged")];
        count.tried += 1;
        count.stopped += u64::from(line.contains(STOPPED));
        count.gone += u64::from(said.contains(GONE));
        if count.tried == 1 {
            row.counts.push(format!("ext4 on {size} MiB, {way}: {line}"));
        }
    }
    for (Count { tried, stopped, gone }, way) in counts.into_iter().zip(["Mapped", "Staged"]) {
        let refused = tried - stopped;
        row.counts.push(format!(
            "ext4 that really fails, {way}: {tried} devices: {STOPPED} {stopped}, refused events \
             {refused}; {gone} opened again with events that the device did not have, none of them \
             ever called durable"
        ));
    }
    let [mapped, _] = counts;
    // Where the space ends decides whether anything was lost with it: of a few devices it need be none.
    if mapped.stopped == 0 || (mapped.gone == 0 && mapped.tried >= 6) {
        return Err("the counts flatter: on ext4 no sync failed, or nothing was lost".to_owned());
    }
    Ok(())
}

/// What the process does, where it was started for this.
pub(super) fn child() {
    let (Some(way), Some(point)) = (env::var_os(CHILD), mounted()) else { return };
    let way = if way == "Mapped" { WriteWay::Mapped } else { WriteWay::Staged };
    let mut held = Vec::new();
    match fail(&point, way, &mut held) {
        Ok(()) => println!("held: {}", held.join("; ")),
        Err(error) => println!("does not hold: {error} (before: {})", held.join("; ")),
    }
    std::process::exit(0);
}

fn options(way: WriteWay) -> Options {
    let options = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
    options.write_way(way).durability(Durability::Group).commit_align(CommitAlign::None)
}

fn payload(sequence: u64) -> Vec<u8> {
    filled(sequence, 30_000)
}

/// Appends until the device fails, asks again, and opens the log again and again: with what the
/// page cache has, with what the device has, and when there is space.
fn fail(point: &Path, way: WriteWay, held: &mut Vec<String>) -> Result<(), String> {
    let directory = point.join("fs").join("log");
    let mut acknowledged = 0;
    match options(way).open(&directory) {
        Ok(writer) => held.push(fill(writer, &mut acknowledged)?),
        Err(OpenError::Io(error)) => held.push(format!("not opened ({})", error.source)),
        Err(error) => return Err(format!("opening: {error}")),
    }
    held.push(format!("{acknowledged} events acknowledged"));

    // The page cache still has everything, or has begun to drop what it could not write: then a
    // reader is told so, of events that nobody was told are durable.
    let (mut claimed, mut cached) = (acknowledged, 0);
    match options(way).open(&directory) {
        Ok(mut writer) => {
            let (last, dropped) = compare_readable(&writer.log(), &payload)?;
            let durable = writer.log().durable().0.get();
            if last < acknowledged || durable > last {
                return Err(format!(
                    "{acknowledged} acknowledged, {durable} durable, {last} there: {dropped:?}"
                ));
            }
            (claimed, cached) = (claimed.max(durable), last);
            let synced = match writer.sync() {
                Ok(()) => {
                    claimed = last;
                    "made durable after all"
                }
                Err(SyncError::Poisoned(_)) => {
                    insist(&mut writer)?;
                    "again not durable"
                }
                Err(error) => return Err(format!("syncing: {error}")),
            };
            let told = dropped.map_or_else(String::new, |error| format!(" (then: {error})"));
            held.push(format!("opened again with {last}{told}, {synced}"));
        }
        Err(OpenError::Io(error)) => held.push(format!("not opened again ({})", error.source)),
        Err(error) => return Err(format!("opened again: {error}")),
    }

    // The page cache is gone, and what never reached the device with it.
    let mut remounted = remount(point)?;
    if remounted {
        held.push(format!("remounted: {}", reopened(&directory, way, (claimed, cached))?));
    }
    let point_of = |path: PathBuf| path.to_string_lossy().into_owned();
    system("mount", &["-o", "remount,size=400m", &point_of(point.to_path_buf())])?;
    if !remounted {
        held.push("not mounted while it was full".to_owned());
        remounted = mount(point)?;
        if !remounted {
            // What it repairs are names and blocks; of bytes it knows nothing.
            drop(Command::new("e2fsck").arg("-fy").arg(point.join("image")).output());
            remounted = mount(point)?;
        }
        if !remounted {
            return Err("ext4 is not mounted again".to_owned());
        }
        held.push(format!("with space: {}", reopened(&directory, way, (claimed, cached))?));
    } else {
        remount(point)?;
    }

    // There is space: it goes on.
    let mut writer = options(way).open(&directory).map_err(|error| format!("at last: {error}"))?;
    for _ in 0..20 {
        claimed = put(&mut writer, &payload).map_err(|error| format!("at last: {error}"))?;
    }
    drop(writer);
    if !remount(point)? {
        return Err("ext4 is not mounted again".to_owned());
    }
    held.push(format!("at last {}", reopened(&directory, way, (claimed, 0))?));
    Ok(())
}

/// Appends until something fails; what did.
fn fill(mut writer: Writer, acknowledged: &mut u64) -> Result<String, String> {
    let mut refusals = 0;
    loop {
        match put(&mut writer, &payload) {
            Ok(sequence) => {
                *acknowledged = sequence;
                // Outside of this process and of the device, before anything else.
                println!("acknowledged {sequence}");
                std::io::stdout().flush().map_err(|error| error.to_string())?;
                if sequence > 20_000 {
                    return Err("the device never fails".to_owned());
                }
            }
            Err(error @ (AppendError::NotDurable(_) | AppendError::Poisoned(_))) => {
                insist(&mut writer)?;
                return Ok(format!("{STOPPED} ({})", cause(&error)));
            }
            Err(error @ (AppendError::NoSpace(_) | AppendError::Prepare(_))) => {
                refusals += 1;
                if refusals == 3 {
                    return Ok(format!("refused events ({})", cause(&error)));
                }
            }
            Err(error) => return Err(format!("appending: {error}")),
        }
    }
}

fn cause(error: &AppendError) -> String {
    std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
}

/// What is found when only the device is asked, of events that were called durable and of those that
/// the page cache had.
fn reopened(
    directory: &Path,
    way: WriteWay,
    (claimed, cached): (u64, u64),
) -> Result<String, String> {
    let log = match options(way).open_read_only(directory) {
        Ok(log) => log,
        Err(OpenError::NoLog(_)) if claimed == 0 => return Ok("no log".to_owned()),
        Err(error) => return Err(format!("after {claimed} durable events: {error}")),
    };
    let report = log.recovery();
    if report.outcome == RecoveryOutcome::Damaged {
        return Err(format!("a failed sync is no damage: {report}"));
    }
    let last = compare_with(&log, &payload)?;
    if last < claimed {
        return Err(format!("durable up to {claimed}, {last} is the last event ({report})"));
    }
    if last < cached {
        println!("{GONE}");
    }
    Ok(format!("{last} events, {:?}", report.outcome))
}

fn system(program: &str, words: &[&str]) -> Result<(), String> {
    let ran = Command::new(program).args(words).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    if ran.status.success() { Ok(()) } else { Err(format!("{program} {words:?}: {said}")) }
}

/// Takes the file system away and mounts it again; whether it could be.
fn remount(point: &Path) -> Result<bool, String> {
    system("umount", &[&point.join("fs").to_string_lossy()])?;
    mount(point)
}

fn mount(point: &Path) -> Result<bool, String> {
    let script = format!("set -e; {DEVICE}");
    let ran = Command::new("sh").args(["-c", &script]).env("MOUNT", point).output();
    Ok(ran.map_err(|error| error.to_string())?.status.success())
}
