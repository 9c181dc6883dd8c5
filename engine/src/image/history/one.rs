//! One instance as of a moment: from the nearest snapshot, and its stream from there on.

use std::fmt;

use factlog_codec::types::{Upcasts, render};
use factlog_codec::{BlockError, Key, Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::handle::{History, Kind};
use super::moment::Moment;
use crate::image::instances::{Folded, Instances};
use crate::image::snapshot::PassedOverReason;
use crate::image::state::{InstanceKey, IntoKey, State};
use crate::image::suspension::{Suspension, SuspensionCause};
use crate::log::{Bound, EventRef, LogType, Maps, Reached, ReadError};

/// An instance as it was.
#[derive(Clone)]
#[non_exhaustive]
pub struct Past<S> {
    /// Its state.
    pub state: S,
    /// Version of its last event then; [`StreamVersion::NONE`] if it had none.
    pub version: StreamVersion,
    /// Whether the moment lies behind the last frame: what is committed until then would change the
    /// answer.
    pub open_ended: bool,
    /// The snapshot that it was found in, and which was folded further.
    pub snapshot: Option<Sequence>,
    /// Events that were folded.
    pub folded: u64,
}

impl<S: fmt::Debug> fmt::Debug for Past<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, version, open_ended, snapshot, folded } = self;
        f.debug_struct("Past")
            .field("state", state)
            .field("version", version)
            .field("open_ended", open_ended)
            .field("snapshot", snapshot)
            .field("folded", folded)
            .finish()
    }
}

/// Whoever is folded into: an instance of an image, or one by itself.
pub(super) trait Into {
    /// Begins with a state that stands in a snapshot, or with none; whether it can be read.
    fn begin(&mut self, stored: Option<(&[u8], StreamVersion)>) -> bool;
    /// Folds an event.
    fn fold(&mut self, event: Folded<'_>) -> Result<(), SuspensionCause>;
}

/// What it was made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Made {
    pub(super) version: StreamVersion,
    pub(super) snapshot: Option<Sequence>,
    pub(super) folded: u64,
}

impl History {
    /// An instance as it was at a moment; at the default state if it had no event.
    ///
    /// # Errors
    ///
    /// The log has not come so far, or no longer goes back so far; the instance was suspended, or the
    /// beginning of its stream is dropped and no snapshot has it; the log cannot be read.
    pub fn state<S: State>(
        &mut self,
        key: impl IntoKey<S::Key>,
        moment: impl std::convert::Into<Moment>,
    ) -> Result<Past<S>, HistoryError> {
        self.state_by(&key.into_key().to_key(), moment.into())
    }

    pub(super) fn state_by<S: State>(
        &mut self,
        key: &Key,
        moment: Moment,
    ) -> Result<Past<S>, HistoryError> {
        let kind = self.kind::<S>()?;
        let resolved = self.resolve(moment)?;
        let upcasts = std::mem::take(&mut self.upcasts);
        let mut alone = Alone { state: S::default(), upcasts };
        let made = self.fold_one(kind, key, resolved.bound, &mut alone);
        let Alone { state, upcasts } = alone;
        self.upcasts = upcasts;
        let Made { version, snapshot, folded } = made?;
        Ok(Past { state, version, open_ended: resolved.open_ended, snapshot, folded })
    }

    /// Folds an instance from the nearest snapshot up to `bound`.
    pub(super) fn fold_one(
        &mut self,
        kind: Kind,
        key: &Key,
        bound: Bound,
        into: &mut impl Into,
    ) -> Result<Made, HistoryError> {
        let stream = StreamKey::new(kind.name, key.clone()).map_err(HistoryError::Key)?;
        self.counts.questions += 1;
        match self.fold_once(kind, &stream, bound, into) {
            // A snapshot that was taken since may have it.
            Err(error) if error.is_dropped() && self.shelf.find_newer(&self.log) => {
                self.fold_once(kind, &stream, bound, into)
            }
            done => done,
        }
    }

    fn fold_once(
        &mut self,
        kind: Kind,
        stream: &StreamKey,
        bound: Bound,
        into: &mut impl Into,
    ) -> Result<Made, HistoryError> {
        let key = stream.key();
        self.trails.maps.forget_dropped(&self.log);
        let mut made = self.begin_one(kind, key, bound, into);
        if made.snapshot.is_none() {
            let oldest = self.log.oldest();
            let nothing = bound == Bound::Sequence(Sequence::ZERO);
            if oldest > Sequence::FIRST && !nothing && self.last_within(bound)?.after(1) < oldest {
                return Err(HistoryError::BeforeOldest(oldest));
            }
        }
        let looked_for = self.counts.looked_for;
        let folded = self.fold_tail(stream, bound, &mut made, into);
        self.counts.warm += u64::from(self.counts.looked_for == looked_for);
        self.counts.folded += made.folded;
        match folded {
            Ok(()) => Ok(made),
            Err(HistoryError::Read(error)) => Err(unread(error, made.version)),
            Err(error) => Err(error),
        }
    }

