//! A log whose files may be anything, opened in each way and read in each way.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;

use factlog::{
    AppendError, EventType, Log, Opaque, OpenError, Recovery, RecoveryOutcome, Salvage, Scrub,
    Sequence, Start, StreamVersion, Writer, render,
};

use factlog_codec::{FrameKind, GapBody, SegmentHeader, Walk};

use super::events::{Deep, Everything, Flat};
use super::reached::Reached;
use crate::{digest, small};

/// What is appended where the bytes have declared the usual type in another shape.
static OTHER: EventType = EventType::opaque("fuzzed-other", 1);

/// An event, as far as it is compared: sequence, time, payload, type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) sequence: u64,
    ts: u64,
    payload: u64,
    of_type: Option<(String, u16)>,
}

impl Print {
    /// Whether it is an event that somebody made up, of a type that nobody had declared, and has taken
    /// on the one that `declared` was appended with. Opening refuses such an event where it walks.
    fn became(&self, now: &Self, declared: Option<&Self>) -> bool {
        let of_type = declared.and_then(|declared| declared.of_type.clone());
        self.of_type.is_none() && Self { of_type, ..self.clone() } == *now
    }
}

/// Everything that can be read, in every way, up to the first thing that cannot.
///
/// # Panics
///
/// When events are out of order or left out; when times are, although recovery has walked all.
pub(super) fn traverse(log: &Log, reached: &mut Reached) -> Vec<Print> {
    let mut prints: Vec<Print> = Vec::new();
    let mut streams = BTreeSet::new();
    // Segments that opening did not have to walk are held against each other frame by frame when
    // they are read, but for their times.
    let whole = log.recovery().walked == log.recovery().segments;
    let Ok(mut cursor) = log.cursor(Start::Oldest) else { return prints };
    loop {
        let event = match cursor.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            Err(error) => {
                show(error);
                reached.note("read-errors");
                break;
            }
        };
        if let Some(last) = prints.last() {
            assert!(last.sequence < event.sequence().get(), "events out of order: {last:?}");
            assert!(!whole || last.ts <= event.ts(), "times out of order: {last:?}");
            let next = last.sequence + 1;
            if next < event.sequence().get() {
                // Only GAPs may leave something out, one going on from the other.
                let lost = next..=event.sequence().get() - 1;
                let gaps: Vec<_> = gaps(log.directory()).collect();
                let mut told = next;
                while let Some(gap) =
                    gaps.iter().find(|gap| *gap.start() == told && !gap.is_empty())
                {
                    told = gap.end() + 1;
                }
                assert!(
                    told == event.sequence().get(),
                    "{lost:?} was left out, and nothing says that it was lost"
                );
            }
        }
        let _ = (event.get::<Flat>(), event.get::<Deep>(), event.get::<Everything>());
        let _ = (event.metadata(), event.cause(), event.correlation(), event.stream_version());
        if let Some(stream) = event.stream() {
            streams.insert(stream.clone());
        }
        let known = event.event_type();
        if let Some(description) = known.and_then(factlog::LogType::description) {
            let _ = render(description, event.payload(), &mut String::new(), 10_000);
        }
        prints.push(Print {
            sequence: event.sequence().get(),
            ts: event.ts(),
            payload: digest(event.payload()),
            of_type: known.map(|known| (known.name().to_owned(), known.version())),
        });
    }
    for stream in &streams {
        let _ = log.stream_version(stream);
        let mut history = log.stream_backwards(stream);
        while let Ok(Some(_)) = history.next_event() {}
        let mut forward = log.stream(stream, StreamVersion::NONE);
        while let Ok(Some(_)) = forward.next_event() {}
    }
    if let Some(middle) = prints.get(prints.len() / 2) {
        let _ = log.cursor(Start::Sequence(Sequence::new(middle.sequence)));
        let _ = log.cursor(Start::Time(middle.ts));
    }
    reached.count("events", prints.len() as u64);
    prints
}

/// What the GAPs of a log leave out.
fn gaps(directory: &Path) -> impl Iterator<Item = RangeInclusive<u64>> {
    let files = std::fs::read_dir(directory.join("seg")).into_iter().flatten().flatten();
    let files = files.filter_map(|file| std::fs::read(file.path()).ok());
    files.flat_map(|bytes| {
        let mut gaps = Vec::new();
        let Ok(header) = SegmentHeader::decode(&bytes) else { return gaps };
        let mut walk = Walk::new(header.key(), &bytes, None);
        while let Ok(frame) = walk.next_frame() {
            if let Some(gap) =
                GapBody::decode(frame.body).filter(|_| frame.header.kind == FrameKind::Gap)
            {
                gaps.push(gap.first.get()..=gap.last.get());
            }
        }
        gaps
    })
}

/// Everything that verifies, wherever it stands.
pub(super) fn salvage(directory: &Path, reached: &mut Reached) {
    let salvage = Salvage::of(directory).with_quarantine().behind_ends();
    let report = salvage.run(|event| {
        let _ = (event.payload(), event.event_type(), event.stream(), event.cause());
        let _ = (event.metadata(), event.stream_version(), event.correlation());
        ControlFlow::Continue(())
    });
    let report = report.expect("the directory can be listed");
    reached.count("salvaged", report.events);
    assert!(!report.to_string().is_empty());
}

