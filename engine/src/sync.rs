//! The only place that says where atomics, locks and threads come from: the standard library, or
//! loom when the concurrency is being model-checked (`--cfg loom`).
//!
//! Reference counts stay those of the standard library: they are not what is checked.

mod barrier;

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

pub(crate) mod thread {
    //! Sleeping and being woken. Under loom nobody's time runs out.

    use std::time::Instant;

    #[cfg(loom)]
    pub(crate) use loom::thread::{Thread, current};
    #[cfg(not(loom))]
    pub(crate) use std::thread::{Thread, current};

    /// Sleeps until this thread is unparked, or `deadline` has come, or for no reason.
    #[cfg(not(loom))]
    pub(crate) fn park(deadline: Option<Instant>) {
        match deadline {
            None => std::thread::park(),
            Some(at) => std::thread::park_timeout(at.saturating_duration_since(Instant::now())),
        }
    }

    #[cfg(loom)]
    pub(crate) fn park(_: Option<Instant>) {
        loom::thread::park();
    }
}

#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;

#[cfg(loom)]
pub(crate) use checked::{ArrayQueue, OnceLock};
#[cfg(not(loom))]
pub(crate) use crossbeam_queue::ArrayQueue;
#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, RwLock};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, OnceLock, RwLock};

pub(crate) use barrier::{heavy_fence, light_fence};
pub(crate) use std::sync::{Arc, PoisonError, Weak};

#[cfg(loom)]
mod checked {
    //! What loom does not have, made of what it has, so that it sees every access.

    use std::collections::VecDeque;

    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicBool, Ordering};

    /// Set once; a reader that sees it set sees everything that came before.
    #[derive(Debug)]
    pub(crate) struct OnceLock<T> {
        set: AtomicBool,
        value: std::sync::OnceLock<T>,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
        }

        pub(crate) fn get(&self) -> Option<&T> {
            if self.set.load(Ordering::Acquire) { self.value.get() } else { None }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            self.value.set(value)?;
            self.set.store(true, Ordering::Release);
            Ok(())
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let value = self.value.get_or_init(make);
            self.set.store(true, Ordering::Release);
            value
        }
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    /// The bounded queue, as what it promises.
    #[derive(Debug)]
    pub(crate) struct ArrayQueue<T> {
        entries: Mutex<VecDeque<T>>,
        capacity: usize,
    }

    impl<T> ArrayQueue<T> {
        pub(crate) fn new(capacity: usize) -> Self {
            Self { entries: Mutex::new(VecDeque::new()), capacity }
        }

        fn entries(&self) -> loom::sync::MutexGuard<'_, VecDeque<T>> {
            self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            let mut entries = self.entries();
            if entries.len() == self.capacity {
                return Err(value);
            }
            entries.push_back(value);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.entries().pop_front()
        }

        pub(crate) fn len(&self) -> usize {
            self.entries().len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(crate) fn capacity(&self) -> usize {
            self.capacity
        }
    }
}
