//! The instances of one kind in the order of their keys, wherever they stand: in memory, or in the
//! snapshot that the image began with.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::vec::IntoIter;

use factlog_codec::types::Scratch;
use factlog_codec::{BlockError, Key, SnapshotEntry, StreamVersion};

use super::instances::Instances;
use super::kind::{Archived, Kind};
use super::snapshot::Base;
use super::state::{InstanceKey, State};

/// One instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct One<'a> {
    /// Its key, in the form in which keys are ordered.
    pub(crate) key: &'a [u8],
    /// That of the last event that was folded.
    pub(crate) version: StreamVersion,
    pub(crate) state: Archived<'a>,
}

/// Looks at all instances of a kind that have events and are not suspended, in the order of their keys.
/// Those that stand in a snapshot only are read from there. What cannot be read is told.
pub(crate) fn for_each<S: State>(
    all: &Instances<S>,
    mut look: impl FnMut(&S::Key, &S),
) -> Result<(), BlockError> {
    let mut order = Ordered::of(all);
    loop {
        // By memory where it stands there: nothing is stored for that.
        match order.take()? {
            None => return Ok(()),
            Some(Taken::Loaded(at)) => {
                if let Some(one) = all.get(at).filter(|one| !one.suspended) {
                    look(&one.key, &one.state);
                }
            }
            Some(Taken::Stored(entry)) => {
                let key = Key::from_ordered(entry.key).and_then(|key| S::Key::from_key(&key));
                let state = S::STORED.and_then(|stored| stored.restore(entry.value).ok());
                match (key, state) {
                    (Some(key), Some(state)) => look(&key, &state),
                    _ => return Err(BlockError::Entry),
                }
            }
        }
    }
}

/// Where the next one stands.
enum Taken<'a> {
    Loaded(u32),
    Stored(SnapshotEntry<'a>),
}

/// Gives them, one after the other. What it costs in memory: the keys of those that are loaded, and
/// the archive of one.
pub(crate) struct Ordered<'a> {
    kind: &'a dyn Kind,
    loaded: Peekable<IntoIter<(Vec<u8>, Option<u32>)>>,
    base: Option<&'a Base>,
    /// The next entry of the base: block, number in it.
    next: (usize, usize),
    /// The one that is given.
    key: Vec<u8>,
    space: Vec<u128>,
    scratch: Scratch,
}

impl<'a> Ordered<'a> {
    pub(crate) fn of(kind: &'a dyn Kind) -> Self {
        let mut loaded = kind.keys();
        loaded.sort_unstable();
        Self {
            kind,
            loaded: loaded.into_iter().peekable(),
            base: kind.base(),
            next: (0, 0),
            key: Vec::new(),
            space: Vec::new(),
            scratch: Scratch::new(),
        }
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> Result<Option<One<'_>>, BlockError> {
        match self.take()? {
            None => Ok(None),
            Some(Taken::Stored(SnapshotEntry { key, version, value })) => {
                Ok(Some(One { key, version, state: Archived::Stored(value) }))
            }
            Some(Taken::Loaded(at)) => {
                let version = self.kind.version(at);
                let state = self.kind.archive(at, &mut self.space, &mut self.scratch);
                Ok(Some(One { key: &self.key, version, state }))
            }
        }
    }

    /// Where it stands.
    fn take(&mut self) -> Result<Option<Taken<'a>>, BlockError> {
        loop {
            let Some(base) = self.base else {
                if self.loaded.peek().is_none() {
                    return Ok(None);
                }
                if let Some(taken) = self.next_loaded() {
                    return Ok(Some(taken));
                }
                continue;
            };
            let (block, number) = self.next;
            if block >= base.blocks() {
                self.base = None;
                continue;
            }
            let entries = base.block(block)?;
            if number >= entries.len() {
                self.next = (block + 1, 0);
                continue;
            }
            let entry = entries.entry(number)?;
            let order = self.loaded.peek().map(|(key, _)| key.as_slice().cmp(entry.key));
            match order {
                Some(Ordering::Less) => {
                    if let Some(taken) = self.next_loaded() {
                        return Ok(Some(taken));
                    }
                }
                // What was loaded counts, also if it was taken back to before its first event.
                Some(Ordering::Equal) => self.next = (block, number + 1),
                _ => {
                    self.next = (block, number + 1);
                    return Ok(Some(Taken::Stored(entry)));
                }
            }
        }
    }

    /// Passes over the next one that is loaded, and gives it if it has events.
    fn next_loaded(&mut self) -> Option<Taken<'a>> {
        let (key, at) = self.loaded.next()?;
        self.key = key;
        at.map(Taken::Loaded)
    }
}
