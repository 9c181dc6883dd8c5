//! Hashes of an image at every so many events: two logs, two programs or two machines that have the
//! same trail have come to the same states.

use std::fmt;
use std::str::FromStr;

use factlog_codec::{Sequence, StreamKey};

use super::fold::{fold, suspend_dropped};
use super::hash::{StateHash, StateHashError};
use super::images::Images;
use super::state::State;
use crate::log::{Log, SeekError, Start};

/// Hashes of the states as of every so many events, in order.
///
/// It has a form as text, a line for each: so one program can leave it in a file, and a later one, or
/// one elsewhere, be held against it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateTrail {
    hashes: Vec<(Sequence, StateHash)>,
}

/// Where two trails part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drift {
    /// The last event as of which they are the same; zero if there is none.
    pub same: Sequence,
    /// The first event as of which they are not.
    pub differs: Sequence,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { same, differs } = self;
        if same.after(1) == *differs {
            write!(f, "the states differ from event {differs} on")
        } else {
            write!(f, "the states are the same as of event {same}, and differ as of {differs}")
        }
    }
}

/// Why there is no trail.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrailError {
    /// States of this name were given twice.
    Twice(&'static str),
    /// States cannot be hashed.
    Hash(StateHashError),
    /// The log cannot be read.
    Read(SeekError),
}

impl fmt::Display for TrailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(name) => write!(f, "two kinds of state are called `{name}`"),
            Self::Hash(error) => error.fmt(f),
            Self::Read(error) => write!(f, "the log cannot be folded: {error}"),
        }
    }
}

impl std::error::Error for TrailError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Hash(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Twice(_) => None,
        }
    }
}

/// A trail that is being asked for.
#[must_use = "a trail is made by `run`"]
pub struct StateTrailBuilder {
    log: Log,
    images: Images,
    twice: Option<&'static str>,
    every: u64,
    after: Sequence,
    last: Option<Sequence>,
}

impl fmt::Debug for StateTrailBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateTrailBuilder")
            .field("log", &self.log.directory())
            .finish_non_exhaustive()
    }
}

impl StateTrail {
    /// Of what is visible in this log, folded from its beginning.
    pub fn of(log: &Log) -> StateTrailBuilder {
        StateTrailBuilder {
            log: log.clone(),
            images: Images::new(),
            twice: None,
            every: 10_000,
            after: Sequence::ZERO,
            last: None,
        }
    }

    /// The hashes, each with the event as of which it is.
    pub fn hashes(&self) -> &[(Sequence, StateHash)] {
        &self.hashes
    }

    /// Where this trail and another one part: at the first event that both have and that has another
    /// hash. `None` if there is none: then the states were the same wherever both have looked.
    ///
    /// What lies between is found by two more trails, of every event
    /// ([`StateTrailBuilder::between`]), or by [`first_drift`], which needs few of them.
    pub fn drift(&self, other: &Self) -> Option<Drift> {
        let mut same = Sequence::ZERO;
        let mut others = other.hashes.iter().peekable();
        for (sequence, hash) in &self.hashes {
            while others.next_if(|(at, _)| at < sequence).is_some() {}
            match others.peek() {
                Some((at, theirs)) if at == sequence && theirs != hash => {
                    return Some(Drift { same, differs: *sequence });
                }
                Some((at, _)) if at == sequence => same = *sequence,
                _ => {}
            }
        }
        None
    }
}

