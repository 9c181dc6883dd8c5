//! The segment in use: its claim, its frames, its checksum.

use std::fs::File;
use std::io;

use factlog_codec::layout::{FRAME_HEADER, PAGE, align_up};
use factlog_codec::{
    Epoch, EpochBody, Fold, FrameDraft, FrameFlags, FrameKind, GapBody, HistoryId, Position,
    Predecessor, SegOpen, SegmentId, SegmentKey, Sequence, seal_padded_frame,
};

use crate::log::claim::Claim;
use crate::log::clock::{Clock, SystemClock};
use crate::log::conductor::Prepared;
use crate::log::map::Mapping;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::log::syncer::InUse;
use crate::sync::Arc;

/// The segment that the writer writes.
#[derive(Debug)]
pub(crate) struct Active {
    segment: Arc<Segment>,
    mapping: Arc<Mapping>,
    claim: Claim,
    file: Arc<File>,
    key: SegmentKey,
    fold: Fold,
    frames: u32,
    first_sequence: Sequence,
    first_ts: u64,
    last_ts: u64,
}

/// What recovery knows of a segment that is gone on with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resume {
    pub(crate) fold: Fold,
    pub(crate) frames: u32,
    pub(crate) first_sequence: Sequence,
    pub(crate) first_ts: u64,
    pub(crate) last_ts: u64,
}

/// What an engine frame says, beside its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineFrame {
    pub(crate) sequence: Sequence,
    pub(crate) ts: u64,
    pub(crate) epoch: Epoch,
    pub(crate) durable: Position,
    pub(crate) history: HistoryId,
}

impl EngineFrame {
    fn draft(&self, kind: FrameKind) -> FrameDraft {
        FrameDraft {
            kind,
            flags: FrameFlags::NONE,
            sequence: self.sequence,
            count: 0,
            ts: self.ts,
            durable: self.durable,
            epoch: self.epoch,
        }
    }
}

impl Active {
    /// A segment without frames: a SEGOPEN must come first.
    pub(crate) fn from_prepared(prepared: Prepared) -> Self {
        let Prepared { segment, mapping, claim, file } = prepared;
        let key = segment.key();
        let resume = Resume {
            fold: key.empty_fold(),
            frames: 0,
            first_sequence: Sequence::ZERO,
            first_ts: 0,
            last_ts: 0,
        };
        Self::resume(segment, mapping, claim, file, resume)
    }

    /// A segment that has frames already.
    pub(crate) fn resume(
        segment: Arc<Segment>,
        mapping: Arc<Mapping>,
        claim: Claim,
        file: Arc<File>,
        resume: Resume,
    ) -> Self {
        let key = segment.key();
        let Resume { fold, frames, first_sequence, first_ts, last_ts } = resume;
        Self { segment, mapping, claim, file, key, fold, frames, first_sequence, first_ts, last_ts }
    }

