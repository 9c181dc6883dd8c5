//! What was found.

use factlog_codec::{
    Catalog, Epoch, Fold, Position, Seal, SegmentHeader, SegmentId, Sequence, WriteWay,
};

use super::decide::Facts;
use super::replay::Replay;
use crate::log::fault::ItemFault;
use crate::log::report::{Cut, DamageReason};
use crate::log::segment::Segment;
use crate::sync::Arc;

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) facts: Facts,
    pub(crate) replay: Replay,
    /// Segments in use, up to the one with the end.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The last of them; `None` if no segment is in use.
    pub(crate) end: Option<End>,
    /// Segments in use behind the end.
    pub(crate) later: Vec<SegmentId>,
    /// Prepared segments: never used, all zero.
    pub(crate) spares: Vec<SegmentHeader>,
    /// Segments that are not in use, but not zero either.
    pub(crate) dirty: Vec<SegmentId>,
    /// Segments whose header cannot be used, and with it nothing in them.
    pub(crate) unreadable: Vec<SegmentId>,
    pub(crate) damage: Option<DamageReason>,
    pub(crate) cut: Option<Cut>,
    /// Greatest epoch seen anywhere.
    pub(crate) epoch: Epoch,
    /// Segments that were walked; of the others only the beginning and the SEAL was read.
    pub(crate) walked: u32,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
    /// The next sequence.
    pub(crate) next: Sequence,
    /// The greatest sequence, less one, that anything bears witness to: behind the end there may
    /// have been as many.
    pub(crate) reached: Sequence,
    pub(crate) last_ts: u64,
    /// The last frame boundary that is durable, and the next sequence there.
    pub(crate) durable: (Position, Sequence),
    pub(crate) unproven: Vec<Unproven>,
    /// Segments that ended in peace, and have no SEAL yet.
    pub(crate) unsealed: Vec<(SegmentId, Seal)>,
    /// The segment whose stream table recovery began with.
    pub(crate) table: Option<SegmentId>,
    /// Stream tables that are there and cannot be used.
    pub(crate) bad_tables: Vec<SegmentId>,
    /// The log was repaired after the manifest's checkpoint was noted, which says nothing any more.
    pub(crate) repaired: bool,
    /// The log does not begin as it must: cutting its end does not help.
    pub(crate) headless: bool,
    /// A frame that makes no sense, of which a part may have been taken in.
    pub(crate) refused: Option<(Position, ItemFault)>,
}

/// The segment in which the log ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) header: SegmentHeader,
    pub(crate) offset: u32,
    pub(crate) fold: Fold,
    pub(crate) frames: u32,
    pub(crate) first_sequence: Sequence,
    pub(crate) first_ts: u64,
    pub(crate) sealed: bool,
    pub(crate) way: WriteWay,
}

/// Bytes that recovery found in the page cache: they verified, but whether they are on the
/// medium nobody knows. A sync that failed in an earlier process may have left them behind as
/// clean pages that were never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub(crate) segment: SegmentId,
    pub(crate) from: u32,
    pub(crate) to: u32,
    /// The next sequence at `to`.
    pub(crate) next: Sequence,
}

/// What the log begins with, where retention has dropped what was before.
#[derive(Debug, Default)]
pub(crate) struct Begin {
    pub(crate) catalog: Option<Catalog>,
    /// Its streams.
    pub(crate) replay: Replay,
    /// A frame that verifies but makes no sense, as an earlier look has found: nothing of it is
    /// taken in.
    pub(crate) refused: Option<(Position, ItemFault)>,
}

impl Begin {
    /// The first segment that is left.
    pub(crate) fn floor(&self) -> SegmentId {
        self.catalog.map_or(SegmentId::FIRST, |catalog| catalog.floor)
    }
}