    /// Begins with the nearest snapshot that has the instance, can be read, and says that it has it or
    /// has it not.
    fn begin_one(&mut self, kind: Kind, key: &Key, bound: Bound, into: &mut impl Into) -> Made {
        let mut from = 0;
        let mut ordered = Vec::with_capacity(32);
        key.put_ordered(&mut ordered);
        while let Some(fingerprint) = kind.fingerprint
            && let Some((at, snapshot)) = self.shelf.within(&self.log, bound, from)
        {
            from = at + 1;
            let Some(base) = self.shelf.section(&snapshot, (kind.name, fingerprint)) else {
                continue;
            };
            let damage = match base.find(&ordered) {
                // It had no event, or was suspended: its stream says all of it, if it is all there.
                Ok(None) if self.log.oldest() == Sequence::FIRST => break,
                Ok(None) => continue,
                Ok(Some(entry)) if into.begin(Some((entry.value, entry.version))) => {
                    let snapshot = Some(snapshot.sequence());
                    return Made { version: entry.version, snapshot, folded: 0 };
                }
                Ok(Some(_)) => BlockError::Entry,
                Err(error) => error,
            };
            let reason = PassedOverReason::Instances(damage);
            self.shelf.pass_over(snapshot.sequence(), reason);
        }
        into.begin(None);
        Made::default()
    }

    /// Folds what comes after a version, up to `bound`.
    fn fold_tail(
        &mut self,
        stream: &StreamKey,
        bound: Bound,
        made: &mut Made,
        into: &mut impl Into,
    ) -> Result<(), HistoryError> {
        let Self { log, trails, counts, .. } = self;
        let way = (made.version, bound);
        let found = trails.reach(log, stream, way, &mut counts.looked_for)?;
        let Some((trail, maps, reached)) = found else { return Ok(()) };
        let Reached::Steps { begin, end } = reached else {
            return self.fold_long(stream, bound, made, into);
        };
        for at in (begin..end).rev() {
            let Some(step) = trail.steps().get(at) else { break };
            let (version, sequence) = (trail.version(at), step.sequence);
            if version != made.version.next() {
                let cause = SuspensionCause::HistoryDropped;
                return Err(HistoryError::Suspended(Suspension { sequence, version, cause }));
            }
            let (of, payload) = maps.read(log, step)?;
            let event = Folded { of, payload, sequence, version };
            fold(into, event, || Maps::name(log, step))?;
            made.version = version;
            made.folded += 1;
        }
        Ok(())
    }

    /// The same, where there are more events than are kept: one after the other.
    fn fold_long(
        &mut self,
        stream: &StreamKey,
        bound: Bound,
        made: &mut Made,
        into: &mut impl Into,
    ) -> Result<(), HistoryError> {
        let mut cursor = self.log.stream(stream, made.version.next());
        while let Some(event) = cursor.next_event()? {
            if !bound.admits(event.sequence(), event.ts()) {
                break;
            }
            let of = event.event_type();
            let folded = Folded {
                of: of.map(LogType::key),
                payload: event.payload(),
                sequence: event.sequence(),
                version: made.version.next(),
            };
            fold(into, folded, || of.map(|of| (of.name().to_owned(), of.version())))?;
            made.version = made.version.next();
            made.folded += 1;
            self.counts.looked_for += 1;
        }
        Ok(())
    }
}

/// Folds an event, or says why the instance is suspended there.
fn fold(
    into: &mut impl Into,
    event: Folded<'_>,
    name: impl FnOnce() -> Option<(String, u16)>,
) -> Result<(), HistoryError> {
    into.fold(event).map_err(|cause| suspended(cause, event, name))
}

fn suspended(
    cause: SuspensionCause,
    event: Folded<'_>,
    name: impl FnOnce() -> Option<(String, u16)>,
) -> HistoryError {
    let Folded { sequence, version, .. } = event;
    let cause = match (cause, name()) {
        (SuspensionCause::Unknown { .. }, Some((name, version))) => {
            SuspensionCause::Unknown { name, version }
        }
        (cause, _) => cause,
    };
    HistoryError::Suspended(Suspension { sequence, version, cause })
}

/// What comes behind version `after` of a stream cannot be read.
pub(super) fn unread(error: ReadError, after: StreamVersion) -> HistoryError {
    match error {
        ReadError::BehindFloor(_) => {
            let (sequence, version) = (Sequence::FIRST, after.next());
            let cause = SuspensionCause::HistoryDropped;
            HistoryError::Suspended(Suspension { sequence, version, cause })
        }
        error => HistoryError::Read(error),
    }
}

/// Folds an event of a stream into a state by itself.
pub(super) fn fold_event<S: State>(
    state: &mut S,
    event: &EventRef<'_>,
    version: StreamVersion,
    upcasts: &mut Upcasts,
) -> Result<(), HistoryError> {
    let of = event.event_type();
    let folded = Folded {
        of: of.map(LogType::key),
        payload: event.payload(),
        sequence: event.sequence(),
        version,
    };
    Instances::fold_any(state, folded, upcasts).map_err(|cause| {
        suspended(cause, folded, || of.map(|of| (of.name().to_owned(), of.version())))
    })
}

/// Most bytes of JSON of one event.
const MOST: usize = 1 << 20;

/// An event as JSON, if its description shows it.
pub(super) fn shown(event: &EventRef<'_>) -> Option<String> {
    let mut text = String::new();
    render(event.event_type()?.description()?, event.payload(), &mut text, MOST).ok()?;
    Some(text)
}

/// A state by itself.
struct Alone<S> {
    state: S,
    upcasts: Upcasts,
}

impl<S: State> Into for Alone<S> {
    fn begin(&mut self, stored: Option<(&[u8], StreamVersion)>) -> bool {
        let Some((archive, _)) = stored else {
            self.state = S::default();
            return true;
        };
        match S::STORED.map(|stored| stored.restore(archive)) {
            Some(Ok(state)) => {
                self.state = state;
                true
            }
            _ => false,
        }
    }

    fn fold(&mut self, event: Folded<'_>) -> Result<(), SuspensionCause> {
        Instances::fold_any(&mut self.state, event, &mut self.upcasts)
    }
}
