//! A block of a snapshot: entries in the order of their keys, under one checksum.
//!
//! ```text
//! head (32 bytes) | offsets, one for each entry | entries
//! entry: lengths and version (16 bytes) | value | key, each from a multiple of 16 on
//! ```

use core::cmp::Ordering;
use core::fmt;

use bytemuck::{bytes_of, pod_read_unaligned};

use crate::bytes::{Reader, all_zero};
use crate::ids::{Sequence, StreamVersion};
use crate::layout::{ALIGN, align_up};
use crate::raw::{RawBlock, RawBlockEntry};

/// Entries are put into a block until it has so many bytes.
const TARGET: usize = 64 << 10;

/// One entry: an instance, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEntry<'a> {
    /// The key, in the form in which keys are ordered.
    pub key: &'a [u8],
    /// Version of the instance's stream.
    pub version: StreamVersion,
    /// Its state: an archive that begins at a multiple of 16 of the file.
    pub value: &'a [u8],
}

/// Why a block cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlockError {
    /// It stands nowhere in the file.
    Place,
    /// It is another one's: of another place, section or snapshot.
    Foreign,
    /// The checksum does not hold.
    Checksum,
    /// An entry lies outside of it, or out of order.
    Entry,
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Place => "the block stands nowhere in the file",
            Self::Foreign => "the block belongs elsewhere",
            Self::Checksum => "the checksum of the block does not hold",
            Self::Entry => "an entry of the block is out of its place",
            Self::Reserved => "a reserved field of the block is in use",
        })
    }
}

impl core::error::Error for BlockError {}

/// A block in the making.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    /// Where each entry begins in `bytes`.
    entries: Vec<u32>,
    bytes: Vec<u8>,
}

impl BlockBuilder {
    /// Adds an entry, whose key comes behind those of all before it. Whether the block has enough.
    pub fn push(&mut self, entry: SnapshotEntry<'_>) -> bool {
        let raw = RawBlockEntry {
            value_len: entry.value.len() as u32,
            key_len: entry.key.len() as u16,
            zero: 0,
            version: entry.version.get(),
        };
        self.entries.push(self.bytes.len() as u32);
        self.bytes.extend_from_slice(bytes_of(&raw));
        for part in [entry.value, entry.key] {
            self.bytes.extend_from_slice(part);
            self.bytes.resize(align_up(self.bytes.len()), 0);
        }
        self.bytes.len() >= TARGET
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the block to `out`, which will stand at `offset` of the file, and begins a new one.
    pub fn finish(&mut self, section: u16, offset: u64, sequence: Sequence, out: &mut Vec<u8>) {
        let start = out.len();
        let body = align_up(RawBlock::LEN + self.entries.len() * 4);
        let mut raw = RawBlock {
            crc: 0,
            len: (body + self.bytes.len()) as u32,
            offset,
            sequence: sequence.get(),
            entries: self.entries.len() as u32,
            section,
            zero: 0,
        };
        out.extend_from_slice(bytes_of(&raw));
        for entry in &self.entries {
            out.extend_from_slice(&(entry + body as u32).to_le_bytes());
        }
        out.resize(start + body, 0);
        out.extend_from_slice(&self.bytes);
        raw.crc = crc32fast::hash(out.get(start..).unwrap_or(&[]));
        if let Some(head) = out.get_mut(start..start + RawBlock::LEN) {
            head.copy_from_slice(bytes_of(&raw));
        }
        self.entries.clear();
        self.bytes.clear();
    }
}

/// A block whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    bytes: &'a [u8],
    entries: usize,
}

impl<'a> Block<'a> {
    /// The block that stands at `offset` of the file, verified.
    ///
    /// # Errors
    ///
    /// It is not there, not that one, or damaged.
    pub fn verify(
        file: &'a [u8],
        (offset, len): (u64, u32),
        section: u16,
        sequence: Sequence,
    ) -> Result<Self, BlockError> {
        let from = usize::try_from(offset).map_err(|_| BlockError::Place)?;
        let bytes = file.get(from..).and_then(|rest| rest.get(..len as usize));
        let bytes = bytes.ok_or(BlockError::Place)?;
        let mut reader = Reader::new(bytes);
        let raw: RawBlock = reader.pod().ok_or(BlockError::Place)?;
        let place = (raw.offset, raw.len, raw.section, raw.sequence);
        if place != (offset, len, section, sequence.get()) {
            return Err(BlockError::Foreign);
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytes_of(&RawBlock { crc: 0, ..raw }));
        hasher.update(reader.rest());
        if hasher.finalize() != raw.crc {
            return Err(BlockError::Checksum);
        }
        let entries = raw.entries as usize;
        let offsets = entries.saturating_mul(4);
        reader.take(offsets).ok_or(BlockError::Entry)?;
        let padding = RawBlock::LEN.saturating_add(offsets).next_multiple_of(ALIGN) - offsets;
        let padding = reader.take(padding - RawBlock::LEN).ok_or(BlockError::Entry)?;
        if raw.zero != 0 || !all_zero(padding) {
            return Err(BlockError::Reserved);
        }
        Ok(Self { bytes, entries })
    }

