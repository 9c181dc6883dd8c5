//! From the log to the images: all of it in order, or one instance anew.

use factlog_codec::{Sequence, StreamNumber, StreamVersion};

use super::images::{Images, Route};
use super::instances::Folded;
use super::suspension::{Suspension, SuspensionCause};
use crate::log::{Entry, Log, LogType, ReadError, SeekError, Start};

/// Suspends all instances whose beginnings retention has dropped: before anything is folded.
pub(crate) fn suspend_dropped(images: &mut Images, log: &Log) -> Result<(), ReadError> {
    let first = log.first_whole_stream()?;
    for stream in (1..first.get()).map(StreamNumber::new) {
        let Some(name) = log.stream_key(stream) else { continue };
        // Without events it has lost none.
        if log.stream_version(&name) == StreamVersion::NONE {
            continue;
        }
        let route = images.route(stream, || Some(&name));
        let (sequence, version) = (Sequence::FIRST, StreamVersion::NONE.next());
        let cause = SuspensionCause::HistoryDropped;
        images.suspend(route, Suspension { sequence, version, cause });
    }
    Ok(())
}

/// Folds everything that is visible and not folded yet. `also` sees every entry, commands too.
pub(crate) fn catch_up(
    images: &mut Images,
    log: &Log,
    mut also: impl FnMut(&Entry<'_>) -> Result<(), ReadError>,
) -> Result<(), SeekError> {
    let anew = images.next == Sequence::FIRST;
    if anew {
        suspend_dropped(images, log)?;
    }
    let mut cursor = match log.cursor(Start::Sequence(images.next)) {
        // Retention has dropped what comes first.
        Err(SeekError::BeforeOldest(_)) => log.cursor(Start::Oldest)?,
        placed => placed?,
    };
    if anew {
        images.begin_without(log, false);
    }
    loop {
        let mut batch = cursor.poll()?;
        let mut any = false;
        while let Some(entry) = batch.next_entry()? {
            any = true;
            if entry.sequence >= images.next {
                also(&entry)?;
                fold(images, &entry);
            }
        }
        if !any && !cursor.has_more() {
            return Ok(());
        }
    }
}

/// Folds one entry into every instance that it goes to.
#[inline]
pub(crate) fn fold(images: &mut Images, entry: &Entry<'_>) {
    if !entry.is_event() {
        return;
    }
    images.next = entry.sequence.after(1);
    let stream = entry.item.header.stream;
    if stream == StreamNumber::NONE {
        return;
    }
    // Opening has looked at the links of all that it has read; elsewhere the frame verifies.
    let Ok((link, further)) = entry.links() else { return };
    let own = link.map(|link| (stream, link));
    let further = further.into_iter().map(|further| (further.stream, further.link));
    for (stream, link) in own.into_iter().chain(further) {
        let route = images.route(stream, || entry.stream_key(stream));
        let event = Folded {
            of: entry.type_key(),
            payload: entry.item.payload,
            sequence: entry.sequence,
            version: link.version,
        };
        images.apply(route, event, || entry.type_name());
    }
}

/// Folds one instance anew, from the snapshot if it stands there, and from its stream: something has gone wrong with what was folded.
pub(crate) fn refold(images: &mut Images, log: &Log, route: Route) {
    let Some((stream, version)) = images.rewind(route) else { return };
    let Some(key) = log.stream_key(stream) else { return };
    let mut version = version.next();
    let mut cursor = log.stream(&key, version);
    let mut looked = false;
    loop {
        match cursor.next_event() {
            Ok(None) => return,
            // What is not folded yet comes by by itself.
            Ok(Some(event)) if event.sequence() >= images.next => return,
            Ok(Some(event)) => {
                let of = event.event_type();
                let folded = Folded {
                    of: of.map(LogType::key),
                    payload: event.payload(),
                    sequence: event.sequence(),
                    version,
                };
                images.apply(route, folded, || of.map(|of| (of.name(), of.version())));
            }
            // Retention has dropped what comes first: a snapshot was taken before that.
            Err(ReadError::BehindFloor(_)) if !std::mem::replace(&mut looked, true) => {
                let Some(found) = images.rewind_to_newest(log, route) else {
                    cursor = log.stream(&key, version);
                    continue;
                };
                version = found.next();
                cursor = log.stream(&key, version);
                continue;
            }
            Err(error) => {
                let cause = match error {
                    ReadError::BehindFloor(_) => SuspensionCause::HistoryDropped,
                    error => SuspensionCause::Unread(error.to_string()),
                };
                let sequence = images.next;
                return images.suspend(route, Suspension { sequence, version, cause });
            }
        }
        version = version.next();
    }
}
