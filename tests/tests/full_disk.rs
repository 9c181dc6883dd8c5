//! Is a full disk an error before the event is accepted, and does the log go on once there is
//! space?
//!
//! On a tmpfs of 32 MiB, and on ext4 and XFS in a file, each mounted in a mount namespace of the
//! test's own: the test runs itself again there. Needs root; says so and passes where it is not.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use factlog::{
    AppendError, Durability, EventType, Opaque, OpenError, Options, RecoveryOutcome, Sequence,
    Start, WriteWay,
};
use factlog_tests::mounted::{inside, mounted};
use factlog_tests::surgery::used_segments;

static FILL: EventType = EventType::opaque("fill", 1);

/// Appends until there is no space, makes space, and goes on; then everything is there.
fn fill(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || Options::new().segment_size(4 << 20).spare_segments(1);
    let mut writer = options().open(&directory).expect("room for a log");
    // Something else that takes space, to be given back.
    let other = point.join("other");
    fs::write(&other, vec![1; 9 << 20]).expect("room for a file");

    let mut appended = 0;
    let error = loop {
        match writer.append(&event) {
            Ok(sequence) => {
                appended += 1;
                assert_eq!(sequence.get(), appended);
            }
            Err(error) => break error,
        }
        assert!(appended < 10_000, "the disk never becomes full");
    };
    assert!(matches!(error, AppendError::NoSpace(_)), "{error:?}");
    assert!(appended > 100, "only {appended} events fitted");
    // One segment is left in reserve: the writer takes all but the last.
    let files = fs::read_dir(directory.join("seg")).expect("listed").filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".log")
    });
    assert_eq!(files.count(), used_segments(&directory).len() + 1, "no reserve");
    // Again, and the events so far are readable.
    assert!(matches!(writer.append(&event), Err(AppendError::NoSpace(_))));
    writer.sync().expect("what was accepted can be made durable");
    let mut cursor = writer.log().cursor(Start::Sequence(Sequence::new(appended))).expect("there");
    assert_eq!(cursor.next_event().expect("readable").expect("there").payload(), payload);

    fs::remove_file(&other).expect("removed");
    let sequence = writer.append(&event).expect("there is space again");
    assert_eq!(sequence.get(), appended + 1);
    writer.close().expect("closed");
    let log = Options::new().open_read_only(&directory).expect("opens");
    assert_eq!(log.visible().0.get(), appended + 1);
    println!("{appended} events until the disk was full");

    // A full disk at creation is an error as well.
    let mut fill = 0;
    while fs::write(point.join(format!("fill-{fill}")), vec![1; 1 << 20]).is_ok() {
        fill += 1;
    }
    let error = options().open(point.join("second")).expect_err("there is no space");
    assert!(matches!(error, OpenError::Io(_)), "{error}");
}

#[test]
fn does_a_full_tmpfs_give_an_error_and_the_log_go_on() {
    match mounted() {
        Some(point) => fill(&point),
        None => inside(
            "does_a_full_tmpfs_give_an_error_and_the_log_go_on",
            &["unshare"],
            "mount -t tmpfs -o size=32m none \"$MOUNT\"",
        ),
    }
}

#[test]
fn does_a_full_ext4_give_an_error_and_the_log_go_on() {
    match mounted() {
        Some(point) => fill(&point),
        None => inside(
            "does_a_full_ext4_give_an_error_and_the_log_go_on",
            &["unshare", "mkfs.ext4"],
            "truncate -s 48M \"$IMAGE\"; mkfs.ext4 -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"",
        ),
    }
}

#[test]
fn does_a_full_xfs_give_an_error_and_the_log_go_on() {
    match mounted() {
        Some(point) => fill(&point),
        None => inside(
            "does_a_full_xfs_give_an_error_and_the_log_go_on",
            &["unshare", "mkfs.xfs"],
            "truncate -s 320M \"$IMAGE\"; mkfs.xfs -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"; \
             head -c 200M /dev/zero > \"$MOUNT/ballast\"",
        ),
    }
}

