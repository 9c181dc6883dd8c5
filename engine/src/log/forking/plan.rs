//! Where a fork ends, and what it is made of.

use std::fs::File;

use factlog_codec::layout::{FIRST_FRAME, MAX_LINEAGE, PAGE, seal_offset};
use factlog_codec::{
    Ancestor, Catalog, CursorPlace, FrameKind, GapBody, LogId, Manifest, Place, Position, Seal,
    SegOpen, SegmentId, Sequence, Stop, StopReason, Succession,
};

use super::error::ForkError;
use crate::log::cursor::Hold;
use crate::log::disk::{open_regular, read_at, read_catalog};
use crate::log::error::ReadError;
use crate::log::fault::{IoError, ItemFault};
use crate::log::frontier::Visible;
use crate::log::named::place_before;
use crate::log::recovery::new_identity;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::{Arc, PoisonError};

/// What a fork is made of, and what keeps it there meanwhile.
pub(super) struct Plan {
    pub(super) manifest: Manifest,
    /// The catalog of the origin, as that of the fork: head, entries.
    pub(super) catalog: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) parts: Vec<Part>,
    /// The last event that is taken.
    pub(super) last: Sequence,
    _hold: Hold,
}

/// A segment of the origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) id: SegmentId,
    /// Where its frames end, as far as they are taken.
    pub(super) end: u32,
    /// No byte of the file changes any more, and all are durable: it can have a further name.
    pub(super) at_rest: bool,
    /// All of its frames are taken.
    pub(super) whole: bool,
}

/// Where what is taken ends.
#[derive(Debug, Clone, Copy)]
struct Cut {
    end: Position,
    next: Sequence,
}

impl Plan {
    pub(super) fn make(shared: &Arc<Shared>, at: Option<Sequence>) -> Result<Self, ForkError> {
        // Retention waits: floor, catalog and the first segment are of one moment.
        let waits = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
        let keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let visible = shared.frontier.visible();
        let proven = shared.frontier.durable();
        let (end, next) = if keeper.is_read_only() {
            let (visible, next) = shared.frontier.visible_pair();
            (visible.position(), next)
        } else {
            shared.frontier.durable_pair()
        };
        let origin = keeper.manifest().clone();
        drop(keeper);
        let bound = Cut { end, next };
        let segments = shared.segments.in_use();
        let first = segments.first().ok_or(ForkError::NothingDurable)?;
        let begin = first.place(FIRST_FRAME).position(shared.bits);
        if bound.end <= begin {
            return Err(ForkError::NothingDurable);
        }
        let hold = Hold::take(shared, begin, shared.oldest()).ok_or(ForkError::Dropped)?;
        let catalog = catalog_of(shared, first.id())?;
        // From here on it stays as it is.
        drop(waits);
        let cut = find_cut(shared, visible, bound, at)?;
        let place = place_before(shared, cut.next, &mut None)?;
        let (log, parts) = (new_log()?, parts(shared, &segments, cut, proven)?);
        let lineage = lineage(shared, cut, &place)?;
        // Not below that of any frame in what is linked, also behind the cut.
        let (epoch, history) = if origin.epoch < place.epoch {
            (place.epoch, place.history)
        } else {
            (origin.epoch, origin.history)
        };
        let manifest = Manifest {
            generation: 1,
            log,
            history,
            bits: shared.bits,
            epoch,
            floor: first.id(),
            checkpoint: cut.end,
            checkpoint_sequence: cut.next,
            clean: true,
            taken_over: origin.taken_over,
            lineage,
        };
        let catalog = catalog.map(|(catalog, entries)| {
            (Catalog { log, ..catalog }.encode(&entries).to_vec(), entries)
        });
        Ok(Self { manifest, catalog, parts, last: cut.next.before(), _hold: hold })
    }
}

fn new_log() -> Result<LogId, ForkError> {
    new_identity().map(LogId::new).map_err(ForkError::Identity)
}

/// Behind the last frame of which all events are wanted.
fn find_cut(
    shared: &Shared,
    visible: Visible,
    bound: Cut,
    at: Option<Sequence>,
) -> Result<Cut, ForkError> {
    let Some(wanted) = at else { return Ok(bound) };
    if wanted >= bound.next {
        return Err(ForkError::Beyond(bound.next.before()));
    }
    let oldest = shared.oldest();
    if wanted.after(1) < oldest {
        return Err(ForkError::BeforeOldest(oldest));
    }
    if wanted.after(1) == bound.next {
        return Ok(bound);
    }
    let mut pin = None;
    let Some((segment, header)) = shared.seek(visible, |sequence, _| sequence <= wanted)? else {
        // No event at all: what is left is how the log begins.
        return begin(shared, visible);
    };
    let position = segment.place(header.offset).position(shared.bits);
    // A header was all that was needed to find it; now its checksum counts.
    let frame = shared.frame(&mut pin, visible, position)?;
    let next = if frame.header.kind == FrameKind::Gap {
        let reason = StopReason::Body(FrameKind::Gap);
        let stop = Stop { offset: header.offset, reason };
        let fault = || ReadError::Frame(segment.id(), stop);
        GapBody::decode(frame.body).ok_or_else(fault)?.last.after(1)
    } else {
        frame.header.next_sequence()
    };
    if next <= wanted.after(1) {
        let end = segment.place(frame.header.next_offset()).position(shared.bits);
        return Ok(Cut { end, next });
    }
    // A GAP belongs to the SEGOPEN before it: without both there was no repair.
    if frame.header.kind == FrameKind::Gap {
        let Some(before) = shared.segments.before(segment.id()) else {
            return Err(ForkError::BeforeOldest(next));
        };
        let end = before.end().ok_or(ReadError::Missing(before.id()))?;
        return Ok(Cut { end: before.place(end).position(shared.bits), next: header.sequence });
    }
    // The first frame of a segment has no event, so that there is one before this.
    Ok(Cut { end: position, next: header.sequence })
}

