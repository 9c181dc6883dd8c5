//! When snapshots are taken, and the one that is being taken: in slices, by the thread that decides,
//! and written by a thread of its own.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog_codec::{CursorPlace, Sequence, SnapshotBody};

use super::slot::{Asked, Finished};
use super::stats::Notes;
use super::window::Window;
use crate::image::{
    Images, Job, Ladder, PassedOver, Piece, Records, SnapshotTaken, SnapshotTrouble, write_snapshot,
};
use crate::log::{Handover, IoError, Kept, Log, Promise, SnapshotFailed, Writer};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, mpsc};

/// Bytes that are taken at once, between two frames.
const SLICE: usize = 4 << 10;

/// When snapshots are taken, and how many are kept.
///
/// All kinds of state must have [`State::STORED`](crate::State::STORED). A snapshot is taken in
/// slices of about 4 KiB between two frames, by the thread that decides; what is about to change is
/// copied out before. Until it is written it takes as many bytes of memory as its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshots {
    every: Option<u64>,
    keep: usize,
    ladder: bool,
    rate: Option<u64>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self::on_request()
    }
}

impl Snapshots {
    /// Only when [`Client::snapshot`](crate::Client::snapshot) asks for one. The default; two are
    /// kept, and at most 64 MiB a second are written.
    pub const fn on_request() -> Self {
        Self { every: None, keep: 2, ladder: false, rate: Some(64 << 20) }
    }

    /// Whenever so many events have come since the last one; at least one.
    pub const fn every(events: u64) -> Self {
        Self { every: Some(if events == 0 { 1 } else { events }), ..Self::on_request() }
    }

    /// Keeps so many of the newest; at least one.
    #[must_use]
    pub const fn keep(mut self, newest: usize) -> Self {
        self.keep = if newest == 0 { 1 } else { newest };
        self
    }

    /// Keeps older ones too, the fewer the older they are: at most two for each doubling of the
    /// distance from the newest. For looking back.
    #[must_use]
    pub const fn ladder(mut self) -> Self {
        self.ladder = true;
        self
    }

    /// Writes no more bytes a second than so many, and takes them no faster while there are
    /// commands; `None` for as fast as it goes.
    #[must_use]
    pub const fn bytes_per_second(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    /// Whether they are taken without being asked for.
    pub(super) const fn is_automatic(&self) -> bool {
        self.every.is_some()
    }
}

/// What an engine began with.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Restart {
    /// The snapshot that it began with: the event up to which everything is folded into it.
    pub snapshot: Option<Sequence>,
    /// Snapshots that would not do, the newest first, and why.
    pub passed_over: Vec<PassedOver>,
    /// Events that were read to fold what follows it.
    pub folded: u64,
}

/// What is held against retention: what an engine needs to start again from any of the snapshots that
/// it keeps; everything, as long as there is none that has all instances.
#[derive(Debug)]
pub(super) struct Holds {
    kept: Kept,
    /// From the oldest to the newest.
    places: VecDeque<CursorPlace>,
}

impl Holds {
    /// The engine began with a snapshot of this place, or without one.
    pub(super) fn new(log: &Log, begun: Option<CursorPlace>) -> Self {
        let kept = log.keep_after(begun.as_ref());
        Self { kept, places: begun.into_iter().collect() }
    }

    /// One more was taken; so many are kept.
    fn add(&mut self, place: CursorPlace, keep: usize) {
        self.places.push_back(place);
        while self.places.len() > keep.max(1) {
            self.places.pop_front();
        }
        if let Some(oldest) = self.places.front() {
            self.kept.go_on(oldest);
        }
    }
}

/// What becomes of a snapshot.
pub(super) type Told = Arc<Promise<Result<SnapshotTaken, SnapshotTrouble>>>;

/// Takes snapshots.
pub(super) struct Taker {
    policy: Snapshots,
    /// The event that the last one is as of, or was meant to be.
    last: Sequence,
    running: Option<Running>,
    /// Through which the writing thread says that it is done.
    queue: Arc<Handover<Asked>>,
    notes: Notes,
    holds: Holds,
}

/// One that is being taken or written.
struct Running {
    /// Until everything is handed over.
    records: Option<mpsc::Sender<Piece>>,
    window: u16,
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
    pub(super) fn new(
        policy: Snapshots,
        last: Sequence,
        queue: Arc<Handover<Asked>>,
        notes: Notes,
        holds: Holds,
    ) -> Self {
        Self { policy, last, running: None, queue, notes, holds }
    }

