//! The frames of a segment in order, each held against the one before.

use core::fmt;

use crate::checksum::{Fold, SegmentKey};
use crate::frame::{EpochBody, Frame, FrameError, FrameHeader, FrameKind, GapBody};
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
    /// The frame is from an older epoch than the one before it; or from a later one, and does not
    /// begin it; or begins one that is no later one.
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
        Self { key, bytes, state: WalkState::new(key, sequence) }
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
        let (frame, next) =
            self.read().map_err(|reason| Stop { offset: self.state.offset, reason })?;
        self.state = next;
        Ok(frame)
    }

    #[inline]
    fn read(&self) -> Result<(Frame<'a>, WalkState), StopReason> {
        let state = &self.state;
        let rest = usize::try_from(state.offset).ok().and_then(|offset| self.bytes.get(offset..));
        let frame =
            Frame::parse(self.key, state.offset, rest.unwrap_or(&[])).map_err(StopReason::Frame)?;
        let next = state.then(&frame.header, frame.body)?;
        Ok((frame, next))
    }
}

impl WalkState {
    /// Before the first frame of the segment with `key`. `sequence` is the one that must come next,
    /// if known.
    pub const fn new(key: SegmentKey, sequence: Option<Sequence>) -> Self {
        Self {
            offset: FIRST_FRAME,
            sequence,
            ts: 0,
            epoch: Epoch::new(0),
            fold: key.empty_fold(),
            frames: 0,
        }
    }

    /// Holds a frame that verifies against this; gives what the one after it is held against.
    ///
    /// Of the body [`BODY_HEAD`](Self::BODY_HEAD) bytes are enough, or all if it has fewer.
    ///
    /// # Errors
    ///
    /// The frame does not go on from here.
    #[inline]
    pub fn then(&self, header: &FrameHeader, body: &[u8]) -> Result<Self, StopReason> {
        self.admit(header)?;
        let next = match header.kind {
            FrameKind::Gap => match GapBody::decode(body) {
                Some(gap) if gap.first == header.sequence => gap.last.after(1),
                _ => return Err(StopReason::Body(FrameKind::Gap)),
            },
            FrameKind::Epoch if EpochBody::decode(body).is_none() => {
                return Err(StopReason::Body(FrameKind::Epoch));
            }
            _ => header.next_sequence(),
        };
        Ok(Self {
            offset: header.next_offset(),
            sequence: Some(next),
            ts: header.ts,
            epoch: header.epoch,
            fold: self.fold.then(header.offset, header.crc),
            frames: self.frames.saturating_add(1),
        })
    }

    /// Bytes of a body that say everything that a walk has to know.
    pub const BODY_HEAD: usize = 64;

    /// Holds the header of a frame against this.
    ///
    /// # Errors
    ///
    /// The frame does not go on from here.
    #[inline]
    pub fn admit(&self, header: &FrameHeader) -> Result<(), StopReason> {
        let state = self;
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
        // A later epoch begins with a frame that says so, and which history it is.
        let goes_on = match header.kind {
            FrameKind::SegOpen => header.epoch >= state.epoch,
            FrameKind::Epoch => header.epoch > state.epoch,
            _ => header.epoch == state.epoch,
        };
        if !goes_on {
            return Err(StopReason::Epoch { before: state.epoch, found: header.epoch });
        }
        if header.ts <= state.ts {
            return Err(StopReason::Time { before: state.ts, found: header.ts });
        }
        Ok(())
    }
}

const _: () = {
    // One more than the longest: a body that is too long is seen.
    assert!(EpochBody::LEN < WalkState::BODY_HEAD && GapBody::LEN < WalkState::BODY_HEAD);
    assert!(super::open::SegOpen::LEN <= WalkState::BODY_HEAD);
};
