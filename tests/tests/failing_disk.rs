//! What if an operation on a segment in use fails? Then nothing is acknowledged any more, everybody
//! who waits is told, nobody hangs, readers go on, and what was acknowledged is there afterwards.
//!
//! Method: the disk is simulated, and its n-th write or sync fails, for each n, in both ways of
//! writing; somebody waits for durability, as a thread and as a task, somebody submits, and a cursor
//! follows only what is durable. Space for the next segment is another matter: there the log goes on.
#![cfg(unix)]

use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use factlog::{
    AppendError, Durability, EventType, Opaque, Options, Refusal, Sequence, Start, SyncError,
    ThreadOptions, WaitStrategy, Waited, WriteWay, Writer,
};
use factlog_simdisk::{Fault, Operation, SimDisk};
use factlog_tests::read_all;
use factlog_tests::surgery::segment_path;

static BLOCK: EventType = EventType::opaque("block", 1);
const SOON: Duration = Duration::from_secs(60);

fn options(way: WriteWay, durability: Durability) -> Options {
    let small = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
    small.write_way(way).durability(durability)
}

/// A directory on a disk that is told of everything.
fn disk() -> (tempfile::TempDir, Arc<SimDisk>) {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = SimDisk::new(directory.path()).expect("readable");
    (directory, Arc::new(disk))
}

/// Appends until the fault strikes; how many events were acknowledged. None if it never did.
fn until_it_fails(way: WriteWay, kind: Operation, nth: u64) -> Option<u64> {
    let (directory, disk) = disk();
    let path = directory.path().join("log");
    let observed = || options(way, Durability::Group).disk_observer(Arc::clone(&disk) as Arc<_>);
    let mut writer = observed().open(&path).expect("opens");
    writer.append(&Opaque::new(&BLOCK, b"first")).expect("appended");
    let log = writer.log();

    let far = Sequence::new(1_000_000);
    let waits = log.clone();
    let waiter = std::thread::spawn(move || waits.wait_durable(far, SOON));
    let waits = log.clone();
    let task = std::thread::spawn(move || {
        futures_util::future::FutureExt::now_or_never(waits.durable_at(Sequence::new(1)))
            .expect("it is durable")
            .expect("it has not failed");
        block_on(waits.durable_at(far))
    });
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor").only_durable();
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while cursor.wait(WaitStrategy::Park, SOON) != Waited::Closed {
            while cursor.next_event().expect("readable").is_some() {
                seen += 1;
            }
        }
        while cursor.next_event().expect("readable").is_some() {
            seen += 1;
        }
        seen
    });

    let service = writer.spawn(ThreadOptions::new()).expect("a thread");
    let producer = service.producer();
    let at = disk.operations_of(kind) + nth;
    disk.inject(Fault::at(at, ErrorKind::Other).only(kind).sticky());
    let (mut acknowledged, mut told) = (1, None);
    let began = Instant::now();
    for _ in 0..300 {
        let Ok(answer) = producer.submit(Opaque::new(&BLOCK, &[7; 20_000]), SOON) else { break };
        match answer.wait() {
            Ok(receipt) => {
                assert!(receipt.durable);
                acknowledged += 1;
            }
            Err(refused) => {
                told = Some(refused.reason);
                break;
            }
        }
        assert!(began.elapsed() < SOON, "it hangs");
    }
    disk.heal();
    let failed = match told {
        None => false,
        Some(Refusal::Append(AppendError::NotDurable(_) | AppendError::Poisoned(_))) => true,
        // No segment could be prepared, or written first: nothing in use has failed.
        Some(Refusal::Append(AppendError::Prepare(_) | AppendError::NoSpace(_))) => false,
        Some(other) => panic!("{other:?}"),
    };
    if !failed {
        drop(service);
        for waited in [waiter.join(), task.join()] {
            assert!(matches!(waited.expect("no panic"), Ok(Waited::Closed)));
        }
        reader.join().expect("no panic");
        return None;
    }
    // The disk is well again, and that changes nothing.
    if let Ok(answer) = producer.submit(Opaque::new(&BLOCK, b"again"), SOON) {
        assert!(answer.wait().is_err(), "acknowledged after a failure");
    }
    for waited in [waiter.join(), task.join()] {
        let waited = waited.expect("no panic");
        assert!(matches!(waited, Err(SyncError::Poisoned(_))), "{waited:?}");
    }
    let seen: u64 = reader.join().expect("no panic");
    assert!(seen >= acknowledged, "{seen} of {acknowledged} were seen");
    assert!(read_all(&log).len() as u64 >= acknowledged, "readers go on");
    assert!(matches!(service.close(), Err(SyncError::Poisoned(_))));
    drop(log);

    // Opened anew: what was acknowledged is there, and can be made durable; then the power goes.
    let mut writer = observed().open(&path).expect("opens again");
    assert!(writer.next_sequence().get() > acknowledged);
    writer.append(&Opaque::new(&BLOCK, b"after")).expect("appended");
    let durable = writer.next_sequence().get() - 1;
    drop(writer);
    let mut random = factlog_tests::Random::new(nth);
    for _ in 0..5 {
        let image = disk.crash(factlog_simdisk::Medium::PowerSafe, &mut || random.next());
        let target = tempfile::tempdir().expect("a directory");
        let copy = target.path().join("image");
        image.expect("drawn").write_to(&copy).expect("written");
        let log = Options::new().open_read_only(copy.join("log")).expect("opens");
        assert!(read_all(&log).len() as u64 >= durable, "acknowledged, and gone");
        fs::remove_dir_all(copy).expect("removed");
    }
    Some(acknowledged)
}

