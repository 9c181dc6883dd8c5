//! What can go wrong, one enum for each family of operations.

use std::fmt;
use std::path::PathBuf;

use factlog_codec::layout::{MAX_EVENTS, MAX_SEGMENT_BITS, MIN_SEGMENT_BITS};
use factlog_codec::types::{SchemaDrift, ViewError};
use factlog_codec::{
    CatalogError, HeaderError, ManifestError, MetadataTooLong, Place, SegmentId, Sequence, Stop,
    StreamKey, StreamKeyError, StreamVersion,
};

use super::disk::FileSystem;
use super::fault::{IoError, ItemFault};
use super::report::{Damage, RecoveryReport, Retained};
use crate::sync::Arc;

/// Why an option cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionError {
    /// Segments must have a power of two of bytes, from 4 MiB to 1 GiB: what was asked for.
    SegmentSize(u64),
    /// From 1 to 16 segments can be kept ready: what was asked for.
    SpareSegments(usize),
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SegmentSize(size) => write!(
                f,
                "a segment cannot have {size} bytes: choose a power of two from {} MiB to {} MiB",
                (1_u64 << MIN_SEGMENT_BITS) >> 20,
                (1_u64 << MAX_SEGMENT_BITS) >> 20
            ),
            Self::SpareSegments(count) => {
                write!(f, "{count} segments cannot be kept ready: choose from 1 to 16")
            }
        }
    }
}

impl std::error::Error for OptionError {}

