//! A log as frames and pages: taken apart, changed, and laid out again.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE, seal_offset};
use factlog_codec::{Frame, FrameKind, SegmentKey, Walk};

use super::mend::{self, Mending};
use crate::surgery::{SegmentFile, segment_path};

/// Segments of all these logs are as small as can be.
pub(super) const BITS: u8 = 22;

/// Header and body of a frame, with what fills it up.
pub(super) type FrameBytes = Vec<u8>;

/// A segment, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) header: Vec<u8>,
    pub(super) frames: Vec<FrameBytes>,
    /// What stands behind the frames, if there is anything.
    pub(super) residue: Vec<u8>,
    pub(super) seal: Vec<u8>,
    pub(super) key: SegmentKey,
    /// The file is shorter than a segment.
    pub(super) cut: Option<u64>,
}

/// A log, taken apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) parts: Vec<Part>,
    /// Files that are no segments, by their path in the directory.
    pub(super) files: Vec<(PathBuf, Vec<u8>)>,
}

/// What is to follow from the changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Follow {
    /// Sequences and times of all frames from this segment and frame on follow one another.
    pub(super) from: Option<(usize, usize)>,
    /// SEALs and SEGOPENs say what their segments have come to.
    pub(super) folds: bool,
}

impl Draft {
    /// Takes the log in `directory` apart.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub(super) fn read(directory: &Path) -> Self {
        let mut draft = Self::default();
        draft.add(directory, Path::new(""));
        draft.parts.sort_by_key(|part| part.number);
        draft.files.sort();
        draft
    }

    fn add(&mut self, root: &Path, within: &Path) {
        for entry in fs::read_dir(root.join(within)).expect("readable") {
            let name = within.join(entry.expect("an entry").file_name());
            let path = root.join(&name);
            if path.is_dir() {
                self.add(root, &name);
            } else if name.starts_with("seg") && name.extension().is_some_and(|end| end == "log") {
                let number = name.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
                self.parts.push(Part::read(root, number.expect("a number")));
            } else if name.extension().is_none_or(|end| end != "tmp") && !name.ends_with("LOCK") {
                self.files.push((name, fs::read(&path).expect("readable")));
            }
        }
    }

    /// Parts with frames.
    pub(super) fn used(&self) -> usize {
        self.parts.iter().filter(|part| !part.frames.is_empty()).count()
    }

    /// Lays it out in `directory`, which is empty.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub(super) fn write(&self, directory: &Path, follow: Follow) {
        fs::create_dir_all(directory.join("seg")).expect("made");
        for (name, bytes) in &self.files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, bytes).expect("written");
        }
        let (mut mending, mut before) = (None, None);
        for (index, part) in self.parts.iter().enumerate() {
            let mut bytes = part.laid_out(index, &follow, &mut mending);
            let mut seal = part.seal.clone();
            if follow.folds && !part.frames.is_empty() {
                if let Some((end, fold, next)) = before {
                    mend::successor(part.key, &mut bytes, end, fold, next);
                }
                let state = mend::walked(part.key, &bytes);
                let next = state.sequence.unwrap_or(factlog_codec::Sequence::FIRST);
                before = Some((state.offset, state.fold, next));
                if seal.iter().any(|byte| *byte != 0) {
                    seal[12..16].copy_from_slice(&state.offset.to_le_bytes());
                    seal[24..32].copy_from_slice(&next.get().to_le_bytes());
                    seal[40..48].copy_from_slice(&state.ts.to_le_bytes());
                    seal[48..56].copy_from_slice(&state.fold.raw().to_le_bytes());
                    seal[56..60].copy_from_slice(&state.frames.to_le_bytes());
                    mend::page(mend::Page::Seal(seal_offset(BITS) as u32), part.key, &mut seal);
                }
            }
            bytes[..PAGE].copy_from_slice(&part.header);
            let path = segment_path(directory, part.number);
            write_segment(&path, &bytes, &seal, part.cut.unwrap_or(1 << BITS));
        }
    }
}

