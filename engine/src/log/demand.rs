//! How far somebody waits for the log to be durable, and who is to be woken for it.

use factlog_codec::Sequence;

use super::wait::Signal;
use crate::sync::atomic::{AtomicU64, Ordering};

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Demand {
    /// The next sequence after the greatest that is waited for.
    above: AtomicU64,
    signal: Signal,
}

impl Demand {
    pub(crate) fn new() -> Self {
        Self { above: AtomicU64::new(0), signal: Signal::new() }
    }

    /// Somebody waits for this event.
    pub(crate) fn raise(&self, sequence: Sequence) {
        // Release: the one that is woken sees it.
        self.above.fetch_max(sequence.get().saturating_add(1), Ordering::Release);
        self.signal.notify();
    }

    /// Whether somebody waits for more than what is below `next`.
    pub(crate) fn is_above(&self, next: Sequence) -> bool {
        self.above.load(Ordering::Acquire) > next.get()
    }

    /// What the one who syncs sleeps on.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }
}
