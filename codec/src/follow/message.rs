//! What leader and follower say.

use core::fmt;

use crate::ids::{Epoch, HistoryId, LogId, Position, Sequence};
use crate::layout::PAGE;

/// The version of what follows.
pub const FOLLOW_VERSION: u16 = 1;

/// Bytes of the head of a message.
pub(super) const HEAD: usize = 16;

/// Where a follower has come to, and the frame that proves it: the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowPlace {
    /// Identity of the log.
    pub log: LogId,
    /// History of the frame's epoch.
    pub history: HistoryId,
    /// Epoch of the frame.
    pub epoch: Epoch,
    /// The `crc` of the frame.
    pub frame_crc: u32,
    /// Where the frame stands; zero if there is none yet.
    pub frame: Position,
    /// The first byte behind the frame.
    pub end: Position,
    /// The sequence that comes next.
    pub next: Sequence,
}

/// What a leader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowLeader {
    /// Identity of the log.
    pub log: LogId,
    /// Segment size as a power of two.
    pub bits: u8,
    /// The last epoch.
    pub epoch: Epoch,
    /// Its history.
    pub history: HistoryId,
}

/// Why a leader does not let a follower follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FollowRefusal {
    /// It speaks another version: this one.
    Version(u16),
    /// It is the leader of another log: this one.
    Foreign(LogId),
    /// Retention has dropped what comes next, or it stands in a segment that the leader shares with a
    /// log that it was forked from; this is its oldest event. Begin with a backup.
    Behind(Sequence),
    /// The follower has more than the leader, whose next event is this one: it was written to, or the
    /// leader has lost what it had promised.
    Ahead(Sequence),
    /// The leader has another frame where the follower's last one stands, of this epoch: from some
    /// place on they are two logs.
    Diverged(Epoch),
}

/// Why a leader sends no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FollowEnd {
    /// Its log was closed, and the follower has everything that is durable.
    Closed,
    /// It was told to stop.
    Stopped,
    /// The log can be written no more.
    Poisoned,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowMessage<'a> {
    /// Follower: here I am. `None` if it has no log yet.
    Hello(Option<FollowPlace>),
    /// Leader: go on from there.
    Welcome(FollowLeader),
    /// Leader: no.
    Refusal(FollowRefusal),
    /// Leader: a segment begins, with this first page.
    Segment(&'a [u8]),
    /// Leader: bytes of the segment, from a position on.
    Bytes(Position, &'a [u8]),
    /// Leader: it is your turn. What is durable at the leader ends there.
    Turn(Position, Sequence),
    /// Follower: everything below is durable here.
    Ack(Position, Sequence),
    /// Leader: that was all.
    End(FollowEnd),
}

impl fmt::Display for FollowRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "the leader speaks version {version} of the protocol: use the same version of \
                 factlog on both sides"
            ),
            Self::Foreign(log) => {
                write!(f, "the leader leads another log, {log}: follow with a directory of its own")
            }
            Self::Behind(oldest) => write!(
                f,
                "the leader has dropped what comes next here, or has it from a log that it was forked \
                 from; its oldest event is {oldest}: begin with a backup of it"
            ),
            Self::Ahead(next) => write!(
                f,
                "there is more here than the leader has, whose next event is {next}: this log was \
                 written to since, or the leader has lost what it had promised"
            ),
            Self::Diverged(epoch) => write!(
                f,
                "the leader has another history, of epoch {epoch}, where this log ends: keep one of \
                 the two, and begin anew with the other"
            ),
        }
    }
}

impl core::error::Error for FollowRefusal {}

impl FollowMessage<'_> {
    /// Most bytes of a segment in one message.
    pub const MAX_BYTES: usize = 256 << 10;
    /// Most bytes of a body.
    pub const MAX_BODY: usize = 8 + Self::MAX_BYTES;

    /// What it is called, for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "HELLO",
            Self::Welcome(_) => "WELCOME",
            Self::Refusal(_) => "REFUSAL",
            Self::Segment(_) => "SEGMENT",
            Self::Bytes(..) => "BYTES",
            Self::Turn(..) => "TURN",
            Self::Ack(..) => "ACK",
            Self::End(_) => "END",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    Welcome,
    Refusal,
    Segment,
    Bytes,
    Turn,
    Ack,
    End,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Hello,
        Self::Welcome,
        Self::Refusal,
        Self::Segment,
        Self::Bytes,
        Self::Turn,
        Self::Ack,
        Self::End,
    ];

    pub(super) fn code(self) -> u16 {
        let at = Self::ALL.iter().position(|kind| *kind == self);
        at.and_then(|at| u16::try_from(at + 1).ok()).unwrap_or(0)
    }

    pub(super) fn from_code(code: u16) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Least and most bytes of the body.
    pub(super) const fn lens(self) -> (usize, usize) {
        match self {
            Self::Hello => (80, 80),
            Self::Welcome => (40, 40),
            Self::Refusal => (32, 32),
            Self::Segment => (PAGE, PAGE),
            Self::Bytes => (9, 8 + FollowMessage::MAX_BYTES),
            Self::Turn | Self::Ack => (16, 16),
            Self::End => (8, 8),
        }
    }
}

/// CRC-32 of a message with its first field zero.
pub(super) fn checksum(head: &[u8; HEAD], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[0; 4]);
    hasher.update(head.get(4..).unwrap_or(&[]));
    hasher.update(body);
    hasher.finalize()
}
