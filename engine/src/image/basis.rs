//! What a decision is based on that is made outside of the thread that writes.

use factlog_codec::{StreamKey, StreamVersion};

/// Which instances somebody has read, each at which version: what a decision is based on that is
/// made outside of the thread that writes.
///
/// A command that was prepared on it is refused if, and only if, one of these has had a further
/// event since. It is given with each state that is read ([`Client::read`](crate::Client::read),
/// [`Replica::read`](crate::Replica::read)); several are joined with [`Basis::and`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    streams: Vec<(StreamKey, StreamVersion)>,
}

impl Basis {
    /// Nothing was read: no command that is prepared on it conflicts with anything.
    pub const fn new() -> Self {
        Self { streams: Vec::new() }
    }

    /// This version of a stream was read.
    #[must_use]
    pub fn with(mut self, stream: StreamKey, version: StreamVersion) -> Self {
        match self.streams.iter_mut().find(|(known, _)| *known == stream) {
            // What was read first is what may be old.
            Some((_, known)) => *known = version.min(*known),
            None => self.streams.push((stream, version)),
        }
        self
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        other.streams.into_iter().fold(self, |sum, (stream, version)| sum.with(stream, version))
    }

    /// What was read.
    pub fn streams(&self) -> &[(StreamKey, StreamVersion)] {
        &self.streams
    }
}
