//! How a file is now, compared with what is on the medium.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::content::{Content, PAGE, Page, Sectors, differing, zeros};

/// How much is read at once, in bytes.
const CHUNK: u64 = 256 << 10;

/// A file's current length, and those of its pages that are not as on the medium.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) length: u64,
    pub(crate) changed: BTreeMap<u64, Arc<Page>>,
}

impl Present {
    /// Reads `file`. Its offset moves: it must be a handle that nobody else reads or writes by.
    pub(crate) fn of(file: &File, medium: &Content, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut present = Self { length, changed: BTreeMap::new() };
        let mut done = 0;
        while let Some((start, end)) = next_data(file, done * PAGE as u64, length)? {
            let (first, last) = (start / PAGE as u64, end.div_ceil(PAGE as u64));
            present.hole(medium, done..first);
            present.data(file, medium, first..last, buffer)?;
            done = last;
        }
        present.hole(medium, done..u64::MAX);
        Ok(present)
    }

    /// Pages without data now: those with data on the medium are zeros now.
    fn hole(&mut self, medium: &Content, pages: std::ops::Range<u64>) {
        if pages.start < pages.end {
            self.changed.extend(medium.pages(pages).map(|(page, _)| (*page, zeros())));
        }
    }

    fn data(
        &mut self,
        file: &File,
        medium: &Content,
        pages: std::ops::Range<u64>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        let end = (pages.end * PAGE as u64).min(self.length);
        let mut at = pages.start * PAGE as u64;
        while at < end {
            let wanted = CHUNK.min(end - at) as usize;
            let padded = wanted.next_multiple_of(PAGE);
            if buffer.len() < padded {
                buffer.resize(padded, 0);
            }
            read(file, &mut buffer[..wanted], at)?;
            buffer[wanted..padded].fill(0);
            let (chunk, _) = buffer[..padded].as_chunks::<PAGE>();
            for (bytes, page) in chunk.iter().zip(at / PAGE as u64..) {
                if bytes != medium.page(page) {
                    self.changed.insert(page, Arc::new(*bytes));
                }
            }
            at += wanted as u64;
        }
        Ok(())
    }

    /// The changed pages, and in which sectors they differ from `medium`.
    pub(crate) fn differences(
        &self,
        medium: &Content,
    ) -> impl Iterator<Item = (u64, &Arc<Page>, Sectors)> {
        self.changed
            .iter()
            .map(|(page, bytes)| (*page, bytes, differing(bytes, medium.page(*page))))
    }
}

/// Fills `buffer`; what lies beyond the end, if the file was cut meanwhile, is zeros.
fn read(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => {
                buffer.fill(0);
                return Ok(());
            }
            Ok(count) => {
                buffer = &mut buffer[count..];
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where data begins and ends, from `from` on and before `length`.
#[cfg(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux"
))]
fn next_data(file: &File, from: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;

    if from >= length {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) if start < length => start,
        // There is none, or it was added meanwhile.
        Ok(_) | Err(Errno::NXIO) => return Ok(None),
        // A file system that does not tell holes apart: all is data.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((from, length))),
        Err(error) => return Err(error.into()),
    };
    match seek(file, SeekFrom::Hole(start)) {
        Ok(end) if end > start => Ok(Some((start, end.min(length)))),
        // It was cut meanwhile.
        Ok(_) | Err(Errno::NXIO) => Ok(Some((start, length))),
        Err(error) => Err(error.into()),
    }
}

/// Systems that do not tell holes apart: all is data.
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "freebsd",
    target_os = "linux"
)))]
fn next_data(_: &File, from: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    Ok((from < length).then_some((from, length)))
}
