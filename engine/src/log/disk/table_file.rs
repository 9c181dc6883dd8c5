//! Stream tables: written whole under another name, then renamed. They are derived: one that is
//! missing or damaged is made anew.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use factlog_codec::{Catalog, CatalogEntry, SegmentId};

use super::directory::Directory;
use super::files::open_regular;
use super::observe::DiskIo;
use super::temporary::Temporary;

/// The bytes of the table behind a segment, if there is one.
pub(crate) fn read_table(directory: &Directory, id: SegmentId) -> io::Result<Option<Vec<u8>>> {
    let mut file = match open_regular(&directory.table(id), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Where that cannot be had, reading says so.
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).unwrap_or(());
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A stream table that is being written, entries first: the head has their checksum. Dropping it
/// removes what there is of it.
#[derive(Debug)]
pub(crate) struct TableFile<'a> {
    io: &'a DiskIo,
    file: File,
    temporary: Temporary,
    path: PathBuf,
    buffer: Vec<u8>,
    at: u64,
    checksum: crc32fast::Hasher,
}

/// Bytes that are written at once.
const CHUNK: usize = 1 << 18;

impl<'a> TableFile<'a> {
    /// Begins the table behind a segment.
    pub(crate) fn create(directory: &'a Directory, id: SegmentId) -> io::Result<Self> {
        let path = directory.table(id);
        let io = directory.io();
        let (temporary, file) = Temporary::create(io, path.with_extension("streams.tmp"))?;
        let (buffer, checksum) = (Vec::with_capacity(CHUNK + 1024), crc32fast::Hasher::new());
        Ok(Self { io, file, temporary, path, buffer, at: Catalog::LEN as u64, checksum })
    }

    /// Adds an entry.
    pub(crate) fn add(&mut self, entry: &CatalogEntry) -> io::Result<()> {
        entry.encode(&mut self.buffer);
        if self.buffer.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.checksum.update(&self.buffer);
        self.io.write_at(&self.file, &self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the head, syncs, and gives the table its name; how many bytes it has.
    pub(crate) fn finish(mut self, table: &Catalog) -> io::Result<u64> {
        self.write()?;
        let bytes = self.at - Catalog::LEN as u64;
        let head = table.encode_for(bytes, self.checksum.clone().finalize());
        self.io.write_at(&self.file, &head, 0)?;
        self.io.sync_all(&self.file)?;
        // Its name need not be durable: without it the segments behind an older one are walked.
        self.temporary.rename(&self.path)?;
        Ok(self.at)
    }
}

/// Removes tables below `keep`.
pub(crate) fn remove_tables_below(directory: &Directory, keep: SegmentId) -> io::Result<()> {
    for id in directory.list_tables()?.into_iter().filter(|id| *id < keep) {
        directory.io().remove_if_there(&directory.table(id))?;
    }
    Ok(())
}
