//! Instances whose events the program cannot fold: they are left as they are, and said to be so.

use std::fmt;

use factlog_codec::types::ViewError;
use factlog_codec::{Sequence, StreamVersion};

/// Why an instance takes no commands, and where its events stopped being folded.
///
/// Nothing is guessed: what came before is its state. It goes on when a program is started that
/// understands the event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspension {
    /// The event that could not be folded.
    pub sequence: Sequence,
    /// Its version in the instance's stream.
    pub version: StreamVersion,
    /// Why.
    pub cause: SuspensionCause,
}

/// Why an event was not folded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuspensionCause {
    /// The program does not know an event of this name and version: it is older than the log.
    Unknown {
        /// Name of the event.
        name: String,
        /// Version of the event.
        version: u16,
    },
    /// The payload cannot be read.
    Unreadable(ViewError),
    /// It is of an earlier version, and was not made a newer one: why.
    NotUpcast(String),
    /// `evolve` (or `upcast`) panicked: what it said.
    Panicked(String),
    /// Retention has dropped the beginning of its stream.
    HistoryDropped,
    /// The log cannot be read: why.
    Unread(String),
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, version, cause } = self;
        write!(f, "suspended at event {sequence}, version {version} of its stream: {cause}")
    }
}

impl fmt::Display for SuspensionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, version } => write!(
                f,
                "this program does not know event `{name}` version {version}: start one that does"
            ),
            Self::Unreadable(error) => error.fmt(f),
            Self::NotUpcast(why) => write!(f, "it was not made a newer version: {why}"),
            Self::Panicked(said) => write!(f, "folding it panicked: {said}"),
            Self::HistoryDropped => write!(
                f,
                "retention has dropped the beginning of its stream, and no snapshot has its state"
            ),
            Self::Unread(why) => write!(f, "the log cannot be read: {why}"),
        }
    }
}

impl std::error::Error for Suspension {}
