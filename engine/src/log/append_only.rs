//! A list that only grows, read without locks while one thread appends.
//!
//! Buckets double in size, so that nothing ever moves and an index finds its place by arithmetic.

use crate::sync::OnceLock;

/// Entries in the first bucket, as a power of two.
const FIRST_BITS: u32 = 5;
const BUCKETS: usize = 48;

type Bucket<T> = Box<[OnceLock<T>]>;

/// Grows to 2^52 entries; an entry, once set, stays where it is.
#[derive(Debug)]
pub(crate) struct AppendOnly<T> {
    buckets: Box<[OnceLock<Bucket<T>>]>,
}

impl<T> Default for AppendOnly<T> {
    fn default() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| OnceLock::new()).collect() }
    }
}

/// Bucket and place in it. An index comes from a file perhaps: the greatest ones are in a bucket that
/// there never is.
#[inline]
fn locate(index: usize) -> (usize, usize) {
    let shifted = index.saturating_add(1 << FIRST_BITS);
    let top = shifted.ilog2();
    ((top - FIRST_BITS) as usize, shifted - (1 << top))
}

impl<T> AppendOnly<T> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let (bucket, place) = locate(index);
        self.buckets.get(bucket)?.get()?.get(place)?.get()
    }

    /// Sets the entry at `index`; whether it was not set before.
    pub(crate) fn set(&self, index: usize, value: T) -> bool {
        let (bucket, place) = locate(index);
        let Some(slot) = self.buckets.get(bucket) else { return false };
        let size = 1_usize << (bucket as u32 + FIRST_BITS);
        let entries = slot.get_or_init(|| (0..size).map(|_| OnceLock::new()).collect());
        entries.get(place).is_some_and(|entry| entry.set(value).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every index has a place of its own, and stays.
    #[test]
    fn does_every_index_keep_its_entry() {
        let list = AppendOnly::default();
        for index in 0..10_000_usize {
            assert!(list.get(index).is_none());
            assert!(list.set(index, index));
            assert!(!list.set(index, 0), "set twice");
        }
        assert!((0..10_000).all(|index| list.get(index) == Some(&index)));
    }

    #[test]
    fn is_there_nothing_at_an_index_beyond_all() {
        let list = AppendOnly::default();
        for index in (0..64).map(|less| usize::MAX - less).chain([1 << 53, 1 << 63]) {
            assert!(list.get(index).is_none() && !list.set(index, ()), "{index}");
        }
    }
}
