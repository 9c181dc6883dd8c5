//! Everything from a place on, as it comes.
//!
//! A cursor takes what there is: it loads the visible watermark once and walks frames up to it,
//! verifying each when it comes to it. Where it is it writes into a slot of its own, so that
//! retention leaves what it has not read.

use std::time::Duration;

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Epoch, Frame, FrameHeader, FrameKind, GapBody, Item, ItemKind, Items, Position, Sequence, Stop,
    StopReason,
};

use super::event_ref::EventRef;
use super::hold::Hold;
use super::start::Start;
use super::strategy::Waited;
use crate::log::error::{ReadError, SeekError};
use crate::log::fault::{IoError, ItemFault};
use crate::log::frontier::{Activity, Visible};
use crate::log::map::Mapping;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::log::wait::WaitList;
use crate::sync::Arc;

/// How often a cursor is placed anew when retention was faster.
const TRIES: u32 = 10_000;

/// A reader's place in the log.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    /// Keeps the segment mapped as long as something borrowed from it may live.
    mapping: Arc<Mapping>,
    place: Place,
    hold: Hold,
    /// Only what is durable is followed.
    durable: bool,
    failed: Option<ReadError>,
}

/// Where a cursor is in its segment.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The frame that is being read, or the next one.
    offset: u32,
    /// How many bytes of that frame's body have been read; the frame verifies if more than 0.
    body_read: u32,
    /// Where the item that was read last begins in the body.
    item_at: u32,
    /// The frame being read, if one is.
    current: Option<Current>,
    /// The next event.
    next: Sequence,
    /// Events before this are passed over: a cursor can be placed inside a frame.
    from: Sequence,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    header: FrameHeader,
}

/// Where an event stands, and what its frame says of it.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// Offset of its item in the segment.
    item: usize,
    sequence: Sequence,
    ts: u64,
    epoch: Epoch,
}

impl Cursor {
    /// The segment that it is in.
    pub(in crate::log) fn segment(&self) -> factlog_codec::SegmentId {
        self.segment.id()
    }

