//! The snapshot that is being taken: in slices, by the thread that has the images, and written by a
//! thread of its own.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog_codec::{BlockError, CursorPlace, Sequence};

use super::images::Images;
use super::snapshot::{
    Job, Ladder, Piece, Records, SectionOf, Snapshot, SnapshotTaken, SnapshotTrouble, Snapshots,
    write,
};
use crate::log::{Entry, IoError, Log, Promise, ReadError};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, mpsc};

/// What becomes of a snapshot: for whoever waits for it.
pub(crate) type Outcome = Arc<Promise<Result<SnapshotTaken, SnapshotTrouble>>>;

/// Who says what becomes of a snapshot. If nobody who could is left, it has ended.
pub(crate) type Told = Arc<Telling>;

/// Leaves what becomes of a snapshot for whoever waits for it.
#[derive(Debug)]
pub(crate) struct Telling(Outcome);

impl Telling {
    /// For who waits, and for who says it.
    pub(crate) fn begin() -> (Outcome, Told) {
        let outcome = Arc::new(Promise::new());
        let told = Arc::new(Self(Arc::clone(&outcome)));
        (outcome, told)
    }

    /// Says it. Only the first one counts.
    pub(crate) fn leave(&self, written: Result<SnapshotTaken, SnapshotTrouble>) {
        self.0.leave(written);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.leave(Err(SnapshotTrouble::Ended));
    }
}

