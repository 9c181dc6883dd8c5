//! Retention: whole segments from the front are dropped, or moved to an archive, when they are
//! sealed, durable, and held by nobody.
//!
//! In this order, so that a crash at any point leaves a log that opens: it is in the archive; the
//! catalog has been written, under another name; nobody can hold what is going; the catalog gets
//! its name, which is the moment at which it has happened; the manifest has the floor; the files
//! go. What a crash leaves of the files is removed at the next opening.

use std::io;
use std::path::{Path, PathBuf};

use factlog_codec::layout::{FIRST_FRAME, seal_offset, segment_size};
use factlog_codec::{
    Catalog, Frame, Place, Position, SegOpen, SegmentId, Sequence, Stop, StopReason, WalkState,
};

use super::clock::{Clock, SystemClock};
use super::cursor::Log;
use super::disk::{
    SegmentReader, Space, archive_file, prepare_archive, prepare_catalog, read_catalog,
    remove_postings_below,
};
use super::error::{ReadError, RetainError};
use super::fault::{IoError, ItemFault};
use super::recovery::Replay;
use super::report::Retained;
use super::segment::Segment;
use super::shared::Shared;
use super::snapshots::needed;
use crate::sync::{Arc, PoisonError};

/// How much of a log is to be kept, and what becomes of the rest.
///
/// Only whole segments go, only sealed and durable ones, and only below everything that is held:
/// every [`Cursor`](crate::Cursor) holds what it has not read yet, and every registered
/// [`NamedCursor`](crate::NamedCursor) what is not saved as processed, and the event before. (Those of one stream do not:
/// they get an error that says what the oldest event is.)
///
/// The newest [snapshot](crate::Snapshots) that can be read holds what follows it, and everything if
/// it leaves out instances that are suspended; while it cannot be told whether there is one, nothing
/// is dropped. An [`Engine`](crate::Engine) holds what it needs to start again from any of the
/// snapshots that it keeps, and everything as long as it has taken none.
#[derive(Debug, Clone)]
pub struct Retention {
    keep: Keep,
    archive: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
enum Keep {
    From(Sequence),
    Since(u64),
    Segments(usize),
    Bytes(u64),
}

impl Retention {
    const fn new(keep: Keep) -> Self {
        Self { keep, archive: None }
    }

    /// Keeps this event and all after it.
    pub const fn keep_from(sequence: Sequence) -> Self {
        Self::new(Keep::From(sequence))
    }

    /// Keeps what was written at or after this time, in nanoseconds since the Unix epoch.
    ///
    /// A segment's age is that of the wall clock when the next one was begun, not that of frames:
    /// those never go back, so one wrong clock would make all that follows look young. A clock that
    /// was wrong never makes anything look older than an earlier segment says.
    pub const fn keep_since(time: u64) -> Self {
        Self::new(Keep::Since(time))
    }

    /// Keeps the newest segments, at least one.
    pub const fn keep_segments(count: usize) -> Self {
        Self::new(Keep::Segments(count))
    }

    /// Keeps as many of the newest segments as have at most so many bytes, at least one.
    pub const fn keep_bytes(bytes: u64) -> Self {
        Self::new(Keep::Bytes(bytes))
    }

    /// Segments are put into this folder before they go: by another name for the file where that
    /// is possible, else by a copy. They can be read there one by one.
    #[must_use]
    pub fn archive(mut self, folder: impl Into<PathBuf>) -> Self {
        self.archive = Some(folder.into());
        self
    }

