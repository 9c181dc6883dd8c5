//! Files and directories as the operating system has them: opening only what is a regular file,
//! reading, writing, allocating. Whoever changes something goes through `observe`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

pub(super) fn make_private(path: &Path, parents: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows has no such call; its directory entries are journalled.
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(path)?.sync_all() {
        // A file system that has no such call for directories keeps them in its own way.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Opens `path` if it is a regular file and no link; never waits on a FIFO.
pub(crate) fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    open_checked(path, &mut options)
}

/// Makes a file that was not there.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    open_checked(path, &mut options)
}

pub(crate) fn open_checked(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    Ok(file)
}

/// Whether the file has more than one name.
pub(crate) fn has_other_names(file: &File) -> io::Result<bool> {
    Ok(names(&file.metadata()?) > 1)
}

#[cfg(unix)]
fn names(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(found)
}

#[cfg(not(unix))]
fn names(_: &fs::Metadata) -> u64 {
    1
}

/// Whether these are of one file.
#[cfg(unix)]
pub(crate) fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    one.dev() == other.dev() && one.ino() == other.ino()
}

#[cfg(not(unix))]
pub(crate) fn same_file(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    // A file that is open cannot be removed there.
    true
}

/// Reads up to `bytes.len()` bytes at `offset`; how many there were.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        #[cfg(unix)]
        let read =
            std::os::unix::fs::FileExt::read_at(file, &mut bytes[done..], offset + done as u64);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(
            file,
            &mut bytes[done..],
            offset + done as u64,
        );
        match read {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Has reads of a file bring into memory what they ask for and nothing more. Linux takes space that
/// was only allocated for data once its pages are in memory: reading ahead would turn holes into
/// what has to be read.
#[cfg(target_os = "linux")]
pub(crate) fn read_no_further(file: &File) {
    // Only advice: without it there is more to read.
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_no_further(_: &File) {}

#[cfg(target_os = "linux")]
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(file, len),
        done => Ok(done?),
    }
}

#[cfg(target_os = "linux")]
pub(super) fn fill_holes(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        // XFS asks for space even where there is nothing to fill.
        Err(error @ (rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)) => {
            use std::os::unix::fs::MetadataExt;
            // In units of 512 bytes, whatever the file system's own are.
            let allocated = file.metadata()?.blocks().saturating_mul(512);
            if allocated >= len { Ok(()) } else { Err(error.into()) }
        }
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn allocate(file: &File, len: u64) -> io::Result<()> {
    write_zeros(file, len)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn fill_holes(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}

fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < len {
        let chunk = (zeros.len() as u64).min(len - offset);
        write_all_at(file, zeros.get(..chunk as usize).unwrap_or(&zeros), offset)?;
        offset += chunk;
    }
    Ok(())
}

pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(windows)]
    {
        let (mut bytes, mut offset) = (bytes, offset);
        while !bytes.is_empty() {
            let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
            offset += written as u64;
        }
        Ok(())
    }
}
