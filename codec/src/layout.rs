//! Sizes, offsets and limits of the format, each derived from the one before.
//!
//! Nothing here does anything: this file is the picture that `FORMAT.md` draws, as constants.

/// Everything in a frame is aligned to this, so that archived payloads can be used in place.
pub const ALIGN: usize = 16;
/// A page of the medium as the format sees it: the segment header and the SEAL have one each.
pub const PAGE: usize = 4096;

/// Where the first frame of a segment, its SEGOPEN, begins.
pub const FIRST_FRAME: u32 = 4096;
/// Length of a frame header.
pub const FRAME_HEADER: usize = 48;
/// Length of an item header.
pub const ITEM_HEADER: usize = 16;
/// Most bytes that the extensions of one item can take: what a `u8` of 16-byte units can say.
pub const MAX_EXTENSIONS: usize = 255 * ALIGN;

/// Least segment size, as a power of two: 4 MiB.
pub const MIN_SEGMENT_BITS: u8 = 22;
/// Greatest segment size, as a power of two: 1 GiB.
pub const MAX_SEGMENT_BITS: u8 = 30;
/// Segment size unless asked for otherwise: 64 MiB.
pub const DEFAULT_SEGMENT_BITS: u8 = 26;

/// Most bytes of one transaction's frame, header included, whatever the segment size.
pub const MAX_TRANSACTION: usize = 1 << 20;
/// Most events of one transaction.
pub const MAX_EVENTS: usize = 65_535;
/// A drained batch of separate submissions closes at this many bytes.
pub const BATCH_BYTES: usize = 64 << 10;
/// A drained batch of separate submissions closes at this many events.
pub const BATCH_EVENTS: usize = 4_096;

/// Most bytes in the name of an event type.
pub const MAX_TYPE_NAME: usize = 128;
/// Most bytes in a stream's category.
pub const MAX_CATEGORY: usize = 64;
/// Most bytes in a stream's key.
pub const MAX_KEY: usize = 255;
/// Most bytes in the idempotency key of a command.
pub const MAX_COMMAND_KEY: usize = 255;
/// Most further streams of one event, beside its primary one.
pub const MAX_FURTHER_STREAMS: usize = 7;
/// Most bytes in the name of a cursor.
pub const MAX_CURSOR_NAME: usize = 64;
/// Most ancestors that a manifest can name.
pub const MAX_LINEAGE: usize = 32;

/// The format version that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u16 = 1;

/// The version of snapshots that this crate writes, and the newest that it reads.
pub const SNAPSHOT_VERSION: u16 = 1;
/// The version of the index of a segment by correlation.
pub const POSTINGS_VERSION: u16 = 1;

/// Size of a segment file of `bits`.
pub const fn segment_size(bits: u8) -> usize {
    1 << bits
}

/// Where the SEAL page of a segment begins, which is where frames must end at the latest.
pub const fn seal_offset(bits: u8) -> usize {
    segment_size(bits) - PAGE
}

/// Most bytes of one transaction's frame in a segment of `bits`, header included.
pub const fn max_transaction(bits: u8) -> usize {
    let quarter = segment_size(bits) / 4;
    if quarter < MAX_TRANSACTION { quarter } else { MAX_TRANSACTION }
}

/// Most bytes that the TYPE table may take in the SEGOPEN of a segment of `bits`.
pub const fn max_type_table(bits: u8) -> usize {
    segment_size(bits) / 8
}

/// `n` rounded up to the next multiple of [`ALIGN`]. `n` is a length inside a segment.
pub const fn align_up(n: usize) -> usize {
    (n + ALIGN - 1) & !(ALIGN - 1)
}

const _: () = {
    assert!(FIRST_FRAME as usize == PAGE);
    assert!(FRAME_HEADER.is_multiple_of(ALIGN) && ITEM_HEADER.is_multiple_of(ALIGN));
    assert!(MAX_TRANSACTION <= segment_size(MIN_SEGMENT_BITS) / 4);
    assert!(MAX_CATEGORY + MAX_KEY + 4 <= 512);
};

#[cfg(not(target_endian = "little"))]
compile_error!("factlog is for little-endian machines: the format is read in place");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("factlog is for 64-bit machines: segments are mapped whole");
