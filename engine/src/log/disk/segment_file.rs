//! Segment files: preparing one, and reading one whole.

use std::fs::{self, File};
use std::io;

use factlog_codec::layout::segment_size;
use factlog_codec::{SegmentHeader, all_zero};

use super::directory::{Directory, create_new, open_regular, sync_directory};

/// Makes a segment: real blocks, a header, a name, all durable.
///
/// Nothing of it is left if there is no space.
pub(crate) fn create_prepared(directory: &Directory, header: &SegmentHeader) -> io::Result<File> {
    let path = directory.segment(header.segment);
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = create_new(&temporary)?;
    let filled = fill(&file, header).and_then(|()| fs::rename(&temporary, &path));
    if let Err(error) = filled {
        // The file is of no meaning; that it stays is no harm, so its removal may fail.
        drop(fs::remove_file(&temporary));
        return Err(error);
    }
    sync_directory(&directory.segments())?;
    Ok(file)
}

fn fill(file: &File, header: &SegmentHeader) -> io::Result<()> {
    allocate(file, segment_size(header.bits))?;
    write_at(file, &header.encode(), 0)?;
    file.sync_all()
}

/// Gives `file` real blocks for `len` bytes of zeros.
#[cfg(target_os = "linux")]
fn allocate(file: &File, len: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, len as u64) {
        Err(rustix::io::Errno::OPNOTSUPP) => write_zeros(file, len),
        done => Ok(done?),
    }
}

/// Fills the holes of a segment that is to be written with real blocks: a copy may have some, and
/// a store into one on a full disk is a signal. No byte changes.
#[cfg(target_os = "linux")]
pub(crate) fn fill_holes(file: &File, len: usize) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, len as u64) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn fill_holes(_: &File, _: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, len: usize) -> io::Result<()> {
    write_zeros(file, len)
}

fn write_zeros(file: &File, len: usize) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < len {
        let chunk = zeros.len().min(len - offset);
        write_at(file, &zeros[..chunk], offset as u64)?;
        offset += chunk;
    }
    Ok(())
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
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

/// A segment's bytes, copied out: nothing that happens to the file can change them.
///
/// One buffer serves for many segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentBytes {
    bytes: Vec<u8>,
    /// Behind this everything is zero, and known to be without looking.
    data_end: usize,
    /// How long the file is.
    pub(crate) file_len: u64,
}

impl SegmentBytes {
    pub(crate) fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether everything from `offset` on is zero.
    pub(crate) fn zero_from(&self, offset: usize) -> bool {
        self.bytes.get(offset..self.data_end.max(offset)).is_none_or(all_zero)
    }
}

/// Reads the whole segment at `path`, up to `len` bytes; what the file lacks of them is missing.
///
/// Holes are not read: a prepared segment costs next to nothing.
pub(crate) fn read_segment(
    directory: &Directory,
    id: factlog_codec::SegmentId,
    len: usize,
    into: &mut SegmentBytes,
) -> io::Result<()> {
    let file = open_regular(&directory.segment(id), false)?;
    into.file_len = file.metadata()?.len();
    let len = usize::try_from(into.file_len).unwrap_or(usize::MAX).min(len);
    // What an earlier segment left behind is cleared as far as it went; new space is zero.
    let stale = into.data_end.min(len).min(into.bytes.len());
    into.bytes[..stale].fill(0);
    if into.bytes.len() > len {
        into.bytes.truncate(len);
    } else if into.bytes.len() < len {
        into.bytes = vec![0; len];
    }
    into.data_end = 0;
    let mut from = 0;
    while let Some((start, end)) = next_data(&file, from, len)? {
        let read = read_at(&file, &mut into.bytes[start..end], start as u64)?;
        into.data_end = start + read;
        if start + read < end {
            break;
        }
        from = end;
    }
    Ok(())
}

/// The next stretch of data at or behind `from`, inside `len` bytes.
#[cfg(target_os = "linux")]
fn next_data(file: &File, from: usize, len: usize) -> io::Result<Option<(usize, usize)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    if from >= len {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from as u64)) {
        Ok(start) => usize::try_from(start).unwrap_or(usize::MAX),
        Err(Errno::NXIO) => return Ok(None),
        // A file system that knows no holes has only data.
        Err(Errno::INVAL) => return Ok(Some((from, len))),
        Err(error) => return Err(error.into()),
    };
    if start >= len {
        return Ok(None);
    }
    let end = seek(file, SeekFrom::Hole(start as u64))?;
    Ok(Some((start, usize::try_from(end).unwrap_or(usize::MAX).min(len))))
}

#[cfg(not(target_os = "linux"))]
fn next_data(_: &File, from: usize, len: usize) -> io::Result<Option<(usize, usize)>> {
    Ok((from < len).then_some((from, len)))
}
