//! Does a log of 10,000 segments open, read and shrink within 1,024 descriptors?
//!
//! Method: a real log of one segment, and sparse segments behind it, each with a SEGOPEN, one event
//! of a stream and a SEAL, as a writer would leave them. Alone in this file, since the limit holds
//! for the whole process.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use factlog::{
    Encoding, Expected, Meta, Opaque, Options, Retention, Sequence, Start, StreamKey, StreamVersion,
};
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, ITEM_HEADER, align_up, seal_offset};
use factlog_codec::{
    EventExtensions, Fold, FrameDraft, FrameFlags, FrameKind, ItemFlags, ItemHeader, ItemKind,
    Link, Position, Predecessor, Seal, SegOpen, SegmentHeader, SegmentId, StreamNumber, Succession,
    TypeItem, TypeNumber, Walk, WriteWay, seal_frame,
};
use factlog_tests::small;
use factlog_tests::surgery::{SegmentFile, segment_path};

const SEGMENTS: u32 = 10_000;
const STREAMS: u64 = 100;

static NOTE: factlog::EventType = factlog::EventType::opaque("note", 1);

fn name(number: u64) -> StreamKey {
    StreamKey::new("chapter", number).expect("a key")
}

/// What the segment before has left.
struct Before {
    header: SegmentHeader,
    draft: FrameDraft,
    end: u32,
    fold: Fold,
    /// For each stream, version and frame of its last event.
    heads: Vec<(u64, Position)>,
}

/// The engine's own first segment: one event of every stream.
fn begin(directory: &Path) -> Before {
    let mut writer = small().open(directory).expect("opens");
    let mut transaction = writer.begin().expect("begun");
    for number in 0..STREAMS {
        let stream = name(number);
        let meta = Meta::new().stream(&stream, Expected::NEW);
        transaction.append_with(&Opaque::new(&NOTE, b"first"), meta).expect("appended");
    }
    transaction.commit().expect("committed");
    writer.close().expect("closed");
    for entry in fs::read_dir(directory.join("seg")).expect("listed") {
        let path = entry.expect("an entry").path();
        if path != segment_path(directory, 1) {
            fs::remove_file(path).expect("a spare is removed");
        }
    }
    let segment = SegmentFile::read(directory, 1);
    let mut walk = Walk::new(segment.key(), &segment.bytes[..seal_offset(22)], None);
    let mut last = None;
    while let Ok(frame) = walk.next_frame() {
        last = Some(frame.header);
    }
    let last = last.expect("a frame");
    let draft = FrameDraft {
        kind: FrameKind::Data,
        flags: FrameFlags::NONE,
        sequence: last.next_sequence(),
        count: 1,
        ts: last.ts,
        durable: last.durable,
        epoch: last.epoch,
    };
    let state = walk.state();
    let heads = vec![(1, Position::new(SegmentId::FIRST, last.offset, 22)); STREAMS as usize];
    Before { header: segment.header, draft, end: state.offset, fold: state.fold, heads }
}

