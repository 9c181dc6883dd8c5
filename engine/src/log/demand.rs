//! How far somebody waits for the log to be durable, and who is to be woken for it.

use factlog_codec::Sequence;

use super::wait::Signal;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is waited for. Whoever waits says so each time it is woken and has to go on waiting.
#[derive(Debug)]
pub(crate) struct Demand {
    /// Something that is visible.
    now: AtomicBool,
    /// The next sequence after the least that is not visible yet.
    later: AtomicU64,
    signal: Signal,
}

impl Demand {
    pub(crate) fn new() -> Self {
        Self { now: AtomicBool::new(false), later: AtomicU64::new(u64::MAX), signal: Signal::new() }
    }

    /// Somebody waits for this event; `visible` is the next sequence that will become visible.
    pub(crate) fn raise(&self, sequence: Sequence, visible: Sequence) {
        if sequence < visible {
            // Release: the one that is woken sees it.
            self.now.store(true, Ordering::Release);
        } else {
            self.later.fetch_min(sequence.get().saturating_add(1), Ordering::Release);
        }
        self.signal.notify();
    }

    /// Whether somebody waits for something that is visible now. Asking takes the demand away.
    pub(crate) fn take(&self, visible: Sequence) -> bool {
        let now = self.now.swap(false, Ordering::AcqRel);
        let reached = self.later.load(Ordering::Acquire) <= visible.get();
        if reached {
            self.later.store(u64::MAX, Ordering::Release);
        }
        now || reached
    }

    /// What the one who syncs sleeps on.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A demand for what is visible counts at once, another one when it has come; each once.
    #[test]
    fn does_a_demand_count_when_it_can_be_met() {
        let demand = Demand::new();
        let next = Sequence::new;
        assert!(!demand.take(next(5)));
        demand.raise(next(4), next(5));
        assert!(demand.take(next(5)) && !demand.take(next(5)));
        demand.raise(next(1000), next(5));
        demand.raise(next(7), next(5));
        assert!(!demand.take(next(7)));
        assert!(demand.take(next(8)) && !demand.take(next(2000)));
    }
}
