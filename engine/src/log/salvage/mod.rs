//! What can be got out of a damaged log: everything that verifies, wherever it stands.
//!
//! Nothing is written, and nothing but segment files is relied on: each describes its types itself.
//! Names of streams stand in the log once; where that place is gone, the catalog and stream tables
//! are asked, and else the number is all that is left.
//!
//! - `event`: an event that verified, and what is known of it
//! - `report`: what was found, and what is missing
//! - `scan`: what the beginnings of segment files say
//! - `names`: what type and stream numbers stand for, as far as it is known
//! - `frames`: the frames of one file that verify, past everything that does not
//! - `work`: file by file, and event by event
//! - here: what is asked for

mod event;
mod frames;
mod names;
mod report;
mod scan;
mod work;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use factlog_codec::{Catalog, Manifest, SegmentId, Sequence};

pub use event::Salvaged;
pub use report::{Hole, SalvageError, SalvageReport};

use super::disk::{Directory, DiskIo, Slots, read_catalog};
use names::Names;
use scan::{Scanned, put_aside};
use work::Work;

/// Takes out of a log everything that verifies.
///
/// ```
/// # use std::ops::ControlFlow;
/// # let dir = tempfile::tempdir()?;
/// # factlog::Options::new().segment_size(4 << 20).open(dir.path())?.close()?;
/// let report = factlog::Salvage::of(dir.path()).run(|event| {
///     println!("{} {}", event.sequence, event.event_type().map_or("?", |known| known.name()));
///     ControlFlow::Continue(())
/// })?;
/// assert!(report.holes.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Salvage {
    from: From,
    quarantine: bool,
    behind_ends: bool,
}

#[derive(Debug, Clone)]
enum From {
    Log(PathBuf),
    Files(Vec<PathBuf>),
}

impl Salvage {
    /// From the log in `directory`, which nobody else should be writing.
    pub fn of(directory: impl AsRef<Path>) -> Self {
        let from = From::Log(directory.as_ref().to_path_buf());
        Self { from, quarantine: false, behind_ends: false }
    }

    /// From single segment files, in this order: those of an archive, say.
    pub fn files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let from = From::Files(paths.into_iter().collect());
        Self { from, quarantine: false, behind_ends: false }
    }

    /// Also from the segments that recovery has put aside, after those of the log. Their sequences
    /// may be those of other events in the log, if they were cut from a torn tail.
    #[must_use]
    pub fn with_quarantine(mut self) -> Self {
        self.quarantine = true;
        self
    }

    /// Also what stands behind the end of a segment that recovery has cut. It is no part of the
    /// log, and was promised to nobody.
    #[must_use]
    pub fn behind_ends(mut self) -> Self {
        self.behind_ends = true;
        self
    }

    /// Gives every event to `each`, in the order in which they stand, until it breaks.
    ///
    /// It takes the memory of one segment and of all names, and time for each byte.
    ///
    /// # Errors
    ///
    /// The directory cannot be listed. What cannot be read of the files is in the report.
    pub fn run(
        &self,
        each: impl FnMut(&Salvaged<'_>) -> ControlFlow<()>,
    ) -> Result<SalvageReport, SalvageError> {
        let root = match &self.from {
            From::Log(root) => root,
            From::Files(paths) => {
                let files: Vec<_> = paths.iter().cloned().map(Scanned::look).collect();
                let mut work = Work::new(each, Names::new(files.iter()), self.behind_ends);
                // Whether they were looked through to the end makes no difference here.
                let _ = work.files(&files);
                return Ok(work.report);
            }
        };
        let directory = Directory::new(root, DiskIo::default());
        let failed = |source| SalvageError { path: root.clone(), source };
        let (ids, _) = directory.list().map_err(failed)?;
        if ids.is_empty() && !root.is_dir() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let files: Vec<_> = ids.iter().map(|id| Scanned::look(directory.segment(*id))).collect();
        // Also when they are not asked for: what they say tells whose names are whose.
        let aside = put_aside(&directory.quarantine());
        let mut names = Names::new(files.iter().chain(&aside));
        let manifest = Slots::read(&directory).ok();
        let manifest = manifest.as_ref().and_then(Slots::newest).map(|(_, manifest)| manifest);
        names.read_tables(&directory, manifest, &files, &aside);
        let mut work = Work::new(each, names, self.behind_ends);
        work.next = begin(&directory, manifest, ids.first().copied());
        work.manifest = manifest.cloned();
        if work.files(&files).is_break() {
            return Ok(work.report);
        }
        work.miss_up_to_checkpoint();
        if self.quarantine {
            // Whether they were looked through to the end makes no difference here.
            let _ = work.put_aside(&aside);
        }
        Ok(work.report)
    }
}

/// The sequence with which a log begins whose first segment is `first`, if that is known.
fn begin(
    directory: &Directory,
    manifest: Option<&Manifest>,
    first: Option<SegmentId>,
) -> Option<Sequence> {
    let bytes = read_catalog(directory).ok().flatten();
    let (floor, sequence) = match bytes.as_deref().map(Catalog::decode) {
        Some(Ok((catalog, _))) => (catalog.floor, Some(catalog.sequence)),
        // Retention has dropped something, and what it said of it is gone.
        _ if manifest.is_some_and(|manifest| manifest.floor > SegmentId::FIRST) => return None,
        _ => (SegmentId::FIRST, Some(Sequence::FIRST)),
    };
    // What retention has left lying below the floor comes before that.
    sequence.filter(|_| first.is_none_or(|first| first >= floor))
}
