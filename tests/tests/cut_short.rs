//! Is what failed halfway beside the log, or was cut short there, made good by who comes next?
//!
//! Method: an observer fails exactly the operation that is meant, or tells what was made durable and
//! when: of places of cursors, folders of archives and backups, files under another name; and of
//! dropping segments while the writer goes.
#![cfg(unix)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use factlog::{
    Cursor, DiskObserver, DiskOperation, Durability, EventType, Expected, Log, Meta, Opaque,
    OpenError, Options, Retention, Sequence, Start, StreamKey, ThreadOptions, Writer,
};
use factlog_tests::named::{append, cursor_path, fill, next, read, saved};
use factlog_tests::{Gate, small};

static BLOCK: EventType = EventType::opaque("block", 1);
const LONG: Duration = Duration::from_secs(60);

/// Fails what is picked, and nothing else.
struct Picky<F>(F);

impl<F: Fn(&DiskOperation<'_>) -> bool + Send + Sync> DiskObserver for Picky<F> {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if (self.0)(operation) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn failing(picks: impl Fn(&DiskOperation<'_>) -> bool + Send + Sync + 'static) -> Options {
    small().disk_observer(Arc::new(Picky(picks)))
}

/// Fails the next sync of this folder's names, once it is armed.
fn failing_names(folder: PathBuf) -> (Options, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let inside = Arc::clone(&armed);
    let options = failing(move |operation| {
        matches!(operation, DiskOperation::SyncDirectory(path) if *path == folder)
            && inside.swap(false, Ordering::SeqCst)
    });
    (options, armed)
}

/// A place whose file came to its name, but whose name could not be made durable, is not saved; the
/// next one is, and outlasts it: in either slot, and whether the same hands save it or others.
#[test]
fn does_a_save_that_failed_halfway_undo_no_later_one() {
    for (before, anew) in [(0, false), (1, false), (0, true), (1, true)] {
        let directory = saved();
        let (options, armed) = failing_names(directory.path().join("cursors"));
        let writer = options.open(directory.path()).expect("opens");
        let mut cursor = writer.log().named_cursor("a").expect("attached");
        for _ in 0..before {
            read(&mut cursor, 1);
            cursor.save().expect("saved");
        }
        // A file that somebody keeps a copy of is made anew, whole.
        let path = cursor_path(directory.path(), "a");
        fs::hard_link(&path, directory.path().join("copy")).expect("linked");
        let stands = cursor.saved().next;
        read(&mut cursor, 1);
        armed.store(true, Ordering::SeqCst);
        cursor.save().expect_err("its name is not durable");
        assert_eq!(cursor.saved().next, stands, "the place before stands");
        if anew {
            drop(cursor);
            cursor = writer.log().named_cursor("a").expect("attached");
            read(&mut cursor, 1);
        }
        read(&mut cursor, 1);
        cursor.save().expect("saved");
        assert_eq!(cursor.saved().next, stands.after(2));
        drop((cursor, writer));
        let log = small().open_read_only(directory.path()).expect("opens");
        assert_eq!(next(&log, "a"), stands.after(2).get(), "{before} saved before, anew: {anew}");
    }
}

/// What was done to names: directories that were made, and those whose names were made durable.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<(bool, PathBuf)>>);

impl Names {
    fn all(&self) -> MutexGuard<'_, Vec<(bool, PathBuf)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observed(self: &Arc<Self>) -> Options {
        small().disk_observer(Arc::clone(self) as _)
    }

    /// Whether the name of this folder was made durable, after it was made if it was.
    fn is_durable(&self, path: &Path) -> bool {
        let parent = path.parent().expect("it has one");
        let all = self.all();
        let made = all.iter().rposition(|(made, which)| *made && which == path);
        let synced = all.iter().rposition(|(made, which)| !*made && which == parent);
        synced.is_some() && synced >= made
    }
}

impl DiskObserver for Names {
    fn after(&self, operation: &DiskOperation<'_>) {
        match operation {
            DiskOperation::MakeDirectory(path) => self.all().push((true, path.to_path_buf())),
            DiskOperation::SyncDirectory(path) => self.all().push((false, path.to_path_buf())),
            _ => {}
        }
    }
}

