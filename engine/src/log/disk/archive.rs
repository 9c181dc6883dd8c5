//! Putting a file aside: by another name where that can be had, else by a copy.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::directory::{make_folder, settle_name};
use super::files::open_regular;
use super::observe::DiskIo;

/// Makes a folder to put files into, if it is missing. Its name is durable afterwards.
pub(crate) fn prepare_archive(disk: &DiskIo, folder: &Path) -> io::Result<()> {
    make_folder(disk, folder)?;
    settle_name(disk, folder)
}

/// Puts the file at `path` into `folder`, under its own name. Doing it again is no error.
pub(crate) fn archive_file(disk: &DiskIo, path: &Path, folder: &Path) -> io::Result<()> {
    let target = folder.join(path.file_name().unwrap_or_default());
    match disk.hard_link(path, &target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if same_bytes(path, &target)? {
                return Ok(());
            }
            let text = format!("{} is there already, and is another file", target.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        }
        // Another file system, or one without links.
        Err(_) => copy_file(disk, path, &target),
    }
}

/// Copies a file, so that the copy is there whole or not at all, and durable.
pub(crate) fn copy_file(disk: &DiskIo, path: &Path, target: &Path) -> io::Result<()> {
    make(disk, target, |to| {
        let mut from = open_regular(path, false)?;
        io::copy(&mut from, to).map(drop)
    })
}

/// Copies a segment of `size` bytes up to `end`: what is behind that is zero in the copy.
pub(crate) fn copy_segment(
    disk: &DiskIo,
    path: &Path,
    target: &Path,
    end: u32,
    size: u64,
) -> io::Result<()> {
    make(disk, target, |to| {
        let from = open_regular(path, false)?;
        let copied = io::copy(&mut from.take(u64::from(end)), to)?;
        if copied < u64::from(end) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.set_len(size)
    })
}

/// Makes a file: it is there whole and durable, or not at all.
fn make(
    disk: &DiskIo,
    target: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = target.with_extension("tmp");
    disk.remove_if_there(&temporary)?;
    let write = || {
        let mut file = disk.create_new(&temporary)?;
        fill(&mut file)?;
        disk.sync_all(&file)?;
        disk.rename(&temporary, target)
    };
    if let Err(error) = write() {
        // It means nothing under that name, so its removal may fail.
        drop(disk.remove(&temporary));
        return Err(error);
    }
    target.parent().map_or(Ok(()), |parent| disk.sync_directory(parent))
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (open_regular(one, false)?, open_regular(other, false)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = fill(&mut one, &mut left)?;
        if fill(&mut other, &mut right)? != read || left[..read] != right[..read] {
            return Ok(false);
        }
        if read < left.len() {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full, or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
