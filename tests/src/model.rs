//! What a log is held against: a vector of events.
//!
//! Operations are done to both: appends, transactions that are committed or dropped, streams with
//! expected versions that hold or do not, syncs, reopening after a close or a drop, and crashes:
//! the directory is copied while the writer is open, and the copy is gone on with; or its tail is
//! cut, above what anything says is durable. After each of the latter, and at the end, everything
//! is compared.

use std::path::{Path, PathBuf};

use factlog::{
    AppendError, EventType, Expected, Log, Meta, Opaque, RecoveryOutcome, SeekError, Sequence,
    Start, StreamKey, StreamVersion, Writer,
};
use factlog_codec::{FrameKind, Manifest, Position, SegmentId};
use tempfile::TempDir;

use crate::surgery::{SegmentFile, copy_directory, manifest_path, used_segments};
use crate::{Random, read_all, read_from, scratch, small};

static TYPES: [EventType; 3] =
    [EventType::opaque("first", 1), EventType::opaque("second", 1), EventType::opaque("second", 2)];

/// One event to append.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Which type: below 3.
    pub of_type: usize,
    /// Bytes of payload: the events of a transaction that have more than 1 MiB are refused.
    pub size: usize,
    /// Which stream, if any: below 4.
    pub stream: Option<u64>,
    /// How far off the expected version is, if one is named.
    pub off_by: Option<u64>,
    /// Whether it names the event before as its cause.
    pub caused: bool,
    /// Bytes of metadata.
    pub metadata: usize,
}

/// What is done to log and model.
#[derive(Debug, Clone)]
pub enum Operation {
    /// An event is appended.
    Append(Draft),
    /// Several are, at once or not at all.
    Transaction {
        /// Its events.
        drafts: Vec<Draft>,
        /// Whether it is committed in the end.
        commit: bool,
    },
    /// All is made durable.
    Sync,
    /// The log is closed, and opened again.
    Close,
    /// The same without closing it.
    Drop,
    /// The files as they are while it is open are gone on with.
    Crash,
    /// The same, and of what is not durable in the last segment only a part is left.
    Cut {
        /// How much.
        at: u32,
        /// What stands behind it.
        filler: u8,
    },
}

/// What has been done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lived {
    events: u64,
    transactions: u64,
    conflicts: u64,
    refused: u64,
    closes: u64,
    drops: u64,
    crashes: u64,
    cuts: u64,
    torn: u64,
    lost: u64,
    rollovers: u64,
}

impl Lived {
    /// Words, and how often.
    pub fn counts(&self) -> [(&'static str, u64); 11] {
        [
            ("events", self.events),
            ("transactions", self.transactions),
            ("conflicts", self.conflicts),
            ("too-large", self.refused),
            ("closes", self.closes),
            ("drops", self.drops),
            ("crashes", self.crashes),
            ("cuts", self.cuts),
            ("torn", self.torn),
            ("lost", self.lost),
            ("rollovers", self.rollovers),
        ]
    }
}

/// An event as the model has it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    of_type: usize,
    payload: Vec<u8>,
    stream: Option<(u64, u64)>,
    cause: Option<u64>,
    metadata: Vec<u8>,
}

fn name(key: u64) -> StreamKey {
    StreamKey::new("model", key).expect("a name")
}

fn version_of(events: &[Event], key: u64) -> u64 {
    events.iter().filter(|event| event.stream.is_some_and(|(of, _)| of == key)).count() as u64
}

/// What the model says to `draft` behind `events`: an event, or a conflict.
fn expect(events: &[Event], draft: &Draft) -> Result<Event, ()> {
    let version = draft.stream.map(|key| version_of(events, key));
    if version.is_some() && draft.off_by.is_some_and(|off_by| off_by > 0) {
        return Err(());
    }
    Ok(Event {
        of_type: draft.of_type,
        payload: (0..draft.size).map(|at| (at + events.len()) as u8).collect(),
        stream: draft.stream.zip(version.map(|version| version + 1)),
        cause: (draft.caused && !events.is_empty()).then_some(events.len() as u64),
        metadata: vec![events.len() as u8; draft.metadata],
    })
}

