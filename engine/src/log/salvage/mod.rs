//! What can be got out of a damaged log: everything that verifies, wherever it stands.
//!
//! Nothing is written, and nothing but segment files is relied on: each describes its types itself.
//! Names of streams stand in the log once; where that place is gone, the catalog and stream tables
//! are asked, and else the number is all that is left.
//!
//! - `names`: what type and stream numbers stand for, as far as it is known
//! - `frames`: the frames of one file that verify, past everything that does not
//! - `report`: what was found, and what is missing
//! - here: file by file, and event by event

mod frames;
mod names;
mod report;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use factlog_codec::layout::PAGE;
use factlog_codec::{
    Epoch, Frame, FrameKind, GapBody, Item, ItemKind, Items, LogId, Place, SegOpen, SegmentHeader,
    Sequence, StreamKey, StreamNumber, StreamVersion,
};

pub use report::{Hole, SalvageError, SalvageReport};

use super::disk::{Directory, DiskIo, SegmentBytes, open_regular, read_at, read_file};
use super::recovery::read_open;
use super::type_table::LogType;
use frames::Frames;
use names::Names;

/// An event that verified.
#[derive(Debug)]
pub struct Salvaged<'a> {
    item: Item<'a>,
    names: &'a Names,
    /// Its number in the log.
    pub sequence: Sequence,
    /// When it was committed: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// The epoch in which it was written.
    pub epoch: Epoch,
    /// Where its frame stands.
    pub place: Place,
    /// The log leads to it: it is no frame behind damage, or behind a torn tail.
    pub in_log: bool,
}

impl<'a> Salvaged<'a> {
    /// Its type, if it is known: types stand at the beginning of each segment.
    pub fn event_type(&self) -> Option<&'a LogType> {
        self.names.event_type(self.item.header.type_number)
    }

    /// Its payload as bytes.
    pub fn payload(&self) -> &'a [u8] {
        self.item.payload
    }

    /// Number of its stream; [`StreamNumber::NONE`] if it has none.
    pub fn stream_number(&self) -> StreamNumber {
        self.item.header.stream
    }

    /// Name of its stream, if it is known.
    pub fn stream(&self) -> Option<&'a StreamKey> {
        self.names.stream(self.item.header.stream)
    }

    /// Its version in its stream.
    pub fn stream_version(&self) -> Option<StreamVersion> {
        self.item.extensions.link().ok()?.map(|link| link.version)
    }

    /// The event that caused it.
    pub fn cause(&self) -> Option<Sequence> {
        self.item.extensions.cause().ok()?
    }

    /// The event at the root of its conversation.
    pub fn correlation(&self) -> Option<Sequence> {
        self.item.extensions.correlation().ok()?
    }

    /// Bytes that the application put beside it.
    pub fn metadata(&self) -> &'a [u8] {
        self.item.extensions.metadata().unwrap_or(&[])
    }
}

/// Takes out of a log everything that verifies.
///
/// ```
/// # use std::ops::ControlFlow;
/// # let dir = tempfile::tempdir()?;
/// # factlog::Options::new().segment_size(4 << 20).open(dir.path())?.close()?;
/// let report = factlog::Salvage::of(dir.path()).run(|event| {
///     println!("{} {}", event.sequence, event.event_type().map_or("?", |known| known.name()));
///     ControlFlow::Continue(())
/// })?;
/// assert!(report.holes.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Salvage {
    from: From,
    quarantine: bool,
    behind_ends: bool,
}

#[derive(Debug, Clone)]
enum From {
    Log(PathBuf),
    Files(Vec<PathBuf>),
}

impl Salvage {
    /// From the log in `directory`, which nobody else should be writing.
    pub fn of(directory: impl AsRef<Path>) -> Self {
        let from = From::Log(directory.as_ref().to_path_buf());
        Self { from, quarantine: false, behind_ends: false }
    }

