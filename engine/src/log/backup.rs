//! A copy of a log that is being written.
//!
//! A plain copy of a live log can look damaged: the files are of different moments. A backup takes
//! one durable position, holds everything below it against retention, copies that much, and writes
//! a manifest that says that the copy ends there. Last it opens the copy and reads all of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{Manifest, Position, SegmentId, Sequence};

use super::cursor::{Hold, Log};
use super::disk::{
    Directory, DiskIo, PreparedCatalog, Slots, copy_file, copy_segment, prepare_catalog,
    read_catalog,
};
use super::error::{OpenError, SyncError};
use super::fault::IoError;
use super::options::Options;
use super::report::RecoveryOutcome;
use super::shared::Shared;
use super::writer::Writer;
use crate::sync::{Arc, PoisonError};

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Number of segments.
    pub segments: u32,
    /// The oldest event in it, or the next one.
    pub oldest: Sequence,
    /// The sequence that comes after the last event in it.
    pub next_sequence: Sequence,
}

/// How far a backup has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Segments copied.
    pub done: usize,
    /// Segments to copy.
    pub of: usize,
}

/// Why there is no backup.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something in the directory already.
    NotEmpty(PathBuf),
    /// Nothing in the log is durable yet: sync it first, or make the backup with the writer.
    NothingDurable,
    /// The log could not be made durable first.
    Sync(SyncError),
    /// The operating system refused. What was copied so far is left.
    Io(IoError),
    /// The copy does not open.
    Open(OpenError),
    /// The copy opens, but ends elsewhere than it should: the next sequence there.
    Differs(Sequence),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEmpty(path) => {
                write!(f, "{} is not empty: a backup needs a folder of its own", path.display())
            }
            Self::NothingDurable => write!(
                f,
                "nothing in the log is durable yet: sync it first, or make the backup with the \
                 writer"
            ),
            Self::Sync(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Open(error) => write!(f, "the backup cannot be read: {error}"),
            Self::Differs(next) => {
                write!(f, "the backup ends before event {next}, which is not where it should end")
            }
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sync(error) => Some(error),
            Self::Io(error) => Some(&error.source),
            Self::Open(error) => Some(error),
            _ => None,
        }
    }
}

impl From<IoError> for BackupError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl Writer {
    /// Makes everything durable, and copies it to `to`, a directory that is empty or missing.
    ///
    /// # Errors
    ///
    /// There is no backup; what was copied so far is left.
    pub fn backup(&mut self, to: impl AsRef<Path>) -> Result<Backup, BackupError> {
        self.sync().map_err(BackupError::Sync)?;
        self.log().backup(to)
    }
}

impl Log {
    /// Copies what is durable to `to`, a directory that is empty or missing, while the writer goes
    /// on. (A log that was opened for reading only is copied up to where it ends.)
    ///
    /// The copy is a log that was closed cleanly. It has the identity of this one; once it is
    /// opened for writing, its events are told apart by the history of its epoch. Named cursors
    /// are not copied.
    ///
    /// # Errors
    ///
    /// There is no backup; what was copied so far is left.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Backup, BackupError> {
        self.backup_with(to, |_| {})
    }

    /// The same, telling how far it has come, once for each segment.
    ///
    /// # Errors
    ///
    /// See [`Log::backup`].
    pub fn backup_with(
        &self,
        to: impl AsRef<Path>,
        mut progress: impl FnMut(BackupProgress),
    ) -> Result<Backup, BackupError> {
        let to = to.as_ref();
        let plan = Plan::make(self.shared())?;
        let target = make_target(to, self.shared().directory.io())?;
        plan.copy(self.shared(), &target, &mut progress)?;
        let copy = Options::new().open_read_only(to).map_err(BackupError::Open)?;
        let report = copy.recovery();
        if report.outcome != RecoveryOutcome::ClosedCleanly || report.next_sequence != plan.next {
            return Err(BackupError::Differs(report.next_sequence));
        }
        Ok(Backup {
            segments: u32::try_from(plan.segments.len()).unwrap_or(u32::MAX),
            oldest: copy.shared().oldest(),
            next_sequence: plan.next,
        })
    }
}

