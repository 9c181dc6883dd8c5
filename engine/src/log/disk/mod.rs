//! Files and directories: the cold boundary to the operating system.
//!
//! - `directory`: names, modes, opening only what is a regular file
//! - `lock`: one writer
//! - `filesystem`: what the directory stands on, and whether that will do
//! - `segment_file`: preparing a segment, reading one whole
//! - `manifest_file`, `catalog_file`: the two slots; the streams whose beginnings were dropped
//! - `cursor_file`: a named cursor's file, with its two slots
//! - `archive`: another name for a file, or a copy

mod archive;
mod catalog_file;
mod cursor_file;
mod directory;
mod filesystem;
mod lock;
mod manifest_file;
mod segment_file;

pub(super) use archive::{archive_file, copy_file, copy_segment};
pub(super) use catalog_file::{install_catalog, prepare_catalog, read_catalog};
pub(super) use cursor_file::{CursorFiles, make_cursor, read_cursors, remove_cursor, write_cursor};
pub(super) use directory::{
    Directory, has_other_names, make_private, open_regular, sync_directory,
};
pub use filesystem::FileSystem;
pub(super) use filesystem::Suitability;
pub(super) use lock::{Lock, LockError};
pub(super) use manifest_file::{ManifestFile, Slots};
pub(super) use segment_file::{
    SegmentBytes, create_prepared, fill_holes, read_at, read_segment, write_at,
};
