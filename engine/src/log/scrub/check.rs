//! All that is checked of one segment.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use factlog_codec::layout::{FIRST_FRAME, PAGE, seal_offset, segment_size};
use factlog_codec::{
    FrameHeader, FrameKind, LogId, Place, Seal, SealError, SegOpen, SegmentHeader, SegmentKey,
    Sequence, Succession, WalkState,
};

use super::frames::{Frames, NoFrame, before};
use super::medium::{CHUNK, SegmentFile};
use super::pace::{Pace, Stopped};
use super::report::{Remedy, ScrubFinding, ScrubReason, ScrubReport};
use super::window::{Halt, View, Window};
use crate::log::fault::IoError;
use crate::sync::Arc;

/// Most bytes that are read at once of the segment behind, of which only one frame is looked at.
const GLANCE: usize = 64 << 10;

/// How often over a segment is looked through, while it is searched for frames behind damage.
const EFFORT: u64 = 8;

const NO_EVENTS: Range<Sequence> = Sequence::ZERO..Sequence::ZERO;

/// A segment, and what this process knows of it, against which the medium is held.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) log: LogId,
    pub(super) key: SegmentKey,
    pub(super) bits: u8,
    pub(super) path: PathBuf,
    /// The sequence that it begins with.
    pub(super) first: Sequence,
    /// Where its frames end.
    pub(super) end: u32,
    pub(super) next: Successor,
    /// Whether another process may write the log.
    pub(super) elsewhere: bool,
}

/// The segment behind it.
#[derive(Debug)]
pub(super) struct Successor {
    pub(super) key: SegmentKey,
    pub(super) path: PathBuf,
    /// The sequence that it begins with.
    pub(super) first: Sequence,
    /// Below this it does not change any more.
    pub(super) frozen: u32,
    /// Whether it is at rest too, and so scrubbed itself.
    pub(super) ended: bool,
}

impl Target {
    fn place(&self, offset: u32) -> Place {
        Place { segment: self.key.segment(), offset }
    }

    /// Something without which the log does not open.
    fn vital(&self, offset: u32, bytes: u64, reason: ScrubReason) -> ScrubFinding {
        let (place, remedy) = (self.place(offset), Remedy::RestoreBeforeClosing);
        ScrubFinding { place, reason, bytes, events: NO_EVENTS, remedy }
    }

    /// Something that nobody needs.
    fn idle(&self, offset: u32, bytes: u64, reason: ScrubReason) -> ScrubFinding {
        ScrubFinding { remedy: Remedy::Move, ..self.vital(offset, bytes, reason) }
    }

    /// Bytes in which these events stand, if any.
    fn frames(
        &self,
        offset: u32,
        bytes: u64,
        reason: ScrubReason,
        events: Range<Sequence>,
    ) -> ScrubFinding {
        let found = self.vital(offset, bytes, reason);
        let remedy = if events.is_empty() { found.remedy } else { Remedy::Restore };
        ScrubFinding { events, remedy, ..found }
    }

    fn seal_offset(&self) -> u32 {
        u32::try_from(seal_offset(self.bits)).unwrap_or(u32::MAX)
    }
}

/// What was learned of the frames.
struct Chain {
    /// Behind the last one.
    state: WalkState,
    first_ts: u64,
    /// Whether all of them verify.
    whole: bool,
}

/// Checks a segment, and adds what it finds to the report.
pub(super) fn check(
    target: &Target,
    pace: &mut Pace<'_>,
    window: &mut Window,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    let mut file = match SegmentFile::at_rest(&target.path) {
        Ok(file) => file,
        Err(error) if target.elsewhere && error.kind() == io::ErrorKind::NotFound => {
            // The retention of the process that writes it has taken it.
            report.skipped += 1;
            return Ok(());
        }
        Err(error) => {
            report.checked += 1;
            let error = Arc::new(IoError::new("open the segment", &target.path, error));
            let (bytes, events) = (1 << target.bits, target.first..target.next.first);
            report.add(target.frames(0, bytes, ScrubReason::Read(error), events));
            return Ok(());
        }
    };
    let after = successor(target, pace, window, report)?;
    let len = file.len;
    report.linked += u32::from(file.linked);
    let size = segment_size(target.bits) as u64;
    if len != size {
        let offset = u32::try_from(len.min(size)).unwrap_or(u32::MAX);
        report.add(target.idle(offset, size.abs_diff(len), ScrubReason::Length(len)));
    }
    let mut view = View::new(window, &mut file, pace, &target.path, len.min(size), CHUNK);
    inside(target, after.as_ref(), &mut view, report)?;
    report.checked += 1;
    report.direct += u32::from(file.is_direct());
    Ok(())
}

