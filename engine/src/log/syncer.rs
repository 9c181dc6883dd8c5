//! What makes bytes durable, and says how far: oldest segment first, one watermark.
//!
//! Segments that ended are sealed and synced in the background; the one in use when somebody asks,
//! when it is due, or when somebody waits for it. All of it goes through one lock, so that the
//! watermark is a prefix.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use factlog_codec::layout::seal_offset;
use factlog_codec::{Position, Seal, SegmentId, Sequence};

use super::disk::{has_other_names, open_regular, read_at};
use super::durability::{Durability, Witness};
use super::fault::IoError;
use super::map::Mapping;
use super::recovery::Unproven;
use super::segment::Segment;
use super::shared::Shared;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, Mutex, PoisonError};

/// How often it is looked for segments that have ended.
const NAP: Duration = Duration::from_millis(20);
/// How long a log is at rest before the manifest notes how far it is durable.
const REST: Duration = Duration::from_secs(1);

/// A segment that is written, for whoever syncs it.
#[derive(Debug, Clone)]
pub(crate) struct InUse {
    pub(crate) segment: Arc<Segment>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) file: Arc<File>,
}

/// A segment that the writer has left, and the one that it goes on in.
#[derive(Debug)]
pub(crate) struct Retired {
    pub(crate) left: InUse,
    pub(crate) seal: Seal,
    pub(crate) next: InUse,
}

/// Makes bytes durable in order.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    retired: SegQueue<Retired>,
    /// Whoever holds this is the one that syncs, and publishes the durable watermark.
    due: Mutex<Due>,
    stop: AtomicU8,
}

#[derive(Debug)]
struct Due {
    unproven: VecDeque<Unproven>,
    unsealed: VecDeque<(SegmentId, Seal)>,
    in_use: InUse,
}

/// What recovery has left to be done.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Bytes to be written again before they count as durable.
    pub(crate) unproven: Vec<Unproven>,
    /// Segments that ended, and have no SEAL yet.
    pub(crate) unsealed: Vec<(SegmentId, Seal)>,
}

impl Syncer {
    pub(crate) fn new(shared: &Arc<Shared>, owed: Owed, in_use: InUse) -> Self {
        Self {
            shared: Arc::clone(shared),
            retired: SegQueue::new(),
            due: Mutex::new(Due {
                unproven: owed.unproven.into(),
                unsealed: owed.unsealed.into(),
                in_use,
            }),
            stop: AtomicU8::new(0),
        }
    }

    /// Takes over a segment that has ended. No system call.
    pub(crate) fn retire(&self, retired: Retired) {
        self.retired.push(retired);
    }

    /// Makes everything durable that is visible when this is called.
    pub(crate) fn sync(&self) -> Result<(), Arc<IoError>> {
        let done = self.sync_under_lock();
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

    /// Seals and syncs segments that have ended.
    fn settle_all(&self) -> Result<(), Arc<IoError>> {
        let done = self.settle(&mut self.due.lock().unwrap_or_else(PoisonError::into_inner));
        self.tell();
        done
    }

    fn sync_under_lock(&self) -> Result<(), Arc<IoError>> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        // Before anything is synced: every store below it has been made.
        let (visible, next) = self.shared.frontier.visible_pair();
        let end = visible.position();
        // The segment before was retired before anything of this one became visible, so what is
        // in use after this is the segment of `end`, or a later one, and then `end` is durable.
        self.settle(&mut due)?;
        if self.shared.frontier.durable() >= end {
            return Ok(());
        }
        let id = end.segment(self.shared.bits);
        let in_use = &due.in_use;
        let synced = if in_use.segment.id() == id {
            in_use.mapping.flush().and_then(|()| self.shared.directory.io().sync_data(&in_use.file))
        } else {
            Err(io::Error::other("the segment in use is another one than the writer's"))
        };
        self.check(synced, id)?;
        self.publish(end, next)
    }

    /// Has the manifest say how far everything is durable, where that is asked for before anybody
    /// is told.
    fn bear_witness(&self, end: Position, next: Sequence) -> Result<(), Arc<IoError>> {
        if self.shared.witness != Witness::Strict {
            return Ok(());
        }
        let mut keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.checkpoint(end, next).map_err(|error| {
            let root = self.shared.directory.root();
            self.shared.poison_quietly(IoError::new("write a manifest in", root, error))
        })
    }

