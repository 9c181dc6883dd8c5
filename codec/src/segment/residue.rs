//! What verifies behind the first place without a frame.
//!
//! The first bad frame is not the end: what stands behind it tells a torn tail from damage.

use crate::bytes::all_zero;
use crate::checksum::SegmentKey;
use crate::frame::{Frame, FrameHeader, FrameKind, GapBody};
use crate::ids::{Epoch, Position, Sequence};
use crate::layout::{ALIGN, FRAME_HEADER, PAGE};

/// From one place where a frame may begin to the next.
const STEP: u32 = ALIGN as u32;
const PAGE_BYTES: u32 = PAGE as u32;

/// What was found behind the first place without a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Residue {
    /// Whether everything from there to where frames must end is zero.
    pub zero: bool,
    /// Number of frames that verify and are plausible.
    pub frames: u32,
    /// Offset of the first of them.
    pub first: Option<u32>,
    /// Greatest durable position that one of them bears witness to that was not taken over.
    pub durable: Position,
    /// Greatest epoch among them.
    pub epoch: Epoch,
    /// Greatest sequence after one of them.
    pub next_sequence: Sequence,
    /// The budget of checksum work ran out before the end was reached.
    pub exhausted: bool,
}

/// What makes a frame behind the end implausible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plausible {
    pub(crate) bits: u8,
    /// The sequence that was expected next where the looking began.
    pub(crate) least: Sequence,
    /// The greatest one that anything has led to since.
    pub(crate) sequence: Sequence,
}

/// Looks at every 16th byte of a segment from `from` on. `rest` is the segment from there up to
/// where frames must end; `bits` its size, `sequence` the one that was expected next. Frames of
/// epochs up to `taken_over` speak of the medium of another log, and bear no witness.
///
/// A frame counts if it verifies, is durable not beyond itself, and its sequence is within reach
/// of what can stand in a segment behind what was expected, or behind the frame found before it.
/// Checksum work is bounded by eight times the bytes looked at, however the lengths in them lie.
pub fn find_residue(
    key: SegmentKey,
    rest: &[u8],
    from: u32,
    bits: u8,
    sequence: Sequence,
    taken_over: Epoch,
) -> Residue {
    let mut plausible = Plausible { bits, least: sequence, sequence };
    let mut residue = Residue::default();
    if all_zero(rest) {
        return Residue { zero: true, ..residue };
    }
    let mut budget = rest.len().saturating_mul(8);
    let end = u32::try_from(rest.len()).ok().and_then(|len| from.checked_add(len));
    let end = end.unwrap_or(u32::MAX);
    let at = |offset: u32| rest.get(usize::try_from(offset.checked_sub(from)?).ok()?..);
    let mut next = from.checked_next_multiple_of(16);
    while let Some((offset, here)) = next.and_then(|offset| Some((offset, at(offset)?))) {
        let Some(header) = find_candidate(key, here, offset, end) else { break };
        let cost = usize::try_from(header.span).unwrap_or(usize::MAX);
        let Some(left) = budget.checked_sub(cost) else {
            residue.exhausted = true;
            return residue;
        };
        budget = left;
        let frame = at(header.offset).and_then(|here| Frame::parse(key, header.offset, here).ok());
        let frame = frame.filter(|frame| plausible.holds(frame, key));
        let step = frame.map_or(STEP, |frame| {
            // What a GAP says was lost may be more than a log of that length can hold.
            let next = next_after(&frame);
            plausible.sequence = plausible.sequence.max(next);
            residue.count(&frame, next, taken_over);
            header.span.max(STEP)
        });
        next = header.offset.checked_add(step);
    }
    residue
}

/// The sequence that comes after a frame.
fn next_after(frame: &Frame<'_>) -> Sequence {
    let gap = match frame.header.kind {
        FrameKind::Gap => GapBody::decode(frame.body),
        _ => None,
    };
    gap.map_or(frame.header.next_sequence(), |gap| gap.last.after(1))
}

/// The first place in `bytes`, which begin at `from`, where a frame may begin: the header's own
/// check holds, and its lengths stay below `end`. Whether the frame verifies nobody knows yet.
///
/// Looks at every 16th byte, as far as there are whole headers, and passes over pages of zeros. It
/// costs nothing but that, however the lengths lie, so that a segment can be looked through in
/// pieces.
pub fn find_candidate(key: SegmentKey, bytes: &[u8], from: u32, end: u32) -> Option<FrameHeader> {
    let mut offset = from;
    let mut rest = bytes;
    while let Some(first) = rest.first_chunk::<FRAME_HEADER>() {
        let room = usize::try_from(end.checked_sub(offset)?).unwrap_or(0);
        if FrameHeader::may_be(first)
            && let Ok(header) = FrameHeader::parse_within(key, offset, first, room)
        {
            return Some(header);
        }
        // Each page is looked through once, wherever the next one begins that is not blank.
        let step = if offset.is_multiple_of(PAGE_BYTES) { blank(rest).max(STEP) } else { STEP };
        offset = offset.checked_add(step)?;
        rest = rest.get(usize::try_from(step).ok()?..)?;
    }
    None
}

/// Bytes at the start of `bytes` where no header begins, since whole pages of them are zero: up to
/// the first one that reaches into what is behind.
fn blank(bytes: &[u8]) -> u32 {
    let pages = bytes.chunks_exact(PAGE).take_while(|page| all_zero(page)).count();
    let beginnings = pages.saturating_mul(PAGE).saturating_sub(FRAME_HEADER - ALIGN);
    u32::try_from(beginnings).unwrap_or(0)
}

impl Residue {
    fn count(&mut self, frame: &Frame<'_>, next: Sequence, taken_over: Epoch) {
        let header = &frame.header;
        self.frames = self.frames.saturating_add(1);
        self.first = self.first.or(Some(header.offset));
        // Each for itself: one of the log's own does not make witnesses of those beside it.
        if header.epoch > taken_over {
            self.durable = self.durable.max(header.durable);
        }
        self.epoch = self.epoch.max(header.epoch);
        self.next_sequence = self.next_sequence.max(next);
    }
}

impl Plausible {
    fn holds(self, frame: &Frame<'_>, key: SegmentKey) -> bool {
        let header = &frame.header;
        let own = Position::new(key.segment(), header.offset, self.bits);
        let reach = self.sequence.after(1 << self.bits);
        header.durable <= own && header.sequence >= self.least.before() && header.sequence <= reach
    }
}
