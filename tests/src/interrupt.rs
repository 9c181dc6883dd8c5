//! A gate, and observers of a log's disk: one that fails operations, one that holds some of them back.

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

/// Where threads stand until it is opened, for good.
#[derive(Debug, Default)]
pub struct Gate {
    /// Whether it is open, and how many have come to it.
    state: Mutex<(bool, u64)>,
    change: Condvar,
}

impl Gate {
    /// One that is shut.
    pub const fn new() -> Self {
        Self { state: Mutex::new((false, 0)), change: Condvar::new() }
    }

    /// Goes through, once it is open.
    pub fn pass(&self) {
        self.wait(|state| state.1 += 1, |(open, _)| open);
    }

    /// Waits until somebody has come to it.
    pub fn wait_reached(&self) {
        self.wait(|_| (), |(_, came)| came > 0);
    }

    /// Opens it.
    pub fn open(&self) {
        self.wait(|state| state.0 = true, |_| true);
    }

    fn wait(&self, change: impl FnOnce(&mut (bool, u64)), until: impl Fn((bool, u64)) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.change.notify_all();
        while !until(*state) {
            state = self.change.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Holds back the SEALs of segments of 4 MiB, and with them the syncs in the background: nothing
/// becomes durable by itself.
#[derive(Debug, Default)]
pub struct SealHeld(Gate);

impl SealHeld {
    /// Lets them go.
    pub fn release(&self) {
        self.0.open();
    }
}

impl DiskObserver for SealHeld {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        if matches!(operation, DiskOperation::Write(_, offset, _) if *offset == (4 << 20) - 4096) {
            self.0.pass();
        }
        Ok(())
    }
}
