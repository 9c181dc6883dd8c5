//! An image that goes forwards and backwards, event by event.

use std::convert::Into;
use std::fmt;

use factlog_codec::{Sequence, StreamKey, StreamVersion};

use super::error::HistoryError;
use super::handle::History;
use super::moment::{AsOf, Moment};
use super::one::{Into as FoldInto, shown};
use super::whole::PastImage;
use crate::image::fold::fold;
use crate::image::images::{Images, Route};
use crate::image::instances::Folded;
use crate::image::suspension::SuspensionCause;
use crate::log::{Bound, Cursor, EventRef, SeekError, Start};

/// An event that a [`Stepper`] has come over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The event.
    pub sequence: Sequence,
    /// When it was committed: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// What it is called.
    pub name: String,
    /// The instances that it belongs to, its own first; and its version in the stream of each.
    pub streams: Vec<(StreamKey, StreamVersion)>,
}

/// An image that goes forwards and backwards through the log, event by event.
///
/// Forwards it folds the next event. Backwards it takes back the instances of one event, each to what
/// it was before, through the nearest snapshot and its stream; so a step costs what asking for some
/// instances costs, however long the log. It may stop in the middle of a transaction.
pub struct Stepper<'h> {
    history: &'h mut History,
    image: PastImage,
    /// Gives what comes next, if it is where the image is.
    cursor: Option<Cursor>,
}

impl fmt::Debug for Stepper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper").field("at", &self.at()).finish_non_exhaustive()
    }
}

impl History {
    /// A stepper that begins at a moment.
    ///
    /// # Errors
    ///
    /// As [`History::as_of`].
    pub fn stepper(&mut self, moment: impl Into<Moment>) -> Result<Stepper<'_>, HistoryError> {
        let image = self.as_of(moment)?;
        Ok(Stepper { history: self, image, cursor: None })
    }
}

