//! Where the events of a stream stand, kept: so that who asks again how it was need not look for them.
//!
//! Events of a stream link backwards, from the last one. So a trail is found by going back from there
//! once; what was passed is kept, the newest first, each as a place at which it can be read without
//! looking for its frame or verifying that again (frozen bytes do not change). Every so many events one
//! is marked, from where to go back later: marks stay when the rest has to go.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use factlog_codec::layout::FRAME_HEADER;
use factlog_codec::types::TypeKey;
use factlog_codec::{Place, Position, SegmentId, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::bound::Bound;
use super::located::{Known, Located, Spot, previous};
use super::log::Log;
use crate::log::error::ReadError;
use crate::log::map::Mapping;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::Arc;

/// Most events of which one trail knows where they stand.
const WINDOW: usize = 1 << 16;
/// Every so many events of a stream one is marked.
const MARK: u64 = 1 << 6;
/// Most segments that stay mapped.
const MAPS: usize = 1 << 10;

/// An event of a stream: where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) sequence: Sequence,
    /// When its frame was committed.
    pub(crate) ts: u64,
    segment: SegmentId,
    /// Of its payload.
    offset: u32,
    len: u32,
    of: factlog_codec::TypeNumber,
}

/// An event from which to go back.
#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: Sequence,
    ts: u64,
    spot: Spot,
}

/// What is known of one stream.
#[derive(Debug)]
pub(crate) struct Trail {
    number: StreamNumber,
    /// The newest first, without a gap.
    steps: Vec<Step>,
    /// Version of the first of these.
    top: StreamVersion,
    /// What comes before the last of them.
    below: Option<Spot>,
    /// The newest first.
    marks: Vec<Mark>,
}

/// What a trail has of the way to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The events that are to be folded: the first `begin` steps are newer than the bound, those from
    /// `end` on were folded already.
    Steps { begin: usize, end: usize },
    /// More than is kept: they have to be read one after the other.
    TooMany,
}

/// Most events of frames of which it is kept where they begin: 4 bytes each.
const STARTS: usize = 1 << 22;

/// Segments that stay mapped for somebody who reads here and there; and frames in them that were
/// verified: a busy engine puts events of many streams into one.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    held: Held,
    frames: HashMap<Position, Known, foldhash::fast::RandomState>,
    /// Events in these.
    starts: usize,
}

type Held = HashMap<SegmentId, (Arc<Segment>, Arc<Mapping>), foldhash::fast::RandomState>;

impl Maps {
    /// Lets go of what retention has dropped.
    pub(crate) fn forget_dropped(&mut self, log: &Log) {
        let floor = log.shared().segments.floor();
        if self.held.keys().any(|id| *id < floor) {
            self.held.retain(|id, _| *id >= floor);
            self.frames.clear();
            self.starts = 0;
        }
    }

    fn get<'h>(
        held: &'h mut Held,
        shared: &Shared,
        id: SegmentId,
    ) -> Result<&'h (Arc<Segment>, Arc<Mapping>), ReadError> {
        if !held.contains_key(&id) {
            if held.len() >= MAPS {
                held.clear();
            }
            let segment = shared.segments.get(id).ok_or_else(|| {
                if id < shared.segments.floor() {
                    ReadError::BehindFloor(shared.oldest())
                } else {
                    ReadError::Missing(id)
                }
            })?;
            let mapping = shared.map(&segment)?;
            held.insert(id, (segment, mapping));
        }
        held.get(&id).ok_or(ReadError::Missing(id))
    }

    /// The payload of an event, and what it is.
    pub(crate) fn read(
        &mut self,
        log: &Log,
        step: &Step,
    ) -> Result<(Option<TypeKey>, &[u8]), ReadError> {
        let shared = log.shared();
        let of = shared.types.get(step.of).map(super::super::type_table::LogType::key);
        let visible = shared.frontier.visible();
        let (segment, mapping) = Self::get(&mut self.held, shared, step.segment)?;
        let bytes = segment.frozen(mapping, visible).get(step.offset as usize..);
        let payload = bytes.and_then(|bytes| bytes.get(..step.len as usize));
        Ok((of, payload.unwrap_or(&[])))
    }

    /// What the type of an event is called, and which version it is.
    pub(crate) fn name(log: &Log, step: &Step) -> Option<(String, u16)> {
        let of = log.shared().types.get(step.of)?;
        Some((of.name().to_owned(), of.version()))
    }
}