    /// Whether there is none that is being taken or written.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Whether there are slices to be taken.
    #[inline]
    pub(super) fn is_taking(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.records.is_some())
    }

    /// Whether one is to be taken without being asked for.
    #[inline]
    pub(super) fn is_due(&self, next: Sequence) -> bool {
        let Some(every) = self.policy.every else { return false };
        self.running.is_none() && next.get() > self.last.get().saturating_add(every)
    }

    /// Begins one, as of the state now. `told` learns what becomes of it.
    pub(super) fn begin(
        &mut self,
        writer: &mut Writer,
        log: &Log,
        images: &mut Images,
        window: &mut Window,
        told: Option<Told>,
    ) {
        if let Err(trouble) = self.try_begin(log, images, window, told.as_ref()) {
            images.end_taking();
            // Not at once again.
            let event = images.next.before();
            self.last = self.last.max(event);
            self.tell(writer, images, event, (Err(trouble), told));
        }
    }

    fn try_begin(
        &mut self,
        log: &Log,
        images: &mut Images,
        window: &mut Window,
        told: Option<&Told>,
    ) -> Result<(), SnapshotTrouble> {
        if self.running.is_some() {
            return Err(SnapshotTrouble::Busy);
        }
        if images.next == Sequence::FIRST {
            return Err(SnapshotTrouble::Nothing);
        }
        let read = |error| SnapshotTrouble::Read(Arc::new(error));
        let (place, ts) = log.place_before(images.next).map_err(read)?;
        let mut sections = images.begin_taking().map_err(SnapshotTrouble::NotStored)?;
        let number = sections.len() as u16;
        sections.push(window.begin_taking());
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
        let queue = Arc::clone(&self.queue);
        let done = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&done);
        let run = move || {
            let writing = std::panic::AssertUnwindSafe(|| write_snapshot(job));
            let written = std::panic::catch_unwind(writing).unwrap_or(Err(SnapshotTrouble::Ended));
            // Before it is said. If there is no room, whoever takes what waits looks by itself.
            over.store(true, Ordering::Release);
            if let Err(refused) = queue.push(Asked::new(Arc::new(Finished))) {
                refused.into_inner().disarm();
            }
            written
        };
        let thread = std::thread::Builder::new().name("factlog-snapshot".into()).spawn(run);
        let thread = thread.map_err(|source| {
            let error = IoError::new("start a thread for a snapshot of", log.directory(), source);
            SnapshotTrouble::Io(Arc::new(error))
        })?;
        self.last = place.sequence;
        self.running = Some(Running {
            records: Some(sender),
            window: number,
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
    pub(super) fn slices(&mut self, images: &mut Images, window: &mut Window, since: Instant) {
        let until = Instant::now() + since.elapsed() / 8;
        self.slice(images, window, false);
        while self.is_taking() && Instant::now() < until {
            self.slice(images, window, false);
        }
    }

    /// Takes a slice, if it is time for one: always where nothing else is to be done.
    pub(super) fn slice(&mut self, images: &mut Images, window: &mut Window, idle: bool) {
        let Some(running) = &mut self.running else { return };
        let Some(records) = &running.records else { return };
        if let Some(rate) = self.policy.rate.filter(|_| !idle) {
            let due = Duration::from_secs_f64(running.taken as f64 / rate.max(1) as f64);
            if running.began.elapsed() < due {
                return;
            }
        }
        running.taken += SLICE as u64;
        let mut hand_over = |taken: Records| {
            if !taken.is_empty() {
                // If the thread has failed, it says why.
                drop(records.send(Piece::Records(taken)));
            }
        };
        match images.take(SLICE, &mut hand_over) {
            Ok(true) => {}
            Ok(false) => {
                if !window.take(running.window, &mut hand_over) {
                    drop(records.send(Piece::End));
                    running.records = None;
                }
            }
            Err(kind) => {
                running.trouble = Some(SnapshotTrouble::TooLarge(kind));
                self.give_up(images);
            }
        }
    }

    /// What was to be taken is not there any more: the thread ends without a file.
    pub(super) fn give_up(&mut self, images: &mut Images) {
        images.end_taking();
        if let Some(running) = &mut self.running
            && running.records.is_some()
        {
            running.ended.store(true, Ordering::Release);
            running.records = None;
        }
    }

    /// If it is written: leaves a mark in the log, and says so to whoever has asked for it.
    pub(super) fn settle(&mut self, writer: &mut Writer, images: &mut Images) {
        if self.running.as_ref().is_none_or(|running| !running.done.load(Ordering::Acquire)) {
            return;
        }
        let Some(running) = self.running.take() else { return };
        let Running { thread, told, trouble, place, .. } = running;
        let written = thread.join().unwrap_or(Err(SnapshotTrouble::Ended));
        if let Ok(SnapshotTaken { sequence, bytes, .. }) = &written {
            let mark = SnapshotBody { sequence: *sequence, len: *bytes };
            // Nothing depends on it.
            drop(writer.mark_snapshot(mark));
        }
        let written = written.map_err(|found| trouble.unwrap_or(found));
        if let Ok(SnapshotTaken { left_out: 0, .. }) = &written {
            self.holds.add(place, self.policy.keep);
        }
        self.tell(writer, images, place.sequence, (written, told));
    }

    /// Says what became of a snapshot: to whoever has asked for it, else in the log if it failed.
    fn tell(
        &self,
        writer: &mut Writer,
        images: &mut Images,
        event: Sequence,
        (written, told): (Result<SnapshotTaken, SnapshotTrouble>, Option<Told>),
    ) {
        self.notes.snapshot(&written);
        match (told, &written) {
            (Some(told), _) => told.leave(written),
            (None, Ok(_)) => {}
            (None, Err(trouble)) => {
                let fact = SnapshotFailed { event: event.get(), cause: trouble.to_string() };
                // What the log cannot store stands in the statistics.
                if writer.append(&fact).is_ok() {
                    images.next = writer.next_sequence();
                }
            }
        }
    }

    /// The engine ends: what is not in its place yet does not come there.
    pub(super) fn end(&mut self, images: &mut Images) {
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