    /// The same, where it was verified before.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn verified(file: &'a [u8], (offset, len): (u64, u32)) -> Result<Self, BlockError> {
        let from = usize::try_from(offset).map_err(|_| BlockError::Place)?;
        let bytes = file.get(from..).and_then(|rest| rest.get(..len as usize));
        let bytes = bytes.ok_or(BlockError::Place)?;
        let raw: RawBlock = Reader::new(bytes).pod().ok_or(BlockError::Place)?;
        let entries = (raw.entries as usize).min(bytes.len() / 4);
        Ok(Self { bytes, entries })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// An entry by its number.
    ///
    /// # Errors
    ///
    /// It lies outside of the block.
    pub fn entry(&self, number: usize) -> Result<SnapshotEntry<'a>, BlockError> {
        let at = RawBlock::LEN + number.saturating_mul(4);
        let offset = self.bytes.get(at..).and_then(|rest| rest.get(..4));
        let offset = offset.filter(|_| number < self.entries).ok_or(BlockError::Entry)?;
        let offset: u32 = pod_read_unaligned(offset);
        let mut reader = Reader::new(self.bytes.get(offset as usize..).unwrap_or(&[]));
        let raw: RawBlockEntry = reader.pod().ok_or(BlockError::Entry)?;
        let (value_len, key_len) = (raw.value_len as usize, usize::from(raw.key_len));
        let mut padded = |len: usize| reader.take(align_up(len))?.split_at_checked(len);
        let (value, behind_value) = padded(value_len).ok_or(BlockError::Entry)?;
        let (key, behind_key) = padded(key_len).ok_or(BlockError::Entry)?;
        if raw.zero != 0 || !all_zero(behind_value) || !all_zero(behind_key) {
            return Err(BlockError::Reserved);
        }
        Ok(SnapshotEntry { key, version: StreamVersion::new(raw.version), value })
    }

    /// The entry with this key.
    ///
    /// # Errors
    ///
    /// An entry lies outside of the block.
    pub fn find(&self, key: &[u8]) -> Result<Option<SnapshotEntry<'a>>, BlockError> {
        let (mut from, mut to) = (0, self.entries);
        while from < to {
            let middle = from + (to - from) / 2;
            let entry = self.entry(middle)?;
            match entry.key.cmp(key) {
                Ordering::Equal => return Ok(Some(entry)),
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(keys: &[&[u8]]) -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        for (number, key) in keys.iter().enumerate() {
            let value = vec![number as u8; number * 7];
            let version = StreamVersion::new(number as u64 + 1);
            builder.push(SnapshotEntry { key, version, value: &value });
        }
        let mut out = vec![0; 256];
        builder.finish(3, 256, Sequence::new(9), &mut out);
        assert!(builder.is_empty());
        out
    }

    #[test]
    fn is_every_entry_found_and_nothing_else() {
        let keys: [&[u8]; 5] = [b"", b"a", b"ab", b"b", b"zz"];
        let file = block(&keys);
        let at = (256, file.len() as u32 - 256);
        let block = Block::verify(&file, at, 3, Sequence::new(9)).expect("good");
        for (number, key) in keys.iter().enumerate() {
            let entry = block.find(key).expect("good").expect("there");
            assert_eq!(entry, block.entry(number).expect("good"));
            assert_eq!(entry.value, vec![number as u8; number * 7]);
            assert_eq!(entry.version.get(), number as u64 + 1);
        }
        for key in [&b"aa"[..], b"c", b"zzz"] {
            assert_eq!(block.find(key), Ok(None));
        }
        assert_eq!(block.entry(5), Err(BlockError::Entry));
    }

    /// Everything that a block at 256 says.
    fn all(file: &[u8]) -> Result<Vec<SnapshotEntry<'_>>, BlockError> {
        let at = (256, file.len() as u32 - 256);
        let block = Block::verify(file, at, 3, Sequence::new(9))?;
        (0..block.len()).map(|number| block.entry(number)).collect()
    }

    #[test]
    fn is_no_bit_of_a_block_otherwise() {
        let file = block(&[b"one", b"two", b"with a longer key"]);
        let at = (256, file.len() as u32 - 256);
        for bit in 256 * 8..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::verify(&changed, at, 3, Sequence::new(9)).is_err(), "bit {bit}");
            // With a checksum made for it, it says something else.
            if bit / 8 >= 260 {
                changed[256..260].fill(0);
                let crc = crc32fast::hash(&changed[256..]);
                changed[256..260].copy_from_slice(&crc.to_le_bytes());
                assert_ne!(all(&changed), all(&file), "bit {bit} has no meaning");
            }
        }
        let other = Block::verify(&file, at, 4, Sequence::new(9));
        assert_eq!(other.map(|block| block.len()), Err(BlockError::Foreign));
        let cut = Block::verify(&file[..file.len() - 1], at, 3, Sequence::new(9));
        assert_eq!(cut.map(|block| block.len()), Err(BlockError::Place));
    }
}