impl Trail {
    /// The trail of a stream, if it has begun.
    pub(crate) fn of(log: &Log, stream: &StreamKey) -> Option<Self> {
        let number = log.stream_number(stream)?;
        Some(Self {
            number,
            steps: Vec::new(),
            top: StreamVersion::NONE,
            below: None,
            marks: Vec::new(),
        })
    }

    /// How many events it keeps, and how many marks.
    pub(crate) fn kept(&self) -> [usize; 2] {
        [self.steps.len(), self.marks.len()]
    }

    /// Keeps marks only.
    pub(crate) fn shrink(&mut self) {
        self.steps = Vec::new();
        (self.top, self.below) = (StreamVersion::NONE, None);
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The version of a step.
    pub(crate) fn version(&self, at: usize) -> StreamVersion {
        StreamVersion::new(self.top.get().saturating_sub(at as u64))
    }

    /// Has the events from behind `after` up to `bound`, and says which of the steps these are. `read`
    /// counts events that had to be looked for.
    pub(crate) fn reach(
        &mut self,
        log: &Log,
        maps: &mut Maps,
        stream: &StreamKey,
        (after, bound): (StreamVersion, Bound),
        read: &mut u64,
    ) -> Result<Reached, ReadError> {
        let shared = log.shared();
        let mut walk = Walk { shared, number: self.number, maps, stream, read };
        let far = self.is_far(bound);
        if far {
            self.steps.clear();
        }
        let mut begun = far || !self.reaches_up(log, bound);
        if begun {
            self.begin(&mut walk, log, (after, bound))?;
        }
        while self.lowest() > after.next() {
            let Some(spot) = self.below else { break };
            if self.steps.len() < WINDOW {
                self.take(&mut walk, spot)?;
            } else if begun {
                return Ok(Reached::TooMany);
            } else {
                // What is kept is of another time.
                begun = true;
                self.steps.clear();
                self.begin(&mut walk, log, (after, bound))?;
            }
        }
        let admits = |step: &Step| bound.admits(step.sequence, step.ts);
        let begin = self.steps.partition_point(|step| !admits(step));
        let end = self.top.get().saturating_sub(after.get());
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(self.steps.len());
        Ok(Reached::Steps { begin: begin.min(end), end })
    }

    /// Version of the oldest event that it has; as if it had none yet, the one that comes next.
    fn lowest(&self) -> StreamVersion {
        StreamVersion::new((self.top.get() + 1).saturating_sub(self.steps.len() as u64))
    }

    /// Whether nothing within the bound can be newer than what it has.
    fn reaches_up(&self, log: &Log, bound: Bound) -> bool {
        match self.steps.first() {
            None => false,
            Some(first) => {
                !bound.admits(first.sequence, first.ts)
                    || log.shared().streams.head(self.number).0 == self.top
            }
        }
    }

    /// Whether a mark is nearer to the bound than anything that it has, which is all too new.
    fn is_far(&self, bound: Bound) -> bool {
        let newer = self.steps.last().is_some_and(|step| !bound.admits(step.sequence, step.ts));
        newer && self.mark_above(bound).is_some_and(|spot| spot.version < self.lowest())
    }

    /// The nearest mark that is not within the bound.
    fn mark_above(&self, bound: Bound) -> Option<Spot> {
        let newer = |mark: &Mark| !bound.admits(mark.sequence, mark.ts);
        let at = self.marks.partition_point(newer).checked_sub(1)?;
        self.marks.get(at).map(|mark| mark.spot)
    }

    /// Begins at the top: at the last event, or at a mark that is not within the bound.
    fn begin(
        &mut self,
        walk: &mut Walk<'_>,
        log: &Log,
        (after, bound): (StreamVersion, Bound),
    ) -> Result<(), ReadError> {
        let (version, frame) = log.shared().streams.head(self.number);
        if version == StreamVersion::NONE {
            return Ok(());
        }
        let head = Spot { version, frame, index: None };
        let known = if self.steps.is_empty() { after } else { self.top };
        let further = version.get().saturating_sub(known.get());
        let mark = self.mark_above(bound);
        // What has come since is added if that is little, or if nothing is known that is nearer.
        let extends = further <= 2 * MARK || mark.is_none();
        if extends && further < WINDOW as u64 / 2 && self.steps.len() < WINDOW / 2 {
            return self.extend(walk, head, known);
        }
        let mut spot = mark.unwrap_or(head);
        // Back to the first event that is within: only the one behind it is kept of these. What was
        // folded already is not needed, and may be gone.
        self.steps.clear();
        loop {
            self.top = if self.steps.is_empty() { spot.version } else { self.top };
            self.take(walk, spot)?;
            match (self.steps.last(), self.below) {
                (Some(step), Some(before))
                    if before.version > after && !bound.admits(step.sequence, step.ts) =>
                {
                    if self.steps.len() >= WINDOW / 2 {
                        self.steps.clear();
                    }
                    spot = before;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Adds what has come since.
    fn extend(
        &mut self,
        walk: &mut Walk<'_>,
        head: Spot,
        known: StreamVersion,
    ) -> Result<(), ReadError> {
        let mut newer = Vec::new();
        let mut spot = Some(head);
        while let Some(at) = spot.filter(|at| at.version > known) {
            let (step, before) = walk.look(at)?;
            self.mark(&step, at);
            newer.push(step);
            spot = before;
        }
        if self.steps.is_empty() {
            self.below = spot;
        }
        // What was kept goes on below.
        newer.append(&mut self.steps);
        (self.steps, self.top) = (newer, head.version);
        Ok(())
    }

    /// Takes the event at `spot`, which is the one before the last that it has.
    fn take(&mut self, walk: &mut Walk<'_>, spot: Spot) -> Result<(), ReadError> {
        let (step, before) = walk.look(spot)?;
        self.mark(&step, spot);
        self.steps.push(step);
        self.below = before;
        Ok(())
    }

    /// Marks an event, if it is one of those that are.
    fn mark(&mut self, step: &Step, spot: Spot) {
        if !spot.version.get().is_multiple_of(MARK) {
            return;
        }
        let at = self.marks.partition_point(|mark| mark.spot.version > spot.version);
        if self.marks.get(at).is_none_or(|mark| mark.spot.version != spot.version) {
            self.marks.insert(at, Mark { sequence: step.sequence, ts: step.ts, spot });
        }
    }
}

/// Going back through a stream.
struct Walk<'a> {
    shared: &'a Arc<Shared>,
    number: StreamNumber,
    maps: &'a mut Maps,
    stream: &'a StreamKey,
    read: &'a mut u64,
}

impl Walk<'_> {
    /// The event at `spot`, and where the one before it is.
    fn look(&mut self, spot: Spot) -> Result<(Step, Option<Spot>), ReadError> {
        let Self { shared, number, maps, stream, read } = self;
        **read += 1;
        let bits = shared.bits;
        let id = spot.frame.segment(bits);
        let place = Place::of(spot.frame, bits);
        // Heads are published after their frames, so this is not behind.
        let visible = shared.frontier.visible();
        let Maps { held, frames, starts } = &mut **maps;
        let (segment, mapping) = Maps::get(held, shared, id)?;
        let offset = spot.frame.offset(bits);
        let bytes = segment.frozen(mapping, visible).get(offset as usize..).unwrap_or(&[]);
        if *starts > STARTS {
            frames.clear();
            *starts = 0;
        }
        let known = match frames.entry(spot.frame) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(empty) => {
                let found = super::frames::verified(segment, offset, bytes)?;
                let known = Known::of(spot.frame, &found, None);
                let known = known.map_err(|fault| ReadError::Items(place, fault))?;
                // What it takes beside its starts is that of some ten.
                *starts += known.events() + 16;
                empty.insert(known)
            }
        };
        let body = bytes.get(FRAME_HEADER..).and_then(|body| body.get(..known.header.len as usize));
        let body = body.unwrap_or(&[]);
        let found = known.find(body, *number, spot);
        let found = found.map_err(|fault| ReadError::Items(place, fault))?;
        let Some(Located { item, index, link }) = found else {
            return Err(ReadError::Link {
                stream: (*stream).clone(),
                version: spot.version,
                place,
            });
        };
        // Both are parts of the same frame.
        let inside = item.payload.as_ptr().addr().saturating_sub(body.as_ptr().addr());
        let step = Step {
            sequence: known.header.sequence.after(index as u64),
            ts: known.header.ts,
            segment: id,
            offset: offset + (FRAME_HEADER + inside) as u32,
            len: item.payload.len() as u32,
            of: item.header.type_number,
        };
        Ok((step, previous(link)))
    }
}
