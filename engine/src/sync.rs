//! The only place that says where atomics come from: the standard library, or loom when the
//! concurrency is being model-checked (`--cfg loom`).

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

pub(crate) use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock, Weak};
