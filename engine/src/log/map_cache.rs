//! Mappings that were used last stay, so that going to and fro between segments does not map them
//! anew each time. Others go as soon as nobody borrows from them.

use std::collections::VecDeque;

use factlog_codec::SegmentId;

use super::map::Mapping;
use crate::sync::{Arc, Mutex, PoisonError};

/// The mappings used last, the latest first.
#[derive(Debug)]
pub(crate) struct MapCache {
    recent: Mutex<VecDeque<(SegmentId, Arc<Mapping>)>>,
    capacity: usize,
}

impl MapCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { recent: Mutex::new(VecDeque::new()), capacity }
    }

    /// A mapping was used.
    pub(crate) fn used(&self, id: SegmentId, mapping: &Arc<Mapping>) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.front().is_some_and(|(first, _)| *first == id) {
            return;
        }
        recent.retain(|(known, _)| *known != id);
        recent.push_front((id, Arc::clone(mapping)));
        let dropped = if recent.len() > self.capacity { recent.pop_back() } else { None };
        drop(recent);
        // Unmapping is a system call: not under the lock.
        drop(dropped);
    }

    /// Lets go of everything below `floor`.
    pub(crate) fn forget_below(&self, floor: SegmentId) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|(id, _)| *id >= floor);
    }
}