/// Asked once more, forgetting a cursor makes durable what it could not make durable the first time.
#[test]
fn is_forgetting_made_durable_when_it_is_tried_again() {
    let directory = saved();
    let folder = directory.path().join("cursors");
    let (fails, names) = (Arc::new(AtomicBool::new(false)), Arc::new(Names::default()));
    struct Both(Arc<AtomicBool>, Arc<Names>);
    impl DiskObserver for Both {
        fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
            match operation {
                DiskOperation::SyncDirectory(_) if self.0.load(Ordering::SeqCst) => {
                    Err(io::Error::other("on purpose"))
                }
                _ => Ok(()),
            }
        }
        fn after(&self, operation: &DiskOperation<'_>) {
            self.1.after(operation);
        }
    }
    let both = Both(Arc::clone(&fails), Arc::clone(&names));
    let writer = small().disk_observer(Arc::new(both)).open(directory.path()).expect("opens");
    let log = writer.log();
    fails.store(true, Ordering::SeqCst);
    log.forget_cursor("a").expect_err("its end is not durable");
    fails.store(false, Ordering::SeqCst);
    names.all().clear();
    assert!(log.forget_cursor("a").expect("forgotten"));
    assert!(names.all().contains(&(false, folder)), "{:?}", names.all());
    assert!(!log.forget_cursor("a").expect("there is none"));
}

/// Each folder that a backup or an archive makes, up to the first one that was there, has a durable
/// name; also one that somebody else has made and was interrupted over.
#[test]
fn is_each_folder_that_is_made_there_for_good() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |path: &str| directory.path().join(path);
    let names = Arc::new(Names::default());
    let mut writer = names.observed().open(at("log")).expect("opens");
    fill(&mut writer, 2);
    let folders = |of: &str| [of, &format!("{of}/b"), &format!("{of}/b/c")].map(at);
    let settled = |of: &str| {
        for path in folders(of) {
            assert!(names.is_durable(&path), "{}: {:?}", path.display(), names.all());
        }
        names.all().clear();
    };
    names.all().clear();
    writer.backup(at("backup/b/c")).expect("copied");
    settled("backup");
    let archived = |writer: &Writer, to: &str| {
        let retained = writer.retain(&Retention::keep_segments(1).archive(at(to)));
        assert_eq!(retained.expect("archived").dropped, 2);
    };
    archived(&writer, "archive/b/c");
    settled("archive");
    // Made, and then killed before the name was durable.
    for path in ["other/b/c", "second/b/c", "third/b"] {
        fs::create_dir_all(at(path)).expect("made");
    }
    writer.backup(at("other/b/c")).expect("copied");
    assert!(names.is_durable(&at("other/b/c")), "{:?}", names.all());
    names.all().clear();
    fill(&mut writer, 4);
    archived(&writer, "second/b/c");
    assert!(names.is_durable(&at("second/b/c")), "{:?}", names.all());
    names.all().clear();
    writer.backup(at("third/b/c")).expect("copied");
    assert!(names.is_durable(&at("third/b")) && names.is_durable(&at("third/b/c")));
}

/// Files that were being made, and have no name yet.
fn unnamed(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [directory.to_path_buf(), directory.join("seg")] {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                found.push(path);
            }
        }
    }
    found
}

/// On a disk that is full, nothing stays of a catalog, a stream table or an index that came to
/// nothing.
#[test]
fn does_nothing_stay_of_what_was_not_finished() {
    let directory = tempfile::tempdir().expect("a directory");
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = Arc::clone(&seen);
    let options = failing(move |operation| {
        let DiskOperation::Rename(from, _) = operation else { return false };
        let name = from.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let ours = ["CATALOG.tmp", ".streams.tmp", ".idx.tmp"];
        let fails = ours.iter().any(|end| name.ends_with(end));
        if fails {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        }
        fails
    });
    let mut writer = options.open(directory.path()).expect("opens");
    let stream = StreamKey::new("account", 1_u64).expect("a key");
    let mut append = |meta: Meta<'_>| {
        let meta = meta.stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&BLOCK, &[7; 100_000]), meta).expect("appended")
    };
    let first = append(Meta::new());
    for _ in 0..130 {
        append(Meta::new().correlation(first).cause(first));
    }
    writer.sync().expect("synced");
    let log = writer.log();
    assert!(log.stats().rollovers >= 3);
    let tried = |what: &str| {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|name| name.ends_with(what)).count()
    };
    let began = Instant::now();
    while tried(".streams.tmp") < 2 {
        assert!(began.elapsed() < LONG, "no table is written");
        thread::sleep(Duration::from_millis(5));
    }
    log.conversation(first, usize::MAX).expect("readable");
    assert!(tried(".idx.tmp") >= 2);
    writer.retain(&Retention::keep_segments(1)).expect_err("there is no catalog");
    assert_eq!(tried("CATALOG.tmp"), 1);
    // With the writer the thread that writes tables comes to its end.
    drop((log, writer));
    let left = unnamed(directory.path());
    assert!(left.is_empty(), "{left:?}");
}

