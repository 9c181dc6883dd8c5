//! What snapshots need of the log: a place that proves which log they are of, and files.

use std::io;

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{
    Ancestor, Block, CursorPlace, Position, SectionBlock, Sections, Sequence, SnapshotHeader,
};

use super::cursor::{Hold, Log};
use super::disk::{
    SnapshotFile, list_snapshots, open_snapshot, remove_snapshot, remove_unfinished,
};
use super::error::ReadError;
use super::fault::IoError;
use super::map::StillFile;
use super::named::{Standing, place_before, standing};
use super::shared::Shared;

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

    /// Whether the log still is the one in which somebody has come to `place`: see [`standing_of`].
    pub(crate) fn standing(&self, place: &CursorPlace) -> Result<Standing, ReadError> {
        standing_of(self.shared(), place)
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

    /// Holds what has to be folded after a snapshot of that place; without one, all that is left.
    pub(crate) fn keep_after(&self, place: Option<&CursorPlace>) -> Kept {
        let shared = self.shared();
        let oldest =
            || (Position::new(shared.holds.floor(), FIRST_FRAME, shared.bits), shared.oldest());
        let (position, next) = place.map_or_else(oldest, |place| (place.position, place.next));
        // It was found to be in order by the one who would drop it.
        Kept(Hold::take(shared, position, next))
    }

    /// Removes snapshots that were begun and not finished. Only who owns the writer.
    pub(crate) fn remove_unfinished_snapshots(&self) -> io::Result<()> {
        remove_unfinished(&self.shared().directory)
    }
}

/// What is held so that a program can start from a snapshot and what follows it.
#[derive(Debug)]
pub(crate) struct Kept(Option<Hold>);

impl Kept {
    /// Holds what follows a later snapshot, and no more what is before.
    pub(crate) fn go_on(&self, place: &CursorPlace) {
        if let Some(hold) = &self.0 {
            hold.go_on(place.position, place.next);
        }
    }
}

/// Section of instances that a snapshot does not have, since they were suspended.
pub(crate) const LEFT_OUT_NAME: &str = "$left-out";
/// What stands beside one whose beginning is gone anyway.
pub(crate) const LOST: &[u8] = &[1];

/// Whether the log still is the one in which somebody has come to `place`. A place in a log that this
/// one was forked from is one in this log, as far as that was taken.
fn standing_of(shared: &Shared, place: &CursorPlace) -> Result<Standing, ReadError> {
    let mut place = *place;
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

/// What the newest snapshot of this log that is whole still needs: where it begins, and the next
/// event. A snapshot that leaves out instances which can be folded needs all that is left.
///
/// One that is damaged, or of another log, needs nothing; of one that cannot be read now nobody knows.
pub(super) fn needed(shared: &Shared) -> Result<Option<(Position, Sequence)>, IoError> {
    let listed = list_snapshots(&shared.directory).map_err(|source| {
        IoError::new("list the snapshots in", shared.directory.snapshots(), source)
    })?;
    for sequence in listed {
        let opened = open_snapshot(&shared.directory, sequence);
        let mapped = opened.and_then(|(file, len)| StillFile::map(&file, len));
        let file = match mapped {
            Ok(file) => file,
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => {
                let path = shared.directory.snapshot(sequence);
                return Err(IoError::new("read the snapshot", path, source));
            }
        };
        let needed = needed_by(shared, sequence, &file).map_err(|error| {
            let path = shared.directory.snapshot(sequence);
            IoError::new("prove the place of the snapshot", path, io::Error::other(error))
        })?;
        if needed.is_some() {
            return Ok(needed);
        }
    }
    Ok(None)
}

/// `Ok(None)` if it is not whole, or not of this log.
fn needed_by(
    shared: &Shared,
    sequence: Sequence,
    file: &StillFile,
) -> Result<Option<(Position, Sequence)>, ReadError> {
    let bytes = file.bytes();
    let Ok(header) = SnapshotHeader::decode(bytes, bytes.len() as u64) else { return Ok(None) };
    let place = header.place;
    let in_order = match standing_of(shared, &place) {
        Ok(standing) => matches!(standing, Standing::InOrder),
        Err(error @ ReadError::Io(_)) => return Err(error),
        // The frame that would prove it is damaged: nobody begins with it.
        Err(_) => false,
    };
    if place.sequence != sequence || !in_order {
        return Ok(None);
    }
    let Ok(index) = header.index(bytes) else { return Ok(None) };
    for (number, section) in (0..).zip(Sections::new(index)) {
        let Ok(section) = section else { return Ok(None) };
        if section.name != LEFT_OUT_NAME {
            continue;
        }
        let lacks = |block: &SectionBlock<'_>| {
            let block = Block::verify(bytes, (block.offset, block.len), number, sequence);
            // Of what cannot be read nobody knows.
            block.map_or(true, |block| {
                (0..block.len()).any(|at| block.entry(at).map_or(true, |one| one.value != LOST))
            })
        };
        if section.blocks.iter().any(lacks) {
            let first = Position::new(shared.holds.floor(), FIRST_FRAME, shared.bits);
            return Ok(Some((first, shared.oldest())));
        }
    }
    Ok(Some((place.position, place.next)))
}
