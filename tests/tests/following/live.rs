//! A leader that writes while it is followed and read.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use factlog::{
    Durability, FollowEnd, FollowError, Follower, Key, Log, Options, Replica, Sequence, Start,
    WaitStrategy, Waited,
};
use factlog_tests::lossy::Lossy;
use factlog_tests::{Random, read_all, scratch};

use super::support::{Account, compare_segments, options, serve, serve_over, trail, write};

#[test]
fn is_the_log_of_a_follower_that_of_its_leader_byte_for_byte() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 34_000);
    // Only what is durable is sent, and the first of it says which log it is.
    writer.sync().expect("synced");
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    assert!(follower.log().is_none());
    let mut following = follower.connect(stream).expect("agreed");
    let log = following.log().expect("a log");
    assert_eq!((log.log_id(), log.is_closed()), (writer.log().log_id(), false));
    while log.visible().0 < Sequence::new(34_000) {
        following.receive().expect("a turn").expect("more");
    }
    // What is visible is durable, and acknowledged.
    assert_eq!(log.visible(), log.durable());
    // More comes.
    write(&mut writer, 6_000);
    let last = writer.next_sequence().before();
    let leader = writer.log();
    writer.close().expect("closed");
    while following.receive().expect("a turn").is_some() {}
    assert_eq!(following.end(), Some(FollowEnd::Closed));
    assert_eq!(log.visible().0, last);
    assert_eq!(log.visible(), leader.visible());
    let fed = feeding.join().expect("no panic").expect("fed");
    assert_eq!((fed.end, fed.progress.acknowledged), (FollowEnd::Closed, log.visible().1));
    assert_eq!(fed.progress.next, last.after(1));

    let (one, other) = (trail(&leader), trail(&log));
    assert_eq!(one.hashes().len(), 4);
    assert_eq!(one, other);
    assert!(read_all(&log) == read_all(&leader));
    follower.close().expect("closed");
    assert!(compare_segments(here.path(), there.path()) >= 2);
    // As a log of its own it ends cleanly.
    let report = Options::new().verify(there.path()).expect("verified");
    assert_eq!(report.outcome, factlog::RecoveryOutcome::ClosedCleanly);
}

/// Readers of a follower see what comes as it comes: cursors, replicas, streams.
#[test]
fn is_a_follower_read_while_it_follows() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 1);
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(stream).expect("agreed");
    while following.log().is_none_or(|log| log.visible().0 < Sequence::new(1)) {
        following.receive().expect("a turn").expect("more");
    }
    let log = following.log().expect("a log");
    let replica = Replica::of(&log).state::<Account>().start().expect("a replica");
    let reading = std::thread::spawn({
        let log = log.clone();
        move || {
            let mut cursor = log.cursor(Start::Oldest).expect("a cursor").only_durable();
            let mut seen = Sequence::ZERO;
            loop {
                while let Some(event) = cursor.next_event().expect("readable") {
                    assert_eq!(event.sequence(), seen.after(1));
                    seen = event.sequence();
                }
                if cursor.wait(WaitStrategy::Park, Duration::from_secs(60)) == Waited::Closed {
                    return seen;
                }
            }
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                write(&mut writer, 500);
                std::thread::sleep(Duration::from_millis(1));
            }
            writer.close().expect("closed");
        });
        while following.receive().expect("a turn").is_some() {}
    });
    let last = Sequence::new(20_001);
    replica.at_least(last, Duration::from_secs(60)).expect("there");
    let (hash, at) = replica.state_hash().expect("a hash");
    assert_eq!((at, Some(hash)), (last, trail(&log).hashes().last().map(|(_, hash)| *hash)));
    // A stream through its links, at versions that the leader gave.
    let stream = factlog::StreamKey::new("account", Key::U64(5)).expect("a name");
    let mut history = log.stream_backwards(&stream);
    let mut count = 0;
    while history.next_event().expect("readable").is_some() {
        count += 1;
    }
    assert_eq!(count, log.stream_version(&stream).get());
    assert!(count > 500);
    drop(follower);
    assert_eq!(reading.join().expect("no panic"), last);
    assert!(log.is_closed());
    feeding.join().expect("no panic").expect("fed");
}

