//! What makes bytes durable, and says how far.
//!
//! Segments that ended are sealed and synced in the background; the one in use when somebody asks,
//! when it is due, or when somebody waits for it.
//!
//! - `order`: oldest segment first, one watermark
//! - `files`: what a sync is
//! - here: when it is done, and the thread in the background

mod files;
mod order;

use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use factlog_codec::Position;

use super::demand::Due;
use super::durability::Durability;
use super::fault::IoError;
use super::shared::Shared;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, PoisonError};
pub(super) use files::{InUse, seal_late, write_again};
#[cfg(all(test, loom))]
pub(super) use order::{Failed, Medium};
pub(super) use order::{Owed, Retired, SyncOrder};

/// How often it is looked for segments that have ended.
const NAP: Duration = Duration::from_millis(20);
/// How long a log is at rest before the manifest notes how far it is durable.
const REST: Duration = Duration::from_secs(1);

/// Makes bytes durable in order.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    order: SyncOrder<InUse>,
    stop: AtomicU8,
}

impl Syncer {
    pub(crate) fn new(shared: &Arc<Shared>, owed: Owed, in_use: InUse) -> Self {
        let order = SyncOrder::new(owed, in_use, shared.bits);
        Self { shared: Arc::clone(shared), order, stop: AtomicU8::new(0) }
    }

    /// Takes over a segment that has ended. No system call.
    pub(crate) fn retire(&self, retired: Retired<InUse>) {
        self.order.retire(retired);
    }

    /// Makes everything durable that is visible when this is called.
    pub(crate) fn sync(&self) -> Result<(), Arc<IoError>> {
        let done = self.order.sync(&*self.shared, &self.shared.frontier);
        self.tell();
        done
    }

    /// Seals and syncs segments that have ended.
    fn settle_all(&self) -> Result<(), Arc<IoError>> {
        let done = self.order.settle_all(&*self.shared, &self.shared.frontier);
        self.tell();
        done
    }

    /// Wakes those who wait for what has been done, or for its failure. Not under the lock: code
    /// of somebody's executor may run.
    fn tell(&self) {
        self.shared.frontier.durable_waiters().notify();
        if self.shared.poison.get().is_some() {
            self.shared.frontier.notify();
        }
    }

    /// The last frames of a log at rest have no witness behind them: the manifest becomes one.
    fn note_idle(&self) {
        if self.shared.poison.get().is_some() {
            return;
        }
        let (durable, next) = self.shared.frontier.durable_pair();
        let mut keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.manifest().checkpoint < durable {
            // It is a further witness, and nothing relies on it: a failure is no loss.
            drop(keeper.checkpoint(durable, next));
        }
    }

    /// What the thread in the background does.
    fn run(&self, mut idle: Idle) {
        let interval = match self.shared.durability {
            Durability::Interval(interval) => Some(interval),
            _ => None,
        };
        // What recovery has left to be done; where nothing is to be synced unasked, it waits.
        if self.shared.durability != Durability::None {
            drop(self.settle_all());
        }
        let mut last = Instant::now();
        while self.stop.load(Ordering::Acquire) == 0 {
            let nap = interval.map_or(NAP, |interval| interval.clamp(NAP / 20, NAP));
            self.shared.demand.signal().wait(Some(Instant::now() + nap));
            let anyway = interval.is_some_and(|interval| last.elapsed() >= interval);
            let due = self.shared.demand.due(&self.shared.frontier, anyway);
            if due == Due::Tell {
                self.tell();
            }
            // A failure has poisoned the log, which is where it is reported.
            if due == Due::Sync {
                last = Instant::now();
                drop(self.sync());
            } else if !self.order.is_settled() {
                drop(self.settle_all());
            } else if idle.is_over(self.shared.frontier.durable()) {
                self.note_idle();
            }
        }
    }
}

/// Tells when a log has been at rest for a while: once for each rest.
#[derive(Debug)]
struct Idle {
    durable: Position,
    since: Instant,
    noted: bool,
}

impl Idle {
    /// At rest since now; what is durable now needs no note.
    fn new(durable: Position) -> Self {
        Self { durable, since: Instant::now(), noted: true }
    }

    /// Whether the durable position has stayed for long enough, and nobody was told yet.
    fn is_over(&mut self, durable: Position) -> bool {
        if durable != self.durable {
            *self = Self { durable, since: Instant::now(), noted: false };
        }
        let over = !self.noted && self.since.elapsed() >= REST;
        self.noted |= over;
        over
    }
}

/// The thread that syncs in the background.
#[derive(Debug)]
pub(crate) struct Background {
    syncer: Arc<Syncer>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start(syncer: &Arc<Syncer>) -> io::Result<Self> {
        let inside = Arc::clone(syncer);
        // Before anybody writes: what is committed before the thread first runs needs a note, too.
        let idle = Idle::new(syncer.shared.frontier.durable());
        let run = move || inside.run(idle);
        let thread = thread::Builder::new().name("factlog-sync".into()).spawn(run)?;
        Ok(Self { syncer: Arc::clone(syncer), thread: Some(thread) })
    }

    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.syncer.stop.store(1, Ordering::Release);
        self.syncer.shared.demand.signal().notify();
        drop(thread.join());
    }

    /// In a forked child the thread does not exist: nothing to end.
    pub(crate) fn forget(&mut self) {
        self.thread = None;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
