//! Is a full disk an error before the event is accepted, and does the log go on once there is
//! space?
//!
//! On a tmpfs of 32 MiB, and on ext4 and XFS in a file, each mounted in a mount namespace of the
//! test's own: the test runs itself again there. Needs root; says so and passes where it is not.
#![cfg(target_os = "linux")]

use factlog::{OpenError, Options, WriteWay};
use factlog_tests::mounted::{inside, mounted};
use factlog_tests::proof::full_disk::scenes::{copy_on_write, fill, torn_and_full};

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
