//! The thread that has segments ready before the writer needs them.
//!
//! The writer takes a prepared segment from a queue, without a system call. The conductor looks
//! now and then how far the writer is: it prepares the next segments, and makes the pages ahead
//! of the tail present. It never stores into a mapping.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use factlog_codec::layout::{FIRST_FRAME, seal_offset, segment_size};
use factlog_codec::{SegmentHeader, SegmentId, WriteWay};

use super::claim::Claim;
use super::disk::create_prepared;
use super::fault::IoError;
use super::map::Mapping;
use super::segment::Segment;
use super::shared::Shared;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Arc, ArrayQueue, Condvar, Mutex, PoisonError, Weak};

/// How long it sleeps: between these, the longer the less happens.
const SHORTEST_NAP: Duration = Duration::from_micros(200);
const LONGEST_NAP: Duration = Duration::from_millis(20);
/// After a failure it tries again by itself this often.
const RETRY: Duration = Duration::from_millis(500);

/// A segment that waits to be used.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) segment: Arc<Segment>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) claim: Claim,
    pub(crate) file: Arc<File>,
}

impl Prepared {
    /// Makes the segment with this number, and maps it.
    pub(crate) fn create(shared: &Shared, id: SegmentId) -> io::Result<Self> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let header = SegmentHeader {
            log: shared.log,
            segment: id,
            bits: shared.bits,
            generation: 1,
            salt: u64::from_le_bytes(salt),
        };
        let file = create_prepared(&shared.directory, &header, shared.written_first)?;
        Self::map(shared, &header, file)
    }

    /// Maps a segment whose file has a header and zeros behind it.
    pub(crate) fn map(shared: &Shared, header: &SegmentHeader, file: File) -> io::Result<Self> {
        let bits = header.bits;
        let (file, disk) = (Arc::new(file), shared.directory.io());
        let range = (FIRST_FRAME as usize, seal_offset(bits));
        let (mapping, claim) = Claim::take(shared.way, &file, disk, segment_size(bits), range)?;
        let segment = Arc::new(Segment::new(header.key(), bits));
        segment.share(&mapping);
        segment.index().reserve();
        Ok(Self { segment, mapping, claim, file })
    }
}

/// What the conductor is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The first segment to prepare.
    pub(crate) next: SegmentId,
    /// Segments to keep ready. The last of them is the reserve, with which recovery ends a torn
    /// tail on a full disk: the writer never takes it.
    pub(crate) spare: usize,
    /// Bytes ahead of the tail whose pages are made present.
    pub(crate) prefault: usize,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Conductor {
    office: Arc<Office>,
    thread: Option<JoinHandle<()>>,
}

/// What both ends see.
#[derive(Debug)]
struct Office {
    shared: Arc<Shared>,
    ready: ArrayQueue<Prepared>,
    stop: AtomicU8,
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Desk {
    /// The writer waits: failures are answered, not only retried.
    waiting: bool,
    /// How often it has come to wait. An attempt that was begun before says nothing to it: there
    /// may be space by now.
    asked: u64,
    failure: Option<Arc<IoError>>,
}

/// A mapping whose pages are looked after.
#[derive(Debug)]
struct Tended {
    id: SegmentId,
    mapping: Weak<Mapping>,
    populated: usize,
}

impl Conductor {
    /// Starts the thread. `ready` are segments that are prepared already; `active` is the one in
    /// use and how far it is written.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        plan: Plan,
        ready: Vec<Prepared>,
        active: Option<(&Segment, &Arc<Mapping>, usize)>,
    ) -> io::Result<Self> {
        let queue = ArrayQueue::new(plan.spare.max(ready.len()));
        let mut tended: VecDeque<Tended> = active
            .map(|(segment, mapping, populated)| Tended {
                id: segment.id(),
                mapping: Arc::downgrade(mapping),
                populated,
            })
            .into_iter()
            .collect();
        for prepared in ready {
            tended.push_back(Tended::new(&prepared));
            shared.segments.push(Arc::clone(&prepared.segment));
            drop(queue.push(prepared));
        }
        let office = Arc::new(Office {
            shared: Arc::clone(shared),
            ready: queue,
            stop: AtomicU8::new(0),
            desk: Mutex::default(),
            changed: Condvar::new(),
        });
        let inside = Arc::clone(&office);
        let thread = thread::Builder::new()
            .name("factlog-conductor".into())
            .spawn(move || inside.run(plan, tended))?;
        Ok(Self { office, thread: Some(thread) })
    }

    /// A prepared segment: at once if one is ready, else when there is one or none can be made.
    pub(crate) fn take(&self) -> Result<Prepared, Arc<IoError>> {
        if let Some(prepared) = self.office.pop() {
            return Ok(prepared);
        }
        self.office.shared.counters.stalls.fetch_add(1, Ordering::Relaxed);
        self.wait()
    }

