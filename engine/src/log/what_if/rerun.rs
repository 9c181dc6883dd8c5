//! Appending again what followed in the origin.

use std::path::Path;

use factlog_codec::{Epoch, HistoryId, Sequence, Source, StreamKey};

use super::error::WhatIfError;
use super::fact::{Fact, Turn};
use super::numbers::Numbers;
use crate::log::clock::Clock;
use crate::log::cursor::{EventRef, Log, Start};
use crate::log::error::AppendError;
use crate::log::forking::{Fork, Forked};
use crate::log::named::place_before;
use crate::log::options::Options;
use crate::log::type_table::LogType;
use crate::log::writer::{Expected, Meta, Transaction, Writer};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A fork that ends before some event of a log, and to which what followed can be appended again, with
/// another past: an event left out, another one in its place, further ones.
///
/// ```
/// # #[factlog::event(name = "deposited", version = 1)]
/// # pub struct Deposited { pub cents: u64 }
/// # let folder = tempfile::tempdir()?;
/// use factlog::{Options, Sequence, Start, Turn, WhatIf};
///
/// let options = || Options::new().segment_size(4 << 20);
/// let mut writer = options().open(folder.path().join("bank"))?;
/// for cents in [1, 20, 300] {
///     writer.append(&Deposited { cents })?;
/// }
/// writer.sync()?;
///
/// // What if the second one had not happened?
/// let second = Sequence::new(2);
/// let log = writer.log();
/// let mut what_if = WhatIf::before(&log, second, folder.path().join("what-if"), options())?;
/// what_if.rerun(|fact| if fact.sequence() == second { Turn::Skip } else { Turn::Keep })?;
///
/// let mut sum = 0;
/// let mut cursor = what_if.log().cursor(Start::Oldest)?;
/// while let Some(event) = cursor.next_event()? {
///     sum += event.get::<Deposited>()?.map_or(0, |deposited| deposited.cents());
/// }
/// assert_eq!(sum, 301);
/// # what_if.close()?;
/// # writer.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct WhatIf {
    origin: Log,
    writer: Writer,
    forked: Forked,
    /// What comes next of the origin.
    next: Sequence,
    numbers: Numbers,
    clock: Arc<AtomicU64>,
    history: Option<(Epoch, HistoryId)>,
    rerun: Rerun,
}

/// What was appended again so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rerun {
    /// Events that were appended as they were.
    pub kept: u64,
    /// Events that were left out.
    pub skipped: u64,
    /// Events for which others were appended.
    pub replaced: u64,
    /// Causes, correlations and corrections that are not named any more, since what they named was left
    /// out.
    pub unlinked: u64,
    /// Events that the origin lost to damage: there is nothing to append.
    pub lost: u64,
}

/// The time of the origin's frames, as they are appended again.
struct Then(Arc<AtomicU64>);

