//! How far somebody waits for the log to be durable, and who is to be woken for it.

use factlog_codec::Sequence;

use super::frontier::Frontier;
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

/// What is to be done about what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// What is visible is made durable, and those who wait are woken.
    Sync,
    /// Those who wait are woken, since all is durable.
    Tell,
}

impl Demand {
    pub(crate) fn new() -> Self {
        Self { now: AtomicBool::new(false), later: AtomicU64::new(u64::MAX), signal: Signal::new() }
    }

    /// Somebody waits for this event; `visible` is the next sequence that will become visible.
    pub(crate) fn raise(&self, sequence: Sequence, visible: Sequence) {
        if sequence < visible {
            // Release: the one that is woken sees it. A swap, as all changes of flags are.
            self.now.swap(true, Ordering::AcqRel);
        } else {
            self.later.fetch_min(sequence.get().saturating_add(1), Ordering::Release);
        }
        self.signal.notify();
    }

    /// Whether somebody waits for something that is visible now. Asking takes the demand away, and
    /// with it that of those who wait for more: they have to be woken, so that they say so again.
    fn take(&self, visible: Sequence) -> bool {
        let now = self.now.swap(false, Ordering::AcqRel);
        let reached = self.later.load(Ordering::Acquire) <= visible.get();
        if reached {
            // A swap: whoever raised what is taken away here is seen in the list of those who wait.
            self.later.swap(u64::MAX, Ordering::AcqRel);
        }
        now || reached
    }

    /// Takes the demand, and says what is to be done; `anyway` if a sync is due also without one.
    pub(crate) fn due(&self, frontier: &Frontier, anyway: bool) -> Due {
        // The demand first: what it was raised for is visible to the look after it.
        let wanted = self.take(frontier.visible_pair().1);
        let behind = frontier.durable() < frontier.visible().position();
        match (behind, wanted) {
            (true, _) if wanted || anyway => Due::Sync,
            // Somebody else's sync was faster: what was waited for is durable, but the demand of
            // those who wait for more was taken with it.
            (false, true) => Due::Tell,
            _ => Due::Nothing,
        }
    }

    /// What the one who syncs sleeps on.
    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }
}

#[cfg(test)]
mod tests {
    use factlog_codec::Position;

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

    /// Where another one's sync was faster, those whose demand went with the one that was met are
    /// woken: they say again what they wait for.
    #[test]
    fn is_who_waits_for_more_woken_when_a_demand_was_met_by_others() {
        let at = |sequence: u64| (Position::from_raw(sequence * 64), Sequence::new(sequence));
        let (start, next) = (at(1), at(2));
        let frontier = Frontier::new(start.0, start.1, start.0, start.1);
        let demand = Demand::new();
        let raise = |sequence| demand.raise(Sequence::new(sequence), frontier.visible_pair().1);
        // One waits for the first event, which its writer makes durable itself.
        raise(1);
        assert_eq!(demand.due(&frontier, false), Due::Nothing);
        frontier.publish(next.0, next.1);
        frontier.publish_durable(next.0, next.1);
        // Another one for a later event; it goes with what was waited for first.
        raise(4);
        assert_eq!(demand.due(&frontier, false), Due::Tell);
        raise(4);
        let end = at(6);
        frontier.publish(end.0, end.1);
        assert_eq!(demand.due(&frontier, false), Due::Sync);
        assert_eq!(demand.due(&frontier, false), Due::Nothing);
        assert_eq!(demand.due(&frontier, true), Due::Sync);
    }
}
