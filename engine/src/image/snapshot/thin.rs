//! Which snapshots go once another one is in its place: those that newer ones do for.

use factlog_codec::Sequence;

use super::find::{PassedOverReason, look};
use super::ladder::Ladder;
use crate::log::Log;

/// Removes what is not needed any more now that there is the snapshot as of `sequence`, with these
/// sections. What was removed.
///
/// Only those count that somebody could begin with. The newest that are whole stay in any case: what
/// later ones leave out stands in them alone, once the log does not go back to its beginning. What
/// stands behind `sequence` is none of its concern: it is of somebody who was faster, or of a history
/// that was cut off.
pub(super) fn thin_out(
    log: &Log,
    sequence: Sequence,
    kinds: &[(&'static str, u64)],
    ladder: Ladder,
) -> Vec<Sequence> {
    let mut listed = log.snapshots().unwrap_or_default();
    listed.retain(|other| *other <= sequence);
    let enough = ladder.newest.max(1);
    if listed.len() <= enough {
        return Vec::new();
    }
    let (mut good, mut whole, mut of_no_use) = (Vec::new(), Vec::new(), Vec::new());
    for other in listed {
        match look(log, other, kinds) {
            Ok(snapshot) => {
                good.push(other);
                if whole.len() < enough && snapshot.is_whole() {
                    whole.push(other);
                }
            }
            // As far as anybody knows it may be a good one.
            Err(PassedOverReason::Io(_) | PassedOverReason::Read(_)) => {}
            Err(_) => of_no_use.push(other),
        }
    }
    let mut gone = ladder.surplus(&good);
    gone.retain(|other| *other != sequence && !whole.contains(other));
    if whole.len() == enough {
        let oldest = good.iter().rev().find(|other| !gone.contains(other));
        gone.extend(of_no_use.into_iter().filter(|other| oldest.is_some_and(|kept| other < kept)));
    }
    // Too many of them do no harm.
    gone.retain(|other| log.remove_snapshot(*other).is_ok());
    gone
}
