//! The smallest pieces of what can go wrong, which reports and errors are made of.

use std::fmt;
use std::io;
use std::path::PathBuf;

use factlog_codec::{
    CommandItemError, CursorSlotError, ExtensionError, ItemError, StreamItemError, TypeItemError,
};

use crate::sync::Arc;

/// An operation of the operating system that failed, and on what.
#[derive(Debug)]
pub struct IoError {
    /// What was being done, as in "sync the segment".
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl IoError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.path.display(), self.source)
    }
}

impl std::error::Error for IoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Why the items of a frame that verifies cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ItemFault {
    /// An item cannot be read.
    Item(ItemError),
    /// An item's extensions cannot be read.
    Extension(ExtensionError),
    /// A TYPE cannot be read.
    Type(TypeItemError),
    /// A TYPE does not have the next number, or differs from what the log says of that number.
    TypeNumber(u16),
    /// A STREAM cannot be read.
    Stream(StreamItemError),
    /// A STREAM does not have the next number, or its key has a number already.
    StreamNumber(u64),
    /// A COMMAND cannot be read.
    Command(CommandItemError),
    /// An event's type is none of the log's.
    UnknownType(u16),
    /// An event's stream is none of the log's.
    UnknownStream(u64),
    /// An event's link does not go on from the stream's last event: the version it says.
    Link(u64),
    /// The frame says another number of events than it has: it says this.
    Count(u16),
    /// A SEGOPEN contradicts what stands before it.
    SegOpen,
}

impl fmt::Display for ItemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(error) => error.fmt(f),
            Self::Extension(error) => error.fmt(f),
            Self::Type(error) => error.fmt(f),
            Self::TypeNumber(number) => write!(f, "type number {number} is not the next one"),
            Self::Stream(error) => error.fmt(f),
            Self::Command(error) => error.fmt(f),
            Self::StreamNumber(number) => write!(f, "stream number {number} is not the next one"),
            Self::UnknownType(number) => write!(f, "type number {number} stands for nothing"),
            Self::UnknownStream(number) => write!(f, "stream number {number} stands for nothing"),
            Self::Link(version) => {
                write!(f, "version {version} does not go on from the stream's last event")
            }
            Self::Count(count) => write!(f, "the frame does not have the {count} events it says"),
            Self::SegOpen => write!(f, "the SEGOPEN contradicts what stands before it"),
        }
    }
}

impl std::error::Error for ItemFault {}

/// Why the file of a named cursor cannot be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CursorFault {
    /// Neither slot can be used: what is wrong with one of them.
    Slots(CursorSlotError),
    /// It cannot be read.
    Io(Arc<IoError>),
}

impl fmt::Display for CursorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slots(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CursorFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Slots(error) => Some(error),
            Self::Io(error) => Some(&error.source),
        }
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
