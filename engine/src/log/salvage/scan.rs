//! What the beginnings of segment files say, before any is read whole.

use std::fs;
use std::path::{Path, PathBuf};

use factlog_codec::layout::PAGE;
use factlog_codec::{Epoch, LogId, SegOpen, SegmentHeader, SegmentId, Sequence, Succession};

use crate::log::disk::{open_regular, read_at};
use crate::log::recovery::{read_gap, read_open};

/// A file, and what its beginning says.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) path: PathBuf,
    /// Header and SEGOPEN, if both verify.
    pub(super) opening: Option<Opening>,
}

/// How a segment begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) log: LogId,
    pub(super) segment: SegmentId,
    pub(super) epoch: Epoch,
    pub(super) sequence: Sequence,
    pub(super) open: SegOpen,
    /// It counts: a repair that was cut short, whose GAP is not there, has not happened.
    done: bool,
}

impl Scanned {
    pub(super) fn look(path: PathBuf) -> Self {
        let opening = opening(&path);
        Self { path, opening }
    }

    /// Where `segment` ends, if this is the one behind it.
    pub(super) fn end_of(&self, segment: SegmentId) -> Option<u32> {
        let opening = self.opening.filter(|opening| opening.done)?;
        let before = opening.open.before;
        (before.segment == segment).then_some(before.end)
    }
}

fn opening(path: &Path) -> Option<Opening> {
    let file = open_regular(path, false).ok()?;
    let mut page = vec![0; 2 * PAGE];
    let read = read_at(&file, &mut page, 0).ok()?;
    let (header, first) = page.get(..read)?.split_at_checked(PAGE)?;
    let header = SegmentHeader::decode(header).ok()?;
    let (open, frame) = read_open(&file, &header, first).ok()??;
    let (log, segment) = (header.log, header.segment);
    let done = open.before.why != Succession::Repaired
        || read_gap(&file, &header, frame.next_offset()).is_ok_and(|gap| gap.is_some());
    Some(Opening { log, segment, epoch: frame.epoch, sequence: frame.sequence, open, done })
}

/// The segments of a folder; none if it cannot be listed. What was put aside by one recovery comes
/// before what was by the next.
pub(super) fn put_aside(folder: &Path) -> Vec<Scanned> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let segments = paths.filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    let mut files: Vec<_> = segments.map(Scanned::look).collect();
    let began = |file: &Scanned| file.opening.map(|opening| (opening.epoch, opening.segment));
    files.sort_by(|one, other| (began(one), &one.path).cmp(&(began(other), &other.path)));
    files
}