/// Adds a sealed segment with one event, as a sparse file.
fn add(directory: &Path, before: &mut Before) {
    let id = before.header.segment.next().expect("a number");
    let header = SegmentHeader {
        segment: id,
        salt: before.header.salt ^ u64::from(id.get()),
        ..before.header
    };
    let key = header.key();
    let sequence = before.draft.sequence;
    let stream = sequence.get() % STREAMS;
    let description: &[u8] = &[];
    let item = TypeItem {
        name: "note",
        version: 1,
        encoding: Encoding::Opaque,
        fingerprint: NOTE.key().fingerprint,
        description,
    };
    let len = SegOpen::LEN + SegOpen::type_len(&item);
    let mut space = vec![0; align_up(FRAME_HEADER + len)];
    let open = SegOpen {
        history: factlog::HistoryId::new(uuid(7)),
        before: Predecessor {
            segment: before.header.segment,
            end: before.end,
            fold: before.fold,
            why: Succession::Full,
        },
        wall_clock: before.draft.ts,
        next_stream: StreamNumber::new(STREAMS + 1),
        next_type: Some(TypeNumber::new(2)),
        types: 1,
        way: WriteWay::Mapped,
    };
    let rest = open.encode(&mut space[FRAME_HEADER..FRAME_HEADER + len]);
    SegOpen::encode_type(rest, TypeNumber::new(1), &item);
    let first_ts = before.draft.ts + 1;
    let draft = FrameDraft { kind: FrameKind::SegOpen, count: 0, ts: first_ts, ..before.draft };
    let sealed = seal_frame(key, FIRST_FRAME, &draft, &mut space, len);
    let fold = key.empty_fold().then(FIRST_FRAME, sealed.crc);
    let at = FIRST_FRAME + sealed.span;

    let (version, previous) = before.heads[stream as usize];
    let previous_index = if version == 1 { stream as u16 } else { 0 };
    let link = Link { version: StreamVersion::new(version + 1), previous, index: previous_index };
    let extensions = EventExtensions { link: Some(link), ..EventExtensions::default() };
    let extensions_len = extensions.encoded_len().expect("it fits");
    let payload = format!("event {sequence}");
    let body = ITEM_HEADER + extensions_len + payload.len();
    let mut frame = vec![0; align_up(FRAME_HEADER + body)];
    let item = ItemHeader {
        len: payload.len() as u32,
        type_number: TypeNumber::new(1),
        flags: ItemFlags { kind: ItemKind::Event, last: false },
        extension_units: (extensions_len / 16) as u8,
        stream: StreamNumber::new(stream + 1),
    };
    let start = FRAME_HEADER + ITEM_HEADER;
    frame[FRAME_HEADER..start].copy_from_slice(&item.encode());
    extensions.encode(&mut frame[start..start + extensions_len]);
    frame[start + extensions_len..start + extensions_len + payload.len()]
        .copy_from_slice(payload.as_bytes());
    let draft = FrameDraft { ts: first_ts + 1, ..before.draft };
    let sealed = seal_frame(key, at, &draft, &mut frame, body);
    let fold = fold.then(at, sealed.crc);
    let end = at + sealed.span;
    let seal = Seal {
        end,
        first_sequence: sequence,
        next_sequence: sequence.after(1),
        first_ts,
        last_ts: draft.ts,
        fold,
        frames: 2,
        epoch: draft.epoch,
        chain: [0; 32],
    };
    let seal_at = seal_offset(22);
    let file = fs::File::create(segment_path(directory, id.get())).expect("made");
    file.set_len(1 << 22).expect("sparse");
    for (bytes, offset) in [
        (&header.encode()[..], 0),
        (&space[..], u64::from(FIRST_FRAME)),
        (&frame[..], u64::from(at)),
        (&seal.encode(key, seal_at as u32)[..], seal_at as u64),
    ] {
        file.write_all_at(bytes, offset).expect("written");
    }
    before.heads[stream as usize] = (version + 1, Position::new(id, at, 22));
    before.header = header;
    before.draft = FrameDraft {
        sequence: sequence.after(1),
        durable: Position::new(id, end, 22),
        ts: draft.ts,
        ..draft
    };
    (before.end, before.fold) = (end, fold);
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn limit_descriptors(count: u64) {
    let limit = libc::rlimit { rlim_cur: count, rlim_max: count };
    // SAFETY: a valid pointer to a limit; it touches nothing but this process's own limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

fn read_all(log: &factlog::Log) -> (u64, Sequence) {
    let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
    let (mut count, mut last) = (0, Sequence::ZERO);
    while let Some(event) = cursor.next_event().expect("readable") {
        if event.sequence().get() > STREAMS
            && event.sequence().get() < STREAMS + u64::from(SEGMENTS)
        {
            assert_eq!(event.payload(), format!("event {}", event.sequence()).as_bytes());
        }
        (count, last) = (count + 1, event.sequence());
    }
    (count, last)
}

fn read_streams(log: &factlog::Log) -> u64 {
    let mut count = 0;
    for number in 0..STREAMS {
        let mut cursor = log.stream(&name(number), StreamVersion::NONE);
        while cursor.next_event().expect("readable").is_some() {
            count += 1;
        }
        assert_eq!(cursor.next_version(), log.stream_version(&name(number)).next());
    }
    count
}

#[test]
fn do_ten_thousand_segments_open_within_a_thousand_descriptors() {
    limit_descriptors(1024);
    let directory = tempfile::tempdir().expect("a directory");
    let mut before = begin(directory.path());
    for _ in 1..SEGMENTS {
        add(directory.path(), &mut before);
    }
    let events = STREAMS + u64::from(SEGMENTS) - 1;
    let mut writer = small().open(directory.path()).expect("opens");
    assert_eq!(writer.recovery().segments, SEGMENTS);
    let log = writer.log();
    assert_eq!(read_all(&log), (events, Sequence::new(events)));
    assert_eq!(read_streams(&log), events);
    // What was read does not stay mapped, but for the last few.
    assert!(log.stats().mapped_bytes <= 24 << 22, "{} bytes", log.stats().mapped_bytes);
    // A thousand cursors, each in a segment of its own.
    let mut cursors: Vec<_> = (0..1000)
        .map(|number| log.cursor(Start::Sequence(Sequence::new(STREAMS + 1 + number * 9))))
        .collect::<Result<_, _>>()
        .expect("cursors");
    for (number, cursor) in (0..).zip(&mut cursors) {
        let event = cursor.next_event().expect("readable").expect("an event");
        assert_eq!(event.sequence().get(), STREAMS + 1 + number * 9);
    }
    assert_eq!(log.stats().cursors, 1000);
    drop(cursors);
    writer.append(&Opaque::new(&NOTE, b"one more")).expect("appended");
    writer.sync().expect("synced");

    // All but the last go; what is left opens again, and goes on.
    let retained = writer.retain(&Retention::keep_segments(1)).expect("dropped");
    assert!(retained.dropped >= SEGMENTS - 1, "{retained:?}");
    writer.close().expect("closed");
    let mut writer = small().open(directory.path()).expect("opens");
    let (count, last) = read_all(&writer.log());
    assert!((1..3).contains(&count) && last.get() == events + 1);
    assert!(read_streams(&writer.log()) <= count);
    #[factlog::event(name = "another", version = 1)]
    struct Another {
        number: u64,
    }
    let stream = StreamKey::new("another", 1_u64).expect("a key");
    let meta = Meta::new().stream(&stream, Expected::NEW);
    writer.append_with(&Another { number: 1 }, meta).expect("another type, another stream");
    let stream = name(7);
    let version = writer.stream_version(&stream);
    assert_eq!(version.get(), before.heads[7].0);
    let meta = Meta::new().stream(&stream, Expected::Version(version));
    writer.append_with(&Another { number: 2 }, meta).expect("an old stream goes on");
    writer.close().expect("closed");
    let log = Options::new().open_read_only(directory.path()).expect("opens");
    assert_eq!(read_all(&log).0, count + 2);
}