    pub(crate) fn id(&self) -> SegmentId {
        self.segment.id()
    }
    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }
    pub(crate) fn fold(&self) -> Fold {
        self.fold
    }
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }
    pub(crate) fn first_sequence(&self) -> Sequence {
        self.first_sequence
    }
    pub(crate) fn first_ts(&self) -> u64 {
        self.first_ts
    }
    pub(crate) fn last_ts(&self) -> u64 {
        self.last_ts
    }
    pub(crate) fn file_and_mapping(&self) -> (&File, &Mapping) {
        (&self.file, &self.mapping)
    }
    /// What the conductor needs, to look after its pages.
    pub(crate) fn tended(&self) -> (&Segment, &Arc<Mapping>, usize) {
        (&self.segment, &self.mapping, self.claim.tail())
    }
    /// What whoever syncs it needs.
    pub(crate) fn in_use(&self) -> InUse {
        let Self { segment, mapping, file, .. } = self;
        InUse { segment: Arc::clone(segment), mapping: Arc::clone(mapping), file: Arc::clone(file) }
    }

    /// Offset of the next frame. A segment has at most 1 GiB.
    #[inline]
    pub(crate) fn tail(&self) -> u32 {
        self.claim.tail() as u32
    }

    /// Bytes left for frames.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.claim.room()
    }

    /// The space of the next frame, header included.
    #[inline]
    pub(crate) fn space(&mut self, len: usize) -> &mut [u8] {
        self.claim.space(len)
    }

    /// Has the processor fetch what stores behind these will need soon.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&self, at: usize, len: usize) {
        self.claim.fetch_ahead(at, len);
    }

    /// Closes the frame at the tail, whose body of `len` bytes stands in its space; filled up to
    /// the next page, if `pad` says so. Gives its span.
    ///
    /// After an error nothing may be written any more.
    #[inline]
    pub(crate) fn seal(&mut self, draft: &FrameDraft, len: usize, pad: bool) -> io::Result<usize> {
        let tail = self.claim.tail();
        let mut span = align_up(FRAME_HEADER + len);
        if pad {
            // Frames must end at a page anyway, so there is room.
            span = (tail + span).next_multiple_of(PAGE) - tail;
        }
        let offset = tail as u32;
        let space = self.claim.space(span);
        let sealed = seal_padded_frame(self.key, offset, draft, space, len, span);
        self.claim.freeze(span)?;
        if self.frames == 0 {
            self.first_sequence = draft.sequence;
            self.first_ts = draft.ts;
        }
        self.fold = self.fold.then(offset, sealed.crc);
        self.frames += 1;
        self.last_ts = draft.ts;
        self.segment.index().note(offset, draft.sequence, draft.ts);
        Ok(span)
    }

    /// Writes the first frame: what is before, and every type of the log.
    pub(crate) fn write_segopen(
        &mut self,
        shared: &Shared,
        frame: &EngineFrame,
        before: Predecessor,
    ) -> io::Result<()> {
        let types = &shared.types;
        let wall_clock = SystemClock.now();
        self.segment.set_opened(wall_clock);
        let table: usize = types.iter().map(|entry| SegOpen::type_len(&entry.item())).sum();
        let len = SegOpen::LEN + table;
        let open = SegOpen {
            history: frame.history,
            before,
            wall_clock,
            next_stream: factlog_codec::StreamNumber::new(shared.streams.len() + 1),
            next_type: types.next(),
            types: types.len() as u16,
            way: self.claim.way(),
        };
        let mut rest = open.encode(&mut self.claim.space(FRAME_HEADER + len)[FRAME_HEADER..]);
        for entry in types.iter() {
            rest = SegOpen::encode_type(rest, entry.number(), &entry.item());
        }
        debug_assert!(rest.is_empty());
        self.seal(&frame.draft(FrameKind::SegOpen), len, shared.pads()).map(drop)
    }

    /// Writes the frame that says which sequences were lost; the next frame goes on after them.
    pub(crate) fn write_gap(
        &mut self,
        shared: &Shared,
        frame: &EngineFrame,
        gap: GapBody,
    ) -> io::Result<()> {
        let space = self.claim.space(FRAME_HEADER + GapBody::LEN);
        space[FRAME_HEADER..].copy_from_slice(&gap.encode());
        self.seal(&frame.draft(FrameKind::Gap), GapBody::LEN, shared.pads()).map(drop)
    }

    /// Writes the frame with which an epoch goes on in a segment that another one used.
    pub(crate) fn write_epoch(&mut self, shared: &Shared, frame: &EngineFrame) -> io::Result<()> {
        let body = EpochBody { history: frame.history, wall_clock: SystemClock.now() };
        let space = self.claim.space(FRAME_HEADER + EpochBody::LEN);
        space[FRAME_HEADER..].copy_from_slice(&body.encode());
        self.seal(&frame.draft(FrameKind::Epoch), EpochBody::LEN, shared.pads()).map(drop)
    }
}