/// Checks what the file holds. `after` is the SEGOPEN of the next segment, if it can be used.
pub(super) fn inside(
    target: &Target,
    after: Option<&(FrameHeader, SegOpen)>,
    view: &mut View<'_, '_>,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    header(target, view, report)?;
    let chain = frames(target, view, report)?;
    if let (Some((next, open)), true) = (after, chain.whole) {
        agree(target, &chain, next, open, report);
    }
    let why = after.map(|(_, open)| open.before.why);
    if why == Some(Succession::Full) {
        zeros(target, view, report)?;
    }
    seal(target, view, &chain, why, report)
}

/// The SEGOPEN of the next segment. That it cannot be used is a finding there, if nobody else comes
/// to look at it.
fn successor(
    target: &Target,
    pace: &mut Pace<'_>,
    window: &mut Window,
    report: &mut ScrubReport,
) -> Result<Option<(FrameHeader, SegOpen)>, Stopped> {
    let next = &target.next;
    let looked = match open_next(next) {
        Err(error) => {
            let error = IoError::new("open the segment", &next.path, error);
            Err(NoFrame::Wrong(ScrubReason::Read(Arc::new(error))))
        }
        Ok(mut file) => {
            let len = file.len;
            let mut view = View::new(window, &mut file, pace, &next.path, len, GLANCE);
            let (key, bits, end) = (next.key, target.bits, next.frozen);
            Frames { view: &mut view, key, bits, end }.verify(FIRST_FRAME).and_then(
                |(header, body)| {
                    WalkState::new(key, Some(next.first)).then(&header, body.bytes())?;
                    let open = SegOpen::decode_fixed(body.bytes());
                    let open = open.map_err(|error| NoFrame::Wrong(ScrubReason::SegOpen(error)))?;
                    Ok((header, open))
                },
            )
        }
    };
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(NoFrame::Stopped) => Err(Stopped),
        Err(NoFrame::Wrong(_)) if next.ended => Ok(None),
        Err(NoFrame::Wrong(reason)) => {
            let place = Place { segment: next.key.segment(), offset: FIRST_FRAME };
            report.add(ScrubFinding { place, ..target.vital(0, 0, reason) });
            Ok(None)
        }
    }
}

fn open_next(next: &Successor) -> io::Result<SegmentFile> {
    if next.ended { SegmentFile::at_rest(&next.path) } else { SegmentFile::in_use(&next.path) }
}

fn header(
    target: &Target,
    view: &mut View<'_, '_>,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    let reason = match view.get(0, PAGE) {
        Err(Halt::Stopped) => return Err(Stopped),
        Err(Halt::Unreadable(_, error)) => ScrubReason::Read(error),
        Ok(page) => match SegmentHeader::decode(page) {
            Err(error) => ScrubReason::Header(error),
            Ok(header)
                if header.log != target.log
                    || header.bits != target.bits
                    || header.key() != target.key =>
            {
                ScrubReason::Foreign
            }
            Ok(_) => return Ok(()),
        },
    };
    report.add(target.vital(0, PAGE as u64, reason));
    Ok(())
}

/// Walks the frames, and goes on behind those that cannot be read.
fn frames(
    target: &Target,
    view: &mut View<'_, '_>,
    report: &mut ScrubReport,
) -> Result<Chain, Stopped> {
    let (key, bits, end) = (target.key, target.bits, target.end);
    let mut frames = Frames { view, key, bits, end };
    let mut chain =
        Chain { state: WalkState::new(key, Some(target.first)), first_ts: 0, whole: true };
    let mut budget = EFFORT << bits;
    while chain.state.offset < end {
        let state = chain.state;
        let taken = frames.verify(state.offset).and_then(|(header, body)| {
            let next = state.then(&header, body.bytes())?;
            if header.kind == FrameKind::SegOpen {
                SegOpen::decode_fixed(body.bytes())
                    .map_err(|error| NoFrame::Wrong(ScrubReason::SegOpen(error)))?;
            }
            Ok((header, next))
        });
        let reason = match taken {
            Ok((header, next)) => {
                if header.offset == FIRST_FRAME {
                    chain.first_ts = header.ts;
                }
                chain.state = next;
                report.frames += 1;
                continue;
            }
            Err(NoFrame::Stopped) => return Err(Stopped),
            Err(NoFrame::Wrong(reason)) => reason,
        };
        chain.whole = false;
        let from = state.sequence.unwrap_or(target.first);
        let found = frames.look_on(&state, (from, target.next.first), &mut budget)?;
        let behind = WalkState { offset: end, sequence: Some(target.next.first), ..state };
        chain.state = found.map_or(behind, |header| before(&header, &state));
        let next = chain.state.sequence.unwrap_or(target.next.first);
        let bytes = u64::from(chain.state.offset.saturating_sub(state.offset));
        report.add(target.frames(state.offset, bytes, reason, from..next));
    }
    Ok(chain)
}

