//! The order in which bytes become durable, and who may say so.
//!
//! Oldest segment first, one watermark: it is a prefix, it never falls, and it is never ahead of what
//! is visible. Who holds the lock is the one that syncs. What a sync is, is not said here, so that
//! this order can be checked without files.

use std::collections::VecDeque;

use factlog_codec::{Position, Seal, SegmentId, Sequence};

use crate::log::fault::IoError;
use crate::log::frontier::Frontier;
use crate::log::recovery::Unproven;
use crate::sync::{Arc, Mutex, PoisonError, SegQueue};

/// What has failed, for good.
pub(crate) type Failed = Arc<IoError>;

/// Where bytes become durable: files, or what stands for them in a model. After an error nothing is
/// asked of it any more.
pub(crate) trait Medium {
    /// A segment that is written.
    type Segment;

    /// The failure after which nothing may be called durable.
    fn failed(&self) -> Option<Failed>;
    /// Number of a segment.
    fn id(&self, segment: &Self::Segment) -> SegmentId;
    /// Puts recovered bytes back to their place, and syncs them.
    fn write_again(&self, range: Unproven) -> Result<(), Failed>;
    /// Seals a segment that an earlier process has left without.
    fn seal_late(&self, id: SegmentId, seal: &Seal) -> Result<(), Failed>;
    /// Seals and syncs a segment that has ended.
    fn settle(&self, left: &Self::Segment, seal: &Seal) -> Result<(), Failed>;
    /// Syncs a segment in use; `id` is the one that it must be.
    fn sync(&self, in_use: &Self::Segment, id: SegmentId) -> Result<(), Failed>;
    /// Everything below `end` is durable, and about to be called so.
    fn bear_witness(&self, end: Position, next: Sequence) -> Result<(), Failed>;
}

/// A segment that the writer has left, and the one that it goes on in.
#[derive(Debug)]
pub(crate) struct Retired<S> {
    pub(crate) left: S,
    pub(crate) seal: Seal,
    pub(crate) next: S,
}

/// What recovery has left to be done.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Bytes to be written again before they count as durable.
    pub(crate) unproven: Vec<Unproven>,
    /// Segments that ended, and have no SEAL yet.
    pub(crate) unsealed: Vec<(SegmentId, Seal)>,
}

#[derive(Debug)]
struct Due<S> {
    unproven: VecDeque<Unproven>,
    unsealed: VecDeque<(SegmentId, Seal)>,
    in_use: S,
}

/// What is to become durable.
#[derive(Debug)]
pub(crate) struct SyncOrder<S> {
    retired: SegQueue<Retired<S>>,
    /// Whoever holds this is the one that syncs, and publishes the durable watermark.
    due: Mutex<Due<S>>,
    bits: u8,
}

impl<S> SyncOrder<S> {
    pub(crate) fn new(owed: Owed, in_use: S, bits: u8) -> Self {
        let Owed { unproven, unsealed } = owed;
        let due = Due { unproven: unproven.into(), unsealed: unsealed.into(), in_use };
        Self { retired: SegQueue::new(), due: Mutex::new(due), bits }
    }

    /// Takes over a segment that has ended: before anything of the next one is visible.
    pub(crate) fn retire(&self, retired: Retired<S>) {
        self.retired.push(retired);
    }

    /// Whether no segment has ended that is not settled yet.
    pub(crate) fn is_settled(&self) -> bool {
        self.retired.is_empty()
    }

    /// Makes everything durable that is visible when this is called.
    pub(crate) fn sync<M: Medium<Segment = S>>(
        &self,
        medium: &M,
        frontier: &Frontier,
    ) -> Result<(), Failed> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        // Before anything is synced: every store below it has been made.
        let (visible, next) = frontier.visible_pair();
        let end = visible.position();
        // The segment before was retired before anything of this one became visible, so what is
        // in use after this is the segment of `end`, or a later one, and then `end` is durable.
        self.settle(&mut due, medium, frontier)?;
        if frontier.durable() >= end {
            return Ok(());
        }
        medium.sync(&due.in_use, end.segment(self.bits))?;
        Self::publish(medium, frontier, end, next)
    }

    /// What is due without the segment in use.
    pub(crate) fn settle_all<M: Medium<Segment = S>>(
        &self,
        medium: &M,
        frontier: &Frontier,
    ) -> Result<(), Failed> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        self.settle(&mut due, medium, frontier)
    }

    fn settle<M: Medium<Segment = S>>(
        &self,
        due: &mut Due<S>,
        medium: &M,
        frontier: &Frontier,
    ) -> Result<(), Failed> {
        if let Some(failed) = medium.failed() {
            return Err(failed);
        }
        while let Some(range) = due.unproven.front().copied() {
            medium.write_again(range)?;
            due.unproven.pop_front();
            let end = Position::new(range.segment, range.to, self.bits);
            Self::advance(medium, frontier, end, range.next)?;
        }
        while let Some((id, seal)) = due.unsealed.pop_front() {
            medium.seal_late(id, &seal)?;
        }
        while let Some(Retired { left, seal, next }) = self.retired.pop() {
            medium.settle(&left, &seal)?;
            let end = Position::new(medium.id(&left), seal.end, self.bits);
            Self::advance(medium, frontier, end, seal.next_sequence)?;
            due.in_use = next;
        }
        Ok(())
    }

    fn advance<M: Medium<Segment = S>>(
        medium: &M,
        frontier: &Frontier,
        end: Position,
        next: Sequence,
    ) -> Result<(), Failed> {
        // It may be durable already: it was synced to its end while it was in use.
        if end > frontier.durable() {
            Self::publish(medium, frontier, end, next)?;
        }
        Ok(())
    }

    fn publish<M: Medium<Segment = S>>(
        medium: &M,
        frontier: &Frontier,
        end: Position,
        next: Sequence,
    ) -> Result<(), Failed> {
        medium.bear_witness(end, next)?;
        frontier.publish_durable(end, next);
        Ok(())
    }
}