/// Appends by `append`, and holds the answer against the model's. `used` is what the transaction
/// has taken so far of the 1 MiB that it may take, but for headers.
fn put(
    (events, lived): (&mut Vec<Event>, &mut Lived),
    used: &mut usize,
    draft: &Draft,
    append: impl FnOnce(&Opaque<'_>, Meta<'_>) -> Result<Sequence, AppendError>,
) {
    let payload: Vec<u8> = (0..draft.size).map(|at| (at + events.len()) as u8).collect();
    let metadata = vec![events.len() as u8; draft.metadata];
    let stream = draft.stream.map(name);
    let mut meta = Meta::new().metadata(&metadata);
    if let (Some(stream), Some(key)) = (&stream, draft.stream) {
        let version = version_of(events, key);
        let off = |off_by| Expected::Version(StreamVersion::new(version + off_by));
        meta = meta.stream(stream, draft.off_by.map_or(Expected::Any, off));
    }
    if draft.caused && !events.is_empty() {
        meta = meta.cause(Sequence::new(events.len() as u64));
    }
    let result = append(&Opaque::new(&TYPES[draft.of_type], &payload), meta);
    match (expect(events, draft), result) {
        (Ok(event), Ok(sequence)) => {
            *used += draft.size;
            assert!(*used < 1 << 20);
            events.push(event);
            lived.events += 1;
            assert_eq!(sequence.get(), events.len() as u64);
        }
        (Err(()), Err(AppendError::Conflict { stream: named, actual, .. })) => {
            lived.conflicts += 1;
            assert_eq!(Some(&named), stream.as_ref());
            assert_eq!(actual.get(), version_of(events, draft.stream.expect("a stream")));
        }
        (Ok(_), Err(AppendError::TooLarge { .. })) => {
            lived.refused += 1;
            // Headers, extensions and new names take less than 600 bytes an event.
            assert!(*used + draft.size + 12 * 600 > 1 << 20, "{used} and {}", draft.size);
        }
        (expected, found) => panic!("{:?}, not {:?}", found, expected.map(|event| event.of_type)),
    }
}

/// Everything that can be asked, held against the model.
fn compare(log: &Log, events: &[Event], random: &mut Random) {
    let seen = read_all(log);
    assert_eq!(seen.len(), events.len());
    for (seen, event) in seen.iter().zip(events) {
        let known = &TYPES[event.of_type];
        assert_eq!(seen.event_type, (known.name().to_owned(), known.version()));
        assert!(seen.payload == event.payload, "payload of {}", seen.sequence);
        assert_eq!(seen.stream, event.stream.map(|(key, version)| (name(key), version)));
        assert_eq!((seen.cause, &seen.metadata), (event.cause, &event.metadata));
        assert_eq!(seen.correlation, None);
    }
    assert!(seen.windows(2).all(|pair| pair[0].ts <= pair[1].ts && pair[0].epoch <= pair[1].epoch));
    assert_eq!(log.visible().0.get(), events.len() as u64);
    for key in 0..4 {
        let of_stream: Vec<_> = seen
            .iter()
            .filter(|seen| seen.stream.as_ref().is_some_and(|(stream, _)| *stream == name(key)))
            .collect();
        assert_eq!(log.stream_version(&name(key)).get(), of_stream.len() as u64);
        let from = 1 + random.below(of_stream.len() as u64 + 2);
        let mut cursor = log.stream(&name(key), StreamVersion::new(from));
        for expected in of_stream.iter().skip(from as usize - 1) {
            let event = cursor.next_event().expect("readable").expect("there");
            assert_eq!(event.sequence().get(), expected.sequence);
        }
        assert!(cursor.next_event().expect("readable").is_none());
        let mut history = log.stream_backwards(&name(key));
        for expected in of_stream.iter().rev() {
            let event = history.next_event().expect("readable").expect("there");
            assert_eq!(event.sequence().get(), expected.sequence);
        }
        assert!(history.next_event().expect("readable").is_none());
    }
    for _ in 0..4 {
        let place = 1 + random.below(events.len() as u64 + 1);
        let found = read_from(log, Start::Sequence(Sequence::new(place))).expect("readable");
        assert!(found == seen[place as usize - 1..]);
        let time = seen.get(place as usize - 1).map_or(u64::MAX, |seen| seen.ts);
        let found = read_from(log, Start::Time(time)).expect("readable");
        assert!(found.iter().eq(seen.iter().filter(|seen| seen.ts >= time)));
    }
    let beyond = log.cursor(Start::Sequence(Sequence::new(events.len() as u64 + 2)));
    assert!(matches!(beyond, Err(SeekError::BeyondEnd(_))));
}

/// The log under test: its directory, and its writer.
struct Real {
    directory: TempDir,
    writer: Option<Writer>,
}

impl Real {
    fn path(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }
    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("open")
    }
    fn open(&mut self, expected: RecoveryOutcome) {
        let writer = small().open(self.path()).expect("a log");
        assert_eq!(writer.recovery().outcome, expected, "{}", writer.recovery());
        self.writer = Some(writer);
    }
}

/// The files as they are, in another directory.
fn copied(from: &Path) -> TempDir {
    let copy = scratch();
    copy_directory(from, copy.path());
    copy
}

