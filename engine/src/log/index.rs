//! A sparse index of one segment: which frame stands where, every few hundred frames.
//!
//! It only says where to begin looking; what is found there is verified. The writer appends while
//! readers search, without locks.

use factlog_codec::Sequence;
use factlog_codec::layout::segment_size;

use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Most entries of one segment.
const ENTRIES: usize = 256;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: Sequence,
    pub(crate) ts: u64,
    pub(crate) offset: u32,
}

#[derive(Debug, Default)]
struct Slot {
    sequence: AtomicU64,
    ts: AtomicU64,
    offset: AtomicU32,
}

/// The index of one segment: at most 256 entries, evenly spread over its bytes.
#[derive(Debug)]
pub(crate) struct SparseIndex {
    /// The first entry stands here: of most segments of a long log nobody asks for another one.
    first: Slot,
    others: OnceLock<Box<[Slot]>>,
    len: AtomicUsize,
    /// The next entry is for the first frame at or behind this.
    due: AtomicU32,
    every: u32,
}

impl SparseIndex {
    pub(crate) fn new(bits: u8) -> Self {
        Self {
            first: Slot::default(),
            others: OnceLock::new(),
            len: AtomicUsize::new(0),
            due: AtomicU32::new(0),
            every: (segment_size(bits) / ENTRIES) as u32,
        }
    }

    /// Makes its memory, so that no entry has to.
    pub(crate) fn reserve(&self) -> &[impl Sized] {
        self.others()
    }

    fn others(&self) -> &[Slot] {
        self.others.get_or_init(|| (1..ENTRIES).map(|_| Slot::default()).collect())
    }

    /// Notes a frame, if one is due. Only the thread that writes the segment.
    #[inline]
    pub(crate) fn note(&self, offset: u32, sequence: Sequence, ts: u64) {
        if offset >= self.due.load(Ordering::Relaxed) {
            self.add(offset, sequence, ts);
        }
    }

    #[cold]
    fn add(&self, offset: u32, sequence: Sequence, ts: u64) {
        let len = self.len.load(Ordering::Relaxed);
        let slot = match len.checked_sub(1) {
            None => Some(&self.first),
            Some(at) => self.others().get(at),
        };
        let Some(slot) = slot else { return };
        slot.sequence.store(sequence.get(), Ordering::Relaxed);
        slot.ts.store(ts, Ordering::Relaxed);
        slot.offset.store(offset, Ordering::Relaxed);
        self.due.store(offset.saturating_add(self.every), Ordering::Relaxed);
        // Release: whoever sees the length sees the entry.
        self.len.store(len + 1, Ordering::Release);
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        let slot = match at.checked_sub(1) {
            None => &self.first,
            Some(at) => self.others.get()?.get(at)?,
        };
        Some(Entry {
            sequence: Sequence::new(slot.sequence.load(Ordering::Relaxed)),
            ts: slot.ts.load(Ordering::Relaxed),
            offset: slot.offset.load(Ordering::Relaxed),
        })
    }

    /// The first entry: the segment's first frame, if the segment is in use.
    pub(crate) fn first(&self) -> Option<Entry> {
        (self.len.load(Ordering::Acquire) > 0).then(|| self.entry(0)).flatten()
    }

    /// The last entry for which `before` holds, as it does for all before it.
    pub(crate) fn last_where(&self, before: impl Fn(&Entry) -> bool) -> Option<Entry> {
        let (mut low, mut high) = (0, self.len.load(Ordering::Acquire));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(middle).is_some_and(|entry| before(&entry)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.entry(low.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index finds the last entry before, for every sequence, and never overflows.
    #[test]
    fn does_it_find_the_last_entry_before() {
        let index = SparseIndex::new(22);
        for frame in 0..40_000_u32 {
            index.note(4096 + frame * 96, Sequence::new(u64::from(frame) + 1), u64::from(frame));
        }
        assert_eq!(index.len.load(Ordering::Relaxed), 40_000 * 96 / (16_384 + 32) + 1);
        for wanted in 1..40_000_u64 {
            let entry = index.last_where(|entry| entry.sequence.get() <= wanted).unwrap();
            assert!(entry.sequence.get() <= wanted && entry.sequence.get() + 200 > wanted);
        }
        assert!(index.last_where(|entry| entry.sequence.get() < 1).is_none());
    }
}
