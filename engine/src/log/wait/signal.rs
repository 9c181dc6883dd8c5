//! One sleeper, and who wakes it.

use std::task::{Wake, Waker};
use std::time::Instant;

use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Arc, OnceLock};

const NOTHING: u8 = 0;
const NOTIFIED: u8 = 1;

/// A notice for one thread. A notice that comes before the sleep is not lost; two are one.
#[derive(Debug)]
pub(crate) struct Signal {
    state: AtomicU8,
    sleeper: OnceLock<Thread>,
}

impl Signal {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(NOTHING), sleeper: OnceLock::new() }
    }

    /// Sleeps until a notice comes, and takes it; whether one came before `deadline`.
    ///
    /// Always the same thread waits.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        self.sleeper.get_or_init(thread::current);
        loop {
            // This swap and that of `notify` come one after the other: the later one sees what
            // the other side did before its own, the sleeper's name or the notice.
            if self.state.swap(NOTHING, Ordering::AcqRel) == NOTIFIED {
                return true;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            thread::park(deadline);
        }
    }

    /// Leaves a notice, and wakes the sleeper if it sleeps.
    pub(crate) fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == NOTHING
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
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
