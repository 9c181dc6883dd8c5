//! Segment files: preparing one, and reading one whole.

use std::fs::File;
use std::io;
use std::path::Path;

use factlog_codec::layout::{MAX_SEGMENT_BITS, segment_size};
use factlog_codec::{SegmentHeader, SegmentId, all_zero};
use memmap2::MmapMut;

use super::directory::Directory;
use super::files::{open_regular, read_at, read_no_further};
use super::observe::DiskIo;

/// Bytes of a new segment that are written between two syncs: so few that a sync of the log next
/// door hardly waits for them.
const PIECE: usize = 128 << 10;
/// Copies of at least so many bytes stand in large pages, of the size below.
const LARGE: usize = 1 << 20;
const LARGE_PAGE: usize = 2 << 20;

/// Makes a segment: real blocks, a header, a name, all durable.
///
/// Nothing of it is left if there is no space.
///
/// `written` has its zeros written, not only their space allocated: then the file system has
/// nothing left to note when frames are written over them.
pub(crate) fn create_prepared(
    directory: &Directory,
    header: &SegmentHeader,
    written: bool,
) -> io::Result<File> {
    let path = directory.segment(header.segment);
    let temporary = path.with_extension("tmp");
    let io = directory.io();
    io.remove_if_there(&temporary)?;
    let file = io.create_new(&temporary)?;
    let filled = fill(io, &file, header, written).and_then(|()| io.rename(&temporary, &path));
    if let Err(error) = filled {
        // The file is of no meaning; that it stays is no harm, so its removal may fail.
        drop(io.remove(&temporary));
        return Err(error);
    }
    io.sync_directory(&directory.segments())?;
    Ok(file)
}

/// Makes a prepared segment the one with number `id`, which must not be there. It needs no space.
pub(crate) fn move_prepared(
    directory: &Directory,
    header: &SegmentHeader,
    id: SegmentId,
) -> io::Result<SegmentHeader> {
    let (from, path) = (directory.segment(header.segment), directory.segment(id));
    // Under its old name it never has another number, also on the medium, which may keep that name
    // longer than the bytes; without a name that counts it is nothing.
    let temporary = path.with_extension("tmp");
    let io = directory.io();
    io.rename(&from, &temporary)?;
    io.sync_directory(&directory.segments())?;
    let file = open_regular(&temporary, true)?;
    let generation = header.generation.saturating_add(1);
    let header = SegmentHeader { segment: id, generation, ..*header };
    io.write_at(&file, &header.encode(), 0)?;
    io.sync_all(&file)?;
    io.rename(&temporary, &path)?;
    io.sync_directory(&directory.segments())?;
    Ok(header)
}

fn fill(io: &DiskIo, file: &File, header: &SegmentHeader, written: bool) -> io::Result<()> {
    let size = segment_size(header.bits);
    io.allocate(file, size as u64)?;
    if written {
        // A piece at a time, so that a sync of the log next door never waits for all of it.
        let zeros = vec![0; PIECE.min(size)];
        for offset in (0..size).step_by(PIECE) {
            io.write_at(file, &zeros, offset as u64)?;
            io.sync_data(file)?;
        }
    }
    io.write_at(file, &header.encode(), 0)?;
    io.sync_all(file)
}

/// Memory that files are read into: memory of its own in pages as large as there are, since to have
/// small ones made present takes longer than to verify what is read into them.
#[derive(Debug, Default)]
pub(crate) struct Space(Option<MmapMut>);

impl Space {
    /// Of at least `len` zero bytes.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        if len == 0 {
            return Ok(Self(None));
        }
        let len = if len >= LARGE { len.next_multiple_of(LARGE_PAGE) } else { len };
        let space = MmapMut::map_anon(len)?;
        #[cfg(target_os = "linux")]
        if len >= LARGE {
            // Only advice: without it there are more pages.
            let _ = space.advise(memmap2::Advice::HugePage);
        }
        Ok(Self(Some(space)))
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or(&mut [])
    }
}

/// A segment's bytes, copied out: nothing that happens to the file can change them.
///
/// One buffer serves for many segments.
#[derive(Debug, Default)]
pub(crate) struct SegmentBytes {
    space: Space,
    len: usize,
    /// Behind this everything is zero, and known to be without looking.
    data_end: usize,
    /// How long the file is.
    pub(crate) file_len: u64,
}

impl SegmentBytes {
    pub(crate) fn all(&self) -> &[u8] {
        self.space.bytes().get(..self.len).unwrap_or(&[])
    }

    /// Space for `len` bytes, of which those below the second number may be of a segment before.
    fn space(&mut self, len: usize) -> io::Result<(&mut [u8], usize)> {
        if self.space.len() < len {
            // First: there shall not be both of them.
            self.space = Space::default();
            self.data_end = 0;
            self.space = Space::new(len)?;
        }
        self.len = len;
        let space = self.space.bytes_mut();
        // Until it has been read: whatever is there.
        let stale = std::mem::replace(&mut self.data_end, space.len());
        Ok((space, stale))
    }

    /// Whether everything from `offset` on is zero.
    pub(crate) fn zero_from(&self, offset: usize) -> bool {
        self.all().get(offset..self.data_end.max(offset)).is_none_or(all_zero)
    }
}

/// Reads the whole file at `path`, if it may be a segment at all; what the file lacks of one is
/// missing.
///
/// Holes are not read: a prepared segment costs next to nothing.
pub(crate) fn read_file(path: &Path, into: &mut SegmentBytes) -> io::Result<()> {
    let most = segment_size(MAX_SEGMENT_BITS);
    let file = open_regular(path, false)?;
    read_no_further(&file);
    into.file_len = file.metadata()?.len();
    let len = usize::try_from(into.file_len).unwrap_or(usize::MAX).min(most);
    let (bytes, stale) = into.space(len)?;
    let (mut from, mut data_end) = (0, 0);
    while let Some((start, end)) = next_data(&file, from, len)? {
        // What an earlier segment left behind is cleared where this one has nothing.
        bytes[from.min(stale)..start.min(stale)].fill(0);
        let read = read_at(&file, &mut bytes[start..end], start as u64)?;
        (from, data_end) = (start + read, start + read);
        if start + read < end {
            break;
        }
    }
    bytes[from.min(stale)..stale].fill(0);
    into.data_end = data_end;
    Ok(())
}

/// The next stretch of data at or behind `from`, inside `len` bytes.
#[cfg(target_os = "linux")]
pub(super) fn next_data(
    file: &File,
    from: usize,
    len: usize,
) -> io::Result<Option<(usize, usize)>> {
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
pub(super) fn next_data(_: &File, from: usize, len: usize) -> io::Result<Option<(usize, usize)>> {
    Ok((from < len).then_some((from, len)))
}
