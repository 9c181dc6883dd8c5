//! What a reader holds against retention, until it is dropped.

use std::fmt;

use factlog_codec::{Position, Sequence};

use crate::log::holds::HoldId;
use crate::log::shared::Shared;
use crate::sync::{Arc, PoisonError};

/// Everything from a place on stays, as long as this lives.
pub(in crate::log) struct Hold {
    shared: Arc<Shared>,
    id: HoldId,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hold").field(&self.id).finish()
    }
}

impl Hold {
    /// Holds everything from `position` on, of which `next` is the next sequence; `None` if
    /// retention has taken it.
    pub(in crate::log) fn take(
        shared: &Arc<Shared>,
        position: Position,
        next: Sequence,
    ) -> Option<Self> {
        let id = shared.holds.hold(position, next)?;
        Some(Self { shared: Arc::clone(shared), id })
    }

    /// The same, for who does not look for another place. While retention is about to find out that
    /// it may not take what somebody holds, nobody else can hold it either: that is waited for.
    pub(in crate::log) fn take_settled(
        shared: &Arc<Shared>,
        position: Position,
        next: Sequence,
    ) -> Option<Self> {
        let taken = Self::take(shared, position, next);
        let gone = || position.segment(shared.bits) < shared.segments.floor();
        // In a forked child the lock may be held for ever.
        if taken.is_some() || gone() || shared.fork.is_child() {
            return taken;
        }
        // Under the lock the floor is up for good, or down again.
        let _waits = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
        Self::take(shared, position, next)
    }

    /// [`Hold::advance`], for holders outside of this folder.
    pub(in crate::log) fn go_on(&self, position: Position, next: Sequence) {
        self.advance(position, next);
    }

    /// Lets go of what is before `position`.
    #[inline]
    pub(in crate::log) fn advance(&self, position: Position, next: Sequence) {
        self.shared.holds.advance(self.id, position, next);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.holds.release(self.id);
    }
}
