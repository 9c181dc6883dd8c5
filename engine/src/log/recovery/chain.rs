//! Walks the frames of a segment in use, each held against the one before, and counts them.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Frame, FrameKind, Position, Seal, SegOpen, SegmentId, Sequence, Stop, StopReason, Succession,
    WalkState,
};

use super::found::{End, Unproven};
use super::gather::{Gathering, Streams};
use super::probe::Probe;
use crate::log::error::OpenError;
use crate::log::fault::ItemFault;
use crate::log::report::DamageReason;
use crate::log::segment::Segment;
use crate::sync::Arc;

impl Gathering<'_> {
    /// Walks a segment in use; whether it ends where the next one, if there is one, says.
    pub(super) fn walk(
        &mut self,
        probe: &Probe,
        next: Option<&Probe>,
        streams: Streams,
    ) -> Result<bool, OpenError> {
        let id = probe.id();
        let key = probe.header.key();
        let Some((open, open_header)) = &probe.open else { return Ok(false) };
        let mut reader = self.open(id)?;
        self.found.walked += 1;
        // Behind the end of what was taken stands what an ancestor went on with.
        let limit = self.limit(&reader, id);

        // Where this one must end, if the next one goes on from it.
        let target = next.and_then(|next| next.open.as_ref()).map(|(open, _)| open.before);
        // Where it ends if nothing goes on: the fork was not written to yet.
        let cut = probe.cut.filter(|_| target.is_none());
        if let (Some(end), Some(before), Some(next)) = (probe.cut, target, next)
            && (before.segment, before.end) != (id, end)
        {
            self.contradict(DamageReason::Successor(next.header.segment));
        }
        let segment = Arc::new(Segment::new(key, self.bits));
        segment.set_opened(open.wall_clock);
        let mut state = WalkState::new(key, Some(self.found.next));
        if let Some((ts, epoch)) = self.before {
            (state.ts, state.epoch) = (ts, epoch);
        } else if !self.begins_with(id, open) {
            self.found.headless = true;
            self.contradict(DamageReason::Successor(id));
        }
        // A segment's name is durable before it is used: one that is missing was taken away.
        if let Some(next) = next.map(|next| next.header.segment)
            && id.next() != Some(next)
        {
            self.contradict(DamageReason::Successor(next));
        }
        let mut fault = None;
        // Whether all that is behind is in memory: what is found there is the end.
        let mut whole = false;
        let stop = loop {
            if target.is_some_and(|target| target.segment == id && target.end == state.offset)
                || cut == Some(state.offset)
            {
                break None;
            }
            let parsed = reader.frame(key, state.offset, limit);
            let parsed = parsed.map_err(|source| self.io(id, source))?;
            let stepped = parsed
                .map_err(StopReason::Frame)
                .and_then(|frame| Ok((state.then(&frame.header, frame.body)?, frame)));
            let (after, frame) = match stepped {
                Ok(stepped) => stepped,
                Err(reason) => {
                    // A writer elsewhere may be at work: end and what is behind it are of one look.
                    let from = state.offset as usize;
                    let io = |source| self.io(id, source);
                    if !whole && !reader.is_zero(from, limit).map_err(io)? {
                        reader.hold(from, limit.saturating_sub(from)).map_err(io)?;
                        whole = true;
                        continue;
                    }
                    break Some(Stop { offset: state.offset, reason });
                }
            };
            if let Err(error) = self.take_in(&frame, id, streams) {
                fault = Some(error);
                let reason = StopReason::Body(frame.header.kind);
                // Its checks hold; the log has not gone on.
                break Some(Stop { offset: frame.header.offset, reason });
            }
            segment.index().note(frame.header.offset, frame.header.sequence, frame.header.ts);
            self.count(id, &frame, after.sequence);
            state = after;
        };
        let offset = state.offset;
        self.found.end = Some(End {
            header: probe.header,
            offset,
            fold: state.fold,
            frames: state.frames,
            first_sequence: open_header.sequence,
            first_ts: open_header.ts,
            sealed: probe.seal.is_some_and(|seal| seal.end == offset),
            way: open.way,
        });
        self.note_unproven(id, offset);
        if let Some(fault) = fault {
            self.contradict(DamageReason::Fault(fault));
        }
        self.found.facts.end = Position::new(id, offset, self.bits);
        self.found.segments.push(Arc::clone(&segment));
        if let Some(stop) = stop {
            self.stop = Some((id, stop));
            self.look_into(&mut reader, id, key, offset, self.found.next)?;
            let sealed = self.found.end.is_some_and(|end| end.sealed);
            if !(probe.unsealed || sealed) {
                // There were frames up to where the SEAL says, and no segment may go on under it.
                self.found.facts.zero_behind = false;
            }
            self.space = reader.into_space();
            return Ok(false);
        }
        self.space = reader.into_space();
        let (Some(next), Some(target)) = (next, target) else { return Ok(true) };
        // The next segment goes on from here.
        segment.set_end(offset);
        if target.fold != state.fold {
            self.contradict(DamageReason::Successor(next.header.segment));
            return Ok(false);
        }
        self.before = Some((state.ts, state.epoch));
        if probe.unsealed && target.why == Succession::Full && probe.header.log == self.manifest.log
        {
            self.found.unsealed.push((
                id,
                Seal {
                    end: offset,
                    first_sequence: open_header.sequence,
                    next_sequence: self.found.next,
                    first_ts: open_header.ts,
                    last_ts: state.ts,
                    fold: state.fold,
                    frames: state.frames,
                    epoch: state.epoch,
                    chain: [0; 32],
                },
            ));
        }
        Ok(true)
    }

    /// Takes in what a frame that verifies says, unless it is known to make no sense.
    fn take_in(
        &mut self,
        frame: &Frame<'_>,
        id: SegmentId,
        streams: Streams,
    ) -> Result<(), ItemFault> {
        let position = Position::new(id, frame.header.offset, self.bits);
        if let Some((_, fault)) = self.refused.filter(|(place, _)| *place == position) {
            return Err(fault);
        }
        let taken = match streams {
            Streams::Known => Ok(()),
            Streams::Taken if frame.header.kind == FrameKind::SegOpen => SegOpen::decode(frame)
                .map_err(|_| ItemFault::SegOpen)
                .and_then(|(open, types)| self.found.replay.enter_segment(&open, types)),
            Streams::Taken => self.found.replay.absorb(frame, position),
        };
        taken.inspect_err(|error| self.found.refused = Some((position, *error)))
    }

    fn count(&mut self, id: SegmentId, frame: &Frame<'_>, next: Option<Sequence>) {
        let header = &frame.header;
        let durable = self.witness(header, id);
        let found = &mut self.found;
        found.frames += 1;
        found.bytes += u64::from(header.span);
        found.last_ts = header.ts;
        found.epoch = found.epoch.max(header.epoch);
        found.next = next.unwrap_or(found.next);
        found.facts.durable = found.facts.durable.max(durable);
    }

    /// Everything is unproven at first; what is below the durable bound is taken out at the end.
    fn note_unproven(&mut self, segment: SegmentId, to: u32) {
        let next = self.found.next;
        self.found.unproven.push(Unproven { segment, from: FIRST_FRAME, to, next });
    }
}
