//! Is a type whose shape changed under its name found out, wherever it is met first?
//!
//! Method: two modules with the same event in different shapes stand for two versions of a
//! program. Segments are also read alone, by the codec and nothing else, as a tool would.

use std::path::Path;
use std::process::Command;

use factlog::{
    AppendError, Encode, EncodeError, Encoding, EventType, Expected, Meta, Opaque, OpenError,
    SchemaDrift, Scratch, Start, StreamKey, ViewError,
};
use factlog_codec::types::{Description, render};
use factlog_codec::{Frame, FrameKind, ItemKind, Items, SegOpen, SegmentHeader, TypeItem, Walk};
use factlog_tests::surgery::{segment_path, used_segments};
use factlog_tests::{read_all, small};
use serde_json::{Value, json};

mod before {
    #[factlog::event(name = "order-placed", version = 1)]
    #[derive(Debug)]
    pub(crate) struct OrderPlaced {
        pub(crate) customer: u64,
        pub(crate) goods: Vec<String>,
    }
}

mod after {
    #[factlog::event(name = "order-placed", version = 1)]
    #[derive(Debug)]
    pub(crate) struct OrderPlaced {
        pub(crate) customer: u64,
        pub(crate) goods: Vec<String>,
        pub(crate) urgent: bool,
    }

    #[factlog::event(name = "order-placed", version = 2)]
    #[derive(Debug)]
    pub(crate) struct OrderPlacedTwo {
        pub(crate) customer: u64,
    }

    #[factlog::vocabulary]
    #[derive(Debug)]
    pub(crate) enum Orders {
        Placed(OrderPlaced),
    }

    #[factlog::vocabulary]
    #[derive(Debug)]
    pub(crate) enum NewOrders {
        Placed(OrderPlacedTwo),
    }
}

static NOTE: EventType = EventType::opaque("note.txt", 1);
/// The name of a described type, but opaque.
static PLACED_OPAQUE: EventType = EventType::opaque("order-placed", 1);

fn placed(customer: u64) -> before::OrderPlaced {
    let goods = (0..customer % 4).map(|number| format!("goods number {number}")).collect();
    before::OrderPlaced { customer, goods }
}

fn urgent() -> after::OrderPlaced {
    after::OrderPlaced { customer: 9, goods: Vec::new(), urgent: true }
}

