//! Why it does not go on.

use std::fmt;

use factlog_codec::{ExtensionError, Sequence};

use crate::log::error::{AppendError, OpenError, ReadError, SeekError, SyncError};
use crate::log::forking::ForkError;

/// Why a what-if does not begin, or does not go on. The origin is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum WhatIfError {
    /// There is no fork.
    Fork(ForkError),
    /// The fork does not open.
    Open(OpenError),
    /// The origin cannot be read.
    Read(SeekError),
    /// What stands beside this event of the origin cannot be read.
    Beside(Sequence, ExtensionError),
    /// The type of this event of the origin does not stand there: somebody made that log up.
    NoType(Sequence),
    /// This event of the origin was not appended, nor anything of its transaction.
    Append(Sequence, AppendError),
    /// The transaction in which this event of the origin stands was not committed.
    Commit(Sequence, AppendError),
    /// What was appended may not be durable.
    Close(SyncError),
}

impl fmt::Display for WhatIfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fork(error) => error.fmt(f),
            Self::Open(error) => write!(f, "the fork does not open: {error}"),
            Self::Read(error) => write!(f, "the origin cannot be read: {error}"),
            Self::Beside(sequence, error) => {
                write!(f, "what stands beside event {sequence} of the origin is damaged: {error}")
            }
            Self::NoType(sequence) => {
                write!(f, "event {sequence} of the origin is of a type that is not there")
            }
            Self::Append(sequence, error) => {
                write!(f, "event {sequence} of the origin cannot be appended again: {error}")
            }
            Self::Commit(sequence, error) => write!(
                f,
                "the transaction of event {sequence} of the origin cannot be committed again: \
                 {error}"
            ),
            Self::Close(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WhatIfError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fork(error) => Some(error),
            Self::Open(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Beside(_, error) => Some(error),
            Self::Append(_, error) | Self::Commit(_, error) => Some(error),
            Self::Close(error) => Some(error),
            Self::NoType(_) => None,
        }
    }
}

impl From<ForkError> for WhatIfError {
    fn from(error: ForkError) -> Self {
        Self::Fork(error)
    }
}

impl From<SeekError> for WhatIfError {
    fn from(error: SeekError) -> Self {
        Self::Read(error)
    }
}

impl From<ReadError> for WhatIfError {
    fn from(error: ReadError) -> Self {
        Self::Read(SeekError::Read(error))
    }
}
