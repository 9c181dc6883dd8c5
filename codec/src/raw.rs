//! What stands on the medium, as it stands there: plain structs of the format's fields.
//!
//! A raw value proves nothing. It becomes usable through a check that takes it: `Frame::parse`,
//! `SegmentHeader::decode`, and so on. The derives only say that every bit pattern is a value.

use bytemuck::{Pod, Zeroable};

/// The head of a segment header page; the rest of the page is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawSegmentHeader {
    /// [`SEGMENT_MAGIC`].
    pub(crate) magic: [u8; 8],
    /// Format version.
    pub(crate) version: u16,
    /// Segment size as a power of two.
    pub(crate) bits: u8,
    /// Zero.
    pub(crate) zero: u8,
    /// CRC-32 of the page with this field zero.
    pub(crate) crc: u32,
    /// Identity of the log.
    pub(crate) log: [u8; 16],
    /// Segment number.
    pub(crate) segment: u32,
    /// How often this file has been prepared, from 1.
    pub(crate) generation: u32,
    /// Random, new at each preparation: stale bytes do not verify.
    pub(crate) salt: u64,
    /// What payloads are made of.
    pub(crate) descriptor: RawDescriptor,
    /// Zero.
    pub(crate) reserved: [u8; 8],
}

/// What payloads are made of, so that a reader knows whether it can read them in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawDescriptor {
    /// 1: little endian.
    pub(crate) endian: u8,
    /// Width of relative pointers in bits: 32.
    pub(crate) pointer_width: u8,
    /// Alignment of payloads in bytes: 16.
    pub(crate) align: u8,
    /// 1: CRC-32 (IEEE 802.3), seeded.
    pub(crate) checksum: u8,
    /// rkyv's major version: 0.
    pub(crate) rkyv_major: u16,
    /// rkyv's minor version: 8.
    pub(crate) rkyv_minor: u16,
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawFrameHeader {
    /// CRC-32 of bytes 4..48 and the body, seeded with the frame's key.
    pub(crate) crc: u32,
    /// Exact length of the body.
    pub(crate) len: u32,
    /// Sequence of the first event; without events, the next to be given.
    pub(crate) sequence: u64,
    /// Nanoseconds since the Unix epoch at commit; rises from frame to frame.
    pub(crate) ts: u64,
    /// The durable position when this was written.
    pub(crate) durable: u64,
    /// Epoch of the writer.
    pub(crate) epoch: u32,
    /// Number of events.
    pub(crate) count: u16,
    /// What kind of frame.
    pub(crate) kind: u8,
    /// Flags.
    pub(crate) flags: u8,
    /// Distance to the next frame.
    pub(crate) span: u32,
    /// Keyed check of bytes 4..44.
    pub(crate) hsum: u32,
}

impl RawFrameHeader {
    /// Bytes 4..44 as five words, from the fields: loading them from memory that was just
    /// written field by field would wait for the stores.
    #[inline]
    pub(crate) const fn words(&self) -> [u64; 5] {
        let kind = (self.kind as u64) << 16 | (self.flags as u64) << 24;
        [
            self.len as u64 | self.sequence << 32,
            self.sequence >> 32 | self.ts << 32,
            self.ts >> 32 | self.durable << 32,
            self.durable >> 32 | (self.epoch as u64) << 32,
            self.count as u64 | kind | (self.span as u64) << 32,
        ]
    }
}

/// An item header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawItemHeader {
    /// Exact length of the payload.
    pub(crate) len: u32,
    /// Number of its TYPE.
    pub(crate) type_number: u16,
    /// Kind in the low three bits; bit 7: last of its command.
    pub(crate) flags: u8,
    /// Length of all extensions in units of 16 bytes.
    pub(crate) ext: u8,
    /// Number of its stream; 0: none.
    pub(crate) stream: u64,
}

