//! What a leader may say to a follower, and a follower to a leader.
//!
//! The first byte says what the input is: bytes as they are, to either side; or a program over the
//! messages of a real session: which of them, changed how, with checks that hold; or changes to the
//! frames of the leader's segment, with checks that hold again.

use std::io::{self, Read, Write};
use std::sync::OnceLock;

use factlog::{AppendError, Feed, FeedError, FollowError, Log, Writer};
use factlog_codec::{FollowHead, FollowLeader, FollowMessage, Position, Sequence};
use tempfile::TempDir;

use super::input::Input;
use super::mend;
use super::reached::Reached;
use crate::surgery::{SegmentFile, used_segments};
use crate::{damaged, scratch, small};

/// A stream that says what it was told to, and forgets what it hears.
#[derive(Debug)]
struct Script<'a>(&'a [u8]);

impl Read for Script<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A leader, and its one segment.
struct Base {
    directory: TempDir,
    log: Log,
    leader: FollowLeader,
    segment: SegmentFile,
    end: usize,
    next: Sequence,
}

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let directory = scratch();
        let mut writer: Writer = small().open(directory.path()).expect("opens");
        damaged::append_short(&mut writer, 12);
        writer.sync().expect("durable");
        let log = writer.log();
        let (epoch, history) = (writer.epoch(), writer.history());
        let next = writer.next_sequence();
        writer.close().expect("closed");
        let segment = SegmentFile::read(directory.path(), 1);
        let leader = FollowLeader { log: log.log_id(), bits: segment.header.bits, epoch, history };
        let end = segment.end() as usize;
        Base { directory, log, leader, segment, end, next }
    })
}

fn encoded(message: FollowMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// What the leader says to one who has nothing.
fn session(segment: &[u8], cuts: usize) -> Vec<Vec<u8>> {
    let base = base();
    let position =
        |offset: usize| Position::new(base.segment.header.segment, offset as u32, base.leader.bits);
    let turn = || encoded(FollowMessage::Turn(position(base.end), base.next));
    let mut said = vec![
        encoded(FollowMessage::Welcome(base.leader)),
        encoded(FollowMessage::Segment(&segment[..4096])),
    ];
    let len = (base.end - 4096).div_ceil(cuts.max(1));
    for (at, bytes) in segment[4096..base.end].chunks(len).enumerate() {
        said.push(encoded(FollowMessage::Bytes(position(4096 + at * len), bytes)));
        said.push(turn());
    }
    said.push(encoded(FollowMessage::End(factlog::FollowEnd::Closed)));
    said
}

/// Bytes of a real session, for the corpus.
pub(super) fn said(cuts: usize) -> Vec<u8> {
    session(&base().segment.bytes, cuts).concat()
}

/// What a real follower says to a leader of which it has nothing yet.
pub(super) fn heard() -> Vec<u8> {
    let base = base();
    let end = Position::new(base.segment.header.segment, base.end as u32, base.leader.bits);
    let mut said = encoded(FollowMessage::Hello(None));
    said.extend(encoded(FollowMessage::Ack(end, base.next)));
    said
}

/// # Panics
///
/// When something was written that did not verify, or what was taken over does not open again.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        0 => follow(input.rest(), false, reached),
        1 => feed(input.rest(), reached),
        2 => follow(&program(input).concat(), true, reached),
        _ => {
            let changed = changed(input);
            follow(&session(&changed, 3).concat(), false, reached);
        }
    }
}

/// Messages of a session, some of them changed, their checksums made to hold.
fn program(mut input: Input<'_>) -> Vec<Vec<u8>> {
    let mut said = session(&base().segment.bytes, 1 + input.below(6));
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        let (how, at, other) = (input.byte(), input.below(said.len()), input.below(said.len()));
        match how % 6 {
            0 => said.swap(at, other),
            1 => drop(said.remove(at)),
            2 => said.insert(at, said[other].clone()),
            3 => {
                let len = input.below(said[at].len());
                said[at].truncate(len);
            }
            _ => {
                // A field of the body, and the checksum over it.
                let place = FollowHead::LEN + input.below(said[at].len());
                let Some(byte) = said[at].get_mut(place) else { continue };
                *byte ^= input.byte();
                said[at][..4].fill(0);
                let crc = crc32fast::hash(&said[at]);
                said[at][..4].copy_from_slice(&crc.to_le_bytes());
            }
        }
        if said.is_empty() {
            break;
        }
    }
    said
}

/// The segment with some bytes changed, and frames whose checks hold again.
fn changed(mut input: Input<'_>) -> Vec<u8> {
    let base = base();
    let mut segment = base.segment.bytes.clone();
    for _ in 0..4 {
        let at = 4096 + input.below(base.end - 4096);
        segment[at] ^= input.byte();
    }
    let key = base.segment.key();
    mend::frames(key, &mut segment[..base.end], 4096, &mut mend::Mending::checks());
    segment
}

/// A new follower hears `said`.
fn follow(said: &[u8], unchanged: bool, reached: &mut Reached) {
    let directory = scratch();
    let path = directory.path();
    let mut follower = small().open_follower(path).expect("an empty directory");
    let mut turns = 0;
    let ended = follower.connect(Script(said)).and_then(|mut following| {
        loop {
            turns += 1;
            if following.receive()?.is_none() {
                return Ok(());
            }
        }
    });
    reached.count("turns", turns);
    match ended {
        Ok(()) => reached.note("ended"),
        Err(FollowError::Message(_)) => reached.note("no-message"),
        Err(FollowError::Frame(..) | FollowError::FrameTooLarge(..)) => reached.note("no-frame"),
        Err(FollowError::Items(..)) => reached.note("no-sense"),
        Err(FollowError::Link(_)) => reached.note("cut"),
        Err(_) => reached.note("refused"),
    }
    let Some(log) = follower.log() else { return };
    let visible = log.visible();
    assert_eq!(visible, log.durable());
    reached.count("events", visible.0.get());
    drop(follower);
    if unchanged {
        let leader = &base().segment;
        for number in used_segments(path) {
            let taken = SegmentFile::read(path, number);
            let end = taken.end() as usize;
            let same = taken.bytes[..end] == leader.bytes[..end];
            assert!(same && number == 1, "what was taken over is not what the leader has");
        }
    }
    // It opens again, with no less, and can be written to.
    let follower = small().open_follower(path).expect("what was taken over opens again");
    let again = follower.log().map(|log| log.visible());
    assert!(again >= Some(visible), "{again:?}, and {visible:?} was acknowledged");
    if follower.log().is_some() {
        let mut writer = follower.promote(small()).expect("promoted");
        // A change whose check holds may have given the type another description.
        match damaged::try_append(&mut writer) {
            Ok(()) => reached.note("appended"),
            Err(AppendError::Drift(_)) if !unchanged => reached.note("drifted"),
            Err(error) => panic!("what was promoted takes no event: {error}"),
        }
        writer.close().expect("closed");
        small().open(path).expect("what was promoted opens again");
        reached.note("promoted");
    }
}

/// A leader hears `said`.
fn feed(said: &[u8], reached: &mut Reached) {
    let base = base();
    assert!(base.directory.path().is_dir());
    let fed = Feed::of(&base.log).heartbeat(std::time::Duration::ZERO).serve(Script(said));
    match fed {
        Ok(_) => reached.note("fed"),
        Err(FeedError::Message(_)) => reached.note("no-message"),
        Err(FeedError::Link(_)) => reached.note("cut"),
        Err(_) => reached.note("refused"),
    }
}
