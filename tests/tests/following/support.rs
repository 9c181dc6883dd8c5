//! A leader that writes, and what is compared.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use factlog::{
    Durability, Expected, Fed, Feed, FeedError, Log, Meta, Options, State, StateTrail, StoredState,
    StreamKey, Writer,
};
use factlog_codec::layout::PAGE;
use factlog_tests::surgery::{SegmentFile, used_segments};

#[factlog::event(name = "deposited", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deposited {
    pub(crate) cents: u64,
    pub(crate) filler: Vec<u8>,
}

#[factlog::vocabulary]
#[derive(Debug)]
pub(crate) enum AccountEvent {
    Deposited(Deposited),
}

#[factlog::value]
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) cents: u64,
    pub(crate) changes: u64,
}

impl State for Account {
    const NAME: &'static str = "account";
    type Key = u64;
    type Event = AccountEvent;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, event: AccountEventView<'_>) {
        let AccountEventView::Deposited(deposited) = event;
        self.cents = self.cents.wrapping_mul(31).wrapping_add(deposited.cents());
        self.changes += 1;
    }
}

pub(crate) fn options() -> Options {
    Options::new().segment_size(4 << 20).spare_segments(1).durability(Durability::None)
}

/// Appends `count` events, in frames of some, over some accounts.
pub(crate) fn write(writer: &mut Writer, count: u64) {
    let mut left = count;
    while left > 0 {
        let some = left.min(1 + left % 9);
        let next = writer.next_sequence().get();
        let mut transaction = writer.begin().expect("a transaction");
        for at in 0..some {
            let number = next + at;
            let stream = StreamKey::new("account", number % 37).expect("a name");
            let filler = vec![number as u8; (number % 300) as usize];
            let meta = Meta::new().stream(&stream, Expected::Any);
            let event = Deposited { cents: number * 7 + at, filler };
            transaction.append_with(&event, meta).expect("appended");
        }
        transaction.commit().expect("committed");
        left -= some;
    }
}

/// The hashes of all states, every 10,000 events.
pub(crate) fn trail(log: &Log) -> StateTrail {
    StateTrail::of(log).state::<Account>().run().expect("a log that can be folded")
}

/// Serves one follower on a thread.
pub(crate) fn serve(log: &Log) -> (UnixStream, JoinHandle<Result<Fed, FeedError>>) {
    let (here, there) = UnixStream::pair().expect("a pair");
    (there, serve_over(log, here))
}

pub(crate) fn serve_over(
    log: &Log,
    stream: impl Read + Write + Send + 'static,
) -> JoinHandle<Result<Fed, FeedError>> {
    let feed = Feed::of(log).heartbeat(Duration::from_millis(20));
    std::thread::spawn(move || feed.serve(stream))
}

/// Whether the follower's segments are those of the leader: byte for byte where they ended, and a
/// prefix with zeros behind it where the follower ends. Gives how many there are.
pub(crate) fn compare_segments(leader: &Path, follower: &Path) -> usize {
    let numbers = used_segments(follower);
    let all = used_segments(leader);
    assert_eq!(numbers.first(), all.first(), "they begin with the same segment");
    for number in &numbers {
        let (one, other) =
            (SegmentFile::read(leader, *number), SegmentFile::read(follower, *number));
        let end = other.end() as usize;
        assert!(one.bytes[..end] == other.bytes[..end], "segment {number} below {end}");
        let seal = other.bytes.len() - PAGE;
        assert!(other.bytes[end..seal].iter().all(|byte| *byte == 0), "segment {number} behind");
        if Some(number) != numbers.last() {
            assert_eq!(one.end(), other.end(), "segment {number}");
            assert!(one.bytes[seal..] == other.bytes[seal..], "the SEAL of segment {number}");
        }
    }
    numbers.len()
}
