//! What writer, cursors and background threads of one open log have in common.

use std::fmt;

use factlog_codec::{Ancestor, LogId, Owner, SegmentId, Sequence, WriteWay};

use super::demand::Demand;
use super::disk::Directory;
use super::durability::{CommitAlign, Durability, Witness};
use super::fault::IoError;
use super::fork::ForkGuard;
use super::frontier::{Activity, Frontier};
use super::holds::Holds;
use super::keeper::Keeper;
use super::map_cache::MapCache;
use super::registry::Registry;
use super::report::RecoveryReport;
use super::segment::SegmentSet;
use super::stream_table::StreamTable;
use super::type_table::TypeTable;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, OnceLock};

/// One open log.
pub(crate) struct Shared {
    pub(crate) directory: Directory,
    /// Which process has opened it.
    pub(crate) fork: ForkGuard,
    pub(crate) bits: u8,
    pub(crate) log: LogId,
    /// The logs that it was forked from.
    pub(crate) lineage: Vec<Ancestor>,
    pub(crate) frontier: Frontier,
    /// When events become durable without being asked for.
    pub(crate) durability: Durability,
    /// How frames get into segments that are taken into use.
    pub(crate) way: WriteWay,
    /// The bytes of a segment are written before it is used, so that its blocks need no further
    /// change when frames come.
    pub(crate) written_first: bool,
    /// Acknowledged commits end at pages.
    pub(crate) align: CommitAlign,
    pub(crate) witness: Witness,
    /// What is waited for to be durable.
    pub(crate) demand: Demand,
    pub(crate) segments: SegmentSet,
    pub(crate) maps: MapCache,
    /// What retention must leave.
    pub(crate) holds: Holds,
    /// Whoever has this is the one that drops segments, or finds floor, catalog and first segment of
    /// one moment. It may be held for as long as files are copied; it comes before the keeper.
    pub(crate) retaining: Mutex<Retaining>,
    /// Held for as long as a manifest is written: syncs wait for it.
    pub(crate) keeper: Mutex<Keeper>,
    /// The named cursors.
    pub(crate) registry: Registry,
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
    /// Somebody waits for this event to be durable.
    pub(crate) fn demand(&self, sequence: Sequence) {
        self.demand.raise(sequence, self.frontier.visible_pair().1);
    }

    /// Whose a segment is. An ancestor's is never written, also when this is the last name that
    /// its file has.
    pub(crate) fn owner(&self, segment: SegmentId) -> Owner {
        Owner::of(segment, self.log, &self.lineage, self.bits)
    }

    /// Whether commits end at pages.
    pub(crate) fn pads(&self) -> bool {
        self.durability.is_acknowledged() && self.align == CommitAlign::Page
    }

    /// Stops the writer for good, and says so to readers. The first cause stays.
    pub(crate) fn poison(&self, error: IoError) -> Arc<IoError> {
        let cause = self.poison_quietly(error);
        self.frontier.end(Activity::Poisoned);
        cause
    }

    /// The same, but for waking those who sleep: whoever calls this does it later, when it holds
    /// no lock.
    pub(crate) fn poison_quietly(&self, error: IoError) -> Arc<IoError> {
        let cause = self.poison.set(error);
        self.frontier.set_activity(Activity::Poisoned);
        cause
    }
}

/// Whether segments may be dropped: only as long as the writer has its lock.
#[derive(Debug, Default)]
pub(crate) struct Retaining {
    ended: bool,
}

impl Retaining {
    /// From here on nothing is dropped: the lock is let go.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
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
    /// Frames of events, and their bytes: only the writer counts.
    frames: AtomicU64,
    bytes: AtomicU64,
}

/// The counters, as they were read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) rollovers: u64,
    pub(crate) stalls: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

impl Counters {
    /// Counts a frame. Only the writer, so that it needs no locked instruction.
    #[inline]
    pub(crate) fn count_frame(&self, bytes: u64) {
        let more = |counter: &AtomicU64, by| {
            counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
        };
        more(&self.frames, 1);
        more(&self.bytes, bytes);
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            rollovers: read(&self.rollovers),
            stalls: read(&self.stalls),
            frames: read(&self.frames),
            bytes: read(&self.bytes),
        }
    }
}
