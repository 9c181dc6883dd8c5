//! Why a replica does not show what was asked for.

use std::fmt;

use factlog_codec::{Sequence, StreamKeyError};

use super::looking::LOOKING;
use super::suspension::Suspension;

/// Why a replica does not show what was asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReplicaError {
    /// It had not come so far when the time ran out: where it is.
    Behind(Sequence),
    /// It cannot read the log any more: why, and where it is.
    Stopped(String, Sequence),
    /// It was not given this kind of state.
    NoKind(&'static str),
    /// The instance is suspended.
    Suspended(Suspension),
    /// The key cannot name a stream.
    Key(StreamKeyError),
    /// It was asked from inside a look at the same replica, which would wait for itself.
    Looking,
}

impl fmt::Display for ReplicaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(at) => {
                write!(f, "the replica is at event {at}: ask again, or wait longer")
            }
            Self::Stopped(why, at) => write!(f, "the replica stopped at event {at}: {why}"),
            Self::NoKind(name) => write!(f, "the replica does not hold `{name}`: add it first"),
            Self::Suspended(why) => why.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Looking => write!(f, "{LOOKING}"),
        }
    }
}

impl std::error::Error for ReplicaError {}
