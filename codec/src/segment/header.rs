//! The first page of a segment: what is known before it is used.

use core::fmt;

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::{Reader, all_zero, put};
use crate::checksum::{SegmentKey, page_crc};
use crate::ids::{LogId, SegmentId};
use crate::layout::{FORMAT_VERSION, MAX_SEGMENT_BITS, MIN_SEGMENT_BITS, PAGE};
use crate::raw::{RawDescriptor, RawSegmentHeader, SEGMENT_MAGIC};

/// What payloads are made of. There is one that this crate reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor;

impl Descriptor {
    pub(crate) const RAW: RawDescriptor = RawDescriptor {
        endian: 1,
        pointer_width: 32,
        align: 16,
        checksum: 1,
        rkyv_major: 0,
        rkyv_minor: 8,
    };
}

/// A segment header that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Identity of the log.
    pub log: LogId,
    /// Number of the segment.
    pub segment: SegmentId,
    /// Segment size as a power of two.
    pub bits: u8,
    /// How often the file has been prepared, from 1.
    pub generation: u32,
    /// Random, new at each preparation.
    pub salt: u64,
}

/// Why a page is no segment header that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderError {
    /// The file ends inside its first page.
    Short,
    /// The first bytes are not those of a segment.
    Magic,
    /// The checksum does not hold.
    Checksum,
    /// A version that this crate does not know.
    Version(u16),
    /// Payloads are made of something that this crate does not read.
    Descriptor,
    /// A size out of bounds, as a power of two.
    Bits(u8),
    /// A field that must be zero is not, or one that must not be zero is.
    Reserved,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the file is shorter than a segment header"),
            Self::Magic => write!(f, "this is no segment of a factlog"),
            Self::Checksum => write!(f, "the checksum of the segment header does not hold"),
            Self::Version(version) => write!(
                f,
                "format version {version} is not known here (newest known: {FORMAT_VERSION}): use \
                 the version of factlog that wrote it"
            ),
            Self::Descriptor => write!(f, "payloads are in a form that this build cannot read"),
            Self::Bits(bits) => write!(f, "impossible segment size: 2 to the power of {bits}"),
            Self::Reserved => write!(f, "a reserved field of the segment header is in use"),
        }
    }
}

impl core::error::Error for HeaderError {}

const CRC_FIELD: usize = core::mem::offset_of!(RawSegmentHeader, crc);

impl SegmentHeader {
    /// As a page.
    pub fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let mut raw = RawSegmentHeader {
            magic: SEGMENT_MAGIC,
            version: FORMAT_VERSION,
            bits: self.bits,
            log: *self.log.uuid().as_bytes(),
            segment: self.segment.get(),
            generation: self.generation,
            salt: self.salt,
            descriptor: Descriptor::RAW,
            ..RawSegmentHeader::zeroed()
        };
        put(&mut page, bytemuck::bytes_of(&raw));
        raw.crc = page_crc(0, &page, CRC_FIELD);
        put(&mut page, bytemuck::bytes_of(&raw));
        page
    }

    /// From the first page of a file, which may be anything.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used.
    pub fn decode(file: &[u8]) -> Result<Self, HeaderError> {
        let page = file.get(..PAGE).ok_or(HeaderError::Short)?;
        let mut reader = Reader::new(page);
        let raw: RawSegmentHeader = reader.pod().ok_or(HeaderError::Short)?;
        if raw.magic != SEGMENT_MAGIC {
            return Err(HeaderError::Magic);
        }
        if page_crc(0, page, CRC_FIELD) != raw.crc {
            return Err(HeaderError::Checksum);
        }
        if raw.version != FORMAT_VERSION {
            return Err(HeaderError::Version(raw.version));
        }
        if raw.descriptor != Descriptor::RAW {
            return Err(HeaderError::Descriptor);
        }
        if !(MIN_SEGMENT_BITS..=MAX_SEGMENT_BITS).contains(&raw.bits) {
            return Err(HeaderError::Bits(raw.bits));
        }
        let reserved_is_zero = raw.zero == 0 && raw.reserved == [0; 8] && all_zero(reader.rest());
        if !reserved_is_zero || raw.segment == 0 || raw.generation == 0 {
            return Err(HeaderError::Reserved);
        }
        Ok(Self {
            log: LogId::new(Uuid::from_bytes(raw.log)),
            segment: SegmentId::new(raw.segment),
            bits: raw.bits,
            generation: raw.generation,
            salt: raw.salt,
        })
    }

    /// What the frames of this segment are keyed with.
    pub const fn key(&self) -> SegmentKey {
        SegmentKey::new(self.salt, self.segment)
    }
}