/// The fixed part of a SEGOPEN body; the TYPE table follows as items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawSegOpen {
    /// Identity of the writer's history.
    pub(crate) history: [u8; 16],
    /// Checksum of all frames of the predecessor.
    pub(crate) before_fold: u64,
    /// Number of the predecessor; 0: none.
    pub(crate) before_segment: u32,
    /// Where the predecessor ends; 0: none.
    pub(crate) before_end: u32,
    /// Wall clock, as read, in nanoseconds since the Unix epoch.
    pub(crate) wall_clock: u64,
    /// The next stream number.
    pub(crate) next_stream: u64,
    /// The next type number.
    pub(crate) next_type: u16,
    /// Number of TYPE items that follow.
    pub(crate) types: u16,
    /// How this segment is written: 1 mapped, 2 staged.
    pub(crate) way: u8,
    /// Why the predecessor ends there.
    pub(crate) why: u8,
    /// Zero.
    pub(crate) reserved: [u8; 10],
}

/// The body of an EPOCH frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawEpoch {
    /// Identity of the writer's history.
    pub(crate) history: [u8; 16],
    /// Wall clock, as read, in nanoseconds since the Unix epoch.
    pub(crate) wall_clock: u64,
    /// Zero.
    pub(crate) reserved: u64,
}

/// The head of a SEAL page; the rest of the page is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawSeal {
    /// [`SEAL_MAGIC`].
    pub(crate) magic: [u8; 8],
    /// CRC-32 of the page with this field zero, seeded with the page's key.
    pub(crate) crc: u32,
    /// Where the frames end.
    pub(crate) end: u32,
    /// Sequence of the segment's first event; without events, the next to be given.
    pub(crate) first_sequence: u64,
    /// The next sequence after the segment.
    pub(crate) next_sequence: u64,
    /// Time of the first frame.
    pub(crate) first_ts: u64,
    /// Time of the last frame.
    pub(crate) last_ts: u64,
    /// Checksum of all frames.
    pub(crate) fold: u64,
    /// Number of frames.
    pub(crate) frames: u32,
    /// Epoch of the last frame.
    pub(crate) epoch: u32,
    /// Kept for the seal chain (BLAKE3); zero until it is used.
    pub(crate) chain: [u8; 32],
}

/// The head of a catalog; its streams follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawCatalog {
    /// [`CATALOG_MAGIC`].
    pub(crate) magic: [u8; 8],
    /// CRC-32 of the head with this field zero.
    pub(crate) crc: u32,
    /// Format version.
    pub(crate) version: u16,
    /// Zero.
    pub(crate) zero: u16,
    /// Identity of the log.
    pub(crate) log: [u8; 16],
    /// The first segment that is left.
    pub(crate) floor: u32,
    /// Where the segment before it ended.
    pub(crate) before_end: u32,
    /// Sequence with which the first segment begins.
    pub(crate) sequence: u64,
    /// Checksum of all frames of the segment before it.
    pub(crate) before_fold: u64,
    /// Number of streams.
    pub(crate) streams: u64,
    /// Bytes of the streams that follow.
    pub(crate) bytes: u64,
    /// CRC-32 of those bytes.
    pub(crate) entries_crc: u32,
    /// Zero.
    pub(crate) reserved: [u8; 20],
}

/// The fixed part of a catalog's entry; the name follows, as in a STREAM item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawCatalogEntry {
    /// Version of the stream's last event.
    pub(crate) version: u64,
    /// Its frame.
    pub(crate) position: u64,
    /// Its index among the frame's events.
    pub(crate) index: u16,
    /// Bytes of the name.
    pub(crate) name: u16,
    /// Zero.
    pub(crate) reserved: u32,
}

