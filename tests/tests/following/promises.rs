//! What is acknowledged is durable; what is not there is asked for again; who is promoted goes on.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use factlog::{
    DiskObserver, DiskOperation, Durability, Feed, FollowEnd, FollowError, OpenError,
    RecoveryOutcome, Retention, Sequence, WriteWay,
};
use factlog_codec::{FollowHead, FollowMessage, FrameKind};
use factlog_tests::scratch;
use factlog_tests::surgery::{SegmentFile, copy_directory, used_segments};

use super::support::{compare_segments, options, serve, trail, write};

/// Knows the files that its thread, which follows, has written to and not synced (another one writes
/// tables, of which nothing is promised); fails a sync if it is told to.
#[derive(Debug)]
struct Medium {
    thread: ThreadId,
    /// By their inodes.
    dirty: Mutex<HashSet<u64>>,
    writes: AtomicU64,
    fail: AtomicBool,
}

impl DiskObserver for Medium {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        match operation {
            DiskOperation::Sync(_) if self.fail.load(Ordering::SeqCst) => {
                Err(io::Error::other("a sync that fails"))
            }
            // What is gone need not be durable: a file that was made to see what can be done here.
            DiskOperation::Remove(path) => {
                let inode = path.symlink_metadata().expect("there").ino();
                self.dirty.lock().expect("no panic").remove(&inode);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after(&self, operation: &DiskOperation<'_>) {
        if thread::current().id() != self.thread {
            return;
        }
        let inode = |file: &File| file.metadata().expect("a file").ino();
        match operation {
            DiskOperation::Write(file, ..) => {
                self.dirty.lock().expect("no panic").insert(inode(file));
                self.writes.fetch_add(1, Ordering::SeqCst);
            }
            DiskOperation::Sync(file) => {
                self.dirty.lock().expect("no panic").remove(&inode(file));
            }
            _ => {}
        }
    }
}

impl Medium {
    fn new() -> Self {
        let (dirty, writes, fail) = Default::default();
        Self { thread: thread::current().id(), dirty, writes, fail }
    }
}

/// A stream that looks at the medium whenever something is acknowledged over it.
struct Watched {
    stream: UnixStream,
    medium: Arc<Medium>,
    acknowledged: Arc<Mutex<Vec<u64>>>,
}

impl Read for Watched {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (head, body) = bytes.split_first_chunk().expect("a whole message");
        let message = FollowHead::decode(head).and_then(|head| head.open(body));
        if let Ok(FollowMessage::Ack(position, _)) = message {
            let mut acknowledged = self.acknowledged.lock().expect("no panic");
            // What was acknowledged before may be said again beside a manifest that could not be
            // synced: it only notes how far that is.
            let rises = acknowledged.last().is_none_or(|last| *last < position.raw());
            let dirty = self.medium.dirty.lock().expect("no panic").clone();
            assert!(!rises || dirty.is_empty(), "acknowledged before it is durable");
            acknowledged.push(position.raw());
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[test]
fn is_nothing_acknowledged_that_is_not_durable() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 9_000);
    let (stream, feeding) = serve(&writer.log());
    let medium = Arc::new(Medium::new());
    let observed = options().disk_observer(Arc::clone(&medium) as _);
    let mut follower = observed.open_follower(there.path()).expect("a directory");
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let watched =
        Watched { stream, medium: Arc::clone(&medium), acknowledged: Arc::clone(&acknowledged) };
    let mut following = follower.connect(watched).expect("agreed");
    for _ in 0..10 {
        write(&mut writer, 50);
        let last = writer.next_sequence().before();
        while following.log().is_none_or(|log| log.visible().0 < last) {
            following.receive().expect("a turn").expect("more");
        }
    }
    let acknowledged = acknowledged.lock().expect("no panic").clone();
    let rises = acknowledged.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!(rises >= 10, "{rises} of {}", acknowledged.len());
    assert!(medium.writes.load(Ordering::SeqCst) >= 10);
    // A sync that fails is final, and nothing is acknowledged.
    medium.fail.store(true, Ordering::SeqCst);
    let before = following.log().expect("a log").visible();
    write(&mut writer, 50);
    let error = loop {
        match following.receive() {
            Ok(progress) => assert_eq!(progress.expect("more").end, before.1),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FollowError::Poisoned(_)), "{error}");
    assert_eq!(following.log().expect("a log").visible(), before);
    drop(following);
    feeding.join().expect("no panic").expect_err("the follower is gone");
    medium.fail.store(false, Ordering::SeqCst);
    let (stream, feeding) = serve(&writer.log());
    let error = follower.connect(stream).expect_err("poisoned");
    assert!(matches!(error, FollowError::Poisoned(_)), "{error}");
    feeding.join().expect("no panic").expect_err("the follower is gone");
    drop(follower);
    // A process that is new goes on, and what was written in vain comes again.
    let leader = writer.log();
    writer.close().expect("closed");
    let (stream, feeding) = serve(&leader);
    let mut follower = options().open_follower(there.path()).expect("a directory");
    assert_eq!(follower.follow(stream).expect("followed"), FollowEnd::Closed);
    feeding.join().expect("no panic").expect("fed");
    assert_eq!(follower.log().expect("a log").visible(), leader.visible());
    compare_segments(here.path(), there.path());
}

/// After a power cut any of what was not synced may have persisted: also a frame that says that the
/// ones before it were durable, which they were elsewhere.
#[test]
fn is_a_hole_in_what_was_not_acknowledged_filled_again() {
    let (here, there, copy) = (scratch(), scratch(), scratch());
    let mut writer = options().durability(Durability::Always).open(here.path()).expect("a log");
    write(&mut writer, 400);
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(stream).expect("agreed");
    while following.log().is_none_or(|log| log.visible().0 < Sequence::new(400)) {
        following.receive().expect("a turn").expect("more");
    }
    drop(following);
    drop(follower);
    feeding.join().expect("no panic").expect_err("the follower is gone");
    let last = *used_segments(there.path()).last().expect("a segment");
    let mut segment = SegmentFile::read(there.path(), last);
    let frames = segment.data_frames();
    let hole = frames[frames.len() / 2];
    let behind = frames.last().expect("a frame");
    let lost = factlog::Position::new(segment.header.segment, hole.next_offset(), 22);
    assert!(behind.durable >= lost, "the last frame says that the one that is lost was durable");
    segment.bytes[hole.offset as usize..hole.next_offset() as usize].fill(0);
    segment.write();
    copy_directory(there.path(), copy.path());

    // Whoever opens it cuts it there; it is no damage.
    let report = options().verify(copy.path()).expect("verified");
    assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
    let promoted = options().open_follower(copy.path()).expect("opened");
    let mut promoted = promoted.promote(options()).expect("promoted");
    assert_eq!(promoted.next_sequence(), hole.sequence);
    write(&mut promoted, 1);
    promoted.close().expect("closed");
    let mut again = options().open(copy.path()).expect("what was promoted opens again");
    write(&mut again, 1);
    // Also straight by a writer.
    let straight = scratch();
    copy_directory(there.path(), straight.path());
    let mut straightened = options().open(straight.path()).expect("a torn log");
    write(&mut straightened, 1);
    drop(straightened);
    options().open(straight.path()).expect("opened once more");

    let mut follower = options().open_follower(there.path()).expect("a directory");
    let before = follower.log().expect("a log").visible().0;
    assert_eq!(before.after(1), hole.sequence);
    let leader = writer.log();
    writer.close().expect("closed");
    let (stream, feeding) = serve(&leader);
    assert_eq!(follower.follow(stream).expect("followed"), FollowEnd::Closed);
    feeding.join().expect("no panic").expect("fed");
    assert_eq!(trail(&leader), trail(&follower.log().expect("a log")));
    compare_segments(here.path(), there.path());
}

/// Who goes on behind frames that were taken over speaks for what it wrote itself, and not for them.
#[test]
fn is_a_hole_in_what_was_taken_over_torn_also_with_a_later_epoch_behind_it() {
    let (here, there, copy) = (scratch(), scratch(), scratch());
    let leading = options().durability(Durability::Always);
    let mut writer = leading.open(here.path()).expect("a log");
    write(&mut writer, 400);
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(stream).expect("agreed");
    while following.log().is_none_or(|log| log.visible().0 < Sequence::new(400)) {
        following.receive().expect("a turn").expect("more");
    }
    // Killed: nothing but its frames says how far it came.
    copy_directory(there.path(), copy.path());
    drop(following);
    drop(follower);
    feeding.join().expect("no panic").expect_err("the follower is gone");

    // A writer goes on in the same segment, and syncs nothing before the power goes.
    let going_on = || options().write_way(WriteWay::Staged);
    let mut since = going_on().open(copy.path()).expect("opened");
    write(&mut since, 20);
    let after = scratch();
    copy_directory(copy.path(), after.path());
    let mut segment = SegmentFile::read(after.path(), 1);
    let frames = segment.frames();
    let epoch = frames.iter().position(|frame| frame.kind == FrameKind::Epoch);
    let (taken, own) = frames.split_at(epoch.expect("it went on in the same segment"));
    let hole = taken[taken.len() / 2];
    let lost = factlog::Position::new(segment.header.segment, hole.next_offset(), 22);
    let behind = taken.last().expect("a frame");
    assert!(behind.durable >= lost, "the leader's word is that the one that is lost was durable");
    assert!(own.iter().all(|frame| frame.durable < lost), "nothing was promised here");
    segment.bytes[hole.offset as usize..hole.next_offset() as usize].fill(0);
    segment.write();
    let report = options().verify(after.path()).expect("verified");
    assert_eq!(report.outcome, RecoveryOutcome::Torn, "{report}");
    let opened = going_on().open(after.path()).expect("cut");
    assert_eq!(opened.next_sequence(), hole.sequence);
}

#[test]
fn does_a_follower_go_on_as_the_writer_when_the_leader_is_gone() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 15_000);
    writer.sync().expect("durable");
    let epoch = writer.epoch();
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(stream).expect("agreed");
    let log = following.log().expect("a log");
    while log.visible().0 < Sequence::new(15_000) {
        following.receive().expect("a turn").expect("more");
    }
    drop(following);
    feeding.join().expect("no panic").expect_err("the follower is gone");
    // While it follows, nobody writes there.
    let refused = options().open(there.path()).expect_err("locked");
    assert!(matches!(refused, OpenError::Locked(_)), "{refused}");
    let (id, before) = (log.log_id(), trail(&writer.log()));
    drop(writer);

