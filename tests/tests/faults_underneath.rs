//! What if files of a log that is open for writing are cut, removed, renamed, linked or replaced by
//! somebody else?
//!
//! Method: it is done to the segment in use, to LOCK, and to the whole directory. Whoever is told
//! that events are durable relies on finding them again, so the next sync has to notice; what was
//! durable stays, reading goes on, and what is put back is whole.
#![cfg(target_os = "linux")]

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use factlog::{
    AppendError, Durability, EventType, Opaque, OpenError, Options, Start, SyncError, WriteWay,
    Writer,
};
use factlog_tests::surgery::segment_path;
use factlog_tests::{read_all, scratch, small};

static NOTE: EventType = EventType::opaque("note", 1);
const WAYS: [WriteWay; 2] = [WriteWay::Mapped, WriteWay::Staged];
/// Where another process is to open a log.
const OTHER: &str = "FACTLOG_TEST_OTHER_WRITER";
/// Where another process is to go into another directory.
const ELSEWHERE: &str = "FACTLOG_TEST_ELSEWHERE";

fn options(way: WriteWay) -> Options {
    small().write_way(way).durability(Durability::None)
}

fn append(writer: &mut Writer, count: usize) {
    for _ in 0..count {
        writer.append(&Opaque::new(&NOTE, &[7; 1_000])).expect("appended");
    }
}

/// A log with ten durable events and ten that are not.
fn log(directory: &Path, way: WriteWay) -> Writer {
    let mut writer = options(way).open(directory).expect("opens");
    append(&mut writer, 10);
    writer.sync().expect("durable");
    append(&mut writer, 10);
    writer
}

/// The next sync notices, and the log has stopped for good; what was durable stays.
fn assert_noticed(writer: &mut Writer, kind: ErrorKind, what: &str) {
    let refused = writer.sync().expect_err(what);
    let SyncError::Poisoned(error) = &refused else { panic!("{what}: {refused}") };
    assert_eq!(error.source.kind(), kind, "{what}: {error}");
    assert!(error.to_string().contains("somebody has"), "{what}: {error}");
    let refused = writer.append(&Opaque::new(&NOTE, b"more")).expect_err(what);
    assert!(matches!(refused, AppendError::Poisoned(_)), "{what}: {refused}");
    assert_eq!(writer.log().durable().0.get(), 10, "{what}");
    assert_eq!(writer.log().visible().0.get(), 20, "{what}");
}

/// All twenty events, and the log goes on.
fn assert_whole(directory: &Path, way: WriteWay, what: &str) {
    let mut writer = options(way).open(directory).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read_all(&writer.log()).len(), 20, "{what}");
    append(&mut writer, 1);
    writer.close().expect("closed");
}

#[test]
fn is_a_file_that_is_cut_noticed_at_the_next_sync() {
    for way in WAYS {
        // Behind what is written: a store into what is gone would be a signal, which is out of
        // scope.
        for len in [(4 << 20) - 1, (4 << 20) - 4096, 2 << 20] {
            let directory = scratch();
            let mut writer = log(directory.path(), way);
            let path = segment_path(directory.path(), 1);
            let file = File::options().write(true).open(&path).expect("there");
            file.set_len(len).expect("cut");
            let what = format!("{way:?}, {len} bytes");
            assert_noticed(&mut writer, ErrorKind::UnexpectedEof, &what);
            assert_eq!(read_all(&writer.log()).len(), 20, "{what}");
            drop(writer);
            assert_whole(directory.path(), way, &what);
        }
    }
}

