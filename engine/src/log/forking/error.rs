//! Why there is no fork.

use std::fmt;
use std::path::PathBuf;

use factlog_codec::layout::MAX_LINEAGE;
use factlog_codec::{CatalogError, Sequence};

use crate::log::error::{OpenError, ReadError};
use crate::log::fault::IoError;

/// Why there is no fork. Nothing was changed in the origin, and nothing has the name of the fork.
#[derive(Debug)]
#[non_exhaustive]
pub enum ForkError {
    /// There is something in the directory already.
    NotEmpty(PathBuf),
    /// A path that has no name of its own, so that nothing can be made beside it.
    NoName(PathBuf),
    /// Somebody else is forking into the same directory: this is where.
    Busy(PathBuf),
    /// Nothing in the log is durable yet: sync it first.
    NothingDurable,
    /// The log does not have that event, or not durably: the last one that can be had.
    Beyond(Sequence),
    /// Retention has dropped that event: the oldest that is left.
    BeforeOldest(Sequence),
    /// Another process dropped segments meanwhile: open the log again.
    Dropped,
    /// The log has 32 ancestors already: copy it instead (`Log::backup`).
    TooManyAncestors,
    /// A segment cannot be linked, and copies were not wanted.
    NoLink(IoError),
    /// The origin cannot be read where the fork would end.
    Read(ReadError),
    /// What the origin says of the streams that retention has dropped cannot be used.
    Catalog(CatalogError),
    /// The system gives no randomness for an identity.
    Identity(OpenError),
    /// The operating system refused.
    Io(IoError),
}

impl fmt::Display for ForkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty(path) => {
                write!(f, "{} is not empty: a fork needs a folder of its own", path.display())
            }
            Self::NoName(path) => {
                write!(f, "{} is no name for a folder: give it one", path.display())
            }
            Self::Busy(path) => write!(
                f,
                "somebody else is forking in {}: wait, or give the fork another name",
                path.display()
            ),
            Self::NothingDurable => {
                write!(
                    f,
                    "nothing in the log is durable yet: call `Writer::sync` before it is forked, or \
                     wait with `Log::wait_durable`"
                )
            }
            Self::Beyond(last) => write!(
                f,
                "the last event that can be taken is {last}: what comes after it is not there, or \
                 not durable; call `Writer::sync`, or wait with `Log::wait_durable`"
            ),
            Self::BeforeOldest(oldest) => {
                write!(f, "retention has dropped that event: the oldest is {oldest}")
            }
            Self::Dropped => write!(
                f,
                "segments were dropped by another process meanwhile: open the log again, and fork \
                 it then"
            ),
            Self::TooManyAncestors => write!(
                f,
                "the log has {MAX_LINEAGE} ancestors, and a fork would have one more: make a \
                 backup of it instead"
            ),
            Self::NoLink(error) => {
                write!(
                    f,
                    "it cannot be linked ({error}), and copies were not wanted: fork on the \
                           same file system"
                )
            }
            Self::Read(error) => write!(f, "the origin cannot be read where it would end: {error}"),
            Self::Catalog(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ForkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoLink(error) | Self::Io(error) => Some(&error.source),
            Self::Read(error) => Some(error),
            Self::Catalog(error) => Some(error),
            Self::Identity(error) => Some(error),
            _ => None,
        }
    }
}

impl From<IoError> for ForkError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl From<ReadError> for ForkError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}
