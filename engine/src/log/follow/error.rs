//! What can go wrong on both sides.

use std::fmt;
use std::io;

use factlog_codec::{
    Epoch, FollowMessageError, FollowRefusal, HeaderError, LogId, Place, Position, SegmentId,
    StopReason,
};

use super::link::NoMessage;
use crate::log::error::{OpenError, ReadError};
use crate::log::fault::{IoError, ItemFault};
use crate::sync::Arc;

/// Why a leader feeds a follower no more. The log is as it was.
#[derive(Debug)]
#[non_exhaustive]
pub enum FeedError {
    /// The follower cannot go on from where it is; it was told so.
    Refused(FollowRefusal),
    /// The connection ended or failed: the follower may come again.
    Link(io::Error),
    /// What came is no message.
    Message(FollowMessageError),
    /// Another message was due: what it is called that came.
    Unexpected(&'static str),
    /// The follower acknowledges what it was not sent, or less than it has already.
    Acknowledged(Position),
    /// The log cannot be read.
    Read(ReadError),
}

impl fmt::Display for FeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the follower was refused. It was told: {refusal}"),
            Self::Link(error) => write!(f, "the connection to the follower is gone: {error}"),
            Self::Message(error) => write!(f, "what the follower sent is no message: {error}"),
            Self::Unexpected(name) => write!(f, "the follower sent {name} out of turn"),
            Self::Acknowledged(position) => write!(
                f,
                "the follower acknowledges position {}, which it cannot have come to",
                position.raw()
            ),
            Self::Read(error) => write!(f, "the log cannot be sent: {error}"),
        }
    }
}

impl std::error::Error for FeedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Link(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Unexpected(_) | Self::Acknowledged(_) => None,
        }
    }
}

impl From<ReadError> for FeedError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<NoMessage> for FeedError {
    fn from(error: NoMessage) -> Self {
        match error {
            NoMessage::Link(error) => Self::Link(error),
            NoMessage::Message(error) => Self::Message(error),
        }
    }
}

/// Why a follower follows no more. What it has is a prefix of the leader's log: nothing that did not
/// verify was written.
#[derive(Debug)]
#[non_exhaustive]
pub enum FollowError {
    /// The leader does not let it go on from where it is.
    Refused(FollowRefusal),
    /// The connection ended or failed: connect again.
    Link(io::Error),
    /// What came is no message: connect again.
    Message(FollowMessageError),
    /// Another message was due: what it is called that came.
    Unexpected(&'static str),
    /// The leader is of an epoch before the last one that is known here: somebody else has been
    /// promoted since.
    Stale {
        /// The leader's.
        leader: Epoch,
        /// The last one that is known here.
        known: Epoch,
    },
    /// Bytes do not go on where the log ends.
    Position {
        /// Where it ends.
        expected: Position,
        /// Where they go.
        found: Position,
    },
    /// The segment that begins is not the next one: it.
    Segment(SegmentId),
    /// The segment that begins belongs to another log, or has another size.
    Foreign(LogId),
    /// The first page of a segment cannot be used.
    Header(HeaderError),
    /// The segment that begins does not go on from what is here.
    Successor(SegmentId),
    /// What should be a frame does not verify, or does not go on from the one before.
    Frame(Place, StopReason),
    /// A frame is longer than any that a writer writes: its bytes.
    FrameTooLarge(Place, u32),
    /// A frame is of an epoch above the leader's.
    Epoch(Place, Epoch),
    /// A frame verifies, and its items make no sense. Open the directory anew before going on.
    Items(Place, ItemFault),
    /// An earlier frame made no sense: open the directory anew.
    Spoiled,
    /// This process is a forked child of the one that opened the directory.
    Forked,
    /// Nothing can be written any more, since an operation failed whose outcome is unknown: open the
    /// directory anew.
    Poisoned(Arc<IoError>),
    /// The directory cannot be used for the leader's log.
    Open(OpenError),
    /// What is here cannot be read.
    Read(ReadError),
    /// The manifest could not be written.
    Manifest(IoError),
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Link(error) => {
                write!(f, "the connection to the leader is gone: {error}; connect again")
            }
            Self::Message(error) => {
                write!(f, "what the leader sent is no message: {error}; connect again")
            }
            Self::Unexpected(name) => write!(f, "the leader sent {name} out of turn"),
            Self::Stale { leader, known } => write!(
                f,
                "the leader is of epoch {leader}, and epoch {known} is known here: follow the one \
                 that was promoted since"
            ),
            Self::Position { expected, found } => write!(
                f,
                "bytes came for position {}, and {} is the next one",
                found.raw(),
                expected.raw()
            ),
            Self::Segment(segment) => write!(f, "segment {segment} came out of order"),
            Self::Foreign(log) => write!(f, "a segment of another log came: {log}"),
            Self::Header(error) => write!(f, "a segment came that cannot be used: {error}"),
            Self::Successor(segment) => {
                write!(f, "segment {segment}, which came, does not go on from what is here")
            }
            Self::Frame(place, reason) => write!(f, "what came for {place} is refused: {reason}"),
            Self::FrameTooLarge(place, bytes) => {
                write!(f, "the frame that came for {place} has {bytes} bytes: none is so long")
            }
            Self::Epoch(place, epoch) => write!(
                f,
                "the frame that came for {place} is of epoch {epoch}, which the leader has not \
                 come to"
            ),
            Self::Items(place, fault) => write!(
                f,
                "the frame that came for {place} makes no sense: {fault}; it was not written: open \
                 the directory anew"
            ),
            Self::Spoiled => write!(f, "an earlier frame made no sense: open the directory anew"),
            Self::Forked => write!(
                f,
                "this process is a forked child of the one that opened the directory, and may not \
                 write"
            ),
            Self::Poisoned(error) => write!(
                f,
                "nothing is written any more, since an operation failed whose outcome is unknown \
                 ({error}): open the directory anew"
            ),
            Self::Open(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Manifest(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FollowError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Link(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Header(error) => Some(error),
            Self::Poisoned(error) => Some(&error.source),
            Self::Open(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Manifest(error) => Some(&error.source),
            _ => None,
        }
    }
}

impl From<OpenError> for FollowError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<ReadError> for FollowError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<NoMessage> for FollowError {
    fn from(error: NoMessage) -> Self {
        match error {
            NoMessage::Link(error) => Self::Link(error),
            NoMessage::Message(error) => Self::Message(error),
        }
    }
}
