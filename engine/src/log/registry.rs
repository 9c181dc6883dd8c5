//! The named cursors of an open log: what their files say, what they hold, who has them.
//!
//! Files are written without a lock that others wait for: whoever writes has attached the cursor,
//! of which there is one. But the writer's lock must outlast every write, so each passes a gate,
//! which is closed before the lock is let go.

use std::collections::BTreeMap;
use std::fmt;

use factlog_codec::{CursorName, CursorPlace, CursorSlot};

use super::fault::CursorFault;
use super::fork::ForkGuard;
use super::holds::{HoldId, Holds};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Why no named cursor can be changed from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotWriter {
    /// Nobody writes the log here: it was opened for reading only, or follows another one.
    ReadOnly,
    /// The writer is gone, and with it the lock: somebody else may have it by now.
    Closed,
    /// This process is a forked child of the one that opened the log.
    Forked,
}

impl fmt::Display for NotWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => write!(
                f,
                "the log is not open for writing here, but for reading only or to follow another one: \
                 named cursors are changed by the process that has it open for writing"
            ),
            Self::Closed => write!(
                f,
                "the writer of the log is gone: named cursors are changed while it is there"
            ),
            Self::Forked => write!(
                f,
                "this process is a forked child of the one that opened the log, and may not write"
            ),
        }
    }
}

impl std::error::Error for NotWriter {}

/// A named cursor, as it is registered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NamedPlace {
    /// Its name.
    pub name: CursorName,
    /// The place that was saved last, as far as its file can be read.
    pub place: Result<CursorPlace, CursorFault>,
    /// Whether somebody has it.
    pub attached: bool,
}

/// What is known of a cursor.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// It is being registered.
    Fresh,
    /// What its file says, and in which slot.
    Saved(usize, CursorSlot),
    /// Its file cannot be used.
    Unusable(CursorFault),
}

/// That somebody has a cursor: no other time that anybody has one is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attachment(u64);

#[derive(Debug)]
struct Entry {
    attached: Option<Attachment>,
    /// What has not been processed is held, also while nobody has the cursor.
    hold: Option<HoldId>,
    known: Known,
}

/// Whether files may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    ReadOnly,
    Open,
    Closed,
}

/// All named cursors of a log.
#[derive(Debug)]
pub(crate) struct Registry {
    gate: RwLock<Gate>,
    entries: Mutex<BTreeMap<CursorName, Entry>>,
    /// How often cursors were attached.
    attachments: AtomicU64,
}

impl Registry {
    /// Without cursors, for reading only.
    pub(crate) fn new() -> Self {
        Self {
            gate: RwLock::new(Gate::ReadOnly),
            entries: Mutex::new(BTreeMap::new()),
            attachments: AtomicU64::new(0),
        }
    }

