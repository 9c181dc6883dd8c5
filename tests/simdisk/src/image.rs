//! What a power cut may leave, as a value that can be written to a directory.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::content::{Content, PAGE};
use crate::counts::Counts;
use crate::names::Inode;

/// How many pages are written with one call at most.
const BATCH: usize = 256;

/// What a power cut may leave of a directory: made by [`SimDisk::crash`](crate::SimDisk::crash),
/// and independent of the disk from then on.
#[derive(Debug, Clone)]
pub struct CrashImage {
    /// Paths from the root, directories before what is in them.
    paths: Vec<(PathBuf, Inode)>,
    /// The files among them.
    contents: BTreeMap<Inode, Content>,
    counts: Counts,
}

impl CrashImage {
    pub(crate) fn new(
        paths: Vec<(PathBuf, Inode)>,
        contents: BTreeMap<Inode, Content>,
        counts: Counts,
    ) -> Self {
        Self { paths, contents, counts }
    }

    /// What became of all that was in flight.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The files in it, by their paths from the root; one with two names comes twice.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.paths.iter().filter(|(_, inode)| self.contents.contains_key(inode));
        files.map(|(path, _)| path.as_path())
    }

    /// The directories in it, by their paths from the root, each before those in it. The root is
    /// not among them.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let others = self.paths.iter().filter(|(_, inode)| !self.contents.contains_key(inode));
        others.map(|(path, _)| path.as_path())
    }

    fn content(&self, path: &Path) -> Option<&Content> {
        let (_, inode) = self.paths.iter().find(|(found, _)| found == path)?;
        self.contents.get(inode)
    }

    /// The length of the file at `path` from the root, in bytes; none if there is no such file.
    pub fn length(&self, path: impl AsRef<Path>) -> Option<u64> {
        Some(self.content(path.as_ref())?.length)
    }

    /// The bytes of the file at `path` from the root, all in memory; none if there is no such
    /// file, or it is longer than memory.
    pub fn read(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let content = self.content(path.as_ref())?;
        let mut bytes = vec![0; usize::try_from(content.length).ok()?];
        for (page, data) in content.pages(..) {
            let at = usize::try_from(*page).ok()? * PAGE;
            let count = PAGE.min(bytes.len() - at);
            bytes[at..at + count].copy_from_slice(&data[..count]);
        }
        Some(bytes)
    }

    /// Makes the files and directories of the image under `directory`, which is made if it is
    /// missing. Only pages with data are written, so that holes stay holes. A file with two names
    /// gets two links. Nothing is synced, and modes and times are those of new files.
    ///
    /// # Errors
    ///
    /// Those of the file system; [`AlreadyExists`](io::ErrorKind::AlreadyExists) when something in
    /// `directory` has the name of something in the image: nothing is overwritten.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut made: HashMap<Inode, PathBuf> = HashMap::new();
        for (path, inode) in &self.paths {
            let path = directory.join(path);
            match (self.contents.get(inode), made.get(inode)) {
                (None, _) => fs::create_dir(path)?,
                (Some(_), Some(first)) => fs::hard_link(first, path)?,
                (Some(content), None) => {
                    let mut options = OpenOptions::new();
                    let file = options.write(true).create_new(true).open(&path)?;
                    write(&file, content)?;
                    made.insert(*inode, path);
                }
            }
        }
        Ok(())
    }
}

fn write(mut file: &File, content: &Content) -> io::Result<()> {
    file.set_len(content.length)?;
    let mut pages = content.pages(..).peekable();
    while let Some((first, _)) = pages.peek() {
        let (first, mut end) = (**first, **first);
        let mut slices = Vec::with_capacity(BATCH);
        while slices.len() < BATCH
            && let Some((_, bytes)) = pages.next_if(|(page, _)| **page == end)
        {
            // The last page may reach beyond the end.
            let left = content.length.saturating_sub(end * PAGE as u64).min(PAGE as u64);
            slices.push(IoSlice::new(&bytes[..left as usize]));
            end += 1;
        }
        file.seek(SeekFrom::Start(first * PAGE as u64))?;
        write_all(file, &mut slices)?;
    }
    Ok(())
}

fn write_all(mut file: &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
