//! The manifest: two slots, written in turn, each a page with its own checksum.

use core::fmt;

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::{Reader, all_zero, put};
use crate::checksum::page_crc;
use crate::ids::{Epoch, HistoryId, LogId, Position, SegmentId, Sequence};
use crate::layout::{
    ALIGN, FIRST_FRAME, FORMAT_VERSION, MAX_LINEAGE, MAX_SEGMENT_BITS, MIN_SEGMENT_BITS, PAGE,
    seal_offset,
};
use crate::raw::{MANIFEST_MAGIC, RawAncestor, RawManifest};
use crate::segment::Descriptor;

/// What a manifest slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Counts the writes; the slot with the greater one is the newer.
    pub generation: u64,
    /// Identity of the log.
    pub log: LogId,
    /// Identity of the epoch's history.
    pub history: HistoryId,
    /// Segment size as a power of two.
    pub bits: u8,
    /// The last epoch.
    pub epoch: Epoch,
    /// The first segment that retention has left.
    pub floor: SegmentId,
    /// Position below which everything is durable.
    pub checkpoint: Position,
    /// The next sequence at the checkpoint.
    pub checkpoint_sequence: Sequence,
    /// Whether the log was closed cleanly, so that the checkpoint is its end.
    pub clean: bool,
    /// Logs that this one was forked from, the nearest last; at most 32.
    pub lineage: Vec<Ancestor>,
}

/// A log that another was forked from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ancestor {
    /// Identity of the log.
    pub log: LogId,
    /// Its history.
    pub history: HistoryId,
    /// The last sequence taken from it.
    pub last_sequence: Sequence,
    /// The position behind the last frame taken from it.
    pub end: Position,
}

/// Whose a segment of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The log that wrote it, as its header says.
    pub log: LogId,
    /// Where it ends at the latest for this log, if an ancestor goes on in it.
    pub end: Option<u32>,
}

impl Owner {
    /// That of a segment in a log with this lineage.
    pub fn of(segment: SegmentId, log: LogId, lineage: &[Ancestor], bits: u8) -> Self {
        let found = lineage.iter().find(|ancestor| segment <= ancestor.end.segment(bits));
        let Some(ancestor) = found else { return Self { log, end: None } };
        let cut = ancestor.end.segment(bits) == segment;
        Self { log: ancestor.log, end: cut.then(|| ancestor.end.offset(bits)) }
    }
}

/// Why a slot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file ends inside the page.
    Short,
    /// The first bytes are not those of a manifest.
    Magic,
    /// The checksum does not hold.
    Checksum,
    /// A version that this crate does not know.
    Version(u16),
    /// Payloads are made of something that this crate does not read.
    Descriptor,
    /// A segment size out of bounds, as a power of two.
    Bits(u8),
    /// A reserved field or flag is in use, or the lineage is too long.
    Reserved,
    /// The lineage goes back: an ancestor ends before the one before it, or inside a header.
    Lineage,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the manifest ends too early"),
            Self::Magic => write!(f, "this is no manifest of a factlog"),
            Self::Checksum => write!(f, "the checksum of the manifest does not hold"),
            Self::Version(version) => write!(
                f,
                "format version {version} is not known here (newest known: {FORMAT_VERSION}): use \
                 the version of factlog that wrote it"
            ),
            Self::Descriptor => write!(f, "payloads are in a form that this build cannot read"),
            Self::Bits(bits) => write!(f, "impossible segment size: 2 to the power of {bits}"),
            Self::Reserved => write!(f, "a reserved field of the manifest is in use"),
            Self::Lineage => write!(f, "the lineage in the manifest contradicts itself"),
        }
    }
}

impl core::error::Error for ManifestError {}

const CRC_FIELD: usize = core::mem::offset_of!(RawManifest, crc);
const CLEAN: u8 = 1;

