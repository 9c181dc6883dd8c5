//! Any number of sleepers, which one publisher wakes at almost no cost to itself.
//!
//! Problem: whoever publishes does so millions of times a second and must not take a lock, nor pay
//! a fence, to learn that nobody sleeps. Idea: a flag that says whether somebody may sleep, and a
//! fence for which the sleeper pays (see `sync::barrier`). A sleeper enters the list, raises the
//! flag, fences, and looks once more; the publisher publishes, then looks at the flag. Whichever
//! comes second sees the other.
//!
//! Waking takes the flag down first. So one publication wakes, and those behind it find the flag
//! down until somebody enters the list again.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::signal::Signal;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, PoisonError, heavy_fence, light_fence};

/// Where the fence of the sleeping side cannot be had, nobody sleeps longer than this.
const SHORT: Duration = Duration::from_millis(1);

/// Those who sleep until something is published.
#[derive(Debug)]
pub(crate) struct WaitList {
    /// Somebody entered since the last waking.
    armed: CachePadded<AtomicBool>,
    sleepers: Mutex<Sleepers>,
    /// Wakes them where there are many; see `herald`.
    herald: Signal,
    /// There is a herald.
    heralded: AtomicBool,
}

#[derive(Debug, Default)]
struct Sleepers {
    next: u64,
    entries: BTreeMap<u64, Sleeper>,
}

#[derive(Debug)]
enum Sleeper {
    /// A thread of which nothing but the waking is ours to run.
    Thread(Arc<Signal>),
    /// Code of somebody's executor.
    Task(Waker),
}

impl Sleeper {
    fn wake(self) {
        match self {
            Self::Thread(signal) => signal.notify(),
            Self::Task(waker) => waker.wake(),
        }
    }
}

impl WaitList {
    pub(crate) fn new() -> Self {
        Self {
            armed: CachePadded::new(AtomicBool::new(false)),
            sleepers: Mutex::new(Sleepers::default()),
            herald: Signal::new(),
            heralded: AtomicBool::new(false),
        }
    }

    /// After something was published: wakes those who sleep.
    ///
    /// Costs two instructions where nobody does. Where there is a herald, it never waits for a
    /// lock, wakes at most one thread itself, and runs no code of others: the rest is the herald's.
    /// Without one it wakes everybody itself.
    #[inline]
    pub(crate) fn notify(&self) {
        light_fence();
        if self.armed.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        // Release and acquire: who entered before is seen by whoever is woken to wake them.
        if !self.armed.swap(false, Ordering::AcqRel) {
            return;
        }
        if !self.heralded.load(Ordering::Acquire) {
            self.wake_all();
        } else if let Some(signal) = self.only_thread() {
            signal.notify();
        } else {
            self.herald.notify();
        }
    }

    /// The one who sleeps, if it is one, a thread, and nobody is at the list.
    fn only_thread(&self) -> Option<Arc<Signal>> {
        let mut sleepers = self.sleepers.try_lock().ok()?;
        if sleepers.entries.len() != 1
            || !matches!(sleepers.entries.first_key_value(), Some((_, Sleeper::Thread(_))))
        {
            return None;
        }
        match sleepers.entries.pop_first() {
            Some((_, Sleeper::Thread(signal))) => Some(signal),
            _ => None,
        }
    }

    /// Wakes everybody, here and now. Code of others' executors may run, and panic.
    pub(crate) fn wake_all(&self) {
        let woken = {
            let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut sleepers.entries)
        };
        for sleeper in woken.into_values() {
            // One that panics must not keep the others asleep.
            let wake = std::panic::AssertUnwindSafe(|| sleeper.wake());
            drop(std::panic::catch_unwind(wake));
        }
    }

    /// Enters the list. After that the caller must look once more before it sleeps.
    fn enter(&self, sleeper: Sleeper) -> Ticket<'_> {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = sleepers.next;
        sleepers.next += 1;
        sleepers.entries.insert(number, sleeper);
        drop(sleepers);
        // Release: see `ring`. A swap, so that one order holds for all changes of the flag.
        self.armed.swap(true, Ordering::AcqRel);
        let fenced = heavy_fence();
        Ticket { list: self, number, fenced }
    }

    /// Enters a task. After that it must look once more before it says that it is pending.
    pub(crate) fn enter_task(&self, waker: &Waker) -> u64 {
        let ticket = self.enter(Sleeper::Task(waker.clone()));
        let number = ticket.number;
        // Without the fence the publisher may have missed it: it looks again at once.
        if !ticket.fenced {
            waker.wake_by_ref();
        }
        std::mem::forget(ticket);
        number
    }

    /// Takes an entry back, if it is still there.
    pub(crate) fn leave(&self, number: u64) {
        let mut sleepers = self.sleepers.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sleepers.entries.remove(&number);
        drop(sleepers);
        // Not under the lock: with a task's last waker the task goes, and leaves other lists.
        drop(entry);
    }

    /// Sleeps until `look` gives something, or `deadline` has come.
    pub(crate) fn wait<T>(
        &self,
        deadline: Option<Instant>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let signal = Arc::new(Signal::new());
        loop {
            let ticket = self.enter(Sleeper::Thread(Arc::clone(&signal)));
            if let Some(found) = look() {
                return Some(found);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
            let until = if ticket.fenced {
                deadline
            } else {
                let soon = Instant::now() + SHORT;
                Some(deadline.map_or(soon, |deadline| deadline.min(soon)))
            };
            signal.wait(until);
        }
    }

    /// For the herald: says that there is one, or that there is none any more.
    pub(super) fn set_heralded(&self, heralded: bool) {
        self.heralded.store(heralded, Ordering::Release);
    }

    /// For the herald: its signal.
    pub(super) fn herald(&self) -> &Signal {
        &self.herald
    }
}

/// A place in the list, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    list: &'a WaitList,
    number: u64,
    /// Whether the publisher is sure to see it.
    fenced: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.list.leave(self.number);
    }
}
