//! What was found, and what can be done about it.

use std::fmt;
use std::ops::Range;

use factlog_codec::{HeaderError, Place, SealError, SegOpenError, SegmentId, Sequence, StopReason};

use crate::log::fault::IoError;
use crate::sync::Arc;

/// Most findings that a report has one by one.
const MOST: usize = 1_000;

/// What a scrub has read and found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ScrubReport {
    /// Segments that were checked to the end.
    pub checked: u32,
    /// Segments that retention took before they could be held.
    pub skipped: u32,
    /// Segments that are still written, or not durable yet.
    pub open: u32,
    /// Of those checked: without a SEAL. That is nothing wrong.
    pub unsealed: u32,
    /// Of those checked: with more than one name for their file, as an archive makes them. If the
    /// file rots, all of them have it.
    pub linked: u32,
    /// Of those checked: read past the page cache from end to end.
    pub direct: u32,
    /// Frames that verify.
    pub frames: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What is wrong, in the order in which it was found: the first 1,000.
    pub findings: Vec<ScrubFinding>,
    /// How many further findings there were.
    pub more: u64,
    /// Where it was stopped, if it was.
    pub stopped: Option<ScrubStop>,
}

/// Where a scrub was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubStop {
    /// The segment that was begun, and not finished: the next scrub can begin with it.
    pub segment: SegmentId,
}

impl ScrubReport {
    /// Whether nothing is wrong with what was checked.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn add(&mut self, finding: ScrubFinding) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScrubFinding {
    /// Where it begins.
    pub place: Place,
    /// What is wrong there.
    pub reason: ScrubReason,
    /// How many bytes from there on are affected: up to the next frame that verifies. If none could
    /// be found, up to the segment's end.
    pub bytes: u64,
    /// The events that stand in those bytes, from the first to the one after the last; empty if
    /// there are none.
    pub events: Range<Sequence>,
    /// What can be done about it.
    pub remedy: Remedy,
}

/// What is wrong with a place.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ScrubReason {
    /// The segment's header page cannot be used.
    Header(HeaderError),
    /// The header page verifies, but is not that of this segment.
    Foreign,
    /// The file has another length than a segment: this one, in bytes.
    Length(u64),
    /// No frame where one stood, or another one than the one that stood there.
    Frame(StopReason),
    /// A SEGOPEN that verifies cannot be used.
    SegOpen(SegOpenError),
    /// All frames verify, but the SEGOPEN of the next segment, this one, says something else of
    /// them.
    Successor(SegmentId),
    /// The SEAL page does not verify.
    Seal(SealError),
    /// The SEAL verifies, but says something else than what is known of the segment.
    SealDiffers,
    /// Bytes behind the last frame are not zero.
    NotZero,
    /// It cannot be read at all.
    Read(Arc<IoError>),
}

/// What can be done about a finding. The medium should not be trusted any further in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Events cannot be read. Close the log, and put the segment's file back from a backup or an
    /// archive. Without one they are lost: what is before and behind them can be salvaged with
    /// cursors as long as the log is open.
    Restore,
    /// All events here can still be read while the log is open, but it will not open again. Before it
    /// is closed, have the segment's file from a backup or an archive ready, or salvage the events
    /// with cursors.
    RestoreBeforeClosing,
    /// Nothing that anybody needs stood there. Copy the log to another medium, with a backup.
    Move,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restore => {
                "put the segment's file back from a backup or an archive; without one, salvage the \
                 other events with cursors"
            }
            Self::RestoreBeforeClosing => {
                "before the log is closed, have the segment's file from a backup or an archive \
                 ready, or salvage the events with cursors"
            }
            Self::Move => "no event is affected; copy the log to another medium, with a backup",
        })
    }
}

impl fmt::Display for ScrubReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::Foreign => write!(f, "the header is not that of this segment"),
            Self::Length(len) => write!(f, "the file has {len} bytes"),
            Self::Frame(reason) => reason.fmt(f),
            Self::SegOpen(error) => error.fmt(f),
            Self::Successor(next) => {
                write!(f, "segment {next} says something else of the frames before it")
            }
            Self::Seal(error) => error.fmt(f),
            Self::SealDiffers => write!(f, "the SEAL says something else than is known"),
            Self::NotZero => write!(f, "bytes behind the last frame are not zero"),
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ScrubFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} bytes", self.place, self.reason, self.bytes)?;
        if !self.events.is_empty() {
            write!(f, ", events {} to {}", self.events.start, self.events.end.before())?;
        }
        write!(f, "): {}", self.remedy)
    }
}

impl fmt::Display for ScrubReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} segments checked ({} read directly, {} without a SEAL, {} with other names), {} \
             skipped, {} open: {} frames, {} bytes read",
            self.checked,
            self.direct,
            self.unsealed,
            self.linked,
            self.skipped,
            self.open,
            self.frames,
            self.bytes
        )?;
        if let Some(stop) = &self.stopped {
            write!(f, "; stopped in segment {}", stop.segment)?;
        }
        for finding in &self.findings {
            write!(f, "; {finding}")?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

/// How far a scrub has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubProgress {
    /// The segment that is being read.
    pub segment: SegmentId,
    /// Segments done.
    pub done: usize,
    /// Segments to do.
    pub of: usize,
    /// Bytes read so far.
    pub bytes: u64,
}

/// Why a scrub was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScrubError {
    /// At a rate of zero nothing is read.
    Rate,
    /// There is no such segment yet.
    NoSegment(SegmentId),
}

impl fmt::Display for ScrubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate => write!(f, "nothing can be read at zero bytes a second: choose a rate"),
            Self::NoSegment(segment) => write!(f, "there is no segment {segment} yet"),
        }
    }
}

impl std::error::Error for ScrubError {}
