//! Why a named cursor is not attached, and why a place is not saved.

use std::fmt;

use factlog_codec::{CursorName, CursorNameError, Epoch, LogId, Sequence};

use crate::log::error::{ReadError, SeekError, SyncError};
use crate::log::fault::{CursorFault, IoError};
use crate::log::registry::NotWriter;

/// Why a named cursor was not attached, registered, reset or forgotten.
///
/// [`Foreign`](Self::Foreign), [`Lost`](Self::Lost), [`Rewritten`](Self::Rewritten),
/// [`Behind`](Self::Behind) and [`Damaged`](Self::Damaged) say that the place that was saved
/// cannot be gone on from. Whoever accepts that calls
/// [`Log::reset_cursor`](crate::Log::reset_cursor) with a start of their choice.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// A cursor cannot be called that.
    Name(CursorNameError),
    /// No cursor of that name is registered.
    Unknown,
    /// Somebody has it.
    InUse,
    /// Its file belongs to another log, or to a cursor of another name: those that it says.
    Foreign {
        /// The log that the place is in.
        log: LogId,
        /// The cursor whose place it is.
        name: CursorName,
    },
    /// The log lost events that were processed: it ended before them, or has a gap there.
    Lost {
        /// The last event that was processed.
        processed: Sequence,
        /// The sequence that the log gives next.
        next: Sequence,
    },
    /// The log has other events in the place of some that were processed: it lost those, or is a
    /// copy that went another way, and went on since.
    Rewritten {
        /// The last event that was processed; what stands there now is another one.
        processed: Sequence,
        /// The epoch in which it was written.
        epoch: Epoch,
        /// The epoch in which the log wrote what stands there now.
        found: Epoch,
    },
    /// Retention has dropped the event that comes next, or the last processed one, which would
    /// prove that the log is still the same. It does neither while the cursor is registered: its
    /// file, or the log's, was put back from elsewhere.
    Behind {
        /// The event that comes next.
        next: Sequence,
        /// The oldest one that is left.
        oldest: Sequence,
    },
    /// Its file cannot be used: both slots are damaged, or one is of a newer version.
    Damaged(CursorFault),
    /// It cannot be made, changed or removed from here.
    NotWriter(NotWriter),
    /// What is before the start could not be made durable, so that no place there is safe.
    NotDurable(Option<SyncError>),
    /// The start is outside the log, or cannot be read.
    Seek(SeekError),
    /// The log cannot be read at the place.
    Read(ReadError),
    /// The operating system refused.
    Io(IoError),
}

const RESET: &str = "to go on nevertheless, reset it to a start of your choice";

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Unknown => {
                write!(f, "no cursor of that name is registered: give a start to register it")
            }
            Self::InUse => write!(f, "the cursor is in use in this process"),
            Self::Foreign { log, name } => write!(
                f,
                "the file is that of the cursor {name} in the log {}: put the right one back; \
                 {RESET}",
                log.uuid()
            ),
            Self::Lost { processed, next } => write!(
                f,
                "event {processed} was processed, but the log lost it: its next sequence is \
                 {next}; {RESET}"
            ),
            Self::Rewritten { processed, epoch, found } => write!(
                f,
                "event {processed} of epoch {epoch} was processed, but the log has another one \
                 there, of epoch {found}; {RESET}"
            ),
            Self::Behind { next, oldest } => write!(
                f,
                "event {next} comes next, but the oldest that is left is {oldest}, and what was \
                 processed before is gone; {RESET}"
            ),
            Self::Damaged(fault) => {
                write!(f, "the cursor's file cannot be used: {fault}; {RESET}")
            }
            Self::NotWriter(error) => error.fmt(f),
            Self::NotDurable(None) => write!(
                f,
                "the writer is gone, and what is before the start is not durable: start earlier"
            ),
            Self::NotDurable(Some(error)) => error.fmt(f),
            Self::Seek(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AttachError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::Damaged(fault) => Some(fault),
            Self::NotWriter(error) => Some(error),
            Self::NotDurable(Some(error)) => Some(error),
            Self::Seek(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Io(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl From<NotWriter> for AttachError {
    fn from(error: NotWriter) -> Self {
        Self::NotWriter(error)
    }
}

impl From<SeekError> for AttachError {
    fn from(error: SeekError) -> Self {
        Self::Seek(error)
    }
}

impl From<ReadError> for AttachError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Why a place was not saved. The one saved before stands.
#[derive(Debug)]
#[non_exhaustive]
pub enum SaveError {
    /// It cannot be saved from here.
    NotWriter(NotWriter),
    /// The event has not been read: the next one that the cursor gives.
    NotRead(Sequence),
    /// A later place is saved already: its event. Going back is what a reset is for.
    Backwards(Sequence),
    /// What was processed is not durable, and will not become so: the log failed, or its writer
    /// was dropped.
    NotDurable(Option<SyncError>),
    /// The log cannot be read at the place.
    Read(ReadError),
    /// The operating system refused. Saving may be tried again.
    Io(IoError),
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWriter(error) => error.fmt(f),
            Self::NotRead(next) => {
                write!(f, "the cursor has not given it: the next that it gives is {next}")
            }
            Self::Backwards(saved) => write!(
                f,
                "event {saved} is saved as processed already: to go back, reset the cursor"
            ),
            Self::NotDurable(None) => write!(
                f,
                "the writer is gone, and what was processed is not durable: save an earlier place"
            ),
            Self::NotDurable(Some(error)) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SaveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotWriter(error) => Some(error),
            Self::NotDurable(Some(error)) => Some(error),
            Self::Read(error) => Some(error),
            Self::Io(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl From<NotWriter> for SaveError {
    fn from(error: NotWriter) -> Self {
        Self::NotWriter(error)
    }
}

impl From<ReadError> for SaveError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}
