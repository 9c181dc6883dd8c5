//! An image as of a moment: from the nearest snapshot, and the log from there on.

use std::convert::Into;
use std::fmt;

use factlog_codec::{Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::handle::{History, Kind};
use super::moment::{AsOf, Moment};
use crate::image::fold::{fold, suspend_dropped};
use crate::image::hash::{StateHash, StateHashError};
use crate::image::images::Images;
use crate::image::instances::Unseen;
use crate::image::ordered;
use crate::image::patch::{DiffError, InstanceDiff, differences};
use crate::image::snapshot::{Base, PassedOverReason, Snapshot};
use crate::image::state::{IntoKey, State};
use crate::image::suspension::Suspension;
use crate::log::{Bound, Log, ReadError, SeekError, Start};
use crate::sync::Arc;

/// All instances as they were at a moment.
///
/// What stands in the snapshot and had no event after it is not in memory before it is looked at.
pub struct PastImage {
    pub(super) images: Images,
    pub(super) log: Log,
    pub(super) as_of: AsOf,
    snapshot: Option<Sequence>,
    folded: u64,
}

impl fmt::Debug for PastImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { as_of, snapshot, .. } = self;
        let mut all = f.debug_struct("PastImage");
        all.field("as_of", as_of).field("snapshot", snapshot).finish_non_exhaustive()
    }
}

impl History {
    /// All instances as they were at a moment.
    ///
    /// It takes the time to fold what comes after the nearest snapshot that can be used, and memory for
    /// the instances that this concerns.
    ///
    /// # Errors
    ///
    /// The log has not come so far, or no longer goes back so far and no snapshot helps; or it cannot be
    /// read.
    pub fn as_of(&mut self, moment: impl Into<Moment>) -> Result<PastImage, HistoryError> {
        let resolved = self.resolve(moment.into())?;
        let until = self.last_within(resolved.bound)?;
        let as_of = AsOf { sequence: until, open_ended: resolved.open_ended };
        if let Some(image) = self.through_a_snapshot(as_of)? {
            return Ok(image);
        }
        // Where the log is cut, one that was taken since may help.
        if self.log.oldest() > Sequence::FIRST
            && self.shelf.find_newer(&self.log)
            && let Some(image) = self.through_a_snapshot(as_of)?
        {
            return Ok(image);
        }
        self.fold_from(None, as_of)
    }

    /// The image from the nearest snapshot that can be used.
    fn through_a_snapshot(&mut self, as_of: AsOf) -> Result<Option<PastImage>, HistoryError> {
        let mut from = 0;
        let bound = Bound::Sequence(as_of.sequence);
        while self.kinds.iter().all(|kind| kind.fingerprint.is_some())
            && let Some((at, snapshot)) = self.shelf.within(&self.log, bound, from)
        {
            from = at + 1;
            if !self.is_usable(&snapshot) {
                continue;
            }
            match self.fold_from(Some(&snapshot), as_of) {
                Err(HistoryError::BeforeOldest(_)) => {
                    self.shelf.shut(at, PassedOverReason::Behind);
                }
                done => return done.map(Some),
            }
        }
        Ok(None)
    }

    /// Whether a snapshot has all kinds, whole.
    fn is_usable(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        let Self { kinds, shelf, .. } = self;
        kinds.iter().all(|Kind { name, fingerprint, .. }| {
            let section = fingerprint.and_then(|print| shelf.section(snapshot, (name, print)));
            section.is_some_and(|base: Base| shelf.is_whole(&base))
        })
    }

    fn fold_from(
        &self,
        snapshot: Option<&Arc<Snapshot>>,
        as_of: AsOf,
    ) -> Result<PastImage, HistoryError> {
        let log = &self.log;
        let mut images = Images::new();
        self.kinds.iter().for_each(|kind| (kind.add)(&mut images));
        let mut folded = 0;
        if let Some(snapshot) = snapshot {
            images.begin_with(snapshot, log);
        }
        if images.next <= as_of.sequence {
            let oldest = log.oldest();
            // Retention has dropped what comes first; what it has left is folded if it goes back so far.
            let cut = snapshot.is_none() && oldest > Sequence::FIRST;
            if (cut && as_of.sequence.after(1) < oldest) || (!cut && images.next < oldest) {
                return Err(HistoryError::BeforeOldest(oldest));
            }
            if snapshot.is_none() {
                suspend_dropped(&mut images, log)?;
            }
            let start = if cut { Start::Oldest } else { Start::Sequence(images.next) };
            folded = fold_until(&mut images, log, start, as_of.sequence)?;
        }
        let snapshot = snapshot.map(|snapshot| snapshot.sequence());
        Ok(PastImage { images, log: log.clone(), as_of, snapshot, folded })
    }
}

