//! Segments: files of frames between a header page and a SEAL page.
//!
//! - `header`: the first page, written when the file is prepared
//! - `open`: SEGOPEN, the first frame, written when the segment is taken into use
//! - `seal`: the last page, written when the segment has ended
//! - `walk`: the frames of a segment in order, up to the first that does not verify
//! - `residue`: what verifies behind that place

mod header;
mod open;
mod residue;
mod seal;
mod walk;

pub use header::{Descriptor, HeaderError, SegmentHeader};
pub use open::{Predecessor, SegOpen, SegOpenError, SegOpenTypes, Succession, WriteWay};
pub use residue::{Residue, find_candidate, find_residue};
pub use seal::{Seal, SealError};
pub use walk::{Stop, StopReason, Walk, WalkState};
