//! The log that is damaged, what is in it, and what each of its bytes is for.
//!
//! What stands where is read with `factlog_codec` alone, from the files as they were written, so
//! that recovery is not asked what it should have found.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use factlog::{
    CommitAlign, Durability, EventType, Expected, Meta, Opaque, Options, Retention, Start,
    StreamKey, WriteWay, Writer,
};
use factlog_codec::layout::{PAGE, seal_offset};
use factlog_codec::{CursorSlot, FrameKind, Manifest, all_zero};

use crate::power_cut::ground;
use crate::surgery::{SegmentFile, segment_path, used_segments};
use crate::{Random, Seen, read_from};

/// The smallest segments there are.
pub(super) const BITS: u8 = 22;

/// Streams of the sample.
const STREAMS: u64 = 5;

/// Where the first frame of a segment stands.
pub(super) const FIRST: u64 = 4096;

/// Name of the cursor.
pub(super) const CURSOR: &str = "board";

static BLOCK: EventType = EventType::opaque("block", 1);
static NOTE: EventType = EventType::opaque("note", 2);

/// What a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The header page of a segment.
    Header,
    /// A frame: header, body, and what fills it up to the next one.
    Frame,
    /// What stands behind the end that a successor has declared: no part of the log.
    Behind,
    /// The SEAL of a segment: evidence of what the next SEGOPEN says as well.
    Seal,
    /// The manifest's slot that was written last.
    Manifest,
    /// The other one.
    OldManifest,
    /// The streams of what retention has dropped.
    Catalog,
    /// The slot of a cursor that was written last.
    Cursor,
    /// The other one.
    OldCursor,
    /// Streams as of the end of a segment: derived.
    Table,
}

impl Part {
    pub(super) const ALL: [Self; 10] = [
        Self::Header,
        Self::Frame,
        Self::Behind,
        Self::Seal,
        Self::Manifest,
        Self::OldManifest,
        Self::Catalog,
        Self::Cursor,
        Self::OldCursor,
        Self::Table,
    ];

    /// As words for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Header => "headers",
            Self::Frame => "frames",
            Self::Behind => "behind a declared end",
            Self::Seal => "SEALs",
            Self::Manifest => "newer manifest",
            Self::OldManifest => "older manifest",
            Self::Catalog => "catalog",
            Self::Cursor => "newer cursor slot",
            Self::OldCursor => "older cursor slot",
            Self::Table => "stream tables",
        }
    }
}

/// A stretch of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    /// Which file.
    pub(super) file: usize,
    /// From this byte on.
    pub(super) from: u64,
    /// Up to this one.
    pub(super) to: u64,
    pub(super) part: Part,
    /// The segment's number; 0 elsewhere.
    pub(super) segment: u32,
    /// How many events stand before it.
    pub(super) kept: usize,
}

/// A file of the sample.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its path within the log's directory.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

/// A log, as files in memory.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) files: Vec<Stored>,
    pub(super) regions: Vec<Region>,
    /// What a reader sees of it.
    pub(super) events: Vec<Seen>,
    /// Streams, and the versions of their last events.
    pub(super) versions: Vec<(StreamKey, u64)>,
    /// Where the cursor goes on: by the slot that was written last, and by the other one.
    pub(super) cursor: (u64, u64),
    /// Everything below this place is durable by a witness: segment and offset.
    pub(super) durable: (u32, u32),
    /// Where the log ends.
    pub(super) end: (u32, u32),
}

/// When a log that was not closed is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// When its last commit has just been acknowledged.
    AtOnce,
    /// The same, and nothing bears witness to that commit yet.
    BeforeWitness,
    /// When the manifest has said how far it is durable.
    Rested,
}

/// Options for logs as small as can be.
pub(super) fn options() -> Options {
    let small = Options::new().segment_size(1 << BITS).spare_segments(1).prefault(0);
    small.durability(Durability::Group).commit_align(CommitAlign::None)
}

