//! What is held for a follower while it is fed.

use std::io;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use factlog::{
    DiskObserver, DiskOperation, Fed, Feed, FeedError, FollowEnd, Log, Position, RetainError,
    Retention, Sequence, Start,
};
use factlog_codec::FollowMessage;
use factlog_tests::scratch;

use super::refusals::Script;
use super::support::{options, serve_over, write};

/// Who has nothing acknowledges nothing. What it has not read is held all the same, by a slot that
/// nobody else is given.
#[test]
fn is_what_a_follower_holds_not_let_go_of_by_acknowledging_nothing() {
    let first = Sequence::new(1);
    let mut said = Vec::new();
    FollowMessage::Hello(None).encode(&mut said);
    FollowMessage::Ack(Position::ZERO, first).encode(&mut said);
    // Of a log of which nothing is durable yet, as everybody does; and of one that sends more than
    // fits a turn, as nobody would.
    for events in [0, 40_000] {
        let here = scratch();
        let mut leader = options().open(here.path()).expect("a log");
        if events > 0 {
            write(&mut leader, events);
            leader.sync().expect("durable");
        }
        let mut reading = None;
        let fed = Feed::of(&leader.log()).serve_with(Script::of(said.clone()), |progress| {
            assert_eq!(progress.acknowledged, Position::ZERO);
            assert_eq!(progress.durable == Position::ZERO, events == 0);
            let retained = leader.retain(&Retention::keep_segments(1)).expect("looked at");
            assert_eq!(retained.dropped, 0, "what the follower has not read");
            assert_eq!(retained.held, (events > 0).then_some(first));
            reading = Some(leader.log().cursor(Start::Oldest).expect("a cursor"));
            assert_eq!(leader.log().stats().cursors, 2, "a slot for each");
            ControlFlow::Break(())
        });
        assert_eq!(fed.expect("stopped").end, FollowEnd::Stopped);
        // The follower is gone, and has let go of its own slot only.
        assert_eq!(leader.log().stats().cursors, 1);
        write(&mut leader, 40_000);
        leader.sync().expect("durable");
        let retained = leader.retain(&Retention::keep_segments(1)).expect("looked at");
        assert_eq!((retained.dropped, retained.held), (0, Some(first)));
        let (mut reading, mut seen) = (reading.expect("told once"), 0);
        while reading.next_event().expect("nothing was dropped").is_some() {
            seen += 1;
        }
        assert_eq!(seen, events + 40_000);
    }
}

type Feeding = JoinHandle<Result<Fed, FeedError>>;

/// When a catalog is about to get its name, lets a follower come, and then fails.
#[derive(Default)]
struct InBetween {
    log: Mutex<Option<Log>>,
    came: Mutex<Option<(UnixStream, Feeding)>>,
}

impl DiskObserver for InBetween {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        let DiskOperation::Rename(_, to) = operation else { return Ok(()) };
        if !to.ends_with("CATALOG") {
            return Ok(());
        }
        let Some(log) = self.log.lock().expect("no panic").take() else { return Ok(()) };
        let (here, there) = UnixStream::pair().expect("a pair");
        let mut said = Vec::new();
        FollowMessage::Hello(None).encode(&mut said);
        io::Write::write_all(&mut &there, &said).expect("said");
        let feeding = serve_over(&log, here);
        // It has asked for its place by then.
        std::thread::sleep(Duration::from_millis(300));
        *self.came.lock().expect("no panic") = Some((there, feeding));
        Err(io::Error::other("a rename that fails"))
    }
}

/// Retention raises the floor before it knows that it may: who comes then is not told that what it
/// needs was dropped.
#[test]
fn is_a_follower_let_in_while_the_floor_comes_down_again() {
    let here = scratch();
    let between = Arc::new(InBetween::default());
    let observed = options().disk_observer(Arc::clone(&between) as _);
    let mut leader = observed.open(here.path()).expect("a log");
    write(&mut leader, 40_000);
    leader.sync().expect("durable");
    *between.log.lock().expect("no panic") = Some(leader.log());
    let failed = leader.retain(&Retention::keep_segments(1)).expect_err("no catalog");
    assert!(matches!(failed, RetainError::Io(_)), "{failed}");
    let (stream, feeding) = between.came.lock().expect("no panic").take().expect("it came");
    let mut head = [0; 16];
    io::Read::read_exact(&mut &stream, &mut head).expect("an answer");
    drop(stream);
    let fed = feeding.join().expect("no panic").expect_err("the follower is gone");
    assert!(matches!(fed, FeedError::Link(_)), "{fed}");
}