/// Behind the first frame of all.
fn begin(shared: &Shared, visible: Visible) -> Result<Cut, ForkError> {
    let mut pin = None;
    let position = Position::new(shared.segments.floor(), FIRST_FRAME, shared.bits);
    let frame = shared.frame(&mut pin, visible, position)?;
    let (header, end) = (frame.header, frame.header.next_offset());
    let place = Place { segment: shared.segments.floor(), offset: FIRST_FRAME };
    let (open, _) =
        SegOpen::decode(&frame).map_err(|_| ReadError::Items(place, ItemFault::SegOpen))?;
    if open.before.why == Succession::Repaired {
        // Nothing is left of what was before the lost ones.
        return Err(ForkError::BeforeOldest(header.sequence));
    }
    let end = Position::new(shared.segments.floor(), end, shared.bits);
    Ok(Cut { end, next: header.sequence })
}

/// The segments up to the cut.
fn parts(
    shared: &Shared,
    segments: &[Arc<Segment>],
    cut: Cut,
    proven: Position,
) -> Result<Vec<Part>, ForkError> {
    let last = cut.end.segment(shared.bits);
    let mut parts = Vec::with_capacity(segments.len());
    for segment in segments.iter().filter(|segment| segment.id() <= last) {
        let id = segment.id();
        let ended = segment.end();
        let end = if id == last { cut.end.offset(shared.bits) } else { ended.unwrap_or(0) };
        let durable = ended.is_some_and(|end| Position::new(id, end, shared.bits) <= proven);
        // One that a SEAL is still to be written to is not at rest; an ancestor's is.
        let owner = shared.owner(id);
        let at_rest = if owner.log == shared.log {
            durable && is_sealed(shared, segment)?
        } else {
            durable || proven >= cut.end
        };
        parts.push(Part { id, end, at_rest, whole: ended == Some(end) && owner.end.is_none() });
    }
    Ok(parts)
}

/// Whether the SEAL of a segment is written: nothing more comes into its file then.
fn is_sealed(shared: &Shared, segment: &Segment) -> Result<bool, ForkError> {
    let path = shared.directory.segment(segment.id());
    let read = |file: File| {
        let mut page = vec![0; PAGE];
        let read = read_at(&file, &mut page, seal_offset(shared.bits) as u64)?;
        page.truncate(read);
        Ok(page)
    };
    let page = open_regular(&path, false).and_then(read);
    let page = page.map_err(|source| IoError::new("read the segment", path, source))?;
    let at = u32::try_from(seal_offset(shared.bits)).unwrap_or(u32::MAX);
    Ok(Seal::decode(segment.key(), at, &page).is_ok())
}

/// The catalog with which the segment `first` goes on, if the log does not begin there.
fn catalog_of(shared: &Shared, first: SegmentId) -> Result<Option<(Catalog, Vec<u8>)>, ForkError> {
    let path = shared.directory.catalog();
    let bytes = read_catalog(&shared.directory);
    let bytes = bytes.map_err(|source| IoError::new("read the catalog", path, source))?;
    match bytes {
        None if first == SegmentId::FIRST => Ok(None),
        None => Err(ForkError::Dropped),
        Some(bytes) => {
            let (catalog, _) = Catalog::decode(&bytes).map_err(ForkError::Catalog)?;
            if catalog.floor != first {
                return Err(ForkError::Dropped);
            }
            let entries = bytes.get(Catalog::LEN..).unwrap_or(&[]).to_vec();
            Ok(Some((catalog, entries)))
        }
    }
}

/// The logs that the fork comes from, each as far as it goes into it.
fn lineage(shared: &Shared, cut: Cut, place: &CursorPlace) -> Result<Vec<Ancestor>, ForkError> {
    if shared.lineage.len() >= MAX_LINEAGE {
        return Err(ForkError::TooManyAncestors);
    }
    let last = cut.next.before();
    let shortened = |ancestor: &Ancestor| Ancestor {
        end: ancestor.end.min(cut.end),
        last_sequence: ancestor.last_sequence.min(last),
        ..*ancestor
    };
    let mut lineage: Vec<_> = shared.lineage.iter().map(shortened).collect();
    let (log, history) = (shared.log, place.history);
    lineage.push(Ancestor { log, history, last_sequence: last, end: cut.end });
    Ok(lineage)
}
