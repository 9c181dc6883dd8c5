//! What loom does not have, made of what it has, so that it sees every access.

use std::collections::VecDeque;
use std::sync::PoisonError;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Mutex, MutexGuard};

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

    fn entries(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The unbounded queue, as what it promises.
#[derive(Debug)]
pub(crate) struct SegQueue<T> {
    entries: Mutex<VecDeque<T>>,
}

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(VecDeque::new()) }
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, value: T) {
        self.entries().push_back(value);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.entries().pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }
}

/// Stands for bytes of the log: whoever looks at it while another changes it is found out.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Tracked<T> {
    cell: loom::cell::UnsafeCell<T>,
}

// SAFETY: loom follows every access, and fails the model when two of them collide.
#[cfg(test)]
unsafe impl<T: Send> Sync for Tracked<T> {}

#[cfg(test)]
impl<T: Copy> Tracked<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { cell: loom::cell::UnsafeCell::new(value) }
    }

    pub(crate) fn get(&self) -> T {
        // SAFETY: the pointer is valid; loom has checked that nobody writes meanwhile.
        self.cell.with(|value| unsafe { *value })
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: the pointer is valid; loom has checked that nobody else is there meanwhile.
        self.cell.with_mut(|place| unsafe { *place = value });
    }
}
