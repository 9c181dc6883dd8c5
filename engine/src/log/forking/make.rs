//! A fork is made under another name, and gets its own when all of it is durable.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use factlog_codec::SegmentId;

use super::error::ForkError;
use super::fork::Forked;
use super::plan::{Part, Plan};
use crate::log::disk::{
    Directory, DiskIo, Lock, LockError, PreparedCatalog, Slots, copy_file, copy_segment,
    list_snapshots, prepare_catalog,
};
use crate::log::fault::IoError;
use crate::log::shared::Shared;

/// A fork that is being made. Dropped before it is whole, it leaves nothing if it can help it.
pub(super) struct Making {
    /// Where it is to be.
    target: PathBuf,
    /// Where it is being made.
    directory: Directory,
    /// Nobody else makes it.
    _lock: Lock,
    whole: bool,
}

impl Making {
    /// Takes the place where it is made, and clears away what a crash has left there.
    pub(super) fn begin(target: &Path, disk: &DiskIo) -> Result<Self, ForkError> {
        // The process may go on in another directory.
        let target = &std::path::absolute(target).unwrap_or_else(|_| target.to_path_buf());
        let name = target.file_name().ok_or_else(|| ForkError::NoName(target.to_path_buf()))?;
        if !is_free(target).map_err(|source| IoError::new("look at", target, source))? {
            return Err(ForkError::NotEmpty(target.to_path_buf()));
        }
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".forking");
        let directory = Directory::new(&target.with_file_name(hidden), disk.elsewhere());
        let root = directory.root();
        if let Err(source) = directory.create() {
            let error = IoError::new("make the directory", root, source);
            remove_folders(&directory);
            return Err(error.into());
        }
        let lock = Lock::take(&directory).map_err(|error| match error {
            LockError::Held => ForkError::Busy(root.to_path_buf()),
            LockError::Io(source) => IoError::new("lock", directory.lock(), source).into(),
        })?;
        let making = Self { target: target.to_path_buf(), directory, _lock: lock, whole: false };
        making.clear().map_err(|source| IoError::new("clear", making.directory.root(), source))?;
        Ok(making)
    }

    /// Puts everything into its place, and gives it its name.
    pub(super) fn make(
        mut self,
        origin: &Shared,
        plan: &Plan,
        copies: bool,
    ) -> Result<Forked, ForkError> {
        let mut forked = Forked {
            directory: self.target.clone(),
            log: plan.manifest.log,
            last: plan.last,
            linked: 0,
            copied: 0,
            copied_bytes: 0,
            snapshots: 0,
        };
        for part in &plan.parts {
            self.part(origin, *part, copies, &mut forked)?;
        }
        let root = self.directory.root().to_path_buf();
        let io = |action| move |source| IoError::new(action, &root, source);
        let last = plan.manifest.checkpoint.segment(origin.bits);
        self.derived(origin, plan, last, &mut forked).map_err(io("link snapshots into"))?;
        let root = self.directory.root();
        let io = |action| move |source| IoError::new(action, root, source);
        let disk = self.directory.io();
        disk.sync_directory(&self.directory.segments()).map_err(io("make durable the names in"))?;
        if let Some((head, entries)) = &plan.catalog {
            prepare_catalog(&self.directory, head, entries)
                .and_then(PreparedCatalog::install)
                .map_err(io("write the catalog of"))?;
        }
        let slots = Slots::read(&self.directory).map_err(io("read the manifest in"))?;
        let (mut slots, mut manifest) = (slots.writer(&self.directory), plan.manifest.clone());
        // Both slots: on a full disk there may be no space for one later.
        while !slots.is_whole() {
            slots.write(&manifest).map_err(io("write a manifest in"))?;
            manifest.generation += 1;
        }
        disk.sync_directory(root).map_err(io("make durable the names in"))?;
        disk.rename(root, &self.target).map_err(io("give its name to"))?;
        self.whole = true;
        // From here on it is there, whether or not its name is durable.
        let parent = parent_of(&self.target);
        disk.sync_directory(parent)
            .map_err(|source| IoError::new("make durable the names in", parent, source))?;
        Ok(forked)
    }

    /// One segment: by a further name if that can be had, else by a copy of what is taken.
    fn part(
        &self,
        origin: &Shared,
        part: Part,
        copies: bool,
        forked: &mut Forked,
    ) -> Result<(), ForkError> {
        let (from, to) = (origin.directory.segment(part.id), self.directory.segment(part.id));
        let disk = self.directory.io();
        if part.at_rest {
            match disk.hard_link(&from, &to) {
                Ok(()) => {
                    forked.linked += 1;
                    return Ok(());
                }
                Err(source) if !has_no_links(&source) => {
                    return Err(IoError::new("link the segment", from, source).into());
                }
                Err(source) if !copies => {
                    return Err(ForkError::NoLink(IoError::new("link the segment", from, source)));
                }
                Err(_) => {}
            }
        }
        let size = 1 << origin.bits;
        let copied = if part.at_rest && part.whole {
            forked.copied_bytes += size;
            copy_file(disk, &from, &to)
        } else {
            forked.copied_bytes += u64::from(part.end);
            copy_segment(disk, &from, &to, part.end, size)
        };
        copied.map_err(|source| IoError::new("copy the segment", from, source))?;
        forked.copied += 1;
        Ok(())
    }

    /// What need not be there, and makes opening quick: the newest stream table, snapshots. What cannot
    /// be linked is left.
    fn derived(
        &self,
        origin: &Shared,
        plan: &Plan,
        last: SegmentId,
        forked: &mut Forked,
    ) -> io::Result<()> {
        let disk = self.directory.io();
        let tables = origin.directory.list_tables().unwrap_or_default();
        let here = |id: &SegmentId| *id < last && *id >= plan.manifest.floor;
        if let Some(id) = tables.into_iter().rev().find(here) {
            drop(disk.hard_link(&origin.directory.table(id), &self.directory.table(id)));
        }
        let snapshots = list_snapshots(&origin.directory).unwrap_or_default();
        let mut wanted = snapshots.into_iter().filter(|of| *of <= plan.last).peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let folder = self.directory.snapshots();
        disk.make_directory(&folder, false)?;
        for of in wanted {
            let linked =
                disk.hard_link(&origin.directory.snapshot(of), &self.directory.snapshot(of));
            forked.snapshots += u32::from(linked.is_ok());
        }
        disk.sync_directory(&folder)
    }

    /// Removes every file of a log where it is made; what else there is, is somebody else's.
    fn clear(&self) -> io::Result<()> {
        let (root, disk) = (self.directory.root(), self.directory.io());
        let of_a_log = |path: &Path| {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            ["log", "streams", "img", "tmp"].contains(&ending)
                || ["MANIFEST-a", "MANIFEST-b", "CATALOG"].contains(&name)
        };
        for folder in [root.to_path_buf(), self.directory.segments(), self.directory.snapshots()] {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                if of_a_log(&path) && !path.is_dir() {
                    disk.remove_if_there(&path)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.whole {
            return;
        }
        // It means nothing under that name: what cannot be removed is no harm.
        drop(self.clear());
        drop(self.directory.io().remove_if_there(&self.directory.lock()));
        remove_folders(&self.directory);
    }
}

/// Removes the folders of a log that have nothing in them.
fn remove_folders(directory: &Directory) {
    // What was locked may go.
    let disk = directory.io().elsewhere();
    for folder in [directory.segments(), directory.quarantine(), directory.snapshots()] {
        drop(disk.remove_directory(&folder));
    }
    drop(disk.remove_directory(directory.root()));
}

/// Whether nothing is there, or an empty folder.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(known) if known.is_dir() => Ok(fs::read_dir(path)?.next().is_none()),
        Ok(_) => Ok(false),
    }
}

/// Whether a copy can help: there are no links there, or not that many.
fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