impl Clock for Then {
    fn now(&mut self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl WhatIf {
    /// Forks `origin` before an event, in `directory`, and opens the fork with these options, but for the
    /// clock: what is appended again has the times that it had, and what is appended beside it is of
    /// the moment that was reached.
    ///
    /// Where the event is in the middle of a transaction, the fork ends before that; what stands in it
    /// before the event is given to [`rerun`](Self::rerun) as well.
    ///
    /// # Errors
    ///
    /// There is no fork, or it does not open.
    pub fn before(
        origin: &Log,
        event: Sequence,
        directory: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, WhatIfError> {
        let last = if event == Sequence::ZERO { event } else { event.before() };
        let forked = Fork::of(origin).at(last).create(directory)?;
        let clock = Arc::new(AtomicU64::new(0));
        let options = options.clock(Then(Arc::clone(&clock)));
        let writer = options.open(&forked.directory).map_err(WhatIfError::Open)?;
        clock.store(writer.last_ts(), Ordering::Relaxed);
        Ok(Self {
            origin: origin.clone(),
            writer,
            next: forked.last.after(1),
            numbers: Numbers::new(forked.last),
            forked,
            clock,
            history: None,
            rerun: Rerun::default(),
        })
    }

    /// The fork, for readers.
    pub fn log(&self) -> Log {
        self.writer.log()
    }

    /// The fork as it was made.
    pub fn forked(&self) -> &Forked {
        &self.forked
    }

    /// The fork's writer: what happens there and did not happen in the origin is appended with it. Its
    /// time stands still at what was appended again last.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// The next event of the origin that has not been given to a rerun.
    pub fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// What an event of the origin is in the fork; `None` if it was left out, or its turn has not come.
    pub fn here(&self, there: Sequence) -> Option<Sequence> {
        self.numbers.here(there)
    }

    /// What was appended again so far.
    pub fn so_far(&self) -> Rerun {
        self.rerun
    }

    /// Appends again everything that is visible in the origin now and has not been given yet, transaction
    /// by transaction; `turn` says of each event what becomes of it. What came of all so far.
    ///
    /// An event that is appended again has the streams, causes and metadata that it had, and names the
    /// event that it was as its [`source`](crate::EventRef::source). What it names of the fork's own
    /// part is named by its number there; what was left out is not named. Commands of the origin are
    /// not: what became of them is known there.
    ///
    /// # Errors
    ///
    /// See [`WhatIfError`]. The transactions before stand, and it can be asked again.
    pub fn rerun(&mut self, turn: impl FnMut(&Fact<'_>) -> Turn) -> Result<Rerun, WhatIfError> {
        self.run(self.origin.visible().0, turn)
    }

    /// The same up to this event, also in the middle of a transaction. So there is room for what happens
    /// in between, and did not happen in the origin.
    ///
    /// # Errors
    ///
    /// See [`WhatIf::rerun`].
    pub fn rerun_up_to(
        &mut self,
        last: Sequence,
        turn: impl FnMut(&Fact<'_>) -> Turn,
    ) -> Result<Rerun, WhatIfError> {
        self.run(last.min(self.origin.visible().0), turn)
    }

    /// Makes everything durable, and closes the fork: it is a log like any other, and can be opened with
    /// an engine, to try commands on it.
    ///
    /// # Errors
    ///
    /// Not everything may be durable.
    pub fn close(self) -> Result<Forked, WhatIfError> {
        self.writer.close().map_err(WhatIfError::Close)?;
        Ok(self.forked)
    }

    fn run(
        &mut self,
        last: Sequence,
        mut turn: impl FnMut(&Fact<'_>) -> Turn,
    ) -> Result<Rerun, WhatIfError> {
        if self.next > last {
            return Ok(self.rerun);
        }
        // One for all batches: some give no event, though more follows, and it goes on behind them.
        let mut cursor = self.origin.cursor(Start::Sequence(self.next))?;
        while self.next <= last {
            let mut frame: Vec<EventRef<'_>> = Vec::new();
            let mut beyond = false;
            for event in cursor.poll()? {
                let event = event?;
                if event.sequence() > last {
                    beyond = true;
                    break;
                }
                // A frame is known by its time: times rise from frame to frame.
                if frame.first().is_some_and(|first| first.ts() != event.ts()) {
                    self.frame(&frame, &mut turn)?;
                    frame.clear();
                }
                frame.push(event);
            }
            // A batch ends where a frame does.
            self.frame(&frame, &mut turn)?;
            if self.next <= last && (beyond || !cursor.has_more()) {
                // What there would be was lost.
                self.rerun.lost += last.get() - self.next.before().get();
                self.next = last.after(1);
            }
        }
        Ok(self.rerun)
    }

    /// One transaction of the origin: all of what becomes of it is appended, or nothing.
    fn frame(
        &mut self,
        frame: &[EventRef<'_>],
        turn: &mut dyn FnMut(&Fact<'_>) -> Turn,
    ) -> Result<(), WhatIfError> {
        let Some(first) = frame.first() else { return Ok(()) };
        let history = self.history_of(first)?;
        let turns = self.turns(frame, turn)?;
        self.clock.store(first.ts(), Ordering::Relaxed);
        let begin = self.writer.next_sequence();
        // Each with the event that it was. A transaction that was as large as one can be has no room
        // for that, and goes without.
        let mut appended = self.append(frame, &turns, Some(history));
        if matches!(&appended, Err(WhatIfError::Append(_, AppendError::TooLarge { .. }))) {
            self.numbers.take_back(begin);
            appended = self.append(frame, &turns, None);
        }
        let unlinked = appended.inspect_err(|_| self.numbers.take_back(begin))?;
        self.rerun.unlinked += unlinked;
        self.rerun.lost += first.sequence().get() - self.next.get();
        self.next = first.sequence().after(frame.len() as u64);
        for turn in &turns {
            match turn {
                Turn::Keep => self.rerun.kept += 1,
                Turn::Skip => self.rerun.skipped += 1,
                Turn::Replace(_) => self.rerun.replaced += 1,
            }
        }
        Ok(())
    }

    /// What becomes of each event of a frame.
    fn turns(
        &self,
        frame: &[EventRef<'_>],
        turn: &mut dyn FnMut(&Fact<'_>) -> Turn,
    ) -> Result<Vec<Turn>, WhatIfError> {
        let mut turns: Vec<Turn> = Vec::with_capacity(frame.len());
        for event in frame {
            let lacks = |named: Option<Sequence>| {
                named.is_some_and(|named| {
                    // Of the same transaction: what was said of it a moment ago.
                    let within = frame.iter().zip(&turns).find(|(one, _)| one.sequence() == named);
                    match within {
                        Some((_, turn)) => matches!(turn, Turn::Skip),
                        None => self.numbers.here(named).is_none(),
                    }
                })
            };
            let beside = |error| WhatIfError::Beside(event.sequence(), error);
            let fact = Fact {
                event: *event,
                lacks_cause: lacks(event.cause().map_err(beside)?),
                lacks_root: lacks(event.correlation().map_err(beside)?),
            };
            turns.push(turn(&fact));
        }
        Ok(turns)
    }

    /// Appends a transaction; how many names were left out.
    fn append(
        &mut self,
        frame: &[EventRef<'_>],
        turns: &[Turn],
        history: Option<HistoryId>,
    ) -> Result<u64, WhatIfError> {
        let Some(first) = frame.first().map(EventRef::sequence) else { return Ok(0) };
        let Self { origin, writer, numbers, .. } = self;
        let mut unlinked = 0;
        let commit = |error| WhatIfError::Commit(first, error);
        let mut transaction = writer.begin().map_err(commit)?;
        for (event, turn) in frame.iter().zip(turns) {
            let there = event.sequence();
            let (of, payload) = match turn {
                Turn::Skip => continue,
                Turn::Keep => {
                    (event.event_type().ok_or(WhatIfError::NoType(there))?, event.payload())
                }
                Turn::Replace(other) => (&other.of, other.payload()),
            };
            let source = history.map(|history| {
                let log = origin.written_by(there);
                Source { log, history, sequence: there }
            });
            let mut here = |named: Option<Sequence>| {
                let known = named.and_then(|named| numbers.here(named));
                unlinked += u64::from(named.is_some() && known.is_none());
                known
            };
            let beside = |error| WhatIfError::Beside(there, error);
            let named = Named {
                cause: here(event.cause().map_err(beside)?),
                correlation: here(event.correlation().map_err(beside)?),
                invalidates: here(event.invalidates().map_err(beside)?),
            };
            let appended = put(&mut transaction, event, (of, payload), &named, source.as_ref());
            numbers.add(there, appended?);
        }
        transaction.commit().map_err(commit)?;
        Ok(unlinked)
    }

    /// The history in which an event of the origin was written.
    fn history_of(&mut self, event: &EventRef<'_>) -> Result<HistoryId, WhatIfError> {
        match self.history {
            Some((epoch, history)) if epoch == event.epoch() => Ok(history),
            _ => {
                let place =
                    place_before(self.origin.shared(), event.sequence().after(1), &mut None)?;
                self.history = Some((place.epoch, place.history));
                Ok(place.history)
            }
        }
    }
}

/// What an event names, as it is in the fork.
#[derive(Debug, Clone, Copy)]
struct Named {
    cause: Option<Sequence>,
    correlation: Option<Sequence>,
    invalidates: Option<Sequence>,
}

/// One event, with all that it had beside it.
fn put(
    transaction: &mut Transaction<'_>,
    event: &EventRef<'_>,
    (of, payload): (&LogType, &[u8]),
    named: &Named,
    source: Option<&Source>,
) -> Result<Sequence, WhatIfError> {
    let there = event.sequence();
    let beside = |error| WhatIfError::Beside(there, error);
    let further: Vec<_> = event.further_streams().map_err(beside)?;
    let further: Vec<(&StreamKey, Expected)> =
        further.into_iter().map(|(stream, _)| (stream, Expected::Any)).collect();
    let mut meta = Meta::new().metadata(event.metadata().map_err(beside)?).further(&further);
    if let Some(stream) = event.stream() {
        meta = meta.stream(stream, Expected::Any);
    }
    if let Some(source) = source {
        meta = meta.source(source);
    }
    let Named { cause, correlation, invalidates } = *named;
    if let Some(cause) = cause {
        meta = meta.cause(cause);
    }
    if let Some(correlation) = correlation {
        meta = meta.correlation(correlation);
    }
    if let Some(corrected) = invalidates {
        meta = meta.invalidates(corrected);
    }
    let appended = transaction.append_stored(of, payload, meta);
    appended.map_err(|error| WhatIfError::Append(there, error))
}
