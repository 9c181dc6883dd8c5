//! What comes is verified, written, made durable, and only then acknowledged and shown.
//!
//! Bytes are collected until they are a whole frame; a frame that verifies and goes on from the one
//! before is taken in, and written with others. Nothing else gets into a segment. Once its bytes
//! are durable, a frame is visible and durable at once, for readers and for the leader.

use std::fs::File;
use std::io;

use factlog_codec::layout::{
    ALIGN, FIRST_FRAME, FRAME_HEADER, PAGE, max_transaction, max_type_table, seal_offset,
};
use factlog_codec::{
    Epoch, EpochBody, FollowPlace, Frame, FrameHeader, FrameKind, HistoryId, Place, Position, Seal,
    SegOpen, SegmentHeader, SegmentId, Sequence, StopReason, StreamNumber, StreamVersion,
    Succession, WalkState,
};

use super::error::FollowError;
use crate::log::disk::create_prepared;
use crate::log::fault::{IoError, ItemFault};
use crate::log::recovery::{Absorbing, Head, agrees};
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::{Arc, PoisonError};

/// Verified bytes are written at the latest when there are so many.
const WRITE: usize = 1 << 20;

/// The last frame that was taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) position: Position,
    pub(super) crc: u32,
    pub(super) epoch: Epoch,
    pub(super) history: HistoryId,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) segment: Arc<Segment>,
    pub(super) file: File,
    /// Behind the last frame that was taken in.
    pub(super) walk: WalkState,
    pub(super) first_sequence: Sequence,
    pub(super) first_ts: u64,
}

/// A segment that has a file, and no frame yet.
#[derive(Debug)]
struct Announced {
    header: SegmentHeader,
    segment: Arc<Segment>,
    file: File,
}

/// A log that is being taken over.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) shared: Arc<Shared>,
    heads: Vec<Head>,
    active: Option<Active>,
    announced: Option<Announced>,
    last: Option<Last>,
    /// The greatest epoch that a frame may be of.
    pub(super) epoch: Epoch,
    /// What has come and is not written: frames that were taken in, then what is none yet.
    buffer: Vec<u8>,
    verified: usize,
    /// Something was written and not synced.
    dirty: bool,
    /// Streams that have come to a version in frames that are not visible yet.
    came: Vec<(StreamNumber, StreamVersion, Position)>,
    /// A part of a frame was taken in.
    spoiled: bool,
}

impl Taking {
    pub(super) fn new(
        shared: Arc<Shared>,
        heads: Vec<Head>,
        (active, last): (Option<Active>, Option<Last>),
        epoch: Epoch,
    ) -> Self {
        Self {
            shared,
            heads,
            active,
            announced: None,
            last,
            epoch,
            buffer: Vec::new(),
            verified: 0,
            dirty: false,
            came: Vec::new(),
            spoiled: false,
        }
    }

    /// Where it is, with its proof; `None` if it has no frame yet.
    pub(super) fn place(&self) -> FollowPlace {
        let Last { position, crc, epoch, history } = self.last.unwrap_or(Last {
            position: Position::ZERO,
            crc: 0,
            epoch: Epoch::default(),
            history: HistoryId::default(),
        });
        FollowPlace {
            log: self.shared.log,
            history,
            epoch,
            frame_crc: crc,
            frame: position,
            end: self.end(),
            next: self.next(),
        }
    }

    /// Behind the last frame that was taken in.
    fn end(&self) -> Position {
        self.active.as_ref().map_or(Position::ZERO, |active| {
            Position::new(active.segment.id(), active.walk.offset, self.shared.bits)
        })
    }

    /// The sequence that comes next.
    fn next(&self) -> Sequence {
        self.active.as_ref().and_then(|active| active.walk.sequence).unwrap_or(Sequence::FIRST)
    }

