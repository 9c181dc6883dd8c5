//! A directory is opened to follow.
//!
//! As for writing, but for what becomes of a torn tail: no successor is begun, which the leader knows
//! nothing of. What is behind the last frame is cleared, and comes again.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use factlog_codec::layout::segment_size;
use factlog_codec::{
    Epoch, FollowLeader, Manifest, Position, SegmentId, Sequence, WalkState, WriteWay, all_zero,
};

use super::taking::{Active, Last, Taking};
use crate::log::disk::{
    Directory, DiskIo, DiskObserver, Lock, LockError, Slots, has_other_names, open_regular, read_at,
};
use crate::log::error::{OpenError, ReadError};
use crate::log::fault::IoError;
use crate::log::keeper::Keeper;
use crate::log::map::is_coherent;
use crate::log::named::history_of;
use crate::log::open::{
    Ground, check_drift, check_file_system, clear_away, damage_of, gather_with, make_shared,
    read_begin, read_names, refuse_file, remove_below, report_of,
};
use crate::log::options::Options;
use crate::log::recovery::{Depth, Found, Verdict, decide};
use crate::log::report::RecoveryOutcome;
use crate::log::shared::Shared;
use crate::log::syncer::{seal_late, write_again};
use crate::log::table_keeper::TableKeeper;
use crate::sync::{Arc, prepare_fences};

/// What is opened with once the leader's log is known.
#[derive(Clone)]
struct Settings {
    observer: Option<Arc<dyn DiskObserver>>,
    mapped_segments: usize,
}

/// A directory that is locked, whether there is a log in it or not.
pub(super) struct Ready {
    pub(super) directory: Directory,
    settings: Settings,
    ground: Ground,
    /// Let go of last.
    _lock: Lock,
}

/// A log that is being taken over, and the thread that looks after its tables.
pub(super) struct Opened {
    pub(super) taking: Taking,
    pub(super) tables: TableKeeper,
}

/// Takes the lock, and opens the log if there is one.
pub(super) fn open(
    root: &Path,
    mut options: Options,
) -> Result<(Ready, Option<Opened>), OpenError> {
    prepare_fences();
    // What comes is written, whatever the writer of the log does.
    options.way = Some(WriteWay::Staged);
    let settings =
        Settings { observer: options.observer.clone(), mapped_segments: options.mapped_segments };
    refuse_file(root)?;
    let directory = Directory::new(root, DiskIo::new(options.observer.take()));
    let ground = Ground { written_first: false, ..check_file_system(root, &options)? };
    let io = |action| move |source| OpenError::Io(IoError::new(action, root, source));
    directory.create().map_err(io("make the directory"))?;
    let lock = Lock::take(&directory).map_err(|error| match error {
        LockError::Held => OpenError::Locked(root.to_path_buf()),
        LockError::Io(source) => OpenError::Io(IoError::new("lock", directory.lock(), source)),
    })?;
    if !is_coherent(&directory).map_err(io("probe mappings in"))? {
        return Err(OpenError::Incoherent(root.to_path_buf()));
    }
    let there = read_names(&directory)?.is_some();
    let ready = Ready { directory, settings, ground, _lock: lock };
    let opened = if there { Some(ready.take_up(options)?) } else { None };
    Ok((ready, opened))
}

impl Ready {
    /// Makes the leader's log, without a segment yet.
    pub(super) fn create(&self, leader: &FollowLeader) -> Result<Opened, OpenError> {
        let root = self.directory.root();
        let io = |action| move |source| OpenError::Io(IoError::new(action, root, source));
        let mut manifest = Manifest {
            generation: 0,
            log: leader.log,
            history: leader.history,
            bits: leader.bits,
            epoch: leader.epoch,
            floor: SegmentId::FIRST,
            checkpoint: Position::ZERO,
            checkpoint_sequence: Sequence::FIRST,
            clean: false,
            taken_over: leader.epoch,
            lineage: Vec::new(),
        };
        let slots = Slots::read(&self.directory).map_err(io("read the manifest in"))?;
        let mut file = slots.writer(&self.directory);
        for generation in 1..=2 {
            manifest.generation = generation;
            file.write(&manifest).map_err(io("write a manifest in"))?;
        }
        let mut options = Options::new().mapped_segments(self.settings.mapped_segments);
        options.observer.clone_from(&self.settings.observer);
        self.take_up(options)
    }

