//! The last page of a segment, written when it has ended.

use core::fmt;

use crate::bytes::{Reader, all_zero, put};
use crate::checksum::{Fold, SegmentKey, page_crc};
use crate::ids::{Epoch, Sequence};
use crate::layout::PAGE;
use crate::raw::{RawSeal, SEAL_MAGIC};

/// What a segment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Where the frames end.
    pub end: u32,
    /// Sequence of the first event; without events, the next to be given.
    pub first_sequence: Sequence,
    /// The next sequence after the segment.
    pub next_sequence: Sequence,
    /// Time of the first frame.
    pub first_ts: u64,
    /// Time of the last frame.
    pub last_ts: u64,
    /// Checksum of all frames.
    pub fold: Fold,
    /// Number of frames.
    pub frames: u32,
    /// Epoch of the last frame.
    pub epoch: Epoch,
    /// Kept for the seal chain; zero until it is used.
    pub chain: [u8; 32],
}

/// Why a page is no SEAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SealError {
    /// It is shorter than a page.
    Short,
    /// All zeros: the segment was not sealed.
    Absent,
    /// The first bytes are not those of a SEAL.
    Magic,
    /// The checksum does not hold, or bytes behind it are not zero.
    Checksum,
    /// The seal chain, which is reserved, is in use.
    Reserved,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the file ends inside its SEAL"),
            Self::Absent => write!(f, "the segment was not sealed"),
            Self::Magic => write!(f, "the last page of the segment is no SEAL"),
            Self::Checksum => write!(f, "the checksum of the SEAL does not hold"),
            Self::Reserved => write!(f, "a reserved field of the SEAL is in use"),
        }
    }
}

impl core::error::Error for SealError {}

const CRC_FIELD: usize = core::mem::offset_of!(RawSeal, crc);

impl Seal {
    /// As a page, to stand at `offset` of the segment with `key`.
    pub fn encode(&self, key: SegmentKey, offset: u32) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let mut raw = RawSeal {
            magic: SEAL_MAGIC,
            crc: 0,
            end: self.end,
            first_sequence: self.first_sequence.get(),
            next_sequence: self.next_sequence.get(),
            first_ts: self.first_ts,
            last_ts: self.last_ts,
            fold: self.fold.raw(),
            frames: self.frames,
            epoch: self.epoch.get(),
            chain: self.chain,
        };
        put(&mut page, bytemuck::bytes_of(&raw));
        raw.crc = page_crc(key.at(offset).seed(), &page, CRC_FIELD);
        put(&mut page, bytemuck::bytes_of(&raw));
        page
    }

    /// From the last page of the segment with `key`, which begins at `offset`.
    ///
    /// # Errors
    ///
    /// The reason why it is no SEAL.
    pub fn decode(key: SegmentKey, offset: u32, page: &[u8]) -> Result<Self, SealError> {
        let page = page.get(..PAGE).ok_or(SealError::Short)?;
        let mut reader = Reader::new(page);
        let raw: RawSeal = reader.pod().ok_or(SealError::Short)?;
        if raw.magic != SEAL_MAGIC {
            return Err(if all_zero(page) { SealError::Absent } else { SealError::Magic });
        }
        let crc = page_crc(key.at(offset).seed(), page, CRC_FIELD);
        if crc != raw.crc || !all_zero(reader.rest()) {
            return Err(SealError::Checksum);
        }
        if raw.chain != [0; 32] {
            return Err(SealError::Reserved);
        }
        Ok(Self {
            end: raw.end,
            first_sequence: Sequence::new(raw.first_sequence),
            next_sequence: Sequence::new(raw.next_sequence),
            first_ts: raw.first_ts,
            last_ts: raw.last_ts,
            fold: Fold::from_raw(raw.fold),
            frames: raw.frames,
            epoch: Epoch::new(raw.epoch),
            chain: raw.chain,
        })
    }
}