    /// From single segment files, in this order: those of an archive, say.
    pub fn files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let from = From::Files(paths.into_iter().collect());
        Self { from, quarantine: false, behind_ends: false }
    }

    /// Also from the segments that recovery has put aside, after those of the log.
    #[must_use]
    pub fn with_quarantine(mut self) -> Self {
        self.quarantine = true;
        self
    }

    /// Also what stands behind the end of a segment that recovery has cut. It is no part of the
    /// log, and was promised to nobody.
    #[must_use]
    pub fn behind_ends(mut self) -> Self {
        self.behind_ends = true;
        self
    }

    /// Gives every event to `each`, in the order in which they stand, until it breaks.
    ///
    /// It takes the memory of one segment and of all names, and time for each byte.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed. What cannot be read of the files is in the report.
    pub fn run(
        &self,
        each: impl FnMut(&Salvaged<'_>) -> ControlFlow<()>,
    ) -> Result<SalvageReport, SalvageError> {
        let mut names = Names::default();
        let (paths, aside) = match &self.from {
            From::Files(paths) => (paths.clone(), Vec::new()),
            From::Log(root) => {
                let directory = Directory::new(root, DiskIo::default());
                let failed = |source| SalvageError { path: root.clone(), source };
                let (ids, _) = directory.list().map_err(failed)?;
                if ids.is_empty() && !root.is_dir() {
                    return Err(failed(std::io::ErrorKind::NotFound.into()));
                }
                names.read_tables(&directory);
                let aside =
                    if self.quarantine { list(&directory.quarantine()) } else { Vec::new() };
                (ids.into_iter().map(|id| directory.segment(id)).collect(), aside)
            }
        };
        let mut work = Work {
            each,
            names,
            report: SalvageReport::default(),
            buffer: SegmentBytes::default(),
            log: None,
            next: None,
            broken: false,
            cut: false,
            behind_ends: self.behind_ends,
        };
        for (index, path) in paths.iter().enumerate() {
            let end = paths.get(index + 1).and_then(|next| successor(next));
            if work.file(path, end).is_break() {
                return Ok(work.report);
            }
        }
        for path in &aside {
            (work.broken, work.next) = (true, None);
            if work.file(path, None).is_break() {
                break;
            }
        }
        Ok(work.report)
    }
}

/// The files of a folder in the order of their names; none if it cannot be listed.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

/// What the SEGOPEN of a file says of the segment before: its number and end.
fn successor(path: &Path) -> Option<(u32, u32)> {
    let file = open_regular(path, false).ok()?;
    let mut page = vec![0; 2 * PAGE];
    let read = read_at(&file, &mut page, 0).ok()?;
    let (header, first) = page.get(..read)?.split_at_checked(PAGE)?;
    let header = SegmentHeader::decode(header).ok()?;
    let (open, _) = read_open(&file, &header, first).ok()??;
    Some((open.before.segment.get(), open.before.end))
}

struct Work<F> {
    each: F,
    names: Names,
    report: SalvageReport,
    buffer: SegmentBytes,
    log: Option<LogId>,
    /// The sequence that must come next, once one is known.
    next: Option<Sequence>,
    /// Something is missing: the log leads to nothing behind it.
    broken: bool,
    /// The frame stands behind the end of its segment.
    cut: bool,
    behind_ends: bool,
}

