//! Putting aside what is behind the end, removing what is below the floor.

use factlog_codec::{Manifest, SegmentHeader, SegmentId};

use crate::log::disk::{
    Directory, has_other_names, move_prepared, open_regular, remove_postings_below,
    remove_tables_below,
};
use crate::log::error::OpenError;
use crate::log::fault::IoError;
use crate::log::recovery::Found;
use crate::log::report::RecoveryReport;

/// Takes out of the way what is behind the end, the highest first, so that doing it again after a
/// crash does the same. Gives the prepared segments that can be used.
pub(in crate::log) fn clear_away(
    directory: &Directory,
    manifest: &Manifest,
    found: &Found,
    report: &mut RecoveryReport,
) -> Result<Vec<SegmentHeader>, OpenError> {
    let disk = directory.io();
    let mut away: Vec<SegmentId> = found.later.iter().chain(&found.dirty).copied().collect();
    away.sort_unstable();
    // What cannot be read goes before those behind it, which say how many events it held.
    for id in found.unreadable.iter().chain(away.iter().rev()) {
        let path = directory.segment(*id);
        let moved = directory.move_to_quarantine(&path, &format!("epoch-{}", manifest.epoch));
        let moved = moved.map_err(|source| IoError::new("move away", path, source))?;
        report.quarantined.push(moved);
    }
    let mut next = found.end.map_or(Some(SegmentId::FIRST), |end| end.header.segment.next());
    let mut usable = Vec::new();
    let mut others = Vec::new();
    for header in &found.spares {
        let path = directory.segment(header.segment);
        let shared = open_regular(&path, false).and_then(|file| has_other_names(&file));
        let shared = shared.map_err(|source| IoError::new("look at", &path, source))?;
        if next == Some(header.segment) && !shared {
            usable.push(*header);
            next = header.segment.next();
        } else {
            // Prepared for a place that is not next any more, or not ours alone to write: there
            // is nothing in it.
            others.push((*header, shared));
        }
    }
    for id in &found.bad_tables {
        let path = directory.table(*id);
        let removed = disk.remove_if_there(&path);
        removed.map_err(|source| IoError::new("remove", path, source))?;
    }
    let (_, temporary) =
        directory.list().map_err(|source| IoError::new("list", directory.segments(), source))?;
    for path in temporary {
        disk.remove(&path).map_err(|source| IoError::new("remove", path, source))?;
    }
    // The disk may be full: what was prepared for another place serves for this one.
    let serves = others.iter().position(|(_, shared)| usable.is_empty() && !shared);
    let serves = serves.map(|at| others.swap_remove(at).0);
    // The others go first: one of them may have the number that is next.
    for (header, _) in others {
        let path = directory.segment(header.segment);
        disk.remove(&path).map_err(|source| IoError::new("remove", path, source))?;
    }
    if let (Some(header), Some(id)) = (serves, next) {
        let moved = move_prepared(directory, &header, id);
        usable.push(moved.map_err(|source| {
            IoError::new("prepare anew the segment", directory.segment(header.segment), source)
        })?);
    }
    // A catalog that was being written: it means nothing under that name.
    let path = directory.catalog().with_extension("tmp");
    disk.remove_if_there(&path).map_err(|source| IoError::new("remove", path, source))?;
    Ok(usable)
}

/// Removes what retention has dropped, where a crash or an error has left it.
pub(in crate::log) fn remove_below(
    directory: &Directory,
    ids: &[SegmentId],
    floor: SegmentId,
) -> Result<(), OpenError> {
    for id in ids.iter().filter(|id| **id < floor) {
        let path = directory.segment(*id);
        directory.io().remove(&path).map_err(|source| IoError::new("remove", path, source))?;
    }
    remove_tables_below(directory, floor)
        .and_then(|()| remove_postings_below(directory, floor))
        .map_err(|source| IoError::new("remove tables in", directory.segments(), source))?;
    Ok(())
}
