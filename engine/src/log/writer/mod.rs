//! The one writer of a log.
//!
//! - `active`: the segment in use: claims, frames, its checksum
//! - `stage`: what a transaction has changed and may have to take back
//! - `transaction`: events into claimed space, all of them visible at once
//! - `put`: one item into its space; `stored`: an event of another log, as it is
//! - `parts`: transactions of several submissions
//! - `meta`: what an event has beside its payload
//! - here: the owner of it all, rollover, sync, close

pub(in crate::log) mod active;
mod correction;
mod mark;
mod meta;
mod parts;
mod put;
pub(in crate::log) mod stage;
mod stored;
mod transaction;

use std::fmt;

use factlog_codec::layout::max_transaction;
use factlog_codec::types::{Encode, EventType, Scratch};
use factlog_codec::{
    Epoch, HistoryId, LogId, Position, Predecessor, Seal, SegmentId, Sequence, StreamKey,
    StreamVersion, Succession,
};

pub use meta::{Expected, Meta};
pub(crate) use parts::Point;
pub use transaction::{Receipt, Transaction};

use super::clock::FrameClock;
use super::conductor::Conductor;
use super::cursor::Log;
use super::disk::Lock;
use super::error::{AppendError, RetainError, SyncError};
use super::fault::IoError;
use super::frontier::Activity;
use super::report::{RecoveryReport, Retained};
use super::retention::{Retention, retain};
use super::rollover::go_over;
use super::shared::Shared;
use super::syncer::{Background, Retired, Syncer};
use super::table_keeper::TableKeeper;
use super::wait::Herald;
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, PoisonError};
use active::{Active, EngineFrame};
use stage::Stage;

/// The owner of a log: of which there is one.
///
/// It appends events, each call visible at once and whole, from one thread; make [`Log`]s from
/// it for readers on any thread. See [`Options::open`](crate::Options::open).
pub struct Writer {
    shared: Arc<Shared>,
    active: Active,
    stage: Stage,
    next: Sequence,
    last_ts: u64,
    epoch: Epoch,
    history: HistoryId,
    clock: FrameClock,
    scratch: Scratch,
    /// A transaction has been begun, and neither committed nor taken back.
    in_transaction: bool,
    max_transaction: usize,
    conductor: Conductor,
    syncer: Arc<Syncer>,
    background: Background,
    tables: TableKeeper,
    herald: Herald,
    _lock: Lock,
}

