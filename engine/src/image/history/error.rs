//! Why there is no answer.

use std::fmt;

use factlog_codec::types::UpcastError;
use factlog_codec::{Sequence, StreamKeyError};

use crate::image::patch::DiffError;
use crate::image::suspension::{Suspension, SuspensionCause};
use crate::log::ReadError;

/// Why a question about the past is not answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HistoryError {
    /// The log has not come so far: its last event.
    BeyondEnd(Sequence),
    /// Retention has dropped what would be needed, and no snapshot that can be used goes back so far:
    /// the oldest event that is left.
    BeforeOldest(Sequence),
    /// The events of the instance cannot all be folded: it is suspended as of that moment.
    Suspended(Suspension),
    /// The history was not given this kind of state.
    NoKind(&'static str),
    /// The key cannot name a stream.
    Key(StreamKeyError),
    /// The kind of state does not know this event, or it becomes none of today's.
    UnknownEvent(Sequence),
    /// An event cannot be looked at.
    Event(UpcastError),
    /// The log cannot be read.
    Read(ReadError),
    /// It cannot be told what differs.
    Diff(DiffError),
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondEnd(last) => {
                write!(f, "the log has not come so far: its last event is {last}")
            }
            Self::BeforeOldest(oldest) => write!(
                f,
                "the log no longer goes back so far: its oldest event is {oldest}, and no snapshot \
                 from before can be used"
            ),
            Self::Suspended(why) => why.fmt(f),
            Self::NoKind(name) => write!(f, "the history does not hold `{name}`: add it first"),
            Self::Key(error) => error.fmt(f),
            Self::UnknownEvent(sequence) => write!(
                f,
                "event {sequence} is not known, or becomes none of today's: start a program that knows \
                 it, or ask for another kind of state"
            ),
            Self::Event(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Diff(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HistoryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Suspended(why) => Some(why),
            Self::Key(error) => Some(error),
            Self::Event(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Diff(error) => Some(error),
            _ => None,
        }
    }
}

impl HistoryError {
    /// Whether what would be needed was dropped: a snapshot may have it.
    pub(super) fn is_dropped(&self) -> bool {
        match self {
            Self::BeforeOldest(_) | Self::Read(ReadError::BehindFloor(_)) => true,
            Self::Suspended(why) => why.cause == SuspensionCause::HistoryDropped,
            _ => false,
        }
    }
}

impl From<ReadError> for HistoryError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<DiffError> for HistoryError {
    fn from(error: DiffError) -> Self {
        Self::Diff(error)
    }
}
