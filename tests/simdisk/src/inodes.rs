//! Files and directories as the system knows them, by handles that are kept open.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::names::{Entries, Inode, Names, reached_by_any};
use crate::stored::Stored;

/// Device and number: what the system tells files apart by.
type Identity = (u64, u64);

/// How often the tree is read when something has moved under the reader's eyes.
pub(crate) const TRIES: usize = 16;

/// What is known of one inode.
#[derive(Debug)]
pub(crate) struct Known {
    /// As long as it is open, the system cannot give its number to another file: who is found by
    /// that number is this one, whatever it is called, and even when it has no name any more.
    pub(crate) handle: File,
    identity: Identity,
    /// What of it is on the medium; none for a directory, whose names are kept elsewhere.
    pub(crate) stored: Option<Stored>,
}

/// All files and directories that have a name on the medium or now.
#[derive(Debug, Default)]
pub(crate) struct Inodes {
    known: BTreeMap<Inode, Known>,
    by_identity: BTreeMap<Identity, Inode>,
    next: u64,
}

impl Inodes {
    pub(crate) fn get(&self, inode: Inode) -> Option<&Known> {
        self.known.get(&inode)
    }

    /// The files, in the order in which they were found.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = (&File, &mut Stored)> {
        self.known.values_mut().filter_map(|known| Some((&known.handle, known.stored.as_mut()?)))
    }

    /// The files, with their numbers.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Inode, &File, &Stored)> {
        let files = self.known.iter();
        files.filter_map(|(inode, known)| Some((*inode, &known.handle, known.stored.as_ref()?)))
    }

    /// The inode with this identity.
    pub(crate) fn find(&self, metadata: &fs::Metadata) -> Option<Inode> {
        self.by_identity.get(&(metadata.dev(), metadata.ino())).copied()
    }

    /// A file with what is stored of it.
    pub(crate) fn file_mut(&mut self, inode: Inode) -> Option<(&File, &mut Stored)> {
        let known = self.known.get_mut(&inode)?;
        Some((&known.handle, known.stored.as_mut()?))
    }

    /// The inode that `path` leads to now; none if it is gone, or neither file nor directory.
    pub(crate) fn at(&mut self, path: &Path) -> io::Result<Option<Inode>> {
        let Some(metadata) = there(fs::symlink_metadata(path))? else { return Ok(None) };
        if !metadata.is_file() && !metadata.is_dir() {
            return Ok(None);
        }
        if let Some(inode) = self.find(&metadata) {
            return Ok(Some(inode));
        }
        // Never through a link, and never waiting for the other end of a FIFO.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let Some(handle) = there(options.open(path))? else { return Ok(None) };
        // The path may lead to another one by now.
        let metadata = handle.metadata()?;
        if let Some(inode) = self.find(&metadata) {
            return Ok(Some(inode));
        }
        let identity = (metadata.dev(), metadata.ino());
        let inode = Inode(self.next);
        self.next += 1;
        let stored = metadata.is_file().then(Stored::default);
        self.known.insert(inode, Known { handle, identity, stored });
        self.by_identity.insert(identity, inode);
        Ok(Some(inode))
    }

    /// The names in one directory now.
    pub(crate) fn entries(&mut self, directory: &Path) -> io::Result<Entries> {
        let mut entries = Entries::new();
        let Some(found) = there(fs::read_dir(directory))? else { return Ok(entries) };
        let names: io::Result<Vec<_>> = found.map(|entry| Ok(entry?.file_name())).collect();
        let mut names = names?;
        // In order, so that numbers are given in the same order in each run.
        names.sort_unstable();
        for name in names {
            if let Some(inode) = self.at(&directory.join(&name))? {
                entries.insert(name, inode);
            }
        }
        Ok(entries)
    }

    /// The names in all directories now; what is neither there nor on the medium is forgotten.
    pub(crate) fn scan(
        &mut self,
        path: &Path,
        root: Inode,
        medium: &mut Names,
    ) -> io::Result<Names> {
        let mut current = Names::default();
        for _ in 0..TRIES {
            current.0.clear();
            self.scan_directory(path, root, &mut current)?;
            if !self.has_missed(root, medium, &current)? {
                break;
            }
        }
        self.forget(root, medium, &current);
        Ok(current)
    }

    fn scan_directory(&mut self, path: &Path, inode: Inode, names: &mut Names) -> io::Result<()> {
        let entries = self.entries(path)?;
        names.0.insert(inode, entries.clone());
        for (name, inode) in entries {
            let is_directory = self.get(inode).is_some_and(|known| known.stored.is_none());
            if is_directory && !names.0.contains_key(&inode) {
                self.scan_directory(&path.join(name), inode, names)?;
            }
        }
        Ok(())
    }

    /// Whether a file was not found although it has a name. It was renamed meanwhile, from a place
    /// that was not yet read to one that was; or it has been moved elsewhere for good.
    fn has_missed(&self, root: Inode, medium: &Names, current: &Names) -> io::Result<bool> {
        let found = current.reached(root);
        for inode in medium.reached(root).keys().filter(|inode| !found.contains_key(inode)) {
            let Some(known) = self.get(*inode) else { continue };
            if known.stored.is_some() && known.handle.metadata()?.nlink() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn forget(&mut self, root: Inode, medium: &mut Names, current: &Names) {
        let named = reached_by_any(root, [&*medium, current]);
        let by_identity = &mut self.by_identity;
        self.known.retain(|inode, known| {
            let keep = named.contains(inode);
            if !keep {
                by_identity.remove(&known.identity);
                medium.0.remove(inode);
            }
            keep
        });
    }
}

/// None for what is not there.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}
