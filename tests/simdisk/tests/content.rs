//! What is left of the bytes and lengths of files?
//!
//! Method: files of sectors with one letter each, so that an image can be read as a word. Each rule
//! has a twin beside it, in which it must not hold.

#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{Place, letters, letters_left, sectors};
use factlog_simdisk::{Counts, Medium, Random, SECTOR};

#[test]
fn can_data_that_was_never_synced_vanish() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", 0, &sectors("y"));
    assert_eq!(letters_left(&place, "a", 100), ["x", "y"]);
}

#[test]
fn does_synced_data_never_vanish() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", 0, &sectors("yz"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), ["yz"]);
    // Only what came after is in flight.
    place.write("a", SECTOR as u64, &sectors("w"));
    assert_eq!(letters_left(&place, "a", 100), ["yw", "yz"]);
}

#[test]
fn does_a_sync_reach_only_its_file() {
    let place = Place::with(&[("a", &sectors("x")), ("b", &sectors("x"))]);
    place.write("a", 0, &sectors("y"));
    place.write("b", 0, &sectors("y"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), ["y"]);
    assert_eq!(letters_left(&place, "b", 100), ["x", "y"]);
}

#[test]
fn does_each_combination_of_dirty_sectors_appear() {
    let place = Place::with(&[("a", &sectors(&"x".repeat(80)))]);
    for sector in [0, 5, 79] {
        place.write("a", sector * SECTOR as u64, &sectors("y"));
    }
    let mut seen = BTreeSet::new();
    for image in place.images(1_000) {
        let word = letters(&image.read("a").expect("there"));
        let quiet = word.match_indices('y').all(|(at, _)| [0, 5, 79].contains(&at));
        assert!(quiet && word.len() == 80, "{word}");
        seen.insert([0, 5, 79].map(|at| word.as_bytes()[at]));
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn is_a_grown_length_drawn_on_its_own() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", SECTOR as u64, &sectors("y"));
    assert_eq!(letters_left(&place, "a", 300), ["x", "x.", "xy"]);
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 300), ["xy"]);
}

#[test]
fn is_a_cut_length_drawn_on_its_own() {
    let place = Place::with(&[("a", &sectors("xy"))]);
    place.file("a").set_len(SECTOR as u64).expect("cut");
    assert_eq!(letters_left(&place, "a", 300), ["x", "x.", "xy"]);
    place.sync("a");
    place.file("a").set_len(2 * SECTOR as u64).expect("grown");
    assert_eq!(letters_left(&place, "a", 300), ["x", "x."], "what was cut does not come back");
}

/// Whole pages, and not only sectors of one.
#[test]
fn are_pages_beyond_the_length_gone() {
    let long = "x".repeat(24);
    let place = Place::with(&[("a", &sectors(&long))]);
    place.file("a").set_len(SECTOR as u64).expect("cut");
    let target = tempfile::tempdir().expect("a directory");
    for (number, image) in place.images(100).enumerate() {
        let bytes = image.read("a").expect("there");
        let directory = target.path().join(number.to_string());
        image.write_to(&directory).expect("written");
        assert_eq!(fs::read(directory.join("a")).expect("there"), bytes);
        let counts = image.counts();
        assert_eq!((counts.sectors.in_flight, counts.lengths.in_flight), (23, 1));
        // With the new length nothing of them matters.
        assert_eq!(bytes.len(), [24, 1][counts.lengths.new as usize] * SECTOR);
        assert_eq!(counts.sectors.hidden, 23 * counts.lengths.new);
    }
    place.sync("a");
    place.file("a").set_len(24 * SECTOR as u64).expect("grown");
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), [format!("x{}", ".".repeat(23))]);
}

/// Data that reached the medium before the length did is seen when the length comes.
#[test]
fn is_data_kept_that_came_before_its_length() {
    let (mut before, mut together) = (0, 0);
    for seed in 0..100 {
        let place = Place::with(&[("a", &sectors("x"))]);
        place.write("a", 20 * SECTOR as u64, &sectors("y"));
        let mut random = Random::new(seed);
        place.disk.write_back(&mut || random.draw(), 0.5).expect("written back");
        let counts = place.crash(Medium::PowerSafe, seed).counts();
        match (counts.sectors.in_flight, counts.lengths.in_flight) {
            (0, 0) => together += 1,
            (0, 1) => {
                let whole = format!("x{}y", ".".repeat(19));
                assert_eq!(letters_left(&place, "a", 100), ["x", &whole]);
                before += 1;
            }
            _ => {}
        }
    }
    assert!(before > 10 && together > 10, "{before}, {together} of 100");
}

