//! Seeking: from a sequence or a time to the frame, by a sparse index and a short walk.

use factlog_codec::layout::FRAME_HEADER;
use factlog_codec::{Frame, FrameHeader, Position, Sequence, Stop, StopReason};

use crate::log::error::ReadError;
use crate::log::frontier::Visible;
use crate::log::map::Mapping;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::Arc;

impl Shared {
    /// The sequence of the oldest event that is kept.
    pub(in crate::log) fn oldest(&self) -> Sequence {
        self.segments.oldest().unwrap_or(Sequence::FIRST)
    }

    /// The last visible frame for which `before` holds of sequence and time, as it does for all
    /// before it. `None` if it holds for none.
    pub(in crate::log) fn seek(
        &self,
        visible: Visible,
        before: impl Fn(Sequence, u64) -> bool,
    ) -> Result<Option<(Arc<Segment>, FrameHeader)>, ReadError> {
        let Some(mut segment) = self.segments.last_where(&before) else { return Ok(None) };
        // The index of the segment in use may be ahead of what is visible.
        while segment.frozen_end(visible) == 0 {
            let Some(previous) = self.segments.before(segment.id()) else { return Ok(None) };
            segment = previous;
        }
        let mapping = self.map(&segment)?;
        let bytes = segment.frozen(&mapping, visible);
        let end = bytes.len();
        segment.complete_index(bytes);
        let near = segment
            .index()
            .last_where(|entry| before(entry.sequence, entry.ts) && (entry.offset as usize) < end);
        let Some(near) = near else { return Ok(None) };
        let mut offset = near.offset;
        let mut found = None;
        while (offset as usize) < end {
            let rest = bytes.get(offset as usize..).unwrap_or(&[]);
            let header = FrameHeader::parse(segment.key(), offset, rest).map_err(|error| {
                ReadError::Frame(segment.id(), Stop { offset, reason: StopReason::Frame(error) })
            })?;
            if !before(header.sequence, header.ts) {
                break;
            }
            offset = header.next_offset();
            found = Some(header);
        }
        Ok(found.map(|header| (segment, header)))
    }

    /// Looks at the frame at `position`, which is below `visible`. A frame that is looked at again
    /// is not verified again.
    pub(in crate::log) fn frame<'m>(
        &self,
        pin: &'m mut Option<Pin>,
        visible: Visible,
        position: Position,
    ) -> Result<Frame<'m>, ReadError> {
        let id = position.segment(self.bits);
        if pin.as_ref().is_none_or(|pin| pin.segment.id() != id) {
            let segment = self.segments.get(id).ok_or_else(|| {
                if id < self.segments.floor() {
                    ReadError::BehindFloor(self.oldest())
                } else {
                    ReadError::Missing(id)
                }
            })?;
            let mapping = self.map(&segment)?;
            *pin = Some(Pin { segment, mapping, verified: None });
        }
        let Some(Pin { segment, mapping, verified }) = pin else {
            return Err(ReadError::Missing(id));
        };
        let offset = position.offset(self.bits);
        let bytes = segment.frozen(mapping, visible).get(offset as usize..).unwrap_or(&[]);
        if let Some(header) = verified.filter(|header| header.offset == offset) {
            // The bytes are frozen: what verified once is as it was.
            let body = bytes.get(FRAME_HEADER..).and_then(|body| body.get(..header.len as usize));
            return Ok(Frame { header, body: body.unwrap_or(&[]) });
        }
        let frame = self::verified(segment, offset, bytes)?;
        *verified = Some(frame.header);
        Ok(frame)
    }
}

/// The frame that stands at `offset` of a segment, where `bytes` begin.
pub(super) fn verified<'m>(
    segment: &Segment,
    offset: u32,
    bytes: &'m [u8],
) -> Result<Frame<'m>, ReadError> {
    Frame::parse(segment.key(), offset, bytes).map_err(|error| {
        ReadError::Frame(segment.id(), Stop { offset, reason: StopReason::Frame(error) })
    })
}

/// A segment that stays mapped, and the frame in it that was verified last.
#[derive(Debug)]
pub(in crate::log) struct Pin {
    segment: Arc<Segment>,
    mapping: Arc<Mapping>,
    verified: Option<FrameHeader>,
}
