//! What is left of names, and of files that were renamed or removed?

#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{Place, letters, letters_left, sectors};
use factlog_simdisk::{CrashImage, Random};

/// The files of an image in one word, with their letters.
fn word(image: &CrashImage) -> String {
    let mut files: Vec<_> = image.files().collect();
    files.sort_unstable();
    let words = files
        .iter()
        .map(|path| format!("{}={}", path.display(), letters(&image.read(path).expect("there"))));
    words.collect::<Vec<_>>().join(" ")
}

fn words(place: &Place, count: u64) -> Vec<String> {
    let words: BTreeSet<_> = place.images(count).map(|image| word(&image)).collect();
    words.into_iter().collect()
}

#[test]
fn can_a_name_that_was_not_synced_vanish() {
    let place = Place::with(&[]);
    place.write("a", 0, &sectors("x"));
    place.sync("a");
    assert_eq!(letters_left(&place, "a", 100), ["-", "x"]);
    place.sync_names("");
    assert_eq!(letters_left(&place, "a", 100), ["x"]);
}

#[test]
fn can_a_name_come_without_its_data() {
    let place = Place::with(&[]);
    place.write("a", 0, &sectors("xy"));
    place.sync_names("");
    let left = letters_left(&place, "a", 1_000);
    assert_eq!(left, ["", "..", ".y", "x.", "xy"], "all of it, nothing, or any mix");
}

#[test]
fn does_a_rename_lose_nothing() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.rename("a", "b");
    assert_eq!(words(&place, 300), ["a=x", "a=x b=x", "b=x"]);
    place.sync_names("");
    assert_eq!(words(&place, 300), ["b=x"]);
}

/// The twin: what has no name in one of the two may be lost.
#[test]
fn can_a_file_be_lost_that_was_made_and_renamed() {
    let place = Place::with(&[]);
    place.write("a", 0, &sectors("x"));
    place.sync("a");
    place.rename("a", "b");
    assert_eq!(words(&place, 300), ["", "b=x"]);
}

#[test]
fn is_what_was_replaced_either_of_two() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("b", 0, &sectors("y"));
    place.sync("b");
    place.rename("b", "a");
    assert_eq!(words(&place, 300), ["a=x", "a=y"]);
    place.sync_names("");
    assert_eq!(words(&place, 300), ["a=y"]);
}

/// The twin: with one sync left out there is an empty file, or one of zeros.
#[test]
fn is_a_replacement_without_data_found() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("b", 0, &sectors("y"));
    place.rename("b", "a");
    assert_eq!(words(&place, 300), ["a=", "a=.", "a=x", "a=y"]);
}

#[test]
fn does_a_sync_follow_a_renamed_file() {
    let place = Place::with(&[("a", &sectors("x"))]);
    let file = place.file("a");
    place.write("a", 0, &sectors("y"));
    place.rename("a", "b");
    place.disk.sync_file(&file).expect("synced");
    assert_eq!(words(&place, 300), ["a=y", "a=y b=y", "b=y"]);
}

#[test]
fn can_a_removed_file_still_be_there() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.remove("a");
    assert_eq!(words(&place, 100), ["", "a=x"]);
    place.sync_names("");
    assert_eq!(words(&place, 100), [""]);
}

/// The system gives the number of a removed file to the next one, if nobody has it open.
#[test]
fn are_files_told_apart_that_come_after_each_other() {
    let place = Place::with(&[("a", &sectors("x"))]);
    for _ in 0..20 {
        place.remove("a");
        place.write("a", 0, &sectors("y"));
        place.sync("a");
        assert_eq!(words(&place, 50), ["a=x", "a=y"]);
    }
    // A file that nothing was known of is not taken for the one before it.
    let mut numbers = BTreeSet::new();
    for _ in 0..20 {
        place.write("b", 0, &sectors("z"));
        numbers.insert(place.file("b").metadata().expect("there").ino());
        place.remove("b");
    }
    println!("20 files had {} numbers", numbers.len());
    place.write("b", 0, &sectors("w"));
    assert!(words(&place, 200).iter().all(|word| !word.contains('z')));
}

