//! Raw mappings of segments, and the two ways to look into them.
//!
//! A mapping is memory that the writer changes while readers look at it. A reference to bytes
//! that change is undefined behaviour, whoever reads them, so there are exactly two ways in:
//!
//! 1. **Frozen bytes**, shared: below a bound that was loaded from the visible watermark. The
//!    writer never touches them again, nor does recovery.
//! 2. **The claim**, exclusive: at or above the writer's tail. There is one [`WriteHalf`] for a
//!    mapping, made together with it, and it gives out its space only through `&mut self`.
//!
//! The tail only rises, and what is published is at most the tail, so the two never overlap.

use std::fs::File;
use std::io;
use std::slice;

use memmap2::{MmapOptions, MmapRaw};

use super::disk::{Directory, DiskIo};
use crate::sync::Arc;

/// A mapped segment.
#[derive(Debug)]
pub(crate) struct Mapping {
    raw: MmapRaw,
}

/// How far ahead of a store its line is fetched, in bytes: so long takes what comes between, at the
/// rate at which memory takes stores.
const AHEAD: usize = 2048;
/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// The right to write into a mapping, at or above the tail. There is one for each mapping.
#[derive(Debug)]
pub(crate) struct WriteHalf {
    mapping: Arc<Mapping>,
    /// Invariant 1: never falls. Invariant 2: at most `limit`.
    tail: usize,
    /// Invariant 3: at most the mapping's length.
    limit: usize,
}

impl Mapping {
    /// Maps `file` for reading only.
    pub(crate) fn read_only(file: &File, len: usize) -> io::Result<Arc<Self>> {
        check_len(file, len)?;
        let raw = MmapOptions::new().len(len).map_raw_read_only(file)?;
        Ok(Arc::new(Self { raw }))
    }

    /// Maps `file` for reading and writing. Frames go from `tail` up to `limit`.
    pub(crate) fn writable(
        file: &File,
        len: usize,
        tail: usize,
        limit: usize,
    ) -> io::Result<(Arc<Self>, WriteHalf)> {
        if tail > limit || limit > len {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        check_len(file, len)?;
        let raw = MmapOptions::new().len(len).map_raw(file)?;
        let mapping = Arc::new(Self { raw });
        let half = WriteHalf { mapping: Arc::clone(&mapping), tail, limit };
        Ok((mapping, half))
    }

    /// The first `end` bytes.
    ///
    /// # Safety
    ///
    /// Nobody writes to the file any more; or `end` is at most an offset that was loaded from the
    /// visible watermark of the log that this segment belongs to (or verified by recovery before there was a writer): every store
    /// to these bytes happened before that load, and none will come.
    #[inline]
    pub(crate) unsafe fn frozen(&self, end: usize) -> &[u8] {
        let end = end.min(self.raw.len());
        // SAFETY: the pointer is valid for `len` bytes as long as `self` lives; the caller says
        // that nobody writes to the first `end` of them.
        unsafe { slice::from_raw_parts(self.raw.as_ptr(), end) }
    }

    /// Makes the pages of a range present and writable, without changing a byte.
    ///
    /// Where there is no room for them this is an error, while a store would be a signal.
    #[cfg(target_os = "linux")]
    pub(crate) fn populate(&self, from: usize, len: usize) -> io::Result<()> {
        let len = len.min(self.raw.len().saturating_sub(from));
        if len == 0 {
            return Ok(());
        }
        self.raw.advise_range(memmap2::Advice::PopulateWrite, from, len)
    }

    /// Elsewhere pages come when they are first stored to.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn populate(&self, _from: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    /// Takes the pages of the first `len` bytes out of this mapping; whoever looks at them next gets
    /// them back, as they stand in the file.
    ///
    /// A sync makes each dirty page of a mapping read-only, and for each of them interrupts every
    /// processor on which a thread of this process runs, among them the writer's. Pages that are not
    /// mapped interrupt nobody: all of them go with one interruption.
    #[cfg(target_os = "linux")]
    pub(crate) fn release(&self, len: usize) {
        let len = len.min(self.raw.len());
        // SAFETY: the mapping is of a file, and shared: its bytes are the file's, in memory or not,
        // so that none of them changes by this. Where it is refused, nothing has happened.
        let _ =
            unsafe { self.raw.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, 0, len) };
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn release(&self, _len: usize) {}

    /// Hands dirty pages to the file system, where the system call that syncs the file does not
    /// do so itself.
    pub(crate) fn flush(&self) -> io::Result<()> {
        if cfg!(target_os = "linux") { Ok(()) } else { self.raw.flush() }
    }
}

/// A mapped file that nobody writes to any more: it was written under another name, and given its
/// own when it was whole.
#[derive(Debug)]
pub(crate) struct StillFile {
    mapping: Option<Arc<Mapping>>,
    len: usize,
}

impl StillFile {
    pub(crate) fn map(file: &File, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mapping = if len == 0 { None } else { Some(Mapping::read_only(file, len)?) };
        Ok(Self { mapping, len })
    }

