//! One writer: a lock that the kernel releases when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;

use super::directory::Directory;
use super::files::open_checked;

/// Held as long as the log is open for writing.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another writer has it, in this process or another.
    Held,
    /// The file cannot be opened or locked.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Lock {
    /// Takes the lock at once or not at all. It is never taken from a holder.
    pub(crate) fn take(directory: &Directory) -> Result<Self, LockError> {
        let path = directory.lock();
        // Somebody who removes LOCK while it is held makes room for a second one: the file that
        // was locked must be the one that has the name.
        for _ in 0..8 {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = open_checked(&path, &mut options)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::Held),
                Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
            }
            match fs::symlink_metadata(&path) {
                Ok(named) if same_file(&file.metadata()?, &named) => {
                    return Ok(Self { _file: file });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LockError::Io(error)),
            }
        }
        Err(LockError::Io(io::Error::other("LOCK is replaced again and again by somebody else")))
    }
}

#[cfg(unix)]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    one.dev() == other.dev() && one.ino() == other.ino()
}

#[cfg(not(unix))]
fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    // A file that is open cannot be removed there.
    true
}
