//! The disk: what is on the medium, and how it gets there.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::crash::{self, Medium};
use crate::fault::{Fault, Faults, Operation};
use crate::image::CrashImage;
use crate::inodes::{Inodes, TRIES};
use crate::names::{Between, Inode, Keep, Names};
use crate::present::Present;
use crate::random::chance;
use crate::stored::Stored;

/// A simulated disk under a real directory.
///
/// The directory is what the cache of the system holds: the code under test reads, writes and maps
/// real files there. The disk keeps, in memory, what the medium would hold, and is told of each
/// sync. It can be shared between threads; all calls but those for faults wait for each other.
///
/// One handle is kept open for each file and directory that has a name, now or on the medium.
/// Links and special files are passed over.
#[derive(Debug)]
pub struct SimDisk {
    state: Mutex<State>,
    /// On its own, so that counting does not wait for images.
    faults: Mutex<Faults>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    root: Inode,
    inodes: Inodes,
    /// The names on the medium.
    names: Names,
    /// Files are read through it.
    buffer: Vec<u8>,
}

/// What was left by a thread that panicked is whole: a call changes one thing after another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    /// A disk whose medium holds everything under `root` as it is now.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`NotADirectory`](io::ErrorKind::NotADirectory) when `root` is
    /// none.
    pub fn new(root: &Path) -> io::Result<Self> {
        let path = root.canonicalize()?;
        let mut inodes = Inodes::default();
        let root = inodes.at(&path)?.ok_or(io::ErrorKind::NotFound)?;
        if inodes.file_mut(root).is_some() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut state = State { path, root, inodes, names: Names::default(), buffer: Vec::new() };
        state.names = state.scan()?;
        for (handle, stored) in state.inodes.files_mut() {
            stored.sync(&Present::of(handle, &stored.content, &mut state.buffer)?);
        }
        Ok(Self { state: Mutex::new(state), faults: Mutex::default() })
    }

    /// The bytes and the length of `file` are on the medium now. Not its name.
    ///
    /// The file is known by its device and number, whatever it is called now. One that is not
    /// under the root is passed over.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn sync_file(&self, file: &File) -> io::Result<()> {
        lock(&self.state).with_file(file, |present, stored| stored.sync(present))
    }

    /// The names in the directory at `path` are on the medium as they are now: those of files, and
    /// of directories, but not what is in those.
    ///
    /// A file that came from, or went to, another directory is not lost by that: a rename is
    /// written as a whole, so its other name gets there as well if it would have none. A directory
    /// that is not under the root is passed over.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let metadata = fs::metadata(path)?;
        let mut state = lock(&self.state);
        let current = state.scan()?;
        let Some(synced) = state.inodes.find(&metadata) else { return Ok(()) };
        let mut between = Between::new(state.root, &state.names, &current);
        for change in &mut between.changes {
            change.taken = change.directory == synced;
        }
        state.names = between.settle(Keep::Current);
        Ok(())
    }

    /// `length` bytes at `offset` of `file` were written with a system call. Only
    /// [`failed_sync`](Self::failed_sync) needs to know: bytes that are written again as they were
    /// cannot be told from bytes that were not written.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn wrote(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let metadata = file.metadata()?;
        let mut state = lock(&self.state);
        if let Some(inode) = state.inodes.find(&metadata)
            && let Some((_, stored)) = state.inodes.file_mut(inode)
        {
            stored.wrote(offset, length);
        }
        Ok(())
    }

    /// A sync of `file` has failed, and the kernel did what Linux does: all pages that were dirty
    /// are taken for clean, though they are not on the medium. A later sync succeeds and does not
    /// bring them there, unless they were changed, or [written](Self::wrote) again, in between.
    ///
    /// The kernel does so by page or block, the disk by sector, which is worse. The length stays
    /// dirty. A power cut may still find old or new bytes in each of these sectors.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn failed_sync(&self, file: &File) -> io::Result<()> {
        lock(&self.state).with_file(file, |present, stored| stored.fail_sync(present))
    }

    /// The kernel writes back what it likes: each dirty sector, length and name reaches the medium
    /// with a probability of `share` (0 to 1). Without it, an image never shows a version between
    /// that of the last sync and the present one.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write_back(&self, random: &mut impl FnMut() -> u64, share: f64) -> io::Result<()> {
        let state = &mut *lock(&self.state);
        let current = state.scan()?;
        let mut between = Between::new(state.root, &state.names, &current);
        for change in &mut between.changes {
            change.taken = chance(random, share);
        }
        state.names = between.settle(Keep::Medium);
        for (handle, stored) in state.inodes.files_mut() {
            let present = Present::of(handle, &stored.content, &mut state.buffer)?;
            stored.write_back(&present, random, share);
        }
        Ok(())
    }

    /// What a power cut now may leave. The disk itself goes on unchanged: many images can be drawn
    /// of one moment.
    ///
    /// - Each sector in which the medium and the cache differ is old or new on its own; under
    ///   [`Medium::Weak`] it may also hold anything.
    /// - Each length is old or new on its own. What grew without data reads as zeros.
    /// - Each name that differs is old or new on its own: a new file is there or not, a removed
    ///   one is gone or not, one that was replaced is either. But what has a name on the medium
    ///   and in the cache keeps one: a rename loses nothing.
    ///
    /// How an image leans is drawn first: all old, all new, mostly so, evenly mixed, one sector
    /// unlike the rest, new up to some place, or one file wholly old and another wholly new.
    ///
    /// The same calls on the same files with the same numbers from `random` give the same image.
    /// It must not call the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn crash(
        &self,
        medium: Medium,
        random: &mut impl FnMut() -> u64,
    ) -> io::Result<CrashImage> {
        let state = &mut *lock(&self.state);
        let current = state.scan()?;
        let names = [&state.names, &current];
        crash::crash(&state.inodes, state.root, names, medium, random, &mut state.buffer)
    }

    /// To be called before each operation: counts it, and makes it fail if its turn has come.
    ///
    /// # Errors
    ///
    /// The one that was [injected](Self::inject), with an
    /// [`InjectedFault`](crate::InjectedFault) inside. The operation must not be done then.
    pub fn operation(&self, kind: Operation, path: &Path) -> io::Result<()> {
        lock(&self.faults).count(kind, path)
    }

    /// Makes an operation fail, in place of what was injected before.
    pub fn inject(&self, fault: Fault) {
        lock(&self.faults).set(Some(fault));
    }

    /// From now on no operation fails.
    pub fn heal(&self) {
        lock(&self.faults).set(None);
    }

    /// How many operations there were since the disk was made, those that failed included.
    pub fn operations(&self) -> u64 {
        lock(&self.faults).all()
    }

    /// How many there were of one kind.
    pub fn operations_of(&self, kind: Operation) -> u64 {
        lock(&self.faults).of(kind)
    }
}

impl State {
    fn scan(&mut self) -> io::Result<Names> {
        self.inodes.scan(&self.path, self.root, &mut self.names)
    }

    /// Calls `act` with the file as it is now and on the medium, if it is under the root.
    fn with_file(
        &mut self,
        file: &File,
        act: impl FnOnce(&Present, &mut Stored),
    ) -> io::Result<()> {
        let metadata = file.metadata()?;
        for _ in 0..TRIES {
            if self.inodes.find(&metadata).is_some() || file.metadata()?.nlink() == 0 {
                break;
            }
            // It was made since the tree was last read. If it is not found, it was renamed while
            // the tree was read, or is elsewhere.
            self.scan()?;
        }
        if let Some(inode) = self.inodes.find(&metadata)
            && let Some((handle, stored)) = self.inodes.file_mut(inode)
        {
            let present = Present::of(handle, &stored.content, &mut self.buffer)?;
            act(&present, stored);
        }
        Ok(())
    }
}
