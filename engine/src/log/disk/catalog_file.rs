//! The catalog: written whole under another name, then renamed.

use std::io::{self, Read};

use super::directory::Directory;
use super::files::open_regular;

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

/// Writes a catalog under another name: head, then entries, synced.
pub(crate) fn prepare_catalog(
    directory: &Directory,
    head: &[u8],
    entries: &[u8],
) -> io::Result<()> {
    let temporary = directory.catalog().with_extension("tmp");
    let io = directory.io();
    io.remove_if_there(&temporary)?;
    let file = io.create_new(&temporary)?;
    io.write_at(&file, head, 0)?;
    io.write_at(&file, entries, head.len() as u64)?;
    io.sync_all(&file)
}

/// Gives the catalog that was prepared its name. From then on it holds.
pub(crate) fn install_catalog(directory: &Directory) -> io::Result<()> {
    let path = directory.catalog();
    directory.io().rename(&path.with_extension("tmp"), &path)
}
