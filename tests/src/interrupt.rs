//! Observers of a log's disk: one that fails operations, one that holds some of them back.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use factlog::{DiskObserver, DiskOperation};

/// Fails operations, counted from 1.
#[derive(Debug)]
pub struct Interrupt {
    at: u64,
    ever_after: bool,
    seen: AtomicU64,
}

impl Interrupt {
    /// Fails the `at`-th operation and all after it, as if the process had been killed before it.
    pub fn from(at: u64) -> Arc<Self> {
        Arc::new(Self { at, ever_after: true, seen: AtomicU64::new(0) })
    }

    /// Fails the `at`-th operation alone.
    pub fn only(at: u64) -> Arc<Self> {
        Arc::new(Self { at, ever_after: false, seen: AtomicU64::new(0) })
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl DiskObserver for Interrupt {
    fn before(&self, _: &DiskOperation<'_>) -> io::Result<()> {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if number == self.at || (self.ever_after && number > self.at) {
            return Err(io::Error::other("interrupted"));
        }
        Ok(())
    }
}

/// Holds back the SEALs of segments of 4 MiB, and with them the syncs in the background: nothing
/// becomes durable by itself.
#[derive(Debug, Default)]
pub struct SealHeld {
    released: Mutex<bool>,
    change: Condvar,
}

impl SealHeld {
    /// Lets them go.
    pub fn release(&self) {
        *self.released.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.change.notify_all();
    }
}

impl DiskObserver for SealHeld {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if matches!(operation, DiskOperation::Write(_, offset, _) if *offset == (4 << 20) - 4096) {
            let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
            while !*released {
                released = self.change.wait(released).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(())
    }
}
