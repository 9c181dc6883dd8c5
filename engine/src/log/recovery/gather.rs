//! Reads segments, walks them, and collects facts. Writes nothing.

use std::io;

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE, seal_offset, segment_size};
use factlog_codec::{
    Catalog, Epoch, Fold, Frame, FrameHeader, FrameKind, HeaderError, HistoryId, LogId, Manifest,
    Position, Residue, Seal, SegOpen, SegmentHeader, SegmentId, Sequence, Stop, StopReason,
    Succession, Walk, WriteWay, find_residue,
};

use super::decide::Facts;
use super::replay::Replay;
use crate::log::disk::{Directory, SegmentBytes, open_regular, read_at, read_segment};
use crate::log::error::OpenError;
use crate::log::fault::{IoError, ItemFault};
use crate::log::report::{Cut, DamageReason, RecoveryProgress};
use crate::log::segment::Segment;
use crate::sync::Arc;

/// Told how far it has come.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(RecoveryProgress);

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: Facts,
    pub(crate) replay: Replay,
    /// Segments in use, up to the one with the end.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The last of them; `None` if no segment is in use.
    pub(crate) end: Option<End>,
    /// Segments in use behind the end.
    pub(crate) later: Vec<SegmentId>,
    /// Prepared segments: never used, all zero.
    pub(crate) spares: Vec<SegmentHeader>,
    /// Segments that are not in use, but not zero either.
    pub(crate) dirty: Vec<SegmentId>,
    pub(crate) damage: Option<DamageReason>,
    pub(crate) cut: Option<Cut>,
    /// Greatest epoch seen anywhere.
    pub(crate) epoch: Epoch,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// The next sequence.
    pub(crate) next: Sequence,
    pub(crate) last_ts: u64,
    /// The last frame boundary that is durable, and the next sequence there.
    pub(crate) durable: (Position, Sequence),
    pub(crate) unproven: Vec<Unproven>,
}

/// The segment in which the log ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) header: SegmentHeader,
    pub(crate) offset: u32,
    pub(crate) fold: Fold,
    pub(crate) frames: u32,
    pub(crate) first_sequence: Sequence,
    pub(crate) first_ts: u64,
    pub(crate) sealed: bool,
    pub(crate) way: WriteWay,
}

/// Bytes that recovery found in the page cache: they verified, but whether they are on the
/// medium nobody knows. A sync that failed in an earlier process may have left them behind as
/// clean pages that were never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) segment: SegmentId,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The next sequence at `to`.
    pub(crate) next: Sequence,
}

/// What the beginning of a segment file says.
struct Probe {
    header: SegmentHeader,
    /// The SEGOPEN, if there is one: then the segment is in use.
    open: Option<(SegOpen, FrameHeader)>,
}

/// What the log begins with, where retention has dropped what was before.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    pub(crate) catalog: Option<Catalog>,
    /// Its streams.
    pub(crate) replay: Replay,
}

impl Begin {
    /// The first segment that is left.
    pub(crate) fn floor(&self) -> SegmentId {
        self.catalog.map_or(SegmentId::FIRST, |catalog| catalog.floor)
    }
}

/// Collects the facts of a log.
pub(crate) fn gather(
    directory: &Directory,
    manifest: &Manifest,
    begin: Begin,
    ids: &[SegmentId],
    progress: Progress<'_>,
) -> Result<Found, OpenError> {
    let mut probes = Vec::with_capacity(ids.len());
    let mut header_damage = None;
    for id in ids.iter().copied().filter(|id| *id >= begin.floor()) {
        match probe(directory, manifest, id)? {
            Ok(probe) => probes.push(probe),
            Err(error) => {
                // What is behind a segment without a header cannot be reached.
                header_damage = Some((id, error));
                break;
            }
        }
    }
    let mut gathering = Gathering::new(directory, manifest, begin);
    let used = probes.iter().take_while(|probe| probe.open.is_some()).count();
    let of = probes.len();
    let mut chain = 0;
    for index in 0..used {
        progress(RecoveryProgress { done: index, of });
        let next = probes.get(index + 1).filter(|next| next.open.is_some());
        chain = index + 1;
        if !gathering.walk(&probes[index], next)? {
            break;
        }
    }
    for (index, probe) in probes.iter().enumerate().skip(chain) {
        progress(RecoveryProgress { done: index, of });
        gathering.look_behind(probe)?;
    }
    progress(RecoveryProgress { done: of, of });
    if let Some((id, error)) = header_damage {
        gathering.header_damage(id, error);
    }
    Ok(gathering.finish())
}