    /// The first segment to keep.
    fn first_kept(&self, shared: &Shared) -> SegmentId {
        let segments = shared.segments.in_use();
        let Some(last) = segments.last() else { return SegmentId::FIRST };
        let at = match self.keep {
            Keep::From(wanted) => {
                let after = |segment: &Arc<Segment>| {
                    segment.index().first().is_some_and(|first| first.sequence > wanted)
                };
                segments.iter().position(after).unwrap_or(segments.len()).saturating_sub(1)
            }
            Keep::Since(time) => {
                let opened: Vec<_> = segments.iter().map(|segment| segment.opened()).collect();
                ended_before(time, &opened, SystemClock.now())
            }
            Keep::Segments(count) => segments.len().saturating_sub(count.max(1)),
            Keep::Bytes(bytes) => {
                let count = usize::try_from(bytes >> shared.bits).unwrap_or(usize::MAX);
                segments.len().saturating_sub(count.max(1))
            }
        };
        segments.get(at).map_or(last.id(), |segment| segment.id())
    }
}

/// How many segments had ended before `time`, of those that were begun when clocks said `opened`.
///
/// A segment had ended when the next one was begun, by a clock that may have been wrong then. A time
/// still to come, or one before an earlier segment's, is no evidence: then the next one that is some
/// counts. Without any it is kept.
fn ended_before(time: u64, opened: &[u64], now: u64) -> usize {
    let mut latest = 0;
    let mut trusted = |opened: u64| {
        let evidence = opened >= latest && opened <= now;
        latest = if evidence { opened } else { latest };
        evidence.then_some(opened)
    };
    let times: Vec<_> = opened.iter().map(|opened| trusted(*opened)).collect();
    let ended = |index: usize| times.iter().skip(index + 1).flatten().next();
    (0..times.len()).take_while(|at| ended(*at).is_some_and(|at| *at < time)).count()
}

impl Log {
    /// Drops what `retention` does not keep. Only who owns the writer, or who knows that it is
    /// owned.
    pub(crate) fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        retain(self.shared(), retention)
    }
}

/// Drops what `retention` does not keep.
pub(super) fn retain(shared: &Shared, retention: &Retention) -> Result<Retained, RetainError> {
    if shared.fork.is_child() {
        return Err(RetainError::Forked);
    }
    // Not the keeper: what takes long here must not keep anybody from syncing.
    let alone = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
    let io = |action| {
        move |path: &Path, source| RetainError::Io(Arc::new(IoError::new(action, path, source)))
    };
    let (root, disk) = (shared.directory.root(), shared.directory.io());
    if alone.is_ended() {
        // With the writer its lock is gone: somebody else may write by now.
        return Err(io("drop segments of")(root, io::Error::other("the writer has ended")));
    }
    let before = shared.holds.floor();
    let mut retained =
        Retained { dropped: 0, oldest: shared.oldest(), held: None, left: Vec::new() };
    // Only what is sealed and durable may go.
    let durable = shared.frontier.durable().segment(shared.bits);
    let mut target = retention.first_kept(shared).min(durable);
    if target > before
        && let Some((position, next)) =
            needed(shared).map_err(|error| RetainError::Io(Arc::new(error)))?
    {
        // It stands for what goes. Whoever made it may have been killed before its name was durable.
        let folder = shared.directory.snapshots();
        disk.sync_directory(&folder).map_err(|error| io("make durable")(&folder, error))?;
        if position.segment(shared.bits) < target {
            target = position.segment(shared.bits);
            retained.held = Some(next);
        }
    }
    let prepared = loop {
        // What is held stays. Whoever begins to hold meanwhile is seen when the floor is raised.
        let oldest = shared.holds.held().oldest;
        if let Some((position, next)) = oldest
            && position.segment(shared.bits) < target
        {
            target = position.segment(shared.bits);
            retained.held = Some(next);
        }
        if target <= before {
            return Ok(retained);
        }
        // What takes long is done while everything can still be read and held.
        if let Some(folder) = &retention.archive {
            prepare_archive(disk, folder).map_err(|error| io("make")(folder, error))?;
            for segment in shared.segments.below(target) {
                let path = shared.directory.segment(segment.id());
                archive_file(disk, &path, folder).map_err(|error| io("archive")(&path, error))?;
            }
            disk.sync_directory(folder).map_err(|error| io("make durable")(folder, error))?;
        }
        let (catalog, entries) = catalog_at(shared, before, target)?;
        let prepared = prepare_catalog(&shared.directory, &catalog.encode(&entries), &entries)
            .map_err(|error| io("write the catalog of")(root, error))?;
        match shared.holds.raise(target) {
            Ok(()) => break prepared,
            // Somebody has begun to hold it meanwhile. It only goes down, so this comes to an end.
            Err((position, next)) => {
                target = position.segment(shared.bits);
                retained.held = Some(next);
            }
        }
    };
    let mut keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = prepared.install() {
        shared.holds.lower(before);
        return Err(io("write the catalog of")(root, error));
    }
    // From here on the floor stands, whether or not the manifest comes to say so.
    let gone = shared.segments.remove_below(target);
    shared.maps.forget_below(target);
    retained.dropped = u32::try_from(gone.len()).unwrap_or(u32::MAX);
    retained.oldest = shared.oldest();
    let noted = disk.sync_directory(root).and_then(|()| keeper.raise_floor(target));
    drop(keeper);
    if let Err(error) = noted {
        let error = IoError::new("note the floor in", root, error);
        return Err(RetainError::Unfinished(Box::new(retained), Arc::new(error)));
    }
    for segment in &gone {
        let path = shared.directory.segment(segment.id());
        if let Err(error) = disk.remove(&path) {
            retained.left.push((path, error.to_string()));
        }
    }
    let segments = shared.directory.segments();
    if let Err(error) = remove_postings_below(&shared.directory, target) {
        retained.left.push((segments.clone(), error.to_string()));
    }
    if let Err(error) = disk.sync_directory(&segments) {
        retained.left.push((segments, error.to_string()));
    }
    Ok(retained)
}

