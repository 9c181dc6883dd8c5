//! Reads segments, walks them, and collects facts. Writes nothing.
//!
//! Segments that ended below the durable bound, and whose streams stand in a table, are not read:
//! their first bytes and their SEAL say all that is needed. What lies above is walked whole.

use std::io;

use factlog_codec::layout::{FIRST_FRAME, ITEM_HEADER, segment_size};
use factlog_codec::{
    Catalog, Epoch, FrameHeader, HeaderError, Manifest, Position, Residue, SegOpen, SegmentId,
    Sequence, Stop, StopReason, Succession,
};

use super::decide::Facts;
use super::found::{Begin, Found};
use super::probe::{Ended, Probe, probe};
use super::tables::load_table;
use crate::log::disk::{Directory, SegmentReader, Space};
use crate::log::error::OpenError;
use crate::log::fault::{IoError, ItemFault};
use crate::log::report::{Cut, DamageReason, RecoveryProgress};
use crate::log::segment::Segment;
use crate::sync::Arc;

/// Told how far it has come.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(RecoveryProgress);

/// Least bytes that an event takes.
const LEAST_EVENT: u64 = ITEM_HEADER as u64;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What opening needs.
    Needed,
    /// Every frame of every segment.
    Everything,
}

/// Collects the facts of a log.
pub(crate) fn gather(
    directory: &Directory,
    manifest: &Manifest,
    begin: Begin,
    ids: &[SegmentId],
    depth: Depth,
    progress: Progress<'_>,
) -> Result<Found, OpenError> {
    let mut probes = Vec::with_capacity(ids.len());
    let mut header_damage = None;
    // How many segments come before the first one that cannot be reached.
    let mut reachable = usize::MAX;
    let floor = begin.floor();
    let mut gathering = Gathering::new(directory, manifest, begin);
    for id in ids.iter().copied().filter(|id| *id >= floor) {
        match probe(directory, manifest, id)? {
            Ok(probe) => probes.push(probe),
            Err(_) if gathering.is_blank(id)? => gathering.found.dirty.push(id),
            Err(error) => {
                // Nothing leads to what is behind a segment without a header, nor into it.
                reachable = reachable.min(probes.len());
                header_damage.get_or_insert((id, error));
                gathering.found.unreadable.push(id);
            }
        }
    }
    let used = probes.iter().take(reachable).take_while(|probe| probe.open.is_some()).count();
    let of = probes.len();
    let chain = probes.get(..used).unwrap_or(&[]);
    gathering.bear_witness(chain);
    let mut reached = 0;
    if depth == Depth::Needed {
        match gathering.begin_with_table(chain, progress)? {
            Some(passed) => reached = passed,
            None => {
                // There is damage below the table: then its streams are too many.
                let begin = gathering.begin_again();
                return gather(directory, manifest, begin, ids, Depth::Everything, progress);
            }
        }
    }
    while let Some(probe) = chain.get(reached) {
        progress(RecoveryProgress { done: reached, of });
        reached += 1;
        if !gathering.walk(probe, chain.get(reached), Streams::Taken)? {
            break;
        }
    }
    for (index, probe) in probes.iter().enumerate().skip(reached) {
        progress(RecoveryProgress { done: index, of });
        gathering.look_behind(probe)?;
    }
    progress(RecoveryProgress { done: of, of });
    if let Some((id, error)) = header_damage {
        gathering.header_damage(id, error);
    }
    Ok(gathering.finish())
}

/// Whether what frames say of streams is taken in, or is known from a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Streams {
    Taken,
    Known,
}

pub(super) struct Gathering<'a> {
    pub(super) directory: &'a Directory,
    pub(super) manifest: &'a Manifest,
    pub(super) bits: u8,
    pub(super) space: Space,
    pub(super) found: Found,
    pub(super) catalog: Option<Catalog>,
    /// Known to make no sense.
    pub(super) refused: Option<(Position, ItemFault)>,
    /// Time and epoch of the last frame of the segment before.
    pub(super) before: Option<(u64, Epoch)>,
    pub(super) exhausted: bool,
    pub(super) stop: Option<(SegmentId, Stop)>,
    pub(super) residue: Residue,
}

