//! Opens a damaged log, reads all of it, and says how the damage was met.

use std::path::Path;

use factlog::{
    DamageReason, Log, OpenError, Options, Place, ReadError, RecoveryOutcome, Scrub, Sequence,
    Start,
};

use super::sample::{CURSOR, Part, Region, Sample};
use crate::Seen;

/// How damage was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Opening refused the log with a typed error that names the file or place.
    Refused,
    /// Opening found it damaged, and named the place; what is before it was served.
    Damaged,
    /// A cursor stopped at it with a typed error that names the place.
    Stopped,
    /// The tail counts as torn: everything before was served.
    Torn,
    /// All was served, and the report of opening names it.
    Reported,
    /// All was served; verifying or scrubbing names it.
    Found,
    /// All was served, and the cursor goes on from the slot that is whole: events are given
    /// again, none is passed over.
    OtherSlot,
    /// All was served: the bytes are derived from others, and were not needed.
    Derived,
    /// All was served: the bytes are no part of the log.
    Meaningless,
    /// It was opened for writing, with all there is, and went on behind it.
    WentOn,
}

impl Verdict {
    pub(super) const ALL: [Self; 10] = [
        Self::Refused,
        Self::Damaged,
        Self::Stopped,
        Self::Torn,
        Self::Reported,
        Self::Found,
        Self::OtherSlot,
        Self::Derived,
        Self::Meaningless,
        Self::WentOn,
    ];

    /// As words for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Damaged => "damaged",
            Self::Stopped => "met by a reader",
            Self::Torn => "torn",
            Self::Reported => "reported",
            Self::Found => "found by verifying or scrubbing",
            Self::OtherSlot => "other slot taken",
            Self::Derived => "derived, not needed",
            Self::Meaningless => "no part of the log",
            Self::WentOn => "whole, and went on",
        }
    }
}

/// What came of opening a log and reading it.
#[derive(Debug)]
pub(super) enum Opened {
    /// It was refused.
    Refused(OpenError),
    /// It was opened.
    Read(Box<Served>),
}

/// What was served, all of which is right.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) outcome: RecoveryOutcome,
    /// So many events.
    pub(super) events: usize,
    /// Where opening found damage.
    pub(super) damage: Option<(Place, DamageReason)>,
    /// Where a reader stopped.
    pub(super) stopped: Option<ReadError>,
    /// The report names a slot, a table or a cursor that cannot be used.
    pub(super) reported: bool,
    /// Where the cursor goes on, if it can be used.
    pub(super) cursor: Option<u64>,
    log: Log,
}

/// Opens the log and reads it.
///
/// # Errors
///
/// An event is served that is none of the log's, or was changed; or streams are not what they were.
pub(super) fn open(root: &Path, sample: &Sample) -> Result<Opened, String> {
    let log = match Options::new().open_read_only(root) {
        Ok(log) => log,
        Err(error) => return Ok(Opened::Refused(error)),
    };
    let (events, stopped) = serve(&log, sample, 0)?;
    let report = log.recovery();
    let whole = events == sample.events.len() && stopped.is_none();
    if whole {
        for (stream, version) in &sample.versions {
            let found = log.stream_version(stream).get();
            if found != *version {
                return Err(format!("{stream} is at version {found}, not at {version}"));
            }
        }
    }
    let places = log.named_cursors();
    let place = places.iter().find(|known| known.name.as_str() == CURSOR);
    let cursor = place.and_then(|known| known.place.as_ref().ok()).map(|place| place.next.get());
    Ok(Opened::Read(Box::new(Served {
        outcome: report.outcome,
        events,
        damage: report.damage.as_ref().map(|damage| (damage.place, damage.reason)),
        stopped,
        reported: report.manifest.is_some()
            || !report.bad_stream_tables.is_empty()
            || !report.damaged_cursors.is_empty(),
        cursor,
        log,
    })))
}

/// Reads what comes from the `from`-th event on, counted from 0, and holds it against the sample:
/// how many events there are from the first one on, and where a cursor stopped.
pub(super) fn serve(
    log: &Log,
    sample: &Sample,
    from: usize,
) -> Result<(usize, Option<ReadError>), String> {
    let start = match sample.events.get(from) {
        Some(event) if from > 0 => Start::Sequence(Sequence::new(event.sequence)),
        _ => Start::Oldest,
    };
    let mut cursor = match log.cursor(start) {
        Ok(cursor) => cursor,
        Err(factlog::SeekError::Read(error)) => return Ok((from, Some(error))),
        Err(error) => return Err(format!("no cursor: {error}")),
    };
    let mut served = from;
    loop {
        let seen = match cursor.next_event() {
            Ok(Some(event)) => Seen::of(event),
            Ok(None) => return Ok((served, None)),
            Err(error) => return Ok((served, Some(error))),
        };
        match sample.events.get(served) {
            Some(expected) if *expected == seen => served += 1,
            Some(expected) => {
                return Err(format!("served {seen:?} where {expected:?} was appended"));
            }
            None => return Err(format!("served {seen:?}, which never was appended")),
        }
    }
}

