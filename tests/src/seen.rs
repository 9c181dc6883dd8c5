//! Events as a reader sees them, to be compared whole.

use factlog::{Durability, EventRef, Log, Options, ReadError, Start, StreamKey, WriteWay};

/// Everything that an event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its sequence.
    pub sequence: u64,
    /// When it was committed.
    pub ts: u64,
    /// The epoch in which it was written.
    pub epoch: u32,
    /// Name and version of its type.
    pub event_type: (String, u16),
    /// Its payload as bytes.
    pub payload: Vec<u8>,
    /// Its stream, and its version there.
    pub stream: Option<(StreamKey, u64)>,
    /// The event that caused it.
    pub cause: Option<u64>,
    /// The event at the root of its conversation.
    pub correlation: Option<u64>,
    /// Bytes of the application.
    pub metadata: Vec<u8>,
}

impl Seen {
    /// A copy of `event`.
    ///
    /// # Panics
    ///
    /// When a part of it cannot be read.
    pub fn of(event: EventRef<'_>) -> Self {
        let known = event.event_type().expect("a type");
        let version = event.stream_version().expect("extensions");
        Self {
            sequence: event.sequence().get(),
            ts: event.ts(),
            epoch: event.epoch().get(),
            event_type: (known.name().into(), known.version()),
            payload: event.payload().into(),
            stream: event.stream().map(|name| (name.clone(), version.expect("a version").get())),
            cause: event.cause().expect("extensions").map(|sequence| sequence.get()),
            correlation: event.correlation().expect("extensions").map(|sequence| sequence.get()),
            metadata: event.metadata().expect("extensions").into(),
        }
    }
}

/// Every event from `start` on, until there is none or one cannot be read.
///
/// # Errors
///
/// An event cannot be read.
///
/// # Panics
///
/// When no cursor can be placed there.
pub fn read_from(log: &Log, start: Start) -> Result<Vec<Seen>, ReadError> {
    let mut cursor = log.cursor(start).expect("a cursor");
    let mut events = Vec::new();
    while let Some(event) = cursor.next_event()? {
        events.push(Seen::of(event));
    }
    Ok(events)
}

/// Every event.
///
/// # Panics
///
/// When one cannot be read, or the sequences are not dense from 1.
pub fn read_all(log: &Log) -> Vec<Seen> {
    let events = read_from(log, Start::Oldest).expect("readable");
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.sequence, index as u64 + 1, "dense, and in order");
    }
    events
}

/// Options for small logs: the least segments, as few of them ahead as can be.
///
/// With `FACTLOG_WAY=staged` in the environment, suites run in the staged way of writing.
///
/// # Panics
///
/// When there is something else in it.
pub fn small() -> Options {
    let small = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
    let small = small.durability(Durability::None);
    match std::env::var("FACTLOG_WAY").as_deref() {
        Ok("staged") => small.write_way(WriteWay::Staged),
        Ok("mapped") | Err(_) => small,
        Ok(other) => panic!("FACTLOG_WAY={other}: there are mapped and staged"),
    }
}
