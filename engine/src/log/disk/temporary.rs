//! A file that is written whole under another name, and gets its own when it is whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::observe::DiskIo;

/// A name that means nothing yet. Dropping it removes the file, unless that was given its own name:
/// on a disk that is full nothing shall stay of what failed for want of space.
#[derive(Debug)]
pub(super) struct Temporary {
    io: DiskIo,
    path: PathBuf,
    named: bool,
}

impl Temporary {
    /// Begins the file; one that was left there is gone.
    pub(super) fn create(io: &DiskIo, path: PathBuf) -> io::Result<(Self, File)> {
        io.remove_if_there(&path)?;
        let file = io.create_new(&path)?;
        Ok((Self { io: io.clone(), path, named: false }, file))
    }

    /// Gives the file its own name; one that has it already is gone.
    pub(super) fn rename(mut self, to: &Path) -> io::Result<()> {
        self.io.rename(&self.path, to)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            drop(self.io.remove(&self.path));
        }
    }
}
