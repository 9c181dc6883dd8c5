//! Frames of a segment through a window, and the next one behind bytes that are none.

use factlog_codec::layout::{ALIGN, FRAME_HEADER, PAGE};
use factlog_codec::{
    FrameError, FrameHeader, FrameKind, FramePieces, Position, SegmentKey, Sequence, StopReason,
    WalkState, find_candidate,
};

use super::pace::Stopped;
use super::report::ScrubReason;
use super::window::{Halt, View};

/// Why there is no frame.
#[derive(Debug)]
pub(super) enum NoFrame {
    /// Somebody wants it to stop.
    Stopped,
    /// What is wrong.
    Wrong(ScrubReason),
}

impl From<Halt> for NoFrame {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Stopped => Self::Stopped,
            Halt::Unreadable(_, error) => Self::Wrong(ScrubReason::Read(error)),
        }
    }
}

impl From<StopReason> for NoFrame {
    fn from(reason: StopReason) -> Self {
        Self::Wrong(ScrubReason::Frame(reason))
    }
}

impl From<FrameError> for NoFrame {
    fn from(error: FrameError) -> Self {
        StopReason::Frame(error).into()
    }
}

/// The beginning of a frame's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyHead {
    bytes: [u8; WalkState::BODY_HEAD],
    len: usize,
}

impl BodyHead {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// The frames of one segment.
pub(super) struct Frames<'v, 'w, 'p> {
    pub(super) view: &'v mut View<'w, 'p>,
    pub(super) key: SegmentKey,
    pub(super) bits: u8,
    /// Where they end.
    pub(super) end: u32,
}

impl Frames<'_, '_, '_> {
    /// The frame at `offset`, if it verifies.
    pub(super) fn verify(&mut self, offset: u32) -> Result<(FrameHeader, BodyHead), NoFrame> {
        let room = bytes_between(offset, self.end);
        let bytes = self.view.get(offset, FRAME_HEADER)?;
        let first = bytes.first_chunk().ok_or(FrameError::NoRoom)?;
        let mut pieces = FramePieces::begin(self.key, offset, first, room)?;
        // No more than the frame has: what is behind it may be unreadable.
        let len = usize::try_from(pieces.header().len).unwrap_or(usize::MAX);
        let len = len.min(WalkState::BODY_HEAD);
        let bytes = self.view.get(offset, FRAME_HEADER + len)?;
        let body = bytes.get(FRAME_HEADER..).unwrap_or(&[]);
        let mut head = BodyHead { bytes: [0; WalkState::BODY_HEAD], len: 0 };
        for (to, from) in head.bytes.iter_mut().zip(body.iter().take(len)) {
            *to = *from;
            head.len += 1;
        }
        while pieces.missing() > 0 {
            let taken = u32::try_from(pieces.taken()).unwrap_or(u32::MAX);
            let bytes = self.view.get(offset.saturating_add(taken), 1)?;
            if pieces.take(bytes) == 0 {
                break;
            }
        }
        Ok((pieces.finish()?, head))
    }

    /// The next frame behind `state` that verifies and can go on from there; `sequences` are those
    /// from which on, and up to which, it can begin. `None` if there is none, or if the search has
    /// used up `budget`.
    ///
    /// Checking candidates and reading for it is all that the budget counts, so that lengths that
    /// lie make no more work than that.
    pub(super) fn look_on(
        &mut self,
        state: &WalkState,
        sequences: (Sequence, Sequence),
        budget: &mut u64,
    ) -> Result<Option<FrameHeader>, Stopped> {
        let mut at = state.offset.saturating_add(ALIGN as u32);
        while bytes_between(at, self.end) >= FRAME_HEADER {
            let bytes = match self.view.get(at, FRAME_HEADER) {
                Ok(bytes) => bytes,
                Err(Halt::Stopped) => return Err(Stopped),
                Err(Halt::Unreadable(page, _)) => {
                    at = at.max(page).saturating_add(PAGE as u32) & !(PAGE as u32 - 1);
                    continue;
                }
            };
            let bytes = bytes.get(..bytes_between(at, self.end)).unwrap_or(bytes);
            if bytes.len() < FRAME_HEADER {
                break;
            }
            let Some(header) = find_candidate(self.key, bytes, at, self.end) else {
                let looked_at = (bytes.len() - FRAME_HEADER) / ALIGN + 1;
                at = at.saturating_add((looked_at * ALIGN) as u32);
                continue;
            };
            if self.is_plausible(&header, state, sequences) {
                let before = self.view.spent();
                match self.verify(header.offset) {
                    Ok(_) => return Ok(Some(header)),
                    Err(NoFrame::Stopped) => return Err(Stopped),
                    Err(NoFrame::Wrong(_)) => {}
                }
                let work = u64::from(header.span) + (self.view.spent() - before);
                match budget.checked_sub(work) {
                    Some(left) => *budget = left,
                    None => return Ok(None),
                }
            }
            at = header.offset.saturating_add(ALIGN as u32);
        }
        Ok(None)
    }

    /// Whether a frame that verifies could stand there.
    fn is_plausible(
        &self,
        header: &FrameHeader,
        state: &WalkState,
        (from, to): (Sequence, Sequence),
    ) -> bool {
        let own = Position::new(self.key.segment(), header.offset, self.bits);
        header.durable <= own
            && (from..=to).contains(&header.sequence)
            && header.next_sequence() <= to
            && before(header, state).admit(header).is_ok()
    }
}

/// What a frame is held against that is found behind `state`, past frames that are lost: whatever
/// they were. One of them may have begun the epoch.
pub(super) fn before(header: &FrameHeader, state: &WalkState) -> WalkState {
    let epoch = match header.kind {
        FrameKind::Epoch | FrameKind::SegOpen => state.epoch,
        _ => state.epoch.max(header.epoch),
    };
    WalkState { offset: header.offset, sequence: Some(header.sequence), epoch, ..*state }
}

fn bytes_between(from: u32, to: u32) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(0)
}