/// What a snapshot has beside the instances: a section that is filled in slices as well.
pub(crate) trait Beside: Send + Sync {
    /// What a snapshot must have for it to be used.
    fn section(&self) -> (&'static str, u64);

    /// Begins with a snapshot, all of whose section can be read.
    fn begin_with(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), BlockError>;

    /// Sees what stands in the log behind it.
    fn see(&mut self, entry: &Entry<'_>) -> Result<(), ReadError>;

    /// Begins to be taken, as it is now.
    fn begin_taking(&mut self) -> SectionOf;

    /// Takes some; whether there is more.
    fn take(&mut self, section: u16, hand_over: &mut dyn FnMut(Records)) -> bool;

    /// Is taken no more.
    fn end_taking(&mut self);
}

/// Takes snapshots of the images of one thread.
pub(crate) struct Taker {
    policy: Snapshots,
    /// Bytes that are taken at once.
    slice: usize,
    /// The event that the last one is as of, or was meant to be.
    last: Sequence,
    /// Events since then that say only that a snapshot has failed.
    failures: u64,
    running: Option<Running>,
    /// Rung by the writing thread when it is done.
    bell: Arc<dyn Fn() + Send + Sync>,
    /// Had by whoever writes one.
    pen: Pen,
}

/// One snapshot of a log is written at a time.
pub(crate) type Pen = Arc<Mutex<()>>;

/// A snapshot that was to be, what became of it, and who asked for it.
pub(crate) struct Settled {
    /// The event that it is as of, or should have been.
    pub(crate) event: Sequence,
    /// Its place, if it could be begun.
    pub(crate) place: Option<CursorPlace>,
    pub(crate) written: Result<SnapshotTaken, SnapshotTrouble>,
    pub(crate) told: Option<Told>,
}

/// One that is being taken or written.
struct Running {
    /// Until everything is handed over.
    records: Option<mpsc::Sender<Piece>>,
    beside: u16,
    ended: Arc<AtomicBool>,
    /// The thread has nothing more to do.
    done: Arc<AtomicBool>,
    thread: JoinHandle<Result<SnapshotTaken, SnapshotTrouble>>,
    told: Option<Told>,
    began: Instant,
    /// The event that it is as of.
    place: CursorPlace,
    taken: u64,
    trouble: Option<SnapshotTrouble>,
}

impl Taker {
    /// `last` is the event that it began with.
    pub(crate) fn new(
        policy: Snapshots,
        slice: usize,
        last: Sequence,
        (bell, pen): (Arc<dyn Fn() + Send + Sync>, Pen),
    ) -> Self {
        Self { policy, slice, last, failures: 0, running: None, bell, pen }
    }

    /// How many of the newest are kept.
    pub(crate) fn newest(&self) -> usize {
        self.policy.newest()
    }

    /// Whether there is none that is being taken or written.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Whether there are slices to be taken.
    #[inline]
    pub(crate) fn is_taking(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.records.is_some())
    }

    /// Whether one is to be taken without being asked for.
    #[inline]
    pub(crate) fn is_due(&self, next: Sequence) -> bool {
        let Some(every) = self.policy.every else { return false };
        let since = self.last.get().saturating_add(self.failures);
        self.running.is_none() && next.get() > since.saturating_add(every)
    }

    /// An event says that a snapshot has failed, whoever was to take it. By such events alone none is
    /// due: it would fail again, and say so again.
    pub(crate) fn saw_failure(&mut self) {
        self.failures += 1;
    }

    /// Begins one, as of the state now. `told` learns what becomes of it; if it cannot be begun, that
    /// and the event that it should have been as of are given back.
    pub(crate) fn begin(
        &mut self,
        log: &Log,
        images: &mut Images,
        beside: &mut dyn Beside,
        told: Option<&Told>,
    ) -> Result<(), (Sequence, SnapshotTrouble)> {
        self.try_begin(log, images, beside, told).map_err(|trouble| {
            if self.running.is_none() {
                images.end_taking();
                beside.end_taking();
            }
            // Not at once again.
            let event = images.next.before();
            self.begun_at(self.last.max(event));
            (event, trouble)
        })
    }

    fn begun_at(&mut self, event: Sequence) {
        (self.last, self.failures) = (event, 0);
    }

    fn try_begin(
        &mut self,
        log: &Log,
        images: &mut Images,
        beside: &mut dyn Beside,
        told: Option<&Told>,
    ) -> Result<(), SnapshotTrouble> {
        if self.running.is_some() {
            return Err(SnapshotTrouble::Busy);
        }
        if images.next == Sequence::FIRST {
            return Err(SnapshotTrouble::Nothing);
        }
        if images.is_blind() {
            return Err(SnapshotTrouble::BeginningGone);
        }
        let read = |error| SnapshotTrouble::Read(Arc::new(error));
        let (place, ts) = log.place_before(images.next).map_err(read)?;
        let mut sections = images.begin_taking().map_err(SnapshotTrouble::NotStored)?;
        let number = sections.len() as u16;
        sections.push(beside.begin_taking());
        let (sender, records) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let Snapshots { keep, ladder, rate, .. } = self.policy;
        let job = Job {
            log: log.clone(),
            place,
            ts,
            sections,
            records,
            rate,
            ladder: Ladder { newest: keep, rungs: ladder },
            ended: Arc::clone(&ended),
        };
        let (bell, pen) = (Arc::clone(&self.bell), Arc::clone(&self.pen));
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let run = move || {
            let writing = std::panic::AssertUnwindSafe(|| write(job, &pen));
            let written = std::panic::catch_unwind(writing).unwrap_or(Err(SnapshotTrouble::Ended));
            // Before it is said. If nobody hears it, whoever takes what waits looks by himself.
            over.store(true, Ordering::Release);
            bell();
            written
        };
        let thread = std::thread::Builder::new().name("factlog-snapshot".into()).spawn(run);
        let thread = thread.map_err(|source| {
            let error = IoError::new("start a thread for a snapshot of", log.directory(), source);
            SnapshotTrouble::Io(Arc::new(error))
        })?;
        self.begun_at(place.sequence);
        self.running = Some(Running {
            records: Some(sender),
            beside: number,
            ended,
            done,
            thread,
            told: told.cloned(),
            began: Instant::now(),
            place,
            taken: 0,
            trouble: None,
        });
        Ok(())
    }

    /// Takes slices after a frame that was begun at `since`: at least one, and no more than take an
    /// eighth of its time.
    pub(crate) fn slices(&mut self, images: &mut Images, beside: &mut dyn Beside, since: Instant) {
        let until = Instant::now() + since.elapsed() / 8;
        self.slice(images, beside, false);
        while self.is_taking() && Instant::now() < until {
            self.slice(images, beside, false);
        }
    }

    /// Takes a slice, if it is time for one: always where nothing else is to be done.
    pub(crate) fn slice(&mut self, images: &mut Images, beside: &mut dyn Beside, idle: bool) {
        let Some(running) = &mut self.running else { return };
        let Some(records) = &running.records else { return };
        if let Some(rate) = self.policy.rate.filter(|_| !idle) {
            let due = Duration::from_secs_f64(running.taken as f64 / rate.max(1) as f64);
            if running.began.elapsed() < due {
                return;
            }
        }
        running.taken += self.slice as u64;
        let mut hand_over = |taken: Records| {
            if !taken.is_empty() {
                // If the thread has failed, it says why.
                drop(records.send(Piece::Records(taken)));
            }
        };
        match images.take(self.slice, &mut hand_over) {
            Ok(true) => {}
            Ok(false) => {
                if !beside.take(running.beside, &mut hand_over) {
                    drop(records.send(Piece::End));
                    running.records = None;
                }
            }
            Err(trouble) => {
                running.trouble = Some(trouble);
                self.give_up(images, beside);
            }
        }
    }

    /// What was to be taken is not there any more: the thread ends without a file.
    pub(crate) fn give_up(&mut self, images: &mut Images, beside: &mut dyn Beside) {
        images.end_taking();
        beside.end_taking();
        if let Some(running) = &mut self.running
            && running.records.is_some()
        {
            running.ended.store(true, Ordering::Release);
            running.records = None;
        }
    }

    /// What became of it, if it is written.
    pub(crate) fn settle(&mut self) -> Option<Settled> {
        if self.running.as_ref().is_none_or(|running| !running.done.load(Ordering::Acquire)) {
            return None;
        }
        let Running { thread, told, trouble, place, .. } = self.running.take()?;
        let written = thread.join().unwrap_or(Err(SnapshotTrouble::Ended));
        let written = written.map_err(|found| trouble.unwrap_or(found));
        Some(Settled { event: place.sequence, place: Some(place), written, told })
    }

    /// It all ends: what is not in its place yet does not come there.
    pub(crate) fn end(&mut self, images: &mut Images) {
        images.end_taking();
        if let Some(Running { ended, records, thread, told, .. }) = self.running.take() {
            ended.store(true, Ordering::Release);
            drop(records);
            let written = thread.join().unwrap_or(Err(SnapshotTrouble::Ended));
            if let Some(told) = told {
                told.leave(written);
            }
        }
    }
}
