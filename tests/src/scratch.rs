//! Directories of which nothing is to last.

use std::path::PathBuf;

use tempfile::TempDir;

/// Names a folder for them, if it is in the environment.
pub const SCRATCH: &str = "FACTLOG_SCRATCH";

/// A directory in memory, if there is room; else with the other temporary ones.
///
/// # Panics
///
/// When there is no space for it.
pub fn scratch() -> TempDir {
    let within = std::env::var_os(SCRATCH).map(PathBuf::from).or_else(in_memory);
    let mut builder = tempfile::Builder::new();
    let made = match within {
        Some(folder) => builder.prefix("factlog-").tempdir_in(folder),
        None => builder.tempdir(),
    };
    made.expect("a directory")
}

/// Where files are kept in memory, if there is such a place, and room in it.
#[cfg(target_os = "linux")]
pub fn in_memory() -> Option<PathBuf> {
    let folder = PathBuf::from("/dev/shm");
    let room = rustix::fs::statvfs(&folder).ok()?;
    let writable = tempfile::tempdir_in(&folder).is_ok();
    (writable && room.f_bavail.saturating_mul(room.f_frsize) > 512 << 20).then_some(folder)
}

/// Where files are kept in memory: nowhere that is known.
#[cfg(not(target_os = "linux"))]
pub fn in_memory() -> Option<PathBuf> {
    None
}
