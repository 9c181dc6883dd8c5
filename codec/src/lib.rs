//! The file format of factlog: bytes to values and back.
//!
//! This crate does no I/O, reads no clock and starts no threads. What it decodes may be any bytes:
//! the answer is a value or a typed reason. `FORMAT.md` beside it is the normative description;
//! the modules follow its sections.
//!
//! Most programs use the crate `factlog`, which re-exports what is needed from here.
//!
//! ```
//! use factlog_codec::{FrameDraft, Frame, FrameKind, FrameFlags, SegmentKey, SegmentId};
//! use factlog_codec::{Epoch, Position, Sequence, seal_frame};
//!
//! let key = SegmentKey::new(42, SegmentId::FIRST);
//! let draft = FrameDraft {
//!     kind: FrameKind::Data, flags: FrameFlags::NONE, sequence: Sequence::FIRST, count: 0,
//!     ts: 1, durable: Position::ZERO, epoch: Epoch::new(1),
//! };
//! let mut space = [0; 48];
//! seal_frame(key, 4096, &draft, &mut space, 0);
//! let frame = Frame::parse(key, 4096, &space)?;
//! assert_eq!(frame.header.sequence, Sequence::FIRST);
//! // The same bytes elsewhere are no frame.
//! assert!(Frame::parse(key, 8192, &space).is_err());
//! # Ok::<(), factlog_codec::FrameError>(())
//! ```
#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod bytes;
mod catalog;
mod checksum;
mod cursor;
mod frame;
mod ids;
mod item;
pub mod layout;
mod manifest;
mod postings;
#[allow(unsafe_code, reason = "derives of Pod: every bit pattern is a value, checked by bytemuck")]
mod raw;
mod segment;
mod snapshot;
pub mod types;

#[doc(hidden)]
pub use types::private as __private;

pub use bytes::all_zero;
pub use catalog::{Catalog, CatalogEntries, CatalogEntry, CatalogError};
pub use checksum::{Fold, FrameKey, SegmentKey};
pub use cursor::{CursorName, CursorNameError, CursorPlace, CursorSlot, CursorSlotError};
pub use factlog_derive::{event, value, versions, vocabulary};
pub use frame::{
    EpochBody, Frame, FrameDraft, FrameError, FrameFlags, FrameHeader, FrameKind, FramePieces,
    GapBody, Sealed, SnapshotBody, seal_frame, seal_padded_frame,
};
pub use ids::{
    Epoch, HistoryId, LogId, Place, Position, SegmentId, Sequence, StreamNumber, StreamVersion,
    TypeNumber,
};
pub use item::{
    CommandItem, CommandItemError, CommandOutcome, Encoding, EventExtensions, ExtensionError,
    Extensions, FurtherLink, Item, ItemError, ItemFlags, ItemHeader, ItemKind, Items, Key, Link,
    MetadataTooLong, Source, StreamItemError, StreamKey, StreamKeyError, TypeItem, TypeItemError,
};
pub use manifest::{Ancestor, Manifest, ManifestError, Owner};
pub use postings::{Posting, PostingsError, PostingsHead, encode as encode_postings};
pub use segment::{
    Descriptor, HeaderError, Predecessor, Residue, Seal, SealError, SegOpen, SegOpenError,
    SegOpenTypes, SegmentHeader, Stop, StopReason, Succession, Walk, WalkState, WriteWay,
    find_candidate, find_residue,
};
pub use snapshot::{
    Block, BlockBuilder, BlockError, IndexBuilder, IndexError, Section, SectionBlock, Sections,
    SnapshotEntry, SnapshotError, SnapshotHeader,
};
