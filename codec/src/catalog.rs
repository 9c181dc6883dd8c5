//! The catalog: the streams of a log as of the first segment that retention has left.
//!
//! Types stand in every SEGOPEN; the name of a stream stands once, in the frame of its first event.
//! Before that frame is dropped, the names and heads of all streams go into the catalog.

use core::fmt;

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::{Reader, put};
use crate::checksum::{Fold, page_crc};
use crate::ids::{LogId, Position, SegmentId, Sequence, StreamVersion};
use crate::item::{StreamItemError, StreamKey};
use crate::layout::FORMAT_VERSION;
use crate::raw::{CATALOG_MAGIC, RawCatalog, RawCatalogEntry};

/// The head of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Catalog {
    /// Identity of the log.
    pub log: LogId,
    /// The first segment that is left.
    pub floor: SegmentId,
    /// The sequence with which that segment begins.
    pub sequence: Sequence,
    /// Where the segment before it ended.
    pub before_end: u32,
    /// Checksum of all frames of the segment before it.
    pub before_fold: Fold,
    /// Number of streams.
    pub streams: u64,
}

/// A stream as of the end of what was dropped; its number is that of its place, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Its name.
    pub name: StreamKey,
    /// Version of its last event.
    pub version: StreamVersion,
    /// The frame of that event, which may be gone.
    pub position: Position,
    /// Its index among the events of that frame.
    pub index: u16,
}

/// Why bytes are no catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CatalogError {
    /// It ends too early.
    Short,
    /// The first bytes are not those of a catalog.
    Magic,
    /// A checksum does not hold.
    Checksum,
    /// A version that this crate does not know.
    Version(u16),
    /// It belongs to another log, or to an earlier floor of this one.
    Foreign,
    /// A reserved field is in use, or there are bytes behind the last stream.
    Reserved,
    /// The name of this stream cannot be read.
    Stream(u64, StreamItemError),
}

impl fmt::Display for CatalogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the catalog ends too early"),
            Self::Magic => write!(f, "this is no catalog of a factlog"),
            Self::Checksum => write!(f, "the checksum of the catalog does not hold"),
            Self::Version(version) => write!(
                f,
                "format version {version} is not known here (newest known: {FORMAT_VERSION}): use \
                 the version of factlog that wrote it"
            ),
            Self::Foreign => {
                write!(f, "the catalog belongs to another log, or to an earlier floor of this one")
            }
            Self::Reserved => write!(f, "a reserved field of the catalog is in use"),
            Self::Stream(number, error) => write!(f, "stream {number} of the catalog: {error}"),
        }
    }
}

impl core::error::Error for CatalogError {}

const CRC_FIELD: usize = core::mem::offset_of!(RawCatalog, crc);

impl Catalog {
    /// Bytes of the head.
    pub const LEN: usize = size_of::<RawCatalog>();

    /// The head, for entries of these bytes.
    pub fn encode(&self, entries: &[u8]) -> [u8; Self::LEN] {
        self.encode_for(entries.len() as u64, crc32fast::hash(entries))
    }

    /// The head, for so many bytes of entries with this CRC-32.
    pub fn encode_for(&self, bytes: u64, crc: u32) -> [u8; Self::LEN] {
        let mut raw = RawCatalog {
            magic: CATALOG_MAGIC,
            version: FORMAT_VERSION,
            log: *self.log.uuid().as_bytes(),
            floor: self.floor.get(),
            sequence: self.sequence.get(),
            before_end: self.before_end,
            before_fold: self.before_fold.raw(),
            streams: self.streams,
            bytes,
            entries_crc: crc,
            ..RawCatalog::zeroed()
        };
        raw.crc = page_crc(0, bytemuck::bytes_of(&raw), CRC_FIELD);
        let mut head = [0; Self::LEN];
        put(&mut head, bytemuck::bytes_of(&raw));
        head
    }

    /// From a whole file, which may be anything: the head, and the streams behind it.
    ///
    /// # Errors
    ///
    /// The reason why it is no catalog.
    pub fn decode(file: &[u8]) -> Result<(Self, CatalogEntries<'_>), CatalogError> {
        let mut reader = Reader::new(file);
        let raw: RawCatalog = reader.pod().ok_or(CatalogError::Short)?;
        if raw.magic != CATALOG_MAGIC {
            return Err(CatalogError::Magic);
        }
        if page_crc(0, bytemuck::bytes_of(&raw), CRC_FIELD) != raw.crc {
            return Err(CatalogError::Checksum);
        }
        if raw.version != FORMAT_VERSION {
            return Err(CatalogError::Version(raw.version));
        }
        let rest = reader.rest();
        if (rest.len() as u64) < raw.bytes {
            return Err(CatalogError::Short);
        }
        if rest.len() as u64 > raw.bytes
            || raw.reserved != RawCatalog::zeroed().reserved
            || raw.zero != 0
        {
            return Err(CatalogError::Reserved);
        }
        if crc32fast::hash(rest) != raw.entries_crc {
            return Err(CatalogError::Checksum);
        }
        let catalog = Self {
            log: LogId::new(Uuid::from_bytes(raw.log)),
            floor: SegmentId::new(raw.floor),
            sequence: Sequence::new(raw.sequence),
            before_end: raw.before_end,
            before_fold: Fold::from_raw(raw.before_fold),
            streams: raw.streams,
        };
        Ok((catalog, CatalogEntries { reader, number: 0, streams: raw.streams }))
    }
}