#[test]
fn is_a_file_noticed_that_was_removed_renamed_or_replaced() {
    type Do = fn(&Path, &Path);
    let done: [(&str, Do); 3] = [
        ("removed", |path, aside| {
            fs::hard_link(path, aside).expect("linked");
            fs::remove_file(path).expect("removed");
        }),
        ("renamed", |path, aside| fs::rename(path, aside).expect("renamed")),
        ("replaced", |path, aside| {
            fs::rename(path, aside).expect("renamed");
            fs::copy(aside, path).expect("copied");
        }),
    ];
    for way in WAYS {
        for (what, done) in done {
            let directory = scratch();
            let mut writer = log(directory.path(), way);
            let (path, aside) = (segment_path(directory.path(), 1), directory.path().join("aside"));
            done(&path, &aside);
            let what = format!("{way:?}, {what}");
            assert_noticed(&mut writer, ErrorKind::NotFound, &what);
            assert_eq!(read_all(&writer.log()).len(), 20, "{what}");
            drop(writer);
            fs::rename(&aside, &path).expect("put back");
            assert_whole(directory.path(), way, &what);
        }
    }
}

#[test]
fn is_nothing_acknowledged_of_a_file_that_is_gone() {
    for way in WAYS {
        let directory = scratch();
        let options = small().write_way(way).durability(Durability::Group);
        let mut writer = options.open(directory.path()).expect("opens");
        append(&mut writer, 3);
        fs::remove_file(segment_path(directory.path(), 1)).expect("removed");
        let refused = writer.append(&Opaque::new(&NOTE, b"more")).expect_err("gone");
        assert!(matches!(refused, AppendError::NotDurable(_)), "{refused}");
        assert_eq!(writer.log().durable().0.get(), 3);
    }
}

#[test]
fn is_a_file_with_a_second_name_not_written() {
    for way in WAYS {
        let directory = scratch();
        let mut writer = log(directory.path(), way);
        let (path, aside) = (segment_path(directory.path(), 1), directory.path().join("aside"));
        fs::hard_link(&path, &aside).expect("linked");
        assert_noticed(&mut writer, ErrorKind::TooManyLinks, &format!("{way:?}"));
        assert_eq!(read_all(&writer.log()).len(), 20);
        drop(writer);
        // Opened anew, the log goes on in another file: the other name keeps what it has.
        let before = fs::read(&aside).expect("readable");
        let mut writer = options(way).open(directory.path()).expect("opens");
        append(&mut writer, 5);
        writer.close().expect("closed");
        assert!(fs::read(&aside).expect("readable") == before, "{way:?}: it was written");
        let log = options(way).open_read_only(directory.path()).expect("opens");
        assert_eq!(read_all(&log).len(), 25);
        assert!(log.recovery().segments > 1);
    }
}

/// A segment that has ended may get further names: archives and copies of the whole are made so.
#[test]
fn may_a_segment_that_has_ended_have_a_second_name() {
    let directory = scratch();
    let mut writer = log(directory.path(), WriteWay::Mapped);
    while writer.log().stats().rollovers < 2 {
        append(&mut writer, 10);
    }
    writer.sync().expect("durable");
    let aside = directory.path().join("aside");
    fs::hard_link(segment_path(directory.path(), 1), &aside).expect("linked");
    append(&mut writer, 10);
    writer.sync().expect("durable");
    let events = read_all(&writer.log()).len();
    writer.close().expect("closed");
    let writer = options(WriteWay::Mapped).open(directory.path()).expect("opens");
    assert_eq!(read_all(&writer.log()).len(), events);
}

#[test]
fn is_there_one_writer_though_the_lock_file_was_removed() {
    if let Some(directory) = env::var_os(OTHER) {
        let refused = small().open(&directory).map(drop).expect_err("a second writer");
        assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
        return;
    }
    let directory = scratch();
    let mut writer = log(directory.path(), WriteWay::Mapped);
    let lock = directory.path().join("LOCK");
    type Do = fn(&Path);
    let done: [Do; 3] = [
        |lock| fs::remove_file(lock).expect("removed"),
        |lock| fs::write(lock, b"").expect("made anew"),
        |lock| {
            fs::rename(lock, lock.with_extension("old")).expect("renamed");
            fs::write(lock, b"").expect("made anew");
        },
    ];
    for done in done {
        done(&lock);
        let refused = small().open(directory.path()).map(drop).expect_err("a second writer");
        assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
        let other = Command::new(env::current_exe().expect("this test"))
            .args(["--exact", "is_there_one_writer_though_the_lock_file_was_removed"])
            .env(OTHER, directory.path())
            .output()
            .expect("another process");
        assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
        append(&mut writer, 1);
        writer.sync().expect("the first one goes on");
    }
    let events = read_all(&writer.log()).len();
    drop(writer);
    let writer = small().open(directory.path()).expect("free again");
    assert_eq!(read_all(&writer.log()).len(), events);
}

