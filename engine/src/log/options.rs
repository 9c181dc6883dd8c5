//! How a log is opened.

use std::fmt;

use factlog_codec::WriteWay;
use factlog_codec::layout::{DEFAULT_SEGMENT_BITS, MAX_SEGMENT_BITS, MIN_SEGMENT_BITS};
use factlog_codec::types::{EventType, Vocabulary};

use super::clock::Clock;
use super::disk::DiskObserver;
use super::durability::{CommitAlign, Durability, Witness};
use super::error::OptionError;
use super::recovery::Recovery;
use super::report::RecoveryProgress;
use crate::sync::Arc;

const MOST_SPARE_SEGMENTS: usize = 16;

/// How a log is opened. Every option has a default that does for most.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// let writer = factlog::Options::new().segment_size(4 << 20).open(dir.path())?;
/// writer.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Options {
    pub(super) segment_size: u64,
    pub(super) spare_segments: usize,
    pub(super) prefault: usize,
    pub(super) mapped_segments: usize,
    pub(super) durability: Durability,
    pub(super) way: Option<WriteWay>,
    pub(super) align: CommitAlign,
    pub(super) recovery: Recovery,
    pub(super) witness: Witness,
    pub(super) network: bool,
    pub(super) clock: Option<Box<dyn Clock>>,
    pub(super) types: Vec<&'static EventType>,
    pub(super) progress: Option<ProgressFn>,
    pub(super) observer: Option<Arc<dyn DiskObserver>>,
}

type ProgressFn = Box<dyn FnMut(RecoveryProgress)>;

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_size", &self.segment_size)
            .field("spare_segments", &self.spare_segments)
            .field("prefault", &self.prefault)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_size: 1 << DEFAULT_SEGMENT_BITS,
            spare_segments: 2,
            prefault: 8 << 20,
            mapped_segments: 16,
            durability: Durability::default(),
            way: None,
            align: CommitAlign::default(),
            recovery: Recovery::default(),
            witness: Witness::default(),
            network: false,
            clock: None,
            types: Vec::new(),
            progress: None,
            observer: None,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of a segment of a new log: a power of two from 4 MiB to 1 GiB; 64 MiB by default. A
    /// log keeps the size that it was made with.
    ///
    /// Larger segments take larger transactions (up to 1 MiB) with less left over at their ends.
    #[must_use]
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = bytes;
        self
    }

    /// Segments that are kept ready ahead of the writer, from 1 to 16; 2 by default, and always one
    /// in reserve, with which a torn tail can be ended on a full disk. One more costs its size in
    /// disk space, and lets the writer run further ahead of a slow disk.
    #[must_use]
    pub fn spare_segments(mut self, count: usize) -> Self {
        self.spare_segments = count;
        self
    }

    /// Bytes ahead of the writer whose pages are made present in the background; 8 MiB by
    /// default, 0 for none.
    #[must_use]
    pub fn prefault(mut self, bytes: usize) -> Self {
        self.prefault = bytes;
        self
    }

    /// Segments that stay mapped after somebody has read them; 16 by default. Those from which
    /// something is borrowed, and those of cursors, are mapped besides.
    #[must_use]
    pub fn mapped_segments(mut self, count: usize) -> Self {
        self.mapped_segments = count;
        self
    }

    /// When events become durable without being asked for: in the background, by default.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How frames get into segments. By default [`WriteWay::Staged`] where commits are acknowledged
    /// ([`Durability::Group`], [`Durability::Always`]) and on file systems that allocate again at
    /// each write (btrfs, ZFS, bcachefs, F2FS, FUSE), which take no other; else
    /// [`WriteWay::Mapped`], which makes no system call for an event.
    #[must_use]
    pub fn write_way(mut self, way: WriteWay) -> Self {
        self.way = Some(way);
        self
    }

    /// Where commits end that are acknowledged as durable: at pages, by default.
    #[must_use]
    pub fn commit_align(mut self, align: CommitAlign) -> Self {
        self.align = align;
        self
    }

    /// What opening does about what a crash has left: by default a torn tail is cut, and damage
    /// refused.
    #[must_use]
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// Whether the last acknowledged commit has a witness on the medium at once, or with the next
    /// one.
    #[must_use]
    pub fn witness(mut self, witness: Witness) -> Self {
        self.witness = witness;
        self
    }

    /// Allows network file systems, whose locks and mappings may not hold what they promise.
    #[must_use]
    pub fn network_file_systems(mut self, allowed: bool) -> Self {
        self.network = allowed;
        self
    }

    /// Where frames get their time: for imports and tests. By default the processor's counter,
    /// held against the system's clock, to about a microsecond.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// Holds a vocabulary against the types in the log when it is opened, instead of at the first
    /// append or read of each.
    #[must_use]
    pub fn vocabulary<V: Vocabulary>(mut self) -> Self {
        self.types.extend(V::types());
        self
    }

    /// Holds these types against those in the log as well.
    pub(crate) fn types(mut self, types: Vec<&'static EventType>) -> Self {
        self.types.extend(types);
        self
    }

    /// When events become durable.
    pub(crate) fn durability_of(&self) -> Durability {
        self.durability
    }

    /// Is told how far opening has come, once for each segment that is read.
    #[must_use]
    pub fn progress(mut self, told: impl FnMut(RecoveryProgress) + 'static) -> Self {
        self.progress = Some(Box::new(told));
        self
    }

    /// Tells somebody of every operation that changes files of the log, before and after it: for
    /// tests that cut the power or fill the disk at a certain one, and for those who measure.
    #[must_use]
    pub fn disk_observer(mut self, observer: Arc<dyn DiskObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Segment size as a power of two, if all options are within their bounds.
    pub(super) fn segment_bits(&self) -> Result<u8, OptionError> {
        if !(1..=MOST_SPARE_SEGMENTS).contains(&self.spare_segments) {
            return Err(OptionError::SpareSegments(self.spare_segments));
        }
        let bits =
            (MIN_SEGMENT_BITS..=MAX_SEGMENT_BITS).find(|bits| 1_u64 << *bits == self.segment_size);
        bits.ok_or(OptionError::SegmentSize(self.segment_size))
    }
}