    /// Whether anything can be taken in.
    pub(super) fn check(&self) -> Result<(), FollowError> {
        if self.shared.fork.is_child() {
            return Err(FollowError::Forked);
        }
        match self.shared.poison.get() {
            Some(error) => Err(FollowError::Poisoned(Arc::clone(error))),
            None if self.spoiled => Err(FollowError::Spoiled),
            None => Ok(()),
        }
    }

    /// Forgets what was begun and not taken in: a connection is gone.
    pub(super) fn begin_again(&mut self) -> Result<(), FollowError> {
        self.buffer.truncate(self.verified);
        // It has no frame: the next leader's file takes its name.
        self.announced = None;
        self.settle()
    }

    /// A segment begins.
    pub(super) fn begin_segment(&mut self, page: &[u8]) -> Result<(), FollowError> {
        let header = SegmentHeader::decode(page).map_err(FollowError::Header)?;
        let shared = Arc::clone(&self.shared);
        if header.log != shared.log || header.bits != shared.bits {
            return Err(FollowError::Foreign(header.log));
        }
        let due = match &self.active {
            None => Some(SegmentId::FIRST),
            Some(active) => active.segment.id().next(),
        };
        if due != Some(header.segment) || self.announced.is_some() {
            return Err(FollowError::Segment(header.segment));
        }
        if self.buffer.len() != self.verified {
            let place = self.place_of(self.end());
            return Err(FollowError::Frame(
                place,
                StopReason::Frame(factlog_codec::FrameError::NoRoom),
            ));
        }
        // Everything before it is durable before there is a successor. No frame here bears witness to
        // that, so the manifest does: damage below would pass for a torn tail.
        self.settle()?;
        self.note().map_err(|source| {
            let path = shared.directory.root();
            FollowError::Manifest(IoError::new("write a manifest in", path, source))
        })?;
        let path = shared.directory.segment(header.segment);
        let file = create_prepared(&shared.directory, &header, shared.written_first);
        let file = file.map_err(|source| {
            FollowError::Open(IoError::new("prepare the segment", path, source).into())
        })?;
        let segment = Arc::new(Segment::new(header.key(), header.bits));
        self.announced = Some(Announced { header, segment, file });
        Ok(())
    }

    fn place_of(&self, position: Position) -> Place {
        Place::of(position, self.shared.bits)
    }

    /// Where the next byte goes.
    fn tail(&self) -> Position {
        let (id, offset) = match (&self.announced, &self.active) {
            (Some(announced), _) => (announced.segment.id(), FIRST_FRAME),
            (None, Some(active)) => (active.segment.id(), active.walk.offset),
            (None, None) => return Position::ZERO,
        };
        let begun = self.buffer.len().saturating_sub(self.verified);
        let begun = u32::try_from(begun).unwrap_or(u32::MAX);
        Position::new(id, offset.saturating_add(begun), self.shared.bits)
    }

    /// Bytes have come.
    pub(super) fn take(&mut self, position: Position, bytes: &[u8]) -> Result<(), FollowError> {
        self.check()?;
        let expected = self.tail();
        if position != expected || expected == Position::ZERO {
            return Err(FollowError::Position { expected, found: position });
        }
        self.buffer.extend_from_slice(bytes);
        while self.take_frame()? {}
        if self.verified >= WRITE { self.write() } else { Ok(()) }
    }

    /// What a frame is held against.
    fn before(&self) -> Option<(Arc<Segment>, WalkState)> {
        match (&self.announced, &self.active) {
            (Some(announced), active) => {
                let mut walk = WalkState::new(announced.header.key(), Some(self.next()));
                if let Some(active) = active {
                    (walk.ts, walk.epoch) = (active.walk.ts, active.walk.epoch);
                }
                Some((Arc::clone(&announced.segment), walk))
            }
            (None, Some(active)) => Some((Arc::clone(&active.segment), active.walk)),
            (None, None) => None,
        }
    }

