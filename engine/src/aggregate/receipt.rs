//! What becomes of a command.

use std::fmt;

use factlog_codec::{Sequence, StreamKey, StreamKeyError, StreamVersion};

use crate::image::Suspension;
use crate::log::{AppendError, IoError};
use crate::sync::Arc;

/// The receipt of an accepted command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<R> {
    /// Sequence of its first event; the next one to be given if it has none.
    pub first: Sequence,
    /// Number of its events.
    pub events: u64,
    /// Version of its aggregate's stream behind them.
    pub version: StreamVersion,
    /// What was answered.
    pub reply: Option<R>,
    /// Whether it was made durable before this was given.
    pub durable: bool,
    /// Whether an earlier command with the same idempotency key did it: this is its receipt.
    pub duplicate: bool,
}

impl<R> Accepted<R> {
    /// Sequence of its last event; the one before the first if it has none.
    pub fn last(&self) -> Sequence {
        Sequence::new((self.first.get() + self.events).saturating_sub(1))
    }
}

/// Why a command led to nothing. No event of it is in the log, but for [`Failure::NotDurable`].
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandError<J> {
    /// The aggregate refused it.
    Rejected {
        /// Why.
        reason: J,
        /// Whether that was said of an earlier command with the same idempotency key.
        duplicate: bool,
    },
    /// Its idempotency key was used for another command.
    KeyReused,
    /// It was prepared on a state that is not the present one: prepare it anew.
    Conflict(Box<Conflict>),
    /// The instance takes no commands, or one does not that it looks at.
    Suspended(Suspension),
    /// It failed.
    Failed(Failure),
}

/// What has changed since a command was prepared: the first such stream of its basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The stream.
    pub stream: StreamKey,
    /// The version that it was prepared on.
    pub basis: StreamVersion,
    /// The version that the stream is at.
    pub found: StreamVersion,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, basis, found } = self;
        write!(
            f,
            "it was prepared on version {basis} of stream {stream}, which is at {found}: prepare \
             it anew"
        )
    }
}

/// How a command failed, though nothing refused it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Failure {
    /// Deciding or folding panicked: what it said. A failure fact in the log says so too.
    Panicked(String),
    /// The same, of an earlier command with the same idempotency key.
    Earlier(String),
    /// The key of the instance cannot name a stream.
    Key(StreamKeyError),
    /// The idempotency key has more than 255 bytes: how many.
    IdempotencyKey(usize),
    /// Events, reply or reason could not be appended.
    Append(Arc<AppendError>),
    /// The log stopped writing: open it anew.
    Stopped(Arc<IoError>),
    /// It is in the log, and visible, but may not survive a power cut. Open the log anew.
    NotDurable(Arc<IoError>),
    /// The state is not known any more, since the log cannot be read: why. Open it anew.
    Unreadable(String),
    /// The engine ended before it said what became of it: it may be in the log.
    Abandoned,
    /// This process is a forked child of the one that started the engine. Nothing was sent.
    Forked,
    /// It was to be waited for inside a question to the same engine, whose thread would wait for itself.
    /// Nothing was sent.
    Asking,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(said) => write!(f, "deciding it panicked: {said}"),
            Self::Earlier(said) => {
                write!(f, "the first command with this idempotency key failed: {said}")
            }
            Self::Key(error) => error.fmt(f),
            Self::IdempotencyKey(len) => {
                write!(f, "an idempotency key has at most 255 bytes, not {len}")
            }
            Self::Append(error) => error.fmt(f),
            Self::Stopped(error) => write!(f, "the log stopped writing ({error}): open it anew"),
            Self::NotDurable(error) => write!(
                f,
                "its events are visible, but may not survive a power cut ({error}): open the log \
                 anew"
            ),
            Self::Unreadable(why) => {
                write!(
                    f,
                    "the state is not known, since the log cannot be read ({why}): open it anew"
                )
            }
            Self::Forked => write!(f, "{FORKED}"),
            Self::Asking => write!(f, "{ASKING}"),
            Self::Abandoned => {
                write!(f, "the engine ended before it said what became of this: look into the log")
            }
        }
    }
}

impl<J: fmt::Display> fmt::Display for CommandError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { reason, .. } => write!(f, "rejected: {reason}"),
            Self::KeyReused => write!(
                f,
                "the idempotency key was used for another command: a key belongs to one command"
            ),
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Suspended(why) => why.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

impl<J: fmt::Debug + fmt::Display> std::error::Error for CommandError<J> {}

pub(super) const FORKED: &str =
    "this process is a forked child of the one that started the engine: nobody decides here";

pub(super) const ASKING: &str = "an engine cannot be waited for inside a question to it: its thread would wait \
                                 for itself";

/// Why a command was not taken. It is given back.
#[non_exhaustive]
pub enum SendError<C> {
    /// The queue is full (or still was when the time ran out).
    Full(C),
    /// The engine takes nothing any more.
    Closed(C),
    /// This process is a forked child of the one that started the engine, whose thread is not here.
    Forked(C),
    /// The engine was not given this aggregate.
    NoAggregate(C, &'static str),
}

impl<C> SendError<C> {
    /// What was sent.
    pub fn into_command(self) -> C {
        match self {
            Self::Full(command)
            | Self::Closed(command)
            | Self::Forked(command)
            | Self::NoAggregate(command, _) => command,
        }
    }
}

impl<C> fmt::Display for SendError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => {
                write!(f, "the queue to the engine is full: send it later, or shed load")
            }
            Self::Closed(_) => write!(f, "the engine was ended, and takes nothing more"),
            Self::Forked(_) => write!(f, "{FORKED}"),
            Self::NoAggregate(_, name) => write!(
                f,
                "the engine does not hold `{name}`: add it with `aggregate` before `start`"
            ),
        }
    }
}

impl<C> fmt::Debug for SendError<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<C> std::error::Error for SendError<C> {}
