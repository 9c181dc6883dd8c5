//! What is left when the power is cut in the middle of a recovery?
//!
//! Method: a log that needs recovering is put on the simulated disk; before and after each
//! operation of opening it, images are drawn of what a power cut would leave, on a power-safe
//! medium and on a weak one. Each image must open, and have just the events that the log had; or,
//! where a repair was asked for, still refuse. On a weak medium the last events may go that nobody
//! was told are durable: they are being written once more.
#![cfg(unix)]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use factlog::{
    DiskObserver, DiskOperation, OpenError, Options, Recovery, RecoveryOutcome, Start, Writer,
};
use factlog_simdisk::{CrashImage, Medium, SimDisk};
use factlog_tests::damaged::{Damage, append, log, never_synced};
use factlog_tests::surgery::{SegmentFile, copy_directory, segment_path, wait_for_segments};
use factlog_tests::{Random, Seen, read_from, small};

/// As many of the last events of a log were not synced, at most.
const UNSYNCED: usize = 20;

/// Draws images at every operation.
struct Draw {
    disk: SimDisk,
    drawn: Mutex<(Random, Vec<(Medium, CrashImage)>)>,
}

impl Draw {
    fn now(&self) {
        let (random, images) = &mut *self.drawn.lock().expect("no panic");
        for medium in [Medium::PowerSafe, Medium::PowerSafe, Medium::Weak] {
            let image = self.disk.crash(medium, &mut || random.next());
            images.push((medium, image.expect("the files can be read")));
        }
    }
}

impl DiskObserver for Draw {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        self.now();
        DiskObserver::before(&self.disk, operation)
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        DiskObserver::after(&self.disk, operation);
        self.now();
    }
}

/// Recovers a copy of the log in `from`, and gives what power cuts would have left meanwhile.
fn images_of(from: &Path, options: Options, what: &str) -> Vec<(Medium, CrashImage)> {
    images_beside(from, |_| (), options, what)
}

/// The same; what `unsynced` writes is in the page cache alone when the recovery begins.
fn images_beside(
    from: &Path,
    unsynced: impl FnOnce(&Path),
    options: Options,
    what: &str,
) -> Vec<(Medium, CrashImage)> {
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path().join("log");
    copy_directory(from, &directory);
    let disk = SimDisk::new(root.path()).expect("a simulated disk");
    unsynced(&directory);
    let random = Random::from_environment(what);
    let draw = Arc::new(Draw { disk, drawn: Mutex::new((random, Vec::new())) });
    let writer = options.disk_observer(Arc::clone(&draw) as _).open(&directory).expect("recovered");
    drop(writer);
    let drawn = std::mem::take(&mut draw.drawn.lock().expect("no panic").1);
    assert!(drawn.len() > 40, "{} images", drawn.len());
    drawn
}

fn everything(writer: &Writer) -> Vec<Seen> {
    read_from(&writer.log(), Start::Oldest).expect("readable")
}

fn same(found: &[Seen], wanted: &[Seen], what: &str) {
    let differ = found.iter().zip(wanted).position(|(one, other)| one != other);
    assert_eq!((found.len(), differ), (wanted.len(), None), "{what}");
}

/// Each image opens with `events`, goes on, and opens again.
fn all_there(images: &[(Medium, CrashImage)], events: &[Seen]) {
    for (number, (medium, image)) in images.iter().enumerate() {
        let target = tempfile::tempdir().expect("a directory");
        image.write_to(target.path()).expect("written");
        let directory = target.path().join("log");
        let opened = small().open(&directory);
        let mut writer = opened.unwrap_or_else(|error| panic!("image {number}: {error}"));
        let outcome = writer.recovery().outcome;
        let found = everything(&writer);
        let held = match medium {
            Medium::Weak => found.len().max(events.len() - UNSYNCED),
            _ => events.len(),
        };
        let what = format!("image {number}, {medium:?}: {outcome:?}");
        same(&found, &events[..held.min(events.len())], &what);
        append(&mut writer, 100);
        drop(writer);
        let log = small().open_read_only(&directory).expect("again");
        assert_eq!(log.visible().0.get(), found.len() as u64 + 1, "image {number}");
    }
}

#[test]
fn does_a_torn_tail_survive_power_cuts_while_it_is_cut() {
    let (torn, events) = log(3, false);
    let lost = Damage::Tail(3, 4).apply(torn.path());
    let images = images_of(torn.path(), small(), "a torn tail");
    all_there(&images, &events[..lost as usize - 1]);
}