/// Holds frames that all verify against what the next segment says of them.
fn agree(
    target: &Target,
    chain: &Chain,
    next: &FrameHeader,
    open: &SegOpen,
    report: &mut ScrubReport,
) {
    let state = &chain.state;
    let agrees = open.before.segment == target.key.segment()
        && open.before.end == state.offset
        && open.before.fold == state.fold
        && Some(next.sequence) == state.sequence
        && next.ts > state.ts
        && next.epoch >= state.epoch;
    if !agrees {
        let reason = ScrubReason::Successor(target.next.key.segment());
        report.add(target.vital(target.end, 0, reason));
    }
}

/// Between the end and the SEAL nothing was ever written.
fn zeros(
    target: &Target,
    view: &mut View<'_, '_>,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    let end = target.seal_offset();
    let mut at = target.end;
    let (mut first, mut last, mut unreadable) = (None, 0, None);
    while at < end {
        let bytes = match view.get(at, 1) {
            Ok([]) => break,
            Ok(bytes) => bytes,
            Err(Halt::Stopped) => return Err(Stopped),
            Err(Halt::Unreadable(page, error)) => {
                let (_, _, pages) = unreadable.get_or_insert((page, error, 0));
                *pages += 1;
                at = page.saturating_add(PAGE as u32);
                continue;
            }
        };
        let most = usize::try_from(end - at).unwrap_or(0);
        let bytes = bytes.get(..most).unwrap_or(bytes);
        if !factlog_codec::all_zero(bytes) {
            let offset = |index: usize| at + u32::try_from(index).unwrap_or(0);
            let is_set = |byte: &u8| *byte != 0;
            first = first.or(bytes.iter().position(is_set).map(offset));
            last = bytes.iter().rposition(is_set).map_or(last, offset);
        }
        at += u32::try_from(bytes.len()).unwrap_or(end - at);
    }
    if let Some(first) = first {
        let bytes = u64::from(last - first) + 1;
        report.add(target.idle(first, bytes, ScrubReason::NotZero));
    }
    if let Some((page, error, pages)) = unreadable {
        let bytes = pages * PAGE as u64;
        report.add(target.idle(page, bytes, ScrubReason::Read(error)));
    }
    Ok(())
}

/// The SEAL, if there is one. `why` is why the segment ends, as the next one says, if it can.
fn seal(
    target: &Target,
    view: &mut View<'_, '_>,
    chain: &Chain,
    why: Option<Succession>,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    let offset = target.seal_offset();
    let mut found = decode_seal(target, view)?;
    if target.elsewhere && matches!(found, Err(ScrubReason::Seal(_))) {
        // It may just be being written.
        view.forget();
        found = decode_seal(target, view)?;
    }
    // Where a segment was cut, what is behind the cut may be anything.
    let cut = why != Some(Succession::Full);
    let reason = match found {
        Err(ScrubReason::Seal(SealError::Absent)) => {
            report.unsealed += 1;
            return Ok(());
        }
        // The file is too short: that was said.
        Err(ScrubReason::Seal(SealError::Short)) => return Ok(()),
        Err(ScrubReason::Seal(_)) if cut => {
            report.unsealed += 1;
            return Ok(());
        }
        Err(reason) => reason,
        // Older than the cut.
        Ok(seal) if cut && seal.end != target.end => return Ok(()),
        Ok(seal) if agrees(&seal, target, chain) => return Ok(()),
        Ok(_) => ScrubReason::SealDiffers,
    };
    report.add(target.idle(offset, PAGE as u64, reason));
    Ok(())
}

fn decode_seal(
    target: &Target,
    view: &mut View<'_, '_>,
) -> Result<Result<Seal, ScrubReason>, Stopped> {
    let offset = target.seal_offset();
    match view.get(offset, PAGE) {
        Err(Halt::Stopped) => Err(Stopped),
        Err(Halt::Unreadable(_, error)) => Ok(Err(ScrubReason::Read(error))),
        Ok(page) => Ok(Seal::decode(target.key, offset, page).map_err(ScrubReason::Seal)),
    }
}

/// Whether a SEAL says what is known; of the frames only if all of them verify.
fn agrees(seal: &Seal, target: &Target, chain: &Chain) -> bool {
    let Chain { state, first_ts, whole } = chain;
    let frames = seal.fold == state.fold
        && seal.frames == state.frames
        && seal.epoch == state.epoch
        && seal.first_ts == *first_ts
        && seal.last_ts == state.ts;
    seal.end == target.end
        && seal.first_sequence == target.first
        && seal.next_sequence == target.next.first
        && (frames || !whole)
}
