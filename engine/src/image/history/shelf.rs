//! The snapshots of a log, kept mapped once they were opened.

use factlog_codec::Sequence;

use crate::image::snapshot::{
    Base, PassedOver, PassedOverReason, Snapshot, look as look_at_snapshot,
};
use crate::log::{Bound, Log};
use crate::sync::Arc;

/// Events after which the directory is looked at anew.
const LOOK_AGAIN: u64 = 1 << 16;

/// A snapshot, as far as it was looked at.
#[derive(Debug)]
enum Slot {
    Unopened,
    Open(Arc<Snapshot>),
    /// It cannot be used for anything.
    Shut,
}

/// All snapshots, the newest first.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    slots: Vec<(Sequence, Slot)>,
    /// The last visible event when the directory was looked at.
    listed: Option<Sequence>,
    passed_over: Vec<PassedOver>,
    /// Snapshots that were opened.
    pub(super) opened: u64,
}

impl Shelf {
    /// Looks at the directory, if that is due.
    pub(super) fn refresh(&mut self, log: &Log, now: bool) {
        let visible = log.visible().0;
        let due = self.listed.is_none_or(|at| visible.get() >= at.get().saturating_add(LOOK_AGAIN));
        if !due && !now {
            return;
        }
        self.listed = Some(visible);
        let found = match log.snapshots() {
            Ok(found) => found,
            Err(error) => {
                let reason = PassedOverReason::Io(Arc::new(error));
                return self.passed_over.push(PassedOver { sequence: Sequence::ZERO, reason });
            }
        };
        let mut known = std::mem::take(&mut self.slots);
        let slot_of = |sequence: Sequence| {
            let at = known.iter().position(|(known, _)| *known == sequence);
            // What was shut may have been put right since.
            let slot = at.map(|at| known.swap_remove(at).1);
            (sequence, slot.filter(|slot| matches!(slot, Slot::Open(_))).unwrap_or(Slot::Unopened))
        };
        self.slots = found.into_iter().map(slot_of).collect();
        self.passed_over.clear();
    }

    /// Looks at the directory where what is needed was dropped meanwhile; whether there are snapshots
    /// that were not known.
    pub(super) fn find_newer(&mut self, log: &Log) -> bool {
        let Ok(found) = log.snapshots() else { return false };
        let known = |one: &Sequence| self.slots.iter().any(|(known, _)| known == one);
        if found.iter().all(known) {
            return false;
        }
        self.refresh(log, true);
        true
    }

    /// Those that were passed over since the directory was looked at.
    pub(super) fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Notes that a snapshot was passed over.
    pub(super) fn pass_over(&mut self, sequence: Sequence, reason: PassedOverReason) {
        let same =
            |known: &PassedOver| known.sequence == sequence && is_same(&known.reason, &reason);
        if !self.passed_over.iter().any(same) {
            self.passed_over.push(PassedOver { sequence, reason });
        }
    }

    /// The newest snapshot within the bound from the one with number `from` on, and its number.
    pub(super) fn within(
        &mut self,
        log: &Log,
        bound: Bound,
        from: usize,
    ) -> Option<(usize, Arc<Snapshot>)> {
        for at in from..self.slots.len() {
            let (sequence, slot) = self.slots.get_mut(at)?;
            let sequence = *sequence;
            if matches!(bound, Bound::Sequence(last) if sequence > last) {
                continue;
            }
            if let Slot::Unopened = slot {
                self.opened += 1;
                match look_at_snapshot(log, sequence, &[]) {
                    Ok(snapshot) => *slot = Slot::Open(Arc::new(snapshot)),
                    Err(reason) => {
                        *slot = Slot::Shut;
                        self.pass_over(sequence, reason);
                        continue;
                    }
                }
            }
            let Slot::Open(snapshot) = slot else { continue };
            if bound.admits(sequence, snapshot.header().ts) {
                return Some((at, Arc::clone(snapshot)));
            }
        }
        None
    }

    /// The instances of a kind in a snapshot, if it has them as they are stored now.
    pub(super) fn section(
        &mut self,
        snapshot: &Arc<Snapshot>,
        (name, fingerprint): (&'static str, u64),
    ) -> Option<Base> {
        let reason = match snapshot.section(name) {
            Some((section, found)) if found == fingerprint => {
                return Some(Base::new(snapshot, section));
            }
            Some(_) => PassedOverReason::Outdated(name),
            None => PassedOverReason::NoKind(name),
        };
        self.pass_over(snapshot.sequence(), reason);
        None
    }

    /// Whether all blocks of a kind can be read. Each is verified once.
    pub(super) fn is_whole(&mut self, base: &Base) -> bool {
        for block in 0..base.blocks() {
            if let Err(error) = base.block(block) {
                let reason = PassedOverReason::Instances(error);
                self.pass_over(base.snapshot.sequence(), reason);
                return false;
            }
        }
        true
    }

    /// Events of the log that come after a snapshot were dropped: it is of no use any more.
    pub(super) fn shut(&mut self, at: usize, reason: PassedOverReason) {
        let Some((sequence, slot)) = self.slots.get_mut(at) else { return };
        *slot = Slot::Shut;
        let sequence = *sequence;
        self.pass_over(sequence, reason);
    }
}

/// Whether the same was said before: this is asked with every question.
fn is_same(one: &PassedOverReason, other: &PassedOverReason) -> bool {
    use PassedOverReason::{NoKind, Outdated};
    match (one, other) {
        (NoKind(one), NoKind(other)) | (Outdated(one), Outdated(other)) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}