/// The catalog of everything below `target`: what the present one says, and what stands in the
/// segments from `before` on, which are read and verified once more.
fn catalog_at(
    shared: &Shared,
    before: SegmentId,
    target: SegmentId,
) -> Result<(Catalog, Vec<u8>), RetainError> {
    let io = |path: PathBuf, source: io::Error| {
        RetainError::Io(Arc::new(IoError::new("read", path, source)))
    };
    let mut replay = Replay::default();
    if before > SegmentId::FIRST {
        let path = shared.directory.catalog();
        let bytes = read_catalog(&shared.directory).map_err(|error| io(path.clone(), error))?;
        let bytes = bytes.ok_or_else(|| io(path, io::ErrorKind::NotFound.into()))?;
        let (_, entries) = Catalog::decode(&bytes).map_err(RetainError::Catalog)?;
        replay.begin_with(entries).map_err(RetainError::Catalog)?;
    }
    let mut space = Space::default();
    let open = |segment: &Segment, space: &mut Space| {
        let len = segment_size(shared.bits);
        let reader =
            SegmentReader::open(&shared.directory, segment.id(), len, std::mem::take(space));
        reader.map_err(|error| io(shared.directory.segment(segment.id()), error))
    };
    for segment in shared.segments.below(target) {
        let mut reader = open(&segment, &mut space)?;
        take_in(&mut replay, shared, &segment, &mut reader)?;
        space = reader.into_space();
    }
    let first = shared.segments.get(target).ok_or(ReadError::Missing(target))?;
    let mut reader = open(&first, &mut space)?;
    let (open, sequence) = opening(shared, &first, &mut reader)?;
    let mut entries = Vec::new();
    for (number, head) in (1..).zip(&replay.heads) {
        let number = factlog_codec::StreamNumber::new(number);
        let Some(name) = replay.streams.name(number) else { break };
        head.entry(name).encode(&mut entries);
    }
    let catalog = Catalog {
        log: shared.log,
        floor: target,
        sequence,
        before_end: open.before.end,
        before_fold: open.before.fold,
        streams: replay.heads.len() as u64,
    };
    Ok((catalog, entries))
}

/// The frame at `offset` of a segment, where frames end at `end`.
fn frame<'r>(
    shared: &Shared,
    segment: &Segment,
    reader: &'r mut SegmentReader,
    (offset, end): (u32, u32),
) -> Result<Frame<'r>, RetainError> {
    let id = segment.id();
    let frame = reader.frame(segment.key(), offset, end as usize).map_err(|source| {
        let path = shared.directory.segment(id);
        RetainError::Io(Arc::new(IoError::new("read", path, source)))
    })?;
    frame.map_err(|error| {
        let stop = Stop { offset, reason: StopReason::Frame(error) };
        ReadError::Frame(id, stop).into()
    })
}