/// Takes a cursor at the oldest event when a catalog is begun.
#[derive(Debug, Default)]
struct LateReader {
    log: OnceLock<Log>,
    cursor: Mutex<Option<Cursor>>,
}

impl DiskObserver for LateReader {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if let (DiskOperation::Create(path), Some(log)) = (operation, self.log.get())
            && path.ends_with("CATALOG.tmp")
        {
            let cursor = log.cursor(Start::Oldest).expect("nothing is dropped yet");
            *self.cursor.lock().unwrap_or_else(PoisonError::into_inner) = Some(cursor);
        }
        Ok(())
    }
}

/// Who begins to read while segments are about to be dropped keeps them, is named as the reason, and
/// leaves nothing of the catalog.
#[test]
fn is_who_holds_at_the_last_moment_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let late = Arc::new(LateReader::default());
    let options = small().disk_observer(Arc::clone(&late) as _);
    let mut writer = options.open(directory.path()).expect("opens");
    fill(&mut writer, 3);
    late.log.set(writer.log()).expect("once");
    let retained = writer.retain(&Retention::keep_segments(1)).expect("looked at");
    assert_eq!((retained.dropped, retained.held), (0, Some(Sequence::FIRST)));
    assert!(!directory.path().join("CATALOG.tmp").exists());
    drop(late.cursor.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Holds an archive back until it is let go, and panics in the writer's thread when that syncs.
#[derive(Debug, Default)]
struct Held {
    gate: Gate,
    panics: AtomicBool,
}

impl DiskObserver for Held {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        match operation {
            DiskOperation::Link(..) => self.gate.pass(),
            DiskOperation::Sync(_) if self.panics.load(Ordering::SeqCst) => {
                assert!(thread::current().name() != Some("factlog-writer"), "on purpose");
            }
            _ => {}
        }
        Ok(())
    }
}

/// The writer's thread panics while segments are being dropped: nobody else gets the log before that
/// has come to its end.
#[test]
fn is_the_lock_kept_until_all_is_dropped() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let held = Arc::new(Held::default());
    let group = || small().durability(Durability::Group);
    let mut writer = group().disk_observer(Arc::clone(&held) as _).open(&path).expect("opens");
    fill(&mut writer, 2);
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let retention = Retention::keep_segments(1).archive(directory.path().join("archive"));
    let locked = || matches!(group().open(&path), Err(OpenError::Locked(_)));
    let (stayed, retained) = thread::scope(|scope| {
        let retaining = scope.spawn(|| service.retain(&retention));
        held.gate.wait_reached();
        held.panics.store(true, Ordering::SeqCst);
        let answer = service.producer().submit(Opaque::new(&BLOCK, b"last"), LONG);
        drop(answer.expect("accepted").wait().expect_err("its thread panicked"));
        // Long enough for a writer that does not wait to let go; one that does is never too early.
        let began = Instant::now();
        let mut stayed = true;
        while stayed && began.elapsed() < Duration::from_millis(700) {
            stayed = locked();
            thread::sleep(Duration::from_millis(5));
        }
        held.gate.open();
        (stayed, retaining.join().expect("no panic"))
    });
    assert!(stayed, "the lock was let go while segments were being dropped");
    assert_eq!(retained.expect("dropped").dropped, 2);
    assert!(service.into_writer().is_none(), "it has panicked");
    let mut writer = group().open(&path).expect("nobody has it any more");
    assert!(
        writer.log().cursor(Start::Oldest).is_ok_and(|cursor| cursor.next_sequence().get() > 1)
    );
    append(&mut writer, 1, b"more");
    writer.close().expect("closed");
}