    /// What is due without the segment in use.
    fn settle(&self, due: &mut Due) -> Result<(), Arc<IoError>> {
        if let Some(cause) = self.shared.poison.get() {
            return Err(Arc::clone(cause));
        }
        while let Some(range) = due.unproven.front().copied() {
            self.check(self.write_again(range), range.segment)?;
            due.unproven.pop_front();
            self.advance(range.segment, range.to, range.next)?;
        }
        while let Some((id, seal)) = due.unsealed.pop_front() {
            self.check(self.seal_late(id, &seal), id)?;
        }
        while let Some(retired) = self.retired.pop() {
            let id = retired.left.segment.id();
            self.check(self.seal(&retired), id)?;
            self.advance(id, retired.seal.end, retired.seal.next_sequence)?;
            due.in_use = retired.next;
        }
        Ok(())
    }

    fn advance(&self, segment: SegmentId, end: u32, next: Sequence) -> Result<(), Arc<IoError>> {
        let end = Position::new(segment, end, self.shared.bits);
        if end > self.shared.frontier.durable() {
            self.publish(end, next)?;
        }
        Ok(())
    }

    fn publish(&self, end: Position, next: Sequence) -> Result<(), Arc<IoError>> {
        self.bear_witness(end, next)?;
        self.shared.frontier.publish_durable(end, next);
        Ok(())
    }

    /// Puts recovered bytes back to their place, so that their pages are dirty, and syncs.
    fn write_again(&self, range: Unproven) -> io::Result<()> {
        let path = self.shared.directory.segment(range.segment);
        let disk = self.shared.directory.io();
        // A file that another log shares is never written; it was durable when it was shared.
        let file = open_regular(&path, true)?;
        if has_other_names(&file)? {
            return disk.sync_data(&file);
        }
        let mut chunk = vec![0; 1 << 20];
        let (mut from, to) = (u64::from(range.from), u64::from(range.to));
        while from < to {
            let len = chunk.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
            let read = read_at(&file, &mut chunk[..len], from)?;
            if read < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            disk.write_at(&file, &chunk[..len], from)?;
            from += len as u64;
        }
        disk.sync_data(&file)
    }

    /// Seals a segment that an earlier process has left without.
    fn seal_late(&self, id: SegmentId, seal: &Seal) -> io::Result<()> {
        let Some(segment) = self.shared.segments.get(id) else { return Ok(()) };
        let file = open_regular(&self.shared.directory.segment(id), true)?;
        if has_other_names(&file)? {
            return Ok(());
        }
        let (disk, offset) = (self.shared.directory.io(), seal_offset(self.shared.bits) as u32);
        disk.write_at(&file, &seal.encode(segment.key(), offset), u64::from(offset))?;
        disk.sync_data(&file)
    }

    fn seal(&self, retired: &Retired) -> io::Result<()> {
        let bits = self.shared.bits;
        let disk = self.shared.directory.io();
        let InUse { segment, mapping, file } = &retired.left;
        if file.metadata()?.len() < (1 << bits) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // A file that somebody has given another name is not written to any more.
        if !has_other_names(file)? {
            let offset = seal_offset(bits) as u32;
            let page = retired.seal.encode(segment.key(), offset);
            disk.write_at(file, &page, u64::from(offset))?;
        }
        mapping.flush()?;
        disk.sync_data(file)
    }

    /// An operation on a segment in use that failed stops the log for good.
    fn check(&self, done: io::Result<()>, segment: SegmentId) -> Result<(), Arc<IoError>> {
        done.map_err(|error| {
            let path = self.shared.directory.segment(segment);
            self.shared.poison_quietly(IoError::new("make durable the segment", path, error))
        })
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
    fn run(&self) {
        let interval = match self.shared.durability {
            Durability::Interval(interval) => Some(interval),
            _ => None,
        };
        // What recovery has left to be done; where nothing is to be synced unasked, it waits.
        if self.shared.durability != Durability::None {
            drop(self.settle_all());
        }
        let mut last = Instant::now();
        let mut idle = Idle::new(self.shared.frontier.durable());
        while self.stop.load(Ordering::Acquire) == 0 {
            let nap = interval.map_or(NAP, |interval| interval.clamp(NAP / 20, NAP));
            self.shared.demand.signal().wait(Some(Instant::now() + nap));
            let frontier = &self.shared.frontier;
            // The demand first: what it was raised for is visible to the look after it.
            let wanted = self.shared.demand.take(frontier.visible_pair().1);
            let behind = frontier.durable() < frontier.visible().position();
            let due = interval.is_some_and(|interval| last.elapsed() >= interval);
            // A failure has poisoned the log, which is where it is reported.
            if behind && (wanted || due) {
                last = Instant::now();
                drop(self.sync());
            } else if !self.retired.is_empty() {
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
        let run = move || inside.run();
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