/// Says what is wrong, and what to do about it.
fn assert_told(drift: &SchemaDrift) {
    assert_eq!((drift.name, drift.version), ("order-placed", 1));
    assert_ne!(drift.declared, drift.stored);
    let message = drift.to_string();
    for part in ["`order-placed` version 1", "another shape", "version = 2", "keep the struct"] {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// A log of the old program: one order and one note.
fn old_log(directory: &Path) {
    let mut writer = small().open(directory).expect("a log");
    writer.append(&placed(7)).expect("appended");
    writer.append(&Opaque::new(&NOTE, b"by hand")).expect("appended");
}

#[test]
fn is_drift_found_when_a_vocabulary_is_opened() {
    let directory = tempfile::tempdir().expect("a directory");
    old_log(directory.path());
    let opened = small().vocabulary::<after::Orders>().open(directory.path());
    let Err(OpenError::Drift(drift)) = opened else { panic!("{opened:?}") };
    assert_told(&drift);
    let opened = small().vocabulary::<after::Orders>().open_read_only(directory.path());
    let Err(OpenError::Drift(drift)) = opened else { panic!("{opened:?}") };
    assert_told(&drift);
    // A new version stands beside the old one; and a log that was refused is as it was.
    let mut writer =
        small().vocabulary::<after::NewOrders>().open(directory.path()).expect("no drift");
    assert_eq!(writer.epoch().get(), 2, "no epoch began when it was refused");
    let event = after::OrderPlacedTwo { customer: 8 };
    writer.append(&after::NewOrders::Placed(event)).expect("appended");
    let versions: Vec<_> = writer.log().types().map(|known| known.version()).collect();
    assert_eq!(versions, [1, 1, 2]);
}

#[test]
fn is_drift_found_when_an_event_is_appended() {
    let directory = tempfile::tempdir().expect("a directory");
    old_log(directory.path());
    let mut writer = small().open(directory.path()).expect("a log");
    for _ in 0..2 {
        let error = writer.append(&urgent());
        let Err(AppendError::Drift(drift)) = error else { panic!("{error:?}") };
        assert_told(&drift);
    }
    let error = writer.append(&Opaque::new(&PLACED_OPAQUE, b"bytes"));
    assert!(matches!(error, Err(AppendError::Drift(_))), "{error:?}");
    // Within one transaction, where the old one is not committed yet.
    let fresh = tempfile::tempdir().expect("a directory");
    let mut new = small().open(fresh.path()).expect("a log");
    let mut transaction = new.begin().expect("a transaction");
    transaction.append(&placed(1)).expect("staged");
    let error = transaction.append(&urgent());
    let Err(AppendError::Drift(drift)) = error else { panic!("{error:?}") };
    assert_told(&drift);
    transaction.append(&placed(2)).expect("staged");
    assert_eq!(transaction.commit().expect("committed").events, 2);
    // Nothing of it is in the log, and the old shape goes on.
    writer.append(&placed(3)).expect("appended");
    assert_eq!((writer.next_sequence().get(), writer.log().types().count()), (4, 2));
}

#[test]
fn is_drift_found_when_an_event_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    old_log(directory.path());
    let log = small().open_read_only(directory.path()).expect("a log");
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let order = cursor.next_event().expect("readable").expect("there");
    let error = order.get::<after::OrderPlaced>().expect_err("another shape");
    let ViewError::Drift(drift) = error else { panic!("{error}") };
    assert_told(&drift);
    let error = order.view::<after::Orders>().expect_err("another shape");
    assert!(matches!(error, ViewError::Drift(_)), "{error}");
    assert!(order.get::<after::OrderPlacedTwo>().expect("another version").is_none());
    assert!(order.view::<after::NewOrders>().expect("another version").is_none());
    let view = order.get::<before::OrderPlaced>().expect("valid").expect("it");
    assert_eq!((view.customer(), view.goods().len()), (7, 3));
}

#[test]
fn can_what_is_not_known_be_passed_over_and_looked_at() {
    let directory = tempfile::tempdir().expect("a directory");
    old_log(directory.path());
    let log = small().open_read_only(directory.path()).expect("a log");
    let mut seen = Vec::new();
    for event in log.cursor(Start::Oldest).expect("a cursor").poll().expect("readable") {
        let event = event.expect("readable");
        assert!(event.view::<after::NewOrders>().expect("unknown").is_none());
        let known = event.event_type().expect("a type");
        let mut shown = String::new();
        match known.description() {
            Some(description) => {
                render(description, event.payload(), &mut shown, 1_000).expect("shown");
            }
            None => shown.push_str(std::str::from_utf8(event.payload()).expect("text")),
        }
        seen.push((known.name().to_owned(), known.encoding(), shown));
    }
    let goods = r#""goods number 0","goods number 1","goods number 2""#;
    let order = format!(r#"{{"customer":7,"goods":[{goods}]}}"#);
    assert_eq!(
        seen,
        [
            ("order-placed".into(), Encoding::Archive, order),
            ("note.txt".into(), Encoding::Opaque, "by hand".into())
        ]
    );
}

/// Bytes that say that they are a `before::OrderPlaced`, and are not.
struct Forged;

impl Encode for Forged {
    fn event_type(&self) -> &'static EventType {
        <before::OrderPlaced as factlog::Event>::static_type()
    }
    fn fixed_size(&self) -> Option<usize> {
        None
    }
    fn encode(&self, out: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        out[..64].fill(0xFE);
        Ok(64)
    }
}

#[test]
fn is_a_payload_that_is_not_what_it_says_a_typed_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    writer.append(&Forged).expect("the log does not look into payloads");
    let log = writer.log();
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    let error = event.get::<before::OrderPlaced>().expect_err("no such archive");
    assert!(!matches!(error, ViewError::Drift(_)), "{error}");
    let description = event.event_type().and_then(|known| known.description()).expect("one");
    assert!(render(description, event.payload(), &mut String::new(), 1_000).is_err());
}