/// The head of a manifest slot; the lineage follows, the rest of the page is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawManifest {
    /// [`MANIFEST_MAGIC`].
    pub(crate) magic: [u8; 8],
    /// CRC-32 of the page with this field zero.
    pub(crate) crc: u32,
    /// Format version.
    pub(crate) version: u16,
    /// Segment size as a power of two.
    pub(crate) bits: u8,
    /// Bit 0: closed cleanly; the checkpoint is the log's end.
    pub(crate) flags: u8,
    /// Counts the writes; the slot with the greater one is the newer.
    pub(crate) generation: u64,
    /// Identity of the log.
    pub(crate) log: [u8; 16],
    /// Identity of the epoch's history.
    pub(crate) history: [u8; 16],
    /// What payloads are made of.
    pub(crate) descriptor: RawDescriptor,
    /// The last epoch.
    pub(crate) epoch: u32,
    /// The first segment that retention has left.
    pub(crate) floor: u32,
    /// Position below which everything is durable.
    pub(crate) checkpoint: u64,
    /// The next sequence at the checkpoint.
    pub(crate) checkpoint_sequence: u64,
    /// Number of ancestors.
    pub(crate) lineage: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

/// One ancestor of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawAncestor {
    /// Identity of the log.
    pub(crate) log: [u8; 16],
    /// Identity of its history.
    pub(crate) history: [u8; 16],
    /// The last sequence taken from it.
    pub(crate) last_sequence: u64,
    /// The position behind the last frame taken from it.
    pub(crate) end: u64,
}

/// The head of one slot of a named cursor; the rest of the page is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawCursor {
    /// [`CURSOR_MAGIC`].
    pub(crate) magic: [u8; 8],
    /// CRC-32 of the page with this field zero.
    pub(crate) crc: u32,
    /// Format version.
    pub(crate) version: u16,
    /// Bytes of the name.
    pub(crate) name_len: u8,
    /// Zero.
    pub(crate) zero: u8,
    /// Counts the writes; the slot with the greater one is the newer.
    pub(crate) generation: u64,
    /// Identity of the log.
    pub(crate) log: [u8; 16],
    /// Identity of the history in which the frame was written.
    pub(crate) history: [u8; 16],
    /// The last event that was processed; 0: none.
    pub(crate) sequence: u64,
    /// The event that comes next.
    pub(crate) next: u64,
    /// The frame that holds the last processed event.
    pub(crate) position: u64,
    /// Checksum of that frame.
    pub(crate) frame_crc: u32,
    /// Epoch of that frame.
    pub(crate) epoch: u32,
    /// The name; zero behind it.
    pub(crate) name: [u8; crate::layout::MAX_CURSOR_NAME],
}

/// The fixed part of a TYPE item's payload; name and description follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawType {
    /// Hash of the description.
    pub(crate) fingerprint: u64,
    /// Length of the description.
    pub(crate) description_len: u32,
    /// Version of the event.
    pub(crate) version: u16,
    /// Length of the name.
    pub(crate) name_len: u8,
    /// 1: an rkyv archive; 2: opaque bytes.
    pub(crate) encoding: u8,
}

/// The fixed part of a COMMAND item's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawCommand {
    /// 1 accepted, 2 rejected, 3 failed.
    pub(crate) outcome: u8,
    /// Zero.
    pub(crate) zero: u8,
    /// Length of the idempotency key.
    pub(crate) key_len: u16,
    /// Number of its events.
    pub(crate) events: u32,
    /// Sequence of the first of them.
    pub(crate) first: u64,
    /// Version of the stream behind them.
    pub(crate) version: u64,
    /// Hash of the command.
    pub(crate) digest: u64,
    /// The time that it was told.
    pub(crate) now: u64,
    /// Where its random numbers began.
    pub(crate) seed: u64,
    /// Length of the reply.
    pub(crate) reply_len: u32,
    /// Length of the command.
    pub(crate) command_len: u32,
    /// Zero.
    pub(crate) reserved: [u8; 8],
}