/// One word for what came of opening.
pub(super) fn word(outcome: Result<RecoveryOutcome, &OpenError>) -> &'static str {
    match outcome {
        Ok(RecoveryOutcome::Created) => "created",
        Ok(RecoveryOutcome::ClosedCleanly) => "closed",
        Ok(RecoveryOutcome::Clean) => "clean",
        Ok(RecoveryOutcome::Torn) => "torn",
        Ok(RecoveryOutcome::Repaired) => "repaired",
        Ok(RecoveryOutcome::Damaged) => "damaged",
        Ok(_) => "other",
        Err(OpenError::Damaged(_)) => "refused-damaged",
        Err(OpenError::NotClean(_)) => "refused-not-clean",
        Err(OpenError::Manifest(..)) => "refused-manifest",
        Err(OpenError::NoLog(..)) => "refused-no-log",
        Err(OpenError::Catalog(..)) => "refused-catalog",
        Err(OpenError::Header(..)) => "refused-header",
        Err(OpenError::Foreign(..)) => "refused-foreign",
        Err(OpenError::Exhausted) => "refused-exhausted",
        Err(OpenError::Io(_)) => "refused-io",
        Err(_) => "refused-else",
    }
}

/// Tells what came of opening, if the environment asks for it: to see what an input does.
pub(super) fn show(said: impl Display) {
    if std::env::var_os("FACTLOG_SHOW").is_some() {
        eprintln!("{said}");
    }
}

/// How a log is opened, by two bits.
pub(super) fn recovery(bits: u8) -> Recovery {
    [Recovery::CutTorn, Recovery::Repair, Recovery::Strict, Recovery::Repair][usize::from(bits & 3)]
}

/// Opens it for reading, and reads it; nothing if it is refused. As much of it is looked at as
/// when it is opened for writing with the same `recovery`.
pub(super) fn read(
    directory: &Path,
    recovery: Recovery,
    reached: &mut Reached,
) -> Option<Vec<Print>> {
    let opened = small().recovery(recovery).open_read_only(directory);
    reached.note(word(opened.as_ref().map(|log| log.recovery().outcome)));
    match opened {
        Ok(log) => {
            reached.count("frames", log.recovery().frames);
            show(log.recovery());
            assert!(!log.recovery().to_string().is_empty());
            Some(traverse(&log, reached))
        }
        Err(error) => {
            show(&error);
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

/// Opens it for writing, appends to it, closes or drops it, and opens it again. `before` is what
/// could be read: all of that must be there.
///
/// # Panics
///
/// When recovery takes from what could be read or adds to it, when the log does not go on, or when
/// it is not what it was when it is opened again.
pub(super) fn write(
    directory: &Path,
    recovery: Recovery,
    close: bool,
    before: Option<&[Print]>,
    reached: &mut Reached,
) {
    let opened = small().recovery(recovery).open(directory);
    reached.note(word(opened.as_ref().map(|writer| writer.recovery().outcome)));
    let mut writer = match opened {
        Ok(writer) => writer,
        Err(error) => return show(error),
    };
    show(writer.recovery());
    let mut after = traverse(&writer.log(), reached);
    let before = before.unwrap_or_else(|| none(&writer));
    assert!(after == before, "recovery changed what is there: {before:?}, then {after:?}");
    let next = writer.next_sequence().get();
    if append(&mut writer, reached) {
        let now = traverse(&writer.log(), reached);
        // Where something before it cannot be read, neither can what is appended, from the start.
        if now.len() > after.len() {
            assert_eq!(now.len(), after.len() + 1);
            let passed_over = writer.recovery().walked < writer.recovery().segments;
            for (was, is) in after.iter().zip(&now) {
                let declared = passed_over && was.became(is, now.last());
                assert!(was == is || declared, "an append changed {was:?} into {is:?}");
            }
            assert_eq!(now.last().map(|print| print.sequence), Some(next));
        } else {
            assert!(reached.of("read-errors") > 0, "what was appended is not there");
        }
        after = now;
    }
    let _ = writer.log().scrub(Scrub::new().rate(1 << 36));
    if close {
        writer.close().expect("closed");
    } else {
        drop(writer);
    }
    let again = small().open_read_only(directory).expect("what was just written opens");
    let outcome = again.recovery().outcome;
    assert!(
        matches!(outcome, RecoveryOutcome::ClosedCleanly | RecoveryOutcome::Clean)
            || reached.of("read-errors") > 0,
        "just written: {}",
        again.recovery()
    );
    assert!(traverse(&again, reached) == after, "it is not what it was");
}

/// What could be read of a log that is written to although it could not be read: of one that has
/// not begun, there is nothing.
///
/// # Panics
///
/// When it has begun.
pub(super) fn none(writer: &Writer) -> &'static [Print] {
    assert_eq!(writer.recovery().segments, 0, "what can be written can be read");
    &[]
}

/// Appends an event; whether the log took it.
fn append(writer: &mut Writer, reached: &mut Reached) -> bool {
    match writer.append(&Flat::some(1)) {
        Ok(_) => {}
        // The bytes have declared the same type in another shape.
        Err(AppendError::Drift(_)) => match writer.append(&Opaque::new(&OTHER, b"other")) {
            Ok(_) => {}
            Err(AppendError::Exhausted | AppendError::TypeTableFull) => return false,
            Err(error) => panic!("the log does not go on: {error}"),
        },
        // They have used up all numbers of a kind.
        Err(AppendError::Exhausted | AppendError::TypeTableFull) => {
            reached.note("exhausted");
            return false;
        }
        Err(error) => panic!("the log does not go on: {error}"),
    }
    reached.note("appended");
    true
}