/// The first event as of which two states differ, by bisection: they are the same as of `drift.same`
/// and not as of `drift.differs`, and `same` says whether they are as of an event between. What has
/// once differed is taken to differ from there on.
///
/// It is asked as often as the distance can be halved: 14 times for 10,000 events.
///
/// # Errors
///
/// Whatever `same` fails with.
pub fn first_drift<E>(
    drift: &Drift,
    mut same: impl FnMut(Sequence) -> Result<bool, E>,
) -> Result<Sequence, E> {
    let Drift { same: mut low, differs: mut high } = *drift;
    while low.after(1) < high {
        let middle = Sequence::new(low.get() + (high.get() - low.get()) / 2);
        if same(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(high)
}

impl StateTrailBuilder {
    /// This kind of state is folded and hashed; it needs [`State::STORED`].
    pub fn state<S: State>(mut self) -> Self {
        if self.images.add::<S>().is_none() {
            self.twice = Some(S::NAME);
        }
        self
    }

    /// A hash as of every so many events, counted from the beginning of the log: 10,000 by default. Each
    /// takes time in proportion to the image.
    pub fn every(mut self, events: u64) -> Self {
        self.every = events.max(1);
        self
    }

    /// Only as of events behind `after`, up to `last`: what comes before is folded, and not hashed.
    pub fn between(mut self, after: Sequence, last: Sequence) -> Self {
        (self.after, self.last) = (after, Some(last));
        self
    }

    /// Folds and hashes. The last hash is as of the last event that is looked at, whatever its number.
    ///
    /// # Errors
    ///
    /// See [`TrailError`].
    pub fn run(self) -> Result<StateTrail, TrailError> {
        let Self { log, mut images, twice, every, after, last } = self;
        if let Some(name) = twice {
            return Err(TrailError::Twice(name));
        }
        let visible = log.visible().0;
        let last = last.unwrap_or(visible).min(visible);
        let read = |error: crate::log::ReadError| TrailError::Read(error.into());
        suspend_dropped(&mut images, &log).map_err(read)?;
        let mut cursor = log.cursor(Start::Oldest).map_err(TrailError::Read)?;
        let mut trail = StateTrail::default();
        let mut folded = Sequence::ZERO;
        while folded < last {
            let mut batch = cursor.poll().map_err(read)?;
            while folded < last {
                let Some(entry) = batch.next_entry().map_err(read)? else { break };
                if !entry.is_event() {
                    continue;
                }
                if entry.sequence > last {
                    // What was wanted last was lost to damage.
                    folded = last;
                    continue;
                }
                fold(&mut images, &entry);
                folded = entry.sequence;
                let due = folded.get().is_multiple_of(every) || folded == last;
                if due && folded > after {
                    let hash = StateHash::of_image(&images).map_err(TrailError::Hash)?;
                    trail.hashes.push((folded, hash));
                }
            }
            if folded < last && !cursor.has_more() {
                break;
            }
        }
        Ok(trail)
    }

    /// The hash as of one event alone.
    ///
    /// # Errors
    ///
    /// See [`TrailError`].
    pub fn at(self, sequence: Sequence) -> Result<Option<StateHash>, TrailError> {
        let trail = self.between(sequence.before(), sequence).run()?;
        Ok(trail.hashes.last().map(|(_, hash)| *hash))
    }
}

/// The instances that an event goes to: those in which a drift that begins with it is to be looked
/// for.
///
/// # Errors
///
/// The event cannot be read.
pub fn instances_of(log: &Log, sequence: Sequence) -> Result<Vec<StreamKey>, SeekError> {
    let mut cursor = log.cursor(Start::Sequence(sequence))?;
    loop {
        let mut batch = cursor.poll()?;
        while let Some(entry) = batch.next_entry()? {
            if !entry.is_event() || entry.sequence < sequence {
                continue;
            }
            if entry.sequence > sequence {
                return Err(SeekError::Lost(sequence));
            }
            let (_, further) = entry.links().map_err(|fault| entry.unreadable(fault))?;
            let further = further.iter().map(|further| further.stream);
            let streams = std::iter::once(entry.item.header.stream).chain(further);
            return Ok(streams.filter_map(|stream| entry.stream_key(stream).cloned()).collect());
        }
        if !cursor.has_more() {
            return Err(SeekError::BeyondEnd(sequence));
        }
    }
}

impl fmt::Display for StateTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hashes.iter().try_for_each(|(sequence, hash)| writeln!(f, "{sequence} {hash}"))
    }
}

/// A text that is no trail: the number of the line that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoStateTrail(pub usize);

impl fmt::Display for NoStateTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} is none of a trail, which has a sequence and a hash in each, in order",
            self.0
        )
    }
}

impl std::error::Error for NoStateTrail {}

impl FromStr for StateTrail {
    type Err = NoStateTrail;

    fn from_str(text: &str) -> Result<Self, NoStateTrail> {
        let mut hashes: Vec<(Sequence, StateHash)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let parsed = line.split_once(' ').and_then(|(sequence, hash)| {
                let sequence = Sequence::new(sequence.parse().ok()?);
                let rises = hashes.last().is_none_or(|(last, _)| *last < sequence);
                rises.then_some((sequence, hash.parse().ok()?))
            });
            hashes.push(parsed.ok_or(NoStateTrail(at + 1))?);
        }
        Ok(Self { hashes })
    }
}
