//! The catalog: written whole under another name, then renamed.

use std::fs;
use std::io::{self, Read};

use super::directory::{Directory, create_new, open_regular};
use super::segment_file::write_at;

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
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = create_new(&temporary)?;
    write_at(&file, head, 0)?;
    write_at(&file, entries, head.len() as u64)?;
    file.sync_all()
}

/// Gives the catalog that was prepared its name. From then on it holds.
pub(crate) fn install_catalog(directory: &Directory) -> io::Result<()> {
    let path = directory.catalog();
    fs::rename(path.with_extension("tmp"), path)
}
