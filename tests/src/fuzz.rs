//! What is fuzzed: any bytes give a result or a typed error. No panic, no hang, bounded memory.
//!
//! Each body gives how many pieces of its input were accepted, so that a run which accepts nothing
//! can be told from one that tests something.

use factlog::{
    AppendError, Description, Event, EventType, Log, Opaque, Options, StreamKey, StreamVersion,
    TypeItemError, render,
};
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, MIN_SEGMENT_BITS, PAGE};
use factlog_codec::{
    CursorSlot, Frame, FrameKind, ItemKind, Items, Manifest, Seal, SegOpen, SegmentHeader,
    SegmentId, SegmentKey, Sequence, TypeItem, Walk, find_residue,
};

/// Salt of the made-up segment.
pub const SALT: u64 = 0x5EED;
const BITS: u8 = MIN_SEGMENT_BITS;

/// What is appended where the types above are not what they were.
static OTHER: EventType = EventType::opaque("fuzzed-other", 1);

/// The key of the made-up segment.
pub const fn key() -> SegmentKey {
    SegmentKey::new(SALT, SegmentId::FIRST)
}

/// An event without pointers.
#[factlog::event(name = "fuzzed-flat", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Flat {
    /// A number.
    pub number: u64,
    /// Another.
    pub ratio: f64,
    /// A letter.
    pub letter: char,
    /// A flag.
    pub flag: Option<bool>,
}

/// A value with pointers.
#[factlog::value]
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// From where.
    pub from: String,
    /// By whom.
    pub crew: Vec<String>,
}

/// An event with pointers.
#[factlog::event(name = "fuzzed-deep", version = 1)]
#[derive(Debug, Clone, PartialEq)]
pub struct Deep {
    /// A text.
    pub text: String,
    /// Values with pointers.
    pub legs: Vec<Leg>,
    /// Perhaps another.
    pub perhaps: Option<Box<Leg>>,
}

/// `bytes` are what follows the header page of a segment.
pub fn frames(bytes: &[u8]) -> u64 {
    let mut segment = vec![0; PAGE];
    segment.extend_from_slice(bytes);
    segment.resize(segment.len() + PAGE, 0);
    mend(key(), &mut segment, PAGE, 0);
    let mut accepted = 0;
    for offset in (PAGE..segment.len()).step_by(16) {
        if let Ok(frame) = Frame::parse(key(), offset as u32, &segment[offset..]) {
            items(&frame);
        }
    }
    let mut walk = Walk::new(key(), &segment, None);
    while let Ok(frame) = walk.next_frame() {
        accepted += 1;
        items(&frame);
    }
    let from = walk.state().offset;
    let residue = find_residue(key(), &segment, from, BITS, Sequence::FIRST);
    accepted + u64::from(residue.frames)
}

fn items(frame: &Frame<'_>) {
    if frame.header.kind == FrameKind::SegOpen {
        let _ = SegOpen::decode(frame);
    }
    for item in Items::new(frame.body).map_while(Result::ok) {
        let extensions = item.extensions;
        let _ = (extensions.link(), extensions.further(), extensions.cause());
        let _ = (extensions.correlation(), extensions.invalidates(), extensions.source());
        let _ = (extensions.effect_key(), extensions.metadata(), extensions.check());
        match item.header.flags.kind {
            ItemKind::Type => {
                let decoded: Result<_, TypeItemError> = TypeItem::decode(item.payload);
                if let Ok(decoded) = decoded {
                    descriptions(decoded.description);
                }
            }
            ItemKind::Stream => {
                let _ = StreamKey::decode(item.payload);
            }
            _ => {}
        }
    }
}

/// Pages: header, SEAL, manifest, cursor.
pub fn pages(bytes: &[u8]) -> u64 {
    let mut page = bytes.to_vec();
    page.resize(PAGE.max(bytes.len()), 0);
    u64::from(SegmentHeader::decode(&page).is_ok())
        + u64::from(Seal::decode(key(), FIRST_FRAME, &page).is_ok())
        + u64::from(Manifest::decode(&page).is_ok())
        + u64::from(CursorSlot::decode(&page).is_ok())
        + u64::from(SegmentHeader::decode(bytes).is_ok())
}

/// A description, and behind it a payload.
pub fn descriptions(bytes: &[u8]) -> u64 {
    let mut accepted = 0;
    for split in [bytes.len(), bytes.len() / 2, bytes.len().saturating_sub(64)] {
        let (description, payload) = bytes.split_at(split);
        if let Ok(description) = Description::decode(description) {
            accepted += 1;
            let mut out = String::new();
            let _ = render(&description, payload, &mut out, 10_000);
            let _ = render(&description, bytes, &mut out, 10_000);
        }
    }
    accepted
}