/// Why a log was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of bounds.
    Option(OptionError),
    /// Somebody else writes this log: its directory.
    Locked(PathBuf),
    /// There is no log in this directory.
    NoLog(PathBuf),
    /// A file stands there; a log is a directory.
    NotADirectory(PathBuf),
    /// The log cannot be written by stores into mappings on this file system.
    CopyOnWrite {
        /// The directory.
        path: PathBuf,
        /// What it stands on.
        file_system: FileSystem,
    },
    /// What is written to a file there does not show through a mapping of it: the directory.
    Incoherent(PathBuf),
    /// The log is on a network file system, which must be asked for.
    Network {
        /// The directory.
        path: PathBuf,
        /// What it stands on.
        file_system: FileSystem,
    },
    /// Neither slot of the manifest can be used, though segments are there.
    Manifest(PathBuf, ManifestError),
    /// The catalog cannot be used, or does not reach the floor of the manifest.
    Catalog(PathBuf, CatalogError),
    /// A segment's header cannot be used.
    Header(SegmentId, HeaderError),
    /// A segment belongs to another log, or its name is not its number.
    Foreign(SegmentId),
    /// Bytes that were durable are gone or changed. Nothing was written.
    Damaged(Box<Damage>),
    /// The same, in what the log was forked from: it shares those files with others, and repairs none
    /// of them.
    DamagedAncestor(Box<Damage>),
    /// The log was not closed, or its tail is torn, and only a clean end was to be accepted. Nothing
    /// was written: what was found.
    NotClean(Box<RecoveryReport>),
    /// A type of the vocabulary stands in the log with another shape.
    Drift(SchemaDrift),
    /// Epochs or segment numbers are used up.
    Exhausted,
    /// The operating system refused.
    Io(IoError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::Locked(path) => write!(
                f,
                "the log in {} is open for writing elsewhere, in this process or another: close \
                 it there, or open it for reading only",
                path.display()
            ),
            Self::NoLog(path) => write!(
                f,
                "there is no log in {}: check the path, or open it for writing to make one",
                path.display()
            ),
            Self::NotADirectory(path) => write!(
                f,
                "{} is a file, and a log is a directory: name the directory that it is in, or is to \
                 be in",
                path.display()
            ),
            Self::CopyOnWrite { path, file_system } => write!(
                f,
                "{} is on {file_system}, where space that was allocated is allocated again at \
                 each write, so that a store into a mapping could meet a full disk: leave the way \
                 of writing to the default, or put the log on ext4, XFS or tmpfs",
                path.display()
            ),
            Self::Incoherent(path) => write!(
                f,
                "what is written to a file in {} does not show through a mapping of it, so that \
                 events could not be read in place: put the log on another file system",
                path.display()
            ),
            Self::Network { path, file_system } => write!(
                f,
                "{} is on {file_system}, where neither locks nor mappings can be trusted: put the \
                 log on a local file system, or allow it with `Options::network_file_systems`",
                path.display()
            ),
            Self::Manifest(path, error) => {
                write!(f, "no manifest in {} can be used: {error}", path.display())
            }
            Self::Catalog(path, error) => write!(
                f,
                "{}, without which the streams of what retention dropped have no names: {error}; \
                 put the right file back",
                path.display()
            ),
            Self::Header(segment, error) => write!(f, "segment {segment}: {error}"),
            Self::Foreign(segment) => write!(
                f,
                "segment {segment} belongs to another log or had another number: put the right \
                 file back"
            ),
            Self::Damaged(damage) => damage.fmt(f),
            Self::DamagedAncestor(damage) => write!(
                f,
                "{damage}. This is a fork, and that is in what it was forked from: it cannot be \
                 repaired here. Open it for reading only with `Recovery::Repair`, and fork what is \
                 left of it (`Fork`)"
            ),
            Self::NotClean(report) => write!(
                f,
                "only a clean end was to be accepted, and nothing was changed: {report}; open the \
                 log without `Recovery::Strict` to have it cut"
            ),
            Self::Drift(drift) => drift.fmt(f),
            Self::Exhausted => write!(f, "the numbers of epochs or segments are used up"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Option(error) => Some(error),
            Self::Manifest(_, error) => Some(error),
            Self::Catalog(_, error) => Some(error),
            Self::Header(_, error) => Some(error),
            Self::Drift(error) => Some(error),
            Self::Io(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl From<IoError> for OpenError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

/// Why an event was not appended. Nothing of it, nor of its transaction, is in the log (but for
/// [`AppendError::NotDurable`]).
#[derive(Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// The event, or the transaction with it, would be larger than a frame may be: bytes.
    TooLarge {
        /// Most bytes that a transaction may take.
        limit: usize,
    },
    /// The transaction has as many events as a frame may have.
    TooManyEvents,
    /// The stream is not at the expected version.
    Conflict {
        /// The stream.
        stream: StreamKey,
        /// What the caller expected.
        expected: StreamVersion,
        /// Where it is.
        actual: StreamVersion,
    },
    /// The stream cannot be called that.
    Stream(StreamKeyError),
    /// A further stream is named twice, is the event's own, or the event has none of its own: this
    /// one.
    Membership(StreamKey),
    /// Metadata and links do not fit.
    Metadata(MetadataTooLong),
    /// A cause, a correlation or an invalidated event that is not in the log yet.
    Unknown(Sequence),
    /// The event cannot correct that one: why.
    Correction(Sequence, CorrectionFault),
    /// The event's type stands in the log with another shape.
    Drift(SchemaDrift),
    /// A type that stands in another log stands here with another shape: its name and version.
    Shape(Box<str>, u16),
    /// The descriptions of all types would take more than an eighth of a segment.
    TypeTableFull,
    /// Numbers for segments, types, positions or streams are used up.
    Exhausted,
    /// There is no space for the next segment. Appending goes on when there is.
    NoSpace(Arc<IoError>),
    /// The next segment cannot be prepared for another reason.
    Prepare(Arc<IoError>),
    /// An earlier operation on a segment in use failed. The log must be opened anew.
    Poisoned(Arc<IoError>),
    /// This process is a forked child of the one that opened the log.
    Forked,
    /// The events are in the log, and visible, but making them durable failed: they may not survive
    /// a power cut. The log must be opened anew.
    NotDurable(Arc<IoError>),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(
                f,
                "the transaction would take more than {limit} bytes: make it smaller, or use \
                 larger segments"
            ),
            Self::TooManyEvents => {
                write!(f, "the transaction would have more than {MAX_EVENTS} events: split it")
            }
            Self::Conflict { stream, expected, actual } => write!(
                f,
                "stream {stream} is at version {actual}, not {expected}: somebody was faster; read \
                 it again and decide anew"
            ),
            Self::Stream(error) => error.fmt(f),
            Self::Membership(stream) => write!(
                f,
                "stream {stream} is no further stream of the event: give the event a stream of its \
                 own, and name each further one once"
            ),
            Self::Metadata(error) => error.fmt(f),
            Self::Unknown(sequence) => {
                write!(
                    f,
                    "event {sequence}, named as cause, correlation or correction, is not in the log"
                )
            }
            Self::Correction(target, fault) => {
                write!(f, "event {target} cannot be corrected by this one: {fault}")
            }
            Self::Drift(drift) => drift.fmt(f),
            Self::Shape(name, version) => write!(
                f,
                "version {version} of `{name}` stands in this log with another shape than in the \
                 other: what is appended there in another shape needs a version of its own"
            ),
            Self::TypeTableFull => write!(
                f,
                "the descriptions of all types together would take more than an eighth of a \
                 segment: use larger segments, or fewer types"
            ),
            Self::Exhausted => write!(f, "a kind of numbers of this log is used up"),
            Self::NoSpace(error) => write!(
                f,
                "no space for the next segment ({error}): nothing was appended; it goes on when \
                 there is space"
            ),
            Self::Prepare(error) => write!(f, "the next segment cannot be prepared: {error}"),
            Self::Poisoned(error) => write!(
                f,
                "the log stopped writing, since an operation failed whose outcome is unknown \
                 ({error}): open it anew"
            ),
            Self::NotDurable(error) => write!(
                f,
                "the events are visible, but may not survive a power cut ({error}): open the log \
                 anew"
            ),
            Self::Forked => write!(
                f,
                "this process is a forked child of the one that opened the log, and may not write"
            ),
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stream(error) => Some(error),
            Self::Metadata(error) => Some(error),
            Self::Correction(_, fault) => Some(fault),
            Self::Drift(error) => Some(error),
            Self::NoSpace(error)
            | Self::Prepare(error)
            | Self::Poisoned(error)
            | Self::NotDurable(error) => Some(&error.source),
            _ => None,
        }
    }
}