    fn take_up(&self, mut options: Options) -> Result<Opened, OpenError> {
        let (began, directory) = (Instant::now(), &self.directory);
        let root = directory.root();
        let io = |action| move |source| OpenError::Io(IoError::new(action, root, source));
        let Some((mut manifest, slots, ids)) = read_names(directory)? else {
            return Err(OpenError::NoLog(root.to_path_buf()));
        };
        let mut manifest_file = slots.writer(directory);
        let begin = read_begin(directory, &manifest)?;
        let floor = begin.floor();
        let gathered = gather_with(directory, &manifest, begin, &ids, Depth::Needed, &mut options);
        let mut found = gathered?;
        let verdict = decide(&found.facts);
        if verdict == Verdict::Damaged || found.headless {
            return Err(OpenError::Damaged(Box::new(damage_of(directory, &manifest, &found))));
        }
        check_drift(&found, &options)?;

        // The verdict is applied from here on.
        directory.sync_names().map_err(io("make durable the names in"))?;
        let mut report = report_of(&manifest, &slots, &found, verdict, began);
        manifest.epoch = manifest.epoch.max(found.epoch);
        manifest.taken_over = manifest.epoch;
        manifest.clean = false;
        manifest.floor = floor;
        if found.durable.0 > manifest.checkpoint || found.repaired {
            // What frames bear witness to here they bear witness to no more.
            (manifest.checkpoint, manifest.checkpoint_sequence) = found.durable;
        }
        loop {
            manifest.generation = manifest.generation.checked_add(1).ok_or(OpenError::Exhausted)?;
            manifest_file.write(&manifest).map_err(io("write a manifest in"))?;
            if manifest_file.is_whole() {
                break;
            }
        }
        remove_below(directory, &ids, floor)?;
        // Prepared segments stay: the leader's take their names.
        drop(clear_away(directory, &manifest, &found, &mut report)?);
        let file = match &found.end {
            Some(end) => {
                let path = directory.segment(end.header.segment);
                let opened = clear_tail(directory, &path, end.offset, manifest.bits);
                Some(opened.map_err(|source| IoError::new("write to the segment", &path, source))?)
            }
            None => None,
        };
        if report.outcome == RecoveryOutcome::Torn {
            report.outcome = RecoveryOutcome::Clean;
        }

        let end = found.end.map_or(Position::ZERO, |end| {
            Position::new(end.header.segment, end.offset, manifest.bits)
        });
        let heads = std::mem::take(&mut found.replay.heads);
        let (unproven, unsealed) =
            (std::mem::take(&mut found.unproven), std::mem::take(&mut found.unsealed));
        let (epoch, bits) = (manifest.epoch, manifest.bits);
        let keeper = Keeper::new(manifest, Some(manifest_file));
        let settings = (&options, self.ground);
        let shared = make_shared(directory.clone(), keeper, &mut found, end, report, settings)
            .map_err(io("watch for forks of"))?;
        for range in unproven {
            let path = directory.segment(range.segment);
            write_again(&shared, range)
                .map_err(|source| IoError::new("make durable the segment", path, source))?;
        }
        for (id, seal) in unsealed {
            let path = directory.segment(id);
            seal_late(&shared, id, &seal)
                .map_err(|source| IoError::new("make durable the segment", path, source))?;
        }
        shared.frontier.publish_durable(end, found.next);
        let last = match file.is_some() {
            true => Some(last_of(&shared).map_err(|error| broken(root, error))?),
            false => None,
        };
        let active = active_of(&found, file, last.map(|last| last.epoch));
        let tables = TableKeeper::start(
            &shared,
            heads.clone(),
            end.max(Position::new(SegmentId::FIRST, factlog_codec::layout::FIRST_FRAME, bits)),
            found.table,
        )
        .map_err(io("start a thread for"))?;
        let taking = Taking::new(shared, heads, (active, last), epoch);
        Ok(Opened { taking, tables })
    }
}

/// What was verified a moment ago cannot be read.
fn broken(root: &Path, error: ReadError) -> OpenError {
    OpenError::Io(IoError::new("read what was found in", root, io::Error::other(error)))
}

fn active_of(found: &Found, file: Option<File>, epoch: Option<Epoch>) -> Option<Active> {
    let (end, segment) = (found.end?, found.segments.last()?);
    let walk = WalkState {
        offset: end.offset,
        sequence: Some(found.next),
        ts: found.last_ts,
        epoch: epoch?,
        fold: end.fold,
        frames: end.frames,
    };
    Some(Active {
        segment: Arc::clone(segment),
        file: file?,
        walk,
        first_sequence: end.first_sequence,
        first_ts: end.first_ts,
    })
}

/// The last frame, which is visible.
fn last_of(shared: &Shared) -> Result<Last, ReadError> {
    let visible = shared.frontier.visible();
    let missing = || {
        let id = visible.position().segment(shared.bits);
        ReadError::Missing(id)
    };
    let (segment, header) = shared.seek(visible, |_, _| true)?.ok_or_else(missing)?;
    let position = segment.place(header.offset).position(shared.bits);
    let history = history_of(shared, visible, position, header.epoch)?;
    Ok(Last { position, crc: header.crc, epoch: header.epoch, history })
}

/// Clears what is behind the last frame, and gives the file.
fn clear_tail(directory: &Directory, path: &Path, end: u32, bits: u8) -> io::Result<File> {
    let file = open_regular(path, true)?;
    if has_other_names(&file)? {
        return Err(io::Error::other(
            "the file has another name, so that it is shared with another log: copy it",
        ));
    }
    let (disk, size) = (directory.io(), segment_size(bits) as u64);
    disk.fill_holes(&file, size)?;
    let mut chunk = vec![0; 1 << 20];
    let (mut at, mut cleared) = (u64::from(end), false);
    while at < size {
        let len = chunk.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
        let Some(bytes) = chunk.get_mut(..len) else { break };
        let read = read_at(&file, bytes, at)?;
        if read < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !all_zero(bytes) {
            bytes.fill(0);
            disk.write_at(&file, bytes, at)?;
            cleared = true;
        }
        at += len as u64;
    }
    if cleared {
        disk.sync_data(&file)?;
    }
    Ok(file)
}
