//! What was found, cut and kept, for people and for programs.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use factlog_codec::{
    CursorName, Epoch, HeaderError, ManifestError, Place, Position, SegmentId, Sequence, Stop,
};

use super::fault::ItemFault;

/// How a log was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryOutcome {
    /// There was none: it was made.
    Created,
    /// It was closed cleanly.
    ClosedCleanly,
    /// It was not closed, but ends where its frames end.
    Clean,
    /// Its tail was torn: something that had not been promised was cut.
    Torn,
    /// It was damaged, and has been repaired: what was lost is in the report.
    Repaired,
    /// It is damaged, and open for reading up to the damage.
    Damaged,
}

/// What opening a log found, cut and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// How the log was found.
    pub outcome: RecoveryOutcome,
    /// Segments in use.
    pub segments: u32,
    /// Segments of which every frame was read; of the others only the beginning and the SEAL.
    pub walked: u32,
    /// The segment with whose stream table recovery began.
    pub stream_table: Option<SegmentId>,
    /// Segments whose stream tables cannot be used. They are derived: nothing is lost with them.
    pub bad_stream_tables: Vec<SegmentId>,
    /// Sequences that were lost to damage and given up by a repair: the first and the last.
    pub lost: Option<(Sequence, Sequence)>,
    /// Frames read and verified.
    pub frames: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// The next sequence: one more than the events there are, unless some were lost to damage.
    pub next_sequence: Sequence,
    /// Where the frames end.
    pub end: Place,
    /// Everything below this was durable, by the greatest witness there is.
    pub durable: Position,
    /// What stands behind the end, if anything does.
    pub cut: Option<Cut>,
    /// Segments that were taken out of the way, under their new names.
    pub quarantined: Vec<PathBuf>,
    /// A slot of the manifest that cannot be used; the other one can.
    pub manifest: Option<ManifestError>,
    /// Named cursors whose files cannot be used: they hold nothing. What is wrong with each is
    /// said by [`Log::named_cursors`](crate::Log::named_cursors), and when it is attached.
    pub damaged_cursors: Vec<CursorName>,
    /// The damage, if there is any and the log was opened for reading only.
    pub damage: Option<Box<Damage>>,
    /// The epoch that began; for reading only, the last one.
    pub epoch: Epoch,
    /// How long it took.
    pub elapsed: Duration,
}

/// What stands behind the last frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cut {
    /// The first place without a frame.
    pub place: Place,
    /// Why there is none.
    pub stop: Stop,
    /// Frames behind it that verify, though nothing leads to them.
    pub frames: u32,
    /// Segments behind it that were in use.
    pub segments: Vec<SegmentId>,
}

/// Why a log counts as damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageReason {
    /// No frame where one was durable.
    Lost(Stop),
    /// A frame that verifies cannot be right.
    Fault(ItemFault),
    /// A segment header that cannot be used.
    Header(HeaderError),
    /// The next segment says that this one ends elsewhere, or holds other frames.
    Successor(SegmentId),
    /// What stands behind the end makes too much work to be looked at.
    Undecided,
}

/// Proof that a log is damaged: something that was promised is gone or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The directory of the log.
    pub directory: PathBuf,
    /// Where it begins.
    pub place: Place,
    /// What is wrong there.
    pub reason: DamageReason,
    /// Everything below this was durable.
    pub durable: Position,
    /// The next sequence at the damage: what is before it can still be read.
    pub next_sequence: Sequence,
    /// Segment size of the log as a power of two, which makes places of positions.
    pub bits: u8,
}

impl fmt::Display for DamageReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(stop) => stop.reason.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
            Self::Header(error) => error.fmt(f),
            Self::Successor(next) => {
                write!(f, "segment {next} contradicts what stands before it")
            }
            Self::Undecided => {
                write!(f, "the bytes there cannot be looked through in bounded time")
            }
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the log in {} is damaged at {}: {}. ",
            self.directory.display(),
            self.place,
            self.reason
        )?;
        if self.place.position(self.bits) < self.durable {
            let durable = Place::of(self.durable, self.bits);
            write!(f, "A witness says that everything below {durable} was durable. ")?;
        }
        write!(
            f,
            "Nothing was changed. Restore the files from a backup; or open the log for reading \
             only: events before sequence {} are intact; or take out of it with `salvage` all that \
             verifies; or cut it there with `Recovery::Repair`",
            self.next_sequence
        )
    }
}

impl std::error::Error for Damage {}

/// So many of something.
pub(crate) fn counted(number: u64, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            RecoveryOutcome::Created => return write!(f, "a new log, epoch {}", self.epoch),
            RecoveryOutcome::ClosedCleanly => write!(f, "closed cleanly")?,
            RecoveryOutcome::Clean => write!(f, "not closed, but whole")?,
            RecoveryOutcome::Torn => write!(f, "torn tail cut")?,
            RecoveryOutcome::Repaired => write!(f, "damage cut")?,
            RecoveryOutcome::Damaged => write!(f, "damaged, readable up to the damage")?,
        }
        write!(
            f,
            ": {}, of which {} read ({}, {} bytes), the next sequence is {}, the end is {}; it took \
             {:.1?}",
            counted(self.segments.into(), "segment"),
            if self.walked == 1 { "1 was".into() } else { format!("{} were", self.walked) },
            counted(self.frames, "frame"),
            self.bytes,
            self.next_sequence,
            self.end,
            self.elapsed
        )?;
        if let Some((first, last)) = self.lost {
            write!(f, "; events {first} to {last} are lost")?;
        }
        for id in &self.bad_stream_tables {
            write!(f, "; the stream table of segment {id} is not usable, and was not needed")?;
        }
        if let Some(cut) = &self.cut {
            write!(f, "; cut at {}: {}", cut.place, cut.stop.reason)?;
            if cut.frames > 0 || !cut.segments.is_empty() {
                let frames = counted(cut.frames.into(), "frame");
                let segments = counted(cut.segments.len() as u64, "segment");
                write!(f, " ({frames} and {segments} behind it were never durable)")?;
            }
        }
        for path in &self.quarantined {
            write!(f, "; moved to {}", path.display())?;
        }
        if let Some(error) = &self.manifest {
            write!(f, "; one slot of the manifest is not usable: {error}")?;
        }
        for name in &self.damaged_cursors {
            write!(f, "; the file of the cursor {name} is not usable")?;
        }
        if let Some(damage) = &self.damage {
            write!(f, "; {damage}")?;
        }
        Ok(())
    }
}

/// How far opening has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// Segments read.
    pub done: usize,
    /// Segments to read.
    pub of: usize,
}

/// What retention has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retained {
    /// How many segments went.
    pub dropped: u32,
    /// The oldest event that is left, or the next one to come.
    pub oldest: Sequence,
    /// What would have gone as well, were it not held (by a cursor, a snapshot, an engine): the
    /// sequence from which on it is.
    pub held: Option<Sequence>,
    /// Files that could not be removed, and why. They are no part of the log any more, and are
    /// removed when it is opened the next time.
    pub left: Vec<(PathBuf, String)>,
}
