//! A frame that is read in pieces: the same checks as of one that stands in memory whole.
//!
//! A length that lies makes nothing be allocated: what has been checked is forgotten.

use crc32fast::Hasher;

use super::parse::{FrameError, FrameHeader};
use crate::bytes::all_zero;
use crate::checksum::SegmentKey;
use crate::layout::FRAME_HEADER;

/// Takes the bytes of one frame in order, and says in the end whether it verifies.
#[derive(Debug, Clone)]
pub struct FramePieces {
    header: FrameHeader,
    hasher: Hasher,
    /// Where the body ends, counted from the frame's first byte.
    written: usize,
    span: usize,
    taken: usize,
    filler_is_zero: bool,
}

impl FramePieces {
    /// Of the frame at `offset` that begins with `header`. Frames must end `room` bytes from there.
    ///
    /// Nothing has been taken yet: the header's bytes are the first to be.
    ///
    /// # Errors
    ///
    /// The header shows that there is no frame.
    pub fn begin(
        key: SegmentKey,
        offset: u32,
        header: &[u8; FRAME_HEADER],
        room: usize,
    ) -> Result<Self, FrameError> {
        let header = FrameHeader::parse_within(key, offset, header, room)?;
        let (Ok(len), Ok(span)) = (usize::try_from(header.len), usize::try_from(header.span))
        else {
            return Err(FrameError::Beyond(header.span));
        };
        Ok(Self {
            header,
            hasher: key.at(offset).hasher(),
            written: FRAME_HEADER.saturating_add(len),
            span,
            taken: 0,
            filler_is_zero: true,
        })
    }

    /// The header, whose own check holds. What the body is nobody knows yet.
    pub const fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// How many bytes have been taken.
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// How many bytes are still to be taken.
    pub const fn missing(&self) -> usize {
        self.span.saturating_sub(self.taken)
    }

    /// Takes the next bytes, as many as belong to the frame; gives how many those were.
    pub fn take(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.missing());
        let bytes = bytes.get(..count).unwrap_or(bytes);
        let written = self.written.saturating_sub(self.taken).min(count);
        if let Some((checked, filler)) = bytes.split_at_checked(written) {
            // The checksum does not cover itself.
            let own = 4_usize.saturating_sub(self.taken);
            self.hasher.update(checked.get(own..).unwrap_or(&[]));
            self.filler_is_zero &= all_zero(filler);
        }
        self.taken = self.taken.saturating_add(count);
        count
    }

    /// The frame's header, after all of it was taken.
    ///
    /// # Errors
    ///
    /// It does not verify, or bytes are missing.
    pub fn finish(self) -> Result<FrameHeader, FrameError> {
        if self.missing() > 0 {
            return Err(FrameError::NoRoom);
        }
        if self.hasher.finalize() != self.header.crc {
            return Err(FrameError::Checksum);
        }
        if !self.filler_is_zero {
            return Err(FrameError::Filler);
        }
        Ok(self.header)
    }
}
