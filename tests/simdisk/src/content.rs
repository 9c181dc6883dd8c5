//! What is in a file: pages that are shared until they change, and none for zeros.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::RangeBounds;
use std::sync::{Arc, LazyLock};

/// Bytes of a sector: what a disk writes as a whole, or not at all.
pub const SECTOR: usize = 512;

/// Bytes of a page: the unit in which content is kept.
pub(crate) const PAGE: usize = 4096;

/// Sectors of a page: one bit each of a [`Sectors`].
pub(crate) const SECTORS: usize = PAGE / SECTOR;

const _: () = assert!(SECTORS == Sectors::BITS as usize);

/// The bytes of one page.
pub(crate) type Page = [u8; PAGE];

/// Some sectors of a page: bit n is sector n.
pub(crate) type Sectors = u8;

static ZEROS: Page = [0; PAGE];
static SHARED_ZEROS: LazyLock<Arc<Page>> = LazyLock::new(|| Arc::new(ZEROS));

/// A page of zeros.
pub(crate) fn zeros() -> Arc<Page> {
    Arc::clone(&SHARED_ZEROS)
}

/// The sectors of `sectors`, in order.
pub(crate) fn each(sectors: Sectors) -> impl Iterator<Item = usize> {
    (0..SECTORS).filter(move |sector| sectors & (1 << sector) != 0)
}

/// The bytes of one sector within its page.
pub(crate) fn bytes_of(sector: usize) -> std::ops::Range<usize> {
    sector * SECTOR..(sector + 1) * SECTOR
}

/// The sectors in which two pages differ.
pub(crate) fn differing(one: &Page, other: &Page) -> Sectors {
    let differs = |sector: &usize| one[bytes_of(*sector)] != other[bytes_of(*sector)];
    (0..SECTORS).filter(differs).fold(0, |sectors, sector| sectors | 1 << sector)
}

/// The sectors of page `page` that begin before `length`, in bytes.
pub(crate) fn before(page: u64, length: u64) -> Sectors {
    let left = length.saturating_sub(page * PAGE as u64).div_ceil(SECTOR as u64);
    if left >= SECTORS as u64 { Sectors::MAX } else { (1 << left) - 1 }
}

/// A file's bytes and length. Cheap to clone.
///
/// Invariant: no page in the map is all zeros. There may be pages beyond the length: data can
/// reach the medium before the length does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub(crate) length: u64,
    pages: Arc<BTreeMap<u64, Arc<Page>>>,
}

impl Content {
    /// The bytes of a page.
    pub(crate) fn page(&self, page: u64) -> &Page {
        self.pages.get(&page).map_or(&ZEROS, |found| found)
    }

    /// The pages with data in a range of page numbers.
    pub(crate) fn pages(&self, range: impl RangeBounds<u64>) -> Range<'_, u64, Arc<Page>> {
        self.pages.range(range)
    }

    /// Replaces a page.
    pub(crate) fn put(&mut self, page: u64, bytes: Arc<Page>) {
        let pages = Arc::make_mut(&mut self.pages);
        if *bytes == ZEROS {
            pages.remove(&page);
        } else {
            pages.insert(page, bytes);
        }
    }

    /// Takes these sectors of a page from `now`, which differs from this one in `differing`.
    pub(crate) fn take(&mut self, page: u64, now: &Arc<Page>, taken: Sectors, differing: Sectors) {
        if taken == differing {
            self.put(page, Arc::clone(now));
        } else if taken != 0 {
            let mut mixed = *self.page(page);
            for sector in each(taken) {
                mixed[bytes_of(sector)].copy_from_slice(&now[bytes_of(sector)]);
            }
            self.put(page, Arc::new(mixed));
        }
    }

    /// Drops everything beyond the length.
    pub(crate) fn cut(&mut self) {
        let (whole, rest) = (self.length / PAGE as u64, (self.length % PAGE as u64) as usize);
        let last = self.pages.last_key_value().map(|(page, _)| *page);
        if last.is_none_or(|last| last < whole) {
            return;
        }
        if rest != 0 && self.page(whole)[rest..] != ZEROS[rest..] {
            let mut bytes = *self.page(whole);
            bytes[rest..].fill(0);
            self.put(whole, Arc::new(bytes));
        }
        let end = whole + u64::from(rest != 0);
        if last.is_some_and(|last| last >= end) {
            Arc::make_mut(&mut self.pages).split_off(&end);
        }
    }

    /// Whether it holds nothing but zeros.
    #[cfg(test)]
    fn is_zero(&self) -> bool {
        self.pages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Content, PAGE, before, differing, each};

    #[test]
    fn are_sectors_before_a_length_counted() {
        assert_eq!(before(0, 0), 0);
        assert_eq!(before(0, 1), 1);
        assert_eq!(before(0, 512), 1);
        assert_eq!(before(0, 513), 3);
        assert_eq!(before(0, 4096), 0xFF);
        assert_eq!(before(1, 4096), 0);
        assert_eq!(before(1, 4097), 1);
        assert_eq!(before(1, u64::MAX), 0xFF);
    }

    #[test]
    fn is_what_lies_beyond_the_length_cut_off() {
        let mut content = Content::default();
        for page in 0..3 {
            content.put(page, Arc::new([7; PAGE]));
        }
        let whole = content.clone();
        content.length = 4096 + 100;
        content.cut();
        assert_eq!(content.page(0), &[7; PAGE]);
        assert!(content.page(1)[..100].iter().all(|byte| *byte == 7));
        assert!(content.page(1)[100..].iter().all(|byte| *byte == 0));
        assert_eq!(content.pages(..).count(), 2);
        content.length = 4096;
        content.cut();
        assert_eq!(content.pages(..).count(), 1);
        content.length = 0;
        content.cut();
        assert!(content.is_zero());
        assert_eq!(whole.pages(..).count(), 3, "a clone is its own");
    }

    #[test]
    fn are_only_the_sectors_taken_that_are_asked_for() {
        let mut content = Content::default();
        let now = Arc::new([7; PAGE]);
        content.take(0, &now, 0b101, 0xFF);
        assert_eq!(differing(content.page(0), &[0; PAGE]), 0b101);
        assert_eq!(each(0b101).collect::<Vec<_>>(), [0, 2]);
        content.take(0, &super::zeros(), 0b101, 0b101);
        assert!(content.is_zero());
    }
}
