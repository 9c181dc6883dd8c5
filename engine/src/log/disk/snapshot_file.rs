//! Snapshots: written whole under another name, then renamed. They are derived: without one the
//! log is folded from its beginning.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use factlog_codec::Sequence;

use super::directory::Directory;
use super::files::open_regular;

/// The snapshots that are there, the newest first.
pub(in crate::log) fn list_snapshots(directory: &Directory) -> io::Result<Vec<Sequence>> {
    let entries = match fs::read_dir(directory.snapshots()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(sequence_of));
    }
    found.sort_unstable_by(|one: &Sequence, other| other.cmp(one));
    Ok(found)
}

/// The sequence in `NNNNNNNNNNNNNNNNNNNN.img`, if the name is exactly such.
fn sequence_of(name: &str) -> Option<Sequence> {
    let digits = name.strip_suffix(".img")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Sequence::new)
}

/// Opens a snapshot; its length.
pub(in crate::log) fn open_snapshot(
    directory: &Directory,
    sequence: Sequence,
) -> io::Result<(File, u64)> {
    let file = open_regular(&directory.snapshot(sequence), false)?;
    let len = file.metadata()?.len();
    Ok((file, len))
}

/// Removes a snapshot.
pub(in crate::log) fn remove_snapshot(directory: &Directory, sequence: Sequence) -> io::Result<()> {
    directory.io().remove_if_there(&directory.snapshot(sequence))
}

/// A snapshot that is being written. Dropping it removes what there is of it.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    directory: Directory,
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    at: u64,
    finished: bool,
}

impl SnapshotFile {
    /// Begins the snapshot as of `sequence`. Bytes go behind a header of `header` bytes.
    pub(in crate::log) fn create(
        directory: &Directory,
        sequence: Sequence,
        header: usize,
    ) -> io::Result<Self> {
        let (io, folder) = (directory.io(), directory.snapshots());
        if !folder.is_dir() {
            io.make_directory(&folder, false)?;
            io.sync_directory(directory.root())?;
        }
        let path = directory.snapshot(sequence);
        let temporary = path.with_extension("tmp");
        io.remove_if_there(&temporary)?;
        let file = io.create_new(&temporary)?;
        let directory = directory.clone();
        Ok(Self { directory, file, temporary, path, at: header as u64, finished: false })
    }

    /// Where the next bytes go.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.directory.io().write_at(&self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was written so far durable, so that the last sync has little to do.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.directory.io().sync_data(&self.file)
    }

    /// Writes the header, makes it all durable, and gives the file its name.
    pub(crate) fn finish(mut self, header: &[u8]) -> io::Result<u64> {
        let io = self.directory.io();
        io.write_at(&self.file, header, 0)?;
        io.sync_all(&self.file)?;
        io.rename(&self.temporary, &self.path)?;
        self.finished = true;
        io.sync_directory(&self.directory.snapshots())?;
        Ok(self.at)
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if !self.finished {
            // It means nothing under that name.
            drop(self.directory.io().remove(&self.temporary));
        }
    }
}

/// Removes what earlier processes have begun and not finished.
pub(in crate::log) fn remove_unfinished(directory: &Directory) -> io::Result<()> {
    let entries = match fs::read_dir(directory.snapshots()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let ours = stem.is_some_and(|stem| sequence_of(&format!("{stem}.img")).is_some());
        if ours && path.extension().is_some_and(|extension| extension == "tmp") {
            directory.io().remove_if_there(&path)?;
        }
    }
    Ok(())
}
