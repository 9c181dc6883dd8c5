//! Histories that do not belong together, and streams that say what nobody would.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use factlog::{
    Epoch, Feed, FeedError, FollowEnd, FollowError, FollowRefusal, Follower, Fork, Position,
    Retention, Sequence, Writer,
};
use factlog_codec::{FollowHead, FollowMessage};
use factlog_tests::lossy::Lossy;
use factlog_tests::surgery::used_segments;
use factlog_tests::{Random, scratch};

use super::support::{compare_segments, options, serve, trail, write};

/// Follows until the leader has ended or somebody refuses.
fn follow(leader: &Writer, follower: &mut Follower) -> (Result<FollowEnd, FollowError>, FeedError) {
    let (stream, feeding) = serve(&leader.log());
    let followed = follower.follow(stream);
    (followed, feeding.join().expect("no panic").expect_err("refused"))
}

/// Takes over all that is durable, and stops.
pub(super) fn take_all(leader: &mut Writer, follower: &mut Follower) {
    leader.sync().expect("durable");
    let last = leader.next_sequence().before();
    let (stream, feeding) = serve(&leader.log());
    let mut following = follower.connect(stream).expect("agreed");
    while following.log().is_none_or(|log| log.visible().0 < last) {
        following.receive().expect("a turn").expect("more");
    }
    drop(following);
    feeding.join().expect("no panic").expect_err("the follower is gone");
}