/// Waits for a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park_timeout(SOON);
    }
}

/// Tries each n up to `most`; how many of them were failures of a segment in use.
fn each(way: WriteWay, kind: Operation, most: u64) -> u64 {
    let failed = (1..=most).filter_map(|nth| until_it_fails(way, kind, nth)).count() as u64;
    println!("{way:?}, {kind:?}: {failed} of {most} stopped the log");
    failed
}

#[test]
fn does_a_failed_sync_stop_the_log_for_good() {
    for way in [WriteWay::Mapped, WriteWay::Staged] {
        assert!(each(way, Operation::Sync, 12) >= 10);
    }
}

#[test]
fn does_a_failed_write_stop_the_log_for_good() {
    assert!(each(WriteWay::Staged, Operation::Write, 12) >= 10);
    // Stores are no operations: here only SEALs are written, and new segments.
    each(WriteWay::Mapped, Operation::Write, 3);
}

/// A name that somebody gives to the file afterwards makes its pages no cleaner.
#[test]
fn is_what_a_failed_sync_has_lost_written_again_also_under_two_names() {
    for way in [WriteWay::Mapped, WriteWay::Staged] {
        let (directory, disk) = disk();
        let path = directory.path().join("log");
        let observed = || options(way, Durability::None).disk_observer(Arc::clone(&disk) as Arc<_>);
        let mut writer = observed().open(&path).expect("opens");
        let append = |writer: &mut Writer| {
            writer.append(&Opaque::new(&BLOCK, &[7; 20_000])).expect("appended");
        };
        append(&mut writer);
        writer.sync().expect("synced");
        (0..20).for_each(|_| append(&mut writer));
        let at = disk.operations_of(Operation::Sync) + 1;
        disk.inject(Fault::at(at, ErrorKind::Other).only(Operation::Sync).sticky());
        writer.sync().expect_err("the sync fails");
        drop(writer);
        disk.heal();
        let elsewhere = directory.path().join("aside");
        fs::hard_link(segment_path(&path, 1), elsewhere).expect("linked");

        let mut writer = observed().open(&path).expect("opens again");
        writer.sync().expect("durable");
        assert_eq!(writer.log().durable().0.get(), 21);
        let mut random = factlog_tests::Random::new(21);
        for number in 0..10 {
            let image = disk.crash(factlog_simdisk::Medium::PowerSafe, &mut || random.next());
            let target = tempfile::tempdir().expect("a directory");
            image.expect("drawn").write_to(target.path()).expect("written");
            let log = Options::new().open_read_only(target.path().join("log")).expect("opens");
            assert_eq!(read_all(&log).len(), 21, "{way:?}, image {number}");
        }
    }
}

/// No space for the next segment is an answer before anything is accepted; with space it goes on.
#[test]
fn does_a_log_go_on_when_there_is_space_for_the_next_segment() {
    for (kind, error) in [
        (Operation::Allocate, ErrorKind::StorageFull),
        (Operation::Allocate, ErrorKind::QuotaExceeded),
        (Operation::Create, ErrorKind::PermissionDenied),
    ] {
        for way in [WriteWay::Mapped, WriteWay::Staged] {
            let (directory, disk) = disk();
            let path = directory.path().join("log");
            let options = options(way, Durability::None);
            let mut writer =
                options.disk_observer(Arc::clone(&disk) as Arc<_>).open(&path).expect("opens");
            disk.inject(Fault::at(disk.operations_of(kind) + 1, error).only(kind).sticky());
            let block = [7; 100_000];
            let mut appended = 0;
            let refused = loop {
                match writer.append(&Opaque::new(&BLOCK, &block)) {
                    Ok(_) => appended += 1,
                    Err(error) => break error,
                }
                assert!(appended < 1_000, "it never fails");
            };
            let expected = match error {
                ErrorKind::PermissionDenied => matches!(refused, AppendError::Prepare(_)),
                _ => matches!(refused, AppendError::NoSpace(_)),
            };
            assert!(expected, "{refused:?}");
            writer.sync().expect("what was accepted can be made durable");
            disk.heal();
            writer.append(&Opaque::new(&BLOCK, &block)).expect("it goes on");
            writer.close().expect("closed");
            let log = Options::new().open_read_only(&path).expect("opens");
            assert_eq!(read_all(&log).len(), appended + 1);
        }
    }
}