fn make_target(to: &Path, disk: &DiskIo) -> Result<Directory, BackupError> {
    let io = |action| move |source| BackupError::Io(IoError::new(action, to, source));
    let is_empty = match fs::read_dir(to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        entries => entries.map_err(io("list"))?.next().is_none(),
    };
    if !is_empty {
        return Err(BackupError::NotEmpty(to.to_path_buf()));
    }
    let target = Directory::new(to, disk.clone());
    target.create().map_err(io("make the directory"))?;
    Ok(target)
}

/// What is to be copied, and what keeps it there meanwhile.
struct Plan {
    manifest: Manifest,
    catalog: Option<Vec<u8>>,
    segments: Vec<SegmentId>,
    end: Position,
    next: Sequence,
    _hold: Hold,
}

impl Plan {
    fn make(shared: &Arc<Shared>) -> Result<Self, BackupError> {
        let root = shared.directory.root();
        let io = |action| move |source| BackupError::Io(IoError::new(action, root, source));
        // Retention waits: floor, catalog and the first segment are of one moment.
        let _waits = shared.retaining.lock().unwrap_or_else(PoisonError::into_inner);
        let keeper = shared.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (end, next) = if keeper.is_read_only() {
            let (visible, next) = shared.frontier.visible_pair();
            (visible.position(), next)
        } else {
            shared.frontier.durable_pair()
        };
        let mut manifest = keeper.manifest().clone();
        drop(keeper);
        let segments = shared.segments.in_use();
        let held = segments.first().and_then(|first| {
            let position = first.place(FIRST_FRAME).position(shared.bits);
            Hold::take(shared, position, shared.oldest())
        });
        let hold = held.ok_or(BackupError::NothingDurable)?;
        let last = end.segment(shared.bits);
        let segments: Vec<_> =
            segments.iter().map(|segment| segment.id()).filter(|id| *id <= last).collect();
        if segments.is_empty() {
            return Err(BackupError::NothingDurable);
        }
        let catalog = read_catalog(&shared.directory).map_err(io("read the catalog of"))?;
        manifest.generation = 1;
        manifest.floor = shared.holds.floor();
        manifest.checkpoint = end;
        manifest.checkpoint_sequence = next;
        manifest.clean = true;
        Ok(Self { manifest, catalog, segments, end, next, _hold: hold })
    }

    fn copy(
        &self,
        shared: &Shared,
        target: &Directory,
        progress: &mut dyn FnMut(BackupProgress),
    ) -> Result<(), BackupError> {
        let (of, disk) = (self.segments.len(), target.io());
        for (done, id) in self.segments.iter().enumerate() {
            progress(BackupProgress { done, of });
            let (from, to) = (shared.directory.segment(*id), target.segment(*id));
            let forked = shared.owner(*id).end.and_then(|_| shared.segments.get(*id)?.end());
            let copied = if self.end.segment(shared.bits) == *id {
                copy_segment(disk, &from, &to, self.end.offset(shared.bits), 1 << shared.bits)
            } else if let Some(end) = forked {
                // What an ancestor wrote behind the fork is no part of this log.
                copy_segment(disk, &from, &to, end, 1 << shared.bits)
            } else {
                copy_file(disk, &from, &to)
            };
            copied.map_err(|source| IoError::new("copy", from, source))?;
        }
        progress(BackupProgress { done: of, of });
        let io = |action| move |source| IoError::new(action, target.root(), source);
        if let Some(catalog) = &self.catalog {
            prepare_catalog(target, catalog, &[])
                .and_then(PreparedCatalog::install)
                .map_err(io("write the catalog of"))?;
        }
        let slots = Slots::read(target).map_err(io("read the manifest in"))?;
        slots.writer(target).write(&self.manifest).map_err(io("write a manifest in"))?;
        target.sync_names().map_err(io("make durable"))?;
        Ok(())
    }
}
