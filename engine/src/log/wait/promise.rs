//! One value that one thread leaves for another, or for a task.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::signal::Signal;
use crate::sync::{Arc, Mutex, PoisonError};

/// A value that will be left once, and taken once.
#[derive(Debug)]
pub(crate) struct Promise<T> {
    left: Mutex<Left<T>>,
}

#[derive(Debug)]
enum Left<T> {
    Nothing(Option<Waker>),
    Value(T),
    Taken,
}

impl<T> Promise<T> {
    pub(crate) fn new() -> Self {
        Self { left: Mutex::new(Left::Nothing(None)) }
    }

    /// Leaves the value, and wakes who waits for it. Only the first one counts.
    pub(crate) fn leave(&self, value: T) {
        let waker = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let Left::Nothing(waker) = &mut *left else { return };
            let waker = waker.take();
            *left = Left::Value(value);
            waker
        };
        if let Some(waker) = waker {
            // It is code of somebody's executor.
            let waking = std::panic::AssertUnwindSafe(|| waker.wake());
            drop(std::panic::catch_unwind(waking));
        }
    }

    /// Takes the value, if it is there; else `waker` is woken when it is.
    pub(crate) fn take(&self, waker: Option<&Waker>) -> Option<T> {
        let waker = waker.cloned();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Left::Nothing(waiting) = &mut *left {
            let before = waker.and_then(|waker| waiting.replace(waker));
            drop(left);
            // Not under the lock: it is code of somebody's executor.
            drop(before);
            return None;
        }
        match std::mem::replace(&mut *left, Left::Taken) {
            Left::Value(value) => Some(value),
            Left::Nothing(_) | Left::Taken => None,
        }
    }

    /// Waits for the value, which nobody has taken.
    pub(crate) fn wait(&self) -> T {
        let signal = Arc::new(Signal::new());
        let waker = signal.waker();
        loop {
            if let Some(value) = self.take(Some(&waker)) {
                return value;
            }
            signal.wait(None);
        }
    }

    /// Waits for the value, but no longer than `timeout`.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Option<T> {
        if timeout.is_zero() {
            // A look: the shortest sleep that there is takes longer.
            return self.take(None);
        }
        let deadline = Instant::now().checked_add(timeout);
        let signal = Arc::new(Signal::new());
        let waker = signal.waker();
        loop {
            if let Some(value) = self.take(Some(&waker)) {
                return Some(value);
            }
            if !signal.wait(deadline) {
                return self.take(None);
            }
        }
    }
}