/// The fixed part of a snapshot's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawSnapshot {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u16,
    /// Zero.
    pub(crate) reserved: [u8; 2],
    /// Of the header with this field zero.
    pub(crate) crc: u32,
    pub(crate) log: [u8; 16],
    pub(crate) history: [u8; 16],
    /// The last event that is folded.
    pub(crate) sequence: u64,
    /// The event that comes next.
    pub(crate) next: u64,
    /// Its frame: position, checksum, epoch.
    pub(crate) position: u64,
    pub(crate) frame_crc: u32,
    pub(crate) epoch: u32,
    /// Time of that frame.
    pub(crate) ts: u64,
    pub(crate) index_offset: u64,
    pub(crate) index_len: u64,
    /// Bytes of the file.
    pub(crate) len: u64,
    pub(crate) index_crc: u32,
    /// Zero.
    pub(crate) more: [u8; 4],
}

/// The head of a block of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawBlock {
    /// Of the block with this field zero.
    pub(crate) crc: u32,
    /// Bytes of the block.
    pub(crate) len: u32,
    /// Where it stands in the file.
    pub(crate) offset: u64,
    /// Sequence of the snapshot.
    pub(crate) sequence: u64,
    /// Number of entries.
    pub(crate) entries: u32,
    /// Number of the section.
    pub(crate) section: u16,
    /// Zero.
    pub(crate) zero: u16,
}

impl RawBlock {
    pub(crate) const LEN: usize = size_of::<Self>();
}

/// What stands before the value and the key of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawBlockEntry {
    pub(crate) value_len: u32,
    pub(crate) key_len: u16,
    /// Zero.
    pub(crate) zero: u16,
    /// Version of the stream.
    pub(crate) version: u64,
}

/// A section in the index of a snapshot; its name follows, and its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawSection {
    pub(crate) fingerprint: u64,
    pub(crate) entries: u64,
    pub(crate) blocks: u32,
    pub(crate) name_len: u16,
    /// Zero.
    pub(crate) zero: [u8; 2],
}

impl RawSection {
    pub(crate) const LEN: usize = size_of::<Self>();
}

/// A block in the index of a snapshot; its first key follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RawIndexBlock {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) key_len: u16,
    /// Zero.
    pub(crate) zero: [u8; 2],
}

/// First bytes of a snapshot.
pub(crate) const SNAPSHOT_MAGIC: [u8; 8] = *b"\xFActimg\r\n";
/// First bytes of a segment.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"\xFActlog\r\n";
/// First bytes of a SEAL.
pub(crate) const SEAL_MAGIC: [u8; 8] = *b"\xFActsea\r\n";
/// First bytes of a manifest slot.
pub(crate) const MANIFEST_MAGIC: [u8; 8] = *b"\xFActman\r\n";
/// First bytes of a slot of a named cursor.
pub(crate) const CURSOR_MAGIC: [u8; 8] = *b"\xFActcur\r\n";
/// First bytes of a catalog.
pub(crate) const CATALOG_MAGIC: [u8; 8] = *b"\xfactcat\r\n";

const _: () = {
    assert!(size_of::<RawSegmentHeader>() == 64);
    assert!(size_of::<RawFrameHeader>() == crate::layout::FRAME_HEADER);
    assert!(size_of::<RawItemHeader>() == crate::layout::ITEM_HEADER);
    assert!(size_of::<RawSegOpen>() == 64);
    assert!(size_of::<RawEpoch>() == 32);
    assert!(size_of::<RawSeal>() == 96);
    assert!(size_of::<RawCatalog>() == 96);
    assert!(size_of::<RawCatalogEntry>() == 24);
    assert!(size_of::<RawManifest>() == 96);
    assert!(size_of::<RawAncestor>() == 48);
    assert!(size_of::<RawType>() == 16);
    assert!(size_of::<RawCommand>() == 64);
    assert!(size_of::<RawCursor>() == 152);
    assert!(size_of::<RawSnapshot>() == 120);
    assert!(size_of::<RawBlock>() == 32);
    assert!(size_of::<RawBlockEntry>() == 16);
    assert!(size_of::<RawSection>() == 24);
    assert!(size_of::<RawIndexBlock>() == 16);
};
