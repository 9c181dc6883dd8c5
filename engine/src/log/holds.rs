//! What is held against retention: each holder has a slot in which it says where it is.
//!
//! Problem: retention must not take a segment that somebody is about to read, and readers must not
//! take a lock to go on. Idea: who wants to hold first writes where it is into a slot, then looks
//! at the floor; who wants to raise the floor first raises it, then looks at the slots. With a full
//! fence between the two steps, one of them sees the other: either the holder is refused, or the
//! floor comes back down. A holder that goes forward only needs to store: what it held protects
//! all that is behind it in the log.

use factlog_codec::{Position, SegmentId, Sequence};

use super::append_only::AppendOnly;
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, PoisonError, full_fence};

const FREE: u64 = 0;

/// One holder. Slots are used again.
#[derive(Debug, Default)]
struct Slot {
    /// Where the holder is; 0 if there is none.
    position: AtomicU64,
    /// The sequence that comes next to it, for those who watch.
    next: AtomicU64,
}

/// All holders of a log, and the floor below which nothing can be held.
#[derive(Debug)]
pub(crate) struct Holds {
    bits: u8,
    floor: AtomicU32,
    slots: AppendOnly<Slot>,
    len: AtomicUsize,
    /// Held to add a slot.
    growing: Mutex<()>,
}

/// A slot of [`Holds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HoldId(usize);

/// Where the holders are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    /// How many there are.
    pub(crate) holders: usize,
    /// The one farthest back: where, and its next sequence.
    pub(crate) oldest: Option<(Position, Sequence)>,
}

impl Holds {
    pub(crate) fn new(bits: u8, floor: SegmentId) -> Self {
        Self {
            bits,
            floor: AtomicU32::new(floor.get()),
            slots: AppendOnly::default(),
            len: AtomicUsize::new(0),
            growing: Mutex::new(()),
        }
    }

    /// The first segment that is left.
    pub(crate) fn floor(&self) -> SegmentId {
        SegmentId::new(self.floor.load(Ordering::Acquire))
    }

    /// Holds everything from `position` on; `None` if retention has taken it.
    pub(crate) fn hold(&self, position: Position, next: Sequence) -> Option<HoldId> {
        // Below every segment; in a slot it would say that there is nobody.
        if position.raw() == FREE {
            return None;
        }
        let id = self.take(position, next);
        full_fence();
        if SegmentId::new(self.floor.load(Ordering::Relaxed)) > position.segment(self.bits) {
            self.release(id);
            return None;
        }
        Some(id)
    }