/// Waits until a stream table has been written, in the background: without one everything is walked
/// when the log is opened, and nothing is left for readers to meet.
fn await_table(root: &Path) {
    let began = Instant::now();
    let there = || {
        let entries = fs::read_dir(root.join("seg")).expect("a folder");
        let mut names = entries.map(|entry| PathBuf::from(entry.expect("an entry").file_name()));
        names.any(|name| name.extension().is_some_and(|ending| ending == "streams"))
    };
    while !there() && began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn append(writer: &mut Writer, random: &mut Random, count: u64) {
    let mut left = count;
    while left > 0 {
        let together = (1 + random.below(6)).min(left);
        let mut transaction = writer.begin().expect("begun");
        for _ in 0..together {
            let mut payload = vec![0; 40 + random.below(260) as usize];
            payload.iter_mut().for_each(|byte| *byte = random.next() as u8);
            let stream = StreamKey::new("block", random.below(STREAMS)).expect("a name");
            if random.below(4) == 0 {
                transaction.append(&Opaque::new(&NOTE, &payload)).expect("appended");
            } else {
                let meta = Meta::new().stream(&stream, Expected::Any).metadata(b"of the proof");
                transaction.append_with(&Opaque::new(&BLOCK, &payload), meta).expect("appended");
            }
        }
        transaction.commit().expect("committed");
        left -= together;
    }
}

impl Sample {
    /// A cleanly closed log of about 64 KiB: three segments behind one that retention has dropped,
    /// written in both ways, one of them ended by a torn tail; commits that end at pages and such
    /// that do not; five streams, two types, a stream table, and a cursor that has saved twice.
    pub(super) fn closed(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let home = tempfile::tempdir_in(ground()).expect("a directory");
        let root = home.path();
        let open = |way| options().write_way(way).open(root).expect("opens");

        let mut writer = open(WriteWay::Mapped);
        append(&mut writer, &mut random, 20);
        writer.close().expect("closed");
        // In another way of writing the log goes on in the next segment.
        let mut writer = open(WriteWay::Staged);
        append(&mut writer, &mut random, 40);
        drop(writer);
        tear(root);
        let mut writer = open(WriteWay::Staged);
        append(&mut writer, &mut random, 25);
        writer.close().expect("closed");
        let padded = options().write_way(WriteWay::Staged).commit_align(CommitAlign::Page);
        let mut writer = padded.open(root).expect("opens");
        append(&mut writer, &mut random, 6);
        writer.close().expect("closed");
        let mut writer = open(WriteWay::Mapped);
        append(&mut writer, &mut random, 30);
        let mut cursor = writer.log().named_cursor_from(CURSOR, Start::Oldest).expect("new");
        for count in [30, 50] {
            for _ in 0..count {
                cursor.next_event().expect("readable").expect("there");
            }
            cursor.save().expect("saved");
        }
        let retained = writer.retain(&Retention::keep_segments(3)).expect("retained");
        assert_eq!(retained.dropped, 1, "{retained:?}");
        append(&mut writer, &mut random, 8);
        drop(cursor);
        await_table(root);
        writer.close().expect("closed");
        // What ended without a SEAL gets one when there is a successor that says how.
        let mut writer = open(WriteWay::Mapped);
        append(&mut writer, &mut random, 4);
        writer.close().expect("closed");
        Self::read(root)
    }

    /// A log that ends with an acknowledged commit, as it stands on the medium at that moment.
    ///
    /// # Errors
    ///
    /// It was not caught in that moment.
    pub(super) fn acknowledged(
        seed: u64,
        options: &dyn Fn() -> Options,
        moment: Moment,
    ) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let home = tempfile::tempdir_in(ground()).expect("a directory");
        let mut writer = options().open(home.path()).expect("opens");
        append(&mut writer, &mut random, 24);
        let began = Instant::now();
        loop {
            let sample = Self::read(home.path());
            let witnessed = sample.durable == sample.end;
            match moment {
                Moment::AtOnce => return Ok(sample),
                Moment::BeforeWitness if !witnessed => return Ok(sample),
                Moment::Rested if witnessed => return Ok(sample),
                // The manifest was faster: with the next commit the moment comes again.
                Moment::BeforeWitness => append(&mut writer, &mut random, 1),
                Moment::Rested => std::thread::sleep(Duration::from_millis(50)),
            }
            if began.elapsed() > Duration::from_secs(20) {
                return Err(format!("durable up to {:?} of {:?}", sample.durable, sample.end));
            }
        }
    }

    /// What stands in a directory, and what a reader sees there.
    fn read(root: &Path) -> Self {
        let mut found = Self {
            files: Vec::new(),
            regions: Vec::new(),
            events: Vec::new(),
            versions: Vec::new(),
            cursor: (0, 0),
            durable: (0, 0),
            end: (0, 0),
        };
        let log = Options::new().open_read_only(root).expect("it is whole");
        found.events = read_from(&log, Start::Oldest).expect("readable");
        for number in 0..STREAMS {
            let stream = StreamKey::new("block", number).expect("a name");
            let version = log.stream_version(&stream).get();
            found.versions.push((stream, version));
        }
        drop(log);
        found.segments(root);
        found.manifest(root);
        found.whole(root, "CATALOG".into(), Part::Catalog, 0);
        found.cursor(root);
        found.rest(root);
        found
    }

    fn add(&mut self, path: PathBuf, bytes: Vec<u8>) -> usize {
        self.files.push(Stored { path, bytes });
        self.files.len() - 1
    }

    fn whole(&mut self, root: &Path, path: PathBuf, part: Part, segment: u32) {
        let Ok(bytes) = fs::read(root.join(&path)) else { return };
        let to = bytes.len() as u64;
        let file = self.add(path, bytes);
        self.regions.push(Region { file, from: 0, to, part, segment, kept: 0 });
    }

    fn segments(&mut self, root: &Path) {
        let first = self.events.first().map_or(1, |event| event.sequence);
        let used = used_segments(root);
        for number in used.iter().copied() {
            let segment = SegmentFile::read(root, number);
            let path = within(root, &segment_path(root, number));
            let file = self.add(path, segment.bytes.clone());
            let mut add = |from: u64, to: u64, part, kept| {
                self.regions.push(Region { file, from, to, part, segment: number, kept });
            };
            let frames = segment.frames();
            let kept = |sequence: u64| (sequence - first) as usize;
            let begins = frames[0].sequence.get();
            add(0, PAGE as u64, Part::Header, kept(begins));
            for frame in &frames {
                let (from, to) = (u64::from(frame.offset), u64::from(frame.next_offset()));
                add(from, to, Part::Frame, kept(frame.sequence.get()));
            }
            let end = segment.end() as usize;
            let seal = seal_offset(BITS);
            if let Some(last) = segment.bytes[end..seal].iter().rposition(|byte| *byte != 0) {
                add(end as u64, (end + last + 1) as u64, Part::Behind, usize::MAX);
            }
            if !all_zero(&segment.bytes[seal..]) {
                add(seal as u64, (seal + PAGE) as u64, Part::Seal, usize::MAX);
            }
            self.end = (number, segment.end());
            for frame in frames {
                let durable = (frame.durable.segment(BITS).get(), frame.durable.offset(BITS));
                self.durable = self.durable.max(durable);
                assert!(frame.kind == FrameKind::Data || frame.count == 0);
            }
        }
    }

    fn manifest(&mut self, root: &Path) {
        let slots = ["MANIFEST-a", "MANIFEST-b"].map(|name| {
            let bytes = fs::read(root.join(name)).expect("a slot");
            let manifest = Manifest::decode(&bytes).expect("a manifest");
            (manifest, name)
        });
        let newer = usize::from(slots[1].0.generation > slots[0].0.generation);
        for (at, (manifest, name)) in slots.into_iter().enumerate() {
            let part = if at == newer { Part::Manifest } else { Part::OldManifest };
            self.whole(root, name.into(), part, 0);
            if at == newer {
                let place = manifest.checkpoint;
                let checkpoint = (place.segment(BITS).get(), place.offset(BITS));
                self.durable = self.durable.max(checkpoint);
            }
        }
    }

    fn cursor(&mut self, root: &Path) {
        let path = PathBuf::from("cursors").join(CURSOR);
        let Ok(bytes) = fs::read(root.join(&path)) else { return };
        let slot = |at: usize| CursorSlot::decode(&bytes[at * PAGE..]).expect("a slot");
        let slots = [slot(0), slot(1)];
        let newer = usize::from(slots[1].generation > slots[0].generation);
        let next = |at: usize| slots[at].place.next.get();
        self.cursor = (next(newer), next(1 - newer));
        let file = self.add(path, bytes);
        for at in 0..2 {
            let (from, to) = ((at * PAGE) as u64, ((at + 1) * PAGE) as u64);
            let part = if at == newer { Part::Cursor } else { Part::OldCursor };
            self.regions.push(Region { file, from, to, part, segment: 0, kept: 0 });
        }
    }

    /// What is not damaged, but must be there; and stream tables.
    fn rest(&mut self, root: &Path) {
        let entries = fs::read_dir(root.join("seg")).expect("listed");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            let name = within(root, &path);
            let ending = path.extension().and_then(|ending| ending.to_str());
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let (Some(ending), Some(number)) = (ending, number) else { continue };
            if ending == "streams" {
                self.whole(root, name, Part::Table, number);
            } else if ending == "log" && !self.files.iter().any(|file| file.path == name) {
                let bytes = fs::read(&path).expect("a prepared segment");
                self.add(name, bytes);
            }
        }
    }

    /// Writes the log to a directory, with holes where there is nothing.
    pub(super) fn write_to(&self, root: &Path) {
        for folder in ["seg", "cursors", "quarantine"] {
            fs::create_dir_all(root.join(folder)).expect("a directory");
        }
        fs::write(root.join("LOCK"), b"").expect("a lock");
        for stored in &self.files {
            stored.write(&root.join(&stored.path));
        }
    }

    /// Bytes that can be damaged.
    pub(super) fn bytes(&self) -> u64 {
        self.regions.iter().map(|region| region.to - region.from).sum()
    }
}

impl Stored {
    /// Writes the file anew, with holes where there is nothing.
    pub(super) fn write(&self, path: &Path) {
        let mut file = File::create(path).expect("made");
        file.set_len(self.bytes.len() as u64).expect("as long");
        for (page, bytes) in self.bytes.chunks(PAGE).enumerate() {
            if !all_zero(bytes) {
                file.seek(SeekFrom::Start((page * PAGE) as u64)).expect("there");
                file.write_all(bytes).expect("written");
            }
        }
    }
}

fn within(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).expect("it is in the log").to_path_buf()
}

/// Garbage behind the last frame, as of a write that was cut short.
fn tear(root: &Path) {
    let last = *used_segments(root).last().expect("a segment");
    let mut segment = SegmentFile::read(root, last);
    let end = segment.end() as usize;
    for (at, byte) in segment.bytes[end..end + 700].iter_mut().enumerate() {
        *byte = (at * 7 + 1) as u8;
    }
    segment.write();
}
