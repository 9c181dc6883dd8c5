//! What of one file is on the medium, and what a failed sync has left clean without being there.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::content::{Content, PAGE, Page, SECTOR, Sectors, before, differing, each};
use crate::present::Present;
use crate::random::{Source, chance};

/// Sectors of a page that the kernel takes for clean though they are not on the medium.
#[derive(Debug)]
struct Lost {
    /// The page as it was when the sync failed.
    bytes: Arc<Page>,
    sectors: Sectors,
}

/// One file on the medium. A file that was never synced is empty there.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub(crate) content: Content,
    lost: BTreeMap<u64, Lost>,
}

impl Stored {
    /// All that is dirty reaches the medium.
    pub(crate) fn sync(&mut self, present: &Present) {
        self.write(present, |dirty| dirty);
        self.content.length = present.length;
    }

    /// Each dirty sector, and the length, reaches the medium with probability `share`.
    pub(crate) fn write_back(&mut self, present: &Present, random: Source<'_>, share: f64) {
        self.write(present, |dirty| {
            let written = each(dirty).filter(|_| chance(random, share));
            written.fold(0, |sectors, sector| sectors | 1 << sector)
        });
        if self.content.length != present.length && chance(random, share) {
            self.content.length = present.length;
        }
    }

    fn write(&mut self, present: &Present, mut choose: impl FnMut(Sectors) -> Sectors) {
        self.find_again(present);
        for (page, now) in &present.changed {
            let differing = differing(now, self.content.page(*page));
            let lost = self.lost.get(page).map_or(0, |lost| lost.sectors);
            let taken = choose(differing & !lost);
            self.content.take(*page, now, taken, differing);
        }
    }

    /// What is no longer as it was when the sync failed has become dirty again.
    fn find_again(&mut self, present: &Present) {
        let content = &self.content;
        self.lost.retain(|page, lost| {
            let now = present.changed.get(page).map_or(content.page(*page), |now| now);
            lost.sectors &= !differing(now, &lost.bytes) & before(*page, present.length);
            lost.sectors != 0
        });
    }

    /// All that is dirty is taken for clean, and is not on the medium.
    pub(crate) fn fail_sync(&mut self, present: &Present) {
        let lost = present.differences(&self.content);
        let lost = lost.map(|(page, now, sectors)| {
            // The length is no page: it stays dirty.
            (page, Lost { bytes: Arc::clone(now), sectors })
        });
        self.lost = lost.collect();
    }

    /// What was written is dirty, whether it differs or not.
    pub(crate) fn wrote(&mut self, offset: u64, length: u64) {
        let end = offset.saturating_add(length);
        let pages = offset / PAGE as u64..end.div_ceil(PAGE as u64);
        if length == 0 || self.lost.is_empty() {
            return;
        }
        for (page, lost) in self.lost.range_mut(pages) {
            // A sector that begins before the write is touched if it ends within or behind it.
            let ended = before(*page, offset - offset % SECTOR as u64);
            lost.sectors &= !before(*page, end) | ended;
        }
        self.lost.retain(|_, lost| lost.sectors != 0);
    }
}