#[test]
fn does_a_log_that_was_moved_away_leave_its_successor_alone() {
    for way in WAYS {
        let home = scratch();
        let (place, aside) = (home.path().join("log"), home.path().join("aside"));
        let mut writer = log(&place, way);
        fs::rename(&place, &aside).expect("moved");
        let mut other = log(&place, way);
        append(&mut other, 20_000);
        other.sync().expect("durable");
        let refused = writer.log().named_cursor_from("first", Start::Oldest).map(drop);
        let refused = refused.expect_err("a cursor would stand in the other one");
        assert!(refused.to_string().contains("moved away or replaced"), "{way:?}: {refused}");
        assert!(!place.join("cursors").join("first").exists());
        // The first one has segments prepared. It needs more, and must not put them there; nor
        // may it say in the other one's manifest what is true of itself.
        let ended = (0..100_000).find_map(|_| {
            writer.append(&Opaque::new(&NOTE, &[9; 10_000])).err().map(|error| error.to_string())
        });
        let ended = ended.expect("it needs more segments than it has");
        let told = ["somebody has put another file", "moved away or replaced"];
        assert!(told.iter().any(|told| ended.contains(told)), "{way:?}: {ended}");
        assert!(writer.close().is_err(), "{way:?}");
        append(&mut other, 5_000);
        let events = read_all(&other.log()).len();
        other.close().expect("closed");
        let log = options(way).open_read_only(&place).expect("opens");
        assert_eq!((events, read_all(&log).len()), (25_020, 25_020), "{way:?}");
        drop(log);
        // Under its own name the first one is whole, as far as it came.
        let log = options(way).open_read_only(&aside).expect("opens");
        assert!(read_all(&log).len() >= 20, "{way:?}");
    }
}

/// A folder of segments that is kept elsewhere, and linked to, is no other directory.
#[test]
fn may_the_folder_of_segments_be_a_link() {
    let home = scratch();
    let (place, elsewhere) = (home.path().join("log"), home.path().join("elsewhere"));
    fs::create_dir_all(&place).and_then(|()| fs::create_dir(&elsewhere)).expect("made");
    std::os::unix::fs::symlink(&elsewhere, place.join("seg")).expect("linked");
    let mut writer = log(&place, WriteWay::Mapped);
    while writer.log().stats().rollovers < 3 {
        append(&mut writer, 10);
    }
    let refused = small().open(&place).map(drop).expect_err("a second writer");
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    let events = read_all(&writer.log()).len();
    writer.close().expect("closed");
    assert_eq!(read_all(&small().open_read_only(&place).expect("opens")).len(), events);
}

#[test]
fn does_a_log_stay_where_it_is_when_the_process_goes_elsewhere() {
    if let Some(home) = env::var_os(ELSEWHERE).map(PathBuf::from) {
        env::set_current_dir(&home).expect("there");
        let mut writer = options(WriteWay::Mapped).open("log").expect("opens");
        fs::create_dir(home.join("elsewhere")).expect("made");
        env::set_current_dir(home.join("elsewhere")).expect("there");
        while writer.log().stats().rollovers < 5 {
            append(&mut writer, 10);
        }
        let events = read_all(&writer.log()).len();
        writer.close().expect("closed");
        assert_eq!(fs::read_dir(".").expect("readable").count(), 0);
        let log = small().open_read_only(home.join("log")).expect("opens");
        assert_eq!(read_all(&log).len(), events);
        return;
    }
    // Of its own, since the directory is that of a whole process.
    let home = scratch();
    let other = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "does_a_log_stay_where_it_is_when_the_process_goes_elsewhere"])
        .env(ELSEWHERE, home.path())
        .output()
        .expect("another process");
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
}