    let mut promoted = follower.promote(options()).expect("promoted");
    assert!(log.is_closed());
    assert_eq!((promoted.log().log_id(), promoted.next_sequence()), (id, Sequence::new(15_001)));
    assert!(promoted.epoch() > epoch);
    assert_eq!(trail(&promoted.log()), before);
    write(&mut promoted, 5_000);
    // It leads others, from the very beginning.
    let other = scratch();
    let leader = promoted.log();
    promoted.close().expect("closed");
    let (stream, feeding) = serve(&leader);
    let mut follower = options().open_follower(other.path()).expect("a directory");
    assert_eq!(follower.follow(stream).expect("followed"), FollowEnd::Closed);
    feeding.join().expect("no panic").expect("fed");
    assert_eq!(trail(&leader), trail(&follower.log().expect("a log")));
    assert!(trail(&leader).drift(&before).is_none());
    compare_segments(there.path(), other.path());
    // Nothing to be promoted is no new log.
    let nothing = scratch();
    let empty = options().open_follower(nothing.path()).expect("a directory");
    let refused = empty.promote(options()).expect_err("there is no log");
    assert!(matches!(refused, OpenError::NoLog(_)), "{refused}");
}

/// Retention leaves what a follower that is connected does not have; a follower can be stopped.
#[test]
fn is_what_a_follower_lacks_held_while_it_is_fed() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 40_000);
    writer.sync().expect("durable");
    let (one, other) = UnixStream::pair().expect("a pair");
    let log = writer.log();
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let feeding = std::thread::spawn(move || {
        let feed = Feed::of(&log).heartbeat(Duration::from_millis(10));
        feed.serve_with(one, |_| match stop.load(Ordering::SeqCst) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    });
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(other).expect("agreed");
    let log = following.log().expect("a log");
    let retained = writer.retain(&Retention::keep_segments(1)).expect("looked at");
    let held = retained.held.expect("the follower holds");
    assert!(held <= log.visible().0.after(1), "{held:?}");
    while log.visible().0 < Sequence::new(40_000) {
        following.receive().expect("a turn").expect("more");
    }
    stopped.store(true, Ordering::SeqCst);
    while following.receive().expect("a turn").is_some() {}
    assert_eq!(following.end(), Some(FollowEnd::Stopped));
    let fed = feeding.join().expect("no panic").expect("fed");
    assert_eq!((fed.end, fed.progress.next), (FollowEnd::Stopped, Sequence::new(40_001)));
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.held.is_none() && retained.dropped > 0);
    // The follower has what its leader has dropped.
    assert_eq!(trail(&log).hashes().len(), 4);
}