/// A log of several segments, whose types come one by one; what was appended, as JSON.
fn many_segments(directory: &Path) -> Vec<String> {
    let mut writer = small().open(directory).expect("a log");
    let mut shown = Vec::new();
    for round in 0..4_u64 {
        for number in 0..60_u64 {
            let stream = StreamKey::new("order", round * 10 + number % 10).expect("a name");
            let meta = Meta::new().stream(&stream, Expected::Any);
            let order = placed(number);
            let goods: Vec<_> = order.goods.iter().map(|goods| format!("{goods:?}")).collect();
            shown.push(format!(r#"{{"customer":{number},"goods":[{}]}}"#, goods.join(",")));
            writer.append_with(&order, meta).expect("appended");
            writer.append(&Opaque::new(&NOTE, &[b'n'; 60_000])).expect("appended");
            shown.push("n".repeat(60_000));
        }
        if round == 1 {
            let event = after::OrderPlacedTwo { customer: u64::MAX };
            writer.append(&event).expect("appended");
            shown.push(format!(r#"{{"customer":{}}}"#, u64::MAX));
        }
    }
    shown
}

#[test]
fn can_a_segment_be_read_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let shown = many_segments(directory.path());
    let used = used_segments(directory.path());
    assert!(used.len() >= 4, "{used:?}");
    let events = read_all(&small().open_read_only(directory.path()).expect("a log"));
    for number in used {
        let bytes = std::fs::read(segment_path(directory.path(), number)).expect("a segment");
        let header = SegmentHeader::decode(&bytes).expect("a header");
        let mut walk = Walk::new(header.key(), &bytes[..bytes.len() - 4096], None);
        let first: Frame<'_> = walk.next_frame().expect("a SEGOPEN");
        let (open, table) = SegOpen::decode(&first).expect("a SEGOPEN");
        let mut types: Vec<(String, Option<Description>)> = Vec::new();
        let read = |item: &TypeItem<'_>| {
            let described = item.encoding == Encoding::Archive;
            let description =
                described.then(|| Description::decode(item.description).expect("one"));
            (item.name.to_owned(), description)
        };
        for entry in table {
            let (number, item) = entry.expect("a type");
            assert_eq!(usize::from(number.get()), types.len() + 1);
            types.push(read(&item));
        }
        assert_eq!(open.next_type.map(|next| next.get()), Some(types.len() as u16 + 1));
        let before = &events[..first.header.sequence.get() as usize - 1];
        let mut streams: Vec<_> = before.iter().filter_map(|event| event.stream.clone()).collect();
        streams.sort_unstable();
        streams.dedup_by(|one, other| one.0 == other.0);
        assert_eq!(open.next_stream.get(), streams.len() as u64 + 1);

        let mut sequence = first.header.sequence.get() as usize;
        while let Ok(frame) = walk.next_frame() {
            assert_eq!(frame.header.kind, FrameKind::Data);
            for item in Items::new(frame.body) {
                let item = item.expect("an item");
                match item.header.flags.kind {
                    ItemKind::Type => {
                        types.push(read(&TypeItem::decode(item.payload).expect("a type")));
                    }
                    ItemKind::Event => {
                        let number = usize::from(item.header.type_number.get());
                        let mut out = String::new();
                        match &types[number - 1].1 {
                            Some(description) => render(description, item.payload, &mut out, 1_000)
                                .expect("as described"),
                            None => out.push_str(std::str::from_utf8(item.payload).expect("text")),
                        }
                        assert_eq!(out, shown[sequence - 1], "event {sequence}");
                        assert_eq!(types[number - 1].0, events[sequence - 1].event_type.0);
                        sequence += 1;
                    }
                    _ => {}
                }
            }
        }
        assert!(sequence > first.header.sequence.get() as usize, "it has events");
        assert!(number == 1 || types.len() >= 2, "its table has what came before");
    }
}

#[test]
fn does_an_independent_reader_read_the_last_segment_alone() {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let shown = many_segments(directory.path());
    let log = small().open_read_only(directory.path()).expect("a log");
    let (events, streams) = (read_all(&log), log.streams());
    let last = *used_segments(directory.path()).last().expect("segments");
    let output = Command::new("python3")
        .arg(reader)
        .arg("--segment")
        .arg(segment_path(directory.path(), last))
        .output()
        .expect("the reader runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let end = lines.pop().expect("an end");
    assert_eq!(end["end"]["next_sequence"], events.len() as u64 + 1);
    assert_eq!(end["end"]["next_stream"], streams + 1);
    assert_eq!(end["end"]["next_type"], 4);
    assert!(lines.len() > 10 && lines.len() < events.len());
    // All events of the last segment, and so the last ones of the log.
    for (line, (event, shown)) in lines.iter().rev().zip(events.iter().zip(&shown).rev()) {
        assert_eq!(line["sequence"], event.sequence);
        assert_eq!((&line["ts"], &line["epoch"]), (&json!(event.ts), &json!(event.epoch)));
        assert_eq!(line["type"], event.event_type.0);
        let version = event.stream.as_ref().map(|(_, version)| *version);
        assert_eq!(line["stream_version"], json!(version));
        let payload = match event.event_type.0.as_str() {
            "note.txt" => Value::String("6e".repeat(shown.len())),
            _ => serde_json::from_str(shown).expect("JSON"),
        };
        assert!(line["payload"] == payload, "event {}", event.sequence);
    }
}
