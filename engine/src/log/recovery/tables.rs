//! The stream table to begin with: the newest that fits the segments that are there.

use factlog_codec::{Catalog, Manifest, Position, SegmentId};

use super::probe::Probe;
use super::replay::Replay;
use crate::log::disk::{Directory, read_table};
use crate::log::error::OpenError;
use crate::log::fault::IoError;

/// The newest table that stands behind a segment of `chain` which ended below `bound`, and that
/// segment's place in `chain`. Those that are damaged, or belong to another end of their segment,
/// are noted in `bad`: they are derived, and nothing is lost with them.
pub(super) fn load_table(
    directory: &Directory,
    manifest: &Manifest,
    chain: &[Probe],
    bound: Position,
    bad: &mut Vec<SegmentId>,
) -> Result<Option<(usize, Replay)>, OpenError> {
    let io = |path, source| OpenError::Io(IoError::new("read the stream table", path, source));
    let tables = directory.list_tables().map_err(|error| io(directory.segments(), error))?;
    for id in tables.iter().rev() {
        let Ok(at) = chain.binary_search_by_key(id, Probe::id) else { continue };
        let Some(next) = chain.get(at + 1) else { continue };
        let Some((open, header)) = &next.open else { continue };
        let end = Position::new(*id, open.before.end, manifest.bits);
        if open.before.segment != *id || end > bound {
            continue;
        }
        let path = directory.table(*id);
        let Some(bytes) = read_table(directory, *id).map_err(|error| io(path, error))? else {
            continue;
        };
        let mut replay = Replay::default();
        let fits = Catalog::decode(&bytes).is_ok_and(|(table, entries)| {
            // What it says is held against the segments, whoever wrote it.
            manifest.knows(table.log)
                && table.floor == next.id()
                && table.sequence == header.sequence
                && table.before_end == open.before.end
                && table.before_fold == open.before.fold
                && open.next_stream.get() == table.streams + 1
                && replay.begin_with(entries).is_ok()
        });
        if fits {
            return Ok(Some((at, replay)));
        }
        bad.push(*id);
    }
    Ok(None)
}
