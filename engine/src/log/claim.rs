//! Where the writer puts the next frame: one of two ways, fixed when a segment is taken into use.

use std::fs::File;
use std::io;

use factlog_codec::WriteWay;

use super::disk::DiskIo;
use super::map::{Mapping, WriteHalf};
use super::staged::{SegmentTarget, Staged};
use crate::sync::Arc;

/// The right to write into a segment, at or above its tail. There is one for each segment.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Stores into a mapping: fastest to become visible.
    Mapped(WriteHalf),
    /// Writes of whole frames: what a sync has to bring to the medium is what was written.
    Staged(Staged),
}

impl Claim {
    /// Maps the segment, and takes the right to write between `tail` and `limit`.
    pub(crate) fn take(
        way: WriteWay,
        file: &Arc<File>,
        io: &DiskIo,
        size: usize,
        (tail, limit): (usize, usize),
    ) -> io::Result<(Arc<Mapping>, Self)> {
        if way == WriteWay::Staged {
            let mapping = Mapping::read_only(file, size)?;
            let target = SegmentTarget { file: Arc::clone(file), io: io.clone() };
            return Ok((mapping, Self::Staged(Staged::new(target, tail, limit))));
        }
        let (mapping, half) = Mapping::writable(file, size, tail, limit)?;
        Ok((mapping, Self::Mapped(half)))
    }

    pub(crate) fn way(&self) -> WriteWay {
        match self {
            Self::Mapped(_) => WriteWay::Mapped,
            Self::Staged(_) => WriteWay::Staged,
        }
    }

    /// Where the next frame goes.
    #[inline]
    pub(crate) fn tail(&self) -> usize {
        match self {
            Self::Mapped(half) => half.tail(),
            Self::Staged(staged) => staged.tail(),
        }
    }

    /// Bytes left for frames.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::Mapped(half) => half.room(),
            Self::Staged(staged) => staged.room(),
        }
    }

    /// The space at the tail, as long as it is asked for, or as there is. It is zero but for what
    /// was put there since the last frame.
    #[inline]
    pub(crate) fn space(&mut self, len: usize) -> &mut [u8] {
        match self {
            Self::Mapped(half) => half.space(len),
            Self::Staged(staged) => staged.space(len),
        }
    }

    /// Has the processor fetch what stores will need soon, `at` bytes behind the tail and further. A
    /// buffer is near anyway.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&self, at: usize, len: usize) {
        if let Self::Mapped(half) = self {
            half.fetch_ahead(at, len);
        }
    }

    /// The frame of `len` bytes at the tail stands: it is never changed again.
    ///
    /// An error comes from the operating system, and the tail is where it was.
    #[inline]
    pub(crate) fn freeze(&mut self, len: usize) -> io::Result<()> {
        match self {
            Self::Mapped(half) => {
                half.freeze(len);
                Ok(())
            }
            Self::Staged(staged) => staged.write(len),
        }
    }
}