    /// Takes the next frame in, if all of it has come.
    fn take_frame(&mut self) -> Result<bool, FollowError> {
        let Some((segment, walk)) = self.before() else { return Ok(false) };
        let place = segment.place(walk.offset);
        let refused = |reason| FollowError::Frame(place, reason);
        let bytes = self.buffer.get(self.verified..).unwrap_or(&[]);
        let Some(first) = bytes.first_chunk::<FRAME_HEADER>() else { return Ok(false) };
        let room = seal_offset(self.shared.bits).saturating_sub(walk.offset as usize);
        // Before its length is used, and before there is space for it.
        let header = FrameHeader::parse_within(segment.key(), walk.offset, first, room)
            .map_err(|error| refused(StopReason::Frame(error)))?;
        walk.admit(&header).map_err(refused)?;
        let span = header.span as usize;
        if span > longest(header.kind, self.shared.bits) {
            return Err(FollowError::FrameTooLarge(place, header.span));
        }
        if header.epoch > self.epoch {
            return Err(FollowError::Epoch(place, header.epoch));
        }
        let Some(bytes) = bytes.get(..span) else { return Ok(false) };
        let frame = Frame::parse(segment.key(), walk.offset, bytes)
            .map_err(|error| refused(StopReason::Frame(error)))?;
        let next = walk.then(&header, frame.body).map_err(refused)?;
        let position = place.position(self.shared.bits);
        let history = match header.kind {
            FrameKind::SegOpen => {
                let (open, types) = SegOpen::decode(&frame)
                    .map_err(|_| FollowError::Items(place, ItemFault::SegOpen))?;
                self.check_successor(segment.id(), &open)?;
                agrees(&self.shared.types, &self.shared.streams, &open, types)
                    .map_err(|fault| FollowError::Items(place, fault))?;
                segment.set_opened(open.wall_clock);
                // `frame` is done with.
                self.enter_segment(open.before.why, &header, next)?;
                Some(open.history)
            }
            kind => {
                let Self { shared, heads, came, .. } = self;
                let came = |stream, version| came.push((stream, version, position));
                let (types, streams) = (&shared.types, &shared.streams);
                let absorbed = Absorbing { types, streams, heads, came }.absorb(&frame, position);
                if let Err(fault) = absorbed {
                    self.spoiled = true;
                    return Err(FollowError::Items(place, fault));
                }
                let epoch = EpochBody::decode(frame.body).filter(|_| kind == FrameKind::Epoch);
                if let Some(active) = &mut self.active {
                    active.walk = next;
                }
                epoch.map(|epoch| epoch.history)
            }
        };
        segment.index().note(header.offset, header.sequence, header.ts);
        let history = history.or(self.last.map(|last| last.history)).unwrap_or_default();
        self.last = Some(Last { position, crc: header.crc, epoch: header.epoch, history });
        self.verified += span;
        Ok(true)
    }

    /// Holds a SEGOPEN against the segment before.
    fn check_successor(&self, id: SegmentId, open: &SegOpen) -> Result<(), FollowError> {
        let before = open.before;
        let fits = match &self.active {
            None => before.why == Succession::First && id == SegmentId::FIRST,
            Some(active) => {
                before.why != Succession::First
                    && before.segment == active.segment.id()
                    && before.end == active.walk.offset
                    && before.fold == active.walk.fold
            }
        };
        if fits { Ok(()) } else { Err(FollowError::Successor(id)) }
    }

    /// The SEGOPEN of the segment that was announced has come.
    fn enter_segment(
        &mut self,
        why: Succession,
        header: &FrameHeader,
        walk: WalkState,
    ) -> Result<(), FollowError> {
        let Some(Announced { segment, file, .. }) = self.announced.take() else {
            return Err(FollowError::Segment(SegmentId::NONE));
        };
        if let Some(left) = self.active.take() {
            if why == Succession::Full {
                self.seal(&left)?;
            }
            self.shared.segments.push(Arc::clone(&segment));
            left.segment.hand_over(left.walk.offset, &segment);
        } else {
            self.shared.segments.push(Arc::clone(&segment));
        }
        let (first_sequence, first_ts) = (header.sequence, header.ts);
        self.active = Some(Active { segment, file, walk, first_sequence, first_ts });
        Ok(())
    }

