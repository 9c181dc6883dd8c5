//! Is a log of this format version read as it always was, by this program and by another one?
//!
//! `tests/golden/v1/` holds a small log, its segment cut where zeros begin, and a listing of its
//! events. The listing must come out of the engine, and of the reader in Python that shares
//! no code with it, only `codec/FORMAT.md`. A new one is made by
//! `FACTLOG_MAKE_GOLDEN=1 cargo test -p factlog-tests --test golden`, for a new format version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use factlog::{
    Clock, EventRef, EventType, Expected, Key, Meta, Opaque, Options, Recovery, RecoveryOutcome,
    Retention, Sequence, Start, StreamKey, render,
};
use factlog_codec::FrameKind;
use factlog_tests::damaged::{Damage, log};
use factlog_tests::small;
use factlog_tests::surgery::SegmentFile;
use serde_json::{Value, json};

static NOTE: EventType = EventType::opaque("golden-note", 1);

#[factlog::value]
enum Mood {
    Calm,
    Excited { why: String, degree: f32 },
}

#[factlog::event(name = "golden-event", version = 3)]
struct Golden {
    flag: bool,
    numbers: (u8, i16, u32, i64),
    wide: u128,
    ratio: f64,
    letter: char,
    short: String,
    long: String,
    list: Vec<u16>,
    grid: [u8; 4],
    perhaps: Option<u64>,
    never: Option<String>,
    boxed: Box<str>,
    moods: Vec<Mood>,
    took: Duration,
}

#[factlog::event(name = "golden-mark", version = 1)]
struct Mark;

/// A clock that stands still, and once goes back.
struct Fixed(Vec<u64>);

impl Clock for Fixed {
    fn now(&mut self) -> u64 {
        if self.0.len() > 1 { self.0.remove(0) } else { self.0[0] }
    }
}