/// Why an event cannot be corrected by another one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CorrectionFault {
    /// It belongs to no stream, so nobody would come across the correction: append a new fact.
    NoStream,
    /// It belongs to this stream, and the correction does not: the correction must belong to all
    /// streams of the event.
    OtherStream(Option<StreamKey>),
    /// It was corrected already, by this event: correct that one.
    Already(Sequence),
    /// It, or what its stream has had since, cannot be read: it was lost, or retention has dropped
    /// it.
    Read(Arc<SeekError>),
    /// What stands beside it, or beside what its stream has had since, cannot be read.
    Items(ItemFault),
}

impl fmt::Display for CorrectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStream => write!(f, "it belongs to no stream"),
            Self::OtherStream(Some(stream)) => {
                write!(f, "it belongs to stream {stream}: append the correction to that one too")
            }
            Self::OtherStream(None) => write!(f, "it belongs to another stream"),
            Self::Already(by) => write!(f, "event {by} corrects it already: correct that one"),
            Self::Read(error) => error.fmt(f),
            Self::Items(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for CorrectionFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            _ => None,
        }
    }
}

/// Why events did not become durable, or the log was not closed.
#[derive(Debug)]
#[non_exhaustive]
pub enum SyncError {
    /// This operation failed, or an earlier one did. What was durable stays; the log must be
    /// opened anew.
    Poisoned(Arc<IoError>),
    /// This process is a forked child of the one that opened the log.
    Forked,
    /// Everything is durable, but the manifest could not say so.
    Manifest(IoError),
    /// The thread that owned the writer panicked. Nothing was synced.
    ThreadPanicked,
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(error) => write!(
                f,
                "events may not have become durable, and the log stopped writing ({error}): open \
                 it anew"
            ),
            Self::Forked => AppendError::Forked.fmt(f),
            Self::Manifest(error) => write!(f, "all is durable, but not noted: {error}"),
            Self::ThreadPanicked => write!(
                f,
                "the thread of the writer panicked, and nothing was synced: open the log anew"
            ),
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Poisoned(error) => Some(&error.source),
            Self::Manifest(error) => Some(&error.source),
            Self::Forked | Self::ThreadPanicked => None,
        }
    }
}