    /// Waits until a segment is ready, without taking it.
    fn wait(&self) -> Result<Prepared, Arc<IoError>> {
        let office = &*self.office;
        let mut desk = office.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.waiting = true;
        desk.asked += 1;
        desk.failure = None;
        loop {
            if let Some(prepared) = office.pop() {
                desk.waiting = false;
                return Ok(prepared);
            }
            // A poisoned log prepares nothing more.
            let poison = office.shared.poison.get().map(Arc::clone);
            if let Some(failure) = desk.failure.take().or(poison) {
                desk.waiting = false;
                return Err(failure);
            }
            self.wake();
            // The conductor may take a while over a slow disk; it never sleeps while this waits.
            let waited = office.changed.wait_timeout(desk, Duration::from_millis(50));
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                desk.waiting = false;
                let error = io::Error::other("the thread that prepares segments has ended");
                let path = office.shared.directory.segments();
                return Err(Arc::new(IoError::new("prepare a segment in", path, error)));
            }
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Ends the thread. Prepared segments stay on the disk, for the next time.
    pub(crate) fn stop(&mut self) {
        self.office.stop.store(1, Ordering::Release);
        self.wake();
        let Some(thread) = self.thread.take() else { return };
        drop(thread.join());
        while self.office.ready.pop().is_some() {}
    }

    /// In a forked child the thread does not exist: nothing to end.
    pub(crate) fn forget(&mut self) {
        self.thread = None;
    }
}

impl Drop for Conductor {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether making a page present failed because a store to it would fail.
#[cfg(unix)]
fn is_fault(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::FAULT)
}

#[cfg(not(unix))]
fn is_fault(_: &io::Error) -> bool {
    false
}

impl Tended {
    fn new(prepared: &Prepared) -> Self {
        Self { id: prepared.segment.id(), mapping: Arc::downgrade(&prepared.mapping), populated: 0 }
    }
}

impl Office {
    /// A segment for the writer, which is the only one that takes any; the reserve stays.
    fn pop(&self) -> Option<Prepared> {
        if self.ready.len() > 1 { self.ready.pop() } else { None }
    }

    fn run(&self, plan: Plan, mut tended: VecDeque<Tended>) {
        let mut next = Some(plan.next);
        let mut nap = SHORTEST_NAP;
        // Who does not store needs no pages.
        let mapped = self.shared.way == WriteWay::Mapped;
        let mut prefault = if mapped { plan.prefault } else { 0 };
        while self.stop.load(Ordering::Acquire) == 0 {
            let mut busy = false;
            let mut failed = false;
            if self.ready.len() < plan.spare && self.shared.poison.get().is_none() {
                let asked = self.desk.lock().unwrap_or_else(PoisonError::into_inner).asked;
                match next.map(|id| self.prepare(id)) {
                    Some(Ok(prepared)) => {
                        next = prepared.segment.id().next();
                        tended.push_back(Tended::new(&prepared));
                        self.shared.segments.push(Arc::clone(&prepared.segment));
                        drop(self.ready.push(prepared));
                        self.tell(asked, None);
                        busy = true;
                    }
                    Some(Err(error)) => {
                        failed = !self.tell(asked, Some(error));
                    }
                    None => {
                        let error = io::Error::other("segment numbers are used up");
                        let path = self.shared.directory.segments();
                        let error = IoError::new("prepare a segment in", path, error);
                        failed = !self.tell(asked, Some(error));
                    }
                }
            }
            if prefault > 0 {
                match self.tend(&mut tended, prefault) {
                    Ok(did) => busy |= did,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => busy = true,
                    // Where a store would raise a signal, nobody may store.
                    Err(error) if is_fault(&error) => {
                        let path = self.shared.directory.segments();
                        self.shared.poison(IoError::new("make pages present in", path, error));
                    }
                    // No such call, or no memory for it: pages come when they are stored to.
                    Err(_) => prefault = 0,
                }
            }
            nap = if busy { SHORTEST_NAP } else { (nap * 2).min(LONGEST_NAP) };
            thread::park_timeout(if failed { RETRY } else { nap });
        }
    }

    fn prepare(&self, id: SegmentId) -> Result<Prepared, IoError> {
        let path = self.shared.directory.segment(id);
        let prepared = Prepared::create(&self.shared, id);
        prepared.map_err(|error| IoError::new("prepare the segment", path, error))
    }

    /// Tells a waiting writer how an attempt went that was begun when it had asked so often;
    /// whether one is waiting.
    fn tell(&self, asked: u64, failure: Option<IoError>) -> bool {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = desk.waiting;
        if waiting && (failure.is_none() || desk.asked == asked) {
            desk.failure = failure.map(Arc::new);
            self.changed.notify_all();
        }
        waiting
    }

    /// Makes pages ahead of the tail present, and those at the start of the next segment.
    fn tend(&self, tended: &mut VecDeque<Tended>, window: usize) -> io::Result<bool> {
        let bits = self.shared.bits;
        let position = self.shared.frontier.visible().position();
        let (current, offset) = (position.segment(bits), position.offset(bits) as usize);
        while tended.front().is_some_and(|first| first.id < current) {
            tended.pop_front();
        }
        let mut did = false;
        for entry in tended.iter_mut().take(2) {
            let tail = if entry.id == current { offset } else { 0 };
            let wanted = tail.saturating_add(window).min(seal_offset(bits));
            // Half a window at a time, so that the call is worth it.
            let from = entry.populated.max(tail) & !0xFFFF;
            if wanted < from + window / 2 && wanted < seal_offset(bits) || wanted <= entry.populated
            {
                continue;
            }
            let Some(mapping) = entry.mapping.upgrade() else { continue };
            mapping.populate(from, wanted - from)?;
            entry.populated = wanted;
            did = true;
        }
        Ok(did)
    }
}
