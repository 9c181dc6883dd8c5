//! Is a backup of a log that is being written a log of its own, up to one durable moment?

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use factlog::{
    BackupError, Expected, Meta, RecoveryOutcome, Retention, Sequence, Start, StreamKey,
    StreamVersion, ThreadOptions, Writer,
};
use factlog_tests::small;

#[factlog::event(name = "counted", version = 1)]
struct Counted {
    number: u64,
    bytes: Vec<u8>,
}

fn append(writer: &mut Writer, count: u64) {
    for _ in 0..count {
        let number = writer.next_sequence().get();
        let stream = StreamKey::new("counter", number % 3).expect("a key");
        let meta = Meta::new().stream(&stream, Expected::Any);
        let event = Counted { number, bytes: vec![number as u8; 10_000] };
        writer.append_with(&event, meta).expect("appended");
    }
}

/// All events from `first` on are there, and are what they were; gives the sequence after them.
fn check(log: &factlog::Log, first: u64) -> u64 {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut next = first;
    while let Some(event) = cursor.next_event().expect("readable") {
        assert_eq!(event.sequence().get(), next);
        let counted = event.get::<Counted>().expect("valid").expect("counted");
        assert_eq!(counted.number(), next);
        assert!(counted.bytes().iter().all(|byte| byte == next as u8));
        next += 1;
    }
    next
}

#[test]
fn is_a_backup_what_the_log_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path().join("log")).expect("opens");
    append(&mut writer, 1000);
    let to = directory.path().join("backup");
    let backup = writer.backup(&to).expect("copied");
    assert_eq!((backup.oldest, backup.next_sequence), (Sequence::FIRST, Sequence::new(1001)));
    assert!(backup.segments >= 3);
    append(&mut writer, 500);
    // The copy goes on by itself, and neither knows of the other.
    let mut copy = small().open(&to).expect("opens");
    assert_eq!(copy.recovery().outcome, RecoveryOutcome::ClosedCleanly);
    assert_eq!((copy.log_id(), copy.epoch()), (writer.log_id(), writer.epoch().next().unwrap()));
    assert_ne!(copy.history(), writer.history());
    assert_eq!(check(&copy.log(), 1), 1001);
    append(&mut copy, 700);
    assert_eq!(check(&copy.log(), 1), 1701);
    assert_eq!(check(&writer.log(), 1), 1501);
    // One that is open for reading only can be copied as well.
    copy.close().expect("closed");
    let log = small().open_read_only(&to).expect("opens");
    let again = log.backup(directory.path().join("again")).expect("copied");
    assert_eq!(again.next_sequence, Sequence::new(1701));
}

#[test]
fn can_the_log_be_written_and_dropped_from_meanwhile() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path().join("log")).expect("opens");
    append(&mut writer, 1000);
    writer.sync().expect("synced");
    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let done = AtomicBool::new(false);
    let mut last = Sequence::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            let producer = service.producer();
            let mut number = 1001;
            while !done.load(Ordering::SeqCst) {
                let event = Counted { number, bytes: vec![number as u8; 10_000] };
                drop(producer.submit(event, Duration::from_secs(20)).expect("accepted"));
                number += 1;
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                service.retain(&Retention::keep_segments(3)).expect("no error");
            }
        });
        for round in 0..5 {
            let to = directory.path().join(format!("backup-{round}"));
            let backup = service.log().backup(&to).expect("copied");
            assert!(backup.next_sequence >= last);
            last = backup.next_sequence;
            let copy = small().open(&to).expect("opens");
            assert_eq!(copy.recovery().outcome, RecoveryOutcome::ClosedCleanly);
            let next = check(&copy.log(), backup.oldest.get());
            assert_eq!(next, backup.next_sequence.get());
            // Streams are known by their keys, also those of which the beginning was dropped.
            let stream = StreamKey::new("counter", 1_u64).expect("a key");
            assert_eq!(copy.stream_version(&stream), StreamVersion::new(334));
            copy.close().expect("closed");
            fs::remove_dir_all(&to).expect("removed");
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(last > Sequence::new(1000));
}

#[test]
fn is_a_folder_with_something_in_it_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path().join("log")).expect("opens");
    append(&mut writer, 1);
    let to = directory.path().join("backup");
    fs::create_dir(&to).expect("made");
    fs::write(to.join("something"), b"").expect("written");
    assert!(matches!(writer.backup(&to), Err(BackupError::NotEmpty(_))));
    let log = directory.path().join("log");
    assert!(matches!(writer.backup(&log), Err(BackupError::NotEmpty(_))), "nor onto itself");
}