impl Manifest {
    /// As a page.
    ///
    /// # Panics
    ///
    /// When the lineage has more than 32 ancestors: the caller bounds it.
    pub fn encode(&self) -> [u8; PAGE] {
        assert!(self.lineage.len() <= MAX_LINEAGE, "lineage is bounded before it is written");
        let mut page = [0; PAGE];
        let mut raw = RawManifest {
            magic: MANIFEST_MAGIC,
            version: FORMAT_VERSION,
            bits: self.bits,
            flags: if self.clean { CLEAN } else { 0 },
            generation: self.generation,
            log: *self.log.uuid().as_bytes(),
            history: *self.history.uuid().as_bytes(),
            descriptor: Descriptor::RAW,
            epoch: self.epoch.get(),
            floor: self.floor.get(),
            checkpoint: self.checkpoint.raw(),
            checkpoint_sequence: self.checkpoint_sequence.get(),
            lineage: u32::try_from(self.lineage.len()).unwrap_or(u32::MAX),
            ..RawManifest::zeroed()
        };
        let (_, mut rest) = page.split_at_mut(size_of::<RawManifest>());
        for ancestor in &self.lineage {
            let raw = RawAncestor {
                log: *ancestor.log.uuid().as_bytes(),
                history: *ancestor.history.uuid().as_bytes(),
                last_sequence: ancestor.last_sequence.get(),
                end: ancestor.end.raw(),
            };
            rest = put(rest, bytemuck::bytes_of(&raw));
        }
        put(&mut page, bytemuck::bytes_of(&raw));
        raw.crc = page_crc(0, &page, CRC_FIELD);
        put(&mut page, bytemuck::bytes_of(&raw));
        page
    }

    /// Whose a segment is: that of the first ancestor that ends in it or behind it, else of the log
    /// itself.
    pub fn owner(&self, segment: SegmentId) -> Owner {
        Owner::of(segment, self.log, &self.lineage, self.bits)
    }

    /// Whether something that was written for `log` may be of this one: it is the same, or an
    /// ancestor.
    pub fn knows(&self, log: LogId) -> bool {
        self.log == log || self.lineage.iter().any(|ancestor| ancestor.log == log)
    }

    /// From a slot, which may be anything.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used.
    pub fn decode(file: &[u8]) -> Result<Self, ManifestError> {
        let page = file.get(..PAGE).ok_or(ManifestError::Short)?;
        let mut reader = Reader::new(page);
        let raw: RawManifest = reader.pod().ok_or(ManifestError::Short)?;
        if raw.magic != MANIFEST_MAGIC {
            return Err(ManifestError::Magic);
        }
        if page_crc(0, page, CRC_FIELD) != raw.crc {
            return Err(ManifestError::Checksum);
        }
        if raw.version != FORMAT_VERSION {
            return Err(ManifestError::Version(raw.version));
        }
        if raw.descriptor != Descriptor::RAW {
            return Err(ManifestError::Descriptor);
        }
        if !(MIN_SEGMENT_BITS..=MAX_SEGMENT_BITS).contains(&raw.bits) {
            return Err(ManifestError::Bits(raw.bits));
        }
        let count = usize::try_from(raw.lineage).ok().filter(|count| *count <= MAX_LINEAGE);
        let count = count.ok_or(ManifestError::Reserved)?;
        let mut lineage = Vec::with_capacity(count);
        for _ in 0..count {
            let ancestor: RawAncestor = reader.pod().ok_or(ManifestError::Short)?;
            lineage.push(Ancestor {
                log: LogId::new(Uuid::from_bytes(ancestor.log)),
                history: HistoryId::new(Uuid::from_bytes(ancestor.history)),
                last_sequence: Sequence::new(ancestor.last_sequence),
                end: Position::from_raw(ancestor.end),
            });
        }
        if raw.reserved != 0 || raw.flags & !CLEAN != 0 || !all_zero(reader.rest()) {
            return Err(ManifestError::Reserved);
        }
        if !is_in_order(&lineage, raw.bits) {
            return Err(ManifestError::Lineage);
        }
        Ok(Self {
            generation: raw.generation,
            log: LogId::new(Uuid::from_bytes(raw.log)),
            history: HistoryId::new(Uuid::from_bytes(raw.history)),
            bits: raw.bits,
            epoch: Epoch::new(raw.epoch),
            floor: SegmentId::new(raw.floor),
            checkpoint: Position::from_raw(raw.checkpoint),
            checkpoint_sequence: Sequence::new(raw.checkpoint_sequence),
            clean: raw.flags & CLEAN != 0,
            lineage,
        })
    }
}

/// Whether each ancestor ends at a place where a frame may end, and not before the one before it.
fn is_in_order(lineage: &[Ancestor], bits: u8) -> bool {
    let possible = |ancestor: &Ancestor| {
        let (segment, offset) = (ancestor.end.segment(bits), ancestor.end.offset(bits));
        let inside = offset > FIRST_FRAME && offset as usize <= seal_offset(bits);
        segment != SegmentId::NONE
            && Position::new(segment, offset, bits) == ancestor.end
            && inside
            && offset.is_multiple_of(ALIGN as u32)
    };
    let rises = |pair: &[Ancestor]| match pair {
        [one, next] => one.end <= next.end && one.last_sequence <= next.last_sequence,
        _ => true,
    };
    lineage.iter().all(possible) && lineage.windows(2).all(rises)
}