impl Stepper<'_> {
    /// The last event that is in the image.
    pub fn at(&self) -> Sequence {
        self.image.as_of.sequence
    }

    /// The image as of there.
    pub fn image(&mut self) -> &mut PastImage {
        &mut self.image
    }

    /// The last event that is in the image, as JSON, by its description in the log.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub fn event(&self) -> Result<Option<String>, SeekError> {
        self.history.log.with_event(self.at(), |event| shown(&event))
    }

    /// Goes to a moment, through the nearest snapshot.
    ///
    /// # Errors
    ///
    /// As [`History::as_of`]; it stays where it is then.
    pub fn go_to(&mut self, moment: impl Into<Moment>) -> Result<(), HistoryError> {
        self.image = self.history.as_of(moment)?;
        self.cursor = None;
        Ok(())
    }

    /// Folds the next event; `None` at the end of what is visible.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn forwards(&mut self) -> Result<Option<Step>, HistoryError> {
        let next = self.image.images.next;
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            empty => {
                let placed = self.history.log.cursor(Start::Sequence(next));
                empty.insert(placed.map_err(|error| match error {
                    SeekError::BeforeOldest(oldest) => HistoryError::BeforeOldest(oldest),
                    SeekError::Read(error) => HistoryError::Read(error),
                    SeekError::BeyondEnd(next) => HistoryError::BeyondEnd(next.before()),
                    SeekError::Lost(sequence) => HistoryError::BeyondEnd(sequence),
                })?)
            }
        };
        let images = &mut self.image.images;
        loop {
            let mut batch = cursor.poll()?;
            let Some(entry) = batch.next_entry()? else {
                // A segment may be at its end though more follows.
                if cursor.has_more() {
                    continue;
                }
                return Ok(None);
            };
            if !entry.is_event() || entry.sequence < next {
                continue;
            }
            fold(images, &entry);
            let (own, further) = entry.links().unwrap_or_default();
            let own = own.map(|link| (entry.item.header.stream, link.version));
            let further = further.iter().map(|further| (further.stream, further.link.version));
            let named = |(stream, version)| Some((entry.stream_key(stream)?.clone(), version));
            let streams = own.into_iter().chain(further).filter_map(named).collect();
            let name = entry.type_name().map_or("?", |(name, _)| name).to_owned();
            let (sequence, ts) = (entry.sequence, entry.ts);
            self.image.as_of = AsOf { sequence, open_ended: false };
            return Ok(Some(Step { sequence, ts, name, streams }));
        }
    }

    /// Takes back the last event; it is given. `None` at the beginning of what retention has left.
    ///
    /// # Errors
    ///
    /// What was before cannot be read, or told: the image is between the two then, and
    /// [`Stepper::go_to`] leads out of that.
    pub fn backwards(&mut self) -> Result<Option<Step>, HistoryError> {
        let next = self.image.images.next;
        let log = self.history.log.clone();
        let Some(last) = log.event_before(next)? else { return Ok(None) };
        let step = log.with_event(last, |event| step_of(&event)).map_err(|error| match error {
            SeekError::Read(error) => HistoryError::Read(error),
            _ => HistoryError::BeforeOldest(log.oldest()),
        })?;
        self.cursor = None;
        // What was folded forwards may have become visible before the heads of its streams.
        self.history.resolve(Moment::Sequence(last))?;
        let before = last.before();
        for (stream, _) in &step.streams {
            self.take_back(stream, before)?;
        }
        self.image.images.next = last;
        self.image.as_of = AsOf { sequence: before, open_ended: false };
        Ok(Some(step))
    }

    /// Makes an instance what it was.
    fn take_back(&mut self, stream: &StreamKey, before: Sequence) -> Result<(), HistoryError> {
        let Self { history, image, .. } = self;
        let images = &mut image.images;
        let Some(number) = history.log.stream_number(stream) else { return Ok(()) };
        let route = images.route(number, || Some(stream));
        let Some(name) = images.kind_at(route) else { return Ok(()) };
        let Some(kind) = history.kinds.iter().find(|kind| kind.name == name).copied() else {
            return Ok(());
        };
        let mut into = Inside { images, route };
        match history.fold_one(kind, stream.key(), Bound::Sequence(before), &mut into) {
            Ok(_) => Ok(()),
            Err(HistoryError::Suspended(why)) => {
                images.suspend(route, why);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Goes forwards until `stop` says so of the event that was folded last and of the image after it;
    /// `None` if the end comes first.
    ///
    /// # Errors
    ///
    /// As [`Stepper::forwards`].
    pub fn break_when(
        &mut self,
        mut stop: impl FnMut(&Step, &mut PastImage) -> bool,
    ) -> Result<Option<Step>, HistoryError> {
        while let Some(step) = self.forwards()? {
            if stop(&step, &mut self.image) {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// Goes backwards until `stop` says so of the event that was taken back last and of the image before
    /// it; `None` if the beginning comes first.
    ///
    /// # Errors
    ///
    /// As [`Stepper::backwards`].
    pub fn break_when_back(
        &mut self,
        mut stop: impl FnMut(&Step, &mut PastImage) -> bool,
    ) -> Result<Option<Step>, HistoryError> {
        while let Some(step) = self.backwards()? {
            if stop(&step, &mut self.image) {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }
}

fn step_of(event: &EventRef<'_>) -> Step {
    let own = event.stream().zip(event.stream_version().ok().flatten());
    let further = event.further_streams().unwrap_or_default();
    let streams = own.into_iter().chain(further);
    Step {
        sequence: event.sequence(),
        ts: event.ts(),
        name: event.event_type().map_or("?", |of| of.name()).to_owned(),
        streams: streams.map(|(stream, version)| (stream.clone(), version)).collect(),
    }
}

/// An instance of an image.
struct Inside<'a> {
    images: &'a mut Images,
    route: Route,
}

impl FoldInto for Inside<'_> {
    fn begin(&mut self, stored: Option<(&[u8], StreamVersion)>) -> bool {
        self.images.restore(self.route, stored)
    }

    fn fold(&mut self, event: Folded<'_>) -> Result<(), SuspensionCause> {
        self.images.try_apply(self.route, event)
    }
}