fn make(directory: &Path) {
    let clock = || Fixed(vec![1_000_000, 2_000_000, 1_500_000, 3_000_000]);
    let options = || Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
    let mut writer = options().clock(clock()).open(directory).expect("a log");
    let golden = |number: u32| Golden {
        flag: true,
        numbers: (1, -2, number, i64::MIN),
        wide: u128::MAX,
        ratio: if number == 0 { f64::NEG_INFINITY } else { 0.5 },
        letter: 'ß',
        short: "eight b.".into(),
        long: "a text that does not fit eight bytes, with \"quotes\" and \u{7}".into(),
        list: vec![1, 2, 3],
        grid: [0, 1, 254, 255],
        perhaps: Some(7),
        never: None,
        boxed: "boxed text".into(),
        moods: vec![Mood::Calm, Mood::Excited { why: "a golden file".into(), degree: 1.25 }],
        took: Duration::new(1, 2),
    };
    let names = [
        StreamKey::new("by-number", 42_u64),
        StreamKey::new("by-text", "clé"),
        StreamKey::new("by-bytes", &[0_u8, 255][..]),
    ]
    .map(|name| name.expect("a name"));
    let first = writer.append(&golden(0)).expect("appended");
    let mut transaction = writer.begin().expect("begun");
    for (number, name) in names.iter().chain(&names).enumerate() {
        let meta = Meta::new().stream(name, Expected::Any).cause(first).correlation(first);
        let meta = if number % 2 == 0 { meta.metadata(b"golden metadata") } else { meta };
        transaction.append_with(&golden(number as u32 + 1), meta).expect("appended");
    }
    transaction.append(&Mark).expect("appended");
    transaction.commit().expect("committed");
    writer.close().expect("closed");
    // A second epoch goes on in the same segment.
    let mut writer = options().clock(clock()).open(directory).expect("opens");
    writer.append(&Opaque::new(&NOTE, b"{\"opaque\":true}")).expect("appended");
    let meta = Meta::new().stream(&names[1], Expected::Any);
    writer.append_with(&golden(99), meta).expect("appended");
    writer.close().expect("closed");
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

/// The golden log, with its zeros, in a directory of its own.
fn restore(directory: &Path) {
    fs::create_dir_all(directory.join("seg")).expect("made");
    for name in ["MANIFEST-a", "MANIFEST-b", "seg/0000000001.log"] {
        fs::copy(golden().join(name), directory.join(name)).expect("copied");
    }
    let segment = directory.join("seg/0000000001.log");
    let file = fs::OpenOptions::new().write(true).open(segment).expect("opened");
    file.set_len(4 << 20).expect("made longer");
}

fn listing(event: EventRef<'_>) -> Value {
    let known = event.event_type().expect("a type");
    let payload = match known.description() {
        Some(description) => {
            let mut text = String::new();
            render(description, event.payload(), &mut text, 1 << 20).expect("rendered");
            serde_json::from_str(&text).expect("JSON")
        }
        None => Value::String(hex(event.payload())),
    };
    let stream = event.stream().map(|stream| {
        let key = match stream.key() {
            Key::U64(key) => json!(key),
            Key::Uuid(key) => json!(key.to_string()),
            Key::Text(key) => json!(key),
            Key::Bytes(key) => json!(format!("hex:{}", hex(key))),
            other => panic!("{other:?}"),
        };
        json!({"category": stream.category(), "key": key})
    });
    let metadata = event.metadata().expect("readable");
    json!({
        "sequence": event.sequence().get(),
        "ts": event.ts(),
        "epoch": event.epoch().get(),
        "segment": 1,
        "type": known.name(),
        "version": known.version(),
        "stream": stream,
        "stream_version": event.stream_version().expect("readable").map(|version| version.get()),
        "cause": event.cause().expect("readable").map(Sequence::get),
        "correlation": event.correlation().expect("readable").map(Sequence::get),
        "metadata": (!metadata.is_empty()).then(|| hex(metadata)),
        "payload": payload,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the engine reads.
fn by_engine(directory: &Path) -> Vec<Value> {
    let log = Options::new().open_read_only(directory).expect("the golden log opens");
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let mut all = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        all.push(listing(event));
    }
    all
}

/// What the reader in Python reads; `None` where there is no Python.
fn by_reader(words: &[&Path]) -> Option<Vec<Value>> {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(reader).args(words);
    let Ok(output) = command.output() else {
        println!("skipped: there is no python3");
        return None;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the reader refuses: {errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn expected() -> Vec<Value> {
    let text = fs::read_to_string(golden().join("events.jsonl")).expect("the listing");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn is_the_golden_log_read_as_it_always_was() {
    if std::env::var_os("FACTLOG_MAKE_GOLDEN").is_some() {
        let directory = tempfile::tempdir().expect("a directory");
        make(directory.path());
        fs::create_dir_all(golden().join("seg")).expect("made");
        for name in ["MANIFEST-a", "MANIFEST-b", "seg/0000000001.log"] {
            let mut bytes = fs::read(directory.path().join(name)).expect("read");
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(if name.starts_with("MANIFEST") { 4096 } else { end });
            fs::write(golden().join(name), bytes).expect("written");
        }
        let lines = by_engine(directory.path())
            .iter()
            .map(|event| format!("{event}\n"))
            .collect::<String>();
        fs::write(golden().join("events.jsonl"), lines).expect("written");
    }
    let directory = tempfile::tempdir().expect("a directory");
    restore(directory.path());
    let expected = expected();
    assert_eq!(expected.len(), 10);
    assert_eq!(by_engine(directory.path()), expected);
    if let Some(mut lines) = by_reader(&[directory.path()]) {
        let end = lines.pop().expect("an end");
        assert_eq!(lines, expected, "the reader in Python reads something else");
        assert_eq!(end["end"]["next_sequence"], 11);
        assert_eq!((&end["end"]["next_stream"], &end["end"]["next_type"]), (&json!(4), &json!(4)));
        // A changed byte is found by the reader as well.
        let segment = directory.path().join("seg/0000000001.log");
        let mut bytes = fs::read(&segment).expect("read");
        bytes[4300] ^= 1;
        fs::write(&segment, bytes).expect("written");
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
        let output = Command::new("python3").arg("-B").arg(reader).arg(directory.path()).output();
        assert_eq!(output.expect("it ran once").status.code(), Some(1));
    }
    let directory = tempfile::tempdir().expect("a directory");
    restore(directory.path());
    Options::new().open(directory.path()).expect("and it can be gone on with");
}

#[test]
fn does_the_reader_read_the_last_segment_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let name = |key: u64| StreamKey::new("of", key).expect("a name");
    for number in 0..300_u64 {
        let stream = name(number / 10);
        let meta = Meta::new().stream(&stream, Expected::Any);
        writer.append_with(&Opaque::new(&NOTE, &[7; 50_000]), meta).expect("appended");
        if number == 200 {
            writer.append(&Mark).expect("appended");
        }
    }
    let (types, streams) = (writer.log().types().count(), writer.log().streams());
    let last = writer.log().visible().1.raw() >> 22;
    writer.close().expect("closed");
    assert!(last > 3, "several segments");
    let path = directory.path().join(format!("seg/{last:010}.log"));
    let Some(mut lines) = by_reader(&[Path::new("--segment"), &path]) else { return };
    let end = lines.pop().expect("an end");
    assert_eq!(end["end"]["next_type"], json!(types + 1));
    assert_eq!(end["end"]["next_stream"], json!(streams + 1));
    assert_eq!(end["end"]["next_sequence"], json!(302));
    assert!(!lines.is_empty());
    for line in &lines {
        assert_eq!(line["payload"].as_str().expect("opaque").len(), 100_000);
    }
    let whole = by_reader(&[directory.path()]).expect("Python is there");
    assert_eq!(whole.len(), 302);
    // Without its first segments the log is read by what the catalog says.
    let writer = Options::new().open(directory.path()).expect("opens");
    assert!(writer.retain(&Retention::keep_segments(2)).expect("dropped").dropped > 1);
    writer.close().expect("closed");
    let mut lines = by_reader(&[directory.path()]).expect("Python is there");
    let end = lines.pop().expect("an end");
    assert_eq!(end["end"]["next_stream"], json!(streams + 1));
    let without_segment = |mut line: Value| {
        line.as_object_mut().expect("an object").remove("segment");
        line
    };
    let by_engine: Vec<_> = by_engine(directory.path()).into_iter().map(without_segment).collect();
    let by_reader: Vec<_> = lines.into_iter().map(without_segment).collect();
    assert!(by_reader.len() < 200 && by_reader[0]["stream_version"].as_u64() > Some(1));
    assert_eq!(by_reader, by_engine);
    // A changed catalog is refused.
    let path = directory.path().join("CATALOG");
    let mut bytes = fs::read(&path).expect("the catalog");
    bytes[100] ^= 1;
    fs::write(&path, bytes).expect("written");
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let output = Command::new("python3").arg("-B").arg(reader).arg(directory.path()).output();
    let output = output.expect("it ran before");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the catalog does not verify"));
}

/// A repaired log is read alike. Without the GAP the repair has not happened, and both say that
/// the log is damaged.
#[test]
fn does_the_reader_know_what_a_repair_needs() {
    let (damaged, _) = log(3, false);
    Damage::Flip(2, 9).apply(damaged.path());
    let repaired = small().recovery(Recovery::Repair).open(damaged.path()).expect("repaired");
    repaired.close().expect("closed");
    let Some(mut lines) = by_reader(&[damaged.path()]) else { return };
    lines.pop().expect("an end");
    let sequences = |lines: &[Value]| -> Vec<_> {
        lines.iter().map(|line| (line["sequence"].clone(), line["payload"].clone())).collect()
    };
    assert!(lines.len() > 10);
    assert_eq!(sequences(&lines), sequences(&by_engine(damaged.path())));

    let mut successor = SegmentFile::read(damaged.path(), 3);
    let gap = successor.frames()[1];
    assert_eq!(gap.kind, FrameKind::Gap);
    successor.bytes[gap.offset as usize..(gap.offset + gap.span) as usize].fill(0);
    successor.write();
    let found = small().verify(damaged.path()).expect("a report");
    assert_eq!(found.outcome, RecoveryOutcome::Damaged);
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let output = Command::new("python3").arg("-B").arg(reader).arg(damaged.path()).output();
    let output = output.expect("it ran once");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("segment 2 offset"), "{said}");
}
