//! Attaching a named cursor, registering, resetting and forgetting one.

use factlog_codec::{CursorName, CursorSlot};

use super::cursor::{Attached, NamedCursor, make_durable};
use super::error::AttachError;
use super::proof::{look, place_before};
use super::verdict::{Verdict, decide};
use crate::log::cursor::{Log, Start};
use crate::log::disk::{make_cursor, remove_cursor};
use crate::log::error::SeekError;
use crate::log::fault::IoError;
use crate::log::registry::{InUse, Known, NamedPlace, NotWriter};
use crate::sync::PoisonError;

impl From<InUse> for AttachError {
    fn from(_: InUse) -> Self {
        Self::InUse
    }
}

impl Log {
    /// Attaches the cursor that is registered under `name`: it goes on with the event after the
    /// last one that was saved as processed.
    ///
    /// That is so only if the log still is the one that was read. A place names the last processed
    /// event by its sequence, the history in which it was written, and its frame's place and
    /// checksum; if the log has something else there, or nothing any more, the answer says which.
    ///
    /// ```
    /// use factlog::{AttachError, Options, Start};
    ///
    /// # #[factlog::event(name = "noted", version = 1)]
    /// # pub struct Noted { pub number: u64 }
    /// # let directory = tempfile::tempdir()?;
    /// let mut writer = Options::new().open(directory.path())?;
    /// for number in 1..=10 {
    ///     writer.append(&Noted { number })?;
    /// }
    /// writer.sync()?;
    ///
    /// // Registered the first time, attached ever after.
    /// let mut board = writer.log().named_cursor_from("board", Start::Oldest)?;
    /// for _ in 0..4 {
    ///     let event = board.next_event()?;
    ///     // .. what is to be done for it ..
    /// }
    /// board.save()?;
    /// drop(board);
    /// writer.close()?;
    ///
    /// let writer = Options::new().open(directory.path())?;
    /// let board = writer.log().named_cursor("board")?;
    /// assert_eq!(board.next_sequence().get(), 5);
    /// assert!(matches!(writer.log().named_cursor("board"), Err(AttachError::InUse)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// In a log that was opened for reading only, the place is that of the opening, and cannot be
    /// saved.
    ///
    /// # Errors
    ///
    /// It was not attached; see [`AttachError`].
    pub fn named_cursor(&self, name: &str) -> Result<NamedCursor, AttachError> {
        let (attached, known) = self.attach(name, false)?;
        attached.resume(known)
    }

    /// The same; if no cursor of that name is registered, it is now, and begins at `start`.
    ///
    /// What is before the start is made durable first, if it is not, since the place is one
    /// behind it.
    ///
    /// # Errors
    ///
    /// It was neither attached nor registered; see [`AttachError`].
    pub fn named_cursor_from(&self, name: &str, start: Start) -> Result<NamedCursor, AttachError> {
        match self.attach(name, true)? {
            (attached, Known::Fresh) => attached.place(start, 0),
            (attached, known) => attached.resume(known),
        }
    }

    /// Places a registered cursor anew, whatever its file says, also if it says nothing that can
    /// be used: so it is accepted that events were lost, were changed, or are given again.
    ///
    /// # Errors
    ///
    /// It was not placed, and its file is as it was; see [`AttachError`].
    pub fn reset_cursor(&self, name: &str, start: Start) -> Result<NamedCursor, AttachError> {
        let (attached, known) = self.attach(name, false)?;
        let generation = match known {
            Known::Saved(_, slot) => slot.generation,
            _ => 0,
        };
        attached.place(start, generation)
    }

    /// Forgets a registered cursor: its file is removed, and nothing is held for it any more.
    /// Whether there was one.
    ///
    /// # Errors
    ///
    /// Somebody has it, or its file cannot be removed; see [`AttachError`].
    pub fn forget_cursor(&self, name: &str) -> Result<bool, AttachError> {
        let attached = match self.attach(name, false) {
            Err(AttachError::Unknown) => return Ok(false),
            attached => attached?.0,
        };
        let (shared, name) = (self.shared(), &attached.name);
        let removed = shared.registry.writing(&shared.fork, || {
            remove_cursor(&shared.directory, name)?;
            shared.registry.remove(name, &shared.holds);
            Ok(())
        })?;
        removed.map_err(|source| {
            AttachError::Io(IoError::new(
                "remove the cursor",
                shared.directory.cursor(name),
                source,
            ))
        })?;
        Ok(true)
    }