/// Folds from a place on, up to and with `last`; how many events that were.
pub(super) fn fold_until(
    images: &mut Images,
    log: &Log,
    start: Start,
    last: Sequence,
) -> Result<u64, HistoryError> {
    let mut cursor = log.cursor(start).map_err(|error| match error {
        SeekError::BeforeOldest(oldest) => HistoryError::BeforeOldest(oldest),
        SeekError::Read(error) => HistoryError::Read(error),
        SeekError::BeyondEnd(next) => HistoryError::BeyondEnd(next.before()),
        SeekError::Lost(sequence) => HistoryError::BeyondEnd(sequence),
    })?;
    let mut folded = 0;
    loop {
        let mut batch = cursor.poll().map_err(dropped)?;
        let mut any = false;
        while let Some(entry) = batch.next_entry().map_err(dropped)? {
            any = true;
            if entry.sequence > last {
                images.next = images.next.max(last.after(1));
                return Ok(folded);
            }
            if entry.sequence >= images.next {
                fold(images, &entry);
                folded += u64::from(entry.is_event());
            }
        }
        if !any && !cursor.has_more() {
            // What was lost to damage is passed over.
            images.next = images.next.max(last.after(1));
            return Ok(folded);
        }
    }
}

/// What is dropped while it is read is no other than what was dropped before.
fn dropped(error: ReadError) -> HistoryError {
    match error {
        ReadError::BehindFloor(oldest) => HistoryError::BeforeOldest(oldest),
        error => HistoryError::Read(error),
    }
}

impl PastImage {
    /// Of which moment it is.
    pub fn moment(&self) -> AsOf {
        self.as_of
    }

    /// The snapshot that it began with.
    pub fn snapshot(&self) -> Option<Sequence> {
        self.snapshot
    }

    /// Events that were folded on it.
    pub fn folded(&self) -> u64 {
        self.folded
    }

    /// Looks at one instance; at the default state if it had no event.
    ///
    /// # Errors
    ///
    /// It was suspended, or the history does not hold this kind of state.
    pub fn with<S: State, T>(
        &mut self,
        key: impl IntoKey<S::Key>,
        look: impl FnOnce(&S) -> T,
    ) -> Result<T, HistoryError> {
        let kind = self.images.kind_of::<S>().ok_or(HistoryError::NoKind(S::NAME))?;
        let key = key.into_key();
        self.images.ready::<S>(kind, &key);
        let instances = self.images.get::<S>(kind).ok_or(HistoryError::NoKind(S::NAME))?;
        match instances.look(&key) {
            Ok(state) => Ok(look(state)),
            Err(Unseen::Suspended(why)) => Err(HistoryError::Suspended(why)),
            Err(Unseen::Stored) => Ok(look(&instances.blank)),
        }
    }

    /// Version of the last event of an instance then.
    pub fn version<S: State>(&mut self, key: impl IntoKey<S::Key>) -> StreamVersion {
        let Some(kind) = self.images.kind_of::<S>() else { return StreamVersion::NONE };
        let key = key.into_key();
        self.images.ready::<S>(kind, &key);
        self.images.get::<S>(kind).map_or(StreamVersion::NONE, |all| all.version(&key))
    }

    /// Looks at all instances of a kind that had events and were not suspended, in the order of their
    /// keys (numbers by their size, texts by their bytes).
    ///
    /// # Errors
    ///
    /// The history does not hold this kind of state, or the snapshot has rotted since it was verified.
    pub fn for_each<S: State>(&self, look: impl FnMut(&S::Key, &S)) -> Result<(), HistoryError> {
        let kind = self.images.kind_of::<S>().and_then(|kind| self.images.get::<S>(kind));
        let kind = kind.ok_or(HistoryError::NoKind(S::NAME))?;
        let damaged = |error| HistoryError::Diff(DiffError::Damaged(S::NAME, error));
        ordered::for_each(kind, look).map_err(damaged)
    }

    /// The instances that were suspended: which, and why.
    pub fn suspensions(&self) -> Vec<(StreamKey, Suspension)> {
        let named = |(_, stream, why)| Some((self.log.stream_key(stream)?, why));
        self.images.suspensions().into_iter().filter_map(named).collect()
    }

    /// The hash of all states.
    ///
    /// # Errors
    ///
    /// Instances of a kind are not stored, or one is too large to be.
    pub fn state_hash(&self) -> Result<StateHash, StateHashError> {
        StateHash::of_image(&self.images)
    }

    /// What makes of this image what `after` is: gives each instance that differs to `see`, in the order
    /// of kinds and keys. The two may be of different logs: a fork and its origin.
    ///
    /// What it costs in memory: the keys of both, and one instance of each at a time. Of what differs
    /// nothing is kept.
    ///
    /// # Errors
    ///
    /// States of a kind are not stored or not described, or one is too large; or the images do not hold
    /// the same kinds.
    pub fn diff(&self, after: &Self, see: impl FnMut(InstanceDiff)) -> Result<(), DiffError> {
        differences(&self.images, &after.images, see)
    }
}