impl Served {
    /// Whether everything was served.
    pub(super) fn all(&self, sample: &Sample) -> bool {
        self.events == sample.events.len() && self.stopped.is_none()
    }

    /// Whether anything says that something is wrong.
    pub(super) fn is_named(&self) -> bool {
        self.damage.is_some() || self.stopped.is_some() || self.reported
    }

    /// Looks closer: whether verifying everything, or a scrub, names something.
    pub(super) fn look_closer(&self, root: &Path) -> Result<bool, String> {
        match Options::new().verify(root) {
            Err(_) => return Ok(true),
            Ok(report) if report.outcome == RecoveryOutcome::Damaged => return Ok(true),
            Ok(_) => {}
        }
        let scrubbed = self.log.scrub(Scrub::new()).map_err(|error| error.to_string())?;
        Ok(!scrubbed.is_clean())
    }
}

/// Says how damage within `region`, which begins at byte `at`, was met.
///
/// # Errors
///
/// It was not met as it must be.
pub(super) fn judge(
    root: &Path,
    sample: &Sample,
    region: &Region,
    opened: Opened,
) -> Result<Verdict, String> {
    let served = match opened {
        Opened::Refused(error) => return refused(sample, region, error),
        Opened::Read(served) => served,
    };
    if matches!(region.part, Part::Header | Part::Frame) {
        return in_segment(sample, region, &served);
    }
    if !served.all(sample) {
        return Err(format!(
            "{} of {} events were served: {served:?}",
            served.events,
            sample.events.len()
        ));
    }
    let (newer, older) = sample.cursor;
    let cursor = served.cursor;
    match region.part {
        Part::Cursor | Part::OldCursor => {
            let expected = if region.part == Part::Cursor { older } else { newer };
            match cursor {
                Some(next) if next == expected => Ok(Verdict::OtherSlot),
                None if served.reported => Ok(Verdict::Reported),
                other => Err(format!("the cursor goes on with {other:?}, not with {expected}")),
            }
        }
        _ if cursor.unwrap_or(0) != newer => Err(format!("the cursor goes on with {cursor:?}")),
        Part::Behind if !served.is_named() => Ok(Verdict::Meaningless),
        _ if served.reported => Ok(Verdict::Reported),
        Part::Seal if served.look_closer(root)? => Ok(Verdict::Found),
        Part::Table => Ok(Verdict::Derived),
        _ => Err(format!("nothing names it: {served:?}")),
    }
}

/// A refusal names the file in which the damage is.
fn refused(sample: &Sample, region: &Region, error: OpenError) -> Result<Verdict, String> {
    let right = match (&error, region.part) {
        (OpenError::Manifest(..), Part::Manifest | Part::OldManifest)
        | (OpenError::Catalog(..), Part::Catalog) => true,
        (OpenError::Header(segment, _) | OpenError::Foreign(segment), Part::Header) => {
            segment.get() == region.segment
        }
        // Of a log whose first segment has no beginning nothing can be served.
        (OpenError::Damaged(damage), Part::Header | Part::Frame) => {
            region.kept == 0 && damage.place.segment.get() <= region.segment
        }
        _ => false,
    };
    let _ = sample;
    if right { Ok(Verdict::Refused) } else { Err(format!("refused with: {error}")) }
}

/// Damage to a frame or header: what is before it is served, it is named, and what is behind it is
/// not served as if nothing were missing.
fn in_segment(sample: &Sample, region: &Region, served: &Served) -> Result<Verdict, String> {
    let fail = |what: &str| Err(format!("{what}: {served:?}"));
    if served.events != region.kept {
        // Only a frame without events may be damaged without an event being missed, and then what
        // is behind it is missed.
        return fail(&format!("{} events stand before it", region.kept));
    }
    let place = |place: Place| {
        let at = (place.segment.get(), u64::from(place.offset));
        let begins = region.from <= super::sample::FIRST;
        // The beginning of a segment is missed where the one before it ends, too.
        at == (region.segment, region.from)
            || (begins && at.0 == region.segment && at.1 <= super::sample::FIRST)
            || (begins && at.0 + 1 == region.segment)
    };
    match (&served.damage, &served.stopped) {
        (Some((found, _)), None) if place(*found) => Ok(Verdict::Damaged),
        (Some((found, _)), None) => fail(&format!("named as {found}")),
        (None, Some(ReadError::Frame(segment, stop))) => {
            let found = Place { segment: *segment, offset: stop.offset };
            if place(found) { Ok(Verdict::Stopped) } else { fail("named elsewhere") }
        }
        (None, None) if served.outcome == RecoveryOutcome::Torn => {
            let at = (region.segment, region.from as u32);
            if at >= sample.durable { Ok(Verdict::Torn) } else { fail("below a witness") }
        }
        _ => fail("not named"),
    }
}

