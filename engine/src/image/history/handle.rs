//! The log, its snapshots, and what is known of its streams.

use std::collections::HashMap;
use std::fmt;

use factlog_codec::types::Upcasts;
use factlog_codec::{Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::moment::{Moment, Resolved};
use super::shelf::Shelf;
use crate::image::images::Images;
use crate::image::snapshot::PassedOver;
use crate::image::state::State;
use crate::log::{Bound, Log, Maps, Reached, ReadError, Settled, Trail};

/// Most events whose places are kept: 32 bytes each.
const TRAILS: usize = 1 << 20;
/// Most marks that are kept, and streams: some 50 bytes for a mark, 200 for a stream.
const MARKS: usize = 1 << 19;

/// The past of a log: asked, it answers as of any event and any time.
///
/// It goes through the nearest snapshot before that moment and what comes after it. Snapshots that
/// were opened stay mapped, and of streams that were asked for it is kept where their events stand: so
/// that asking again is cheap. It costs the writer nothing. For several threads make several.
///
/// ```
/// use factlog::{History, Moment, Options, Start, StreamKey, Meta, Expected};
/// # #[factlog::event(name = "counted", version = 1)]
/// # pub struct Counted { pub by: u64 }
/// # #[factlog::vocabulary]
/// # pub enum CounterEvent { Counted(Counted) }
/// # #[derive(Default)]
/// # pub struct Counter { sum: u64 }
/// # impl factlog::State for Counter {
/// #     const NAME: &'static str = "counter";
/// #     type Key = u64;
/// #     type Event = CounterEvent;
/// #     fn evolve(&mut self, event: CounterEventView<'_>) {
/// #         let CounterEventView::Counted(counted) = event;
/// #         self.sum += counted.by();
/// #     }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let mut writer = Options::new().open(directory.path())?;
/// # let seven = StreamKey::new("counter", 7_u64)?;
/// let first = writer.append_with(&Counted { by: 3 }, Meta::new().stream(&seven, Expected::Any))?;
/// writer.append_with(&Counted { by: 4 }, Meta::new().stream(&seven, Expected::Any))?;
///
/// let mut history = History::of(&writer.log()).state::<Counter>().open();
/// assert_eq!(history.state::<Counter>(7_u64, first)?.state.sum, 3);
/// assert_eq!(history.state::<Counter>(7_u64, Moment::Now)?.state.sum, 7);
/// # Ok(())
/// # }
/// ```
pub struct History {
    pub(super) log: Log,
    /// Adds the kinds to an image.
    pub(super) kinds: Vec<Kind>,
    pub(super) shelf: Shelf,
    pub(super) settled: Settled,
    pub(super) trails: Trails,
    pub(super) upcasts: Upcasts,
    pub(super) counts: HistoryCounts,
}

/// A kind of state that a history holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// As it is stored; `None` if it is not.
    pub(super) fingerprint: Option<u64>,
    pub(super) add: fn(&mut Images),
}

/// What a history had to do so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HistoryCounts {
    /// Questions about one instance.
    pub questions: u64,
    /// Of these, the ones for which no event had to be looked for.
    pub warm: u64,
    /// Events that were looked for by going back through a stream: each is verified then, once.
    pub looked_for: u64,
    /// Events that were folded for questions about one instance.
    pub folded: u64,
    /// Snapshots that were opened.
    pub opened: u64,
}

/// Which kinds of state a history holds.
#[must_use = "a history is there after `open`"]
pub struct HistoryBuilder {
    log: Log,
    kinds: Vec<Kind>,
}

impl fmt::Debug for HistoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryBuilder").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kinds, counts, .. } = self;
        f.debug_struct("History")
            .field("kinds", kinds)
            .field("counts", counts)
            .finish_non_exhaustive()
    }
}

impl HistoryBuilder {
    /// Holds this kind of state as well.
    pub fn state<S: State>(mut self) -> Self {
        if !self.kinds.iter().any(|kind| kind.name == S::NAME) {
            let fingerprint = S::STORED.map(|stored| stored.fingerprint());
            let add = |images: &mut Images| {
                let _ = images.add::<S>();
            };
            self.kinds.push(Kind { name: S::NAME, fingerprint, add });
        }
        self
    }

    /// The history. Nothing is read yet.
    pub fn open(self) -> History {
        History {
            log: self.log,
            kinds: self.kinds,
            shelf: Shelf::default(),
            settled: Settled::default(),
            trails: Trails::default(),
            upcasts: Upcasts::new(),
            counts: HistoryCounts::default(),
        }
    }
}

