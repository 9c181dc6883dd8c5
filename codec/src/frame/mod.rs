//! Frames: the unit of commit, of checksum and of visibility.
//!
//! - `kind`: what a frame is for, and its flags
//! - `parse`: unverified bytes to a [`Frame`], or the reason why not
//! - `pieces`: the same of a frame that is not in memory whole
//! - `write`: the header and checksum over a body that already stands in place
//! - `engine`: bodies of the engine's own frames: EPOCH, GAP

mod engine;
mod kind;
mod parse;
mod pieces;
mod write;

pub use engine::{EpochBody, GapBody, SnapshotBody};
pub use kind::{FrameFlags, FrameKind};
pub use parse::{Frame, FrameError, FrameHeader};
pub use pieces::FramePieces;
pub use write::{FrameDraft, Sealed, seal_frame, seal_padded_frame};
