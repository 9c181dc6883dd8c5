//! What the first bytes of a segment file say, and its last page.

use std::fs::File;

use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, PAGE, align_up, seal_offset};
use factlog_codec::{
    Frame, FrameError, FrameHeader, FrameKind, GapBody, HeaderError, Manifest, Position, Seal,
    SegOpen, SegmentHeader, SegmentId, Succession,
};

use crate::log::disk::{Directory, open_regular, read_at, read_no_further};
use crate::log::error::OpenError;
use crate::log::fault::IoError;

/// What the beginning of a segment file says.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) header: SegmentHeader,
    /// The SEGOPEN, if there is one: then the segment is in use.
    pub(super) open: Option<(SegOpen, FrameHeader)>,
    /// The sequences that were lost before it, where it follows a repair.
    pub(super) gap: Option<GapBody>,
    /// The SEAL of a segment in use, if it verifies.
    pub(super) seal: Option<Seal>,
    /// Whether the page of the SEAL is all zero.
    pub(super) unsealed: bool,
    /// Where it ends at the latest, if it is an ancestor's, who goes on there.
    pub(super) cut: Option<u32>,
}

impl Probe {
    pub(super) fn id(&self) -> SegmentId {
        self.header.segment
    }

    /// The SEAL, where it says the same as the next segment, all of it below the durable bound: then
    /// nothing of the segment has to be read.
    ///
    /// A segment that recovery ended has none, since nothing is written above its end, or an older
    /// one, of frames that were torn off; there the next segment is believed alone.
    pub(super) fn peaceful(&self, next: &Self, durable: Position) -> Option<Ended> {
        let ((_, first), (open, after)) = (self.open.as_ref()?, next.open.as_ref()?);
        let before = open.before;
        let end = Position::new(self.id(), before.end, self.header.bits);
        let follows = before.segment == self.id() && self.id().next() == Some(next.id());
        // Where an ancestor's part ends is what the lineage says, whoever says something else.
        if !follows || end > durable || self.cut.is_some_and(|cut| before.end != cut) {
            return None;
        }
        let sealed = self.seal.filter(|seal| {
            seal.end == before.end
                && seal.fold == before.fold
                && seal.first_sequence == first.sequence
                && seal.next_sequence == after.sequence
                && seal.last_ts < after.ts
                && seal.epoch <= after.epoch
        });
        if let Some(seal) = sealed {
            return Some(Ended { end: seal.end, next: seal.next_sequence });
        }
        // Ended by recovery, or by a fork: it holds what the successor says, which was synced before
        // it counted. An ancestor's SEAL speaks of what came behind the fork as well.
        // (A SEAL that cannot be read says nothing at all: perhaps the file ends before it.)
        let older = self.unsealed || self.seal.is_some_and(|seal| seal.end != before.end);
        let cut = (self.cut.is_some() || older && before.why != Succession::Full)
            && first.ts < after.ts
            && first.epoch <= after.epoch
            && first.sequence <= after.sequence;
        cut.then_some(Ended { end: before.end, next: after.sequence })
    }
}

/// How a segment ended that does not have to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) end: u32,
    /// The next sequence.
    pub(super) next: factlog_codec::Sequence,
}

/// Reads header, SEGOPEN and SEAL. The inner error is damage; the outer one has to do with neither.
pub(super) fn probe(
    directory: &Directory,
    manifest: &Manifest,
    id: SegmentId,
) -> Result<Result<Probe, HeaderError>, OpenError> {
    let path = directory.segment(id);
    let io = |source| OpenError::Io(IoError::new("read the segment", &path, source));
    let file = open_regular(&path, false).map_err(io)?;
    read_no_further(&file);
    // The header's page, and most often all of the SEGOPEN.
    let mut bytes = vec![0; 2 * PAGE];
    let read = read_at(&file, &mut bytes, 0).map_err(io)?;
    bytes.truncate(read);
    let (page, rest) = bytes.split_at(read.min(PAGE));
    let header = match SegmentHeader::decode(page) {
        Ok(header) => header,
        Err(error @ (HeaderError::Version(_) | HeaderError::Descriptor)) => {
            return Err(OpenError::Header(id, error));
        }
        Err(error) => return Ok(Err(error)),
    };
    let owner = manifest.owner(id);
    if header.log != owner.log || header.segment != id || header.bits != manifest.bits {
        return Err(OpenError::Foreign(id));
    }
    let mut open = read_open(&file, &header, rest).map_err(io)?;
    let mut gap = None;
    if let Some((first, frame)) = &open
        && first.before.why == Succession::Repaired
    {
        gap = read_gap(&file, &header, frame.next_offset()).map_err(io)?;
        if gap.is_none() {
            // The repair was cut short: without its GAP it has not happened.
            open = None;
        }
    }
    let mut probe = Probe { header, open, gap, seal: None, unsealed: false, cut: owner.end };
    if probe.open.is_some() {
        let at = seal_offset(header.bits);
        let mut page = vec![0; PAGE];
        let read = read_at(&file, &mut page, at as u64).map_err(io)?;
        let page = page.get(..read).unwrap_or(&[]);
        probe.seal = Seal::decode(header.key(), u32::try_from(at).unwrap_or(u32::MAX), page).ok();
        probe.unsealed = read == PAGE && factlog_codec::all_zero(page);
    }
    Ok(Ok(probe))
}

/// The SEGOPEN, of which `first` is the beginning.
pub(crate) fn read_open(
    file: &File,
    header: &SegmentHeader,
    first: &[u8],
) -> std::io::Result<Option<(SegOpen, FrameHeader)>> {
    let key = header.key();
    // The header's own check comes first: only then its length counts.
    let head = first.get(..FRAME_HEADER).unwrap_or(&[]);
    let span = match FrameHeader::parse(key, FIRST_FRAME, head) {
        Ok(header) => header.span,
        Err(FrameError::Beyond(span)) => span,
        Err(_) => return Ok(None),
    };
    let span = usize::try_from(span).unwrap_or(usize::MAX);
    if span > seal_offset(header.bits) - PAGE {
        return Ok(None);
    }
    let mut long = Vec::new();
    let bytes = match first.get(..span) {
        Some(bytes) => bytes,
        None => {
            long.resize(span, 0);
            let read = read_at(file, &mut long, u64::from(FIRST_FRAME))?;
            long.get(..read).unwrap_or(&[])
        }
    };
    let frame = Frame::parse(key, FIRST_FRAME, bytes).ok();
    Ok(frame.and_then(|frame| Some((SegOpen::decode(&frame).ok()?.0, frame.header))))
}

/// The GAP at `offset`, if there is one.
pub(crate) fn read_gap(
    file: &File,
    header: &SegmentHeader,
    offset: u32,
) -> std::io::Result<Option<GapBody>> {
    let mut bytes = vec![0; PAGE + align_up(FRAME_HEADER + GapBody::LEN)];
    let read = read_at(file, &mut bytes, u64::from(offset))?;
    let bytes = bytes.get(..read).unwrap_or(&[]);
    let frame = Frame::parse(header.key(), offset, bytes).ok();
    Ok(frame
        .filter(|frame| frame.header.kind == FrameKind::Gap)
        .and_then(|frame| GapBody::decode(frame.body)))
}
