//! Logs that are damaged in a certain way, and what is left of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use factlog::{AppendError, DiskObserver, EventType, Expected, Meta, Opaque, StreamKey, Writer};
use tempfile::TempDir;

use crate::surgery::{SegmentFile, copy_directory, segment_path};
use crate::{SealHeld, Seen, read_all, small};

static BLOCK: EventType = EventType::opaque("block", 1);

/// Number of streams.
pub const STREAMS: u64 = 5;

/// The stream of an event.
///
/// # Panics
///
/// Never: the name is a good one.
pub fn stream_of(sequence: u64) -> StreamKey {
    StreamKey::new("block", sequence % STREAMS).expect("a name")
}

/// Appends an event to the stream of its sequence; its payload begins with its sequence.
///
/// # Panics
///
/// When it is not appended.
pub fn append(writer: &mut Writer, bytes: usize) {
    let sequence = writer.next_sequence().get();
    let mut payload = vec![sequence as u8; bytes.max(8)];
    payload[..8].copy_from_slice(&sequence.to_le_bytes());
    let stream = stream_of(sequence);
    let meta = Meta::new().stream(&stream, Expected::Version(writer.stream_version(&stream)));
    writer.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
}

/// Appends so many events of 160 bytes to one stream.
///
/// # Panics
///
/// When one is not appended.
pub fn append_short(writer: &mut Writer, count: usize) {
    for _ in 0..count {
        try_append(writer).expect("appended");
    }
}

/// Appends an event of 160 bytes to one stream.
///
/// # Errors
///
/// Those of the append.
///
/// # Panics
///
/// Never: the name is a good one.
pub fn try_append(writer: &mut Writer) -> Result<(), AppendError> {
    let stream = StreamKey::new("block", "all").expect("a name");
    let payload = writer.next_sequence().get().to_le_bytes().repeat(20);
    let meta = Meta::new().stream(&stream, Expected::Any);
    writer.append_with(&Opaque::new(&BLOCK, &payload), meta).map(drop)
}

/// A log that goes to segment `segments` and has 20 events there, and what is in it. Closed, or
/// dropped: then all but those 20 is durable, as they bear witness.
///
/// # Panics
///
/// When it cannot be written.
pub fn log(segments: u64, closed: bool) -> (TempDir, Vec<Seen>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path()).expect("a log");
    while writer.log().stats().rollovers < segments - 1 {
        append(&mut writer, 150_000);
    }
    writer.sync().expect("synced");
    for _ in 0..20 {
        append(&mut writer, 500);
    }
    let events = read_all(&writer.log());
    if closed {
        writer.close().expect("closed");
    }
    (directory, events)
}

/// A log of four segments in `log` of a directory, of which nothing bears witness to be durable.
///
/// # Panics
///
/// When it cannot be written.
pub fn never_synced() -> (TempDir, Vec<Seen>) {
    let home = tempfile::tempdir().expect("a directory");
    let (live, crashed) = (home.path().join("live"), home.path().join("log"));
    let held = Arc::new(SealHeld::default());
    let observer: Arc<dyn DiskObserver> = Arc::clone(&held) as _;
    let mut writer = small().disk_observer(observer).open(&live).expect("a log");
    while writer.log().stats().rollovers < 3 {
        append(&mut writer, 150_000);
    }
    for _ in 0..20 {
        append(&mut writer, 500);
    }
    let events = read_all(&writer.log());
    copy_directory(&live, &crashed);
    held.release();
    drop(writer);
    for number in 1..=4 {
        let frames = SegmentFile::read(&crashed, number).frames();
        assert!(frames.iter().all(|frame| frame.durable.raw() == 0), "segment {number}");
    }
    (home, events)
}

/// What is damaged. Segments are counted from 1.
#[derive(Debug, Clone, Copy)]
pub enum Damage {
    /// A byte of a frame with events, counted from 0, is changed.
    Flip(u32, usize),
    /// A byte of a header is changed.
    Header(u32),
    /// The file is missing.
    Missing(u32),
    /// A byte of the first frame is changed.
    SegOpen(u32),
    /// The last frames with events are all zero: how many.
    Tail(u32, usize),
}

impl Damage {
    /// Damages the log in `directory`; the sequence of the first event that is lost. Its stream
    /// tables go too, so that opening looks at everything.
    ///
    /// # Panics
    ///
    /// When there is no such place.
    pub fn apply(self, directory: &Path) -> u64 {
        for entry in fs::read_dir(directory.join("seg")).expect("segments") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "streams") {
                fs::remove_file(path).expect("removed");
            }
        }
        let (Self::Flip(number, _)
        | Self::Header(number)
        | Self::Missing(number)
        | Self::SegOpen(number)
        | Self::Tail(number, _)) = self;
        let mut segment = SegmentFile::read(directory, number);
        let first = segment.frames()[0].sequence.get();
        let frames = segment.data_frames();
        let lost = match self {
            Self::Flip(_, frame) => {
                segment.bytes[frames[frame].offset as usize + 70] ^= 0x20;
                frames[frame].sequence.get()
            }
            Self::Header(_) => {
                segment.bytes[41] ^= 0x20;
                first
            }
            Self::Missing(_) => {
                fs::remove_file(segment_path(directory, number)).expect("removed");
                return first;
            }
            Self::SegOpen(_) => {
                segment.bytes[4096 + 70] ^= 0x20;
                first
            }
            Self::Tail(_, count) => {
                let from = frames[frames.len() - count];
                let end = segment.end() as usize;
                segment.bytes[from.offset as usize..end].fill(0);
                from.sequence.get()
            }
        };
        segment.write();
        lost
    }
}
