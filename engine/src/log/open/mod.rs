//! Opening: facts are gathered, a verdict is taken, and only then anything is written.
//!
//! - `read`, `write`: opening for reading only, and for writing
//! - `facts`: what there is: manifest, catalog, segments, and what is wrong with them
//! - `clear`: what is behind the end is put aside, what is below the floor removed
//! - `take_up`: the segment in which the new epoch writes

mod clear;
mod facts;
mod read;
mod take_up;
mod write;

use std::io;
use std::path::Path;

use factlog_codec::Position;

use super::cursor::Log;
use super::demand::Demand;
use super::disk::Directory;
use super::error::OpenError;
use super::fork::ForkGuard;
use super::frontier::Frontier;
use super::holds::Holds;
use super::keeper::Keeper;
use super::map_cache::MapCache;
use super::options::Options;
use super::recovery::{Depth, Found};
use super::registry::Registry;
use super::report::RecoveryReport;
use super::segment::SegmentSet;
use super::shared::{Counters, Poison, Shared};
use super::writer::Writer;
use crate::sync::{Arc, Mutex};
pub(in crate::log) use clear::{clear_away, remove_below};
use facts::depth;
pub(in crate::log) use facts::{
    Ground, check_drift, check_file_system, damage_of, gather_with, read_begin, read_names,
    report_of,
};

impl Options {
    /// Opens the log in `directory` for writing, and makes it if it is not there. What a crash
    /// has left is recovered; [`Writer::recovery`] says what was found.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. If the log is damaged, nothing was changed.
    pub fn open(self, directory: impl AsRef<Path>) -> Result<Writer, OpenError> {
        let bits = self.segment_bits().map_err(OpenError::Option)?;
        write::open(directory.as_ref(), self, bits)
    }

    /// Opens the log in `directory` for reading only: nothing is written, neither lock nor epoch
    /// taken. What a writer elsewhere adds later is not seen.
    ///
    /// A damaged log is opened up to the damage; [`Log::recovery`] says so. With
    /// [`Recovery::Repair`](crate::Recovery::Repair) all of it is read, so that it shows what a
    /// repair would leave.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_read_only(self, directory: impl AsRef<Path>) -> Result<Log, OpenError> {
        let depth = depth(self.recovery);
        read::open(directory.as_ref(), self, depth)
    }

    /// Reads and verifies all of the log in `directory`, without changing anything, and says what it
    /// found: also damage, and what a crash has left. A log that is open for writing is looked at up
    /// to where it was visible.
    ///
    /// Opening reads only what it needs, which is not the segments that ended long ago.
    ///
    /// # Errors
    ///
    /// There is no log, or it cannot be read at all; see [`OpenError`].
    pub fn verify(self, directory: impl AsRef<Path>) -> Result<RecoveryReport, OpenError> {
        let log = read::open(directory.as_ref(), self, Depth::Everything)?;
        Ok(log.recovery().clone())
    }
}

/// A file that stands where a log is to be says more than that something in it is not found.
pub(in crate::log) fn refuse_file(root: &Path) -> Result<(), OpenError> {
    match root.metadata() {
        Ok(found) if !found.is_dir() => Err(OpenError::NotADirectory(root.to_path_buf())),
        _ => Ok(()),
    }
}

pub(in crate::log) fn make_shared(
    directory: Directory,
    keeper: Keeper,
    found: &mut Found,
    visible: Position,
    report: RecoveryReport,
    (options, ground): (&Options, Ground),
) -> io::Result<Arc<Shared>> {
    let manifest = keeper.manifest().clone();
    let segments = SegmentSet::default();
    for segment in &found.segments {
        segments.push(Arc::clone(segment));
    }
    let (durable, below) = found.durable;
    Ok(Arc::new(Shared {
        directory,
        fork: ForkGuard::new()?,
        bits: manifest.bits,
        log: manifest.log,
        lineage: manifest.lineage.clone(),
        frontier: Frontier::new(visible, found.next, durable, below),
        durability: options.durability,
        way: ground.way,
        written_first: ground.written_first,
        align: options.align,
        witness: options.witness,
        demand: Demand::new(),
        segments,
        maps: MapCache::new(options.mapped_segments),
        holds: Holds::new(manifest.bits, manifest.floor),
        retaining: Mutex::default(),
        keeper: Mutex::new(keeper),
        registry: Registry::new(),
        types: std::mem::take(&mut found.replay.types),
        streams: std::mem::take(&mut found.replay.streams),
        poison: Poison::default(),
        counters: Counters::default(),
        report,
    }))
}
