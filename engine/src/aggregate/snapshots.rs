//! What an engine does about snapshots beside taking them: what it holds against retention, the mark in
//! the log, and who is told.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factlog_codec::{CursorPlace, Sequence, SnapshotBody};

use super::stats::Notes;
use crate::image::{Images, Settled, SnapshotTaken, SnapshotTrouble, Told};
use crate::log::{Kept, Log, SnapshotFailed, Writer};

/// Bytes that are taken at once, between two frames.
pub(super) const SLICE: usize = 4 << 10;

/// What a snapshot is to an engine, whoever has taken it.
#[derive(Debug)]
pub(super) struct Keeper {
    holds: Holds,
    notes: Notes,
    keep: usize,
}

impl Keeper {
    pub(super) fn new(holds: Holds, notes: Notes, keep: usize) -> Self {
        Self { holds, notes, keep }
    }

    /// One was written, or not: leaves a mark in the log, lets go of what is not needed any more, and
    /// says so to whoever has asked for it. Whether that left a fact in the log.
    pub(super) fn settle(
        &mut self,
        writer: &mut Writer,
        images: &mut Images,
        settled: Settled,
    ) -> bool {
        let Settled { event, place, written, told } = settled;
        if let Ok(SnapshotTaken { sequence, bytes, left_out, .. }) = &written {
            let mark = SnapshotBody { sequence: *sequence, len: *bytes };
            // Nothing depends on it; and the clock is the user's.
            drop(catch_unwind(AssertUnwindSafe(|| writer.mark_snapshot(mark))));
            if *left_out == 0
                && let Some(place) = place
            {
                self.holds.add(place, self.keep);
            }
        }
        self.tell(writer, images, event, (written, told))
    }

    /// Says what became of a snapshot: to whoever has asked for it, else in the log if it failed. Whether
    /// that left a fact there.
    pub(super) fn tell(
        &self,
        writer: &mut Writer,
        images: &mut Images,
        event: Sequence,
        (written, told): (Result<SnapshotTaken, SnapshotTrouble>, Option<Told>),
    ) -> bool {
        self.notes.snapshot(&written);
        match (told, &written) {
            (Some(told), _) => told.leave(written),
            (None, Ok(_)) => {}
            (None, Err(trouble)) => {
                let fact = SnapshotFailed { event: event.get(), cause: trouble.to_string() };
                // What the log cannot store stands in the statistics.
                let append = AssertUnwindSafe(|| writer.append(&fact).is_ok());
                if catch_unwind(append).unwrap_or(false) {
                    images.next = writer.next_sequence();
                    return true;
                }
            }
        }
        false
    }
}

/// What is held against retention: what an engine needs to start again from any of the snapshots that
/// it keeps; everything, as long as there is none that has all instances.
#[derive(Debug)]
pub(super) struct Holds {
    kept: Kept,
    /// From the oldest to the newest.
    places: VecDeque<CursorPlace>,
    /// What is held follows this.
    held: Sequence,
}

impl Holds {
    /// What is held by who begins, where these snapshots are kept that are whole, from the oldest to the
    /// newest: what follows the oldest; all that is left, if it did not begin with the newest of them.
    pub(super) fn new(log: &Log, begun: bool, places: VecDeque<CursorPlace>) -> Self {
        let oldest = places.front().filter(|_| begun);
        let kept = log.keep_after(oldest);
        let held = oldest.map_or(Sequence::ZERO, |place| place.sequence);
        Self { kept, places, held }
    }

    /// One more was taken; so many are kept.
    fn add(&mut self, place: CursorPlace, keep: usize) {
        // A replica may have been slower than the engine was with a later one.
        let at = self.places.partition_point(|known| known.sequence < place.sequence);
        // Taken again of the same event, it is still one.
        match self.places.get_mut(at).filter(|known| known.sequence == place.sequence) {
            Some(known) => *known = place,
            None => self.places.insert(at, place),
        }
        while self.places.len() > keep.max(1) {
            self.places.pop_front();
        }
        if let Some(oldest) = self.places.front()
            && oldest.sequence > self.held
        {
            self.held = oldest.sequence;
            self.kept.go_on(oldest);
        }
    }
}
