//! Is what a failed sync has lost as lost as under Linux?
//!
//! There a later sync succeeds, and the data is still not on the medium.

#![cfg(unix)]

mod common;

use common::{Place, letters_left, sectors};
use factlog_simdisk::{Random, SECTOR};

/// `xxx` on the medium, `yyy` in the cache, and a sync that failed.
fn failed() -> Place {
    let place = Place::with(&[("a", &sectors("xxx"))]);
    place.write("a", 0, &sectors("yyy"));
    place.disk.failed_sync(&place.file("a")).expect("failed");
    place
}

#[test]
fn does_a_later_sync_not_bring_it_back() {
    let place = failed();
    place.sync("a");
    let left = letters_left(&place, "a", 1_000);
    assert_eq!(left.len(), 8, "all three are in flight: {left:?}");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 1_000), left);
}

#[test]
fn does_a_sync_bring_it_without_a_failure() {
    let place = Place::with(&[("a", &sectors("xxx"))]);
    place.write("a", 0, &sectors("yyy"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), ["yyy"]);
}

#[test]
fn does_a_change_bring_its_sector() {
    let place = failed();
    place.write("a", SECTOR as u64, &sectors("z"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["xzx", "xzy", "yzx", "yzy"]);
}

#[test]
fn does_writing_it_again_bring_it() {
    let place = failed();
    let file = place.file("a");
    // It touches the last byte of the first sector, and the first of the second.
    place.disk.wrote(&file, SECTOR as u64 - 1, 2).expect("told");
    place.disk.wrote(&file, 2 * SECTOR as u64, 0).expect("told");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["yyx", "yyy"]);
    place.disk.wrote(&file, 2 * SECTOR as u64 + 511, u64::MAX).expect("told");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["yyy"]);
}

#[test]
fn does_a_write_back_not_bring_it() {
    let place = failed();
    place.write("a", 0, &sectors("z"));
    let mut random = Random::new(1);
    place.disk.write_back(&mut || random.draw(), 1.0).expect("written back");
    assert_eq!(letters_left(&place, "a", 300), ["zxx", "zxy", "zyx", "zyy"]);
}

#[test]
fn does_the_length_come_with_a_later_sync() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", SECTOR as u64, &sectors("y"));
    place.disk.failed_sync(&place.file("a")).expect("failed");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["x.", "xy"]);
}

#[test]
fn is_what_was_cut_off_not_lost_any_more() {
    let place = failed();
    place.file("a").set_len(SECTOR as u64).expect("cut");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["x", "y"]);
    place.write("a", SECTOR as u64, &sectors("yy"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["xyy", "yyy"]);
}

/// Lost zeros look like what lies beyond the end.
#[test]
fn are_zeros_that_were_cut_off_not_lost_any_more() {
    let place = Place::with(&[("a", &sectors("xx"))]);
    place.write("a", SECTOR as u64, &[0; SECTOR]);
    place.disk.failed_sync(&place.file("a")).expect("failed");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), ["x.", "xx"]);
    for sectors in [1, 2] {
        place.file("a").set_len(sectors * SECTOR as u64).expect("cut, and grown");
        place.sync("a");
    }
    assert_eq!(letters_left(&place, "a", 100), ["x."]);
}

#[test]
fn is_a_second_failure_like_the_first() {
    let place = failed();
    place.write("a", 0, &sectors("z"));
    place.disk.failed_sync(&place.file("a")).expect("failed");
    place.sync("a");
    assert!(letters_left(&place, "a", 300).contains(&"xxx".into()));
    // The other file of the twin has no failure.
    place.write("b", 0, &sectors("y"));
    place.sync("b");
    place.sync_names("");
    assert_eq!(letters_left(&place, "b", 100), ["y"]);
}