    /// From here on files may be written.
    pub(crate) fn open_gate(&self) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Gate::Open;
    }

    /// Waits for those who write, and lets nobody write any more.
    pub(crate) fn close_gate(&self) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Gate::Closed;
    }

    /// Does `work`, which may write, if it may. In a forked child locks may be held for ever, so
    /// it is asked for first.
    pub(crate) fn writing<T>(
        &self,
        fork: &ForkGuard,
        work: impl FnOnce() -> T,
    ) -> Result<T, NotWriter> {
        if fork.is_child() {
            return Err(NotWriter::Forked);
        }
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        match *gate {
            Gate::Open => Ok(work()),
            Gate::ReadOnly => Err(NotWriter::ReadOnly),
            Gate::Closed => Err(NotWriter::Closed),
        }
    }

    /// Whether the log was opened for reading only.
    pub(crate) fn is_read_only(&self) -> bool {
        *self.gate.read().unwrap_or_else(PoisonError::into_inner) == Gate::ReadOnly
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<CursorName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was found when the log was opened.
    pub(crate) fn add(&self, name: CursorName, known: Known, hold: Option<HoldId>) {
        self.entries().insert(name, Entry { attached: None, hold, known });
    }

    /// Takes the cursor for somebody, and gives what is known of it; `Ok(None)` if there is none
    /// of that name and it shall not be made.
    pub(crate) fn attach(
        &self,
        name: &CursorName,
        make: bool,
    ) -> Result<Option<(Attachment, Known)>, InUse> {
        let mut entries = self.entries();
        let attachment = Attachment(self.attachments.fetch_add(1, Ordering::Relaxed));
        match entries.get_mut(name) {
            Some(entry) if entry.attached.is_some() => Err(InUse),
            Some(entry) => {
                entry.attached = Some(attachment);
                Ok(Some((attachment, entry.known.clone())))
            }
            None if make => {
                let entry = Entry { attached: Some(attachment), hold: None, known: Known::Fresh };
                entries.insert(name.clone(), entry);
                Ok(Some((attachment, Known::Fresh)))
            }
            None => Ok(None),
        }
    }

    /// Gives it back. One that was never registered is forgotten. Where it was forgotten meanwhile,
    /// somebody else may have one of that name, which is left alone.
    pub(crate) fn detach(&self, name: &CursorName, attachment: Attachment) {
        let mut entries = self.entries();
        let own = |entry: &&mut Entry| entry.attached == Some(attachment);
        let Some(entry) = entries.get_mut(name).filter(own) else { return };
        entry.attached = None;
        if matches!(entry.known, Known::Fresh) {
            entries.remove(name);
        }
    }

    /// Its file has come to say this. What it held before `hold` is let go, if there is another
    /// one; else what is held goes on to the place.
    pub(crate) fn saved(&self, slot: CursorSlot, at: usize, hold: Option<HoldId>, holds: &Holds) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&slot.name) else { return };
        match (hold, entry.hold) {
            (Some(_), before) => {
                entry.hold = hold;
                before.into_iter().for_each(|before| holds.release(before));
            }
            (None, Some(held)) => holds.advance(held, slot.place.position, slot.place.next),
            (None, None) => {}
        }
        entry.known = Known::Saved(at, slot);
    }

    /// Its file may have come to say something of this generation, though that failed: what is
    /// written next must be newer.
    pub(crate) fn outdo(&self, name: &CursorName, generation: u64) {
        if let Some(Entry { known: Known::Saved(_, slot), .. }) = self.entries().get_mut(name) {
            slot.generation = slot.generation.max(generation);
        }
    }

    /// Forgets it, and lets go of what it held.
    pub(crate) fn remove(&self, name: &CursorName, holds: &Holds) {
        let entry = self.entries().remove(name);
        entry.and_then(|entry| entry.hold).into_iter().for_each(|hold| holds.release(hold));
    }

    /// All that are registered, by name.
    pub(crate) fn list(&self) -> Vec<NamedPlace> {
        let entries = self.entries();
        let places = entries.iter().filter_map(|(name, entry)| {
            let place = match &entry.known {
                Known::Fresh => return None,
                Known::Saved(_, slot) => Ok(slot.place),
                Known::Unusable(fault) => Err(fault.clone()),
            };
            Some(NamedPlace { name: name.clone(), place, attached: entry.attached.is_some() })
        });
        places.collect()
    }
}

/// Somebody has the cursor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InUse;

#[cfg(test)]
mod tests {
    use factlog_codec::SegmentId;

    use super::*;

    /// Who has forgotten a cursor gives nothing back: by then somebody else may have one of that name.
    #[test]
    fn is_a_cursor_left_to_who_made_it_after_it_was_forgotten() {
        let (registry, holds) = (Registry::new(), Holds::new(22, SegmentId::FIRST));
        let name = CursorName::new("board").expect("a name");
        let attach = || registry.attach(&name, true).map(|attached| attached.expect("made").0);
        let one = attach().expect("nobody has it");
        registry.remove(&name, &holds);
        let other = attach().expect("nobody has it any more");
        registry.detach(&name, one);
        assert!(matches!(attach(), Err(InUse)), "one at a time");
        registry.detach(&name, other);
        let third = attach().expect("nobody has it");
        assert!(third != one && third != other);
    }
}