/// The SEGOPEN of a segment, and the sequence that it begins with.
fn opening(
    shared: &Shared,
    segment: &Segment,
    reader: &mut SegmentReader,
) -> Result<(SegOpen, Sequence), RetainError> {
    let end = u32::try_from(seal_offset(shared.bits)).unwrap_or(u32::MAX);
    let frame = frame(shared, segment, reader, (FIRST_FRAME, end))?;
    let (open, _) = SegOpen::decode(&frame)
        .map_err(|_| ReadError::Items(segment.place(FIRST_FRAME), ItemFault::SegOpen))?;
    Ok((open, frame.header.sequence))
}

/// Takes in all frames of a segment that has ended.
fn take_in(
    replay: &mut Replay,
    shared: &Shared,
    segment: &Segment,
    reader: &mut SegmentReader,
) -> Result<(), RetainError> {
    let id = segment.id();
    let end = segment.end().ok_or(ReadError::Missing(id))?;
    let (_, sequence) = opening(shared, segment, reader)?;
    let mut state = WalkState::new(segment.key(), Some(sequence));
    while state.offset < end {
        let offset = state.offset;
        let frame = frame(shared, segment, reader, (offset, end))?;
        state = state
            .then(&frame.header, frame.body)
            .map_err(|reason| ReadError::Frame(id, Stop { offset, reason }))?;
        let taken = if offset == FIRST_FRAME {
            SegOpen::decode(&frame)
                .map_err(|_| ItemFault::SegOpen)
                .and_then(|(open, types)| replay.enter_segment(&open, types))
        } else {
            replay.absorb(&frame, Position::new(id, offset, shared.bits))
        };
        taken.map_err(|fault| ReadError::Items(Place { segment: id, offset }, fault))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use factlog_codec::types::{EventType, Opaque};

    use super::*;
    use crate::Options;

    static BLOCK: EventType = EventType::opaque("block", 1);

    /// Once the writer is gone, somebody else may write: nothing is dropped from here any more.
    #[test]
    fn is_nothing_dropped_without_the_writer() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = Options::new().segment_size(4 << 20).spare_segments(1).prefault(0);
        let mut writer = options.open(directory.path()).expect("opens");
        while writer.log().stats().rollovers < 2 {
            writer.append(&Opaque::new(&BLOCK, &[7; 100_000])).expect("appended");
        }
        writer.sync().expect("synced");
        let log = writer.log();
        drop(writer);
        let error = log.retain(&Retention::keep_segments(1)).expect_err("nobody writes");
        assert!(matches!(error, RetainError::Io(_)), "{error}");
        assert_eq!(log.shared().holds.floor(), SegmentId::FIRST);
        assert!(log.shared().directory.segment(SegmentId::FIRST).is_file());
    }

    #[test]
    fn does_a_wrong_clock_not_pin_what_came_after_it() {
        const NOW: u64 = 100;
        let old = |opened: &[u64]| ended_before(50, opened, NOW);
        // Each was begun when the one before it ended; the last one has not.
        assert_eq!(old(&[10, 20, 30, 40]), 3);
        assert_eq!(old(&[10, 20, 60, 70]), 1);
        // Far ahead for once: what came before and after has its own times.
        for wrong in [101, 5_000, u64::MAX] {
            assert_eq!(old(&[10, 20, wrong, 30, 40]), 4);
            assert_eq!(old(&[10, 20, wrong, wrong, 40]), 4);
            assert_eq!(old(&[wrong, wrong]), 0, "nobody knows");
            assert_eq!(old(&[10, wrong, 60, 70]), 0);
        }
        // Set back: it never makes anything older than an earlier one says.
        assert_eq!(old(&[10, 60, 20, 30, 40]), 0);
        assert_eq!(old(&[10, 60, 0, 0, 70]), 0);
        assert_eq!(old(&[10, 20, 0, 0, 30]), 4);
    }
}
