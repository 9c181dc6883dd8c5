//! Log directories as files: copied, compared, and edited behind the engine's back.
//!
//! What the edits know of the format comes from `factlog_codec`, the crate of `FORMAT.md`, never
//! from the engine.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE, align_up, seal_offset};
use factlog_codec::{
    Frame, FrameDraft, FrameHeader, FrameKind, SegOpen, SegmentHeader, SegmentKey, Walk, WriteWay,
    seal_frame,
};

/// The path of segment `number`.
pub fn segment_path(directory: &Path, number: u32) -> PathBuf {
    directory.join("seg").join(format!("{number:010}.log"))
}

/// The path of one slot of the manifest.
pub fn manifest_path(directory: &Path, slot: usize) -> PathBuf {
    directory.join(["MANIFEST-a", "MANIFEST-b"][slot])
}

/// The numbers of the segments in a directory that are in use, in order.
///
/// # Panics
///
/// When the directory cannot be read.
pub fn used_segments(directory: &Path) -> Vec<u32> {
    let mut numbers: Vec<u32> = fs::read_dir(directory.join("seg"))
        .expect("a directory of segments")
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name().into_string().ok()?;
            name.strip_suffix(".log")?.parse().ok()
        })
        .filter(|number| !SegmentFile::read(directory, *number).frames().is_empty())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Waits until there are `count` segment files, and none is being prepared: what a writer does in
/// the background is done.
///
/// # Panics
///
/// When the directory cannot be read.
pub fn wait_for_segments(directory: &Path, count: usize) {
    let began = Instant::now();
    loop {
        let entries = fs::read_dir(directory.join("seg")).expect("a directory of segments");
        let names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        let ending = |ending: &str| {
            names.iter().filter(|name| name.to_string_lossy().ends_with(ending)).count()
        };
        // One more is the reserve.
        if ending(".tmp") == 0 && ending(".log") > count {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{count} are not prepared: {names:?}");
        std::thread::yield_now();
    }
}

/// Everything in a directory: names, kinds, bytes and times of change.
#[derive(PartialEq, Eq)]
pub struct Inventory(BTreeMap<PathBuf, (Vec<u8>, SystemTime)>);

impl Inventory {
    /// Of everything under `directory`.
    ///
    /// # Panics
    ///
    /// When something there cannot be read.
    pub fn of(directory: &Path) -> Self {
        let mut entries = BTreeMap::new();
        Self::add(directory, &mut entries);
        Self(entries)
    }

    fn add(path: &Path, entries: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
        let metadata = fs::symlink_metadata(path).expect("there");
        let bytes = if metadata.is_file() { fs::read(path).expect("readable") } else { Vec::new() };
        let changed = metadata.modified().expect("a time");
        entries.insert(path.to_path_buf(), (bytes, changed));
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("readable") {
                Self::add(&entry.expect("an entry").path(), entries);
            }
        }
    }

    /// Asserts that nothing under the directory has changed since.
    ///
    /// # Panics
    ///
    /// When something has: it says what.
    pub fn assert_unchanged(&self, directory: &Path) {
        let now = Self::of(directory);
        let names = self.0.keys().chain(now.0.keys());
        let changed: Vec<_> = names.filter(|name| self.0.get(*name) != now.0.get(*name)).collect();
        assert!(changed.is_empty(), "changed: {changed:?}");
    }
}

/// Copies a log directory as it stands, whoever has it open.
///
/// # Panics
///
/// When something cannot be read or written.
pub fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("readable") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_directory(&path, &target);
        } else if let Err(error) = fs::copy(&path, &target) {
            // What was being prepared has its real name by now; a table that is not needed any more
            // was removed.
            let passing = path.extension().is_some_and(|extension| {
                ["tmp", "streams", "idx"].iter().any(|passing| extension == *passing)
            });
            assert!(passing && error.kind() == ErrorKind::NotFound, "{}: {error}", path.display());
        }
    }
}

/// A segment file in memory, to be edited and written back.
#[derive(Debug, Clone)]
pub struct SegmentFile {
    path: PathBuf,
    /// What its first page said when it was read.
    pub header: SegmentHeader,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl SegmentFile {
    /// Segment `number` of the log in `directory`.
    ///
    /// # Panics
    ///
    /// When it cannot be read, or has no header.
    pub fn read(directory: &Path, number: u32) -> Self {
        let path = segment_path(directory, number);
        let bytes = fs::read(&path).expect("a segment");
        let header = SegmentHeader::decode(&bytes).expect("a header");
        Self { path, header, bytes }
    }

    /// Writes it back.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write(&self) {
        fs::write(&self.path, &self.bytes).expect("written");
    }