/// Why reading stopped. A cursor that gave one of these gives it again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReadError {
    /// A frame that was there no longer verifies.
    Frame(SegmentId, Stop),
    /// The items of a frame cannot be read.
    Items(Place, ItemFault),
    /// A link of a stream does not lead to the event that it names.
    Link {
        /// The stream.
        stream: StreamKey,
        /// The version that should stand there.
        version: StreamVersion,
        /// Where it should stand.
        place: Place,
    },
    /// A segment is missing.
    Missing(SegmentId),
    /// Retention has dropped what was to be read: the oldest sequence that is left.
    BehindFloor(Sequence),
    /// A segment cannot be mapped.
    Io(Arc<IoError>),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(segment, stop) => {
                write!(f, "segment {segment} was damaged while it was open: {stop}")
            }
            Self::Items(place, fault) => write!(f, "the frame at {place} cannot be read: {fault}"),
            Self::Link { stream, version, place } => {
                write!(f, "version {version} of stream {stream} does not stand at {place}")
            }
            Self::Missing(segment) => write!(f, "segment {segment} is missing"),
            Self::BehindFloor(oldest) => {
                write!(f, "retention has dropped it: the oldest event that is left is {oldest}")
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// Why a cursor was not placed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SeekError {
    /// The place is behind the end of the visible log: the next sequence there.
    BeyondEnd(Sequence),
    /// The place is before what is kept: the oldest sequence there is.
    BeforeOldest(Sequence),
    /// The event was lost to damage, and given up by a repair: its sequence. A cursor can be placed
    /// there, and gives what follows.
    Lost(Sequence),
    /// Reading failed on the way.
    Read(ReadError),
}

impl fmt::Display for SeekError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondEnd(next) => {
                write!(f, "the log is not there yet: its next sequence is {next}")
            }
            Self::BeforeOldest(oldest) => {
                write!(f, "the log no longer goes back that far: its oldest sequence is {oldest}")
            }
            Self::Lost(sequence) => {
                write!(f, "event {sequence} was lost to damage, and given up when it was repaired")
            }
            Self::Read(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SeekError {}

impl From<ReadError> for SeekError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Why retention dropped nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RetainError {
    /// The operating system refused. The log is as it was.
    Io(Arc<IoError>),
    /// A segment that was to be dropped cannot be read, so that its streams would be lost.
    Read(ReadError),
    /// The catalog of what was dropped before cannot be read.
    Catalog(CatalogError),
    /// This process is a forked child of the one that opened the log.
    Forked,
    /// Segments were dropped, as the first part says, but the manifest could not say so: their files
    /// stay, and are removed when the log is opened the next time.
    Unfinished(Box<Retained>, Arc<IoError>),
}

impl fmt::Display for RetainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "nothing was dropped: {error}"),
            Self::Read(error) => write!(f, "nothing was dropped: {error}"),
            Self::Catalog(error) => write!(f, "nothing was dropped: {error}"),
            Self::Forked => AppendError::Forked.fmt(f),
            Self::Unfinished(retained, error) => write!(
                f,
                "{} segments were dropped, but their files are still there: {error}",
                retained.dropped
            ),
        }
    }
}

impl std::error::Error for RetainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) | Self::Unfinished(_, error) => Some(&error.source),
            Self::Read(error) => Some(error),
            Self::Catalog(error) => Some(error),
            Self::Forked => None,
        }
    }
}

impl From<ReadError> for RetainError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

/// Why an event was not given as the wanted type: see [`ViewError`].
pub type AccessError = ViewError;