/// Says how damage to several regions of one file was met: the first of them decides what is served.
///
/// # Errors
///
/// It was not met as it must be.
pub(super) fn judge_area(
    root: &Path,
    sample: &Sample,
    changed: &[Region],
    opened: Opened,
) -> Result<Verdict, String> {
    let in_log = |region: &&Region| matches!(region.part, Part::Header | Part::Frame);
    let Some(first) = changed.iter().find(in_log) else {
        let region = changed.first().ok_or("nothing was changed")?;
        return match opened {
            // A segment may be without a SEAL, and one that is derived or no part of the log too.
            Opened::Read(served)
                if served.all(sample) && matches!(region.part, Part::Seal | Part::Behind) =>
            {
                Ok(Verdict::Meaningless)
            }
            opened => judge(root, sample, region, opened),
        };
    };
    let served = match opened {
        Opened::Refused(error) => return refused(sample, first, error),
        Opened::Read(served) => served,
    };
    if served.events != first.kept {
        return Err(format!("{} events stand before it: {served:?}", first.kept));
    }
    match (&served.damage, &served.stopped) {
        (Some((place, _)), None) if near(first, place.segment.get()) => Ok(Verdict::Damaged),
        (None, Some(ReadError::Frame(segment, _))) if near(first, segment.get()) => {
            Ok(Verdict::Stopped)
        }
        _ => Err(format!("not named: {served:?}")),
    }
}

/// Where a segment cannot be entered, the end of the one before it is named; where nothing is left of
/// it, the one behind it, which nothing leads to.
fn near(region: &Region, segment: u32) -> bool {
    let gone = region.part == Part::Header;
    segment == region.segment
        || segment + 1 == region.segment
        || (gone && segment == region.segment + 1)
}

/// Says how it was met that a file ends at `len`.
///
/// # Errors
///
/// It was not met as it must be.
pub(super) fn judge_cut(
    sample: &Sample,
    file: usize,
    len: u64,
    opened: Opened,
) -> Result<Verdict, String> {
    let mut here = sample.regions.iter().filter(|region| region.file == file);
    let first = here.clone().next().ok_or("nothing stands there")?;
    let in_log = |region: &&Region| matches!(region.part, Part::Header | Part::Frame);
    let Some(lost) = here.find(|region| region.to > len && in_log(region)) else {
        return whole_or_named(sample, first, opened);
    };
    let served = match opened {
        Opened::Refused(error) => return refused(sample, lost, error),
        Opened::Read(served) => served,
    };
    // A file that is too short is not mapped at all: then nothing of it is served.
    if served.events < first.kept || served.events > lost.kept {
        return Err(format!("{} to {} were to be served: {served:?}", first.kept, lost.kept));
    }
    match (&served.damage, &served.stopped) {
        (Some((place, _)), None) if near(first, place.segment.get()) => Ok(Verdict::Damaged),
        (Some((place, _)), Some(ReadError::Io(_))) if near(first, place.segment.get()) => {
            Ok(Verdict::Damaged)
        }
        (None, Some(ReadError::Frame(..) | ReadError::Io(_))) => Ok(Verdict::Stopped),
        _ => Err(format!("not named: {served:?}")),
    }
}

/// Nothing of what was promised is missing: all is served, or what is not is named.
fn whole_or_named(sample: &Sample, first: &Region, opened: Opened) -> Result<Verdict, String> {
    let served = match opened {
        Opened::Refused(error) => return refused(sample, first, error),
        Opened::Read(served) => served,
    };
    let (newer, older) = sample.cursor;
    let right = match served.cursor {
        Some(next) => next == newer || (next == older && first.segment == 0),
        None => served.reported || newer == 0,
    };
    if !right {
        return Err(format!("the cursor goes on elsewhere: {served:?}"));
    }
    match &served.stopped {
        Some(ReadError::Io(_)) => Ok(Verdict::Stopped),
        Some(_) => Err(format!("{served:?}")),
        None if !served.all(sample) => Err(format!("not named: {served:?}")),
        None if served.reported => Ok(Verdict::Reported),
        None if first.part == Part::Table => Ok(Verdict::Derived),
        None if served.outcome == RecoveryOutcome::Torn => Ok(Verdict::Torn),
        None if matches!(first.part, Part::Cursor | Part::OldCursor) => Ok(Verdict::OtherSlot),
        None if first.segment > 0 => Ok(Verdict::Meaningless),
        None => Err(format!("nothing names it: {served:?}")),
    }
}