    pub(in crate::log) fn place(shared: &Arc<Shared>, start: Start) -> Result<Self, SeekError> {
        // Retention may take the place before it is held. Then there is a new floor to look at.
        for attempt in 0..TRIES {
            match Self::try_place(shared, start) {
                Ok(None) | Err(SeekError::Read(ReadError::BehindFloor(_))) => {}
                Ok(Some(cursor)) => return Ok(cursor),
                Err(error) => return Err(error),
            }
            if attempt > 10 {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Err(SeekError::BeforeOldest(shared.oldest()))
    }

    /// The cursor, unless retention was faster.
    fn try_place(shared: &Arc<Shared>, start: Start) -> Result<Option<Self>, SeekError> {
        let (visible, next) = shared.frontier.visible_pair();
        let position = visible.position();
        let oldest = || {
            let (segment, oldest) = shared.segments.beginning();
            (segment, FIRST_FRAME, oldest.unwrap_or(Sequence::FIRST))
        };
        let (segment, offset, at, from) = match start {
            Start::Oldest => {
                let (segment, offset, at) = oldest();
                (segment, offset, at, at)
            }
            Start::End => {
                let segment = shared.segments.get(position.segment(shared.bits));
                (segment, position.offset(shared.bits), next, next)
            }
            Start::Sequence(wanted) => {
                if wanted > next {
                    return Err(SeekError::BeyondEnd(next));
                }
                // Behind all that comes before it: what has no events has the sequence of the next
                // one, and may be commands that were refused.
                let (segment, offset, at) =
                    match shared.seek(visible, |sequence, _| sequence < wanted)? {
                        Some((segment, frame)) if is_behind(wanted, &frame) => {
                            (Some(segment), frame.next_offset(), wanted)
                        }
                        Some((segment, frame)) => (Some(segment), frame.offset, frame.sequence),
                        None => oldest(),
                    };
                if at > wanted {
                    return Err(SeekError::BeforeOldest(at));
                }
                (segment, offset, at, wanted)
            }
            Start::Time(wanted) => match shared.seek(visible, |_, ts| ts < wanted)? {
                Some((segment, frame)) => {
                    // The last frame before that time: what is wanted comes behind it.
                    (Some(segment), frame.offset, frame.sequence, frame.next_sequence())
                }
                None => {
                    let (segment, offset, at) = oldest();
                    (segment, offset, at, at)
                }
            },
        };
        let segment = segment.ok_or_else(|| {
            ReadError::Missing(factlog_codec::Place::of(position, shared.bits).segment)
        })?;
        // Before the segment is looked at: from here on it stays.
        let begin = segment.place(offset).position(shared.bits);
        let Some(hold) = Hold::take(shared, begin, at) else { return Ok(None) };
        let mapping = shared.map(&segment)?;
        Ok(Some(Self {
            shared: Arc::clone(shared),
            segment,
            mapping,
            place: Place { offset, body_read: 0, item_at: 0, current: None, next: at, from },
            hold,
            durable: false,
            failed: None,
        }))
    }

    /// The sequence that comes next.
    pub fn next_sequence(&self) -> Sequence {
        self.place.next.max(self.place.from)
    }

    /// Everything that is there, up to the end of a segment. Empty if there is nothing new.
    ///
    /// # Errors
    ///
    /// An earlier read failed, or the next segment cannot be mapped.
    #[inline]
    pub fn poll(&mut self) -> Result<Batch<'_>, ReadError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut visible = self.bound();
        while self.at_end() {
            // The segment was ended before anything of the next one became visible.
            if !self.cross()? {
                break;
            }
            visible = self.bound();
        }
        let here = self.segment.place(self.place.offset).position(self.shared.bits);
        self.hold.advance(here, self.place.next);
        let bytes = self.segment.frozen(&self.mapping, visible);
        Ok(Batch {
            shared: &self.shared,
            segment: &self.segment,
            bytes,
            items: None,
            place: &mut self.place,
            failed: &mut self.failed,
        })
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<EventRef<'_>>, ReadError> {
        // Only where it stands: what is borrowed from a batch cannot be given out of a loop.
        let found = loop {
            if let Some(found) = self.poll()?.find()? {
                break found;
            }
            // A segment can be at its end though more follows in the next one.
            if !self.at_end() || !self.cross()? {
                return Ok(None);
            }
        };
        let bytes = self.segment.frozen(&self.mapping, self.bound());
        let item = bytes.get(found.item..).and_then(|rest| Items::new(rest).next());
        let Some(Ok(item)) = item else { return Ok(None) };
        Ok(Some(EventRef::new(&self.shared, item, found.sequence, found.ts, found.epoch)))
    }

    /// Whether everything in this segment has been read, and no more can come.
    #[inline]
    fn at_end(&self) -> bool {
        self.place.current.is_none() && self.segment.end() == Some(self.place.offset)
    }

    /// Whether something has not been read: events, or frames without; and if there is nothing,
    /// whether something can still come.
    #[inline]
    pub(super) fn look(&self) -> Option<Waited> {
        // Before the look: what was published before the end is seen by the look.
        let activity = self.shared.frontier.activity();
        let bound = self.bound().position();
        let ready = match &self.place.current {
            None => bound > self.position_of(self.place.offset),
            Some(Current { header }) if self.place.body_read == header.len => {
                bound > self.position_of(header.next_offset())
            }
            Some(Current { header }) => bound >= self.position_of(header.next_offset()),
        };
        if ready {
            return Some(Waited::Ready);
        }
        (activity != Activity::Open).then_some(Waited::Closed)
    }

    /// Whether something has not been read. At the end of a segment a batch can be empty though more
    /// follows: in the next one, or behind one without events.
    pub(crate) fn has_more(&self) -> bool {
        self.look() == Some(Waited::Ready)
    }

    fn position_of(&self, offset: u32) -> Position {
        self.segment.place(offset).position(self.shared.bits)
    }

    /// If it follows only what is durable: has more of it made so. Nobody waits in vain for a
    /// writer that has nothing more to write.
    pub(super) fn demand(&self) {
        if self.durable {
            self.shared.demand(self.next_sequence());
        }
    }

    /// Where those sleep who wait for what this cursor follows.
    pub(super) fn waiters(&self) -> &WaitList {
        if self.durable {
            self.shared.frontier.durable_waiters()
        } else {
            self.shared.frontier.waiters()
        }
    }

    /// How far it may read.
    #[inline]
    fn bound(&self) -> Visible {
        if self.durable {
            self.shared.frontier.durable_end()
        } else {
            self.shared.frontier.visible()
        }
    }

    /// Follows only what is durable, from where it is.
    #[must_use]
    pub fn only_durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Whether it follows only what is durable.
    pub(in crate::log) fn follow_only_durable(&mut self, only: bool) {
        self.durable = only;
    }

    /// Goes to the next segment; whether there is one.
    #[cold]
    fn cross(&mut self) -> Result<bool, ReadError> {
        let Some(next) = self.segment.successor(self.place.offset) else { return Ok(false) };
        self.mapping = self.shared.map(&next)?;
        self.segment = next;
        self.place.offset = FIRST_FRAME;
        self.place.body_read = 0;
        Ok(true)
    }
}

/// Events that were there when it was made; the cursor goes on after the last one taken.
#[derive(Debug)]
pub struct Batch<'a> {
    shared: &'a Shared,
    segment: &'a Segment,
    /// The frozen part of the segment.
    bytes: &'a [u8],
    /// What is left of the frame being read.
    items: Option<Items<'a>>,
    place: &'a mut Place,
    failed: &'a mut Option<ReadError>,
}

