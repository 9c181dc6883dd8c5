//! The first bytes of a snapshot: which log it is of, as of which event, and where its index is.

use core::fmt;

use bytemuck::{Zeroable, bytes_of, bytes_of_mut};
use uuid::Uuid;

use crate::bytes::{Reader, all_zero, put};
use crate::cursor::CursorPlace;
use crate::ids::{Epoch, HistoryId, LogId, Position, Sequence};
use crate::layout::SNAPSHOT_VERSION;
use crate::raw::{RawSnapshot, SNAPSHOT_MAGIC};

/// What a snapshot says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The log, and the event up to which everything is folded into it.
    pub place: CursorPlace,
    /// Time of that event's frame, in nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Where the index begins; a multiple of 16.
    pub index_offset: u64,
    /// Bytes of the index.
    pub index_len: u64,
    /// Checksum of the index.
    pub index_crc: u32,
    /// Bytes of the file.
    pub len: u64,
}

/// Why a snapshot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file is shorter than it says, or than a header.
    Short,
    /// The first bytes are not those of a snapshot.
    Magic,
    /// A version that this crate does not know.
    Version(u16),
    /// The checksum of the header does not hold.
    Header,
    /// A reserved field is in use.
    Reserved,
    /// The index stands nowhere in the file.
    Place,
    /// The checksum of the index does not hold.
    Index,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the file is cut short"),
            Self::Magic => write!(f, "it does not begin as a snapshot does"),
            Self::Version(version) => {
                write!(f, "version {version} of the format is newer than this program")
            }
            Self::Header => write!(f, "the checksum of its header does not hold"),
            Self::Reserved => write!(f, "a reserved field of its header is in use"),
            Self::Place => write!(f, "its index stands nowhere in the file"),
            Self::Index => write!(f, "the checksum of its index does not hold"),
        }
    }
}

impl core::error::Error for SnapshotError {}

impl SnapshotHeader {
    /// Bytes of a header; the first block stands behind it.
    pub const LEN: usize = 256;

    /// As it stands in the file.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut raw = RawSnapshot::zeroed();
        let CursorPlace { log, sequence, next, position, frame_crc, epoch, history } = self.place;
        raw.magic = SNAPSHOT_MAGIC;
        raw.version = SNAPSHOT_VERSION;
        raw.log = *log.uuid().as_bytes();
        raw.history = *history.uuid().as_bytes();
        raw.sequence = sequence.get();
        raw.next = next.get();
        raw.position = position.raw();
        raw.frame_crc = frame_crc;
        raw.epoch = epoch.get();
        raw.ts = self.ts;
        raw.index_offset = self.index_offset;
        raw.index_len = self.index_len;
        raw.index_crc = self.index_crc;
        raw.len = self.len;
        let mut bytes = [0; Self::LEN];
        put(&mut bytes, bytes_of(&raw));
        raw.crc = crc32fast::hash(&bytes);
        put(&mut bytes, bytes_of(&raw));
        bytes
    }

    /// Reads it from a file's first bytes; `len` is how long the file is.
    ///
    /// # Errors
    ///
    /// It is none, or is damaged.
    pub fn decode(bytes: &[u8], len: u64) -> Result<Self, SnapshotError> {
        let header = bytes.get(..Self::LEN).ok_or(SnapshotError::Short)?;
        let mut raw: RawSnapshot = Reader::new(header).pod().ok_or(SnapshotError::Short)?;
        if raw.magic != SNAPSHOT_MAGIC {
            return Err(SnapshotError::Magic);
        }
        if raw.version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(raw.version));
        }
        let crc = core::mem::take(&mut raw.crc);
        let rest = header.get(size_of::<RawSnapshot>()..).unwrap_or(&[]);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytes_of_mut(&mut raw));
        hasher.update(rest);
        if hasher.finalize() != crc {
            return Err(SnapshotError::Header);
        }
        if raw.reserved != [0; 2] || raw.more != [0; 4] || !all_zero(rest) {
            return Err(SnapshotError::Reserved);
        }
        if raw.len != len {
            return Err(SnapshotError::Short);
        }
        let end = raw.index_offset.checked_add(raw.index_len).filter(|end| *end <= len);
        let inside = raw.index_offset >= Self::LEN as u64 && raw.index_offset.is_multiple_of(16);
        if end.is_none() || !inside {
            return Err(SnapshotError::Place);
        }
        let place = CursorPlace {
            log: LogId::new(Uuid::from_bytes(raw.log)),
            sequence: Sequence::new(raw.sequence),
            next: Sequence::new(raw.next),
            position: Position::from_raw(raw.position),
            frame_crc: raw.frame_crc,
            epoch: Epoch::new(raw.epoch),
            history: HistoryId::new(Uuid::from_bytes(raw.history)),
        };
        let RawSnapshot { ts, index_offset, index_len, index_crc, len, .. } = raw;
        Ok(Self { place, ts, index_offset, index_len, index_crc, len })
    }

    /// The index of the snapshot whose bytes these are.
    ///
    /// # Errors
    ///
    /// It is not there, or is damaged.
    pub fn index<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], SnapshotError> {
        let from = usize::try_from(self.index_offset).map_err(|_| SnapshotError::Place)?;
        let len = usize::try_from(self.index_len).map_err(|_| SnapshotError::Place)?;
        let index = file.get(from..).and_then(|rest| rest.get(..len));
        let index = index.ok_or(SnapshotError::Short)?;
        if crc32fast::hash(index) != self.index_crc {
            return Err(SnapshotError::Index);
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SnapshotHeader {
        SnapshotHeader {
            place: CursorPlace {
                log: LogId::new(Uuid::from_u128(1)),
                sequence: Sequence::new(41),
                next: Sequence::new(42),
                position: Position::from_raw(4096),
                frame_crc: 7,
                epoch: Epoch::new(3),
                history: HistoryId::new(Uuid::from_u128(2)),
            },
            ts: 99,
            index_offset: 512,
            index_len: 32,
            index_crc: crc32fast::hash(&[5; 32]),
            len: 544,
        }
    }

    #[test]
    fn does_a_header_come_back_and_no_bit_of_it_otherwise() {
        let bytes = header().encode();
        assert_eq!(SnapshotHeader::decode(&bytes, 544), Ok(header()));
        assert_eq!(SnapshotHeader::decode(&bytes[..255], 544), Err(SnapshotError::Short));
        assert_eq!(SnapshotHeader::decode(&bytes, 543), Err(SnapshotError::Short));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(SnapshotHeader::decode(&changed, 544).is_err(), "bit {bit}");
            // With a checksum made for it, it says something else.
            if !(12..16).contains(&(bit / 8)) {
                changed[12..16].fill(0);
                let crc = crc32fast::hash(&changed);
                changed[12..16].copy_from_slice(&crc.to_le_bytes());
                let decoded = SnapshotHeader::decode(&changed, 544);
                assert_ne!(decoded, Ok(header()), "bit {bit} has no meaning");
            }
        }
    }

    #[test]
    fn is_an_index_verified() {
        let mut file = vec![0; 544];
        file[512..].fill(5);
        assert_eq!(header().index(&file), Ok(&[5; 32][..]));
        file[520] ^= 1;
        assert_eq!(header().index(&file), Err(SnapshotError::Index));
        assert_eq!(header().index(&file[..540]), Err(SnapshotError::Short));
        let outside = SnapshotHeader { index_offset: 528, ..header() }.encode();
        assert_eq!(SnapshotHeader::decode(&outside, 544), Err(SnapshotError::Place));
    }
}