    /// All of its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let Some(mapping) = &self.mapping else { return &[] };
        // SAFETY: nobody writes to the file: it was renamed when it was whole, this crate never
        // opens one of that name for writing, and takes its name away before it makes another.
        // Whoever else can write into the directory of a log is outside of what is promised.
        unsafe { mapping.frozen(self.len) }
    }
}

/// A mapping longer than its file raises a signal when it is touched.
fn check_len(file: &File, len: usize) -> io::Result<()> {
    if file.metadata()?.len() < len as u64 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(())
}

impl WriteHalf {
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
        // SAFETY: invariants 2 and 3 keep `tail` inside the mapping.
        let start = unsafe { self.mapping.raw.as_mut_ptr().add(self.tail) };
        // SAFETY: `tail + len <= limit <= mapping length`. Exclusive: this half is the only one
        // of its mapping and is borrowed mutably; frozen slices end at or below a tail that was
        // published, which is at most this tail (invariant 1).
        unsafe { slice::from_raw_parts_mut(start, len) }
    }

    /// Has the processor fetch the lines that stores will need soon: those of `len` bytes, [`AHEAD`] of
    /// `at` bytes behind the tail. A store that waits for its line holds up all that follow it.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&self, at: usize, len: usize) {
        let from = self.tail + at + AHEAD;
        if from + len > self.limit {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        for line in (0..len).step_by(LINE) {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let place = self.mapping.raw.as_ptr().wrapping_add(from + line).cast();
            // SAFETY: a hint reads nothing and changes nothing, whatever the address; every x86-64
            // processor has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(place) };
        }
    }

    /// Freezes `len` bytes at the tail: they are never given out for writing again.
    #[inline]
    pub(crate) fn freeze(&mut self, len: usize) {
        debug_assert!(len <= self.room());
        self.tail += len.min(self.room());
    }
}

/// Whether what is written to a file shows at once through a mapping of it: tried in `directory`.
pub(crate) fn is_coherent(directory: &Directory) -> io::Result<bool> {
    let path = directory.root().join("probe.tmp");
    let disk = directory.io();
    disk.remove_if_there(&path)?;
    let file = disk.create_new(&path)?;
    let tried = show_through(&file, disk);
    disk.remove(&path)?;
    tried
}

fn show_through(file: &File, disk: &DiskIo) -> io::Result<bool> {
    const LEN: usize = 2 * 4096;
    disk.write_at(file, &[0; LEN], 0)?;
    let mapping = Mapping::read_only(file, LEN)?;
    for round in 1..=8_usize {
        let (value, at) = (round as u8, round * 613);
        disk.write_at(file, &[value; 100], at as u64)?;
        // SAFETY: the file was made by the caller, who alone knows its name and writes to it; the
        // slice is gone before the next write.
        let seen = unsafe { mapping.frozen(LEN) };
        if seen.get(at..at + 100).is_none_or(|bytes| bytes.iter().any(|byte| *byte != value)) {
            return Ok(false);
        }
    }
    Ok(true)
}
