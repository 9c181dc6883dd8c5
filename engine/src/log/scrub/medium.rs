//! A segment file, read past the page cache where that can be had.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::log::disk::{has_other_names, open_regular, read_at};

/// Most bytes that are read at once.
pub(super) const CHUNK: usize = 1 << 20;

/// What a segment is read from.
pub(super) trait Medium {
    /// Reads up to `into.len()` bytes at `offset`; how many there were. Both are whole pages, and
    /// so is the address.
    fn read(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// How it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the device.
    Direct,
    /// Through the page cache, which is asked to forget the pages first, and again afterwards, so
    /// that what others need stays in it.
    Forgetful,
    /// Through the page cache, as it is.
    Cached,
}

/// The file of a segment.
#[derive(Debug)]
pub(super) struct SegmentFile {
    file: File,
    way: Way,
    /// Its length in bytes.
    pub(super) len: u64,
    /// Whether it has other names.
    pub(super) linked: bool,
}

impl SegmentFile {
    /// The file of a segment that is sealed and durable: its pages are clean.
    pub(super) fn at_rest(path: &Path) -> io::Result<Self> {
        let mut file = Self::in_use(path)?;
        file.way = if direct(&file.file, true).is_ok() { Way::Direct } else { Way::Forgetful };
        Ok(file)
    }

    /// The file of a segment that may be being written: a direct read would have to write its
    /// pages first.
    pub(super) fn in_use(path: &Path) -> io::Result<Self> {
        let file = open_regular(path, false)?;
        let len = file.metadata()?.len();
        let linked = has_other_names(&file)?;
        Ok(Self { file, way: Way::Cached, len, linked })
    }

    /// Whether all was read from the device.
    pub(super) fn is_direct(&self) -> bool {
        self.way == Way::Direct
    }
}

impl Medium for SegmentFile {
    fn read(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.way {
            Way::Direct => match read_direct(&self.file, into, offset) {
                // Taken as a flag, but refused as a read.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    direct(&self.file, false)?;
                    self.way = Way::Forgetful;
                    self.read(into, offset)
                }
                done => done,
            },
            Way::Forgetful => {
                forget(&self.file, offset, into.len());
                let done = read_at(&self.file, into, offset);
                forget(&self.file, offset, into.len());
                done
            }
            Way::Cached => read_at(&self.file, into, offset),
        }
    }
}

/// Reads in whole pages only: a read that ends within one has come to the end of the file.
#[cfg(unix)]
fn read_direct(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut done = 0;
    while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !done.is_multiple_of(factlog_codec::layout::PAGE) {
            break;
        }
    }
    Ok(done)
}

#[cfg(not(unix))]
fn read_direct(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    read_at(file, into, offset)
}

/// Turns direct reads on or off.
#[cfg(target_os = "linux")]
fn direct(file: &File, on: bool) -> io::Result<()> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, on);
    Ok(fcntl_setfl(file, flags)?)
}

#[cfg(not(target_os = "linux"))]
fn direct(_: &File, on: bool) -> io::Result<()> {
    if on { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// Asks the kernel to forget clean pages that nobody has mapped. It may decline.
#[cfg(target_os = "linux")]
fn forget(file: &File, offset: u64, len: usize) {
    use rustix::fs::{Advice, fadvise};
    let len = std::num::NonZeroU64::new(len as u64);
    fadvise(file, offset, len, Advice::DontNeed).unwrap_or(());
}

#[cfg(not(target_os = "linux"))]
fn forget(_: &File, _: u64, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use factlog_codec::layout::PAGE;

    /// Each way gives the same bytes, also at the end of a file that has no whole pages.
    #[test]
    fn do_all_ways_read_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let written: Vec<u8> = (0..3 * PAGE + 100).map(|at| (at % 251) as u8).collect();
        File::create(&path).unwrap().write_all(&written).unwrap();
        let mut space = vec![0; 5 * PAGE];
        let lead = space.as_ptr().align_offset(PAGE);
        let aligned = &mut space[lead..][..4 * PAGE];
        let mut file = SegmentFile::at_rest(&path).unwrap();
        assert_eq!((file.len, file.linked), (written.len() as u64, false));
        for way in [file.way, Way::Forgetful, Way::Cached] {
            direct(&file.file, way == Way::Direct).unwrap();
            file.way = way;
            aligned.fill(0xFF);
            assert_eq!(file.read(aligned, 0).unwrap(), written.len());
            assert_eq!(aligned[..written.len()], written);
            assert_eq!(file.read(&mut aligned[..PAGE], 2 * PAGE as u64).unwrap(), PAGE);
            assert_eq!(aligned[..PAGE], written[2 * PAGE..3 * PAGE]);
            assert_eq!(file.read(&mut aligned[..PAGE], 4 * PAGE as u64).unwrap(), 0);
        }
        // A read that direct reads refuse, for its address: others are made.
        let mut file = SegmentFile::at_rest(&path).unwrap();
        let mut space = vec![0; 3 * PAGE];
        let odd = space.as_ptr().align_offset(PAGE) + 1;
        assert_eq!(file.read(&mut space[odd..][..PAGE], 0).unwrap(), PAGE);
        assert_eq!(space[odd..][..PAGE], written[..PAGE]);
    }
}
