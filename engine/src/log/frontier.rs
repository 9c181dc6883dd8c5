//! How far the log has come, as readers may see it.
//!
//! Problem: a position and the sequence that belongs to it do not fit one atomic word, and two
//! words can be read in the middle of a change. Idea: the sequence is stored twice, around the
//! position. A reader loads the second copy first and the first copy last; if both are equal,
//! the position between belongs to them. The writer pays three plain stores, no fence.
//!
//! Cursors need only the position, which bounds what they may look at, so they load one word.

use crossbeam_utils::CachePadded;
use factlog_codec::{Position, Sequence};

use super::wait::WaitList;
use crate::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use crate::sync::{Arc, spin_loop};

/// Two numbers that are published together: `key` must never fall.
///
/// One thread at a time stores; any number loads.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    key_before: AtomicU64,
    value: AtomicU64,
    key_after: AtomicU64,
}

impl Pair {
    pub(crate) fn new(key: u64, value: u64) -> Self {
        Self {
            key_before: AtomicU64::new(key),
            value: AtomicU64::new(value),
            key_after: AtomicU64::new(key),
        }
    }

    /// Publishes. What the storing thread wrote before is visible to whoever loads the value.
    #[inline]
    pub(crate) fn store(&self, key: u64, value: u64) {
        self.key_before.store(key, Ordering::Relaxed);
        // Release: orders `key_before`, and the bytes that the value is about, before it.
        self.value.store(value, Ordering::Release);
        // Release: orders the value before it.
        self.key_after.store(key, Ordering::Release);
    }

    /// The value alone.
    #[inline]
    pub(crate) fn value(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    /// Both, as they were stored together (or, for one key, any value stored with it).
    #[inline]
    pub(crate) fn load(&self) -> (u64, u64) {
        loop {
            if let Some(pair) = self.try_load() {
                return pair;
            }
            spin_loop();
        }
    }

    /// Both, unless they are being changed.
    #[inline]
    pub(crate) fn try_load(&self) -> Option<(u64, u64)> {
        // Seeing key_after = k means that value and key_before are at least those of k.
        let after = self.key_after.load(Ordering::Acquire);
        // Seeing a value means that key_before is at least the one stored with it.
        let value = self.value.load(Ordering::Acquire);
        let before = self.key_before.load(Ordering::Relaxed);
        (before == after).then_some((after, value))
    }
}

/// Whether more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    /// A writer is at work.
    Open,
    /// The writer is gone; nothing more will come.
    Closed,
    /// The writer failed; nothing more will come.
    Poisoned,
}

/// The two watermarks of a log, and whether more can come.
#[derive(Debug)]
pub(crate) struct Frontier {
    visible: CachePadded<Pair>,
    durable: CachePadded<Pair>,
    activity: CachePadded<AtomicU8>,
    /// Those who sleep until one of these changes.
    waiters: Arc<WaitList>,
    /// Those who sleep until the durable watermark rises.
    durable_waiters: WaitList,
}

/// A position that was loaded from the visible watermark, or was verified by recovery: every byte
/// below it is frozen. Only this module makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visible(Position);

impl Visible {
    pub(crate) const fn position(self) -> Position {
        self.0
    }
}

impl Frontier {
    /// At the place that recovery found. `next` is the next sequence there.
    pub(crate) fn new(end: Position, next: Sequence, durable: Position, below: Sequence) -> Self {
        Self {
            visible: CachePadded::new(Pair::new(next.get(), end.raw())),
            durable: CachePadded::new(Pair::new(below.get(), durable.raw())),
            activity: CachePadded::new(AtomicU8::new(0)),
            waiters: Arc::new(WaitList::new()),
            durable_waiters: WaitList::new(),
        }
    }

    /// Makes everything below `end` visible; `next` is the next sequence there. Only the writer,
    /// which notifies afterwards.
    #[inline]
    pub(crate) fn publish(&self, end: Position, next: Sequence) {
        self.visible.store(next.get(), end.raw());
    }

    /// Says that everything below `end` is durable. Only under the lock of the durability.
    pub(crate) fn publish_durable(&self, end: Position, next: Sequence) {
        self.durable.store(next.get(), end.raw());
    }

    /// Where the visible log ends.
    #[inline]
    pub(crate) fn visible(&self) -> Visible {
        Visible(Position::from_raw(self.visible.value()))
    }

    /// Where the visible log ends, and the next sequence there.
    pub(crate) fn visible_pair(&self) -> (Visible, Sequence) {
        let (next, end) = self.visible.load();
        (Visible(Position::from_raw(end)), Sequence::new(next))
    }

    /// Below which everything is durable, and the next sequence there.
    pub(crate) fn durable_pair(&self) -> (Position, Sequence) {
        let (next, end) = self.durable.load();
        (Position::from_raw(end), Sequence::new(next))
    }

    /// Where the durable log ends, for those who follow only that: it is never ahead of what is
    /// visible, so everything below it is frozen.
    #[inline]
    pub(crate) fn durable_end(&self) -> Visible {
        Visible(self.durable())
    }

    /// Below which everything is durable.
    #[inline]
    pub(crate) fn durable(&self) -> Position {
        Position::from_raw(self.durable.value())
    }

    /// After a change: wakes those who sleep.
    #[inline]
    pub(crate) fn notify(&self) {
        self.waiters.notify();
    }

    /// Those who sleep until something changes.
    pub(crate) fn waiters(&self) -> &Arc<WaitList> {
        &self.waiters
    }

    /// Those who sleep until the durable watermark rises.
    pub(crate) fn durable_waiters(&self) -> &WaitList {
        &self.durable_waiters
    }

    /// Says that nothing more will come, and wakes those who wait for it.
    pub(crate) fn end(&self, activity: Activity) {
        self.set_activity(activity);
        self.notify();
        self.durable_waiters.notify();
    }

    /// Whether more can come.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.activity() == Activity::Open
    }

    pub(crate) fn set_activity(&self, activity: Activity) {
        let code = match activity {
            Activity::Open => 0,
            Activity::Closed => 1,
            Activity::Poisoned => 2,
        };
        // Release: whoever sees the end also sees everything published before it.
        self.activity.store(code, Ordering::Release);
    }

    #[inline]
    pub(crate) fn activity(&self) -> Activity {
        match self.activity.load(Ordering::Acquire) {
            0 => Activity::Open,
            1 => Activity::Closed,
            _ => Activity::Poisoned,
        }
    }
}
