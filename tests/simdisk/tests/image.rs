//! Are images what they say, independent, reproducible and not flattering?

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use common::{Place, sectors};
use factlog_simdisk::{Counts, CrashImage, Medium, Random, SimDisk};

fn all(image: &CrashImage) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let files = image.files().chain(image.directories());
    files.map(|path| (path.to_path_buf(), image.read(path))).collect()
}

/// Four files in three directories, with something of each kind in flight.
fn busy() -> Place {
    let many = sectors(&"x".repeat(600));
    let place = Place::with(&[("a", &many), ("d/b", &many), ("d/e/c", b"abc"), ("f", b"")]);
    place.write("a", 100_000, &sectors(&"y".repeat(300)));
    place.write("d/b", 0, b"odd");
    place.write("d/b", 400_000, &sectors("z"));
    place.write("new", 5_000, b"new");
    place.sync("new");
    place.rename("d/e/c", "d/c");
    place.remove("f");
    place
}

#[test]
fn is_an_image_the_same_for_the_same_seed() {
    let (one, other) = (busy(), busy());
    for medium in [Medium::PowerSafe, Medium::Weak] {
        for seed in 0..100 {
            let image = one.crash(medium, seed);
            let again = other.crash(medium, seed);
            assert_eq!(all(&image), all(&again));
            assert_eq!(image.counts(), again.counts());
        }
    }
    assert!(
        (1..20).any(|seed| all(&one.crash(Medium::Weak, seed)) != all(&one.crash(Medium::Weak, 0)))
    );
}

#[test]
fn is_an_image_written_as_it_is_read() {
    let place = busy();
    let target = tempfile::tempdir().expect("a directory");
    for seed in 0..50 {
        let image = place.crash(Medium::Weak, seed);
        let directory = target.path().join(seed.to_string()).join("deeper");
        image.write_to(&directory).expect("written");
        for path in image.files() {
            let bytes = fs::read(directory.join(path)).expect("there");
            assert_eq!(image.length(path), Some(bytes.len() as u64));
            assert_eq!(image.read(path), Some(bytes));
        }
        assert!(image.directories().all(|path| directory.join(path).is_dir()));
        // A disk over it finds what there is, and no more.
        let disk = SimDisk::new(&directory).expect("a disk");
        let quiet = disk.crash(Medium::Weak, &mut || 7).expect("an image");
        assert_eq!(all(&quiet), all(&image));
        assert_eq!(quiet.counts().sectors.in_flight + quiet.counts().names.in_flight, 0);
    }
}

#[test]
fn is_nothing_overwritten() {
    let place = Place::with(&[("a", b"a"), ("d/b", b"b")]);
    let image = place.crash(Medium::PowerSafe, 1);
    for name in ["a", "d"] {
        let target = tempfile::tempdir().expect("a directory");
        fs::write(target.path().join(name), "mine").expect("written");
        let error = image.write_to(target.path()).expect_err("there is one");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(target.path().join(name)).expect("there"), b"mine");
    }
}

#[test]
fn does_an_image_outlive_its_disk() {
    let place = Place::with(&[("a", &sectors("x"))]);
    place.write("a", 0, &sectors("y"));
    let before: Vec<_> = place.images(20).collect();
    let read = before.iter().map(all).collect::<Vec<_>>();
    place.sync("a");
    place.write("a", 0, &sectors("z"));
    drop(place);
    assert_eq!(before.iter().map(all).collect::<Vec<_>>(), read);
}

#[test]
fn do_counts_add_up() {
    let place = busy();
    let mut counts = Counts::default();
    for seed in 0..500 {
        counts += place.crash(Medium::Weak, seed).counts();
    }
    println!("{counts}");
    assert_eq!(counts.images, 500);
    for tally in [counts.sectors, counts.lengths, counts.names] {
        assert_eq!(tally.in_flight, tally.old + tally.new + tally.garbage + tally.hidden);
        assert!(tally.old > 100 && tally.new > 100, "{counts}");
    }
    // The two names of `c`, the new file and the removed one; the sectors of `a` and `b`.
    assert_eq!(counts.names.in_flight, 4 * 500);
    assert_eq!(counts.sectors.in_flight, (301 + 3) * 500);
    assert!(counts.sectors.garbage > 1_000);
}

#[test]
fn is_all_hidden_of_a_file_that_is_not_there() {
    let place = Place::with(&[]);
    place.write("a", 0, &sectors("yy"));
    for image in place.images(100) {
        let there = image.files().count() as u64;
        let (sectors, lengths) = (image.counts().sectors, image.counts().lengths);
        assert_eq!((sectors.in_flight, lengths.in_flight), (2, 1));
        // Also of one that is there, but without its length.
        assert_eq!(lengths.hidden, 1 - there);
        assert_eq!(sectors.hidden, 2 * (1 - lengths.new));
    }
}

/// With even chances none of these would ever be seen.
#[test]
fn are_there_extremes_among_the_images() {
    let place =
        Place::with(&[("a", &sectors(&"x".repeat(100))), ("b", &sectors(&"x".repeat(100)))]);
    place.write("a", 0, &sectors(&"y".repeat(100)));
    place.write("b", 0, &sectors(&"y".repeat(100)));
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for image in place.images(1_000) {
        let new = image.counts().sectors.new;
        let share = |name| {
            let bytes = image.read(name).expect("there");
            bytes.chunks(512).filter(|sector| sector[0] == b'y').count()
        };
        let (a, b) = (share("a"), share("b"));
        let first =
            image.read("a").expect("there").chunks(512).take_while(|s| s[0] == b'y').count();
        assert_eq!(new, (a + b) as u64);
        let kind = match (new, a, b) {
            (0, ..) => "all old",
            (200, ..) => "all new",
            (1, ..) => "one new",
            (199, ..) => "one old",
            (_, 100, 0) | (_, 0, 100) => "one file new",
            (_, a, 0) if a == first => "the first new",
            (..30, ..) => "mostly old",
            (171.., ..) => "mostly new",
            _ => "mixed",
        };
        *seen.entry(kind).or_default() += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 9);
    assert!(seen.values().all(|count| *count >= 5), "{seen:?}");
}

/// One thread writes, syncs and renames; another one draws images all the time.
#[test]
fn can_a_disk_be_shared_between_threads() {
    let place = Place::with(&[("a", &[0; 512])]);
    let acknowledged = AtomicU8::new(0);
    let mut random = Random::new(1);
    let mut images = 0;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=200 {
                place.write("a", 0, &[number; 512]);
                place.sync("a");
                acknowledged.store(number, Ordering::SeqCst);
                place.rename("a", "b");
                place.rename("b", "a");
            }
        });
        while !writer.is_finished() {
            let least = acknowledged.load(Ordering::SeqCst);
            let image = place.disk.crash(Medium::PowerSafe, &mut || random.draw());
            let image = image.expect("an image");
            let name = image.files().next().expect("one name at least").to_path_buf();
            let found = image.read(name).expect("there")[0];
            assert!(found >= least, "{found} was left of {least}");
            images += 1;
        }
    });
    assert!(images > 10, "{images} images");
}
