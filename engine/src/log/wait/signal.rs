//! One sleeper, and who wakes it.
//!
//! The parking primitive of the engine: made of the lock and the condition variable of `sync`, so
//! that the models see it. A lock is taken only when somebody sleeps.

use std::task::{Wake, Waker};
use std::time::Instant;

use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, Condvar, Mutex, PoisonError, wait_until};

const NOTHING: u8 = 0;
const SLEEPING: u8 = 1;
const NOTIFIED: u8 = 2;

/// A notice for one thread. A notice that comes before the sleep is not lost; two are one.
#[derive(Debug)]
pub(crate) struct Signal {
    state: AtomicU8,
    bed: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(NOTHING), bed: Mutex::new(()), changed: Condvar::new() }
    }

    /// Sleeps until a notice comes, and takes it; whether one came before `deadline`.
    ///
    /// One thread at a time waits.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        // Acquire and release: what was done before the notice is seen, and the notice after it
        // is not taken for this one.
        if self.state.swap(NOTHING, Ordering::AcqRel) == NOTIFIED {
            return true;
        }
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        let lie_down =
            self.state.compare_exchange(NOTHING, SLEEPING, Ordering::AcqRel, Ordering::Acquire);
        if lie_down.is_err() {
            // It came just now.
            return self.state.swap(NOTHING, Ordering::AcqRel) == NOTIFIED;
        }
        loop {
            let (guard, in_time) = wait_until(&self.changed, bed, deadline);
            bed = guard;
            // For no reason at all, or for one.
            if self.state.load(Ordering::Acquire) == NOTIFIED || !in_time {
                return self.state.swap(NOTHING, Ordering::AcqRel) == NOTIFIED;
            }
        }
    }

    /// Leaves a notice, and wakes the sleeper if it sleeps.
    pub(crate) fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == SLEEPING {
            // It sleeps, or is about to: then it holds the lock.
            drop(self.bed.lock().unwrap_or_else(PoisonError::into_inner));
            self.changed.notify_one();
        }
    }

    /// As a waker.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