impl<'a> Batch<'a> {
    /// The items of the current frame from where the cursor is, or of the next one.
    #[inline]
    fn open(&mut self) -> Result<bool, ReadError> {
        let offset = self.place.offset as usize;
        if let Some(current) = &self.place.current {
            // Verified when it was begun; the bytes are frozen.
            let start = offset + factlog_codec::layout::FRAME_HEADER;
            let end = start + current.header.len as usize;
            let from = start + self.place.body_read as usize;
            // A cursor that has come to follow only what is durable may have to wait for the rest.
            let Some(rest) = self.bytes.get(from..end) else { return Ok(false) };
            self.items = Some(Items::new(rest));
            return Ok(true);
        }
        if offset >= self.bytes.len() {
            return Ok(false);
        }
        let key = self.segment.key();
        let frame = Frame::parse(key, self.place.offset, self.bytes.get(offset..).unwrap_or(&[]))
            .map_err(|error| {
            let stop = Stop { offset: self.place.offset, reason: StopReason::Frame(error) };
            ReadError::Frame(self.segment.id(), stop)
        })?;
        self.admit(&frame.header).map_err(|reason| {
            ReadError::Frame(self.segment.id(), Stop { offset: self.place.offset, reason })
        })?;
        self.place.next = match frame.header.kind {
            // What was lost is passed over.
            FrameKind::Gap => {
                GapBody::decode(frame.body).map_or(frame.header.sequence, |gap| gap.last.after(1))
            }
            _ => frame.header.sequence,
        };
        self.place.current = Some(Current { header: frame.header });
        self.place.body_read = 0;
        // Only DATA frames have items.
        let has_items = frame.header.kind == FrameKind::Data;
        self.items = Some(Items::new(if has_items { frame.body } else { &[] }));
        Ok(true)
    }

    /// There are not as many events in a frame as it says: one would be left out.
    #[cold]
    fn miscounted(&self, header: &FrameHeader) -> ReadError {
        ReadError::Items(self.segment.place(header.offset), ItemFault::Count(header.count))
    }