impl<F: FnMut(&Salvaged<'_>) -> ControlFlow<()>> Work<F> {
    /// One file; `end` is what the next one says of it.
    fn file(&mut self, path: &Path, end: Option<(u32, u32)>) -> ControlFlow<()> {
        let header = match read_file(path, &mut self.buffer) {
            Err(error) => {
                self.report.unreadable(path, &error.to_string());
                self.broken = true;
                return ControlFlow::Continue(());
            }
            Ok(()) => SegmentHeader::decode(self.buffer.all().get(..PAGE).unwrap_or(&[])),
        };
        let header = match header {
            Ok(header) if self.log.is_none_or(|log| log == header.log) => header,
            Ok(_) => {
                self.report.unreadable(path, "it belongs to another log");
                return ControlFlow::Continue(());
            }
            Err(error) => {
                // Without its salt nothing in it verifies.
                if !self.buffer.zero_from(PAGE) {
                    self.report.unreadable(path, &error.to_string());
                    self.broken = true;
                }
                return ControlFlow::Continue(());
            }
        };
        if self.buffer.zero_from(PAGE) {
            return ControlFlow::Continue(());
        }
        self.log = Some(header.log);
        self.report.segments += 1;
        let told = end.filter(|(segment, _)| *segment == header.segment.get()).map(|(_, end)| end);
        let limit = if self.behind_ends { None } else { told };
        let buffer = std::mem::take(&mut self.buffer);
        let mut frames = Frames::new(header.key(), header.bits, buffer.all(), limit);
        let mut done = ControlFlow::Continue(());
        while let Some((skipped, frame)) = frames.next_frame() {
            let place = Place { segment: header.segment, offset: frame.header.offset };
            // What recovery has cut is no part of the log, which goes on in the next segment.
            self.cut = told.is_some_and(|end| place.offset >= end);
            if !self.cut {
                self.step(place, skipped, &frame);
            }
            done = self.frame(&frame, place);
            if done.is_break() {
                break;
            }
        }
        if told.is_some_and(|end| frames.offset() < end) {
            // Where the last frames were, nothing verifies.
            let place = Place { segment: header.segment, offset: frames.offset() };
            self.report.hole(place, told.unwrap_or(0) - frames.offset(), None);
            self.broken = true;
        }
        if told.is_none() && done.is_continue() && frames.rest() > 0 {
            let place = Place { segment: header.segment, offset: frames.offset() };
            self.report.hole(place, frames.rest(), None);
            self.broken = true;
        }
        self.report.exhausted |= frames.is_exhausted();
        self.buffer = buffer;
        done
    }

    /// Holds a frame against the one before it: what is missing between them.
    fn step(&mut self, place: Place, skipped: u32, frame: &Frame<'_>) {
        let sequence = frame.header.sequence;
        let expected = self.next.unwrap_or(sequence);
        let missing = (expected < sequence).then(|| (expected, sequence.before()));
        if skipped > 0 || missing.is_some() {
            let offset = place.offset - skipped;
            self.report.hole(Place { offset, ..place }, skipped, missing);
            self.broken = true;
        }
        // The log does not lead back.
        self.broken |= expected > sequence;
    }

    fn frame(&mut self, frame: &Frame<'_>, place: Place) -> ControlFlow<()> {
        let header = &frame.header;
        self.report.frames += 1;
        self.report.bytes += u64::from(header.span);
        let mut next = header.next_sequence();
        match header.kind {
            FrameKind::SegOpen => {
                if let Ok((_, types)) = SegOpen::decode(frame) {
                    self.names.begin_segment(types);
                }
            }
            FrameKind::Gap => {
                if let Some(gap) = GapBody::decode(frame.body) {
                    next = gap.last.after(1);
                }
            }
            FrameKind::Data => self.items(frame, place)?,
            _ => {}
        }
        if !self.cut {
            self.next = Some(self.next.unwrap_or(next).max(next));
        }
        ControlFlow::Continue(())
    }

    fn items(&mut self, frame: &Frame<'_>, place: Place) -> ControlFlow<()> {
        let header = &frame.header;
        let mut index = 0;
        for item in Items::new(frame.body) {
            // A frame that verifies was written so: what is behind an item that makes no sense
            // makes none either.
            let Ok(item) = item else { break };
            match item.header.flags.kind {
                ItemKind::Type => self.names.add_type(&item),
                ItemKind::Stream => self.names.add_stream(&item),
                ItemKind::Event => {
                    let sequence = header.sequence.after(index);
                    index += 1;
                    self.report.events += 1;
                    let (ts, epoch) = (header.ts, header.epoch);
                    let (names, in_log) = (&self.names, !self.broken && !self.cut);
                    (self.each)(&Salvaged { item, names, sequence, ts, epoch, place, in_log })?;
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}
