//! The directory of a log: its names, and how files in it are opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use factlog_codec::{CursorName, SegmentId, Sequence};

use super::observe::DiskIo;

/// The directory of a log. All names in it are made here; none is taken from a file.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
    io: DiskIo,
}

impl Directory {
    /// The process may go on in another directory: a relative path is taken from where it is now.
    pub(crate) fn new(root: &Path, io: DiskIo) -> Self {
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf()), io }
    }

    /// The way to its files.
    #[inline]
    pub(crate) fn io(&self) -> &DiskIo {
        &self.io
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("seg")
    }
    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }
    pub(crate) fn catalog(&self) -> PathBuf {
        self.root.join("CATALOG")
    }
    pub(crate) fn cursors(&self) -> PathBuf {
        self.root.join("cursors")
    }
    pub(crate) fn cursor(&self, name: &CursorName) -> PathBuf {
        self.cursors().join(name.as_str())
    }
    pub(crate) fn manifest(&self, slot: usize) -> PathBuf {
        self.root.join(if slot == 0 { "MANIFEST-a" } else { "MANIFEST-b" })
    }
    pub(crate) fn segment(&self, id: SegmentId) -> PathBuf {
        self.segments().join(format!("{:010}.log", id.get()))
    }

    /// The stream table as of the end of a segment.
    pub(crate) fn table(&self, id: SegmentId) -> PathBuf {
        self.segments().join(format!("{:010}.streams", id.get()))
    }

    /// The index of a segment by correlation.
    pub(crate) fn postings(&self, id: SegmentId) -> PathBuf {
        self.segments().join(format!("{:010}.idx", id.get()))
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    /// The snapshot as of an event.
    pub(crate) fn snapshot(&self, sequence: Sequence) -> PathBuf {
        self.snapshots().join(format!("{:020}.img", sequence.get()))
    }

    /// Makes the directory and those in it, if they are missing.
    pub(crate) fn create(&self) -> io::Result<()> {
        make_folder(&self.io, &self.root)?;
        self.io.make_directory(&self.segments(), false)?;
        // Also what a recovery would need on a full disk.
        self.io.make_directory(&self.quarantine(), false)
    }

    /// Makes all names in the directory durable, and its own: also those that an earlier process
    /// was killed over before it could.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        self.io.sync_directory(&self.segments())?;
        self.io.sync_directory(&self.root)?;
        settle_name(&self.io, &self.root)
    }

    /// The segments that are there, in order, and the files that were being prepared.
    pub(crate) fn list(&self) -> io::Result<(Vec<SegmentId>, Vec<PathBuf>)> {
        let (mut segments, mut temporary) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(self.segments()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((segments, temporary));
            }
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if let Some(number) = segment_number(name) {
                segments.push(SegmentId::new(number));
            } else if name.ends_with(".tmp") {
                temporary.push(path);
            }
        }
        segments.sort_unstable();
        Ok((segments, temporary))
    }

    /// The segments behind which a stream table stands, in order.
    pub(crate) fn list_tables(&self) -> io::Result<Vec<SegmentId>> {
        self.list_beside(".streams")
    }

    /// The segments that have an index by correlation, in order.
    pub(crate) fn list_postings(&self) -> io::Result<Vec<SegmentId>> {
        self.list_beside(".idx")
    }

    fn list_beside(&self, suffix: &str) -> io::Result<Vec<SegmentId>> {
        let mut tables = Vec::new();
        for entry in fs::read_dir(self.segments())? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| number_before(name, suffix));
            tables.extend(number.map(SegmentId::new));
        }
        tables.sort_unstable();
        Ok(tables)
    }

    /// Takes a file out of the way, and gives its new name.
    pub(crate) fn move_to_quarantine(&self, path: &Path, prefix: &str) -> io::Result<PathBuf> {
        let quarantine = self.quarantine();
        if !quarantine.is_dir() {
            self.io.make_directory(&quarantine, false)?;
            self.io.sync_directory(&self.root)?;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
        let mut target = quarantine.join(format!("{prefix}-{name}"));
        for again in 1.. {
            if fs::symlink_metadata(&target).is_err() {
                break;
            }
            target = quarantine.join(format!("{prefix}-{again}-{name}"));
        }
        self.io.rename(path, &target)?;
        self.io.sync_directory(&quarantine)?;
        self.io.sync_directory(&self.segments())?;
        Ok(target)
    }
}

/// Makes a folder and those above it that are missing, from the outermost on, each durable before
/// there is anything in it.
pub(crate) fn make_folder(disk: &DiskIo, path: &Path) -> io::Result<()> {
    // The process may go on in another directory.
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.is_dir()).collect();
    // Whoever was interrupted here may have left one whose name is not durable.
    if let Some(there) = missing.last().and_then(|path| path.parent()) {
        settle_name(disk, there)?;
    }
    for path in missing.into_iter().rev() {
        disk.make_directory(path, false)?;
        sync_parent(disk, path)?;
    }
    Ok(())
}

/// Makes the name of a folder durable that may be there for long, in one that may be somebody
/// else's, who may not let it be looked at.
pub(crate) fn settle_name(disk: &DiskIo, path: &Path) -> io::Result<()> {
    match sync_parent(disk, path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

/// Makes the name of `path` durable.
fn sync_parent(disk: &DiskIo, path: &Path) -> io::Result<()> {
    match path.parent() {
        None => Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => disk.sync_directory(".".as_ref()),
        Some(parent) => disk.sync_directory(parent),
    }
}

/// The number in `NNNNNNNNNN.log`, if the name is exactly such.
fn segment_number(name: &str) -> Option<u32> {
    number_before(name, ".log")
}

fn number_before(name: &str, ending: &str) -> Option<u32> {
    let digits = name.strip_suffix(ending)?;
    if digits.len() != 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::segment_number;

    /// Only names that the engine makes are taken for segments.
    #[test]
    fn are_only_exact_names_taken() {
        assert_eq!(segment_number("0000000001.log"), Some(1));
        assert_eq!(segment_number("4294967295.log"), Some(u32::MAX));
        for name in [
            "0000000000.log",
            "1.log",
            "+000000001.log",
            "4294967296.log",
            "0000000001.tmp",
            ".log",
        ] {
            assert_eq!(segment_number(name), None, "{name}");
        }
    }
}