/// Reads header and SEGOPEN. The inner error is damage; the outer one has to do with neither.
fn probe(
    directory: &Directory,
    manifest: &Manifest,
    id: SegmentId,
) -> Result<Result<Probe, HeaderError>, OpenError> {
    let path = directory.segment(id);
    let io = |source| OpenError::Io(IoError::new("read the segment", &path, source));
    let file = open_regular(&path, false).map_err(io)?;
    let mut page = vec![0; PAGE];
    let read = read_at(&file, &mut page, 0).map_err(io)?;
    let header = match SegmentHeader::decode(&page[..read]) {
        Ok(header) => header,
        Err(error @ (HeaderError::Version(_) | HeaderError::Descriptor)) => {
            return Err(OpenError::Header(id, error));
        }
        Err(error) => return Ok(Err(error)),
    };
    if header.log != manifest.log || header.segment != id || header.bits != manifest.bits {
        return Err(OpenError::Foreign(id));
    }
    let mut first = vec![0; FRAME_HEADER];
    read_at(&file, &mut first, u64::from(FIRST_FRAME)).map_err(io)?;
    // Only the header's own check: bounds need the whole length.
    let room = vec_of_len(&first, seal_offset(header.bits) - PAGE);
    let open = match room {
        None => None,
        Some(span) => {
            let mut bytes = vec![0; span];
            let read = read_at(&file, &mut bytes, u64::from(FIRST_FRAME)).map_err(io)?;
            Frame::parse(header.key(), FIRST_FRAME, &bytes[..read])
                .ok()
                .and_then(|frame| Some((SegOpen::decode(&frame).ok()?.0, frame.header)))
        }
    };
    Ok(Ok(Probe { header, open }))
}

/// The length that a frame header claims, if it is possible at all within `limit`.
fn vec_of_len(header: &[u8], limit: usize) -> Option<usize> {
    let span = header.get(40..44)?.first_chunk::<4>()?;
    let span = usize::try_from(u32::from_le_bytes(*span)).ok()?;
    (FRAME_HEADER..=limit).contains(&span).then_some(span)
}

struct Gathering<'a> {
    directory: &'a Directory,
    bits: u8,
    buffer: SegmentBytes,
    found: Found,
    catalog: Option<Catalog>,
    /// Time and epoch of the last frame of the segment before.
    before: Option<(u64, Epoch)>,
    exhausted: bool,
    stop: Option<(SegmentId, Stop)>,
    residue: Residue,
}

impl<'a> Gathering<'a> {
    fn new(directory: &'a Directory, manifest: &Manifest, begin: Begin) -> Self {
        Self {
            directory,
            bits: manifest.bits,
            buffer: SegmentBytes::default(),
            found: Found {
                facts: Facts {
                    durable: manifest.checkpoint,
                    zero_behind: true,
                    ..Facts::default()
                },
                replay: begin.replay,
                segments: Vec::new(),
                end: None,
                later: Vec::new(),
                spares: Vec::new(),
                dirty: Vec::new(),
                damage: None,
                cut: None,
                epoch: manifest.epoch,
                frames: 0,
                bytes: 0,
                next: begin.catalog.map_or(Sequence::FIRST, |catalog| catalog.sequence),
                last_ts: 0,
                durable: (Position::ZERO, Sequence::FIRST),
                unproven: Vec::new(),
            },
            catalog: begin.catalog,
            before: None,
            exhausted: false,
            stop: None,
            residue: Residue { zero: true, ..Residue::default() },
        }
    }

    fn load(&mut self, id: SegmentId) -> Result<(), OpenError> {
        let loaded = read_segment(self.directory, id, segment_size(self.bits), &mut self.buffer);
        loaded.map_err(|source| self.io(id, source))
    }

    fn io(&self, id: SegmentId, source: io::Error) -> OpenError {
        OpenError::Io(IoError::new("read the segment", self.directory.segment(id), source))
    }

