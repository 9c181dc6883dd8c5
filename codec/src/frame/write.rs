//! Closing a frame: header and checksum over a body that already stands in place.

use crate::checksum::SegmentKey;
use crate::frame::{FrameFlags, FrameKind};
use crate::ids::{Epoch, Position, Sequence};
use crate::layout::{ALIGN, FRAME_HEADER, align_up};
use crate::raw::RawFrameHeader;

/// What a frame's header will say, beside lengths and checks.
#[derive(Debug, Clone, Copy)]
pub struct FrameDraft {
    /// What it is for.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: FrameFlags,
    /// Sequence of its first event.
    pub sequence: Sequence,
    /// Number of events.
    pub count: u16,
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// The durable position.
    pub durable: Position,
    /// Epoch of the writer.
    pub epoch: Epoch,
}

/// A frame that was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Distance to where the next frame begins.
    pub span: u32,
    /// Its checksum.
    pub crc: u32,
}

/// Writes header and checksum of the frame at `offset`.
///
/// `space` begins with the frame: 48 bytes for the header, then `len` bytes of body that stand
/// already, then the filler, which this zeroes.
///
/// # Panics
///
/// When `space` is shorter than header, body and filler, or longer bodies than 4 GiB are asked
/// for: a mistake of the caller, who has claimed the space.
#[inline]
#[allow(clippy::indexing_slicing, reason = "lengths are the caller's claim, as documented")]
pub fn seal_frame(
    key: SegmentKey,
    offset: u32,
    draft: &FrameDraft,
    space: &mut [u8],
    len: usize,
) -> Sealed {
    seal_padded_frame(key, offset, draft, space, len, align_up(FRAME_HEADER + len))
}

/// The same for a frame whose filler goes on until `span` bytes after its beginning: a multiple of
/// 16, at least header and body.
///
/// # Panics
///
/// As [`seal_frame`], and when `space` is shorter than `span`.
#[inline]
#[allow(clippy::indexing_slicing, reason = "lengths are the caller's claim, as documented")]
pub fn seal_padded_frame(
    key: SegmentKey,
    offset: u32,
    draft: &FrameDraft,
    space: &mut [u8],
    len: usize,
    span: usize,
) -> Sealed {
    let written = FRAME_HEADER + len;
    debug_assert!((offset as usize).is_multiple_of(ALIGN) && span.is_multiple_of(ALIGN));
    let mut raw = RawFrameHeader {
        crc: 0,
        len: len as u32,
        sequence: draft.sequence.get(),
        ts: draft.ts,
        durable: draft.durable.raw(),
        epoch: draft.epoch.get(),
        count: draft.count,
        kind: draft.kind.code(),
        flags: draft.flags.bits(),
        span: span as u32,
        hsum: 0,
    };
    let key = key.at(offset);
    raw.hsum = key.hsum_of_words(raw.words());
    let header: [u8; FRAME_HEADER] = bytemuck::cast(raw);
    space[..FRAME_HEADER].copy_from_slice(&header);
    if written != span {
        space[written..span].fill(0);
    }
    let crc = key.crc(&space[4..written]);
    space[..4].copy_from_slice(&crc.to_le_bytes());
    Sealed { span: span as u32, crc }
}
