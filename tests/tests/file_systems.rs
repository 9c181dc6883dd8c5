//! Does a log live on every file system that it says it does?
//!
//! On ext4, XFS, btrfs, tmpfs and FUSE, in the ways of writing that each takes: appended to over a
//! rollover, synced, read while it is written, opened again. Needs root; says so and passes where it
//! is not.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use factlog::{
    DiskObserver, DiskOperation, Durability, EventType, FileSystem, Opaque, OpenError, Options,
    Start, WriteWay,
};
use factlog_tests::mounted::{inside, mounted};
use factlog_tests::read_all;
use factlog_tests::surgery::{SegmentFile, wait_for_segments};

static BLOCK: EventType = EventType::opaque("block", 1);

/// A whole life in this way of writing.
fn live(point: &Path, way: WriteWay, durability: Durability) {
    let directory = point.join(format!("{way:?}-{durability:?}"));
    let options = || {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options.write_way(way).durability(durability)
    };
    let mut appended = 0;
    for _ in 0..3 {
        let mut writer = options().open(&directory).expect("opens");
        let log = writer.log();
        let mut cursor = log.cursor(Start::End).expect("a cursor");
        for number in 0..60_u8 {
            writer.append(&Opaque::new(&BLOCK, &vec![number; 50_000])).expect("appended");
            appended += 1;
            // Seen at once, in place.
            let event = cursor.next_event().expect("readable").expect("there");
            assert!(event.payload().iter().all(|byte| *byte == number));
        }
        writer.sync().expect("synced");
        assert_eq!(read_all(&log).len(), appended);
        drop(cursor);
        if appended > 60 { writer.close().expect("closed") } else { drop(writer) }
    }
    let log = options().open_read_only(&directory).expect("opens");
    assert_eq!(read_all(&log).len(), appended);
    println!("{way:?}, {durability:?}: {appended} events");
}

/// Counts the bytes that are written with system calls.
#[derive(Default)]
struct Counted(AtomicU64);

impl DiskObserver for Counted {
    fn after(&self, operation: &DiskOperation<'_>) {
        if let DiskOperation::Write(_, _, bytes) = operation {
            self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

/// How many whole segments are written before any is used; and the way of the first one.
fn prepared(point: &Path, options: Options) -> (u64, WriteWay) {
    let directory = point.join("prepared");
    let written = Arc::new(Counted::default());
    let options = options.segment_size(4 << 20).spare_segments(1).disk_observer(written.clone());
    let writer = options.open(&directory).expect("opens");
    wait_for_segments(&directory, 2);
    let way = SegmentFile::read(&directory, 1).way();
    drop(writer);
    fs::remove_dir_all(&directory).expect("removed");
    (written.0.load(Ordering::Relaxed) >> 22, way)
}

/// In both ways, or in the staged one only, where the other is refused with a reason.
fn both(point: &Path, refused: Option<FileSystem>) {
    live(point, WriteWay::Staged, Durability::Group);
    live(point, WriteWay::Staged, Durability::None);
    match refused {
        None => {
            live(point, WriteWay::Mapped, Durability::default());
            live(point, WriteWay::Mapped, Durability::Always);
        }
        Some(expected) => {
            // Unless asked for otherwise. To write segments first would be in vain.
            assert_eq!(prepared(point, Options::new()), (0, WriteWay::Staged));
            let mapped = Options::new().write_way(WriteWay::Mapped);
            let error = mapped.open(point.join("refused")).expect_err("it is refused");
            let OpenError::CopyOnWrite { file_system, .. } = error else { panic!("{error}") };
            assert_eq!(file_system, expected);
        }
    }
}

#[test]
fn does_it_live_on_tmpfs() {
    match mounted() {
        Some(point) => both(&point, None),
        None => {
            let mount = "mount -t tmpfs -o size=300m none \"$MOUNT\"";
            inside("does_it_live_on_tmpfs", &["unshare"], mount);
        }
    }
}

#[test]
fn does_it_live_on_ext4() {
    match mounted() {
        Some(point) => {
            both(&point, None);
            // The one in use, the next one and the reserve.
            let group = Options::new().durability(Durability::Group);
            assert_eq!(prepared(&point, group), (3, WriteWay::Staged));
            assert_eq!(prepared(&point, Options::new()), (0, WriteWay::Mapped));
        }
        None => inside(
            "does_it_live_on_ext4",
            &["unshare", "mkfs.ext4"],
            "truncate -s 300M \"$IMAGE\"; mkfs.ext4 -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"",
        ),
    }
}

#[test]
fn does_it_live_on_xfs() {
    match mounted() {
        Some(point) => both(&point, None),
        None => inside(
            "does_it_live_on_xfs",
            &["unshare", "mkfs.xfs"],
            "truncate -s 400M \"$IMAGE\"; mkfs.xfs -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"",
        ),
    }
}

#[test]
fn does_it_live_on_btrfs() {
    match mounted() {
        Some(point) => both(&point, Some(FileSystem::Btrfs)),
        None => inside(
            "does_it_live_on_btrfs",
            &["unshare", "mkfs.btrfs"],
            "truncate -s 400M \"$IMAGE\"; mkfs.btrfs -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"",
        ),
    }
}

#[test]
fn does_it_live_on_fuse() {
    match mounted() {
        Some(point) => both(&point, Some(FileSystem::Fuse)),
        None => inside(
            "does_it_live_on_fuse",
            &["unshare", "mkfs.ext4", "fuse2fs"],
            "truncate -s 300M \"$IMAGE\"; mkfs.ext4 -q \"$IMAGE\"; \
             fuse2fs -o fakeroot \"$IMAGE\" \"$MOUNT\" >/dev/null 2>&1 || { echo mount: no fuse >&2; exit 32; }",
        ),
    }
}
