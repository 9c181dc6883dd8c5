//! Does a log do what a list does?
//!
//! Random operations from a printed seed, on a log and on a Vec beside it: appends, batches,
//! transactions that are dropped, streams with expected versions, syncs, clean and unclean
//! reopening, and crash images: a copy of the directory as the page cache has it, in which the
//! test goes on. After each reopening everything is compared, read in every way.

use std::fs;
use std::path::Path;

use factlog::{
    AppendError, Expected, Meta, Options, Sequence, Start, StreamKey, StreamVersion, Writer,
};
use proptest::prelude::*;

/// What is written.
#[factlog::event(name = "drawn", version = 1)]
#[derive(Debug, Clone, PartialEq)]
struct Drawn {
    number: u64,
    text: String,
    list: Vec<u16>,
}

#[derive(Debug, Clone)]
enum Operation {
    Append { stream: Option<u8>, len: u16 },
    Batch { streams: Vec<Option<u8>>, len: u16, keep: bool },
    Conflict { stream: u8, ahead: u8 },
    Sync,
    Reopen { close: bool },
    Crash,
}

fn operation() -> impl Strategy<Value = Operation> {
    let stream = || proptest::option::of(0..5_u8);
    prop_oneof![
        6 => (stream(), 0..300_u16).prop_map(|(stream, len)| Operation::Append { stream, len }),
        4 => (proptest::collection::vec(stream(), 1..40), 0..3_000_u16, proptest::bool::weighted(0.8))
            .prop_map(|(streams, len, keep)| Operation::Batch { streams, len, keep }),
        1 => (0..5_u8, 1..4_u8).prop_map(|(stream, ahead)| Operation::Conflict { stream, ahead }),
        1 => Just(Operation::Sync),
        1 => any::<bool>().prop_map(|close| Operation::Reopen { close }),
        1 => Just(Operation::Crash),
    ]
}

/// The list beside the log.
#[derive(Debug, Default)]
struct Model {
    events: Vec<(Drawn, Option<u8>)>,
}

impl Model {
    fn version(&self, stream: u8) -> u64 {
        self.events.iter().filter(|(_, of)| *of == Some(stream)).count() as u64
    }

    fn draw(&self, offset: usize, len: u16) -> Drawn {
        let number = (self.events.len() + offset) as u64;
        let text = "x".repeat(usize::from(len) % 97);
        Drawn { number, text, list: vec![len; usize::from(len)] }
    }
}

fn key(stream: u8) -> StreamKey {
    match stream {
        0 => StreamKey::new("even", 7_u64),
        1 => StreamKey::new("even", "seven"),
        2 => StreamKey::new("odd", &b"\x00\xFF"[..]),
        3 => StreamKey::new("odd", uuid()),
        _ => StreamKey::new("odd", 7_u64),
    }
    .expect("a name")
}

fn uuid() -> factlog::Key {
    // A UUID by way of its key form, so that the test needs no crate for it.
    factlog_codec::StreamKey::decode(&[&[1_u8, 2, 16, 0][..], b"c", &[5; 16]].concat())
        .expect("a stream item")
        .key()
        .clone()
}

fn open(directory: &Path) -> Writer {
    Options::new()
        .segment_size(4 << 20)
        .spare_segments(1)
        .prefault(0)
        .open(directory)
        .expect("opens")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("seg")).expect("made");
    for folder in ["", "seg"] {
        for entry in fs::read_dir(from.join(folder)).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                // Sparse: what is zero is not written.
                fs::copy(&path, to.join(folder).join(name)).expect("copied");
            }
        }
    }
}