/// What opening hands to a new writer.
pub(crate) struct WriterParts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) active: Active,
    pub(crate) heads: Vec<super::recovery::Head>,
    pub(crate) next: Sequence,
    pub(crate) last_ts: u64,
    pub(crate) clock: FrameClock,
    pub(crate) conductor: Conductor,
    pub(crate) syncer: Arc<Syncer>,
    pub(crate) background: Background,
    pub(crate) tables: TableKeeper,
    pub(crate) herald: Herald,
    pub(crate) epoch: Epoch,
    pub(crate) history: HistoryId,
    pub(crate) lock: Lock,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("directory", &self.shared.directory.root())
            .field("next", &self.next)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(parts: WriterParts) -> Self {
        let WriterParts { shared, active, heads, next, last_ts, clock, .. } = parts;
        let types = shared.types.iter().map(super::type_table::LogType::item);
        let type_bytes = types.map(|item| factlog_codec::SegOpen::type_len(&item)).sum();
        Self {
            max_transaction: max_transaction(shared.bits),
            stage: Stage::new(heads, type_bytes),
            epoch: parts.epoch,
            history: parts.history,
            conductor: parts.conductor,
            syncer: parts.syncer,
            background: parts.background,
            tables: parts.tables,
            herald: parts.herald,
            _lock: parts.lock,
            scratch: Scratch::new(),
            in_transaction: false,
            shared,
            active,
            next,
            last_ts,
            clock,
        }
    }

    /// A handle for readers: clone it, send it to any thread, make cursors from it.
    pub fn log(&self) -> Log {
        Log::new(Arc::clone(&self.shared))
    }

    pub(in crate::log) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.shared.log
    }

    /// How often the log was opened for writing, this time included.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Identity of this epoch's history.
    pub fn history(&self) -> HistoryId {
        self.history
    }

    /// When the last frame was committed.
    pub(in crate::log) fn last_ts(&self) -> u64 {
        self.last_ts
    }

    /// The sequence that the next event gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// The time, as the next frame would have it, or a little before.
    pub(crate) fn now(&mut self) -> u64 {
        self.clock.now().max(self.last_ts)
    }

    /// What opening found, cut and kept.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.shared.report
    }

    /// Version of a stream's last event; [`StreamVersion::NONE`] if it has none.
    pub fn stream_version(&self, stream: &StreamKey) -> StreamVersion {
        let number = self.shared.streams.find(stream);
        number.map_or(StreamVersion::NONE, |number| self.stage.head(number).version)
    }

    /// Appends one event, visible when this returns, and durable if that is the log's
    /// [`Durability`](crate::Durability).
    ///
    /// # Errors
    ///
    /// The event is not in the log, but for [`AppendError::NotDurable`]; see [`AppendError`].
    #[inline]
    pub fn append(&mut self, event: &impl Encode) -> Result<Sequence, AppendError> {
        self.append_one(event, None).map_err(|error| *error)
    }

    /// Appends one event to a stream, with causes or with metadata, visible when this returns.
    ///
    /// # Errors
    ///
    /// The event is not in the log, but for [`AppendError::NotDurable`]; see [`AppendError`].
    #[inline]
    pub fn append_with(
        &mut self,
        event: &impl Encode,
        meta: Meta<'_>,
    ) -> Result<Sequence, AppendError> {
        self.append_one(event, Some(&meta)).map_err(|error| *error)
    }

    #[inline]
    fn append_one(
        &mut self,
        event: &impl Encode,
        meta: Option<&Meta<'_>>,
    ) -> Result<Sequence, Box<AppendError>> {
        self.make_ready(event.fixed_size().map(|size| (size, meta, event.event_type())))?;
        // First, so that the processor serialises the event while it waits for its counter.
        let time = self.frame_time();
        let sequence = {
            let mut transaction = Transaction::new(self);
            let sequence = transaction.add(event, meta)?;
            transaction.finish(time).map_err(AppendError::Poisoned)?;
            sequence
        };
        if self.shared.durability.is_acknowledged() {
            self.acknowledge()?;
        }
        Ok(sequence)
    }

    /// Appends all of `events` or none: they become visible at once.
    ///
    /// # Errors
    ///
    /// None of them is in the log, but for [`AppendError::NotDurable`]; see [`AppendError`].
    pub fn append_all<'e, E: Encode + 'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e E>,
    ) -> Result<Receipt, AppendError> {
        let mut transaction = self.begin()?;
        for event in events {
            transaction.append(event)?;
        }
        transaction.commit()
    }

    /// Begins a transaction. Dropping it without a commit takes everything back.
    ///
    /// # Errors
    ///
    /// The log cannot be written now; see [`AppendError`].
    #[inline]
    pub fn begin(&mut self) -> Result<Transaction<'_>, AppendError> {
        self.make_ready(None).map_err(|error| *error)?;
        Ok(Transaction::new(self))
    }

    /// Makes sure that the largest transaction can be begun.
    pub(crate) fn make_room(&mut self) -> Result<(), AppendError> {
        self.make_ready(None).map_err(|error| *error)
    }

    /// Makes sure that a transaction can be begun, for one event of known size if there is one:
    /// then less room is asked for at the end of a segment.
    #[inline(always)]
    fn make_ready(
        &mut self,
        single: Option<(usize, Option<&Meta<'_>>, &EventType)>,
    ) -> Result<(), Box<AppendError>> {
        let Shared { poison, fork, .. } = &*self.shared;
        if poison.get().is_none() && !fork.is_child() && self.active.room() >= self.max_transaction
        {
            return Ok(());
        }
        self.make_ready_anyway(single)
    }

    #[cold]
    #[inline(never)]
    fn make_ready_anyway(
        &mut self,
        single: Option<(usize, Option<&Meta<'_>>, &EventType)>,
    ) -> Result<(), Box<AppendError>> {
        if let Some(cause) = self.shared.poison.get() {
            return Err(AppendError::Poisoned(Arc::clone(cause)).into());
        }
        if self.shared.fork.is_child() {
            return Err(AppendError::Forked.into());
        }
        // A type that is new brings its description along.
        let known = single.filter(|(_, _, event)| self.staged_type(event).is_some());
        let bound = known.map_or(self.max_transaction, |(size, meta, _)| {
            meta.copied().unwrap_or_default().frame_bound(size)
        });
        if self.active.room() < bound.min(self.max_transaction) {
            self.roll()?;
        }
        Ok(())
    }

    /// Goes on in the next segment. If none can be had, nothing has changed.
    #[cold]
    #[inline(never)]
    fn roll(&mut self) -> Result<(), AppendError> {
        // First: a clock of the user's may panic.
        let ts = self.clock.now().max(self.last_ts.saturating_add(1));
        let prepared = self.conductor.take().map_err(|error| {
            let full = matches!(
                error.source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            );
            if full { AppendError::NoSpace(error) } else { AppendError::Prepare(error) }
        })?;
        let before = Predecessor {
            segment: self.active.id(),
            end: self.active.tail(),
            fold: self.active.fold(),
            why: Succession::Full,
        };
        let mut next = Active::from_prepared(prepared);
        let opened = next.write_segopen(
            &self.shared,
            &EngineFrame {
                sequence: self.next,
                ts,
                epoch: self.epoch,
                durable: self.shared.frontier.durable(),
                history: self.history,
            },
            before,
        );
        opened.map_err(|error| AppendError::Poisoned(self.fail(next.id(), error)))?;
        self.last_ts = ts;
        let old = std::mem::replace(&mut self.active, next);
        let retired =
            Retired { left: old.in_use(), seal: self.seal_of(&old), next: self.active.in_use() };
        let syncer = &self.syncer;
        let visible = (&self.shared.frontier, (self.end(), self.next));
        let retire = || syncer.retire(retired);
        go_over(old.segment(), before.end, self.active.segment(), retire, visible);
        self.shared.counters.rollovers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn seal_of(&self, old: &Active) -> Seal {
        Seal {
            end: old.tail(),
            first_sequence: old.first_sequence(),
            next_sequence: self.next,
            first_ts: old.first_ts(),
            last_ts: old.last_ts(),
            fold: old.fold(),
            frames: old.frames(),
            epoch: self.epoch,
            chain: [0; 32],
        }
    }

    /// Makes every event so far durable before it returns.
    ///
    /// # Errors
    ///
    /// A failed sync poisons the writer: what it failed for may be lost, and asking again could
    /// only hide that.
    pub fn sync(&mut self) -> Result<(), SyncError> {
        if self.shared.fork.is_child() {
            return Err(SyncError::Forked);
        }
        self.syncer.sync().map_err(SyncError::Poisoned)
    }

    /// After a commit, where it is to be durable before it returns.
    #[cold]
    fn acknowledge(&mut self) -> Result<(), AppendError> {
        match self.sync() {
            Ok(()) => Ok(()),
            Err(SyncError::Poisoned(cause)) => Err(AppendError::NotDurable(cause)),
            Err(_) => Err(AppendError::Forked),
        }
    }

    /// A write that failed stops the log for good.
    #[cold]
    fn fail(&self, segment: SegmentId, error: std::io::Error) -> Arc<IoError> {
        let path = self.shared.directory.segment(segment);
        self.shared.poison(IoError::new("write to the segment", path, error))
    }

    fn end(&self) -> Position {
        Position::new(self.active.id(), self.active.tail(), self.shared.bits)
    }

    /// Makes everything durable, notes that the log ends here, and lets go of it.
    ///
    /// Dropping the writer instead loses nothing that the page cache holds, but syncs nothing.
    ///
    /// # Errors
    ///
    /// Not everything may be durable, or it could not be noted.
    pub fn close(mut self) -> Result<(), SyncError> {
        self.sync()?;
        let end = self.end();
        self.stop();
        let path = self.shared.directory.root();
        let mut keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper
            .close(end, self.next)
            .map_err(|error| SyncError::Manifest(IoError::new("write a manifest in", path, error)))
    }

    /// Drops whole segments from the front that `retention` does not keep. It is the only thing
    /// that ever drops events.
    ///
    /// What goes is read once more, for the streams that began there. The log can be appended to
    /// meanwhile only from a [`WriterThread`](crate::WriterThread).
    ///
    /// # Errors
    ///
    /// Nothing was dropped, and the log is as it was.
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        retain(&self.shared, retention)
    }

    fn stop(&mut self) {
        if self.shared.fork.is_child() {
            self.conductor.forget();
            self.background.forget();
            self.tables.forget();
            self.herald.forget();
        } else {
            if self.in_transaction && self.shared.poison.get().is_none() {
                // One that was leaked leaves no bytes behind the end.
                drop(Transaction::new(self));
            }
            self.conductor.stop();
            self.background.stop();
            self.tables.stop();
            if self.shared.poison.get().is_none() {
                self.shared.frontier.end(Activity::Closed);
            }
            // The last: it wakes those who wait for the end.
            self.herald.stop();
            // The lock is let go after this. Somebody may just be dropping segments from another
            // thread, where that of the writer has panicked: that is waited for.
            self.shared.registry.close_gate();
            self.shared.retaining.lock().unwrap_or_else(PoisonError::into_inner).end();
        }
    }

    fn staged_type(&self, event: &EventType) -> Option<factlog_codec::TypeNumber> {
        self.stage.number_of(event)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}