    /// Walks a segment in use; whether it ends where the next one, if there is one, says.
    fn walk(&mut self, probe: &Probe, next: Option<&Probe>) -> Result<bool, OpenError> {
        let id = probe.header.segment;
        let key = probe.header.key();
        let Some((open, open_header)) = &probe.open else { return Ok(false) };
        self.load(id)?;
        let buffer = std::mem::take(&mut self.buffer);
        let limit = seal_offset(self.bits).min(buffer.all().len());
        let bytes = &buffer.all()[..limit];

        // Where this one must end, if the next one goes on from it.
        let target = next.and_then(|next| next.open.as_ref()).map(|(open, _)| open.before);
        let segment = Arc::new(Segment::new(key, self.bits));
        segment.set_opened(open.wall_clock);
        let mut walk = Walk::new(key, bytes, Some(self.found.next));
        if let Some((ts, epoch)) = self.before {
            walk = walk.after(ts, epoch);
        } else if !self.begins_with(id, open) {
            self.contradict(DamageReason::Successor(id));
        }
        // A segment's name is durable before it is used: one that is missing was taken away.
        if let Some(next) = next.map(|next| next.header.segment)
            && id.next() != Some(next)
        {
            self.contradict(DamageReason::Successor(next));
        }
        let mut fault = None;
        let stop = loop {
            let state = *walk.state();
            if target.is_some_and(|target| target.segment == id && target.end == state.offset) {
                break None;
            }
            let frame = match walk.next_frame() {
                Ok(frame) => frame,
                Err(stop) => break Some(stop),
            };
            let position = Position::new(id, frame.header.offset, self.bits);
            let taken = if frame.header.kind == FrameKind::SegOpen {
                SegOpen::decode(&frame)
                    .map_err(|_| ItemFault::SegOpen)
                    .and_then(|(open, types)| self.found.replay.enter_segment(&open, types))
            } else {
                self.found.replay.absorb(&frame, position)
            };
            if let Err(error) = taken {
                fault = Some(error);
                let reason = StopReason::Body(frame.header.kind);
                break Some(Stop { offset: frame.header.offset, reason });
            }
            segment.index().note(frame.header.offset, frame.header.sequence, frame.header.ts);
            self.count(&frame, walk.state().sequence);
        };
        // The frame at which a fault was found is not taken in.
        let state = *walk.state();
        let offset = stop.map_or(state.offset, |stop| stop.offset);
        self.found.end = Some(End {
            header: probe.header,
            offset,
            fold: state.fold,
            frames: state.frames,
            first_sequence: open_header.sequence,
            first_ts: open_header.ts,
            sealed: self.sealed(&buffer, key, offset),
            way: open.way,
        });
        self.note_unproven(id, offset);
        if let Some(fault) = fault {
            self.contradict(DamageReason::Fault(fault));
        }
        self.found.facts.end = Position::new(id, offset, self.bits);
        let fold_agrees = target.is_none_or(|target| target.fold == state.fold);
        self.found.segments.push(Arc::clone(&segment));
        self.buffer = buffer;
        let Some(stop) = stop else {
            // The next segment goes on from here.
            segment.set_end(offset);
            if !fold_agrees {
                let next = next.map_or(id, |next| next.header.segment);
                self.contradict(DamageReason::Successor(next));
                return Ok(false);
            }
            self.before = Some((state.ts, state.epoch));
            return Ok(true);
        };
        self.stop = Some((id, stop));
        self.look_into(id, key, offset);
        Ok(false)
    }

    /// Whether the log may begin with this segment: the first one, or the one that the catalog says.
    fn begins_with(&self, id: SegmentId, open: &SegOpen) -> bool {
        match self.catalog {
            None => open.before.why == Succession::First && id == SegmentId::FIRST,
            Some(catalog) => {
                id == catalog.floor
                    && open.before.end == catalog.before_end
                    && open.before.fold == catalog.before_fold
            }
        }
    }

    fn count(&mut self, frame: &Frame<'_>, next: Option<Sequence>) {
        let found = &mut self.found;
        let header = &frame.header;
        found.frames += 1;
        found.bytes += u64::from(header.span);
        found.last_ts = header.ts;
        found.epoch = found.epoch.max(header.epoch);
        found.next = next.unwrap_or(found.next);
        found.facts.durable = found.facts.durable.max(header.durable);
    }

    /// Whether a SEAL says that the segment ends here.
    fn sealed(&self, buffer: &SegmentBytes, key: factlog_codec::SegmentKey, end: u32) -> bool {
        let at = seal_offset(self.bits);
        let page = buffer.all().get(at..).unwrap_or(&[]);
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        Seal::decode(key, offset, page).is_ok_and(|seal| seal.end == end)
    }

    /// Everything is unproven at first; what is below the durable bound is taken out at the end.
    fn note_unproven(&mut self, segment: SegmentId, to: u32) {
        let next = self.found.next;
        self.found.unproven.push(Unproven { segment, from: FIRST_FRAME, to, next });
    }