/// Only what is durable leaves the leader, and following makes it be.
#[test]
fn does_following_ask_for_what_is_visible_to_become_durable() {
    let (here, there) = (scratch(), scratch());
    let mut writer = options().durability(Durability::None).open(here.path()).expect("a log");
    let (stream, feeding) = serve(&writer.log());
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let mut following = follower.connect(stream).expect("agreed");
    let seen = |log: Option<Log>| log.map_or(Sequence::ZERO, |log| log.visible().0);
    for count in 1..20 {
        write(&mut writer, 10);
        // Nobody syncs but for the follower.
        while seen(following.log()) < Sequence::new(count * 10) {
            let progress = following.receive().expect("a turn").expect("more");
            assert!(progress.end <= progress.leader);
            assert!(progress.leader <= writer.log().durable().1);
        }
    }
    drop(following);
    drop(follower);
    drop(writer);
    feeding.join().expect("no panic").expect_err("the follower is gone");
}

/// Over a connection that is cut at random bytes, in both directions, while the leader goes on.
#[test]
fn is_a_lossy_link_gone_on_over_at_any_byte() {
    let mut random = Random::from_environment("is_a_lossy_link_gone_on_over_at_any_byte");
    for round in 0..2 {
        let (here, there) = (scratch(), scratch());
        let mut writer = options().open(here.path()).expect("a log");
        let mut follower = options().open_follower(there.path()).expect("a directory");
        let (mut cuts, mut left) = (0_u32, 30_000_u64);
        while left > 0 || cuts <= 20 {
            let some = left.min(200 + random.below(900));
            write(&mut writer, some);
            left -= some;
            let (one, other) = UnixStream::pair().expect("a pair");
            // Few bytes, so that also the greeting is cut; or many.
            let most = if random.below(3) == 0 { 300 } else { 400_000 };
            let (at, seed) = (1 + random.below(most), random.next());
            let feeding = serve_over(&writer.log(), Lossy::new(one, at, seed));
            let at = 1 + random.below(most);
            match follower.follow(Lossy::new(other, at, seed ^ 1)) {
                Err(FollowError::Link(_)) => cuts += 1,
                other => panic!("the connection was cut: {other:?}"),
            }
            feeding.join().expect("no panic").expect_err("the connection was cut");
            // Now and then by a process that is new.
            if random.below(5) == 0 {
                drop(follower);
                follower = options().open_follower(there.path()).expect("a directory");
            }
        }
        let leader = writer.log();
        writer.close().expect("closed");
        let (stream, feeding) = serve(&leader);
        let end = follower.follow(stream).expect("followed");
        feeding.join().expect("no panic").expect("fed");
        assert_eq!(end, FollowEnd::Closed);
        assert!(cuts > 20, "{cuts} cuts");
        let log = follower.log().expect("a log");
        assert_eq!(trail(&leader), trail(&log), "round {round}");
        assert_eq!(log.visible(), leader.visible());
        follower.close().expect("closed");
        assert!(compare_segments(here.path(), there.path()) >= 2);
    }
}

/// A follower feeds another one: bytes, positions and proof are the same.
#[test]
fn is_a_follower_followed() {
    let (here, there, beyond) = (scratch(), scratch(), scratch());
    let mut writer = options().open(here.path()).expect("a log");
    write(&mut writer, 12_000);
    writer.sync().expect("durable");
    let (stream, feeding) = serve(&writer.log());
    let mut middle = Follower::open(there.path()).expect("a directory");
    let mut following = middle.connect(stream).expect("agreed");
    let log = following.log().expect("a log");
    let (stream, relaying) = serve(&log);
    let last = std::thread::spawn(move || {
        let mut last = Follower::open(beyond.path()).expect("a directory");
        let end = last.follow(stream).expect("followed");
        let log = last.log().expect("a log");
        (end, log.visible(), trail(&log))
    });
    write(&mut writer, 12_000);
    let leader = writer.log();
    writer.close().expect("closed");
    while following.receive().expect("a turn").is_some() {}
    drop(middle);
    let (end, visible, hashes) = last.join().expect("no panic");
    assert_eq!((end, visible), (FollowEnd::Closed, leader.visible()));
    assert_eq!(hashes, trail(&leader));
    feeding.join().expect("no panic").expect("fed");
    relaying.join().expect("no panic").expect("fed");
}