#[test]
fn is_one_file_with_two_names_one_file() {
    let place = Place::with(&[("a", &sectors("x"))]);
    fs::hard_link(place.path("a"), place.path("b")).expect("linked");
    place.sync_names("");
    place.write("b", 0, &sectors("y"));
    assert_eq!(words(&place, 100), ["a=x b=x", "a=y b=y"]);
    let target = tempfile::tempdir().expect("a directory");
    place.images(1).for_each(|image| image.write_to(target.path()).expect("written"));
    let number = |name: &str| fs::metadata(target.path().join(name)).expect("there").ino();
    assert_eq!(number("a"), number("b"));
}

#[test]
fn does_a_file_need_all_names_on_its_way() {
    let place = Place::with(&[]);
    fs::create_dir(place.path("d")).expect("made");
    place.write("d/a", 0, &sectors("x"));
    place.sync("d/a");
    place.sync_names("d");
    let directories: BTreeSet<usize> =
        place.images(100).map(|image| image.directories().count()).collect();
    assert_eq!(directories, BTreeSet::from([0, 1]));
    assert_eq!(words(&place, 100), ["", "d/a=x"]);
    place.sync_names("");
    assert_eq!(words(&place, 100), ["d/a=x"]);
    // The twin: only the way there.
    place.write("d/b", 0, &sectors("y"));
    place.sync_names("");
    assert!(words(&place, 200).contains(&"d/a=x".into()), "a sync is for one directory");
}

#[test]
fn does_a_move_to_another_directory_lose_nothing() {
    for synced in [None, Some("d"), Some("e"), Some("")] {
        let place = Place::with(&[("d/a", &sectors("x")), ("e/b", &sectors("y"))]);
        place.rename("d/a", "e/b");
        if let Some(synced) = synced {
            place.sync_names(synced);
        }
        for image in place.images(200) {
            let word = word(&image);
            assert!(word.contains("=x"), "{word} after a sync of {synced:?}");
            assert!(!word.contains("d/a") || synced != Some("d"), "{word}");
            assert!(word.contains("e/b=x") || synced.is_none_or(str::is_empty), "{word}");
        }
    }
}

#[test]
fn does_a_moved_directory_keep_what_is_in_it() {
    let place = Place::with(&[("d/e/a", &sectors("x")), ("f/", b"")]);
    place.rename("d/e", "f/e");
    place.rename("d", "f/e/d");
    fs::create_dir(place.path("d")).expect("made");
    // A directory never has two names in an image, or there might be a circle.
    assert_eq!(words(&place, 500), ["d/e/a=x", "f/e/a=x"]);
    let directories = |image: CrashImage| {
        let paths: Vec<_> = image.directories().map(|path| path.display().to_string()).collect();
        paths.join(" ")
    };
    let all: BTreeSet<_> = place.images(500).map(directories).collect();
    assert!(all.contains("d f d/e") && all.contains("d f f/e f/e/d"), "{all:?}");
}

#[test]
fn do_names_come_with_a_write_back() {
    let left = |share: f64| {
        let place = Place::with(&[("a", &sectors("x"))]);
        place.rename("a", "b");
        place.write("c", 0, &sectors("y"));
        let mut random = Random::new(3);
        place.disk.write_back(&mut || random.draw(), share).expect("written back");
        words(&place, 300)
    };
    assert_eq!(left(1.0), ["b=x c=y"]);
    assert!(left(0.0).len() > 5, "all are in flight still");
}

#[test]
fn is_what_is_not_under_the_root_passed_over() {
    let place = Place::with(&[("a", &sectors("x"))]);
    let other = Place::with(&[("a", &sectors("x"))]);
    place.write("a", 0, &sectors("y"));
    place.disk.sync_file(&other.file("a")).expect("passed over");
    place.disk.failed_sync(&other.file("a")).expect("passed over");
    place.disk.wrote(&other.file("a"), 0, 1).expect("passed over");
    place.disk.sync_directory(&other.path("")).expect("passed over");
    std::os::unix::fs::symlink(other.path("a"), place.path("link")).expect("linked");
    place.sync_names("");
    assert_eq!(words(&place, 100), ["a=x", "a=y"]);
}
