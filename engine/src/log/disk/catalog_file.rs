//! The catalog: written whole under another name, then renamed.

use std::io::{self, Read};
use std::path::PathBuf;

use super::directory::Directory;
use super::files::open_regular;
use super::temporary::Temporary;

/// The catalog's bytes, if there is one.
pub(crate) fn read_catalog(directory: &Directory) -> io::Result<Option<Vec<u8>>> {
    let mut file = match open_regular(&directory.catalog(), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A catalog that is whole and durable, but has another name. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct PreparedCatalog {
    temporary: Temporary,
    path: PathBuf,
}

/// Writes a catalog under another name: head, then entries, synced.
pub(crate) fn prepare_catalog(
    directory: &Directory,
    head: &[u8],
    entries: &[u8],
) -> io::Result<PreparedCatalog> {
    let (io, path) = (directory.io(), directory.catalog());
    let (temporary, file) = Temporary::create(io, path.with_extension("tmp"))?;
    io.write_at(&file, head, 0)?;
    io.write_at(&file, entries, head.len() as u64)?;
    io.sync_all(&file)?;
    Ok(PreparedCatalog { temporary, path })
}

impl PreparedCatalog {
    /// Gives the catalog its name. From then on it holds.
    pub(crate) fn install(self) -> io::Result<()> {
        self.temporary.rename(&self.path)
    }
}