/// A file of this length with `bytes` at the beginning, and `seal` at the end of a segment.
///
/// # Panics
///
/// When it cannot be written.
pub(super) fn write_segment(path: &Path, bytes: &[u8], seal: &[u8], len: u64) {
    let mut file = File::create(path).expect("made");
    let most = bytes.len().min(seal_offset(BITS));
    file.write_all(&bytes[..most]).expect("written");
    if seal.iter().any(|byte| *byte != 0) {
        file.seek(SeekFrom::Start(seal_offset(BITS) as u64)).expect("in the file");
        file.write_all(seal).expect("written");
    }
    file.set_len(len).expect("sparse");
}

impl Part {
    fn read(directory: &Path, number: u32) -> Self {
        let segment = SegmentFile::read(directory, number);
        let (key, bytes) = (segment.key(), &segment.bytes);
        let mut walk = Walk::new(key, &bytes[..seal_offset(BITS)], None);
        let (mut frames, mut at) = (Vec::new(), FIRST_FRAME as usize);
        while walk.next_frame().is_ok() {
            let end = walk.state().offset as usize;
            frames.push(bytes[at..end].to_vec());
            at = end;
        }
        let behind = &bytes[at..seal_offset(BITS)];
        let len = behind.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self {
            number,
            header: bytes[..PAGE].to_vec(),
            frames,
            residue: behind[..len].to_vec(),
            seal: bytes[seal_offset(BITS)..].to_vec(),
            key,
            cut: None,
        }
    }

    /// Its bytes up to where there are only zeros, with room for a page behind.
    fn laid_out(&self, index: usize, follow: &Follow, mending: &mut Option<Mending>) -> Vec<u8> {
        let mut bytes = vec![0; PAGE];
        let mut places = Vec::new();
        for (nth, frame) in self.frames.iter().enumerate() {
            let at = bytes.len();
            places.push(at);
            bytes.extend_from_slice(frame);
            if follow.from == Some((index, nth)) {
                let header = |at: usize| {
                    u64::from_le_bytes(frame[at..at + 8].try_into().expect("eight bytes"))
                };
                *mending = Some(Mending::follow(header(8), header(16)));
            }
            if let Some(mending) = mending {
                mend::frames(self.key, &mut bytes, at, mending);
            }
        }
        bytes.extend_from_slice(&self.residue);
        bytes.resize(bytes.len() + PAGE, 0);
        // A length that lies may reach over the frames behind.
        for at in places.into_iter().rev() {
            mend::checks(self.key, &mut bytes, at);
        }
        bytes
    }

    /// The first sequence of the frame, and what is behind it, as its header says.
    pub(super) fn sequence(&self, nth: usize) -> u64 {
        let frame = self.frames.get(nth).and_then(|frame| frame.get(8..16));
        frame.map_or(u64::MAX, |field| u64::from_le_bytes(field.try_into().expect("eight bytes")))
    }
}

/// A frame of this kind that verifies nowhere yet, with `body`.
pub(super) fn frame(kind: FrameKind, count: u16, like: &[u8], body: &[u8]) -> FrameBytes {
    let span = (FRAME_HEADER + body.len()).next_multiple_of(16);
    let mut frame = like.get(..FRAME_HEADER).map_or_else(|| vec![0; FRAME_HEADER], <[u8]>::to_vec);
    frame.extend_from_slice(body);
    frame.resize(span, 0);
    frame[4..8].copy_from_slice(&(body.len() as u32).to_le_bytes());
    frame[36..38].copy_from_slice(&count.to_le_bytes());
    frame[38] = kind.code();
    frame[40..44].copy_from_slice(&(span as u32).to_le_bytes());
    frame
}

/// Where the items of a frame begin, from the start of the frame.
pub(super) fn items(key: SegmentKey, bytes: &[u8], offset: u32) -> Vec<usize> {
    let Ok(frame) = Frame::parse(key, offset, bytes) else { return Vec::new() };
    let (mut places, mut at) = (Vec::new(), FRAME_HEADER);
    for item in factlog_codec::Items::new(frame.body).map_while(Result::ok) {
        places.push(at);
        let extensions = usize::from(item.header.extension_units) * 16;
        at += (16 + extensions + item.payload.len()).next_multiple_of(16);
    }
    places
}
