//! Making bytes of files durable.

use std::fs::File;
use std::io;

use factlog_codec::layout::{PAGE, seal_offset};
use factlog_codec::{Position, Seal, SegmentId, Sequence, WriteWay, all_zero};

use super::order::{Failed, Medium};
use crate::log::disk::{check_in_place, check_one_name, has_other_names, open_regular, read_at};
use crate::log::durability::Witness;
use crate::log::fault::IoError;
use crate::log::map::Mapping;
use crate::log::recovery::Unproven;
use crate::log::segment::Segment;
use crate::log::shared::Shared;
use crate::sync::{Arc, PoisonError};

/// A segment that is written, for whoever syncs it.
#[derive(Debug, Clone)]
pub(crate) struct InUse {
    pub(crate) segment: Arc<Segment>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) file: Arc<File>,
}

impl Medium for Shared {
    type Segment = InUse;

    fn failed(&self) -> Option<Failed> {
        self.poison.get().map(Arc::clone)
    }

    fn id(&self, segment: &InUse) -> SegmentId {
        segment.segment.id()
    }

    fn write_again(&self, range: Unproven) -> Result<(), Failed> {
        self.check(write_again(self, range), range.segment)
    }

    fn seal_late(&self, id: SegmentId, seal: &Seal) -> Result<(), Failed> {
        self.check(seal_late(self, id, seal), id)
    }

    fn settle(&self, left: &InUse, seal: &Seal) -> Result<(), Failed> {
        self.check(settle(self, left, seal), left.segment.id())
    }

    fn sync(&self, in_use: &InUse, id: SegmentId) -> Result<(), Failed> {
        let synced = if in_use.segment.id() == id {
            sync(self, in_use)
        } else {
            Err(io::Error::other("the segment in use is another one than the writer's"))
        };
        self.check(synced, id)
    }

    /// Has the manifest say so, where that is asked for before anybody is told.
    fn bear_witness(&self, end: Position, next: Sequence) -> Result<(), Failed> {
        if self.witness != Witness::Strict {
            return Ok(());
        }
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        keeper.checkpoint(end, next).map_err(|error| {
            self.poison_quietly(IoError::new("write a manifest in", self.directory.root(), error))
        })
    }
}

impl Shared {
    /// An operation on a segment in use that failed stops the log for good.
    fn check(&self, done: io::Result<()>, segment: SegmentId) -> Result<(), Failed> {
        done.map_err(|error| {
            let path = self.directory.segment(segment);
            self.poison_quietly(IoError::new("make durable the segment", path, error))
        })
    }
}

/// Syncs a segment in use, which has to be all there still, under its one name: who is told that
/// events are durable relies on finding them again.
fn sync(shared: &Shared, in_use: &InUse) -> io::Result<()> {
    let InUse { segment, mapping, file } = in_use;
    let path = shared.directory.segment(segment.id());
    check_one_name(&check_in_place(file, &path, 1 << shared.bits)?)?;
    mapping.flush()?;
    shared.directory.io().sync_data(file)
}

/// Puts recovered bytes back to their place, so that their pages are dirty, and syncs.
pub(in crate::log) fn write_again(shared: &Shared, range: Unproven) -> io::Result<()> {
    let path = shared.directory.segment(range.segment);
    let disk = shared.directory.io();
    // A file that another log shares is never written; it was durable when it was shared. A fork has
    // names of segments with a SEAL only. Of one without, any other name was given by somebody who
    // did not ask whether it is durable, and its bytes stay as they are.
    let file = open_regular(&path, true)?;
    let ours = shared.owner(range.segment).log == shared.log;
    if !ours || has_other_names(&file)? && !is_unsealed(&file, shared.bits)? {
        return disk.sync_data(&file);
    }
    let mut chunk = vec![0; 1 << 20];
    let (mut from, to) = (u64::from(range.from), u64::from(range.to));
    while from < to {
        let len = chunk.len().min(usize::try_from(to - from).unwrap_or(usize::MAX));
        let read = read_at(&file, &mut chunk[..len], from)?;
        if read < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        disk.write_at(&file, &chunk[..len], from)?;
        from += len as u64;
    }
    disk.sync_data(&file)
}

/// Whether the page of the SEAL is all zero.
fn is_unsealed(file: &File, bits: u8) -> io::Result<bool> {
    let mut page = vec![0; PAGE];
    let read = read_at(file, &mut page, seal_offset(bits) as u64)?;
    Ok(read == PAGE && all_zero(&page))
}

pub(in crate::log) fn seal_late(shared: &Shared, id: SegmentId, seal: &Seal) -> io::Result<()> {
    let Some(segment) = shared.segments.get(id) else { return Ok(()) };
    let file = open_regular(&shared.directory.segment(id), true)?;
    if has_other_names(&file)? {
        return Ok(());
    }
    let (disk, offset) = (shared.directory.io(), seal_offset(shared.bits) as u32);
    disk.write_at(&file, &seal.encode(segment.key(), offset), u64::from(offset))?;
    disk.sync_data(&file)
}

fn settle(shared: &Shared, left: &InUse, seal: &Seal) -> io::Result<()> {
    let disk = shared.directory.io();
    let InUse { segment, mapping, file } = left;
    check_in_place(file, &shared.directory.segment(segment.id()), 1 << shared.bits)?;
    // A file that somebody has given another name is not written to any more.
    if !has_other_names(file)? {
        let offset = seal_offset(shared.bits) as u32;
        disk.write_at(file, &seal.encode(segment.key(), offset), u64::from(offset))?;
    }
    if shared.way == WriteWay::Mapped {
        // In one go, and not one by one by the sync, beside the writer in the next segment. Of the
        // segment in use this does not pay: few of its pages are dirty at a time, and readers are
        // near (`latency -- --only background`).
        mapping.release(seal.end as usize);
    }
    mapping.flush()?;
    disk.sync_data(file)
}
