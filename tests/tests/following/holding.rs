//! What is held for a follower while it is fed.

use std::ops::ControlFlow;

use factlog::{Feed, FollowEnd, Position, Retention, Sequence, Start};
use factlog_codec::FollowMessage;
use factlog_tests::scratch;

use super::refusals::Script;
use super::support::{options, write};

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
