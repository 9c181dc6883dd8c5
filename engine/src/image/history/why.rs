//! The event that made something true.

use std::fmt;

use factlog_codec::{Key, Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::handle::History;
use super::moment::Moment;
use super::one::{Past, fold_event, shown, unread};
use crate::image::snapshot::Snapshot;
use crate::image::state::{InstanceKey, IntoKey, State};
use crate::log::Bound;
use crate::sync::Arc;

/// The event that made something true, with the state before and after it.
#[non_exhaustive]
pub struct TurningPoint<S> {
    /// The event.
    pub sequence: Sequence,
    /// Its version in the stream of the instance.
    pub version: StreamVersion,
    /// When it was committed: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// What the event is called.
    pub name: String,
    /// It, as JSON, by its description in the log; `None` if that does not show it, or it is longer than
    /// a MiB.
    pub event: Option<String>,
    /// The event that caused it, if that is said.
    pub cause: Option<Sequence>,
    /// The state of the instance before it.
    pub before: S,
    /// The state of the instance after it.
    pub after: S,
}

impl<S: fmt::Debug> fmt::Debug for TurningPoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, version, name, event, before, after, .. } = self;
        f.debug_struct("TurningPoint")
            .field("sequence", sequence)
            .field("version", version)
            .field("name", name)
            .field("event", event)
            .field("before", before)
            .field("after", after)
            .finish_non_exhaustive()
    }
}

impl History {
    /// The first event after which `predicate` holds of an instance, by looking at its state after
    /// each event from the beginning on. `None` if it never does. If it holds already of the default
    /// state, no event made it so, and that is no answer: the first event after which it holds again,
    /// once it did not, is.
    ///
    /// # Errors
    ///
    /// The beginning of its stream is dropped, it was suspended before `predicate` held, or the log cannot
    /// be read.
    pub fn why<S: State>(
        &mut self,
        key: impl IntoKey<S::Key>,
        predicate: impl FnMut(&S) -> bool,
    ) -> Result<Option<TurningPoint<S>>, HistoryError> {
        let key = key.into_key().to_key();
        self.kind::<S>()?;
        self.scan(&key, StreamVersion::NONE, S::default(), predicate)
    }

    /// The same for something that, once it holds, holds ever after: that is promised by the caller. Then
    /// it need not be looked for from the beginning: by bisection over the snapshots, and by looking
    /// from one to the next. So it can also be found where the beginning of the stream is dropped, if a
    /// snapshot is from before.
    ///
    /// # Errors
    ///
    /// As [`History::why`].
    pub fn why_monotone<S: State>(
        &mut self,
        key: impl IntoKey<S::Key>,
        mut predicate: impl FnMut(&S) -> bool,
    ) -> Result<Option<TurningPoint<S>>, HistoryError> {
        let key = key.into_key().to_key();
        let kind = self.kind::<S>()?;
        self.resolve(Moment::Now)?;
        if self.log.oldest() > Sequence::FIRST {
            self.shelf.find_newer(&self.log);
        }
        let mut snapshots: Vec<Arc<Snapshot>> = Vec::new();
        let mut from = 0;
        let whole = Bound::Sequence(self.settled.last);
        while kind.fingerprint.is_some()
            && let Some((at, snapshot)) = self.shelf.within(&self.log, whole, from)
        {
            from = at + 1;
            snapshots.push(snapshot);
        }
        // Oldest first. As of a snapshot means: what stands in it, or what it takes to come to it.
        snapshots.reverse();
        let (mut low, mut high) = (0, snapshots.len());
        let mut begin = (StreamVersion::NONE, S::default());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(at) = snapshots.get(middle).map(|snapshot| snapshot.sequence()) else { break };
            let past: Past<S> = match self.state_by::<S>(&key, Moment::Sequence(at)) {
                // It is of no use, and the log no longer says what was then; a later one may.
                Err(error) if error.is_dropped() => {
                    low = middle + 1;
                    continue;
                }
                // What came before may have made it true.
                Err(HistoryError::Suspended(_)) => {
                    high = middle;
                    continue;
                }
                past => past?,
            };
            if predicate(&past.state) {
                high = middle;
            } else {
                begin = (past.version, past.state);
                low = middle + 1;
            }
        }
        let (version, state) = begin;
        self.scan(&key, version, state, predicate)
    }

    /// Looks at the state after each event behind a version, of which `state` is.
    fn scan<S: State>(
        &mut self,
        key: &Key,
        mut version: StreamVersion,
        mut state: S,
        mut predicate: impl FnMut(&S) -> bool,
    ) -> Result<Option<TurningPoint<S>>, HistoryError> {
        let stream = StreamKey::new(S::NAME, key.clone()).map_err(HistoryError::Key)?;
        let mut held = predicate(&state);
        let mut found = None;
        let log = self.log.clone();
        let mut cursor = log.stream(&stream, version.next());
        let mut upcasts = std::mem::take(&mut self.upcasts);
        let scanned = loop {
            let event = match cursor.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break Ok(()),
                Err(error) => break Err(unread(error, version)),
            };
            version = version.next();
            if let Err(error) = fold_event(&mut state, &event, version, &mut upcasts) {
                break Err(error);
            }
            let holds = predicate(&state);
            if holds && !held {
                let name = event.event_type().map_or("?", |of| of.name()).to_owned();
                let json = shown(&event);
                let cause = event.cause().ok().flatten();
                found = Some((event.sequence(), event.ts(), name, json, cause));
                break Ok(());
            }
            held = holds;
        };
        self.upcasts = upcasts;
        scanned?;
        let Some((sequence, ts, name, event, cause)) = found else { return Ok(None) };
        let before = self.state_by::<S>(key, Moment::Sequence(sequence.before()))?.state;
        let after = state;
        Ok(Some(TurningPoint { sequence, version, ts, name, event, cause, before, after }))
    }
}