    /// As the leader has sealed it, or will.
    fn seal(&self, left: &Active) -> Result<(), FollowError> {
        let Active { segment, file, walk, first_sequence, first_ts } = left;
        let seal = Seal {
            end: walk.offset,
            first_sequence: *first_sequence,
            next_sequence: walk.sequence.unwrap_or(*first_sequence),
            first_ts: *first_ts,
            last_ts: walk.ts,
            fold: walk.fold,
            frames: walk.frames,
            epoch: walk.epoch,
            chain: [0; 32],
        };
        let offset = seal_offset(self.shared.bits) as u32;
        let (disk, page) = (self.shared.directory.io(), seal.encode(segment.key(), offset));
        let sealed =
            disk.write_at(file, &page, u64::from(offset)).and_then(|()| disk.sync_data(file));
        self.lasting(segment.id(), sealed)
    }

    /// An operation on a segment in use that failed is final.
    fn lasting(&self, id: SegmentId, done: io::Result<()>) -> Result<(), FollowError> {
        done.map_err(|error| {
            let path = self.shared.directory.segment(id);
            let error = IoError::new("write to the segment", path, error);
            FollowError::Poisoned(self.shared.poison(error))
        })
    }

    /// Writes what was taken in.
    fn write(&mut self) -> Result<(), FollowError> {
        let Some(active) = self.active.as_ref().filter(|_| self.verified > 0) else {
            return Ok(());
        };
        let bytes = self.buffer.get(..self.verified).unwrap_or(&[]);
        let at = (active.walk.offset as usize).saturating_sub(bytes.len());
        let written = self.shared.directory.io().write_at(&active.file, bytes, at as u64);
        self.lasting(active.segment.id(), written)?;
        self.buffer.drain(..self.verified);
        (self.verified, self.dirty) = (0, true);
        Ok(())
    }

    /// Everything that was taken in becomes durable, then visible: then it may be acknowledged.
    pub(super) fn settle(&mut self) -> Result<(), FollowError> {
        self.check()?;
        self.write()?;
        let Some(active) = self.active.as_ref().filter(|_| self.dirty) else { return Ok(()) };
        let synced = self.shared.directory.io().sync_data(&active.file);
        self.lasting(active.segment.id(), synced)?;
        self.dirty = false;
        let (end, next) = (self.end(), self.next());
        let frontier = &self.shared.frontier;
        frontier.publish(end, next);
        frontier.publish_durable(end, next);
        // A stream's head is published after its frame.
        for (stream, version, position) in self.came.drain(..) {
            self.shared.streams.set_head(stream, version, position);
        }
        frontier.notify();
        frontier.durable_waiters().notify();
        Ok(())
    }

    /// Notes in the manifest what is durable, if it does not say so yet.
    pub(super) fn note(&self) -> io::Result<()> {
        let (end, next) = self.durable();
        let mut keeper = self.shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.manifest().checkpoint < end { keeper.checkpoint(end, next) } else { Ok(()) }
    }

    /// What is durable here.
    pub(super) fn durable(&self) -> (Position, Sequence) {
        self.shared.frontier.durable_pair()
    }
}

/// Most bytes of a frame that a writer writes, with what lies between it and the next one: so much
/// memory a frame may take before it verifies.
fn longest(kind: FrameKind, bits: u8) -> usize {
    let body = match kind {
        FrameKind::SegOpen => SegOpen::LEN + max_type_table(bits),
        _ => max_transaction(bits),
    };
    FRAME_HEADER + body + ALIGN + PAGE
}