impl CatalogEntry {
    /// Appends it to the entries of a catalog.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = self.name.encoded_len();
        let raw = RawCatalogEntry {
            version: self.version.get(),
            position: self.position.raw(),
            index: self.index,
            // Category and key are bounded by their constructor.
            name: u16::try_from(name).unwrap_or(u16::MAX),
            reserved: 0,
        };
        out.extend_from_slice(bytemuck::bytes_of(&raw));
        let start = out.len();
        out.resize(start + name, 0);
        self.name.encode(out.get_mut(start..).unwrap_or(&mut []));
    }
}

/// The streams of a catalog, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct CatalogEntries<'a> {
    reader: Reader<'a>,
    number: u64,
    streams: u64,
}

impl CatalogEntries<'_> {
    fn entry(&mut self) -> Result<CatalogEntry, CatalogError> {
        let raw: RawCatalogEntry = self.reader.pod().ok_or(CatalogError::Short)?;
        if raw.reserved != 0 || raw.version > StreamVersion::MAX.get() {
            return Err(CatalogError::Reserved);
        }
        let name = self.reader.take(usize::from(raw.name)).ok_or(CatalogError::Short)?;
        let key =
            StreamKey::decode(name).map_err(|error| CatalogError::Stream(self.number, error))?;
        if key.encoded_len() != name.len() {
            return Err(CatalogError::Reserved);
        }
        Ok(CatalogEntry {
            name: key,
            version: StreamVersion::new(raw.version),
            position: Position::from_raw(raw.position),
            index: raw.index,
        })
    }
}

impl Iterator for CatalogEntries<'_> {
    type Item = Result<CatalogEntry, CatalogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.number == self.streams {
            // A catalog has nothing behind its last stream.
            let left = core::mem::replace(&mut self.reader, Reader::new(&[])).rest();
            return (!left.is_empty()).then_some(Err(CatalogError::Reserved));
        }
        self.number += 1;
        let entry = self.entry();
        if entry.is_err() {
            (self.streams, self.reader) = (self.number, Reader::new(&[]));
        }
        Some(entry)
    }

    /// At most as many as the head says, and as there are bytes for.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let bytes = self.reader.rest().len() / size_of::<RawCatalogEntry>();
        let said = usize::try_from(self.streams - self.number).unwrap_or(usize::MAX);
        // One more says that there are bytes behind the last stream.
        (0, Some(bytes.min(said).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(streams: u64) -> (Catalog, Vec<CatalogEntry>, Vec<u8>) {
        let mut entries = Vec::new();
        let mut bytes = Vec::new();
        for number in 1..=streams {
            let name = if number % 2 == 0 {
                StreamKey::new("account", number)
            } else {
                StreamKey::new("by-text", "x".repeat(number as usize % 255 + 1).as_str())
            };
            let entry = CatalogEntry {
                name: name.unwrap(),
                version: StreamVersion::new(number * 3),
                position: Position::from_raw(number * 16),
                index: number as u16,
            };
            entry.encode(&mut bytes);
            entries.push(entry);
        }
        let catalog = Catalog {
            log: LogId::new(Uuid::from_u128(9)),
            floor: SegmentId::new(7),
            sequence: Sequence::new(1234),
            before_end: 4096,
            before_fold: Fold::from_raw(77),
            streams,
        };
        let mut file = catalog.encode(&bytes).to_vec();
        file.extend(bytes);
        (catalog, entries, file)
    }

    /// What was written is read, whatever the number of streams.
    #[test]
    fn is_it_read_as_it_was_written() {
        for streams in [0, 1, 2, 300] {
            let (catalog, entries, file) = made(streams);
            let (read, streams) = Catalog::decode(&file).unwrap();
            assert_eq!(read, catalog);
            assert_eq!(streams.size_hint(), (0, Some(entries.len() + 1)));
            assert_eq!(streams.map(Result::unwrap).collect::<Vec<_>>(), entries);
        }
    }

    /// Every changed bit and every length that is not the right one is refused.
    #[test]
    fn is_every_change_refused() {
        let (_, _, file) = made(5);
        let good =
            |file: &[u8]| Catalog::decode(file).is_ok_and(|(_, mut all)| all.all(|e| e.is_ok()));
        assert!(good(&file));
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&changed), "bit {bit}");
        }
        for len in 0..file.len() {
            assert!(!good(&file[..len]), "{len} bytes");
        }
        let mut longer = file.clone();
        longer.push(0);
        assert_eq!(Catalog::decode(&longer).unwrap_err(), CatalogError::Reserved);
    }

    /// A count that lies is found out, with both checksums right.
    #[test]
    fn is_a_wrong_count_refused() {
        let (catalog, _, file) = made(5);
        for streams in [4, 6, u64::MAX] {
            let lying = Catalog { streams, ..catalog };
            let mut changed = lying.encode(&file[Catalog::LEN..]).to_vec();
            changed.extend(&file[Catalog::LEN..]);
            let (_, entries) = Catalog::decode(&changed).unwrap();
            assert!(entries.size_hint().1 <= Some(file.len()), "{streams}");
            assert!(entries.take(100).any(|entry| entry.is_err()), "{streams}");
        }
    }
}
