//! The only place that says where atomics, locks and threads come from: the standard library, or
//! loom when the concurrency is being model-checked (`--cfg loom`).
//!
//! Reference counts stay those of the standard library: they are not what is checked.

mod barrier;
#[cfg(loom)]
mod checked;

use std::time::Instant;

pub(crate) mod atomic {
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
    #[cfg(not(loom))]
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
}

/// Waits on `changed` until it is notified, `deadline` has come, or for no reason; whether it was
/// in time. Under loom nobody's time runs out.
pub(crate) fn wait_until<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> (MutexGuard<'a, T>, bool) {
    #[cfg(not(loom))]
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = changed.wait_timeout(guard, left);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        return (guard, Instant::now() < deadline);
    }
    let _ = deadline;
    (changed.wait(guard).unwrap_or_else(PoisonError::into_inner), true)
}

#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;

#[cfg(loom)]
pub(crate) use checked::{ArrayQueue, OnceLock, SegQueue};
#[cfg(not(loom))]
pub(crate) use crossbeam_queue::{ArrayQueue, SegQueue};
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock};

pub(crate) use barrier::{full_fence, heavy_fence, light_fence, prepare_fences};
pub(crate) use std::sync::{Arc, PoisonError, TryLockError, Weak, mpsc};

#[cfg(all(test, loom))]
pub(crate) mod model {
    //! What models are made of.

    pub(crate) use super::checked::Tracked;
    pub(crate) use loom::model::Builder;
    pub(crate) use loom::thread::{spawn, yield_now};
    /// Counts beside the model: loom does not see it.
    pub(crate) use std::sync::atomic::AtomicUsize as Count;
}
