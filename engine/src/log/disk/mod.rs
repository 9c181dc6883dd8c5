//! Files and directories: the cold boundary to the operating system.
//!
//! - `files`: what the operating system has: opening only regular files, reading, writing
//! - `observe`: everything that changes files goes through here, and who is told of it
//! - `directory`: names
//! - `lock`: one writer
//! - `in_place`: whether a file that is written is still where it was
//! - `filesystem`: what the directory stands on, and whether that will do
//! - `segment_file`: preparing a segment, reading one whole
//! - `segment_reader`: reading one forwards, through a window
//! - `manifest_file`, `catalog_file`: the two slots; the streams whose beginnings were dropped
//! - `table_file`: the streams as of the end of a segment
//! - `postings_file`: which frames of a segment have events of which conversation
//! - `cursor_file`: a named cursor's file, with its two slots
//! - `snapshot_file`: memory images
//! - `temporary`: a file under a name that means nothing yet
//! - `archive`: another name for a file, or a copy

mod archive;
mod catalog_file;
mod cursor_file;
mod directory;
mod files;
mod filesystem;
mod in_place;
mod lock;
mod manifest_file;
mod observe;
mod postings_file;
mod segment_file;
mod segment_reader;
mod snapshot_file;
mod table_file;
mod temporary;

pub(super) use archive::{archive_file, copy_file, copy_segment, prepare_archive};
pub(super) use catalog_file::{PreparedCatalog, prepare_catalog, read_catalog};
pub(super) use cursor_file::{CursorFiles, make_cursor, read_cursors, remove_cursor, write_cursor};
pub(super) use directory::Directory;
pub(super) use files::{has_other_names, open_regular, read_at, read_no_further};
pub use filesystem::FileSystem;
pub(super) use filesystem::Suitability;
pub(super) use in_place::{check_in_place, check_one_name};
pub(super) use lock::{Lock, LockError};
pub(super) use manifest_file::{ManifestFile, Slots};
pub(super) use observe::DiskIo;
pub use observe::{DiskObserver, DiskOperation};
pub(super) use postings_file::{PostingsFile, remove_postings_below, write_postings};
pub(super) use segment_file::{SegmentBytes, Space, create_prepared, move_prepared, read_file};
pub(super) use segment_reader::SegmentReader;
pub(crate) use snapshot_file::SnapshotFile;
pub(super) use snapshot_file::{list_snapshots, open_snapshot, remove_snapshot, remove_unfinished};
pub(super) use table_file::{TableFile, read_table, remove_tables_below};