    /// Holds a frame that verifies against what stands before it: opening does not walk every
    /// segment, and somebody may have put whole frames elsewhere.
    #[inline]
    fn admit(&self, header: &FrameHeader) -> Result<(), StopReason> {
        let expected = self.place.next;
        if header.sequence != expected {
            return Err(StopReason::Sequence { expected, found: header.sequence });
        }
        if (header.kind == FrameKind::SegOpen) != (header.offset == FIRST_FRAME) {
            return Err(StopReason::SegOpen);
        }
        if header.kind != FrameKind::Data && header.count != 0 {
            return Err(StopReason::Count(header.kind));
        }
        Ok(())
    }

    /// Takes the next event, and says where it stands.
    #[inline]
    fn find(&mut self) -> Result<Option<Found>, ReadError> {
        let Some(event) = self.next().transpose()? else { return Ok(None) };
        let (sequence, ts, epoch) = (event.sequence, event.ts, event.epoch);
        let before = factlog_codec::layout::FRAME_HEADER + self.place.item_at as usize;
        Ok(Some(Found { item: self.place.offset as usize + before, sequence, ts, epoch }))
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<EventRef<'a>>, ReadError> {
        loop {
            let Some((item, sequence, header)) = self.advance_item()? else { return Ok(None) };
            if item.header.flags.kind == ItemKind::Event && sequence >= self.place.from {
                let (ts, epoch) = (header.ts, header.epoch);
                return Ok(Some(EventRef::new(self.shared, item, sequence, ts, epoch)));
            }
        }
    }

    /// The next item, of whatever kind: its sequence, or that of the event behind it.
    #[inline]
    pub(super) fn advance_item(
        &mut self,
    ) -> Result<Option<(Item<'a>, Sequence, FrameHeader)>, ReadError> {
        loop {
            let Some(items) = &mut self.items else {
                if !self.open()? {
                    return Ok(None);
                }
                continue;
            };
            let Some(current) = self.place.current else { return Ok(None) };
            let header = current.header;
            let item_at = header.len - items.remaining() as u32;
            let Some(item) = items.next() else {
                if header.kind == FrameKind::Data && self.place.next != header.next_sequence() {
                    return Err(self.miscounted(&header));
                }
                self.place.offset = header.next_offset();
                self.place.next = header.next_sequence().max(self.place.next);
                self.place.current = None;
                self.place.body_read = 0;
                self.items = None;
                continue;
            };
            let item = item.map_err(|error| {
                ReadError::Items(self.segment.place(header.offset), ItemFault::Item(error))
            })?;
            self.place.item_at = item_at;
            self.place.body_read = header.len - items.remaining() as u32;
            let sequence = self.place.next;
            if item.header.flags.kind == ItemKind::Event {
                self.place.next = sequence.after(1);
            }
            return Ok(Some((item, sequence, header)));
        }
    }
}

impl<'a> Batch<'a> {
    pub(super) fn place_of(&self, offset: u32) -> factlog_codec::Place {
        self.segment.place(offset)
    }

    pub(super) fn shared(&self) -> &'a Shared {
        self.shared
    }

    /// The cursor stays where it has failed.
    pub(super) fn fail(&mut self, error: &ReadError) {
        *self.failed = Some(error.clone());
        self.bytes = &[];
        self.items = None;
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<EventRef<'a>, ReadError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(event) => event.map(Ok),
            Err(error) => {
                self.fail(&error);
                Some(Err(error))
            }
        }
    }
}

/// Whether this event is the first one behind a frame. Of a GAP only the body says what that is.
fn is_behind(wanted: Sequence, frame: &FrameHeader) -> bool {
    frame.kind != FrameKind::Gap && frame.next_sequence() == wanted
}

impl Shared {
    /// The mapping of a segment.
    pub(in crate::log) fn map(&self, segment: &Segment) -> Result<Arc<Mapping>, ReadError> {
        let mapping = segment.mapping(&self.directory);
        if let Ok(mapping) = &mapping {
            self.maps.used(segment.id(), mapping);
        }
        mapping.map_err(|source| {
            if segment.id() < self.segments.floor() {
                return ReadError::BehindFloor(self.oldest());
            }
            let path = self.directory.segment(segment.id());
            ReadError::Io(Arc::new(IoError::new("map the segment", path, source)))
        })
    }
}
