//! A verified body to its items.
//!
//! A checksum says that the bytes are those that were written, not that a sane writer wrote them:
//! every length is bounded again.

use core::fmt;

use crate::bytes::Reader;
use crate::item::{Extensions, ItemHeader};
use crate::layout::align_up;
use crate::raw::RawItemHeader;

/// One item of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Its header.
    pub header: ItemHeader,
    /// Its extensions, not yet looked at.
    pub extensions: Extensions<'a>,
    /// Its payload, exactly as long as it was written.
    pub payload: &'a [u8],
}

/// Why a body stops being items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemError {
    /// Fewer bytes than an item header are left.
    Header,
    /// The item's flags are unknown.
    Flags(u8),
    /// Extensions or payload reach beyond the frame.
    Beyond,
}

impl fmt::Display for ItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => write!(f, "the body ends inside an item header"),
            Self::Flags(flags) => write!(f, "unknown kind of item: {flags:#010b}"),
            Self::Beyond => write!(f, "an item reaches beyond its frame"),
        }
    }
}

impl core::error::Error for ItemError {}

/// The items of a body, in order. After an error there are no more.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: Reader<'a>,
}

impl<'a> Items<'a> {
    /// The items in `body`.
    pub const fn new(body: &'a [u8]) -> Self {
        Self { rest: Reader::new(body) }
    }

    /// Bytes not yet read: where the next item begins is the body's length less this.
    pub const fn remaining(&self) -> usize {
        self.rest.rest().len()
    }

    #[inline]
    fn read(&mut self) -> Result<Item<'a>, ItemError> {
        let raw: RawItemHeader = self.rest.pod().ok_or(ItemError::Header)?;
        let header = ItemHeader::from_raw(&raw).ok_or(ItemError::Flags(raw.flags))?;
        let extensions = self.rest.take(usize::from(raw.ext) * 16).ok_or(ItemError::Beyond)?;
        let len = usize::try_from(raw.len).map_err(|_| ItemError::Beyond)?;
        let payload = self.rest.take(len).ok_or(ItemError::Beyond)?;
        // The last item's padding lies outside the body.
        let padding = (align_up(len) - len).min(self.remaining());
        self.rest.take(padding).ok_or(ItemError::Beyond)?;
        Ok(Item { header, extensions: Extensions::new(extensions), payload })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, ItemError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining() == 0 {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.rest = Reader::new(&[]);
        }
        Some(item)
    }
}
