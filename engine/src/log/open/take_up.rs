//! The segment in which the new epoch writes: the last one, or a successor.

use factlog_codec::layout::{FRAME_HEADER, PAGE, segment_size};
use factlog_codec::{
    EpochBody, GapBody, Predecessor, SegmentHeader, SegmentId, Sequence, Succession,
};

use crate::log::claim::Claim;
use crate::log::conductor::Prepared;
use crate::log::disk::{has_other_names, open_regular};
use crate::log::error::OpenError;
use crate::log::fault::IoError;
use crate::log::recovery::{Action, End, Found};
use crate::log::shared::Shared;
use crate::log::writer::active::{Active, EngineFrame, Resume};
use crate::sync::Arc;

/// The segment in which the new epoch writes.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) active: Active,
    /// The sequence that comes next in it.
    pub(super) next: Sequence,
    /// Time of its last frame.
    pub(super) last_ts: u64,
}

/// The segment in which the new epoch writes: the last one, or a successor.
pub(super) fn take_up(
    shared: &Arc<Shared>,
    found: &Found,
    frame: &EngineFrame,
    (action, gap): (Action, Option<GapBody>),
    spares: &mut impl Iterator<Item = SegmentHeader>,
) -> Result<Taken, OpenError> {
    let whole = |active| Taken { active, next: frame.sequence, last_ts: frame.ts };
    let Some(end) = &found.end else {
        let before = Predecessor {
            segment: SegmentId::NONE,
            end: 0,
            fold: factlog_codec::Fold::default(),
            why: Succession::First,
        };
        return succeed(shared, frame, (SegmentId::FIRST, before), None, spares).map(whole);
    };
    if action == Action::GoOn
        && let Some(active) = go_on(shared, found, end, frame)?
    {
        return Ok(whole(active));
    }
    let before = Predecessor {
        segment: end.header.segment,
        end: end.offset,
        fold: end.fold,
        why: match action {
            Action::Cut => Succession::TornTail,
            Action::Repair => Succession::Repaired,
            Action::GoOn | Action::Refuse if end.header.log != shared.log => Succession::Forked,
            Action::GoOn | Action::Refuse => Succession::Full,
        },
    };
    let id = end.header.segment.next().ok_or(OpenError::Exhausted)?;
    let active = succeed(shared, frame, (id, before), gap, spares)?;
    if let Some(last) = found.segments.last() {
        last.hand_over(end.offset, active.segment());
    }
    let taken = whole(active);
    Ok(match gap {
        Some(gap) => Taken { next: gap.last.after(1), last_ts: frame.ts + 1, ..taken },
        None => taken,
    })
}

/// Goes on in the last segment, if there is room and nobody else has the file.
pub(super) fn go_on(
    shared: &Arc<Shared>,
    found: &Found,
    end: &End,
    frame: &EngineFrame,
) -> Result<Option<Active>, OpenError> {
    let Some(segment) = found.segments.last() else { return Ok(None) };
    let path = shared.directory.segment(end.header.segment);
    let io = |source| OpenError::Io(IoError::new("open the segment", &path, source));
    let size = segment_size(end.header.bits);
    let room = (size - PAGE).saturating_sub(end.offset as usize);
    if end.sealed || end.way != shared.way || room < FRAME_HEADER + EpochBody::LEN {
        return Ok(None);
    }
    // An ancestor goes on in it, whether or not its file has other names by now.
    if end.header.log != shared.log {
        return Ok(None);
    }
    let file = open_regular(&path, true).map_err(io)?;
    if has_other_names(&file).map_err(io)? {
        return Ok(None);
    }
    shared.directory.io().fill_holes(&file, size as u64).map_err(io)?;
    let (file, range) = (Arc::new(file), (end.offset as usize, size - PAGE));
    let (mapping, claim) =
        Claim::take(shared.way, &file, shared.directory.io(), size, range).map_err(io)?;
    segment.share(&mapping);
    let resume = Resume {
        fold: end.fold,
        frames: end.frames,
        first_sequence: end.first_sequence,
        first_ts: end.first_ts,
        last_ts: found.last_ts,
    };
    let mut active = Active::resume(Arc::clone(segment), mapping, claim, file, resume);
    active.write_epoch(shared, frame).map_err(io)?;
    Ok(Some(active))
}

/// Takes the next segment into use. Its SEGOPEN, and what it says of lost sequences, is durable
/// before anybody relies on it.
pub(super) fn succeed(
    shared: &Arc<Shared>,
    frame: &EngineFrame,
    (id, before): (SegmentId, Predecessor),
    gap: Option<GapBody>,
    spares: &mut impl Iterator<Item = SegmentHeader>,
) -> Result<Active, OpenError> {
    let prepared = match spares.next() {
        Some(header) => open_prepared(shared, &header)?,
        None => {
            let path = shared.directory.segment(id);
            Prepared::create(shared, id)
                .map_err(|source| IoError::new("prepare the segment", path, source))?
        }
    };
    shared.segments.push(Arc::clone(&prepared.segment));
    let mut active = Active::from_prepared(prepared);
    let path = shared.directory.segment(id);
    let written = active.write_segopen(shared, frame, before).and_then(|()| match gap {
        Some(gap) => active.write_gap(shared, &EngineFrame { ts: frame.ts + 1, ..*frame }, gap),
        None => Ok(()),
    });
    written.map_err(|source| IoError::new("write to the segment", path, source))?;
    let (file, mapping) = active.file_and_mapping();
    let disk = shared.directory.io();
    mapping.flush().and_then(|()| disk.sync_data(file)).map_err(|source| {
        IoError::new("make durable the segment", shared.directory.segment(id), source)
    })?;
    Ok(active)
}

pub(super) fn open_prepared(
    shared: &Arc<Shared>,
    header: &SegmentHeader,
) -> Result<Prepared, OpenError> {
    let path = shared.directory.segment(header.segment);
    let opened = open_regular(&path, true).and_then(|file| {
        shared.directory.io().fill_holes(&file, segment_size(header.bits) as u64)?;
        Prepared::map(shared, header, file)
    });
    opened.map_err(|source| OpenError::Io(IoError::new("map the segment", path, source)))
}
