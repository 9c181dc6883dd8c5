//! What is done to a log while syncs fail, and what may be acknowledged from then on.

use std::path::Path;
use std::time::Duration;

use factlog::{
    AppendError, AttachError, EventType, Log, Opaque, OpenError, Options, Retention, Sequence,
    Start, SyncError, Writer,
};

use crate::Random;

static FACT: EventType = EventType::opaque("fact", 1);

/// These events are long, so that segments end.
const LONG: std::ops::Range<u64> = 12..42;

/// How a story ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// Everything was done.
    Finished,
    /// The log was not opened.
    NotOpened,
    /// The writer stopped for good, and was asked again, in vain.
    Stopped,
    /// Nothing was accepted any more: there was no next segment.
    Refused,
}

impl Ending {
    pub(super) const ALL: [Self; 4] =
        [Self::Finished, Self::NotOpened, Self::Stopped, Self::Refused];

    /// As words for people.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Finished => "went on",
            Self::NotOpened => "not opened",
            Self::Stopped => "stopped for good",
            Self::Refused => "refused events",
        }
    }
}

/// The payload of an event: it follows from its sequence.
pub(super) fn payload(sequence: u64) -> Vec<u8> {
    filled(sequence, if LONG.contains(&sequence) { 200_000 } else { 100 })
}

/// So many bytes that follow from a sequence.
pub(super) fn filled(sequence: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(sequence ^ 0x5EED);
    let mut bytes = Vec::with_capacity(len + 8);
    bytes.extend(sequence.to_le_bytes());
    while bytes.len() < len {
        bytes.extend(random.next().to_le_bytes());
    }
    bytes
}

/// Appends the next event.
pub(super) fn append(writer: &mut Writer) -> Result<u64, AppendError> {
    put(writer, &payload)
}

/// The same, with another payload.
pub(super) fn put(
    writer: &mut Writer,
    payload: &dyn Fn(u64) -> Vec<u8>,
) -> Result<u64, AppendError> {
    let payload = payload(writer.next_sequence().get());
    writer.append(&Opaque::new(&FACT, &payload)).map(Sequence::get)
}

/// The last event of a log, all of whose events are what was appended.
///
/// # Errors
///
/// One is not, or cannot be read.
pub(super) fn compare(log: &Log) -> Result<u64, String> {
    compare_with(log, &payload)
}

/// The same, where events have other payloads.
///
/// # Errors
///
/// One is not what was appended, or cannot be read.
pub(super) fn compare_with(log: &Log, payload: &dyn Fn(u64) -> Vec<u8>) -> Result<u64, String> {
    match compare_readable(log, payload)? {
        (last, None) => Ok(last),
        (last, Some(error)) => Err(format!("event {} cannot be read: {error}", last + 1)),
    }
}

/// The last event that can be read, and why the next one cannot be, if there is one.
///
/// # Errors
///
/// One is not what was appended.
pub(super) fn compare_readable(
    log: &Log,
    payload: &dyn Fn(u64) -> Vec<u8>,
) -> Result<(u64, Option<String>), String> {
    let mut cursor = log.cursor(Start::Oldest).map_err(|error| format!("no cursor: {error}"))?;
    let mut next = cursor.next_sequence().get();
    loop {
        match cursor.next_event() {
            Ok(None) => return Ok((next - 1, None)),
            Ok(Some(event)) if event.sequence().get() != next => {
                return Err(format!("event {} where {next} was expected", event.sequence()));
            }
            Ok(Some(event)) if event.payload() != payload(next) => {
                return Err(format!("event {next} is not what was appended"));
            }
            Ok(Some(_)) => next += 1,
            Err(error) => return Ok((next - 1, Some(error.to_string()))),
        }
    }
}

/// Somebody who is told what was acknowledged as durable: every event up to this sequence.
pub(super) type Acknowledge<'a> = &'a mut dyn FnMut(u64);

/// A log is opened, written over the end of a segment, read by a named cursor, cut by retention,
/// closed, opened and written again.
///
/// # Errors
///
/// What was acknowledged after the log had failed, or any error that is none of a failed sync.
pub(super) fn live(
    options: &dyn Fn() -> Options,
    directory: &Path,
    acknowledged: Acknowledge<'_>,
) -> Result<Ending, String> {
    for round in 0..2 {
        let writer = match options().open(directory) {
            Ok(writer) => writer,
            Err(OpenError::Io(_)) => return Ok(Ending::NotOpened),
            Err(error) => return Err(format!("it does not open: {error}")),
        };
        let ending =
            if round == 0 { whole(writer, acknowledged)? } else { short(writer, acknowledged)? };
        if ending != Ending::Finished {
            return Ok(ending);
        }
    }
    Ok(Ending::Finished)
}

