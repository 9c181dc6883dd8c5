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

/// Where commits end that are acknowledged as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CommitAlign {
    /// At a multiple of 4,096 bytes; the default. Nothing that is written later shares a page with
    /// them, so that they also survive on a medium on which a sector that is being written when
    /// the power goes may come to hold anything, and a sync never writes a page twice.
    #[default]
    Page,
    /// Where they happen to end. Saves space, and relies on a medium on which a sector is old or
    /// new.
    None,
}

/// What bears witness to how far the log was durable, should its end rot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Witness {
    /// Each frame says how far the log was durable when it was written. So the last acknowledged
    /// commit has no witness until the next frame is on the medium: if its bytes rot before that,
    /// they look like a torn tail. The default.
    #[default]
    NextFrame,
    /// The manifest says so before a commit is acknowledged, at the price of a second sync.
    Strict,
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
