//! When events become durable without being asked for.

use std::time::Duration;

/// When events become durable without being asked for.
///
/// Whatever it is, [`Writer::sync`](crate::Writer::sync), [`Writer::close`](crate::Writer::close)
/// and [`Log::wait_durable`](crate::Log::wait_durable) make them durable when they are called, and
/// segments that have ended are synced in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Only when asked for.
    None,
    /// In the background, about so long after they became visible; the default, with 100 ms.
    Interval(Duration),
    /// Before a commit returns, or a submission is answered: one sync for all submissions that are
    /// written together.
    Group,
    /// The same, with one sync for each frame.
    Always,
}

impl Default for Durability {
    fn default() -> Self {
        Self::Interval(Duration::from_millis(100))
    }
}

impl Durability {
    /// Whether whoever commits waits for the sync.
    #[inline]
    pub(crate) const fn is_acknowledged(self) -> bool {
        matches!(self, Self::Group | Self::Always)
    }
}
