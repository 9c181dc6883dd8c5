//! What snapshots need of the log: a place that proves which log they are of, and files.

use std::io;

use factlog_codec::{Ancestor, CursorPlace, Sequence, SnapshotHeader};

use super::cursor::Log;
use super::disk::{
    SnapshotFile, list_snapshots, open_snapshot, remove_snapshot, remove_unfinished,
};
use super::error::ReadError;
use super::map::StillFile;
use super::named::{Standing, place_before, standing};

impl Log {
    /// The place of somebody who has folded everything before `next`, and the time of the frame
    /// before it.
    pub(crate) fn place_before(&self, next: Sequence) -> Result<(CursorPlace, u64), ReadError> {
        let place = place_before(self.shared(), next, &mut None)?;
        let visible = self.shared().frontier.visible();
        let mut pin = None;
        let ts = self.shared().frame(&mut pin, visible, place.position)?.header.ts;
        Ok((place, ts))
    }

    /// Whether the log still is the one in which somebody has come to `place`. A place in a log that
    /// this one was forked from is one in this log, as far as that was taken.
    pub(crate) fn standing(&self, place: &CursorPlace) -> Result<Standing, ReadError> {
        let (shared, mut place) = (self.shared(), *place);
        let taken = |ancestor: &Ancestor| {
            ancestor.log == place.log
                && place.position < ancestor.end
                && place.sequence <= ancestor.last_sequence
        };
        if shared.lineage.iter().any(taken) {
            place.log = shared.log;
        }
        standing(shared, &place)
    }

    /// The snapshots that are there, the newest first.
    pub(crate) fn snapshots(&self) -> io::Result<Vec<Sequence>> {
        list_snapshots(&self.shared().directory)
    }

    /// A snapshot, mapped.
    pub(crate) fn map_snapshot(&self, sequence: Sequence) -> io::Result<StillFile> {
        let (file, len) = open_snapshot(&self.shared().directory, sequence)?;
        StillFile::map(&file, len)
    }

    /// Begins a snapshot.
    pub(crate) fn begin_snapshot(&self, sequence: Sequence) -> io::Result<SnapshotFile> {
        SnapshotFile::create(&self.shared().directory, sequence, SnapshotHeader::LEN)
    }

    /// Removes a snapshot.
    pub(crate) fn remove_snapshot(&self, sequence: Sequence) -> io::Result<()> {
        remove_snapshot(&self.shared().directory, sequence)
    }

    /// Removes snapshots that were begun and not finished. Only who owns the writer.
    pub(crate) fn remove_unfinished_snapshots(&self) -> io::Result<()> {
        remove_unfinished(&self.shared().directory)
    }
}