impl<'a> Gathering<'a> {
    fn new(directory: &'a Directory, manifest: &'a Manifest, begin: Begin) -> Self {
        let next = begin.catalog.map_or(Sequence::FIRST, |catalog| catalog.sequence);
        Self {
            directory,
            manifest,
            bits: manifest.bits,
            space: Space::default(),
            found: Found {
                facts: Facts { zero_behind: true, ..Facts::default() },
                replay: begin.replay,
                segments: Vec::new(),
                end: None,
                later: Vec::new(),
                spares: Vec::new(),
                dirty: Vec::new(),
                unreadable: Vec::new(),
                damage: None,
                cut: None,
                epoch: manifest.epoch,
                walked: 0,
                frames: 0,
                bytes: 0,
                next,
                reached: next,
                last_ts: 0,
                durable: (Position::ZERO, Sequence::FIRST),
                unproven: Vec::new(),
                unsealed: Vec::new(),
                table: None,
                bad_tables: Vec::new(),
                repaired: false,
                headless: false,
                refused: None,
            },
            catalog: begin.catalog,
            refused: begin.refused,
            before: None,
            exhausted: false,
            stop: None,
            residue: Residue { zero: true, ..Residue::default() },
        }
    }

    /// What manifest and SEGOPENs say was durable.
    fn bear_witness(&mut self, chain: &[Probe]) {
        // What was taken from an ancestor was durable before the fork had a name.
        let taken = self.manifest.lineage.last().map(|ancestor| ancestor.end);
        let mut durable = taken.unwrap_or(Position::ZERO);
        for probe in chain {
            let Some((open, header)) = &probe.open else { continue };
            durable = durable.max(self.witness(header, probe.id()));
            // A repair voids the checkpoint before it, which it could not change with one stroke,
            // but not one that the same epoch has noted since; nor one of here, if it was elsewhere.
            self.found.repaired |= open.before.why == Succession::Repaired
                && header.epoch == self.manifest.epoch
                && header.epoch > self.manifest.taken_over
                && probe
                    .gap
                    .is_none_or(|gap| self.manifest.checkpoint_sequence <= gap.last.after(1));
        }
        if !self.found.repaired {
            durable = durable.max(self.manifest.checkpoint);
            self.found.reached = self.found.reached.max(self.manifest.checkpoint_sequence);
        }
        self.found.facts.durable = durable;
    }

    /// What a frame of segment `id` says was durable: nothing that comes after it can have been. One
    /// that was taken over speaks of the medium of another log.
    pub(super) fn witness(&self, header: &FrameHeader, id: SegmentId) -> Position {
        let own = Position::new(id, header.offset, self.bits);
        let speaks = header.epoch > self.manifest.taken_over && header.durable <= own;
        if speaks { header.durable } else { Position::ZERO }
    }

    /// What this began with, to begin once more.
    fn begin_again(&mut self) -> Begin {
        let replay = std::mem::take(&mut self.found.replay);
        Begin { catalog: self.catalog, replay, refused: self.refused }
    }

    /// Goes on from the newest stream table that fits, past all segments up to it that need not be
    /// read. Gives how many are behind it then; `None` if one of them is damaged.
    fn begin_with_table(
        &mut self,
        chain: &[Probe],
        progress: Progress<'_>,
    ) -> Result<Option<usize>, OpenError> {
        let bound = self.found.facts.durable;
        let Some(first) = chain.first() else { return Ok(Some(0)) };
        let starts =
            first.open.as_ref().is_some_and(|(open, _)| self.begins_with(first.id(), open));
        if !starts {
            return Ok(Some(0));
        }
        let bad = &mut self.found.bad_tables;
        let Some((at, replay)) = load_table(self.directory, self.manifest, chain, bound, bad)?
        else {
            return Ok(Some(0));
        };
        for (index, pair) in chain.windows(2).take(at + 1).enumerate() {
            let [probe, next] = pair else { break };
            progress(RecoveryProgress { done: index, of: chain.len() });
            if let Some(ended) = probe.peaceful(next, bound) {
                self.pass(probe, ended);
            } else if !self.walk(probe, Some(next), Streams::Known)? {
                return Ok(None);
            }
        }
        self.found.replay = replay;
        self.found.table = chain.get(at).map(Probe::id);
        Ok(Some(at + 1))
    }