fn whole(mut writer: Writer, acknowledged: Acknowledge<'_>) -> Result<Ending, String> {
    for _ in 0..8 {
        if let Some(ending) = appended(&mut writer, acknowledged)? {
            return Ok(ending);
        }
    }
    // A failure here is told, and is none of the log's, unless it was of the log's own sync.
    match writer.log().named_cursor_from("reader", Start::Oldest) {
        Ok(mut cursor) => {
            for _ in 0..2 {
                let _ = cursor.next_event().map_err(|error| error.to_string())?;
                drop(cursor.save());
            }
        }
        Err(AttachError::Io(_) | AttachError::NotDurable(_)) => {}
        Err(error) => return Err(format!("a cursor: {error}")),
    }
    let forgotten = writer.log().forget_cursor("reader");
    drop(forgotten);
    while writer.next_sequence().get() < LONG.end + 4 {
        if let Some(ending) = appended(&mut writer, acknowledged)? {
            return Ok(ending);
        }
    }
    if let Some(ending) = synced(&mut writer, acknowledged)? {
        return Ok(ending);
    }
    drop(writer.retain(&Retention::keep_segments(1)));
    short(writer, acknowledged)
}

fn short(mut writer: Writer, acknowledged: Acknowledge<'_>) -> Result<Ending, String> {
    for _ in 0..3 {
        if let Some(ending) = appended(&mut writer, acknowledged)? {
            return Ok(ending);
        }
    }
    let last = writer.next_sequence().get() - 1;
    match writer.close() {
        // Everything is durable, but the manifest could not say so.
        Ok(()) | Err(SyncError::Manifest(_)) => acknowledged(last),
        Err(SyncError::Poisoned(_)) => return Ok(Ending::Stopped),
        Err(error) => return Err(format!("closing: {error}")),
    }
    Ok(Ending::Finished)
}

/// Appends one event, again if it is refused for want of a segment.
fn appended(writer: &mut Writer, acknowledged: Acknowledge<'_>) -> Result<Option<Ending>, String> {
    for _ in 0..3 {
        let appended = append(writer);
        // The watermark is an answer, too, to whoever asks for it.
        acknowledged(writer.log().durable().0.get());
        match appended {
            Ok(_) => return Ok(None),
            Err(AppendError::NotDurable(_) | AppendError::Poisoned(_)) => {
                return insist(writer).map(Some);
            }
            Err(AppendError::Prepare(_) | AppendError::NoSpace(_)) => {}
            Err(error) => return Err(format!("appending: {error}")),
        }
    }
    Ok(Some(Ending::Refused))
}

fn synced(writer: &mut Writer, acknowledged: Acknowledge<'_>) -> Result<Option<Ending>, String> {
    let last = writer.next_sequence().get() - 1;
    match writer.sync() {
        Ok(()) => {
            acknowledged(last);
            Ok(None)
        }
        Err(SyncError::Poisoned(_)) => insist(writer).map(Some),
        Err(error) => Err(format!("syncing: {error}")),
    }
}

/// The log has failed: whatever it is asked, nothing is acknowledged.
pub(super) fn insist(writer: &mut Writer) -> Result<Ending, String> {
    let log = writer.log();
    let (durable, _) = log.durable();
    for _ in 0..2 {
        if let Ok(sequence) = append(writer) {
            return Err(format!("event {sequence} was accepted after a sync had failed"));
        }
        if writer.sync().is_ok() {
            return Err("a sync was acknowledged after another had failed".to_owned());
        }
        let next = writer.next_sequence();
        if log.wait_durable(next, Duration::from_millis(20)).is_ok_and(is_ready) {
            return Err("an event counts as durable after a sync had failed".to_owned());
        }
    }
    if writer.begin().is_ok() {
        return Err("a transaction was begun after a sync had failed".to_owned());
    }
    let (after, _) = log.durable();
    if after != durable {
        return Err(format!("durable up to {durable} when a sync had failed, then to {after}"));
    }
    Ok(Ending::Stopped)
}

fn is_ready(waited: factlog::Waited) -> bool {
    waited == factlog::Waited::Ready
}
