//! What stands behind the end of the log: nothing, or what tells a torn tail from damage.

use factlog_codec::layout::{FIRST_FRAME, seal_offset, segment_size};
use factlog_codec::{Residue, SegmentId, SegmentKey, Sequence, find_residue};

use super::gather::Gathering;
use super::probe::Probe;
use crate::log::disk::SegmentReader;
use crate::log::error::OpenError;

impl Gathering<'_> {
    /// Where the frames of segment `id` must end.
    pub(super) fn limit(&self, reader: &SegmentReader, id: SegmentId) -> usize {
        let limit = seal_offset(self.bits).min(reader.len());
        self.manifest.owner(id).end.map_or(limit, |cut| limit.min(cut as usize))
    }

    /// Whether a segment without a header never held anything.
    pub(super) fn is_blank(&mut self, id: SegmentId) -> Result<bool, OpenError> {
        let mut reader = self.open(id)?;
        let whole = reader.file_len == segment_size(self.bits) as u64;
        let zero = reader.is_zero(FIRST_FRAME as usize, reader.len());
        self.space = reader.into_space();
        Ok(whole && zero.map_err(|source| self.io(id, source))?)
    }

    /// What stands at and behind `from` in a segment; `sequence` is the one that was expected there.
    pub(super) fn look_into(
        &mut self,
        reader: &mut SegmentReader,
        id: SegmentId,
        key: SegmentKey,
        from: u32,
        sequence: Sequence,
    ) -> Result<(), OpenError> {
        let (begin, limit) = (from as usize, self.limit(reader, id));
        let io = |source| self.io(id, source);
        let residue = if reader.is_zero(begin, limit).map_err(io)? {
            Residue { zero: true, ..Residue::default() }
        } else {
            reader.hold(begin, limit.saturating_sub(begin)).map_err(io)?;
            let (rest, taken_over) = (reader.held(begin, limit), self.manifest.taken_over);
            find_residue(key, rest, from, self.bits, sequence, taken_over)
        };
        let whole = reader.len() == segment_size(self.bits);
        let sealed = self.found.end.is_some_and(|end| end.header.segment == id && end.sealed);
        if !(residue.zero && (whole || sealed)) {
            self.found.facts.zero_behind = false;
        }
        self.exhausted |= residue.exhausted;
        self.residue.frames = self.residue.frames.saturating_add(residue.frames);
        self.found.reached = self.found.reached.max(residue.next_sequence);
        self.found.epoch = self.found.epoch.max(residue.epoch);
        self.found.facts.durable = self.found.facts.durable.max(residue.durable);
        Ok(())
    }

    /// A segment behind the chain: prepared, dirty, or in use without anything that leads to it.
    pub(super) fn look_behind(&mut self, probe: &Probe) -> Result<(), OpenError> {
        let id = probe.id();
        if let Some((_, header)) = &probe.open {
            self.found.epoch = self.found.epoch.max(header.epoch);
            self.found.reached = self.found.reached.max(header.sequence);
        }
        if self.found.later.contains(&id) {
            return Ok(());
        }
        let mut reader = self.open(id)?;
        let unused = probe.open.is_none()
            && reader
                .is_zero(FIRST_FRAME as usize, reader.len())
                .map_err(|source| self.io(id, source))?;
        if unused {
            if reader.file_len == segment_size(self.bits) as u64 {
                self.found.spares.push(probe.header);
            } else {
                self.found.dirty.push(id);
            }
        } else {
            let zero = self.found.facts.zero_behind;
            let begins = probe.open.as_ref().map_or(self.found.next, |(_, header)| header.sequence);
            self.look_into(&mut reader, id, probe.header.key(), FIRST_FRAME, begins)?;
            if probe.open.is_some() {
                self.found.later.push(id);
            } else {
                // Its SEGOPEN was being written: nothing in it was ever visible.
                self.found.facts.zero_behind = zero;
                self.found.dirty.push(id);
            }
        }
        self.space = reader.into_space();
        Ok(())
    }
}
