//! One writer: a lock that the kernel releases when its holder dies.
//!
//! It is held twice. The file LOCK has a name that says what it is for, and can be removed by whoever
//! tidies up: then the next one would make it anew, and both would write. So the directory of the
//! segments is locked as well, which nobody removes as long as there is something in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;

use super::directory::Directory;
use super::files::{open_checked, same_file};
use crate::log::fork::ForkGuard;

/// Held as long as the log is open for writing.
#[derive(Debug)]
pub(crate) struct Lock {
    held: Vec<File>,
    fork: ForkGuard,
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

impl From<TryLockError> for LockError {
    fn from(error: TryLockError) -> Self {
        match error {
            TryLockError::WouldBlock => Self::Held,
            TryLockError::Error(error) => Self::Io(error),
        }
    }
}

impl Lock {
    /// Takes the lock at once or not at all. It is never taken from a holder.
    pub(crate) fn take(directory: &Directory) -> Result<Self, LockError> {
        let path = directory.lock();
        let mut lock = Self { held: Vec::new(), fork: ForkGuard::new()? };
        // Somebody who removes LOCK while it is taken makes room for a second one: the file that
        // was locked must be the one that has the name.
        for _ in 0..8 {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = open_checked(&path, &mut options)?;
            file.try_lock()?;
            match fs::symlink_metadata(&path) {
                Ok(named) if same_file(&file.metadata()?, &named) => {
                    lock.held.push(file);
                    lock.held.extend(lock_directory(directory)?);
                    return Ok(lock);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LockError::Io(error)),
            }
        }
        Err(LockError::Io(io::Error::other("LOCK is replaced again and again by somebody else")))
    }
}

impl Drop for Lock {
    /// A process that is being started just now has our descriptors until it runs its own program:
    /// closed alone, they would hold the lock for as long. A forked child lets go of nothing.
    fn drop(&mut self) {
        if !self.fork.is_child() {
            self.held.iter().for_each(|file| drop(file.unlock()));
        }
    }
}

/// The second lock, and the end of changes elsewhere. There are file systems that lock no directories:
/// there is the first one alone.
#[cfg(unix)]
fn lock_directory(directory: &Directory) -> Result<Option<File>, LockError> {
    let path = directory.segments();
    let file = File::open(&path)?;
    let locked = match file.try_lock() {
        Ok(()) => Some(file.try_clone()?),
        Err(TryLockError::WouldBlock) => return Err(LockError::Held),
        Err(TryLockError::Error(_)) => None,
    };
    directory.io().stay_in(path, file);
    Ok(locked)
}

#[cfg(not(unix))]
fn lock_directory(_: &Directory) -> Result<Option<File>, LockError> {
    // A file that is open cannot be removed there.
    Ok(None)
}
