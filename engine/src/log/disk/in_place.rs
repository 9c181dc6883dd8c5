//! Is a file that is written still where it was, whole, and under one name?

use std::fs::File;
use std::io;
use std::path::Path;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    len: u64,
    names: u64,
    /// Device and number, where files have them.
    id: (u64, u64),
}

/// Looks whether a file that is written still has its name and its length: what was written to it
/// would not be found again, or not all of it. Gives what it found.
pub(crate) fn check_in_place(file: &File, path: &Path, len: u64) -> io::Result<Found> {
    let found = of_file(file)?;
    if found.len < len {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("somebody has cut the file to {} bytes of {len}", found.len),
        ));
    }
    match of_path(path) {
        Ok(named) if found.id == named.id => Ok(found),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "somebody has put another file in the place of the one that is written",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "somebody has removed or renamed the file while it was written",
        )),
        Err(error) => Err(error),
    }
}

/// Looks whether a file that is written has one name only: under another one somebody keeps it as
/// it was.
pub(crate) fn check_one_name(found: &Found) -> io::Result<()> {
    if found.names > 1 {
        return Err(io::Error::new(
            io::ErrorKind::TooManyLinks,
            "somebody has given the file that is written a second name (a hard link), and what has \
             two names is not written; opened anew, the log goes on in another file",
        ));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn of_file(file: &File) -> io::Result<Found> {
    use rustix::fs::AtFlags;
    asked(file, c"", AtFlags::EMPTY_PATH).unwrap_or_else(|| file.metadata().map(Found::from))
}

#[cfg(target_os = "linux")]
fn of_path(path: &Path) -> io::Result<Found> {
    use rustix::fs::{AtFlags, CWD};
    let asked = asked(CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    asked.unwrap_or_else(|| path.symlink_metadata().map(Found::from))
}

/// Nothing is asked about times: who has been told the time of a file has the next write note a new
/// one, in a transaction of the file system of its own, which made a commit of 8 KiB a fifth longer.
/// `None` where the kernel does not know the question.
#[cfg(target_os = "linux")]
fn asked(
    at: impl std::os::fd::AsFd,
    path: impl rustix::path::Arg,
    flags: rustix::fs::AtFlags,
) -> Option<io::Result<Found>> {
    use rustix::fs::{StatxFlags, statx};
    let mask = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::NLINK | StatxFlags::INO;
    match statx(at, path, flags, mask) {
        Ok(found) => Some(Ok(Found {
            len: found.stx_size,
            names: u64::from(found.stx_nlink),
            id: (
                u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor),
                found.stx_ino,
            ),
        })),
        Err(rustix::io::Errno::NOSYS) => None,
        Err(error) => Some(Err(error.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn of_file(file: &File) -> io::Result<Found> {
    file.metadata().map(Found::from)
}

#[cfg(not(target_os = "linux"))]
fn of_path(path: &Path) -> io::Result<Found> {
    path.symlink_metadata().map(Found::from)
}

impl From<std::fs::Metadata> for Found {
    #[cfg(unix)]
    fn from(found: std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { len: found.len(), names: found.nlink(), id: (found.dev(), found.ino()) }
    }

    /// A file that is open cannot be removed there.
    #[cfg(not(unix))]
    fn from(found: std::fs::Metadata) -> Self {
        Self { len: found.len(), names: 1, id: (0, 0) }
    }
}
