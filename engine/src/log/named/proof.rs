//! The frame that proves a place: found for a place that is to be saved, and held against one that
//! was.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    CursorName, CursorPlace, CursorSlot, Epoch, EpochBody, Frame, FrameHeader, FrameKind,
    HistoryId, Position, SegOpen, Sequence,
};

use super::verdict::{Facts, Found, Verdict as Standing, decide};
use crate::log::error::ReadError;
use crate::log::fault::ItemFault;
use crate::log::frontier::Visible;
use crate::log::segment::Segment;
use crate::log::shared::Shared;

/// The history of an epoch that was looked up last: it is the same for all its frames.
pub(in crate::log) type KnownHistory = Option<(Epoch, HistoryId)>;

/// The place of somebody who has processed everything before `next`, which is in the log or the
/// next to come.
pub(in crate::log) fn place_before(
    shared: &Shared,
    next: Sequence,
    known: &mut KnownHistory,
) -> Result<CursorPlace, ReadError> {
    let visible = shared.frontier.visible();
    let (position, sequence) = match shared.seek(visible, |sequence, _| sequence < next)? {
        Some((segment, header)) => {
            (segment.place(header.offset).position(shared.bits), next.before())
        }
        // Nothing before it is kept: how the log begins has to do.
        None => (Position::new(shared.segments.floor(), FIRST_FRAME, shared.bits), Sequence::ZERO),
    };
    let mut pin = None;
    let header = shared.frame(&mut pin, visible, position)?.header;
    let history = match *known {
        Some((epoch, history)) if epoch == header.epoch => history,
        _ => history_of(shared, visible, position, header.epoch)?,
    };
    *known = Some((header.epoch, history));
    Ok(CursorPlace {
        log: shared.log,
        sequence,
        next,
        position,
        frame_crc: header.crc,
        epoch: header.epoch,
        history,
    })
}

/// What the log says of the place in `slot`, the file of the cursor `name`.
pub(super) fn look(
    shared: &Shared,
    name: &CursorName,
    slot: &CursorSlot,
) -> Result<Facts, ReadError> {
    look_at(shared, slot.place, slot.name == *name)
}

/// Whether the log still is the one in which somebody has come to `place`.
pub(in crate::log) fn standing(
    shared: &Shared,
    place: &CursorPlace,
) -> Result<Standing, ReadError> {
    let facts = look_at(shared, *place, true)?;
    Ok(decide(&facts))
}

fn look_at(shared: &Shared, place: CursorPlace, same_name: bool) -> Result<Facts, ReadError> {
    let (visible, end) = shared.frontier.visible_pair();
    let mut facts = Facts {
        place,
        log: shared.log,
        same_name,
        oldest: shared.oldest(),
        end,
        found: Found::Beyond,
    };
    // A place of another log says nothing here.
    if place.log == shared.log && place.next <= end {
        facts.found = found(shared, visible, &place)?;
    }
    Ok(facts)
}

fn found(shared: &Shared, visible: Visible, place: &CursorPlace) -> Result<Found, ReadError> {
    let position = if place.sequence == Sequence::ZERO {
        let id = place.position.segment(shared.bits);
        if id < shared.segments.floor() {
            return Ok(Found::Dropped);
        }
        if place.position >= visible.position() || shared.segments.get(id).is_none() {
            return Ok(Found::Beyond);
        }
        Position::new(id, FIRST_FRAME, shared.bits)
    } else {
        let holds = |sequence, _| sequence <= place.sequence;
        match shared.seek(visible, holds) {
            Ok(Some((segment, header))) => segment.place(header.offset).position(shared.bits),
            Ok(None) | Err(ReadError::BehindFloor(_)) => return Ok(Found::Dropped),
            Err(error) => return Err(error),
        }
    };
    let mut pin = None;
    let FrameHeader { crc, epoch, kind, .. } = shared.frame(&mut pin, visible, position)?.header;
    let same = position == place.position && crc == place.frame_crc && epoch == place.epoch;
    if same && history_of(shared, visible, position, epoch)? == place.history {
        return Ok(Found::Same);
    }
    Ok(if kind == FrameKind::Gap { Found::Gap } else { Found::Other(epoch) })
}

/// The history of `epoch`, in which the frame at `position` was written.
///
/// It stands in the first frame of the segment, or in the EPOCH with which a later epoch went on
/// there. Epochs only rise, so the sparse index says where to look.
pub(in crate::log) fn history_of(
    shared: &Shared,
    visible: Visible,
    position: Position,
    epoch: Epoch,
) -> Result<HistoryId, ReadError> {
    let id = position.segment(shared.bits);
    let segment = shared.segments.get(id).ok_or(ReadError::Missing(id))?;
    let mapping = shared.map(&segment)?;
    let bytes = segment.frozen(&mapping, visible);
    let rest = |offset: u32| bytes.get(offset as usize..).unwrap_or(&[]);
    let fault = |offset| ReadError::Items(segment.place(offset), ItemFault::SegOpen);
    let header_at = |offset| FrameHeader::parse(segment.key(), offset, rest(offset)).ok();
    let near = segment
        .index()
        .last_where(|entry| header_at(entry.offset).is_some_and(|header| header.epoch < epoch));
    let Some(near) = near else {
        let frame = frame_at(&segment, FIRST_FRAME, rest(FIRST_FRAME))?;
        let (open, _) = SegOpen::decode(&frame).map_err(|_| fault(FIRST_FRAME))?;
        return if frame.header.epoch == epoch {
            Ok(open.history)
        } else {
            Err(fault(FIRST_FRAME))
        };
    };
    let mut offset = near.offset;
    while let Some(header) = header_at(offset) {
        if header.epoch == epoch {
            let frame = frame_at(&segment, offset, rest(offset))?;
            let body = EpochBody::decode(frame.body).filter(|_| header.kind == FrameKind::Epoch);
            return body.map(|body| body.history).ok_or_else(|| fault(offset));
        }
        offset = header.next_offset();
    }
    Err(fault(offset))
}

fn frame_at<'a>(segment: &Segment, offset: u32, bytes: &'a [u8]) -> Result<Frame<'a>, ReadError> {
    Frame::parse(segment.key(), offset, bytes).map_err(|error| {
        let reason = factlog_codec::StopReason::Frame(error);
        ReadError::Frame(segment.id(), factlog_codec::Stop { offset, reason })
    })
}
