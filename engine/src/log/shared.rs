//! What writer, cursors and background threads of one open log have in common.

use std::fmt;

use factlog_codec::LogId;

use super::disk::Directory;
use super::fault::IoError;
use super::frontier::{Activity, Frontier};
use super::report::RecoveryReport;
use super::segment::SegmentSet;
use super::stream_table::StreamTable;
use super::type_table::TypeTable;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, OnceLock};

/// One open log.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    pub(crate) bits: u8,
    pub(crate) log: LogId,
    pub(crate) frontier: Frontier,
    pub(crate) segments: SegmentSet,
    pub(crate) types: TypeTable,
    pub(crate) streams: StreamTable,
    pub(crate) poison: Poison,
    pub(crate) counters: Counters,
    pub(crate) report: RecoveryReport,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("directory", &self.directory.root()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Stops the writer for good, and says so to readers. The first cause stays.
    pub(crate) fn poison(&self, error: IoError) -> Arc<IoError> {
        let cause = self.poison.set(error);
        self.frontier.end(Activity::Poisoned);
        cause
    }
}

/// The first failure, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    cause: OnceLock<Arc<IoError>>,
}

impl Poison {
    /// The failure after which nothing may be written.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Arc<IoError>> {
        self.cause.get()
    }

    fn set(&self, error: IoError) -> Arc<IoError> {
        Arc::clone(self.cause.get_or_init(|| Arc::new(error)))
    }
}

/// What happened, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Segments taken into use since opening.
    pub(crate) rollovers: AtomicU64,
    /// Rollovers for which no segment was ready.
    pub(crate) stalls: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.rollovers.load(Ordering::Relaxed), self.stalls.load(Ordering::Relaxed))
    }
}