/// `bytes` are payloads of two event types, traversed whole.
pub fn views(bytes: &[u8]) -> u64 {
    let mut aligned = vec![0_u128; bytes.len().div_ceil(16)];
    let mut accepted = 0;
    let space: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    space[..bytes.len()].copy_from_slice(bytes);
    let payload = &space[..bytes.len()];
    if let Ok(flat) = Flat::view(payload) {
        accepted += 1;
        let _ = format!("{flat:?} {:?}", flat.to_owned());
    }
    if let Ok(deep) = Deep::view(payload) {
        accepted += 1;
        let _ = format!("{deep:?} {:?}", deep.to_owned());
    }
    accepted
}

/// `bytes` become what follows the header of the first segment of a log in a directory of its
/// own, which is opened for reading, traversed, and opened for writing.
///
/// # Panics
///
/// When the file system fails, or the log breaks a promise: what was readable must be there after
/// recovery.
pub fn recovery(bytes: &[u8]) -> u64 {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = Options::new().segment_size(1 << BITS).open(directory.path()).expect("a log");
    drop(writer);
    let path = directory.path().join("seg/0000000001.log");
    let mut segment = std::fs::read(&path).expect("the segment");
    let header = SegmentHeader::decode(&segment).expect("its header");
    let (start, ts) = {
        let mut walk = Walk::new(header.key(), &segment, None);
        while walk.next_frame().is_ok() {}
        (walk.state().offset as usize, walk.state().ts)
    };
    let room = segment.len() - PAGE - start;
    let bytes = &bytes[..bytes.len().min(room)];
    segment[start..start + bytes.len()].copy_from_slice(bytes);
    mend(header.key(), &mut segment, start, ts);
    std::fs::write(&path, &segment).expect("written");

    let read = Options::new().open_read_only(directory.path()).map(|log| traverse(&log));
    match Options::new().open(directory.path()) {
        Ok(mut writer) => {
            let before = read.expect("what can be written can be read");
            assert_eq!(traverse(&writer.log()), before, "recovery changed what is there");
            let event = Flat { number: 1, ratio: 1.0, letter: 'x', flag: None };
            match writer.append(&event) {
                Ok(_) => {}
                // The bytes have declared the same type in another shape.
                Err(AppendError::Drift(_)) => {
                    writer.append(&Opaque::new(&OTHER, b"other")).expect("the log goes on");
                }
                Err(error) => panic!("the log does not go on: {error}"),
            }
            traverse(&writer.log()).1
        }
        Err(_) => 0,
    }
}

/// Where the bytes look like a frame, its checks are mended, or nothing would get past them; so is
/// its time, unless it is a special number.
fn mend(key: SegmentKey, segment: &mut [u8], start: usize, mut ts: u64) {
    let mut offset = start;
    while let Some(header) = segment.get(offset..offset + FRAME_HEADER) {
        let word = |at: usize| {
            u32::from_le_bytes(header[at..at + 4].try_into().unwrap_or_default()) as usize
        };
        let (len, span) = (word(4), word(40));
        let end = offset.saturating_add(span);
        let sane = span.is_multiple_of(16) && span >= FRAME_HEADER + len.min(span);
        if !sane || len + FRAME_HEADER > span || end > segment.len() - PAGE {
            return;
        }
        let at = offset as u32;
        let mut header: [u8; FRAME_HEADER] =
            segment[offset..][..FRAME_HEADER].try_into().expect("48");
        if header[16..24] != [0xFF; 8] {
            ts += 1;
            header[16..24].copy_from_slice(&ts.to_le_bytes());
        }
        let hsum = key.at(at).hsum(&header);
        header[44..].copy_from_slice(&hsum.to_le_bytes());
        segment[offset..offset + FRAME_HEADER].copy_from_slice(&header);
        let crc = key.at(at).crc(&segment[offset + 4..offset + FRAME_HEADER + len]);
        segment[offset..offset + 4].copy_from_slice(&crc.to_le_bytes());
        offset = end;
    }
}

/// Reads all there is, in every way; how many events, and how many frames.
fn traverse(log: &Log) -> (u64, u64) {
    let mut events = 0;
    if let Ok(mut cursor) = log.cursor(factlog::Start::Oldest) {
        while let Ok(Some(event)) = cursor.next_event() {
            events += 1;
            let _ = (event.get::<Flat>(), event.get::<Deep>(), event.metadata(), event.cause());
            if let Some(stream) = event.stream() {
                let _ = log.stream_version(stream);
                let mut history = log.stream_backwards(stream);
                while let Ok(Some(_)) = history.next_event() {}
                let mut forward = log.stream(stream, StreamVersion::NONE);
                while let Ok(Some(_)) = forward.next_event() {}
            }
            if let Some(description) = event.event_type().and_then(factlog::LogType::description) {
                let _ = render(description, event.payload(), &mut String::new(), 10_000);
            }
        }
    }
    (events, log.recovery().frames)
}
