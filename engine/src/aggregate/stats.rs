//! What an engine is doing, in numbers. Asking costs the thread that decides nothing.

use std::time::Duration;

use factlog_codec::types::{Encode, EventType};

use crate::image::{SnapshotTaken, SnapshotTrouble};
use crate::log::{Stats, Stopwatch};
use crate::sync::{Arc, Mutex, PoisonError};

/// What an engine is doing. Counts are since it was started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EngineStats {
    /// What its log is doing, and how many commands wait.
    pub log: Stats,
    /// For each type of command the longest that one has kept the thread, the longest first.
    pub longest: Vec<LongestDecision>,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// The last one.
    pub snapshot: Option<SnapshotTaken>,
    /// Snapshots that were to be taken and were not.
    pub snapshots_failed: u64,
    /// Why the last of those was not. Where it was to be taken by itself, a
    /// [`SnapshotFailed`](crate::SnapshotFailed) in the log says so too.
    pub snapshot_trouble: Option<SnapshotTrouble>,
}

/// The command of its type that has kept the thread the longest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongestDecision {
    /// The kind of aggregate.
    pub aggregate: &'static str,
    /// Name of the command.
    pub command: String,
    /// From when the thread turned to it until its events were folded: `decide` and `evolve` are
    /// in it, loading an instance from a snapshot too, writing the frame is not. If the system took the
    /// thread's processor away meanwhile, so is that.
    pub took: Duration,
}

/// What is noted for those who ask.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<EngineStats>>);

impl Notes {
    /// Everything but the log.
    pub(super) fn read(&self) -> EngineStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What became of a snapshot.
    pub(super) fn snapshot(&self, written: &Result<SnapshotTaken, SnapshotTrouble>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(taken) => {
                noted.snapshots += 1;
                noted.snapshot = Some(taken.clone());
            }
            Err(trouble) => {
                noted.snapshots_failed += 1;
                noted.snapshot_trouble = Some(trouble.clone());
            }
        }
    }

    fn longest(&self, aggregate: &'static str, command: &EventType, took: Duration) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = &mut noted.longest;
        let same = |one: &&mut LongestDecision| {
            one.aggregate == aggregate && one.command == command.name()
        };
        match longest.iter_mut().find(same) {
            Some(one) => one.took = one.took.max(took),
            None => longest.push(LongestDecision {
                aggregate,
                command: command.name().to_owned(),
                took,
            }),
        }
        longest.sort_by_key(|one| std::cmp::Reverse(one.took));
    }
}

/// Measures commands, one after the other: where one ends the next begins, so the counter is read
/// once for each.
#[derive(Debug)]
pub(super) struct Timing {
    watch: Stopwatch,
    since: u64,
    /// By the slot of a command's type: most ticks so far.
    most: Vec<u64>,
    notes: Notes,
}

impl Timing {
    pub(super) fn new(notes: Notes) -> Self {
        Self { watch: Stopwatch::new(), since: 0, most: Vec::new(), notes }
    }

    /// The next command begins now.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.since = self.watch.now();
    }

    /// It has ended, and the next one may begin.
    #[inline]
    pub(super) fn end(&mut self, aggregate: &'static str, command: &impl Encode) {
        let now = self.watch.now();
        let took = now.saturating_sub(std::mem::replace(&mut self.since, now));
        let of = command.event_type();
        if self.most.get(of.slot()).is_none_or(|most| took > *most) {
            self.longer(aggregate, of, took);
        }
    }

    #[cold]
    #[inline(never)]
    fn longer(&mut self, aggregate: &'static str, of: &EventType, took: u64) {
        let slot = of.slot();
        if self.most.len() <= slot {
            self.most.resize(slot + 1, 0);
        }
        if let Some(most) = self.most.get_mut(slot) {
            *most = took;
        }
        self.notes.longest(aggregate, of, self.watch.duration(took));
    }
}
