//! What rots at a follower that had made it durable.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::{DiskObserver, DiskOperation, Follower, OpenError, Recovery, Writer};
use factlog_tests::scratch;
use factlog_tests::surgery::{SegmentFile, copy_directory, segment_path, used_segments};

use super::refusals::take_all;
use super::support::{options, write};

/// A bit of a frame in the middle of a segment, on the medium; opening shall read it, so the tables
/// that let it pass over segments go.
fn rot(directory: &Path, number: u32) {
    let segment = SegmentFile::read(directory, number);
    let frames = segment.data_frames();
    segment.rot(frames[frames.len() / 2].offset + 60);
    for number in used_segments(directory) {
        let table = segment_path(directory, number).with_extension("streams");
        drop(fs::remove_file(table));
    }
}

fn is_damage<T: std::fmt::Debug>(opened: Result<T, OpenError>, what: &str) {
    assert!(matches!(opened, Err(OpenError::Damaged(_))), "{what}: {opened:?}");
}

/// A leader's log of some segments, and a follower that has all of it.
fn followed(here: &Path, there: &Path) -> (Writer, Follower) {
    let mut leader = options().open(here).expect("a log");
    write(&mut leader, 60_000);
    let mut follower = options().open_follower(there).expect("a directory");
    take_all(&mut leader, &mut follower);
    assert!(used_segments(there).len() >= 3);
    (leader, follower)
}

/// Damage, whoever opens the log next, and never a torn tail: nothing is cut, and no sequence given
/// again.
#[test]
fn is_what_was_acknowledged_never_cut() {
    let (here, there) = (scratch(), scratch());
    let (leader, follower) = followed(here.path(), there.path());
    drop(leader);
    let all = used_segments(there.path());
    let (last, before) = all.split_last().expect("segments");
    // As if it had been killed: nobody has noted anything at the end.
    for number in before {
        let copy = scratch();
        copy_directory(there.path(), copy.path());
        rot(copy.path(), *number);
        is_damage(options().open(copy.path()), "by a writer");
        is_damage(options().open_follower(copy.path()), "by a follower");
        assert_eq!(used_segments(copy.path()), all);
    }
    // In the last one as well, where it is promoted.
    rot(there.path(), *last);
    is_damage(follower.promote(options()), "promoted");
    assert_eq!(used_segments(there.path()), all);
}

/// The leader's log was repaired: that says nothing of what is durable here.
#[test]
fn is_what_was_acknowledged_never_cut_where_the_leader_had_been_repaired() {
    let (here, there) = (scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 9_000);
    leader.close().expect("closed");
    rot(here.path(), 1);
    let repairing = options().recovery(Recovery::Repair);
    let mut leader = repairing.open(here.path()).expect("repaired");
    let mut follower = options().open_follower(there.path()).expect("a directory");
    take_all(&mut leader, &mut follower);
    assert_eq!(follower.log().expect("a log").visible().0, leader.next_sequence().before());
    // And with it the thread that writes tables.
    drop(follower);
    rot(there.path(), 1);
    let all = used_segments(there.path());
    assert_eq!(all.len(), 2);
    is_damage(options().open(there.path()), "by a writer");
    assert_eq!(used_segments(there.path()), all);
}

/// Bytes that are written into files which were there before.
#[derive(Debug)]
struct Again {
    files: Vec<u64>,
    bytes: AtomicU64,
}

impl DiskObserver for Again {
    fn after(&self, operation: &DiskOperation<'_>) {
        if let DiskOperation::Write(file, _, bytes) = operation
            && self.files.contains(&file.metadata().expect("a file").ino())
        {
            self.bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
    }
}

/// Nor is what is known to be durable written again when it is promoted.
#[test]
fn is_little_written_again_when_a_follower_is_promoted() {
    let (here, there) = (scratch(), scratch());
    let (leader, follower) = followed(here.path(), there.path());
    drop(leader);
    let inode = |number| fs::metadata(segment_path(there.path(), number)).expect("a file").ino();
    let files = used_segments(there.path()).into_iter().map(inode).collect();
    let again = Arc::new(Again { files, bytes: AtomicU64::new(0) });
    let observed = options().disk_observer(Arc::clone(&again) as _);
    let mut promoted = follower.promote(observed).expect("promoted");
    write(&mut promoted, 1);
    promoted.sync().expect("durable");
    let bytes = again.bytes.load(Ordering::SeqCst);
    assert!(bytes < 64 << 10, "{bytes} bytes");
}
