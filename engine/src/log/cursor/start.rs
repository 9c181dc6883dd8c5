//! Where a cursor begins.

use factlog_codec::Sequence;

/// Where a cursor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the oldest event.
    Oldest,
    /// With this event, which may be the next one to come. Commands without events that stand
    /// directly before it come first.
    Sequence(Sequence),
    /// With the first event committed at or after this time, in nanoseconds since the Unix epoch.
    Time(u64),
    /// With the next event to come.
    End,
}