    /// Writes it back into the same file, which somebody may have open and mapped: its length
    /// changes only if it has to.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn write_in_place(&self) {
        let mut file = OpenOptions::new().write(true).open(&self.path).expect("opened");
        let len = self.bytes.len() as u64;
        if file.metadata().expect("a length").len() != len {
            file.set_len(len).expect("another length");
        }
        file.write_all(&self.bytes).expect("written");
    }

    /// Flips one bit of the byte at `offset` in the file, which somebody may have open and mapped.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn rot(&self, offset: u32) {
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).expect("opened");
        let mut byte = [0];
        file.seek(SeekFrom::Start(offset.into())).expect("there");
        file.read_exact(&mut byte).expect("read");
        file.seek(SeekFrom::Start(offset.into())).expect("there");
        file.write_all(&[byte[0] ^ 0x10]).expect("written");
    }

    /// What its frames are keyed with.
    pub fn key(&self) -> SegmentKey {
        self.header.key()
    }

    fn frame_space(&self) -> &[u8] {
        &self.bytes[..seal_offset(self.header.bits).min(self.bytes.len())]
    }

    /// Puts frame headers that hold one behind the other, from `from` on, each of which claims all
    /// bytes up to where frames may end: whoever believed them would checksum those once for each.
    ///
    /// # Panics
    ///
    /// When there is no such place.
    pub fn fill_with_lies(&mut self, from: u32) {
        let (key, from) = (self.key(), from as usize);
        let end = self.bytes.len() - PAGE;
        for offset in (from..end - FRAME_HEADER).step_by(FRAME_HEADER) {
            let span = (end - offset) as u32;
            let mut header = [0; FRAME_HEADER];
            header[4..8].copy_from_slice(&(span - FRAME_HEADER as u32).to_le_bytes());
            header[38] = FrameKind::Data.code();
            header[40..44].copy_from_slice(&span.to_le_bytes());
            let hsum = key.at(offset as u32).hsum(&header);
            header[44..].copy_from_slice(&hsum.to_le_bytes());
            self.bytes[offset..offset + FRAME_HEADER].copy_from_slice(&header);
        }
    }

    /// The way in which it is written, as its SEGOPEN says.
    ///
    /// # Panics
    ///
    /// When it has none.
    pub fn way(&self) -> WriteWay {
        let rest = self.bytes.get(FIRST_FRAME as usize..).unwrap_or(&[]);
        let frame = Frame::parse(self.key(), FIRST_FRAME, rest).expect("a frame");
        SegOpen::decode(&frame).expect("a SEGOPEN").0.way
    }

    /// Its frames, up to the first place without one.
    pub fn frames(&self) -> Vec<FrameHeader> {
        let mut walk = Walk::new(self.key(), self.frame_space(), None);
        std::iter::from_fn(|| Some(walk.next_frame().ok()?.header)).collect()
    }

    /// Its frames with events.
    pub fn data_frames(&self) -> Vec<FrameHeader> {
        self.frames().into_iter().filter(|frame| frame.kind == FrameKind::Data).collect()
    }

    /// Where its frames end.
    pub fn end(&self) -> u32 {
        self.frames().last().map_or(FIRST_FRAME, FrameHeader::next_offset)
    }

    /// Lets `edit` change the frame at `offset` (header and body), and makes its checks hold
    /// again, whatever it says of itself.
    ///
    /// # Panics
    ///
    /// When there is no frame.
    pub fn edit_frame(&mut self, offset: u32, edit: impl FnOnce(&mut [u8])) {
        let key = self.key().at(offset);
        let at = offset as usize;
        let header = FrameHeader::parse(self.key(), offset, &self.frame_space()[at..]);
        let span = header.expect("a frame").span as usize;
        edit(&mut self.bytes[at..at + span]);
        let frame = &mut self.bytes[at..];
        let header: &[u8; FRAME_HEADER] = frame.first_chunk().expect("a header");
        let sum = key.hsum(header);
        frame[44..48].copy_from_slice(&sum.to_le_bytes());
        let len = u32::from_le_bytes(frame[4..8].try_into().expect("four bytes")) as usize;
        if let Some(checked) = frame.get(4..FRAME_HEADER + len) {
            let crc = key.crc(checked);
            frame[..4].copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// Puts a frame that verifies to `offset`, whatever stands there; gives where the next begins.
    pub fn put_frame(&mut self, offset: u32, draft: &FrameDraft, body: &[u8]) -> u32 {
        let key = self.key();
        let space = &mut self.bytes[offset as usize..][..align_up(FRAME_HEADER + body.len())];
        space[FRAME_HEADER..][..body.len()].copy_from_slice(body);
        offset + seal_frame(key, offset, draft, space, body.len()).span
    }
}
