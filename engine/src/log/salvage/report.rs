//! What was salvaged, and what is missing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use factlog_codec::{Place, Sequence};

/// Most holes and files that are named one by one.
const MOST: usize = 1_000;

/// Bytes among frames that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hole {
    /// Where it begins.
    pub place: Place,
    /// How many bytes it has; 0 if whole segments are missing.
    pub bytes: u32,
    /// The first and last sequence that are missing there, where that is known.
    pub missing: Option<(Sequence, Sequence)>,
}

/// What was salvaged, and what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Segments with frames.
    pub segments: u32,
    /// Frames that verified.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What did not verify between frames, or is missing: the first thousand.
    pub holes: Vec<Hole>,
    /// How many holes there are beyond that.
    pub further_holes: u64,
    /// Files of which nothing could be read, and why: the first thousand.
    pub unreadable: Vec<(PathBuf, String)>,
    /// A segment was not looked through to its end, since its bytes made too much work.
    pub exhausted: bool,
}

impl SalvageReport {
    pub(super) fn hole(&mut self, place: Place, bytes: u32, missing: Option<(Sequence, Sequence)>) {
        if self.holes.len() < MOST {
            self.holes.push(Hole { place, bytes, missing });
        } else {
            self.further_holes += 1;
        }
    }

    pub(super) fn unreadable(&mut self, path: &Path, why: &str) {
        if self.unreadable.len() < MOST {
            self.unreadable.push((path.to_path_buf(), why.to_owned()));
        }
    }
}

impl fmt::Display for SalvageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events in {} frames of {} segments verify",
            self.events, self.frames, self.segments
        )?;
        for hole in &self.holes {
            write!(f, "; {} bytes at {} do not", hole.bytes, hole.place)?;
            if let Some((first, last)) = hole.missing {
                write!(f, " (events {first} to {last} are missing)")?;
            }
        }
        if self.further_holes > 0 {
            write!(f, "; and {} holes more", self.further_holes)?;
        }
        for (path, why) in &self.unreadable {
            write!(f, "; nothing of {} can be read: {why}", path.display())?;
        }
        if self.exhausted {
            write!(f, "; not everything was looked through")?;
        }
        Ok(())
    }
}

/// The directory of a log cannot be listed.
#[derive(Debug)]
pub struct SalvageError {
    /// The directory.
    pub path: PathBuf,
    /// What the operating system says.
    pub source: io::Error,
}

impl fmt::Display for SalvageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot list the segments in {}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for SalvageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