/// What was prepared for another place serves for the next one: its number is written anew, and on
/// no medium the old name may have the new number.
#[test]
fn does_a_renumbered_segment_survive_power_cuts() {
    let (moved, events) = log(3, false);
    wait_for_segments(moved.path(), 4);
    let lost = Damage::Tail(3, 4).apply(moved.path());
    fs::remove_file(segment_path(moved.path(), 4)).expect("removed");
    assert!(segment_path(moved.path(), 5).exists(), "one prepared segment is left");
    let images = images_of(moved.path(), small(), "a renumbered segment");
    all_there(&images, &events[..lost as usize - 1]);
}

/// A repair whose power is cut is nothing at all, or all of it.
#[test]
fn is_a_repair_nothing_or_all_over_power_cuts() {
    let (damaged, events) = log(4, false);
    let lost = Damage::Flip(2, 9).apply(damaged.path());
    let kept = &events[..lost as usize - 1];
    let images = images_of(damaged.path(), small().recovery(Recovery::Repair), "a repair");
    let (mut refused, mut done) = (0, 0);
    for (number, (_, image)) in images.iter().enumerate() {
        let target = tempfile::tempdir().expect("a directory");
        image.write_to(target.path()).expect("written");
        let directory = target.path().join("log");
        match small().open(&directory) {
            Err(OpenError::Damaged(damage)) => {
                refused += 1;
                assert_eq!(damage.next_sequence.get(), lost, "image {number}");
                let again = small().recovery(Recovery::Repair).open(&directory);
                let again = again.unwrap_or_else(|error| panic!("image {number}: {error}"));
                assert_eq!(again.recovery().outcome, RecoveryOutcome::Repaired, "image {number}");
                same(&everything(&again), kept, &format!("image {number}"));
            }
            Err(error) => panic!("image {number}: {error}"),
            Ok(writer) => {
                done += 1;
                same(&everything(&writer), kept, &format!("image {number}"));
                let next = writer.next_sequence().get();
                assert_eq!(next, events.len() as u64 + 1, "image {number}: a silent cut");
            }
        }
    }
    assert!(refused > 20 && done > 5, "{refused} refused, {done} done");
}

/// What a repair leaves was written by a process that was killed, and never synced: it is on the
/// medium before the successor is that says what was lost.
#[test]
fn is_a_gap_kept_whatever_of_the_frames_below_it_was_not_synced() {
    let (home, events) = never_synced();
    let damaged = home.path().join("log");
    let lost = Damage::Missing(2).apply(&damaged);
    let kept = &events[..lost as usize - 1];
    let whole = SegmentFile::read(&damaged, 1);
    let mut medium = whole.clone();
    let frames = whole.data_frames();
    let from = frames[frames.len() / 2].offset as usize;
    medium.bytes[from..whole.end() as usize].fill(0);
    medium.write();
    let in_memory = |directory: &Path| {
        let mut segment = SegmentFile::read(directory, 1);
        segment.bytes.clone_from(&whole.bytes);
        segment.write_in_place();
    };
    let options = small().recovery(Recovery::Repair);
    let images = images_beside(&damaged, in_memory, options, "a repair of what was not synced");
    let (mut refused, mut done) = (0, 0);
    for (number, (_, image)) in images.iter().enumerate() {
        let target = tempfile::tempdir().expect("a directory");
        image.write_to(target.path()).expect("written");
        let directory = target.path().join("log");
        let (writer, least) = match small().open(&directory) {
            Err(OpenError::Damaged(_)) => {
                refused += 1;
                let again = small().recovery(Recovery::Repair).open(&directory);
                (again.unwrap_or_else(|error| panic!("image {number}: {error}")), 0)
            }
            Err(error) => panic!("image {number}: {error}"),
            Ok(writer) => {
                done += 1;
                (writer, kept.len())
            }
        };
        let found = everything(&writer);
        assert!(found.len() >= least, "image {number}: {} of {least} are left", found.len());
        same(&found, &kept[..found.len().min(kept.len())], &format!("image {number}"));
        let next = writer.next_sequence().get();
        assert_eq!(next, events.len() as u64 + 1, "image {number}: the gap is gone");
    }
    assert!(refused > 20 && done > 5, "{refused} refused, {done} done");
}