/// A position below which everything in the log in `directory` was durable, as anything there says.
fn witness(directory: &Path, used: &[u32]) -> Position {
    let frames = used.iter().flat_map(|number| SegmentFile::read(directory, *number).frames());
    let frames = frames.map(|frame| frame.durable).max().unwrap_or(Position::ZERO);
    let slots = [0, 1].map(|slot| {
        let page = std::fs::read(manifest_path(directory, slot)).unwrap_or_default();
        Manifest::decode(&page).map_or(Position::ZERO, |manifest| manifest.checkpoint)
    });
    frames.max(slots[0]).max(slots[1])
}

/// Takes a part of what was not durable; how many events are left, and whether that shows. Nothing
/// is taken if all is durable.
fn cut(directory: &Path, at: u32, filler: u8) -> Option<(u64, RecoveryOutcome)> {
    let used = used_segments(directory);
    let number = *used.last()?;
    let mut segment = SegmentFile::read(directory, number);
    let durable = witness(directory, &used);
    let own = |offset| Position::new(SegmentId::new(number), offset, segment.header.bits);
    let frames = segment.frames();
    let first = frames
        .iter()
        .find(|frame| frame.kind != FrameKind::SegOpen && own(frame.offset) >= durable)?;
    let (from, end) = (first.offset, segment.end());
    let at = from + at % (end - from);
    segment.bytes[at as usize..end as usize].fill(filler);
    let left = segment.frames();
    let last = left.last().expect("the first frame is durable");
    let behind = &segment.bytes[last.next_offset() as usize..end as usize];
    let torn = behind.iter().any(|byte| *byte != 0);
    segment.write();
    let outcome = if torn { RecoveryOutcome::Torn } else { RecoveryOutcome::Clean };
    Some((last.next_sequence().get() - 1, outcome))
}

/// Does all of this to a log in a directory of its own, and to the model.
///
/// # Panics
///
/// When they are not the same.
pub fn live(operations: &[Operation]) -> Lived {
    let mut real = Real { directory: scratch(), writer: None };
    let (mut events, mut random) = (Vec::<Event>::new(), Random::new(operations.len() as u64));
    let mut lived = Lived::default();
    real.open(RecoveryOutcome::Created);
    for operation in operations {
        match operation {
            Operation::Append(draft) => {
                put((&mut events, &mut lived), &mut 0, draft, |event, meta| {
                    real.writer().append_with(event, meta)
                });
                continue;
            }
            Operation::Transaction { drafts, commit } => {
                let before = events.len();
                let mut transaction = real.writer().begin().expect("a transaction");
                let mut used = 0;
                for draft in drafts {
                    let append =
                        |event: &Opaque<'_>, meta: Meta<'_>| transaction.append_with(event, meta);
                    put((&mut events, &mut lived), &mut used, draft, append);
                }
                assert_eq!(transaction.len(), events.len() - before);
                if *commit {
                    let receipt = transaction.commit().expect("committed");
                    assert_eq!(receipt.first.get(), before as u64 + 1);
                    assert_eq!(receipt.last().get(), events.len() as u64);
                    lived.transactions += 1;
                } else {
                    drop(transaction);
                    events.truncate(before);
                }
                continue;
            }
            Operation::Sync => {
                real.writer().sync().expect("synced");
                let log = real.writer().log();
                assert_eq!(log.durable(), log.visible());
                continue;
            }
            Operation::Close => {
                lived.closes += 1;
                lived.rollovers += real.writer().log().stats().rollovers;
                real.writer.take().expect("open").close().expect("closed");
                real.open(RecoveryOutcome::ClosedCleanly);
            }
            Operation::Drop => {
                lived.drops += 1;
                lived.rollovers += real.writer().log().stats().rollovers;
                drop(real.writer.take());
                real.open(RecoveryOutcome::Clean);
            }
            Operation::Crash => {
                lived.crashes += 1;
                let copy = copied(&real.path());
                drop(real.writer.take());
                real.directory = copy;
                real.open(RecoveryOutcome::Clean);
            }
            Operation::Cut { at, filler } => {
                let copy = copied(&real.path());
                drop(real.writer.take());
                let found = cut(copy.path(), *at, *filler);
                real.directory = copy;
                let mut expected = RecoveryOutcome::Clean;
                if let Some((left, outcome)) = found {
                    lived.cuts += 1;
                    lived.lost += events.len() as u64 - left;
                    lived.torn += u64::from(outcome == RecoveryOutcome::Torn);
                    events.truncate(usize::try_from(left).expect("they are in memory"));
                    expected = outcome;
                }
                real.open(expected);
            }
        }
        compare(&real.writer().log(), &events, &mut random);
    }
    lived.rollovers += real.writer().log().stats().rollovers;
    compare(&real.writer().log(), &events, &mut random);
    drop(real.writer.take());
    compare(&small().open_read_only(real.path()).expect("a log"), &events, &mut random);
    lived
}
