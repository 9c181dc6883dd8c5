//! Bytes that may be anything, to a frame that verifies, or the reason why it does not.
//!
//! The order is the point: `hsum` before any field is used, bounds before the body is touched,
//! `crc` before anything in the body is interpreted.

use core::fmt;

use crate::bytes::all_zero;
use crate::checksum::SegmentKey;
use crate::frame::{FrameFlags, FrameKind};
use crate::ids::{Epoch, Position, Sequence};
use crate::layout::{ALIGN, FRAME_HEADER};
use crate::raw::RawFrameHeader;

/// A frame that verified: its header can be trusted, its body is what was written.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The header.
    pub header: FrameHeader,
    /// The body: items, or what the kind says.
    pub body: &'a [u8],
}

/// The fields of a header that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Where the frame begins in its segment.
    pub offset: u32,
    /// Checksum as written.
    pub crc: u32,
    /// Length of the body in bytes.
    pub len: u32,
    /// Distance to the next frame in bytes.
    pub span: u32,
    /// Sequence of the first event; without events, the next to be given.
    pub sequence: Sequence,
    /// Number of events.
    pub count: u16,
    /// Nanoseconds since the Unix epoch.
    pub ts: u64,
    /// The durable position when this was written.
    pub durable: Position,
    /// Epoch of the writer.
    pub epoch: Epoch,
    /// What it is for.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: FrameFlags,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameError {
    /// Fewer bytes than a header are left.
    NoRoom,
    /// The header is all zeros: nothing was written here.
    Empty,
    /// The header's own check does not hold.
    HeaderSum,
    /// The kind is none that is known.
    Kind(u8),
    /// A flag is none that is known.
    Flags(u8),
    /// The span is not a multiple of 16, or too small for the body.
    Span(u32),
    /// The frame would reach beyond where frames may stand.
    Beyond(u32),
    /// The checksum does not hold.
    Checksum,
    /// The space between body and next frame is not zero.
    Filler,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => write!(f, "no room for a frame header"),
            Self::Empty => write!(f, "no frame was written here"),
            Self::HeaderSum => write!(f, "the frame header does not verify"),
            Self::Kind(kind) => write!(f, "unknown kind of frame: {kind}"),
            Self::Flags(flags) => write!(f, "unknown flags of a frame: {flags:#010b}"),
            Self::Span(span) => write!(f, "impossible distance to the next frame: {span}"),
            Self::Beyond(span) => write!(f, "the frame reaches beyond its segment: {span} bytes"),
            Self::Checksum => write!(f, "the checksum of the frame does not hold"),
            Self::Filler => write!(f, "bytes behind the frame are not zero"),
        }
    }
}

impl core::error::Error for FrameError {}

impl<'a> Frame<'a> {
    /// The frame at `offset`, of which `bytes` is all that lies between its first byte and where
    /// frames must end.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    #[inline]
    pub fn parse(key: SegmentKey, offset: u32, bytes: &'a [u8]) -> Result<Self, FrameError> {
        let header = FrameHeader::parse(key, offset, bytes)?;
        let (Ok(len), Ok(span)) = (usize::try_from(header.len), usize::try_from(header.span))
        else {
            return Err(FrameError::Beyond(header.span));
        };
        let Some(frame) = bytes.get(..span) else { return Err(FrameError::Beyond(header.span)) };
        let Some((written, filler)) = frame.split_at_checked(FRAME_HEADER + len) else {
            return Err(FrameError::Span(header.span));
        };
        let (Some(checked), Some(body)) = (written.get(4..), written.get(FRAME_HEADER..)) else {
            return Err(FrameError::NoRoom);
        };
        if key.at(offset).crc(checked) != header.crc {
            return Err(FrameError::Checksum);
        }
        if !all_zero(filler) {
            return Err(FrameError::Filler);
        }
        Ok(Self { header, body })
    }
}

impl FrameHeader {
    /// The header at `offset`, checked by itself: lengths are bounded, the body is not looked at.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    #[inline]
    pub fn parse(key: SegmentKey, offset: u32, bytes: &[u8]) -> Result<Self, FrameError> {
        let Some(first) = bytes.first_chunk::<FRAME_HEADER>() else {
            return Err(FrameError::NoRoom);
        };
        Self::parse_within(key, offset, first, bytes.len())
    }

    /// The same, of a header whose body is not at hand: frames must end `room` bytes from its
    /// first one.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    #[inline]
    pub fn parse_within(
        key: SegmentKey,
        offset: u32,
        first: &[u8; FRAME_HEADER],
        room: usize,
    ) -> Result<Self, FrameError> {
        let raw: RawFrameHeader = bytemuck::cast(*first);
        if key.at(offset).hsum(first) != raw.hsum {
            return Err(if all_zero(first) { FrameError::Empty } else { FrameError::HeaderSum });
        }
        let Some(kind) = FrameKind::from_code(raw.kind) else {
            return Err(FrameError::Kind(raw.kind));
        };
        let Some(flags) = FrameFlags::from_bits(raw.flags) else {
            return Err(FrameError::Flags(raw.flags));
        };
        let (Ok(len), Ok(span)) = (usize::try_from(raw.len), usize::try_from(raw.span)) else {
            return Err(FrameError::Beyond(raw.span));
        };
        let fits = FRAME_HEADER.checked_add(len).is_some_and(|written| written <= span);
        if !fits || !span.is_multiple_of(ALIGN) {
            return Err(FrameError::Span(raw.span));
        }
        if span > room {
            return Err(FrameError::Beyond(raw.span));
        }
        Ok(Self {
            offset,
            crc: raw.crc,
            len: raw.len,
            span: raw.span,
            sequence: Sequence::new(raw.sequence),
            count: raw.count,
            ts: raw.ts,
            durable: Position::from_raw(raw.durable),
            epoch: Epoch::new(raw.epoch),
            kind,
            flags,
        })
    }

    /// Whether bytes may be a header at all, without the price of its check: for those who look at
    /// every place. What this refuses, [`parse_within`](Self::parse_within) refuses.
    #[inline]
    pub(crate) fn may_be(first: &[u8; FRAME_HEADER]) -> bool {
        let raw: RawFrameHeader = bytemuck::cast(*first);
        usize::try_from(raw.span)
            .is_ok_and(|span| span >= FRAME_HEADER && span.is_multiple_of(ALIGN))
    }

    /// Where the next frame begins.
    pub const fn next_offset(&self) -> u32 {
        self.offset.saturating_add(self.span)
    }

    /// The sequence that the next frame begins with, unless this is a GAP.
    pub const fn next_sequence(&self) -> Sequence {
        self.sequence.after(self.count as u64)
    }
}
