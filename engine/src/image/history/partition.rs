//! The first event for which something of the user's own no longer holds: the past by a time that stands
//! in events.

use factlog_codec::types::{Upcasts, Vocabulary};
use factlog_codec::{Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::handle::History;
use super::moment::Moment;
use super::one::unread;
use crate::image::state::{InstanceKey, IntoKey, State};
use crate::log::{Bound, EventRef, Log, LogType, Reached, SeekError, Start};

impl Log {
    /// The first event for which `holds` does not hold, given that it holds for all before some event, and
    /// for none from there on: the caller promises that order. The next event to come if it holds for
    /// all. [`History::as_of`] the event before it is then the past by what `holds` asks for: a
    /// time that stands in the events, say.
    ///
    /// `holds` gives `None` for events that do not tell (of another type, say); then the next one that
    /// does is looked at. By bisection: about log2(n) events are looked at, each of which is found by the
    /// sparse index, if most events tell; in between, those that do not are passed one by one.
    ///
    /// ```
    /// # use factlog::Options;
    /// #[factlog::event(name = "flight-departed", version = 1)]
    /// pub struct FlightDeparted {
    ///     pub at: u64,
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let mut writer = Options::new().open(directory.path())?;
    /// # for at in [10, 20, 30] { writer.append(&FlightDeparted { at })?; }
    /// let log = writer.log();
    /// let until = |time: u64| {
    ///     log.partition_point(|event| Some(event.get::<FlightDeparted>().ok()??.at() <= time))
    /// };
    /// assert_eq!(until(25)?.before().get(), 2);
    /// assert_eq!(until(9)?.before().get(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn partition_point(
        &self,
        mut holds: impl FnMut(EventRef<'_>) -> Option<bool>,
    ) -> Result<Sequence, SeekError> {
        let end = self.visible().0.after(1);
        let (mut low, mut high) = (self.oldest(), end);
        let mut first = end;
        // Everything before `low` holds or tells nothing; `first` is the first that tells from `high` on.
        while low < high {
            let middle = Sequence::new(low.get() + (high.get() - low.get()) / 2);
            let mut cursor = self.cursor(Start::Sequence(middle))?;
            // The first from the middle on that tells.
            let told = loop {
                match cursor.next_event()? {
                    Some(event) if event.sequence() < high => {
                        let sequence = event.sequence();
                        if let Some(told) = holds(event) {
                            break Some((sequence, told));
                        }
                    }
                    _ => break None,
                }
            };
            match told {
                Some((sequence, true)) => low = sequence.after(1),
                Some((sequence, false)) => (high, first) = (middle, sequence),
                None => high = middle,
            }
        }
        Ok(first)
    }
}

impl History {
    /// The first event of an instance's stream for which `holds` does not hold, given that it holds for all
    /// of its events before some event, and for none from there on: the caller promises that order. The next
    /// event of the log to come if it holds for all. [`History::state`] as of the event before it is then
    /// the past by what `holds` asks for.
    ///
    /// By bisection, about log2(n) events are looked at, once it is known where the events of the stream
    /// stand: the first question goes back through all of it. Of a stream of more than some 65,000 events
    /// that is not kept, and it is gone through each time.
    ///
    /// # Errors
    ///
    /// The beginning of its stream is dropped, an event is not known, or the log cannot be read.
    pub fn partition_point<S: State>(
        &mut self,
        key: impl IntoKey<S::Key>,
        mut holds: impl FnMut(<S::Event as Vocabulary>::View<'_>) -> bool,
    ) -> Result<Sequence, HistoryError> {
        self.kind::<S>()?;
        let stream = StreamKey::new(S::NAME, key.into_key().to_key()).map_err(HistoryError::Key)?;
        self.resolve(Moment::Now)?;
        let end = self.settled.last;
        let Self { log, trails, counts, upcasts, .. } = self;
        trails.maps.forget_dropped(log);
        let none = StreamVersion::NONE;
        let way = (none, Bound::Sequence(end));
        let reached = trails.reach(log, &stream, way, &mut counts.looked_for);
        let reached = reached.map_err(|error| unread(error, none))?;
        let Some((trail, maps, reached)) = reached else { return Ok(end.after(1)) };
        let Reached::Steps { begin, end: last } = reached else {
            let mut cursor = log.stream(&stream, none.next());
            while let Some(event) = cursor.next_event().map_err(|error| unread(error, none))? {
                let told = ask::<S>(&event, upcasts, &mut holds)?;
                if !told {
                    return Ok(event.sequence());
                }
            }
            return Ok(end.after(1));
        };
        // The newest first: those from `high` on hold, none before `low` does.
        let (mut low, mut high) = (begin, last);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(step) = trail.steps().get(middle) else { break };
            let (of, payload) = maps.read(log, step)?;
            let mut told = false;
            let mut see = |view: <S::Event as Vocabulary>::View<'_>| told = holds(view);
            let known = match of {
                Some(of) => look::<S>(of, payload, upcasts, &mut see)?,
                None => false,
            };
            if !known {
                return Err(HistoryError::UnknownEvent(step.sequence));
            }
            if told {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let first = high.checked_sub(1).filter(|at| *at >= begin);
        Ok(first.and_then(|at| trail.steps().get(at)).map_or(end.after(1), |step| step.sequence))
    }
}

/// Looks at an event as it is today; whether the vocabulary knows it.
fn look<S: State>(
    of: factlog_codec::types::TypeKey,
    payload: &[u8],
    upcasts: &mut Upcasts,
    see: &mut dyn FnMut(<S::Event as Vocabulary>::View<'_>),
) -> Result<bool, HistoryError> {
    let viewed = <S::Event as Vocabulary>::view(of, payload);
    if let Some(view) = viewed.map_err(|error| HistoryError::Event(error.into()))? {
        see(view);
        return Ok(true);
    }
    let upcast = <S::Event as Vocabulary>::upcast(of, payload, upcasts, see);
    Ok(upcast.map_err(HistoryError::Event)?.is_some_and(|count| count > 0))
}

fn ask<S: State>(
    event: &EventRef<'_>,
    upcasts: &mut Upcasts,
    holds: &mut impl FnMut(<S::Event as Vocabulary>::View<'_>) -> bool,
) -> Result<bool, HistoryError> {
    let mut told = false;
    let mut see = |view: <S::Event as Vocabulary>::View<'_>| told = holds(view);
    let known = match event.event_type().map(LogType::key) {
        Some(of) => look::<S>(of, event.payload(), upcasts, &mut see)?,
        None => false,
    };
    if known { Ok(told) } else { Err(HistoryError::UnknownEvent(event.sequence())) }
}
