//! Reading sealed segments again, to find bytes that have rotted at rest before recovery needs them.
//!
//! Problem: what was verified when it was written, or when the log was opened, is not looked at
//! again for months, and a backup that is older than the rot is overwritten one day. Idea: go over
//! everything that is sealed and durable, slowly, with reads that go past the page cache, and hold
//! it against what this process knows.
//!
//! - `report`: what was found, and what can be done
//! - `pace`: so many bytes a second; stopping
//! - `medium`: a segment file, read past the page cache where that can be had
//! - `window`: the one chunk that is in memory
//! - `frames`: frames through that window, and looking for the next one behind damage
//! - `check`: all that is checked of one segment
//! - `faulty`: tests, on a medium that fails

mod check;
#[cfg(test)]
mod faulty;
mod frames;
mod medium;
mod pace;
mod report;
mod window;

use std::fmt;
use std::ops::ControlFlow;

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{Position, SegmentId, Sequence};

pub use report::{
    Remedy, ScrubError, ScrubFinding, ScrubProgress, ScrubReason, ScrubReport, ScrubStop,
};

use super::cursor::{Hold, Log};
use super::segment::Segment;
use super::shared::Shared;
use crate::sync::{Arc, PoisonError};
use check::{Successor, Target, check};
use pace::{Bucket, Pace, Stopped, SystemTimer};
use window::Window;

type Progress<'a> = Box<dyn FnMut(ScrubProgress) -> ControlFlow<()> + 'a>;

/// How a scrub is done: how fast, from where on, and who is told.
///
/// ```
/// use factlog::{Options, Scrub};
/// use std::ops::ControlFlow;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let writer = Options::new().open(directory.path())?;
/// let scrub = Scrub::new().rate(16 << 20).progress(|progress| {
///     println!("{} of {}: {} bytes", progress.done, progress.of, progress.bytes);
///     ControlFlow::Continue(())
/// });
/// let report = writer.log().scrub(scrub)?;
/// assert!(report.is_clean(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Scrub<'a> {
    rate: Option<u64>,
    from: From,
    progress: Option<Progress<'a>>,
}

#[derive(Debug, Clone, Copy, Default)]
enum From {
    #[default]
    Oldest,
    Segment(SegmentId),
    Sequence(Sequence),
}

impl fmt::Debug for Scrub<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub")
            .field("rate", &self.rate)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl<'a> Scrub<'a> {
    /// Everything, as fast as it can be read.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads at most so many bytes a second, in pieces of a twentieth of that (from 4 KiB to 1 MiB).
    /// What is not read for a while is not made up for.
    #[must_use]
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = Some(bytes_per_second);
        self
    }

    /// Begins with this segment, or with the oldest that is left after it.
    #[must_use]
    pub fn from_segment(mut self, segment: SegmentId) -> Self {
        self.from = From::Segment(segment);
        self
    }

    /// Begins with the segment that holds this event, or with the oldest that is left after it.
    #[must_use]
    pub fn from_sequence(mut self, sequence: Sequence) -> Self {
        self.from = From::Sequence(sequence);
        self
    }

    /// Told before each piece is read, and every 50 ms while the rate makes it wait. If it breaks,
    /// the scrub stops, and its report says where.
    #[must_use]
    pub fn progress(mut self, tell: impl FnMut(ScrubProgress) -> ControlFlow<()> + 'a) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }
}

impl Log {
    /// Reads every sealed, durable segment again, on this thread, and says what has rotted.
    ///
    /// Safe beside the writer, readers and retention: one segment after the other is held against
    /// retention while it is read, and what retention took before counts as skipped. Segments that
    /// are still written, or not durable yet, are left out, and so are those that come meanwhile.
    ///
    /// Nothing is changed, nothing that is found stops it, and the log is not poisoned. Memory: one
    /// piece of at most 1 MiB, and the report.
    ///
    /// **What is read.** On Linux the file is opened for direct reads: those come from the device,
    /// also where readers have the segment mapped. Where a file system does not offer them (older
    /// tmpfs, some overlays), the kernel is asked to forget its pages of what is read next; it keeps
    /// those that somebody has mapped, so of them the memory is checked and not the medium.
    /// [`ScrubReport::direct`] says how many segments were read directly. A file system may answer
    /// a direct read from memory all the same (ext4 does for encrypted files and journalled data),
    /// and so may the device. Elsewhere than on Linux plain reads are all there is.
    ///
    /// **What is not seen.** A SEAL page that has become all zeros: a segment may be without one.
    /// Anything whose checksum still holds; what items say is not looked at.
    ///
    /// # Errors
    ///
    /// It was not begun: see [`ScrubError`]. What cannot be read is a finding.
    pub fn scrub(&self, mut scrub: Scrub<'_>) -> Result<ScrubReport, ScrubError> {
        let shared = self.shared();
        let from = match scrub.from {
            From::Oldest => SegmentId::FIRST,
            From::Segment(segment) => segment,
            From::Sequence(wanted) => shared
                .segments
                .last_where(|first, _| first <= wanted)
                .map_or(SegmentId::FIRST, |segment| segment.id()),
        };
        let ids = shared.segments.in_use().into_iter().map(|segment| segment.id());
        run(shared, &mut scrub, &ids.filter(|id| *id >= from).collect::<Vec<_>>())
    }

