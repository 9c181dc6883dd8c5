//! The frames of one file that verify, past everything that does not.

use factlog_codec::layout::{ALIGN, FIRST_FRAME, PAGE, seal_offset};
use factlog_codec::{Frame, SegmentKey, all_zero, find_candidate};

/// Goes from frame to frame; where there is none, from place to place.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    key: SegmentKey,
    /// The segment up to where its frames end.
    bytes: &'a [u8],
    offset: u32,
    /// Bytes that may still be checksummed in vain: lengths may lie.
    budget: usize,
    exhausted: bool,
}

impl<'a> Frames<'a> {
    /// Of a segment whose bytes are these, from `from` on; its frames end at `end`, if that is known.
    pub(super) fn new(
        key: SegmentKey,
        bits: u8,
        bytes: &'a [u8],
        from: u32,
        end: Option<u32>,
    ) -> Self {
        let end = end.map_or(seal_offset(bits), |end| end as usize);
        let bytes = bytes.get(..end.min(seal_offset(bits))).unwrap_or(bytes);
        let budget = bytes.len().saturating_mul(8);
        let offset = from.max(FIRST_FRAME) & !15;
        Self { key, bytes, offset, budget, exhausted: false }
    }

    /// Behind the last frame that was given.
    pub(super) fn offset(&self) -> u32 {
        self.offset
    }

    /// Bytes behind the last frame up to the last one that is not zero.
    pub(super) fn rest(&self) -> u32 {
        let rest = self.bytes.get(self.offset as usize..).unwrap_or(&[]);
        let blank = rest.rchunks_exact(PAGE).take_while(|page| all_zero(page)).count() * PAGE;
        let rest = rest.get(..rest.len().saturating_sub(blank)).unwrap_or(&[]);
        let used = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// Whether looking was given up, since the bytes make too much work.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// The next frame that verifies, and how many bytes before it are none.
    pub(super) fn next_frame(&mut self) -> Option<(u32, Frame<'a>)> {
        let from = self.offset;
        let mut offset = from;
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        loop {
            let rest = self.bytes.get(usize::try_from(offset).ok()?..)?;
            let header = find_candidate(self.key, rest, offset, end)?;
            let here = self.bytes.get(usize::try_from(header.offset).ok()?..)?;
            if let Ok(frame) = Frame::parse(self.key, header.offset, here) {
                self.offset = frame.header.next_offset();
                return Some((header.offset - from, frame));
            }
            let cost = usize::try_from(header.span).unwrap_or(usize::MAX);
            let Some(left) = self.budget.checked_sub(cost) else {
                self.exhausted = true;
                return None;
            };
            self.budget = left;
            offset = header.offset.checked_add(u32::try_from(ALIGN).unwrap_or(16))?;
        }
    }
}
