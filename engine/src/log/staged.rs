//! The staged way into a segment: a frame is built in a buffer, then written with one system call.
//!
//! Readers have the file mapped for reading, and find there what was written: both go through one
//! page cache (which is probed where a log is opened). The bytes of a frame that is being built
//! are nobody else's, so nothing here is unsafe.

use std::fs::File;
use std::io;

use bytemuck::{Pod, Zeroable};

use super::disk::DiskIo;
use crate::sync::Arc;

const PAGE: usize = 4096;

/// Pages of memory, so that the kernel copies from where it likes to.
#[derive(Debug, Clone, Copy, Zeroable, Pod)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Where frames are written to: a file, or what stands for it in a model.
pub(crate) trait Target {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

/// The file of a segment.
#[derive(Debug)]
pub(crate) struct SegmentTarget {
    pub(crate) file: Arc<File>,
    pub(crate) io: DiskIo,
}

impl Target for SegmentTarget {
    #[inline]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.io.write_at(&self.file, bytes, offset)
    }
}

/// The right to write into a file, at or above the tail. There is one for each segment.
#[derive(Debug)]
pub(crate) struct Staged<T = SegmentTarget> {
    target: T,
    /// Zero but for the frame that is being built: its first byte stands at the tail.
    buffer: Vec<Page>,
    /// Never falls, and is at most `limit`.
    tail: usize,
    limit: usize,
}

impl<T: Target> Staged<T> {
    /// Frames go from `tail` up to `limit`.
    pub(crate) fn new(target: T, tail: usize, limit: usize) -> Self {
        Self { target, buffer: Vec::new(), tail: tail.min(limit), limit }
    }

    /// Where the next frame goes.
    #[inline]
    pub(crate) fn tail(&self) -> usize {
        self.tail
    }

    /// Bytes left for frames.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.limit - self.tail
    }

    /// The space at the tail, as long as it is asked for, or as there is.
    #[inline]
    pub(crate) fn space(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.room());
        if len > self.buffer.len() * PAGE {
            self.grow(len);
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.buffer);
        let len = len.min(bytes.len());
        &mut bytes[..len]
    }

    /// A page must never be a value on the stack: a function whose frame is aligned to a page has been
    /// seen compiled without its prologue (LLVM's of rustc 1.95, where this was inlined).
    #[cold]
    #[inline(never)]
    fn grow(&mut self, len: usize) {
        let mut larger: Vec<Page> = bytemuck::zeroed_vec(len.div_ceil(PAGE));
        let built: &[u8] = bytemuck::cast_slice(&self.buffer);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut larger);
        if let Some(start) = bytes.get_mut(..built.len()) {
            start.copy_from_slice(built);
        }
        self.buffer = larger;
    }

    /// Writes `len` bytes at the tail, which goes behind them.
    pub(crate) fn write(&mut self, len: usize) -> io::Result<()> {
        let len = len.min(self.room());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.buffer);
        let Some(bytes) = bytes.get_mut(..len) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.target.write_at(bytes, self.tail as u64)?;
        bytes.fill(0);
        self.tail += len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames follow each other in the file; the buffer is zero again after each; the limit holds.
    #[test]
    fn does_each_frame_stand_behind_the_one_before() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let target = SegmentTarget { file: Arc::clone(&file), io: DiskIo::default() };
        let mut staged = Staged::new(target, 4096, 4096 + 10_000);
        staged.space(100).fill(1);
        staged.write(64).unwrap();
        assert!(staged.space(64).iter().all(|byte| *byte == 0));
        // What was built and not written is the caller's to take back.
        staged.space(200).fill(0);
        staged.space(9_000).fill(2);
        staged.write(9_000).unwrap();
        assert_eq!((staged.tail(), staged.room()), (4096 + 9_064, 10_000 - 9_064));
        assert_eq!(staged.space(5_000).len(), 936);
        let mut bytes = vec![9; 4096 + 9_064];
        std::os::unix::fs::FileExt::read_exact_at(&*file, &mut bytes, 0).unwrap();
        let (before, rest) = bytes.split_at(4096);
        assert!(before.iter().all(|byte| *byte == 0));
        assert!(rest[..64].iter().all(|byte| *byte == 1));
        assert!(rest[64..].iter().all(|byte| *byte == 2));
        assert_eq!(file.metadata().unwrap().len(), 4096 + 9_064);
    }
}