    /// What stands at and behind `from` in a segment that was loaded.
    fn look_into(&mut self, id: SegmentId, key: factlog_codec::SegmentKey, from: u32) {
        let limit = seal_offset(self.bits).min(self.buffer.all().len());
        let whole = self.buffer.all().len() == segment_size(self.bits);
        let residue = if whole && self.buffer.zero_from(from as usize) {
            Residue { zero: true, ..Residue::default() }
        } else {
            let bytes = &self.buffer.all()[..limit];
            find_residue(key, bytes, from, self.bits, self.found.next)
        };
        let sealed = self.found.end.is_some_and(|end| end.header.segment == id && end.sealed);
        if !(residue.zero && (whole || sealed)) {
            self.found.facts.zero_behind = false;
        }
        self.exhausted |= residue.exhausted;
        self.residue.frames += residue.frames;
        self.found.epoch = self.found.epoch.max(residue.epoch);
        self.found.facts.durable = self.found.facts.durable.max(residue.durable);
    }

    /// A segment behind the chain: prepared, dirty, or in use without anything that leads to it.
    fn look_behind(&mut self, probe: &Probe) -> Result<(), OpenError> {
        let id = probe.header.segment;
        if self.found.later.contains(&id) {
            return Ok(());
        }
        self.load(id)?;
        if probe.open.is_none() && self.buffer.zero_from(FIRST_FRAME as usize) {
            if self.buffer.file_len == segment_size(self.bits) as u64 {
                self.found.spares.push(probe.header);
            } else {
                self.found.dirty.push(id);
            }
            return Ok(());
        }
        let zero = self.found.facts.zero_behind;
        self.look_into(id, probe.header.key(), FIRST_FRAME);
        if probe.open.is_some() {
            self.found.later.push(id);
        } else {
            // Its SEGOPEN was being written: nothing in it was ever visible.
            self.found.facts.zero_behind = zero;
            self.found.dirty.push(id);
        }
        Ok(())
    }

    fn contradict(&mut self, reason: DamageReason) {
        self.found.facts.contradiction = true;
        self.found.damage.get_or_insert(reason);
    }

    fn header_damage(&mut self, id: SegmentId, error: HeaderError) {
        if self.found.segments.is_empty() {
            self.found.facts.end = Position::new(id, 0, self.bits);
        }
        self.contradict(DamageReason::Header(error));
    }

    fn finish(mut self) -> Found {
        if let Some(catalog) = self.catalog
            && self.found.segments.is_empty()
            && self.found.damage.is_none()
        {
            self.found.facts.end = Position::new(catalog.floor, 0, self.bits);
            self.contradict(DamageReason::Successor(catalog.floor));
        }
        let found = &mut self.found;
        found.facts.used_behind = !found.later.is_empty();
        found.facts.exhausted = self.exhausted;
        if let Some((id, stop)) = self.stop
            && (!found.facts.zero_behind || found.facts.used_behind)
        {
            found.cut = Some(Cut {
                place: factlog_codec::Place { segment: id, offset: stop.offset },
                stop,
                frames: self.residue.frames,
                segments: found.later.clone(),
            });
        }
        if found.damage.is_none() {
            found.damage = match self.stop {
                _ if found.facts.exhausted => Some(DamageReason::Undecided),
                Some((_, stop)) => Some(DamageReason::Lost(stop)),
                None => None,
            };
        }
        let bits = self.bits;
        let bound = found.facts.durable;
        found.durable = (Position::ZERO, Sequence::FIRST);
        found.unproven.retain_mut(|range| {
            let end = Position::new(range.segment, range.to, bits);
            if end <= bound {
                found.durable = (end, range.next);
                return false;
            }
            if bound.segment(bits) == range.segment {
                range.from = range.from.max(bound.offset(bits).min(range.to)) & !15;
            }
            range.from < range.to
        });
        for pair in found.segments.windows(2) {
            if let [one, next] = pair {
                one.set_next(next);
            }
        }
        self.found
    }
}

impl Found {
    /// Identity that recovery gives out: who wrote the log, and which history.
    pub(crate) fn new_history() -> Result<HistoryId, OpenError> {
        random_uuid().map(HistoryId::new)
    }

    pub(crate) fn new_log() -> Result<LogId, OpenError> {
        random_uuid().map(LogId::new)
    }
}

fn random_uuid() -> Result<uuid::Uuid, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        OpenError::Io(IoError::new("read random bytes from", "the system", io::Error::other(error)))
    })?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
