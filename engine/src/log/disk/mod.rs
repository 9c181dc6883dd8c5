//! Files and directories: the cold boundary to the operating system.
//!
//! - `directory`: names, modes, opening only what is a regular file
//! - `lock`: one writer
//! - `filesystem`: what the directory stands on, and whether that will do
//! - `segment_file`: preparing a segment, reading one whole
//! - `manifest_file`: the two slots

mod directory;
mod filesystem;
mod lock;
mod manifest_file;
mod segment_file;

pub(super) use directory::{Directory, has_other_names, open_regular};
pub use filesystem::FileSystem;
pub(super) use filesystem::Suitability;
pub(super) use lock::{Lock, LockError};
pub(super) use manifest_file::{ManifestFile, Slots};
pub(super) use segment_file::{SegmentBytes, create_prepared, read_at, read_segment, write_at};
