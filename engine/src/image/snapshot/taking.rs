//! The instances of one kind, as they were when a snapshot was begun: taken in slices, and copied
//! out before they change.

use factlog_codec::types::Scratch;

use super::record::Records;

/// How far a kind has been taken.
#[derive(Debug)]
pub(crate) struct Taking {
    /// Instances before this one are taken.
    pub(crate) next: u32,
    /// Those from here on were not there yet.
    pub(crate) end: u32,
    /// A bit for each that was copied out before its turn.
    copied: Vec<u64>,
    /// What was taken, and not handed over yet.
    pub(crate) records: Records,
    /// Pieces that have enough.
    pub(crate) full: Vec<Records>,
    /// Those that are suspended.
    pub(crate) left_out: Records,
    pub(crate) space: Vec<u128>,
    pub(crate) scratch: Scratch,
    /// One of them cannot be stored.
    pub(crate) trouble: Option<Unstorable>,
}

/// Why an instance cannot be stored.
#[derive(Debug, Clone)]
pub(crate) enum Unstorable {
    /// It takes too much, or is nested too deeply.
    TooLarge,
    /// Storing it panics: with what.
    Panicked(String),
}

impl Taking {
    pub(crate) fn new(section: u16, end: u32) -> Self {
        Self {
            next: 0,
            end,
            copied: vec![0; (end as usize).div_ceil(64)],
            records: Records::of(section),
            full: Vec::new(),
            left_out: Records::of(super::LEFT_OUT),
            space: Vec::new(),
            scratch: Scratch::new(),
            trouble: None,
        }
    }

    /// Bytes that were taken, and not handed over yet.
    pub(crate) fn bytes(&self) -> usize {
        self.full.iter().map(Records::len).sum::<usize>() + self.records.len()
    }

    /// Whether this instance has still to be taken; asked once for each.
    #[inline]
    pub(crate) fn claim(&mut self, at: u32) -> bool {
        if at < self.next || at >= self.end {
            return false;
        }
        let Some(word) = self.copied.get_mut(at as usize / 64) else { return false };
        let bit = 1 << (at % 64);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}
