//! Which events of a stream were corrected, and by which.

use std::collections::BTreeMap;

use factlog_codec::{Place, Sequence};

use super::event_ref::EventRef;
use crate::log::error::ReadError;
use crate::log::fault::ItemFault;

/// Which events of a stream were corrected, as of when it was asked: what [`Log::corrections`](crate::Log::corrections) has
/// found.
///
/// A correction is an event like any other, and may be corrected itself. The live fold passes over
/// nothing: who wants the corrected reading leaves out what is marked here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corrections {
    /// By the corrected event: the one that corrects it.
    by_target: BTreeMap<Sequence, Sequence>,
}

impl Corrections {
    /// The event that corrects this one, if there is one.
    pub fn of(&self, event: Sequence) -> Option<Sequence> {
        self.by_target.get(&event).copied()
    }

    /// All of them, in the order of the corrected events: corrected event, correction.
    pub fn iter(&self) -> impl Iterator<Item = (Sequence, Sequence)> {
        self.by_target.iter().map(|(target, by)| (*target, *by))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_target.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// Notes what an event corrects, and says what corrects it: events come from the newest to the
    /// oldest.
    pub(super) fn note(
        &mut self,
        event: &EventRef<'_>,
        place: Place,
    ) -> Result<Option<Sequence>, ReadError> {
        let unreadable = |error| ReadError::Items(place, ItemFault::Extension(error));
        if let Some(target) = event.invalidates().map_err(unreadable)? {
            // One is refused by the writer: of a log that somebody made up the first one counts.
            self.by_target.insert(target, event.sequence());
        }
        // What it corrects is behind: each is asked for once.
        Ok(self.of(event.sequence()))
    }
}
