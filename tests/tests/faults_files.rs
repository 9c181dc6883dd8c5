//! What is made of files that are named like a segment, and are none of ours: a socket, a second
//! name of another segment, a file of 1 TiB?
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::Path;

use factlog::{EventType, Opaque, OpenError, RecoveryOutcome};
use factlog_tests::surgery::{segment_path, used_segments};
use factlog_tests::{read_all, scratch, small};

static NOTE: EventType = EventType::opaque("note", 1);
const TIB: u64 = 1 << 40;

/// A log of some segments; how many events.
fn log(directory: &Path) -> u64 {
    let mut writer = small().open(directory).expect("opens");
    let mut count = 0;
    while writer.log().stats().rollovers < 3 {
        writer.append(&Opaque::new(&NOTE, &[3; 100_000])).expect("appended");
        count += 1;
    }
    writer.append(&Opaque::new(&NOTE, b"the last")).expect("appended");
    drop(writer);
    count + 1
}

fn count(directory: &Path) -> u64 {
    let log = small().open_read_only(directory).expect("opens");
    read_all(&log).len() as u64
}

#[test]
fn is_a_socket_named_like_a_segment_refused() {
    let directory = scratch();
    let events = log(directory.path());
    let (path, aside) = (segment_path(directory.path(), 2), directory.path().join("aside"));
    for number in [2, 99] {
        let path = segment_path(directory.path(), number);
        if number == 2 {
            fs::rename(&path, &aside).expect("renamed");
        }
        let socket = UnixListener::bind(&path).expect("a socket");
        for error in [
            small().open(directory.path()).map(drop).expect_err("refused"),
            small().open_read_only(directory.path()).map(drop).expect_err("refused"),
        ] {
            assert!(matches!(error, OpenError::Io(_)), "segment {number}: {error}");
        }
        drop(socket);
        fs::remove_file(&path).expect("removed");
        if number == 2 {
            fs::rename(&aside, &path).expect("put back");
        }
    }
    assert!(path.exists());
    assert_eq!(count(directory.path()), events);
}

#[test]
fn is_a_second_name_of_a_segment_no_other_segment() {
    let directory = scratch();
    let events = log(directory.path());
    // Another name beyond the end, and one in the place of another segment.
    let (first, second) = (segment_path(directory.path(), 1), segment_path(directory.path(), 2));
    let beyond = segment_path(directory.path(), 99);
    fs::hard_link(&first, &beyond).expect("linked");
    let refused = small().open(directory.path()).map(drop).expect_err("refused");
    assert!(matches!(refused, OpenError::Foreign(_)), "{refused}");
    fs::remove_file(&beyond).expect("removed");

    let aside = directory.path().join("aside");
    fs::rename(&second, &aside).expect("renamed");
    fs::hard_link(&first, &second).expect("linked");
    let refused = small().open(directory.path()).map(drop).expect_err("refused");
    assert!(matches!(refused, OpenError::Foreign(_)), "{refused}");
    fs::remove_file(&second).expect("removed");
    fs::rename(&aside, &second).expect("put back");

    // A second name somewhere else is nobody's business.
    fs::hard_link(&first, &aside).expect("linked");
    drop(small().open(directory.path()).expect("opens"));
    assert_eq!(count(directory.path()), events);
}

#[test]
fn is_a_file_of_a_tebibyte_read_no_further_than_a_segment() {
    let directory = scratch();
    let events = log(directory.path());
    for number in used_segments(directory.path()) {
        let path = segment_path(directory.path(), number);
        let file = File::options().write(true).open(&path).expect("opens");
        let size = file.metadata().expect("its length").len();
        if file.set_len(TIB).is_err() {
            println!("skipped: this file system has no files of 1 TiB");
            return;
        }
        let log = small().open_read_only(directory.path()).expect("opens");
        assert_ne!(log.recovery().outcome, RecoveryOutcome::Damaged, "{}", log.recovery());
        assert_eq!(read_all(&log).len() as u64, events, "segment {number}");
        let verified = small().verify(directory.path()).expect("looked at");
        assert_ne!(verified.outcome, RecoveryOutcome::Damaged, "{verified}");
        file.set_len(size).expect("cut");
    }
    // Nothing but holes, where a segment could be.
    let path = segment_path(directory.path(), 99);
    File::create(&path).and_then(|file| file.set_len(TIB)).expect("made");
    let refused = small().open(directory.path()).map(drop).expect_err("refused");
    assert!(matches!(refused, OpenError::Damaged(_)), "{refused}");
    assert_eq!(File::open(&path).and_then(|file| file.metadata()).expect("there").len(), TIB);
    fs::remove_file(&path).expect("removed");
    assert_eq!(count(directory.path()), events);
}
