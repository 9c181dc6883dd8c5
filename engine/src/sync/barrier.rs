//! A full fence between two threads of which only the one that sleeps pays.
//!
//! Who publishes often and who goes to sleep seldom must not miss each other: one stores and
//! looks whether the other sleeps, the other says that it sleeps and looks at what was stored.
//! Both need a full fence between store and look. On Linux the sleeper can pay for both: with
//! `membarrier` the kernel makes every running thread of the process pass a fence, so that the
//! other side needs to keep the compiler from reordering, and nothing else. Where there is no such
//! call, both pay.
//!
//! Source: Dice, Huang, Yang, "Asymmetric Dekker Synchronization", 2001; `membarrier(2)`.

#[cfg(not(loom))]
mod real {
    use std::sync::OnceLock;
    use std::sync::atomic::{Ordering, compiler_fence, fence};

    /// Whether the kernel fences for both.
    #[inline]
    fn asymmetric() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(register)
    }

    #[cfg(target_os = "linux")]
    fn register() -> bool {
        use rustix::thread::{MembarrierCommand, MembarrierQuery, membarrier, membarrier_query};
        membarrier_query().contains(MembarrierQuery::PRIVATE_EXPEDITED)
            && membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn register() -> bool {
        false
    }

    #[cfg(target_os = "linux")]
    fn fence_all() -> bool {
        use rustix::thread::{MembarrierCommand, membarrier};
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }

    #[cfg(not(target_os = "linux"))]
    fn fence_all() -> bool {
        false
    }

    /// Asks the kernel for what the fences need: once for a process, which can take milliseconds
    /// where it has many threads. So it is done when a log is opened, not at the first event.
    pub(crate) fn prepare_fences() {
        asymmetric();
    }

    /// The side that must be fast.
    #[inline]
    pub(crate) fn light_fence() {
        if asymmetric() {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// For both sides, where neither is in a hurry.
    pub(crate) fn full_fence() {
        fence(Ordering::SeqCst);
    }

    /// The side that is about to sleep. If it fails, it may sleep only for a moment.
    pub(crate) fn heavy_fence() -> bool {
        fence(Ordering::SeqCst);
        !asymmetric() || fence_all()
    }
}

#[cfg(loom)]
mod real {
    use loom::sync::atomic::{Ordering, fence};

    pub(crate) fn prepare_fences() {}

    pub(crate) fn light_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn full_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy_fence() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

pub(crate) use real::{full_fence, heavy_fence, light_fence, prepare_fences};
