//! What is held for each named cursor when a log is opened.

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{CursorName, CursorPlace, Position};

use crate::log::disk::CursorFiles;
use crate::log::fault::{CursorFault, IoError};
use crate::log::holds::HoldId;
use crate::log::registry::Known;
use crate::log::shared::Shared;
use crate::sync::Arc;

/// The cursors whose files cannot be used.
pub(in crate::log) fn damaged(files: &CursorFiles) -> Vec<CursorName> {
    let unusable =
        files.iter().filter(|(_, read)| !read.as_ref().is_ok_and(|slots| slots.newest().is_ok()));
    unusable.map(|(name, _)| name.clone()).collect()
}

/// Registers what was found, before anybody can attach a cursor or drop a segment.
pub(in crate::log) fn register_all(shared: &Shared, files: CursorFiles) {
    for (name, read) in files {
        let known = match read {
            Ok(slots) => match slots.newest() {
                Ok((at, slot)) => Known::Saved(at, slot.clone()),
                Err(error) => Known::Unusable(CursorFault::Slots(error)),
            },
            Err(source) => {
                let error = IoError::new("read the cursor", shared.directory.cursor(&name), source);
                Known::Unusable(CursorFault::Io(Arc::new(error)))
            }
        };
        let hold = match &known {
            Known::Saved(_, slot) => hold(shared, &slot.place),
            _ => None,
        };
        shared.registry.add(name, known, hold);
    }
}

/// Holds what the cursor has not processed, and the frame that proves where it is; of what is not
/// there, what comes nearest: whatever becomes of the place, nothing is dropped before that is
/// decided.
fn hold(shared: &Shared, place: &CursorPlace) -> Option<HoldId> {
    if place.log != shared.log {
        return None;
    }
    let (visible, end) = shared.frontier.visible_pair();
    let (position, next) = (place.position.min(visible.position()), place.next.min(end));
    shared.holds.hold(position, next).or_else(|| {
        let first = Position::new(shared.holds.floor(), FIRST_FRAME, shared.bits);
        shared.holds.hold(first, shared.oldest())
    })
}