#[test]
fn does_a_full_btrfs_give_an_error_and_nothing_is_lost() {
    match mounted() {
        Some(point) => {
            let mapped = Options::new().write_way(WriteWay::Mapped);
            let error = mapped.open(point.join("log")).expect_err("copies on write");
            assert!(matches!(error, OpenError::CopyOnWrite { .. }), "{error:?}");
            assert!(error.to_string().contains("btrfs"), "{error}");
            assert!(!point.join("log").exists(), "something was made");
            copy_on_write(&point);
        }
        None => inside(
            "does_a_full_btrfs_give_an_error_and_nothing_is_lost",
            &["unshare", "mkfs.btrfs"],
            "truncate -s 200M \"$IMAGE\"; mkfs.btrfs -q \"$IMAGE\"; \
             mount -o loop \"$IMAGE\" \"$MOUNT\"",
        ),
    }
}

/// Where each write allocates again, a write into prepared space may fail: then the writer stops for
/// good with an error, what was accepted is there, and with space it goes on when opened anew.
fn copy_on_write(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options.durability(Durability::Always)
    };
    let mut writer = options().open(&directory).expect("opens");
    let mut other = 0;
    // Random bytes: the file system may compress.
    while other < 150 {
        let mut random = fs::File::open("/dev/urandom").expect("there");
        let mut bytes = vec![0; 1 << 20];
        random.read_exact(&mut bytes).expect("read");
        if fs::write(point.join(format!("other-{other}")), bytes).is_err() {
            break;
        }
        other += 1;
    }
    let mut appended = 0;
    let error = loop {
        match writer.append(&event) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
        assert!(appended < 10_000, "the disk never becomes full");
    };
    println!("{appended} events until the disk was full: {error}");
    let expected = matches!(
        error,
        AppendError::NoSpace(_)
            | AppendError::Poisoned(_)
            | AppendError::NotDurable(_)
            | AppendError::Prepare(_)
    );
    assert!(expected, "{error:?}");
    let log = writer.log();
    let visible = log.visible().0.get();
    assert!(visible >= appended, "{visible} of {appended}");
    let mut cursor = log.cursor(Start::Oldest).expect("there");
    let mut read = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        assert_eq!(event.payload(), payload);
        read += 1;
    }
    assert!(read >= appended, "{read} of {appended}");
    drop((cursor, log, writer));

    for number in 0..other {
        fs::remove_file(point.join(format!("other-{number}"))).expect("removed");
    }
    let mut writer = options().open(&directory).expect("opens again");
    assert!(writer.next_sequence().get() > appended, "what was acknowledged is there");
    writer.append(&event).expect("there is space again");
    writer.close().expect("closed");
}

/// A torn tail with a later segment behind it is ended although no block is free: with the reserve.
#[test]
fn is_a_torn_tail_ended_on_a_full_disk() {
    match mounted() {
        Some(point) => torn_and_full(&point),
        None => inside(
            "is_a_torn_tail_ended_on_a_full_disk",
            &["unshare"],
            "mount -t tmpfs -o size=48m none \"$MOUNT\"",
        ),
    }
}

fn torn_and_full(point: &Path) {
    let directory = point.join("log");
    let payload = [7_u8; 60_000];
    let event = Opaque::new(&FILL, &payload);
    let options = || {
        let options = Options::new().segment_size(4 << 20).spare_segments(1);
        options.durability(Durability::None).prefault(0)
    };
    let mut writer = options().open(&directory).expect("room for a log");
    for _ in 0..100 {
        writer.append(&event).expect("appended");
    }
    drop(writer);
    // In the first of two segments a frame is torn that nobody was told was durable.
    let first = directory.join("seg/0000000001.log");
    let file = fs::OpenOptions::new().write(true).open(first).expect("there");
    file.write_all_at(&[0x55; 512], 2 << 20).expect("written");
    let mut fill = 0;
    while fs::write(point.join(format!("fill-{fill}")), vec![1; 64 << 10]).is_ok() {
        fill += 1;
    }
    let writer = options().open(&directory).expect("the reserve is there");
    let report = writer.recovery().clone();
    assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
    assert_eq!(report.quarantined.len(), 1, "{report}");
    let kept = writer.next_sequence().get() - 1;
    println!("{kept} events until the torn one");
    assert!((30..40).contains(&kept));
    drop(writer);
    let again = options().open(&directory).expect("opens again, still full");
    assert_eq!(again.next_sequence().get() - 1, kept);
}
