//! A named cursor that somebody has: reading, and saving how far it has come.

use std::time::Duration;

use factlog_codec::{CursorName, CursorPlace, CursorSlot, Sequence};

use super::error::SaveError;
use super::proof::{KnownHistory, place_before};
use crate::log::cursor::{Batch, Cursor, EventRef, Log, Readable, WaitStrategy, Waited};
use crate::log::disk::write_cursor;
use crate::log::error::{ReadError, SyncError};
use crate::log::fault::IoError;
use crate::log::registry::Attachment;

/// Whoever has a cursor; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) log: Log,
    pub(super) name: CursorName,
    pub(super) attachment: Attachment,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let shared = self.log.shared();
        // In a forked child the registry may be locked for ever.
        if !shared.fork.is_child() {
            shared.registry.detach(&self.name, self.attachment);
        }
    }
}

/// Waits until `sequence` is durable, and has it made so; the reason if it will not be.
pub(super) fn make_durable(log: &Log, sequence: Sequence) -> Result<(), Option<SyncError>> {
    // None, where the log kept no event before the place: then there is nothing to be lost.
    if sequence == Sequence::ZERO || log.shared().frontier.durable_pair().1 > sequence {
        return Ok(());
    }
    match log.wait_durable(sequence, Duration::MAX) {
        Ok(Waited::Ready) => Ok(()),
        Ok(_) => Err(None),
        Err(error) => Err(Some(error)),
    }
}

/// A cursor with a name, whose place outlasts the process. See
/// [`Log::named_cursor`](crate::Log::named_cursor).
///
/// It reads as a [`Cursor`] does. What was read counts as processed once it is saved: after a
/// crash it begins behind the last saved place, so that events since then are given again. What it
/// has not processed, retention leaves, also while nobody has it.
///
/// It follows only what is durable, so that a power cut takes nothing that it has given; see
/// [`follow_visible`](Self::follow_visible).
#[derive(Debug)]
pub struct NamedCursor {
    cursor: Cursor,
    /// The slot of the file that was written last, and what it says.
    at: usize,
    saved: CursorSlot,
    known: KnownHistory,
    attached: Attached,
}

impl NamedCursor {
    pub(super) fn new(
        attached: Attached,
        mut cursor: Cursor,
        at: usize,
        saved: CursorSlot,
        known: KnownHistory,
    ) -> Self {
        // What a log that was opened for reading only has found does not go away.
        cursor.follow_only_durable(!attached.log.shared().registry.is_read_only());
        Self { cursor, at, saved, known, attached }
    }

    /// Its name.
    pub fn name(&self) -> &CursorName {
        &self.attached.name
    }

    /// The place that was saved last.
    pub fn saved(&self) -> &CursorPlace {
        &self.saved.place
    }

    /// The log that it reads.
    pub fn log(&self) -> &Log {
        &self.attached.log
    }

    /// Follows everything that is visible, from where it is, which is sooner than what is durable.
    ///
    /// A power cut may then take events that were given; after it, a log that went on has others
    /// in their place. Saving waits until what it saves is durable, so that a saved place is never
    /// one of those; but what was done for events that were not saved, was done for events that
    /// never were.
    #[must_use]
    pub fn follow_visible(mut self) -> Self {
        self.cursor.follow_only_durable(false);
        self
    }

    /// The sequence that comes next.
    pub fn next_sequence(&self) -> Sequence {
        self.cursor.next_sequence()
    }

    /// Everything that is there, up to the end of a segment; see [`Cursor::poll`]. What is taken
    /// from the batch has been read.
    ///
    /// # Errors
    ///
    /// An earlier read failed, or the next segment cannot be mapped.
    #[inline]
    pub fn poll(&mut self) -> Result<Batch<'_>, ReadError> {
        self.cursor.poll()
    }

    /// The next event, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<EventRef<'_>>, ReadError> {
        self.cursor.next_event()
    }

    /// Waits until there is something to read; see [`Cursor::wait`].
    pub fn wait(&self, strategy: WaitStrategy, timeout: Duration) -> Waited {
        self.cursor.wait(strategy, timeout)
    }

    /// Waits, as a task of any executor, until there is something to read; see
    /// [`Cursor::readable`].
    pub fn readable(&mut self) -> Readable<'_> {
        self.cursor.readable()
    }

    /// Saves that everything that was read is processed. It is durable when this returns, and
    /// costs a write and a sync, or nothing if nothing was read since: do it once for many events.
    ///
    /// What is not durable itself is made so first, which may take a sync of the log.
    ///
    /// # Errors
    ///
    /// It was not saved; the place saved before stands. See [`SaveError`].
    pub fn save(&mut self) -> Result<(), SaveError> {
        self.save_before(self.cursor.next_sequence())
    }

    /// Saves that everything up to this event is processed, and nothing behind it.
    ///
    /// # Errors
    ///
    /// It was not saved; the place saved before stands. See [`SaveError`].
    pub fn save_at(&mut self, sequence: Sequence) -> Result<(), SaveError> {
        let next = self.cursor.next_sequence();
        if sequence >= next {
            return Err(SaveError::NotRead(next));
        }
        self.save_before(sequence.after(1))
    }

    fn save_before(&mut self, next: Sequence) -> Result<(), SaveError> {
        let log = &self.attached.log;
        let shared = log.shared();
        shared.registry.writing(&shared.fork, || ())?;
        let before = self.saved.place.next;
        if next < before {
            return Err(SaveError::Backwards(before.before()));
        }
        if next == before {
            return Ok(());
        }
        // What is saved stays in the log: all from the place saved before on is held.
        let place = place_before(shared, next, &mut self.known)?;
        make_durable(log, place.sequence).map_err(SaveError::NotDurable)?;
        let at = 1 - self.at;
        let generation = self.saved.generation.saturating_add(1);
        let slot = CursorSlot { generation, name: self.attached.name.clone(), place };
        let written = shared.registry.writing(&shared.fork, || {
            write_cursor(&shared.directory, at, &slot)?;
            shared.registry.saved(slot.clone(), at, None, &shared.holds);
            Ok(())
        })?;
        if let Err(source) = written {
            // The file may have come to say so all the same: what is written next must be newer.
            self.saved.generation = generation;
            shared.registry.outdo(&self.attached.name, generation);
            let path = shared.directory.cursor(&self.attached.name);
            return Err(SaveError::Io(IoError::new("write the cursor", path, source)));
        }
        (self.at, self.saved) = (at, slot);
        Ok(())
    }
}
