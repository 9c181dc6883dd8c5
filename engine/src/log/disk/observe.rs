//! What is done to files, one operation at a time, and who is told of it.
//!
//! Everything that changes a file or a name goes through [`DiskIo`]. An observer hears of each
//! operation before and after it, and may fail it: for tests that cut the power or fill the disk at
//! the n-th operation, and for those who measure.
//!
//! Names are found by their paths. Once a log is locked, nothing gets, changes or loses a name unless
//! the paths still lead into the directory that was locked: in its place may stand another log by now.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::sync::{Arc, OnceLock};

/// Something that is about to be done to a file or to a name, or was done.
///
/// Stores into a mapping are none: nobody is told of them.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum DiskOperation<'a> {
    /// A file is made that was not there.
    Create(&'a Path),
    /// A file gets blocks for this many bytes.
    Allocate(&'a File, u64),
    /// Bytes are written at an offset.
    Write(&'a File, u64, &'a [u8]),
    /// A file's bytes are made durable.
    Sync(&'a File),
    /// The names in a directory are made durable.
    SyncDirectory(&'a Path),
    /// A file gets another name: from, to.
    Rename(&'a Path, &'a Path),
    /// A name is removed.
    Remove(&'a Path),
    /// A file gets a further name: from, to.
    Link(&'a Path, &'a Path),
    /// A directory is made.
    MakeDirectory(&'a Path),
    /// An empty directory is removed.
    RemoveDirectory(&'a Path),
}

/// Is told of every operation that changes files of a log. See
/// [`Options::disk_observer`](crate::Options::disk_observer).
pub trait DiskObserver: Send + Sync {
    /// Before an operation. An error here is taken for that of the operation, which is not begun.
    ///
    /// # Errors
    ///
    /// Whatever the operation is to fail with.
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        let _ = operation;
        Ok(())
    }

    /// After an operation that succeeded.
    fn after(&self, operation: &DiskOperation<'_>) {
        let _ = operation;
    }
}

/// The way to the files, past the observer if there is one.
#[derive(Clone, Default)]
pub(crate) struct DiskIo {
    observer: Option<Arc<dyn DiskObserver>>,
    home: Arc<OnceLock<(PathBuf, File)>>,
}

impl fmt::Debug for DiskIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskIo").field("observed", &self.observer.is_some()).finish()
    }
}

impl DiskIo {
    pub(crate) fn new(observer: Option<Arc<dyn DiskObserver>>) -> Self {
        Self { observer, home: Arc::default() }
    }

    /// The same observer, for a directory of its own.
    pub(crate) fn elsewhere(&self) -> Self {
        Self::new(self.observer.clone())
    }

    /// From now on, names are changed only as long as `path` leads to `directory`.
    pub(crate) fn stay_in(&self, path: PathBuf, directory: File) {
        // Whoever is told twice has not been anywhere else meanwhile.
        drop(self.home.set((path, directory)));
    }

    /// Whether paths lead where they did when the log was locked.
    pub(crate) fn check_home(&self) -> io::Result<()> {
        let Some((path, directory)) = self.home.get() else { return Ok(()) };
        match fs::metadata(path) {
            Ok(named) if files::same_file(&named, &directory.metadata()?) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the directory of the log was moved away or replaced while it was open",
            )),
        }
    }

    #[inline]
    fn run<T>(
        &self,
        operation: &DiskOperation<'_>,
        run: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(observer) = &self.observer else { return run() };
        observer.before(operation)?;
        let done = run()?;
        observer.after(operation);
        Ok(done)
    }

    /// Makes a file that was not there.
    pub(crate) fn create_new(&self, path: &Path) -> io::Result<File> {
        self.check_home()?;
        self.run(&DiskOperation::Create(path), || files::create_new(path))
    }

    /// Writes all of `bytes` at `offset`.
    #[inline]
    pub(crate) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let operation = DiskOperation::Write(file, offset, bytes);
        self.run(&operation, || files::write_all_at(file, bytes, offset))
    }

    /// Makes a file's bytes durable, and what is needed to find them.
    #[inline]
    pub(crate) fn sync_data(&self, file: &File) -> io::Result<()> {
        self.run(&DiskOperation::Sync(file), || file.sync_data())
    }

    /// Makes a file durable with all that is known of it.
    pub(crate) fn sync_all(&self, file: &File) -> io::Result<()> {
        self.run(&DiskOperation::Sync(file), || file.sync_all())
    }

    /// Makes the names in a directory durable.
    pub(crate) fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.run(&DiskOperation::SyncDirectory(path), || files::sync_directory(path))
    }

    /// Gives a file another name; one that has it already is gone.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_home()?;
        self.run(&DiskOperation::Rename(from, to), || fs::rename(from, to))
    }

    /// Removes a file that is there.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.check_home()?;
        self.run(&DiskOperation::Remove(path), || fs::remove_file(path))
    }

    /// Removes a file, which need not be there.
    pub(crate) fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        match self.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives a file a further name.
    pub(crate) fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_home()?;
        self.run(&DiskOperation::Link(from, to), || fs::hard_link(from, to))
    }

    /// Makes a directory that only its owner may look into, if it is missing.
    pub(crate) fn make_directory(&self, path: &Path, parents: bool) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let operation = DiskOperation::MakeDirectory(path);
        self.run(&operation, || files::make_private(path, parents))
    }

    /// Removes a directory that has nothing in it.
    pub(crate) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.check_home()?;
        self.run(&DiskOperation::RemoveDirectory(path), || fs::remove_dir(path))
    }

    /// Gives `file` real blocks for `len` bytes of zeros.
    pub(crate) fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        self.run(&DiskOperation::Allocate(file, len), || files::allocate(file, len))
    }

    /// Fills the holes of a file that is to be written with real blocks: a copy may have some, and
    /// a store into one on a full disk is a signal. No byte changes.
    pub(crate) fn fill_holes(&self, file: &File, len: u64) -> io::Result<()> {
        self.run(&DiskOperation::Allocate(file, len), || files::fill_holes(file, len))
    }
}
