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

/// Seals a segment that has ended, where it can be opened: a segment may be without a SEAL, and the
/// next opening tries again. One that retention has dropped needs none; one that was taken away is
/// missed.
pub(in crate::log) fn seal_late(shared: &Shared, id: SegmentId, seal: &Seal) -> io::Result<()> {
    let Some(segment) = shared.segments.get(id) else { return Ok(()) };
    let file = match open_regular(&shared.directory.segment(id), true) {
        Ok(file) => file,
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && shared.segments.get(id).is_some() =>
        {
            return Err(error);
        }
        Err(_) => return Ok(()),
    };
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

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use factlog_codec::types::{EventType, Opaque};
    use factlog_codec::{Epoch, Fold};

    use super::*;
    use crate::Options;

    static BLOCK: EventType = EventType::opaque("block", 1);

    /// A SEAL that cannot be written for want of a descriptor is no failure of the log; a segment
    /// that was taken away is one, unless retention took it.
    #[test]
    fn is_a_late_seal_no_more_than_wanted() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = || Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
        let mut writer = options().open(directory.path()).expect("opens");
        while writer.log().stats().rollovers < 1 {
            writer.append(&Opaque::new(&BLOCK, &[7; 100_000])).expect("appended");
        }
        writer.close().expect("closed");
        let log = options().open_read_only(directory.path()).expect("opens");
        let (shared, id) = (log.shared(), SegmentId::FIRST);
        let seal = Seal {
            end: 4096,
            first_sequence: Sequence::FIRST,
            next_sequence: Sequence::FIRST,
            first_ts: 1,
            last_ts: 2,
            fold: Fold::default(),
            frames: 1,
            epoch: Epoch::new(1),
            chain: [0; 32],
        };
        let (path, aside) = (shared.directory.segment(id), directory.path().join("aside"));
        fs::rename(&path, &aside).expect("aside");
        let missing = seal_late(shared, id, &seal).expect_err("it is missed");
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // It cannot be opened, and is there.
        std::os::unix::fs::symlink(&aside, &path).expect("linked");
        seal_late(shared, id, &seal).expect("not wanted so much");
        fs::remove_file(&path).expect("removed");
        shared.segments.remove_below(SegmentId::new(2));
        seal_late(shared, id, &seal).expect("nobody needs it");
    }
}
