//! How a cursor waits, and how a wait ends.

/// How a cursor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitStrategy {
    /// Looks again at once: the lowest latency, for a core of its own.
    Spin,
    /// Lets others run between two looks.
    Yield,
    /// Looks for some microseconds, then sleeps until the writer wakes it: costs nothing while
    /// nothing comes.
    Park,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// There is something to read.
    Ready,
    /// The time ran out.
    TimedOut,
    /// The writer is gone, or the log has failed, and everything has been read. (Where a thread in
    /// the background found the failure, an append that was under way may still become visible
    /// after that; no later one does.)
    Closed,
}