    /// The same for one segment, for those who have a schedule of their own. Where the scrub
    /// begins is not asked then.
    ///
    /// A segment that is still written counts as [`open`](ScrubReport::open), one that retention
    /// took as [`skipped`](ScrubReport::skipped).
    ///
    /// # Errors
    ///
    /// There is no such segment yet, or see [`Log::scrub`].
    pub fn scrub_segment(
        &self,
        segment: SegmentId,
        mut scrub: Scrub<'_>,
    ) -> Result<ScrubReport, ScrubError> {
        let shared = self.shared();
        if segment >= shared.segments.floor() && shared.segments.get(segment).is_none() {
            return Err(ScrubError::NoSegment(segment));
        }
        run(shared, &mut scrub, &[segment])
    }
}

fn run(
    shared: &Arc<Shared>,
    scrub: &mut Scrub<'_>,
    ids: &[SegmentId],
) -> Result<ScrubReport, ScrubError> {
    let bucket = match scrub.rate {
        Some(rate) => Some(Bucket::new(rate).ok_or(ScrubError::Rate)?),
        None => None,
    };
    let chunk = bucket.as_ref().map_or(medium::CHUNK, Bucket::piece);
    // Another process may write a log that is open for reading only.
    let elsewhere = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner).is_read_only();
    let mut nobody = |_| ControlFlow::Continue(());
    let tell: &mut dyn FnMut(ScrubProgress) -> ControlFlow<()> = match &mut scrub.progress {
        Some(tell) => tell,
        None => &mut nobody,
    };
    let mut timer = SystemTimer::default();
    let mut pace = Pace::new(bucket, &mut timer, tell, ids.len());
    let mut window = Window::new(chunk);
    let mut report = ScrubReport::default();
    for (done, id) in ids.iter().copied().enumerate() {
        pace.enter(id, done);
        match one(shared, id, elsewhere, &mut pace, &mut window, &mut report) {
            Ok(()) => {}
            Err(Stopped) => {
                report.stopped = Some(ScrubStop { segment: id });
                break;
            }
        }
    }
    report.bytes = pace.bytes();
    Ok(report)
}

/// Scrubs one segment, if there is something to be scrubbed.
fn one(
    shared: &Arc<Shared>,
    id: SegmentId,
    elsewhere: bool,
    pace: &mut Pace<'_>,
    window: &mut Window,
    report: &mut ScrubReport,
) -> Result<(), Stopped> {
    let segment = shared.segments.get(id);
    let first = segment.as_ref().and_then(|segment| segment.index().first());
    let (Some(segment), Some(first)) = (segment, first) else {
        // Gone, or never used.
        let gone = id < shared.segments.floor();
        *(if gone { &mut report.skipped } else { &mut report.open }) += 1;
        return Ok(());
    };
    // Everything behind it is held with it: the next one's SEGOPEN too.
    let begin = segment.place(FIRST_FRAME).position(shared.bits);
    let Some(_hold) = Hold::take_settled(shared, begin, first.sequence) else {
        report.skipped += 1;
        return Ok(());
    };
    let Some((end, next)) = ended(shared, &segment, elsewhere) else {
        report.open += 1;
        return Ok(());
    };
    let target = Target {
        log: shared.owner(segment.id()).log,
        key: segment.key(),
        bits: shared.bits,
        path: shared.directory.segment(id),
        first: first.sequence,
        end,
        next,
        elsewhere,
    };
    check(&target, pace, window, report)
}

/// Where a segment ends and what follows it, if no byte of it is written any more and all of them
/// are durable.
fn ended(shared: &Shared, segment: &Segment, elsewhere: bool) -> Option<(u32, Successor)> {
    let visible = shared.frontier.visible();
    let bound = if elsewhere { visible.position() } else { shared.frontier.durable() };
    let end = segment.end()?;
    if Position::new(segment.id(), end, shared.bits) > bound {
        return None;
    }
    let next = segment.next()?;
    let successor = Successor {
        key: next.key(),
        path: shared.directory.segment(next.id()),
        first: next.index().first()?.sequence,
        // Its first frame may just be being written.
        frozen: Some(next.frozen_end(visible)).filter(|end| *end > FIRST_FRAME)?,
        ended: ended_at(&next, bound, shared.bits),
    };
    Some((end, successor))
}

/// Whether a segment has ended below a bound: then it is scrubbed itself.
fn ended_at(segment: &Segment, bound: Position, bits: u8) -> bool {
    let end = segment.end();
    end.is_some_and(|end| Position::new(segment.id(), end, bits) <= bound)
        && segment.next().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use factlog_codec::types::{EventType, Opaque};

    use super::*;
    use crate::Options;

    static BLOCK: EventType = EventType::opaque("block", 1);

    /// Retention raises the floor before it knows whether it may: what it then leaves is read.
    #[test]
    fn is_what_retention_only_tries_to_take_scrubbed() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
        let mut writer = options.open(directory.path()).expect("opens");
        while writer.log().stats().rollovers < 2 {
            writer.append(&Opaque::new(&BLOCK, &[7; 100_000])).expect("appended");
        }
        writer.sync().expect("synced");
        let log = writer.log();
        let shared = log.shared();
        let retaining = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
        shared.holds.raise(SegmentId::new(3)).expect("nobody holds anything");
        let report = std::thread::scope(|scope| {
            let scrubbing = scope.spawn(|| log.scrub(Scrub::new()));
            // Long enough to be refused a hold; who comes later is given one.
            std::thread::sleep(Duration::from_millis(300));
            shared.holds.lower(SegmentId::FIRST);
            drop(retaining);
            scrubbing.join().expect("no panic").expect("begun")
        });
        assert_eq!((report.skipped, report.checked), (0, 2), "{report}");
    }
}
