//! File by file, frame by frame, event by event.

use std::ops::ControlFlow;
use std::path::Path;

use factlog_codec::layout::{FIRST_FRAME, MIN_SEGMENT_BITS, PAGE, segment_size};
use factlog_codec::{
    Frame, FrameKind, GapBody, ItemKind, Items, LogId, Manifest, Place, SegOpen, SegmentHeader,
    SegmentId, Sequence,
};

use super::event::Salvaged;
use super::frames::Frames;
use super::names::Names;
use super::report::SalvageReport;
use super::scan::Scanned;
use crate::log::disk::{SegmentBytes, read_file};

/// What has been found so far.
pub(super) struct Work<F> {
    each: F,
    names: Names,
    pub(super) report: SalvageReport,
    buffer: SegmentBytes,
    log: Option<LogId>,
    /// What the manifest says, if there is one: whose segments are whose.
    pub(super) manifest: Option<Manifest>,
    /// The sequence that must come next, once one is known.
    pub(super) next: Option<Sequence>,
    /// Where the last frame ends.
    here: Place,
    /// Something is missing: the log leads to nothing behind it.
    broken: bool,
    /// The frame stands behind the end of its segment.
    cut: bool,
    behind_ends: bool,
}

impl<F: FnMut(&Salvaged<'_>) -> ControlFlow<()>> Work<F> {
    pub(super) fn new(each: F, names: Names, behind_ends: bool) -> Self {
        Self {
            each,
            names,
            report: SalvageReport::default(),
            buffer: SegmentBytes::default(),
            log: None,
            manifest: None,
            next: None,
            here: Place { segment: SegmentId::FIRST, offset: FIRST_FRAME },
            broken: false,
            cut: false,
            behind_ends,
        }
    }

    /// Files of which each goes on where the one before it ends.
    pub(super) fn files(&mut self, files: &[Scanned]) -> ControlFlow<()> {
        for (index, file) in files.iter().enumerate() {
            self.file(&file.path, files.get(index + 1))?;
        }
        ControlFlow::Continue(())
    }

    /// Files that are no part of the log any more.
    pub(super) fn put_aside(&mut self, files: &[Scanned]) -> ControlFlow<()> {
        for file in files {
            (self.broken, self.next) = (true, None);
            // The one behind it may follow another of the same number.
            self.file(&file.path, None)?;
        }
        ControlFlow::Continue(())
    }

    /// The manifest knows of events behind the last one.
    pub(super) fn miss_up_to_checkpoint(&mut self) {
        let Some(manifest) = &self.manifest else { return };
        let next = self.next.unwrap_or(Sequence::FIRST);
        let last = manifest.checkpoint_sequence.before();
        let here = manifest.owner(self.here.segment).log;
        if last >= next && self.log.is_none_or(|log| log == manifest.log || log == here) {
            self.report.hole(self.here, 0, Some((next, last)));
        }
    }

    /// One file; `next` is the one behind it.
    fn file(&mut self, path: &Path, next: Option<&Scanned>) -> ControlFlow<()> {
        let header = match read_file(path, &mut self.buffer) {
            Err(error) => {
                self.report.unreadable(path, &error.to_string());
                self.broken = true;
                return ControlFlow::Continue(());
            }
            Ok(()) => SegmentHeader::decode(self.buffer.all().get(..PAGE).unwrap_or(&[])),
        };
        let owner = |header: &SegmentHeader| {
            let owner = self.manifest.as_ref().map(|manifest| manifest.owner(header.segment));
            owner.filter(|owner| owner.log == header.log)
        };
        let header = match header {
            // Of the same log as the one before it, or of that which the lineage says.
            Ok(header)
                if self.log.is_none_or(|log| log == header.log) || owner(&header).is_some() =>
            {
                header
            }
            Ok(_) => {
                self.report.unreadable(path, "it belongs to another log");
                return ControlFlow::Continue(());
            }
            Err(error) => {
                // Without its salt nothing in it verifies.
                if !self.is_blank(MIN_SEGMENT_BITS) {
                    self.report.unreadable(path, &error.to_string());
                    self.broken = true;
                }
                return ControlFlow::Continue(());
            }
        };
        if self.is_blank(header.bits) {
            return ControlFlow::Continue(());
        }
        self.log = Some(header.log);
        self.report.segments += 1;
        let cut = owner(&header).and_then(|owner| owner.end);
        let end = next.and_then(|next| next.end_of(header.segment)).or(cut);
        let buffer = std::mem::take(&mut self.buffer);
        let mut done = self.stretch(&header, buffer.all(), FIRST_FRAME, end);
        if buffer.file_len <= u64::from(FIRST_FRAME) && end.is_none() {
            self.report.unreadable(path, "nothing is left behind its header");
            self.broken = true;
        }
        // What recovery has cut is no part of the log, which goes on in the next segment.
        if let Some(end) = end
            && self.behind_ends
            && done.is_continue()
        {
            self.cut = true;
            done = self.stretch(&header, buffer.all(), end, None);
            self.cut = false;
        }
        self.buffer = buffer;
        done
    }

    /// Whether nothing stands behind the header of a file that has the length of a segment.
    fn is_blank(&self, bits: u8) -> bool {
        let whole = self.buffer.file_len >= segment_size(bits) as u64;
        whole && self.buffer.zero_from(PAGE)
    }

    /// The frames of a segment from one place to another, or to where they may end.
    fn stretch(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        from: u32,
        end: Option<u32>,
    ) -> ControlFlow<()> {
        let mut frames = Frames::new(header.key(), header.bits, bytes, from, end);
        while let Some((skipped, frame)) = frames.next_frame() {
            let place = Place { segment: header.segment, offset: frame.header.offset };
            if !self.cut {
                self.step(place, skipped, &frame);
                self.here = Place { offset: frame.header.next_offset(), ..place };
            }
            self.frame(&frame, place)?;
        }
        // Up to where the last frame was, if that is known, or the last byte that is not zero.
        let rest = end.map_or_else(|| frames.rest(), |end| end.saturating_sub(frames.offset()));
        if rest > 0 && !self.cut {
            let place = Place { segment: header.segment, offset: frames.offset() };
            self.report.hole(place, rest, None);
            self.broken = true;
        }
        self.report.exhausted |= frames.is_exhausted();
        ControlFlow::Continue(())
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
                    self.names.begin_segment(types, header.epoch);
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
                ItemKind::Type => self.names.add_type(&item, header.epoch),
                ItemKind::Stream => self.names.add_stream(&item, header.epoch),
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
