//! The index of a snapshot: its sections, and the first key of each block.

use core::fmt;

use bytemuck::bytes_of;

use crate::bytes::{Reader, all_zero};
use crate::raw::{RawIndexBlock, RawSection};

const fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// A block in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionBlock<'a> {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its bytes.
    pub len: u32,
    /// The key of its first entry.
    pub first: &'a [u8],
}

/// A section: the instances of one kind of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'a> {
    /// What the kind of state is called.
    pub name: &'a str,
    /// Fingerprint of what its values are.
    pub fingerprint: u64,
    /// Number of its entries.
    pub entries: u64,
    /// Its blocks, in the order of their keys.
    pub blocks: Vec<SectionBlock<'a>>,
}

/// Why an index cannot be used, although its checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IndexError {
    /// It ends inside a section.
    Short,
    /// The name of a section is no text.
    Name,
    /// Keys are not in order.
    Order,
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the index ends inside a section",
            Self::Name => "the name of a section is no text",
            Self::Order => "the keys of a section are not in order",
            Self::Reserved => "a reserved field of a section is in use",
        })
    }
}

impl core::error::Error for IndexError {}

/// An index in the making.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    bytes: Vec<u8>,
    /// Where the section begins that is being made.
    section: Option<usize>,
}

impl IndexBuilder {
    /// Begins a section.
    pub fn section(&mut self, name: &str, fingerprint: u64) {
        self.section = Some(self.bytes.len());
        let raw = RawSection {
            fingerprint,
            entries: 0,
            blocks: 0,
            name_len: name.len() as u16,
            zero: [0; 2],
        };
        self.bytes.extend_from_slice(bytes_of(&raw));
        self.put(name.as_bytes());
    }

    /// Adds a block of so many entries to the section.
    pub fn block(&mut self, block: SectionBlock<'_>, entries: u64) {
        let SectionBlock { offset, len, first } = block;
        let raw = RawIndexBlock { offset, len, key_len: first.len() as u16, zero: [0; 2] };
        self.bytes.extend_from_slice(bytes_of(&raw));
        self.put(first);
        let head = self.section.and_then(|at| self.bytes.get_mut(at..)?.get_mut(..RawSection::LEN));
        if let Some(head) = head {
            let mut raw: RawSection = bytemuck::pod_read_unaligned(head);
            raw.entries += entries;
            raw.blocks += 1;
            head.copy_from_slice(bytes_of(&raw));
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    /// Its bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads an index, section by section.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    reader: Reader<'a>,
}

impl<'a> Sections<'a> {
    /// From the bytes of an index, whose checksum holds.
    pub const fn new(index: &'a [u8]) -> Self {
        Self { reader: Reader::new(index) }
    }

    fn read(&mut self) -> Result<Section<'a>, IndexError> {
        let raw: RawSection = self.reader.pod().ok_or(IndexError::Short)?;
        if raw.zero != [0; 2] {
            return Err(IndexError::Reserved);
        }
        let name = self.take(usize::from(raw.name_len))?;
        let name = core::str::from_utf8(name).map_err(|_| IndexError::Name)?;
        let mut blocks: Vec<SectionBlock<'a>> = Vec::new();
        for _ in 0..raw.blocks {
            let raw: RawIndexBlock = self.reader.pod().ok_or(IndexError::Short)?;
            if raw.zero != [0; 2] {
                return Err(IndexError::Reserved);
            }
            let first = self.take(usize::from(raw.key_len))?;
            if blocks.last().is_some_and(|before| before.first >= first) {
                return Err(IndexError::Order);
            }
            blocks.push(SectionBlock { offset: raw.offset, len: raw.len, first });
        }
        Ok(Section { name, fingerprint: raw.fingerprint, entries: raw.entries, blocks })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], IndexError> {
        let bytes = self.reader.take(padded(len)).ok_or(IndexError::Short)?;
        let (bytes, padding) = bytes.split_at_checked(len).ok_or(IndexError::Short)?;
        if all_zero(padding) { Ok(bytes) } else { Err(IndexError::Reserved) }
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest().is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_an_index_come_back() {
        let mut index = IndexBuilder::default();
        index.section("account", 7);
        index.block(SectionBlock { offset: 256, len: 512, first: b"" }, 3);
        index.block(SectionBlock { offset: 768, len: 64, first: b"m" }, 1);
        index.section("none", 8);
        let bytes = index.finish();
        let sections: Vec<_> = Sections::new(&bytes).map(|one| one.expect("good")).collect();
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].name, sections[0].entries), ("account", 4));
        assert_eq!(sections[0].blocks[1], SectionBlock { offset: 768, len: 64, first: b"m" });
        assert_eq!((sections[1].name, sections[1].fingerprint), ("none", 8));
        assert!(sections[1].blocks.is_empty());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let read: Result<Vec<_>, _> = Sections::new(&changed).collect();
            assert_ne!(read.as_ref(), Ok(&sections), "bit {bit} has no meaning");
        }
        // Cut anywhere it is an error, or has fewer sections; it never panics.
        for len in 0..bytes.len() {
            let read: Result<Vec<_>, _> = Sections::new(&bytes[..len]).collect();
            assert!(read.is_err() || read.is_ok_and(|read| read.len() < 2), "{len}");
        }
    }

    #[test]
    fn are_keys_out_of_order_refused() {
        let mut index = IndexBuilder::default();
        index.section("account", 7);
        index.block(SectionBlock { offset: 256, len: 512, first: b"m" }, 3);
        index.block(SectionBlock { offset: 768, len: 64, first: b"m" }, 1);
        let bytes = index.finish();
        let read: Result<Vec<_>, _> = Sections::new(&bytes).collect();
        assert_eq!(read, Err(IndexError::Order));
    }
}