fn refusal(followed: Result<FollowEnd, FollowError>, fed: FeedError) -> FollowRefusal {
    match (followed, fed) {
        (Err(FollowError::Refused(refusal)), FeedError::Refused(told)) => {
            assert_eq!(refusal, told);
            refusal
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn is_another_log_refused() {
    let (here, there, elsewhere) = (scratch(), scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    let mut other = options().open(elsewhere.path()).expect("a log");
    write(&mut leader, 100);
    write(&mut other, 100);
    let mut follower = options().open_follower(there.path()).expect("a directory");
    take_all(&mut leader, &mut follower);
    let before = follower.log().expect("a log").visible();
    let (followed, fed) = follow(&other, &mut follower);
    assert_eq!(refusal(followed, fed), FollowRefusal::Foreign(other.log().log_id()));
    assert_eq!(follower.log().expect("a log").visible(), before);
    // The right one is still followed.
    write(&mut leader, 100);
    take_all(&mut leader, &mut follower);
}

#[test]
fn does_a_follower_too_far_behind_begin_with_a_backup() {
    let (here, there, anew, backup) = (scratch(), scratch(), scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 1_000);
    let mut late = options().open_follower(there.path()).expect("a directory");
    take_all(&mut leader, &mut late);
    write(&mut leader, 40_000);
    leader.sync().expect("durable");
    let retained = leader.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped > 0);
    let (followed, fed) = follow(&leader, &mut late);
    assert_eq!(refusal(followed, fed), FollowRefusal::Behind(retained.oldest));
    let mut fresh = options().open_follower(anew.path()).expect("a directory");
    let (followed, fed) = follow(&leader, &mut fresh);
    assert_eq!(refusal(followed, fed), FollowRefusal::Behind(retained.oldest));
    // Nothing was made of it.
    assert!(fresh.log().is_none());

    let folder = backup.path().join("copy");
    leader.backup(&folder).expect("a backup");
    write(&mut leader, 20_000);
    let mut seeded = options().open_follower(&folder).expect("a backup");
    take_all(&mut leader, &mut seeded);
    assert_eq!(seeded.log().expect("a log").visible().0, leader.next_sequence().before());
    seeded.close().expect("closed");
    compare_segments(here.path(), &folder);
}

/// A fork has segments of another log: whoever follows it begins with a backup.
#[test]
fn does_a_follower_of_a_fork_begin_with_a_backup() {
    let (here, there, anew) = (scratch(), scratch(), scratch());
    let (forked, backup) = (there.path().join("fork"), there.path().join("backup"));
    let mut origin = options().open(here.path()).expect("a log");
    write(&mut origin, 30_000);
    origin.sync().expect("durable");
    let at = Sequence::new(25_000);
    Fork::of(&origin.log()).at(at).create(&forked).expect("a fork");
    let mut fork = options().open(&forked).expect("the fork");
    write(&mut fork, 500);
    let mut fresh = options().open_follower(anew.path()).expect("a directory");
    let (followed, fed) = follow(&fork, &mut fresh);
    assert_eq!(refusal(followed, fed), FollowRefusal::Behind(Sequence::new(1)));
    fork.backup(&backup).expect("a backup");
    write(&mut fork, 15_000);
    let mut seeded = options().open_follower(&backup).expect("a backup");
    take_all(&mut fork, &mut seeded);
    let log = seeded.log().expect("a log");
    assert_eq!(log.log_id(), fork.log().log_id());
    assert_eq!(trail(&log), trail(&fork.log()));
    seeded.promote(options()).expect("promoted").close().expect("closed");
}

/// A follower drops its own front, and goes on; also as a process that is new, and as a leader.
#[test]
fn does_a_follower_drop_what_it_need_not_keep() {
    let (here, there, third) = (scratch(), scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let retained = follower.retain(&Retention::keep_segments(1)).expect("nothing yet");
    assert_eq!(retained.dropped, 0);
    write(&mut leader, 40_000);
    take_all(&mut leader, &mut follower);
    let retained = follower.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped > 0 && retained.oldest > Sequence::new(1));
    let first = used_segments(there.path())[0];
    assert!(first > 1 && used_segments(here.path())[0] == 1);
    write(&mut leader, 20_000);
    take_all(&mut leader, &mut follower);
    drop(follower);
    let mut follower = options().open_follower(there.path()).expect("a log without its front");
    write(&mut leader, 20_000);
    take_all(&mut leader, &mut follower);
    let log = follower.log().expect("a log");
    assert_eq!(log.visible().0, leader.next_sequence().before());
    let (stream, feeding) = serve(&log);
    let mut fresh = options().open_follower(third.path()).expect("a directory");
    let refused = fresh.follow(stream).expect_err("it begins with nothing");
    feeding.join().expect("no panic").expect_err("refused");
    let behind = FollowRefusal::Behind(retained.oldest);
    assert!(matches!(refused, FollowError::Refused(refusal) if refusal == behind), "{refused}");
}

#[test]
fn are_histories_that_have_parted_refused_by_both() {
    let (here, there) = (scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 500);
    let mut follower = options().open_follower(there.path()).expect("a directory");
    take_all(&mut leader, &mut follower);
    let old = leader.epoch();
    // The leader was thought to be gone, and is not.
    let mut promoted = follower.promote(options()).expect("promoted");
    write(&mut promoted, 50);
    promoted.sync().expect("durable");
    promoted.close().expect("closed");
    let mut follower = options().open_follower(there.path()).expect("a log");
    let (followed, fed) = follow(&leader, &mut follower);
    assert_eq!(refusal(followed, fed), FollowRefusal::Ahead(Sequence::new(501)));
    // It has gone on as well: now there is something else in that place.
    write(&mut leader, 5_000);
    leader.sync().expect("durable");
    let (followed, fed) = follow(&leader, &mut follower);
    assert_eq!(refusal(followed, fed), FollowRefusal::Diverged(old));
    drop(follower);
    // And the other way round: the old leader comes back as a follower of the new one.
    leader.close().expect("closed");
    let promoted = options().open(there.path()).expect("the new leader");
    let mut returned = options().open_follower(here.path()).expect("the old leader");
    let (followed, fed) = follow(&promoted, &mut returned);
    let refusal = refusal(followed, fed);
    assert!(matches!(refusal, FollowRefusal::Ahead(_) | FollowRefusal::Diverged(_)), "{refusal:?}");
}

/// An old leader that has nothing that its follower lacks comes back, and follows the new one.
#[test]
fn does_an_old_leader_follow_the_new_one() {
    let (here, there) = (scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 500);
    let mut follower = options().open_follower(there.path()).expect("a directory");
    take_all(&mut leader, &mut follower);
    leader.close().expect("closed");
    let mut promoted = follower.promote(options()).expect("promoted");
    write(&mut promoted, 20_000);
    let mut returned = options().open_follower(here.path()).expect("the old leader");
    take_all(&mut promoted, &mut returned);
    assert_eq!(trail(&promoted.log()), trail(&returned.log().expect("a log")));
    drop(returned);
    compare_segments(there.path(), here.path());
}

/// Who has heard of a higher epoch does not follow a lower one, also before a frame of it has come.
#[test]
fn is_a_leader_that_was_replaced_not_followed_any_more() {
    let (here, there, third) = (scratch(), scratch(), scratch());
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 500);
    let (mut one, mut two) = (
        options().open_follower(there.path()).expect("a directory"),
        options().open_follower(third.path()).expect("a directory"),
    );
    take_all(&mut leader, &mut one);
    take_all(&mut leader, &mut two);
    let (old, epoch) = (leader.log(), leader.epoch());
    let promoted = one.promote(options()).expect("promoted");
    // The greeting goes through, and nothing else: 96 bytes there, 56 back.
    let (stream, feeding) = serve(&promoted.log());
    let cut = two.follow(Lossy::new(stream, 96 + 56, 1)).expect_err("cut");
    assert!(matches!(cut, FollowError::Link(_)), "{cut}");
    feeding.join().expect("no panic").expect_err("cut");
    drop(two);
    let mut two = options().open_follower(third.path()).expect("a directory");
    let (stream, feeding) = serve(&old);
    // Not followed to its end, which would not come.
    let stale = match two.connect(stream) {
        Ok(following) => panic!("it follows the old one: {:?}", following.log().is_some()),
        Err(stale) => stale,
    };
    feeding.join().expect("no panic").expect_err("the follower is gone");
    match stale {
        FollowError::Stale { leader, known } => {
            assert_eq!((leader, known), (epoch, promoted.epoch()));
        }
        other => panic!("{other}"),
    }
    // Promoted itself it comes to a higher one than both.
    let promoted_too = two.promote(options()).expect("promoted");
    assert!(promoted_too.epoch() > promoted.epoch() && promoted.epoch() > Epoch::new(1));
}

/// A stream that says what it was told to, and forgets what it hears.
#[derive(Debug)]
pub(super) struct Script(VecDeque<u8>);

impl Script {
    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        Self(bytes.into_iter().collect())
    }
}

impl Read for Script {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that remembers what came over it.
struct Recorded(UnixStream, Vec<u8>);

impl Read for Recorded {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(bytes)?;
        self.1.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a leader says to a new follower, message by message.
fn session(leader: &mut Writer) -> Vec<Vec<u8>> {
    leader.sync().expect("durable");
    let there = scratch();
    let mut follower = options().open_follower(there.path()).expect("a directory");
    let (stream, feeding) = serve(&leader.log());
    let mut recorded = Recorded(stream, Vec::new());
    let mut following = follower.connect(&mut recorded).expect("agreed");
    while following.log().expect("a log").visible().0 < leader.next_sequence().before() {
        following.receive().expect("a turn").expect("more");
    }
    drop(following);
    let Recorded(stream, said) = recorded;
    drop(stream);
    feeding.join().expect("no panic").expect_err("the follower is gone");
    let (mut rest, mut messages) = (said.as_slice(), Vec::new());
    while let Some((head, _)) = rest.split_first_chunk() {
        let len = FollowHead::LEN + FollowHead::decode(head).expect("a head").body_len();
        let (message, behind) = rest.split_at(len);
        messages.push(message.to_vec());
        rest = behind;
    }
    messages
}

fn bytes_of(message: &[u8]) -> Option<(Position, Vec<u8>)> {
    let (head, body) = message.split_first_chunk()?;
    match FollowHead::decode(head).ok()?.open(body).ok()? {
        FollowMessage::Bytes(position, bytes) => Some((position, bytes.to_vec())),
        _ => None,
    }
}

/// Whether a follower's segment is a beginning of the leader's, and zero behind it.
fn is_prefix(leader: &Path, follower: &Path) {
    if !used_segments(follower).is_empty() {
        compare_segments(leader, follower);
    }
}

/// Bytes that were changed on the way, and messages that are made anew around bytes that were: what
/// does not verify is not written.
#[test]
fn is_nothing_written_that_does_not_verify() {
    let mut random = Random::from_environment("is_nothing_written_that_does_not_verify");
    let here = scratch();
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 300);
    let messages = session(&mut leader);
    assert!(messages.len() >= 4);
    let (mut by_frame, mut by_message, mut other) = (0, 0, 0);
    for round in 0..160 {
        let mut said = messages.clone();
        let deep = round % 2 == 0;
        let at = loop {
            let at = random.below(said.len() as u64) as usize;
            if !deep || bytes_of(&said[at]).is_some() {
                break at;
            }
        };
        if deep {
            let (position, mut bytes) = bytes_of(&said[at]).expect("bytes");
            let bit = random.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            said[at].clear();
            FollowMessage::Bytes(position, &bytes).encode(&mut said[at]);
        } else {
            let bit = random.below(said[at].len() as u64 * 8) as usize;
            said[at][bit / 8] ^= 1 << (bit % 8);
        }
        let there = scratch();
        let mut follower = options().open_follower(there.path()).expect("a directory");
        let error = follower.follow(Script::of(said.concat())).expect_err("refused, or cut");
        match error {
            FollowError::Frame(..) | FollowError::FrameTooLarge(..) => by_frame += 1,
            FollowError::Message(_) | FollowError::Link(_) => by_message += 1,
            _ => other += 1,
        }
        drop(follower);
        is_prefix(here.path(), there.path());
        // What came before it is good, and is gone on from.
        if round % 16 == 0 {
            let mut follower = options().open_follower(there.path()).expect("a directory");
            take_all(&mut leader, &mut follower);
            drop(follower);
            compare_segments(here.path(), there.path());
        }
    }
    assert!(by_frame >= 40 && by_message >= 40, "{by_frame} {by_message} {other}");
}

/// Messages that are whole, and out of order.
#[test]
fn are_messages_out_of_order_refused() {
    let mut random = Random::from_environment("are_messages_out_of_order_refused");
    let here = scratch();
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 20_000);
    let messages = session(&mut leader);
    for _ in 0..60 {
        let mut said = messages.clone();
        match random.below(3) {
            0 => {
                let (one, other) =
                    (random.below(said.len() as u64) as usize, random.below(said.len() as u64));
                said.swap(one, other as usize);
            }
            1 => drop(said.remove(random.below(said.len() as u64) as usize)),
            _ => {
                let at = random.below(said.len() as u64) as usize;
                said.insert(at, said[at].clone());
            }
        }
        let there = scratch();
        let mut follower = options().open_follower(there.path()).expect("a directory");
        // The script ends: at the latest then the connection does.
        follower.follow(Script::of(said.concat())).expect_err("refused, or cut");
        drop(follower);
        is_prefix(here.path(), there.path());
    }
}

/// What a follower says may be anything too.
#[test]
fn is_a_leader_not_led_astray() {
    let here = scratch();
    let mut leader = options().open(here.path()).expect("a log");
    write(&mut leader, 300);
    leader.sync().expect("durable");
    let feed = Feed::of(&leader.log());
    let say = |messages: &[FollowMessage<'_>]| {
        let mut said = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut said));
        feed.serve(Script::of(said)).expect_err("no follower")
    };
    let hello = FollowMessage::Hello(None);
    let far = Position::from_raw(u64::MAX >> 1);
    let ack = |position| FollowMessage::Ack(position, Sequence::new(1));
    assert!(matches!(say(&[]), FeedError::Link(_)));
    assert!(matches!(say(&[ack(far)]), FeedError::Unexpected("ACK")));
    assert!(matches!(say(&[hello, hello]), FeedError::Unexpected("HELLO")));
    assert!(matches!(say(&[hello, ack(far)]), FeedError::Acknowledged(at) if at == far));
    // Less than everything, though everything was sent.
    assert!(matches!(say(&[hello, ack(Position::ZERO)]), FeedError::Acknowledged(_)));
    let end = leader.log().durable().1;
    let back = [hello, ack(end), ack(Position::ZERO)];
    assert!(matches!(say(&back), FeedError::Acknowledged(_)));
    // Another version is told ours.
    let mut said = Vec::new();
    hello.encode(&mut said);
    said[16] = 9;
    said[..4].fill(0);
    let crc = crc32fast::hash(&said);
    said[..4].copy_from_slice(&crc.to_le_bytes());
    let error = feed.serve(Script::of(said)).expect_err("another version");
    assert!(matches!(error, FeedError::Refused(FollowRefusal::Version(1))), "{error}");
    // Bytes that are none of it.
    let mut random = Random::from_environment("is_a_leader_not_led_astray");
    for _ in 0..200 {
        let garbage: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        feed.serve(Script::of(garbage)).expect_err("no follower");
    }
    write(&mut leader, 1);
}