    /// The cursors that are registered, by name, with the places that were saved last.
    pub fn named_cursors(&self) -> Vec<NamedPlace> {
        self.shared().registry.list()
    }

    fn attach(&self, name: &str, make: bool) -> Result<(Attached, Known), AttachError> {
        let name = CursorName::new(name).map_err(AttachError::Name)?;
        let shared = self.shared();
        if shared.fork.is_child() {
            return Err(NotWriter::Forked.into());
        }
        let attached = shared.registry.attach(&name, make)?;
        let (attachment, known) = attached.ok_or(AttachError::Unknown)?;
        Ok((Attached { log: self.clone(), name, attachment }, known))
    }
}

impl Attached {
    /// Goes on from the place that was saved, if the log still is the one that was read.
    fn resume(self, known: Known) -> Result<NamedCursor, AttachError> {
        let (at, slot) = match known {
            Known::Saved(at, slot) => (at, slot),
            Known::Unusable(fault) => return Err(AttachError::Damaged(fault)),
            Known::Fresh => return Err(AttachError::Unknown),
        };
        let facts = look(self.log.shared(), &self.name, &slot)?;
        let (processed, next) = (slot.place.sequence, slot.place.next);
        match decide(&facts) {
            Verdict::InOrder => {}
            Verdict::Foreign => {
                return Err(AttachError::Foreign { log: slot.place.log, name: slot.name });
            }
            Verdict::Lost => return Err(AttachError::Lost { processed, next: facts.end }),
            Verdict::Rewritten(found) => {
                let epoch = slot.place.epoch;
                return Err(AttachError::Rewritten { processed, epoch, found });
            }
            Verdict::Behind => return Err(AttachError::Behind { next, oldest: facts.oldest }),
        }
        let cursor = self.log.cursor(Start::Sequence(next)).map_err(|error| match error {
            SeekError::BeforeOldest(oldest) => AttachError::Behind { next, oldest },
            error => AttachError::Seek(error),
        })?;
        let known = Some((slot.place.epoch, slot.place.history));
        Ok(NamedCursor::new(self, cursor, at, slot, known))
    }

    /// Begins at `start`, whatever was before; `generation` is that of the newest slot there is.
    fn place(self, start: Start, generation: u64) -> Result<NamedCursor, AttachError> {
        let (log, mut known) = (&self.log, None);
        let shared = log.shared();
        shared.registry.writing(&shared.fork, || ())?;
        let (cursor, place, hold) = {
            // Retention waits: what is before the start stays until it is held.
            let _waits = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
            let cursor = log.cursor(start)?;
            let place = place_before(shared, cursor.next_sequence(), &mut known)?;
            let hold = shared.holds.hold(place.position, place.next);
            (cursor, place, hold)
        };
        let name = self.name.clone();
        let slot = CursorSlot { generation: generation.saturating_add(1), name, place };
        let written = make_durable(log, place.sequence).map_err(AttachError::NotDurable);
        let written = written.and_then(|()| {
            let written = shared.registry.writing(&shared.fork, || {
                make_cursor(&shared.directory, &slot)?;
                shared.registry.saved(slot.clone(), 0, hold, &shared.holds);
                Ok(())
            })?;
            written.map_err(|source| {
                let path = shared.directory.cursor(&slot.name);
                AttachError::Io(IoError::new("write the cursor", path, source))
            })
        });
        if let Err(error) = written {
            hold.into_iter().for_each(|hold| shared.holds.release(hold));
            shared.registry.outdo(&slot.name, slot.generation);
            return Err(error);
        }
        Ok(NamedCursor::new(self, cursor, 0, slot, known))
    }
}
