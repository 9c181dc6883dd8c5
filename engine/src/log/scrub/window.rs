//! The one chunk of a segment that is in memory.

use std::io;
use std::path::Path;

use factlog_codec::layout::PAGE;

use super::medium::Medium;
use super::pace::{Pace, Stopped};
use crate::log::fault::IoError;
use crate::sync::Arc;

/// Why there are no bytes.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody wants it to stop.
    Stopped,
    /// The page at this offset cannot be read.
    Unreadable(u32, Arc<IoError>),
}

impl From<Stopped> for Halt {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// Memory for a chunk, and for the page before it, so that going forwards reads nothing twice. It
/// serves for many segments, and never grows.
#[derive(Debug)]
pub(super) struct Window {
    space: Vec<u8>,
    /// Where whole pages begin in `space`: direct reads need that.
    lead: usize,
    chunk: usize,
}

impl Window {
    pub(super) fn new(chunk: usize) -> Self {
        let space = vec![0; PAGE + PAGE + chunk];
        // Where that cannot be told, direct reads are refused, and others are made.
        let lead = space.as_ptr().align_offset(PAGE).min(PAGE);
        Self { space, lead, chunk }
    }

    /// The page before the chunk, and the chunk.
    fn parts(&mut self) -> (&mut [u8], &mut [u8]) {
        let (_, aligned) = self.space.split_at_mut(self.lead);
        aligned.split_at_mut(PAGE)
    }
}

/// Looks at a segment through a window.
pub(super) struct View<'w, 'p> {
    window: &'w mut Window,
    medium: &'w mut dyn Medium,
    pace: &'w mut Pace<'p>,
    path: &'w Path,
    /// Bytes of the file.
    len: usize,
    /// Most bytes to read at once.
    chunk: usize,
    /// Offset of the first byte in memory.
    from: usize,
    /// Where in the aligned space that is: 0 with the page before the chunk, else [`PAGE`].
    at: usize,
    /// Bytes in memory.
    held: usize,
    /// Up to here single pages are read, since one of them cannot be.
    careful: usize,
    /// Pages in a row that cannot be read: the last such run. A device may take long to say so.
    bad: Option<(usize, usize, Arc<IoError>)>,
}

impl<'w, 'p> View<'w, 'p> {
    /// Of a file of `len` bytes, of which at most `chunk` are read at once.
    pub(super) fn new(
        window: &'w mut Window,
        medium: &'w mut dyn Medium,
        pace: &'w mut Pace<'p>,
        path: &'w Path,
        len: u64,
        chunk: usize,
    ) -> Self {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let chunk = window.chunk.min(chunk);
        Self {
            window,
            medium,
            pace,
            path,
            len,
            chunk,
            from: 0,
            at: PAGE,
            held: 0,
            careful: 0,
            bad: None,
        }
    }

    /// Bytes that were asked for so far, of all segments.
    pub(super) fn spent(&self) -> u64 {
        self.pace.spent()
    }

    /// Forgets what is in memory.
    pub(super) fn forget(&mut self) {
        self.held = 0;
    }

    /// All that is in memory from `offset` on: at least `want` bytes, which are at most a page,
    /// unless the file ends before.
    pub(super) fn get(&mut self, offset: u32, want: usize) -> Result<&[u8], Halt> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        loop {
            let end = self.from + self.held;
            let inside = self.from <= offset && offset < end;
            if inside && end - offset >= want.min(self.len.saturating_sub(offset)) {
                let (_, aligned) = self.window.space.split_at(self.window.lead);
                let held = aligned.get(self.at..).and_then(|held| held.get(..self.held));
                return Ok(held.and_then(|held| held.get(offset - self.from..)).unwrap_or(&[]));
            }
            if offset >= self.len {
                return Ok(&[]);
            }
            if inside && end - offset <= PAGE && self.held >= PAGE && end.is_multiple_of(PAGE) {
                self.keep_last_page();
                self.fill(end)?;
            } else {
                (self.from, self.at, self.held) = (offset / PAGE * PAGE, PAGE, 0);
                self.fill(self.from)?;
            }
        }
    }

    /// The last page in memory becomes the one before the chunk.
    fn keep_last_page(&mut self) {
        let start = self.at + self.held - PAGE;
        let (_, aligned) = self.window.space.split_at_mut(self.window.lead);
        aligned.copy_within(start..start + PAGE, 0);
        self.from += self.held - PAGE;
        (self.at, self.held) = (0, PAGE);
    }

    /// Reads the chunk at `offset`, or only a page where a chunk cannot be read.
    fn fill(&mut self, offset: usize) -> Result<(), Halt> {
        if let Some((from, to, error)) = &self.bad
            && (*from..*to).contains(&offset)
        {
            return Err(unreadable(offset, error));
        }
        let most = self.len.saturating_sub(offset).next_multiple_of(PAGE);
        let mut chunk = if offset < self.careful { PAGE } else { self.chunk.min(most) };
        loop {
            self.pace.spend(chunk)?;
            match self.read(offset, chunk) {
                Ok(count) => {
                    let there = self.len.saturating_sub(offset);
                    // Whole pages only, but for the file's last one.
                    let count = if count < chunk.min(there) { count / PAGE * PAGE } else { count };
                    if count == 0 {
                        // The file has become shorter.
                        let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                        return Err(self.note_bad(offset, error));
                    }
                    self.held += count;
                    self.pace.count(count);
                    return Ok(());
                }
                Err(_) if chunk > PAGE => {
                    self.careful = offset + chunk;
                    chunk = PAGE;
                }
                Err(error) => return Err(self.note_bad(offset, error)),
            }
        }
    }

    fn read(&mut self, offset: usize, chunk: usize) -> io::Result<usize> {
        let (_, space) = self.window.parts();
        let space = space.get_mut(..chunk).unwrap_or_default();
        let read = self.medium.read(space, offset as u64)?;
        // What is behind the end that was found at first is none of it.
        Ok(read.min(self.len.saturating_sub(offset)))
    }

    fn note_bad(&mut self, offset: usize, error: io::Error) -> Halt {
        let error = Arc::new(IoError::new("read the segment", self.path, error));
        let halt = unreadable(offset, &error);
        match &mut self.bad {
            Some((_, to, _)) if *to == offset => *to += PAGE,
            bad => *bad = Some((offset, offset + PAGE, error)),
        }
        halt
    }
}

fn unreadable(offset: usize, error: &Arc<IoError>) -> Halt {
    Halt::Unreadable(u32::try_from(offset).unwrap_or(u32::MAX), Arc::clone(error))
}
