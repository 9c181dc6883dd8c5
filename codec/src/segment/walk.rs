//! The frames of a segment in order, each held against the one before.

use core::fmt;

use crate::checksum::{Fold, SegmentKey};
use crate::frame::{EpochBody, Frame, FrameError, FrameKind, GapBody};
use crate::ids::{Epoch, Sequence};
use crate::layout::FIRST_FRAME;

/// What the next frame is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkState {
    /// Where the next frame begins.
    pub offset: u32,
    /// The sequence that it must begin with; `None` before the first frame of a segment that
    /// stands alone.
    pub sequence: Option<Sequence>,
    /// Time of the frame before.
    pub ts: u64,
    /// Epoch of the frame before.
    pub epoch: Epoch,
    /// Checksum of the frames so far.
    pub fold: Fold,
    /// Number of frames so far.
    pub frames: u32,
}

/// Why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The bytes are no frame.
    Frame(FrameError),
    /// The frame begins with another sequence than the one expected.
    Sequence {
        /// The sequence that was expected.
        expected: Sequence,
        /// The one that stands there.
        found: Sequence,
    },
    /// The frame is from an older epoch than the one before it.
    Epoch {
        /// The epoch of the frame before.
        before: Epoch,
        /// The one that stands there.
        found: Epoch,
    },
    /// The frame is not later than the one before it.
    Time {
        /// The time of the frame before.
        before: u64,
        /// The one that stands there.
        found: u64,
    },
    /// The segment does not begin with a SEGOPEN, or has one elsewhere.
    SegOpen,
    /// The body of an engine frame cannot be read.
    Body(FrameKind),
    /// An engine frame says that it holds events.
    Count(FrameKind),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Sequence { expected, found } => {
                write!(f, "sequence {expected} was expected, {found} stands there")
            }
            Self::Epoch { before, found } => {
                write!(f, "epoch {found} stands behind epoch {before}")
            }
            Self::Time { before, found } => write!(f, "time {found} stands behind time {before}"),
            Self::SegOpen => write!(f, "a SEGOPEN is missing or misplaced"),
            Self::Body(kind) => write!(f, "the body of a {kind:?} frame cannot be read"),
            Self::Count(kind) => write!(f, "a {kind:?} frame says that it holds events"),
        }
    }
}

/// Where and why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stop {
    /// Offset of the first place without a frame.
    pub offset: u32,
    /// Why there is none.
    pub reason: StopReason,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.reason)
    }
}

impl core::error::Error for Stop {}

/// Walks the frames of one segment.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    key: SegmentKey,
    bytes: &'a [u8],
    state: WalkState,
}

impl<'a> Walk<'a> {
    /// From the first frame of the segment with `key`. `bytes` is the segment from its first
    /// byte up to where frames must end. `sequence` is the one that must come next, if known.
    pub const fn new(key: SegmentKey, bytes: &'a [u8], sequence: Option<Sequence>) -> Self {
        let state = WalkState {
            offset: FIRST_FRAME,
            sequence,
            ts: 0,
            epoch: Epoch::new(0),
            fold: key.empty_fold(),
            frames: 0,
        };
        Self { key, bytes, state }
    }

    /// The same, held against the segment before: time and epoch go on from there.
    #[must_use]
    pub const fn after(mut self, ts: u64, epoch: Epoch) -> Self {
        self.state.ts = ts;
        self.state.epoch = epoch;
        self
    }

    /// What the next frame is held against.
    pub const fn state(&self) -> &WalkState {
        &self.state
    }

    /// The next frame.
    ///
    /// # Errors
    ///
    /// Where and why there is none: the walk stays there.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Frame<'a>, Stop> {
        let frame = self.read().map_err(|reason| Stop { offset: self.state.offset, reason })?;
        let header = &frame.header;
        let next = match header.kind {
            FrameKind::Gap => match GapBody::decode(frame.body) {
                Some(gap) if gap.first == header.sequence => gap.last.after(1),
                _ => return Err(self.stop(StopReason::Body(FrameKind::Gap))),
            },
            FrameKind::Epoch if EpochBody::decode(frame.body).is_none() => {
                return Err(self.stop(StopReason::Body(FrameKind::Epoch)));
            }
            _ => header.next_sequence(),
        };
        self.state = WalkState {
            offset: header.next_offset(),
            sequence: Some(next),
            ts: header.ts,
            epoch: header.epoch,
            fold: self.state.fold.then(header.offset, header.crc),
            frames: self.state.frames.saturating_add(1),
        };
        Ok(frame)
    }

    const fn stop(&self, reason: StopReason) -> Stop {
        Stop { offset: self.state.offset, reason }
    }

    #[inline]
    fn read(&self) -> Result<Frame<'a>, StopReason> {
        let state = &self.state;
        let rest = usize::try_from(state.offset).ok().and_then(|offset| self.bytes.get(offset..));
        let frame =
            Frame::parse(self.key, state.offset, rest.unwrap_or(&[])).map_err(StopReason::Frame)?;
        let header = &frame.header;
        if (header.kind == FrameKind::SegOpen) != (state.offset == FIRST_FRAME) {
            return Err(StopReason::SegOpen);
        }
        if header.kind != FrameKind::Data && header.count != 0 {
            return Err(StopReason::Count(header.kind));
        }
        if let Some(expected) = state.sequence
            && expected != header.sequence
        {
            return Err(StopReason::Sequence { expected, found: header.sequence });
        }
        if header.epoch < state.epoch {
            return Err(StopReason::Epoch { before: state.epoch, found: header.epoch });
        }
        if header.ts <= state.ts {
            return Err(StopReason::Time { before: state.ts, found: header.ts });
        }
        Ok(frame)
    }
}