    /// A segment that need not be read.
    fn pass(&mut self, probe: &Probe, ended: Ended) {
        let Some((open, header)) = &probe.open else { return };
        let segment = Arc::new(Segment::new(probe.header.key(), self.bits));
        segment.set_opened(open.wall_clock);
        segment.set_end(ended.end);
        // Of a segment that was cut at its very beginning no frame counts.
        if ended.end > FIRST_FRAME {
            segment.index().note(FIRST_FRAME, header.sequence, header.ts);
            segment.index_later();
        }
        let end = Position::new(probe.id(), ended.end, self.bits);
        self.found.segments.push(segment);
        self.found.next = ended.next;
        self.found.durable = (end, ended.next);
        let (ts, epoch) =
            probe.seal.map_or((header.ts, header.epoch), |seal| (seal.last_ts, seal.epoch));
        self.found.epoch = self.found.epoch.max(epoch);
        self.found.last_ts = ts;
        self.before = Some((ts, epoch));
    }

    pub(super) fn open(&mut self, id: SegmentId) -> Result<SegmentReader, OpenError> {
        let space = std::mem::take(&mut self.space);
        let opened = SegmentReader::open(self.directory, id, segment_size(self.bits), space);
        opened.map_err(|source| self.io(id, source))
    }

    pub(super) fn io(&self, id: SegmentId, source: io::Error) -> OpenError {
        OpenError::Io(IoError::new("read the segment", self.directory.segment(id), source))
    }

    /// Whether the log may begin with this segment: the first one, or the one that the catalog says.
    pub(super) fn begins_with(&self, id: SegmentId, open: &SegOpen) -> bool {
        match self.catalog {
            None => open.before.why == Succession::First && id == SegmentId::FIRST,
            Some(catalog) => {
                id == catalog.floor
                    && open.before.end == catalog.before_end
                    && open.before.fold == catalog.before_fold
            }
        }
    }

    pub(super) fn contradict(&mut self, reason: DamageReason) {
        self.found.facts.contradiction = true;
        self.found.damage.get_or_insert(reason);
    }

    fn header_damage(&mut self, id: SegmentId, error: HeaderError) {
        if self.found.segments.is_empty() {
            self.found.facts.end = Position::new(id, 0, self.bits);
            self.found.headless = true;
        }
        self.contradict(DamageReason::Header(error));
    }

    fn finish(mut self) -> Found {
        if let Some(catalog) = self.catalog
            && self.found.segments.is_empty()
            && self.found.damage.is_none()
        {
            self.found.facts.end = Position::new(catalog.floor, 0, self.bits);
            self.found.headless = true;
            self.contradict(DamageReason::Successor(catalog.floor));
        }
        let found = &mut self.found;
        found.facts.used_behind = !found.later.is_empty();
        found.facts.exhausted = self.exhausted;
        if let Some((id, stop)) = self.stop
            && (!found.facts.zero_behind || found.facts.used_behind)
        {
            found.cut = Some(Cut {
                place: factlog_codec::Place { segment: id, offset: stop.offset },
                stop,
                frames: self.residue.frames,
                segments: found.later.clone(),
            });
        }
        if found.damage.is_none() {
            found.damage = match self.stop {
                _ if found.facts.exhausted => Some(DamageReason::Undecided),
                Some((_, stop)) => Some(DamageReason::Lost(stop)),
                None if found.facts.end < found.facts.durable => {
                    // Not even its first frame can be read.
                    found.headless = true;
                    let reason = StopReason::SegOpen;
                    Some(DamageReason::Lost(Stop { offset: FIRST_FRAME, reason }))
                }
                None => None,
            };
        }
        let bits = self.bits;
        let bound = found.facts.durable;
        found.reached = found.reached.max(found.next);
        let last = found.segments.last().map(|segment| segment.id());
        let lost = found.unreadable.iter().max().copied();
        if lost > last.max(found.later.iter().max().copied()) && !self.manifest.clean {
            // Nobody knows what the last segment held: as many events as there is room for.
            found.reached = found.reached.after(segment_size(bits) as u64 / LEAST_EVENT);
        }
        found.unproven.retain_mut(|range| {
            let end = Position::new(range.segment, range.to, bits);
            if end <= bound {
                // One that was walked may have others behind it that were passed over.
                if end > found.durable.0 {
                    found.durable = (end, range.next);
                }
                return false;
            }
            if bound.segment(bits) == range.segment {
                range.from = range.from.max(bound.offset(bits).min(range.to)) & !15;
            }
            range.from < range.to
        });
        for pair in found.segments.windows(2) {
            if let [one, next] = pair {
                one.set_next(next);
            }
        }
        self.found
    }
}

/// 16 random bytes, for the identity of a log or of a history.
pub(crate) fn new_identity() -> Result<uuid::Uuid, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        OpenError::Io(IoError::new("read random bytes from", "the system", io::Error::other(error)))
    })?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