fn compare(writer: &Writer, model: &Model) {
    let log = writer.log();
    assert_eq!(writer.next_sequence().get(), model.events.len() as u64 + 1);
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut stamps = Vec::new();
    for (drawn, stream) in &model.events {
        let event = cursor.next_event().expect("readable").expect("there");
        let view = event.get::<Drawn>().expect("valid").expect("the type");
        assert_eq!(&view.to_owned(), drawn);
        assert_eq!(event.stream().cloned(), stream.map(key));
        stamps.push(event.ts());
    }
    assert!(cursor.next_event().expect("readable").is_none());
    for stream in 0..5 {
        let numbers: Vec<u64> = model
            .events
            .iter()
            .filter(|(_, of)| *of == Some(stream))
            .map(|(drawn, _)| drawn.number)
            .collect();
        assert_eq!(writer.stream_version(&key(stream)).get(), numbers.len() as u64);
        let mut forward = log.stream(&key(stream), StreamVersion::NONE);
        for number in &numbers {
            let event = forward.next_event().expect("linked").expect("there");
            assert_eq!(event.get::<Drawn>().expect("valid").expect("type").number(), *number);
        }
        assert!(forward.next_event().expect("linked").is_none());
        let mut backward = log.stream_backwards(&key(stream));
        for number in numbers.iter().rev() {
            let event = backward.next_event().expect("linked").expect("there");
            assert_eq!(event.get::<Drawn>().expect("valid").expect("type").number(), *number);
        }
        assert!(backward.next_event().expect("linked").is_none());
    }
    for at in (0..model.events.len()).step_by(17) {
        let sequence = Sequence::new(at as u64 + 1);
        let found = log.with_event(sequence, |event| (event.sequence(), event.ts()));
        assert_eq!(found.expect("there"), (sequence, stamps[at]));
        // By time: the first event that is not older.
        let first = stamps.partition_point(|ts| *ts < stamps[at]);
        let mut cursor = log.cursor(Start::Time(stamps[at])).expect("a cursor");
        let event = cursor.next_event().expect("readable").expect("there");
        assert_eq!(event.sequence().get(), first as u64 + 1);
    }
}

fn run(operations: &[Operation]) {
    let root = tempfile::tempdir().expect("a directory");
    let mut directory = root.path().join("0");
    let mut writer = open(&directory);
    let mut model = Model::default();
    let mut crashes = 0;
    for operation in operations {
        match operation {
            Operation::Append { stream, len } => {
                let drawn = model.draw(0, *len);
                let name = stream.map(key);
                let mut meta = Meta::new();
                if let (Some(name), Some(stream)) = (&name, stream) {
                    let version = StreamVersion::new(model.version(*stream));
                    meta = meta.stream(name, Expected::Version(version));
                }
                let sequence = writer.append_with(&drawn, meta).expect("appended");
                model.events.push((drawn, *stream));
                assert_eq!(sequence.get(), model.events.len() as u64);
            }
            Operation::Batch { streams, len, keep } => {
                let mut batch = Vec::new();
                let mut transaction = writer.begin().expect("begun");
                for (offset, stream) in streams.iter().enumerate() {
                    let drawn = model.draw(offset, *len);
                    let name = stream.map(key);
                    let mut meta = Meta::new();
                    if let Some(name) = &name {
                        meta = meta.stream(name, Expected::Any);
                    }
                    transaction.append_with(&drawn, meta).expect("appended");
                    batch.push((drawn, *stream));
                }
                if *keep {
                    assert_eq!(transaction.commit().events, batch.len() as u64);
                    model.events.extend(batch);
                }
            }
            Operation::Conflict { stream, ahead } => {
                let (name, drawn) = (key(*stream), model.draw(0, 3));
                let wrong = StreamVersion::new(model.version(*stream) + u64::from(*ahead));
                let meta = Meta::new().stream(&name, Expected::Version(wrong));
                let error = writer.append_with(&drawn, meta).expect_err("a conflict");
                let AppendError::Conflict { actual, expected, .. } = error else {
                    panic!("{error:?}")
                };
                assert_eq!((actual.get(), expected), (model.version(*stream), wrong));
            }
            Operation::Sync => {
                writer.sync().expect("synced");
                assert_eq!(writer.log().durable(), writer.log().visible());
            }
            Operation::Reopen { close } => {
                if *close {
                    writer.close().expect("closed");
                } else {
                    drop(writer);
                }
                writer = open(&directory);
                compare(&writer, &model);
            }
            Operation::Crash => {
                crashes += 1;
                let image = root.path().join(crashes.to_string());
                copy(&directory, &image);
                directory = image;
                writer = open(&directory);
                compare(&writer, &model);
            }
        }
    }
    compare(&writer, &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A failing case is printed with its seed, and shrunk.
    #[test]
    fn does_a_log_do_what_a_list_does(operations in proptest::collection::vec(operation(), 1..60)) {
        run(&operations);
    }
}