impl History {
    /// The past of a log.
    pub fn of(log: &Log) -> HistoryBuilder {
        HistoryBuilder { log: log.clone(), kinds: Vec::new() }
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What it had to do so far.
    pub fn counts(&self) -> HistoryCounts {
        HistoryCounts { opened: self.shelf.opened, ..self.counts }
    }

    /// Looks for snapshots that have been taken since. That is done by itself as well, after some
    /// 65,000 events.
    pub fn refresh(&mut self) {
        self.shelf.refresh(&self.log, true);
    }

    /// Snapshots that could not be used so far, and why.
    pub fn passed_over(&self) -> &[PassedOver] {
        self.shelf.passed_over()
    }

    /// A kind of state, if it is held. Whoever has the same name with other logic is not.
    pub(super) fn kind<S: State>(&self) -> Result<Kind, HistoryError> {
        let fingerprint = S::STORED.map(|stored| stored.fingerprint());
        let same = |kind: &&Kind| kind.name == S::NAME && kind.fingerprint == fingerprint;
        self.kinds.iter().find(same).copied().ok_or(HistoryError::NoKind(S::NAME))
    }

    /// Holds a moment against the log.
    pub(super) fn resolve(&mut self, moment: Moment) -> Result<Resolved, HistoryError> {
        self.shelf.refresh(&self.log, false);
        let bound = match moment {
            Moment::Sequence(sequence) => Bound::Sequence(sequence),
            Moment::Time(time) => Bound::Time(time),
            Moment::Now => Bound::Sequence(self.log.visible().0),
        };
        if !self.settled.covers(bound) {
            self.settled = self.log.settle(&self.settled)?;
        }
        match bound {
            Bound::Sequence(sequence) if sequence > self.settled.last => {
                Err(HistoryError::BeyondEnd(self.settled.last))
            }
            Bound::Sequence(_) => Ok(Resolved { bound, open_ended: moment == Moment::Now }),
            Bound::Time(time) => Ok(Resolved { bound, open_ended: time > self.settled.ts }),
        }
    }

    /// The last event of the log within the bound.
    pub(super) fn last_within(&self, bound: Bound) -> Result<Sequence, HistoryError> {
        match bound {
            Bound::Sequence(sequence) => Ok(sequence),
            Bound::Time(time) => match self.log.last_until(time)? {
                // What has become visible since is not asked for.
                Some(sequence) => Ok(sequence.min(self.settled.last)),
                None if self.log.oldest() <= Sequence::FIRST => Ok(Sequence::ZERO),
                None => Err(HistoryError::BeforeOldest(self.log.oldest())),
            },
        }
    }
}

/// Where the events of streams stand, of those that were asked for: when there are too many, only
/// marks are kept; and when these are too many, nothing.
#[derive(Default)]
pub(super) struct Trails {
    pub(super) maps: Maps,
    all: HashMap<StreamKey, Trail, foldhash::fast::RandomState>,
    /// Events and marks that are kept.
    kept: [usize; 2],
}

impl Trails {
    /// The events of a stream from behind `after` up to `bound`, newest first; `None` if the stream has
    /// not begun.
    pub(super) fn reach(
        &mut self,
        log: &Log,
        stream: &StreamKey,
        way: (StreamVersion, Bound),
        looked_for: &mut u64,
    ) -> Result<Option<(&Trail, &mut Maps, Reached)>, ReadError> {
        let Self { maps, all, kept } = self;
        let [steps, marks] = *kept;
        if marks + all.len() > MARKS {
            all.clear();
            *kept = [0; 2];
        } else if steps > TRAILS {
            all.values_mut().for_each(Trail::shrink);
            kept[0] = 0;
        }
        if !all.contains_key(stream) {
            let Some(trail) = Trail::of(log, stream) else { return Ok(None) };
            all.insert(stream.clone(), trail);
        }
        let Some(trail) = all.get_mut(stream) else { return Ok(None) };
        let before = trail.kept();
        let reached = trail.reach(log, maps, stream, way, looked_for);
        for ((kept, now), before) in kept.iter_mut().zip(trail.kept()).zip(before) {
            *kept = (*kept + now).saturating_sub(before);
        }
        Ok(Some((trail, maps, reached?)))
    }
}
