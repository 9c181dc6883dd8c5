//! Failures as facts: the types of what the engine itself writes into the log about them.

/// A command failed, though nothing refused it: deciding it or folding its events panicked.
#[factlog_codec::event(name = "$command-failed", version = 1, engine, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFailed {
    /// The kind of aggregate.
    pub aggregate: String,
    /// Which instance.
    pub key: String,
    /// Name of the command.
    pub command: String,
    /// What the panic said.
    pub cause: String,
}

/// An instance was suspended: its events cannot be folded from here on.
#[factlog_codec::event(name = "$instance-suspended", version = 1, engine, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSuspended {
    /// The kind of aggregate.
    pub aggregate: String,
    /// Which instance.
    pub key: String,
    /// Sequence of the event that could not be folded.
    pub event: u64,
    /// Why.
    pub cause: String,
}

/// A snapshot that was to be taken by itself was not: a restart takes longer than it should.
#[factlog_codec::event(name = "$snapshot-failed", version = 1, engine, crate = factlog_codec)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFailed {
    /// The event up to which it was to be.
    pub event: u64,
    /// Why.
    pub cause: String,
}