#[test]
fn is_an_odd_length_kept() {
    let place = Place::with(&[("a", b"abc")]);
    place.write("a", 3, b"defg");
    let left = place.left("a", 300);
    let expected: [&[u8]; 4] = [b"abc", b"abc\0\0\0\0", b"abcdefg", b""];
    assert!(left.iter().all(|left| expected.contains(&left.as_deref().expect("there"))));
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn does_a_weak_medium_touch_only_what_is_in_flight() {
    let place = Place::with(&[("a", &sectors("uvwx")), ("b", &sectors("x"))]);
    place.write("a", SECTOR as u64, &sectors("y"));
    let (mut odd, mut counts) = (0, Counts::default());
    for seed in 0..500 {
        let image = place.crash(Medium::Weak, seed);
        let bytes = image.read("a").expect("there");
        let word = letters(&bytes);
        assert!(word.starts_with('u') && word.ends_with("wx") && bytes.len() == 4 * SECTOR);
        assert_eq!(letters(&image.read("b").expect("there")), "x");
        let garbage = !["uvwx", "uywx"].contains(&word.as_str());
        assert_eq!(image.counts().sectors.garbage, u64::from(garbage), "{word}");
        odd += u64::from(garbage);
        counts += image.counts();
    }
    println!("{counts}");
    assert!(odd > 100 && counts.sectors.old > 50 && counts.sectors.new > 50, "{counts}");
    // The twin: what was synced is no longer in flight.
    place.sync("a");
    assert!((0..500).all(|seed| {
        letters(&place.crash(Medium::Weak, seed).read("a").expect("there")) == "uywx"
    }));
}

#[test]
fn does_a_safe_medium_leave_no_garbage() {
    let place = Place::with(&[("a", &sectors("uvwx"))]);
    place.write("a", 0, &sectors("abcd"));
    for image in place.images(500) {
        assert!(!letters(&image.read("a").expect("there")).contains(['?', '.']));
        assert_eq!(image.counts().sectors.garbage, 0);
    }
}

#[test]
fn does_a_write_back_leave_a_version_between() {
    let left = |share: f64| {
        let place = Place::with(&[("a", &sectors("x"))]);
        place.write("a", 0, &sectors("y"));
        let mut random = Random::new(1);
        place.disk.write_back(&mut || random.draw(), share).expect("written back");
        place.write("a", 0, &sectors("z"));
        letters_left(&place, "a", 100)
    };
    assert_eq!(left(1.0), ["y", "z"]);
    assert_eq!(left(0.0), ["x", "z"]);
}

#[test]
fn does_a_write_back_write_some() {
    let place = Place::with(&[("a", &sectors(&"x".repeat(1_000)))]);
    place.write("a", 0, &sectors(&"y".repeat(1_000)));
    let mut random = Random::new(1);
    place.disk.write_back(&mut || random.draw(), 0.25).expect("written back");
    let left = place.crash(Medium::PowerSafe, 1).counts().sectors.in_flight;
    assert!((700..800).contains(&left), "{left} of 1,000 are left, of about 750");
}

#[test]
fn does_a_length_come_with_a_write_back() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", SECTOR as u64, &sectors("y"));
    let mut random = Random::new(1);
    place.disk.write_back(&mut || random.draw(), 1.0).expect("written back");
    assert_eq!(letters_left(&place, "a", 100), ["xy"]);
}

#[test]
fn are_sparse_files_sparse_in_images() {
    const LENGTH: u64 = 64 << 20;
    let place = Place::with(&[("a", b"")]);
    place.file("a").set_len(LENGTH).expect("grown");
    place.write("a", 40 << 20, &sectors("y"));
    place.sync("a");
    place.write("a", LENGTH - SECTOR as u64, &sectors("z"));
    let target = tempfile::tempdir().expect("a directory");
    let mut written = 0;
    for (number, image) in place.images(20).enumerate() {
        assert_eq!(image.length("a"), Some(LENGTH));
        assert_eq!(image.counts().sectors.in_flight, 1);
        let directory = target.path().join(number.to_string());
        image.write_to(&directory).expect("written");
        let metadata = fs::metadata(directory.join("a")).expect("there");
        assert_eq!(metadata.len(), LENGTH);
        written += metadata.blocks() * 512;
    }
    assert!(written <= 20 * 4 * 4096, "{written} bytes for 20 times two pages");
}
