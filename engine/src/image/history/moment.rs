//! Of which moment somebody asks, and of which the answer is.

use factlog_codec::Sequence;

use crate::log::Bound;

/// A moment in the history of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// When this event had happened, and nothing after it. It may stand in the middle of a
    /// transaction.
    Sequence(Sequence),
    /// When everything had been committed that was by this time, in nanoseconds since the Unix epoch:
    /// all frames whose time is this or earlier. It is the time of commits; for a time that stands in
    /// events, see [`Log::partition_point`](crate::Log::partition_point).
    Time(u64),
    /// When everything had happened that is visible now.
    Now,
}

impl From<Sequence> for Moment {
    fn from(sequence: Sequence) -> Self {
        Self::Sequence(sequence)
    }
}

/// Of which moment an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AsOf {
    /// The last event of the log that is in it.
    pub sequence: Sequence,
    /// Whether the moment lies behind the last frame: what is committed until then would change the
    /// answer. Asked again, it may be another one.
    pub open_ended: bool,
}

/// A moment, once it was held against the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) bound: Bound,
    pub(super) open_ended: bool,
}