    /// A slot of one's own.
    fn take(&self, position: Position, next: Sequence) -> HoldId {
        for index in 0..self.len.load(Ordering::Acquire) {
            let Some(slot) = self.slots.get(index) else { continue };
            let taken = slot.position.load(Ordering::Relaxed) == FREE
                && slot
                    .position
                    .compare_exchange(FREE, position.raw(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if taken {
                slot.next.store(next.get(), Ordering::Relaxed);
                return HoldId(index);
            }
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self.len.load(Ordering::Relaxed);
        let slot =
            Slot { position: AtomicU64::new(position.raw()), next: AtomicU64::new(next.get()) };
        let fresh = self.slots.set(index, slot);
        debug_assert!(fresh, "slots are added under a lock");
        // Release: whoever sees the length sees the slot.
        self.len.store(index + 1, Ordering::Release);
        HoldId(index)
    }

    /// The holder has gone on to `position`. To nowhere nobody goes: that would give the slot away.
    #[inline]
    pub(crate) fn advance(&self, id: HoldId, position: Position, next: Sequence) {
        if let Some(slot) = self.slots.get(id.0).filter(|_| position.raw() != FREE) {
            slot.next.store(next.get(), Ordering::Relaxed);
            // Release: what it read there it has read before.
            slot.position.store(position.raw(), Ordering::Release);
        }
    }

    /// Lets go.
    pub(crate) fn release(&self, id: HoldId) {
        if let Some(slot) = self.slots.get(id.0) {
            // Release: what it read it has read before.
            slot.position.store(FREE, Ordering::Release);
        }
    }

    /// Raises the floor, so that nothing below `to` can be held. If something is, the floor stays
    /// where it was, and what is held farthest back is given, with its next sequence. One thread at a
    /// time.
    pub(crate) fn raise(&self, to: SegmentId) -> Result<(), (Position, Sequence)> {
        let before = self.floor.load(Ordering::Relaxed);
        self.floor.store(to.get(), Ordering::Release);
        full_fence();
        let oldest = self.held().oldest;
        match oldest.filter(|(position, _)| position.segment(self.bits) < to) {
            None => Ok(()),
            Some(oldest) => {
                self.lower(SegmentId::new(before));
                Err(oldest)
            }
        }
    }

    /// Takes the floor back down, when nothing was dropped after all.
    pub(crate) fn lower(&self, to: SegmentId) {
        self.floor.store(to.get(), Ordering::Release);
    }

    /// Where the holders are.
    pub(crate) fn held(&self) -> Held {
        let mut held = Held::default();
        for index in 0..self.len.load(Ordering::Acquire) {
            let Some(slot) = self.slots.get(index) else { continue };
            // Acquire: what the holder read before, it has read.
            let position = slot.position.load(Ordering::Acquire);
            if position == FREE {
                continue;
            }
            held.holders += 1;
            let position = Position::from_raw(position);
            if held.oldest.is_none_or(|(oldest, _)| position < oldest) {
                let next = Sequence::new(slot.next.load(Ordering::Relaxed));
                held.oldest = Some((position, next));
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u32, offset: u32) -> Position {
        Position::new(SegmentId::new(segment), offset, 22)
    }

    /// The floor stops at the one farthest back, wherever its slot is, and goes on without it.
    #[test]
    fn does_the_floor_stop_at_the_oldest_holder() {
        let holds = Holds::new(22, SegmentId::FIRST);
        let hold = |segment| holds.hold(at(segment, 64), Sequence::new(u64::from(segment)));
        let stays = |segment| Err((at(segment, 64), Sequence::new(u64::from(segment))));
        let (five, three, nine) = (hold(5).unwrap(), hold(3).unwrap(), hold(9).unwrap());
        let oldest = Some((at(3, 64), Sequence::new(3)));
        assert_eq!(holds.held(), Held { holders: 3, oldest });
        assert_eq!(holds.raise(SegmentId::new(4)), stays(3));
        assert_eq!(holds.raise(SegmentId::new(3)), Ok(()));
        assert!(hold(2).is_none());
        holds.advance(three, at(7, 0), Sequence::new(70));
        assert_eq!(holds.raise(SegmentId::new(9)), stays(5));
        assert_eq!(holds.floor(), SegmentId::new(3));
        holds.release(five);
        assert_eq!(hold(8), Some(five), "a slot is used again");
        holds.release(three);
        assert_eq!(holds.raise(SegmentId::new(9)), stays(8));
        holds.release(five);
        assert_eq!(holds.raise(SegmentId::new(9)), Ok(()));
        assert_eq!(holds.held().holders, 1);
        holds.release(nine);
        assert_eq!(holds.held(), Held::default());
    }

    /// Position 0 is nobody's: who comes to it, or says so, keeps its slot and what it held.
    #[test]
    fn is_no_slot_given_away_by_going_nowhere() {
        let holds = Holds::new(22, SegmentId::FIRST);
        let one = holds.hold(at(1, 64), Sequence::new(1)).unwrap();
        holds.advance(one, Position::ZERO, Sequence::new(9));
        let oldest = Some((at(1, 64), Sequence::new(1)));
        assert_eq!(holds.held(), Held { holders: 1, oldest });
        assert!(holds.hold(Position::ZERO, Sequence::FIRST).is_none());
        let other = holds.hold(at(2, 64), Sequence::new(2)).unwrap();
        assert_ne!(one, other, "a slot for each");
        holds.release(other);
        assert_eq!(holds.raise(SegmentId::new(2)), Err((at(1, 64), Sequence::new(1))));
    }
}
