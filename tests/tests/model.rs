//! Is the log, after any sequence of operations, what a simple model says?
//!
//! Method: the model is a vector of events. Random operations are done to both: appends,
//! transactions that are committed or dropped, streams with expected versions that hold or do not,
//! syncs, reopening after a close or a drop, and crashes: the directory is copied while the writer
//! is open, and the copy is gone on with. After each of the latter, and at the end, everything is
//! compared. A failing sequence is made small by proptest, and printed with its seed.

use std::path::PathBuf;

use factlog::{
    AppendError, EventType, Expected, Log, Meta, Opaque, RecoveryOutcome, SeekError, Sequence,
    Start, StreamKey, StreamVersion, Writer,
};
use factlog_tests::surgery::copy_directory;
use factlog_tests::{Random, read_all, read_from, small};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRng, TestRunner};
use tempfile::TempDir;

static TYPES: [EventType; 3] =
    [EventType::opaque("first", 1), EventType::opaque("second", 1), EventType::opaque("second", 2)];

/// One event to append.
#[derive(Debug, Clone)]
struct Draft {
    of_type: usize,
    size: usize,
    stream: Option<u64>,
    /// How far off the expected version is, if one is named.
    off_by: Option<u64>,
    caused: bool,
    metadata: usize,
}

#[derive(Debug, Clone)]
enum Operation {
    Append(Draft),
    Transaction { drafts: Vec<Draft>, commit: bool },
    Sync,
    Close,
    Drop,
    Crash,
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

fn draft() -> impl Strategy<Value = Draft> {
    let size = prop_oneof![4 => 0..200_usize, 2 => 0..5_000_usize, 1 => 200_000..600_000_usize];
    let off_by = prop_oneof![2 => Just(None), 3 => Just(Some(0)), 1 => (1..3_u64).prop_map(Some)];
    (0..3_usize, size, prop::option::of(0..4_u64), off_by, any::<bool>(), 0..100_usize).prop_map(
        |(of_type, size, stream, off_by, caused, metadata)| Draft {
            of_type,
            size,
            stream,
            off_by,
            caused,
            metadata,
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => draft().prop_map(Operation::Append),
        6 => (prop::collection::vec(draft(), 0..12), prop::bool::weighted(0.8))
            .prop_map(|(drafts, commit)| Operation::Transaction { drafts, commit }),
        1 => Just(Operation::Sync),
        1 => Just(Operation::Close),
        1 => Just(Operation::Drop),
        1 => Just(Operation::Crash),
    ]
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
    events: &mut Vec<Event>,
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
            assert_eq!(sequence.get(), events.len() as u64);
        }
        (Err(()), Err(AppendError::Conflict { stream: named, actual, .. })) => {
            assert_eq!(Some(&named), stream.as_ref());
            assert_eq!(actual.get(), version_of(events, draft.stream.expect("a stream")));
        }
        (Ok(_), Err(AppendError::TooLarge { .. })) => {
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
    directories: Vec<TempDir>,
    writer: Option<Writer>,
}

impl Real {
    fn path(&self) -> PathBuf {
        self.directories.last().expect("one").path().to_path_buf()
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

fn run(operations: &[Operation]) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut real = Real { directories: vec![directory], writer: None };
    let (mut events, mut random) = (Vec::<Event>::new(), Random::new(operations.len() as u64));
    real.open(RecoveryOutcome::Created);
    for operation in operations {
        match operation {
            Operation::Append(draft) => {
                put(&mut events, &mut 0, draft, |event, meta| {
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
                    put(&mut events, &mut used, draft, append);
                }
                assert_eq!(transaction.len(), events.len() - before);
                if *commit {
                    let receipt = transaction.commit().expect("committed");
                    assert_eq!(receipt.first.get(), before as u64 + 1);
                    assert_eq!(receipt.last().get(), events.len() as u64);
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
                real.writer.take().expect("open").close().expect("closed");
                real.open(RecoveryOutcome::ClosedCleanly);
            }
            Operation::Drop => {
                drop(real.writer.take());
                real.open(RecoveryOutcome::Clean);
            }
            Operation::Crash => {
                let copy = tempfile::tempdir().expect("a directory");
                copy_directory(&real.path(), copy.path());
                drop(real.writer.take());
                real.directories.push(copy);
                real.open(RecoveryOutcome::Clean);
            }
        }
        compare(&real.writer().log(), &events, &mut random);
    }
    compare(&real.writer().log(), &events, &mut random);
    drop(real.writer.take());
    compare(&small().open_read_only(real.path()).expect("a log"), &events, &mut random);
}

#[test]
fn is_the_log_what_the_model_says() {
    let seed = Random::from_environment("model").next();
    let config = Config {
        cases: if cfg!(debug_assertions) { 24 } else { 200 },
        failure_persistence: None,
        max_shrink_iters: 400,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let operations = prop::collection::vec(operation(), 1..60);
    let result = runner.run(&operations, |operations| {
        run(&operations);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
