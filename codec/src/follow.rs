//! Messages between a leader and a follower: a log is taken over byte for byte, as far as it is
//! durable.
//!
//! They take turns: the leader sends, and ends its turn with a [`FollowMessage::Turn`]; the follower
//! makes durable what has come, and answers with an [`FollowMessage::Ack`]. Neither reads and writes
//! at once, so any stream of bytes will do, and neither needs a second thread.

use core::fmt;

use uuid::Uuid;

use crate::bytes::{Reader, all_zero};
use crate::ids::{Epoch, HistoryId, LogId, Position, Sequence};
use crate::layout::{MAX_SEGMENT_BITS, MIN_SEGMENT_BITS, PAGE};

/// The version of what follows.
pub const FOLLOW_VERSION: u16 = 1;

/// The head of a message: its length, kind and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowHead {
    crc: u32,
    len: u32,
    kind: Kind,
    raw: [u8; Self::LEN],
}

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
    /// Retention has dropped what comes next; this is its oldest event. Begin with a backup.
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

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FollowMessageError {
    /// An unknown kind.
    Kind(u16),
    /// Messages of this kind do not have this length.
    Len(u32),
    /// The checksum does not hold.
    Checksum,
    /// The version is none that is known.
    Version(u16),
    /// A field says something that is impossible.
    Field,
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for FollowMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "unknown kind of message: {kind}"),
            Self::Len(len) => write!(f, "impossible length of a message: {len} bytes"),
            Self::Checksum => write!(f, "the checksum of the message does not hold"),
            Self::Version(version) => write!(
                f,
                "version {version} of the protocol is not known here (newest known: \
                 {FOLLOW_VERSION})"
            ),
            Self::Field => write!(f, "a field of the message says something impossible"),
            Self::Reserved => write!(f, "a reserved field of the message is in use"),
        }
    }
}

impl core::error::Error for FollowMessageError {}

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
                "the leader has dropped what comes next here; its oldest event is {oldest}: begin \
                 with a backup of it"
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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

    fn code(self) -> u16 {
        let at = Self::ALL.iter().position(|kind| *kind == self);
        at.and_then(|at| u16::try_from(at + 1).ok()).unwrap_or(0)
    }

    fn from_code(code: u16) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Least and most bytes of the body.
    const fn lens(self) -> (usize, usize) {
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

impl FollowHead {
    /// Bytes of a head.
    pub const LEN: usize = 16;

    /// From the first bytes of a message, which may be anything. Its length is one that a message of
    /// its kind can have.
    ///
    /// # Errors
    ///
    /// They are none.
    pub fn decode(raw: &[u8; Self::LEN]) -> Result<Self, FollowMessageError> {
        let mut reader = Reader::new(raw);
        let crc = reader.pod::<[u8; 4]>().map_or(0, u32::from_le_bytes);
        let len = reader.pod::<[u8; 4]>().map_or(0, u32::from_le_bytes);
        let kind = reader.pod::<[u8; 2]>().map_or(0, u16::from_le_bytes);
        if !all_zero(reader.rest()) {
            return Err(FollowMessageError::Reserved);
        }
        let kind = Kind::from_code(kind).ok_or(FollowMessageError::Kind(kind))?;
        let (least, most) = kind.lens();
        let fits = usize::try_from(len).is_ok_and(|len| (least..=most).contains(&len));
        if !fits {
            return Err(FollowMessageError::Len(len));
        }
        Ok(Self { crc, len, kind, raw: *raw })
    }

    /// Bytes of the body, which follows: at most [`FollowMessage::MAX_BODY`].
    pub const fn body_len(&self) -> usize {
        self.len as usize
    }

    /// The message with this body.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn open<'a>(&self, body: &'a [u8]) -> Result<FollowMessage<'a>, FollowMessageError> {
        if body.len() != self.body_len() {
            return Err(FollowMessageError::Len(self.len));
        }
        if checksum(&self.raw, body) != self.crc {
            return Err(FollowMessageError::Checksum);
        }
        let mut fields = Fields(Reader::new(body));
        let message = match self.kind {
            Kind::Hello => FollowMessage::Hello(fields.hello()?),
            Kind::Welcome => FollowMessage::Welcome(fields.welcome()?),
            Kind::Refusal => FollowMessage::Refusal(fields.refusal()?),
            Kind::Segment => FollowMessage::Segment(body),
            Kind::Bytes => {
                let position = fields.position();
                FollowMessage::Bytes(position, fields.0.rest())
            }
            Kind::Turn => FollowMessage::Turn(fields.position(), Sequence::new(fields.u64())),
            Kind::Ack => FollowMessage::Ack(fields.position(), Sequence::new(fields.u64())),
            Kind::End => {
                let end = match fields.u16() {
                    1 => FollowEnd::Closed,
                    2 => FollowEnd::Stopped,
                    3 => FollowEnd::Poisoned,
                    _ => return Err(FollowMessageError::Field),
                };
                fields.zero(6)?;
                FollowMessage::End(end)
            }
        };
        Ok(message)
    }
}

/// CRC-32 of a message with its first field zero.
fn checksum(head: &[u8; FollowHead::LEN], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[0; 4]);
    hasher.update(head.get(4..).unwrap_or(&[]));
    hasher.update(body);
    hasher.finalize()
}

/// The fields of a body, whose length was checked.
struct Fields<'a>(Reader<'a>);

impl Fields<'_> {
    fn u16(&mut self) -> u16 {
        self.0.pod::<[u8; 2]>().map_or(0, u16::from_le_bytes)
    }

    fn u32(&mut self) -> u32 {
        self.0.pod::<[u8; 4]>().map_or(0, u32::from_le_bytes)
    }

    fn u64(&mut self) -> u64 {
        self.0.pod::<[u8; 8]>().map_or(0, u64::from_le_bytes)
    }

    fn position(&mut self) -> Position {
        Position::from_raw(self.u64())
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes(self.0.pod().unwrap_or_default())
    }

    fn zero(&mut self, bytes: usize) -> Result<(), FollowMessageError> {
        let zero = self.0.take(bytes).is_some_and(all_zero);
        if zero { Ok(()) } else { Err(FollowMessageError::Reserved) }
    }

    fn version(&mut self) -> Result<(), FollowMessageError> {
        match self.u16() {
            FOLLOW_VERSION => Ok(()),
            other => Err(FollowMessageError::Version(other)),
        }
    }

    fn hello(&mut self) -> Result<Option<FollowPlace>, FollowMessageError> {
        self.version()?;
        let there = self.u16();
        let place = FollowPlace {
            epoch: Epoch::new(self.u32()),
            log: LogId::new(self.uuid()),
            history: HistoryId::new(self.uuid()),
            frame: self.position(),
            end: self.position(),
            next: Sequence::new(self.u64()),
            frame_crc: self.u32(),
        };
        self.zero(12)?;
        let nothing = FollowPlace {
            log: LogId::default(),
            history: HistoryId::default(),
            epoch: Epoch::default(),
            frame_crc: 0,
            frame: Position::ZERO,
            end: Position::ZERO,
            next: Sequence::ZERO,
        };
        match there {
            0 if place == nothing => Ok(None),
            1 => Ok(Some(place)),
            _ => Err(FollowMessageError::Field),
        }
    }

    fn welcome(&mut self) -> Result<FollowLeader, FollowMessageError> {
        self.version()?;
        let bits = self.u16();
        let epoch = Epoch::new(self.u32());
        let (log, history) = (LogId::new(self.uuid()), HistoryId::new(self.uuid()));
        let bits = u8::try_from(bits).map_err(|_| FollowMessageError::Field)?;
        if !(MIN_SEGMENT_BITS..=MAX_SEGMENT_BITS).contains(&bits) {
            return Err(FollowMessageError::Field);
        }
        Ok(FollowLeader { log, bits, epoch, history })
    }

    fn refusal(&mut self) -> Result<FollowRefusal, FollowMessageError> {
        // Of every version: so that both sides learn that they do not speak the same.
        let (reason, version) = (self.u16(), self.u16());
        let (epoch, sequence) = (Epoch::new(self.u32()), Sequence::new(self.u64()));
        let log = LogId::new(self.uuid());
        match reason {
            1 => Ok(FollowRefusal::Version(version)),
            2 => Ok(FollowRefusal::Foreign(log)),
            3 => Ok(FollowRefusal::Behind(sequence)),
            4 => Ok(FollowRefusal::Ahead(sequence)),
            5 => Ok(FollowRefusal::Diverged(epoch)),
            _ => Err(FollowMessageError::Field),
        }
    }
}

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

    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; FollowHead::LEN]);
        let kind = self.encode_body(out);
        let (Some(len), Some(message)) = (
            out.len().checked_sub(begin + FollowHead::LEN).and_then(|len| u32::try_from(len).ok()),
            out.get_mut(begin..),
        ) else {
            return;
        };
        let Some((head, body)) = message.split_first_chunk_mut::<{ FollowHead::LEN }>() else {
            return;
        };
        debug_assert!((kind.lens().0..=kind.lens().1).contains(&body.len()), "{kind:?}");
        let mut raw = [0; FollowHead::LEN];
        let fields = [&[0; 4][..], &len.to_le_bytes(), &kind.code().to_le_bytes()].concat();
        raw.iter_mut().zip(&fields).for_each(|(to, from)| *to = *from);
        let crc = checksum(&raw, body).to_le_bytes();
        raw.iter_mut().zip(&crc).for_each(|(to, from)| *to = *from);
        *head = raw;
    }

    fn encode_body(&self, out: &mut Vec<u8>) -> Kind {
        match *self {
            Self::Hello(place) => {
                out.extend_from_slice(&FOLLOW_VERSION.to_le_bytes());
                out.extend_from_slice(&u16::from(place.is_some()).to_le_bytes());
                match place {
                    None => out.extend_from_slice(&[0; 76]),
                    Some(place) => {
                        out.extend_from_slice(&place.epoch.get().to_le_bytes());
                        out.extend_from_slice(place.log.uuid().as_bytes());
                        out.extend_from_slice(place.history.uuid().as_bytes());
                        for word in [place.frame.raw(), place.end.raw(), place.next.get()] {
                            out.extend_from_slice(&word.to_le_bytes());
                        }
                        out.extend_from_slice(&place.frame_crc.to_le_bytes());
                        out.extend_from_slice(&[0; 12]);
                    }
                }
                Kind::Hello
            }
            Self::Welcome(leader) => {
                out.extend_from_slice(&FOLLOW_VERSION.to_le_bytes());
                out.extend_from_slice(&u16::from(leader.bits).to_le_bytes());
                out.extend_from_slice(&leader.epoch.get().to_le_bytes());
                out.extend_from_slice(leader.log.uuid().as_bytes());
                out.extend_from_slice(leader.history.uuid().as_bytes());
                Kind::Welcome
            }
            Self::Refusal(refusal) => {
                let none = (0, Epoch::default(), Sequence::ZERO, LogId::default());
                let (reason, (version, epoch, sequence, log)) = match refusal {
                    FollowRefusal::Version(version) => (1_u16, (version, none.1, none.2, none.3)),
                    FollowRefusal::Foreign(log) => (2, (0, none.1, none.2, log)),
                    FollowRefusal::Behind(oldest) => (3, (0, none.1, oldest, none.3)),
                    FollowRefusal::Ahead(next) => (4, (0, none.1, next, none.3)),
                    FollowRefusal::Diverged(epoch) => (5, (0, epoch, none.2, none.3)),
                };
                out.extend_from_slice(&reason.to_le_bytes());
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(&epoch.get().to_le_bytes());
                out.extend_from_slice(&sequence.get().to_le_bytes());
                out.extend_from_slice(log.uuid().as_bytes());
                Kind::Refusal
            }
            Self::Segment(page) => {
                out.extend_from_slice(page);
                Kind::Segment
            }
            Self::Bytes(position, bytes) => {
                out.extend_from_slice(&position.raw().to_le_bytes());
                out.extend_from_slice(bytes);
                Kind::Bytes
            }
            Self::Turn(position, next) | Self::Ack(position, next) => {
                out.extend_from_slice(&position.raw().to_le_bytes());
                out.extend_from_slice(&next.get().to_le_bytes());
                if matches!(self, Self::Turn(..)) { Kind::Turn } else { Kind::Ack }
            }
            Self::End(end) => {
                let code: u16 = match end {
                    FollowEnd::Closed => 1,
                    FollowEnd::Stopped => 2,
                    FollowEnd::Poisoned => 3,
                };
                out.extend_from_slice(&code.to_le_bytes());
                out.extend_from_slice(&[0; 6]);
                Kind::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> FollowPlace {
        FollowPlace {
            log: LogId::new(Uuid::from_u128(1)),
            history: HistoryId::new(Uuid::from_u128(2)),
            epoch: Epoch::new(3),
            frame_crc: 4,
            frame: Position::from_raw(5),
            end: Position::from_raw(6),
            next: Sequence::new(7),
        }
    }

    fn leader() -> FollowLeader {
        let FollowPlace { log, history, epoch, .. } = place();
        FollowLeader { log, bits: 22, epoch, history }
    }

    fn all<'a>(page: &'a [u8], most: &'a [u8]) -> Vec<FollowMessage<'a>> {
        let (at, next) = (Position::from_raw(9), Sequence::new(10));
        vec![
            FollowMessage::Hello(None),
            FollowMessage::Hello(Some(place())),
            FollowMessage::Welcome(leader()),
            FollowMessage::Refusal(FollowRefusal::Version(2)),
            FollowMessage::Refusal(FollowRefusal::Foreign(place().log)),
            FollowMessage::Refusal(FollowRefusal::Behind(next)),
            FollowMessage::Refusal(FollowRefusal::Ahead(next)),
            FollowMessage::Refusal(FollowRefusal::Diverged(Epoch::new(8))),
            FollowMessage::Segment(page),
            FollowMessage::Bytes(at, &[1]),
            FollowMessage::Bytes(at, most),
            FollowMessage::Turn(at, next),
            FollowMessage::Ack(at, next),
            FollowMessage::End(FollowEnd::Closed),
            FollowMessage::End(FollowEnd::Stopped),
            FollowMessage::End(FollowEnd::Poisoned),
        ]
    }

    fn decode(bytes: &[u8]) -> Result<FollowMessage<'_>, FollowMessageError> {
        let (head, body) = bytes.split_first_chunk().expect("a head");
        FollowHead::decode(head)?.open(body)
    }

    #[test]
    fn does_every_message_come_back() {
        let (page, most) = (vec![3; PAGE], vec![4; FollowMessage::MAX_BYTES]);
        for message in all(&page, &most) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(decode(&bytes), Ok(message));
        }
    }

    /// A head and a body that were changed anywhere are no message.
    #[test]
    fn is_every_flipped_bit_refused() {
        let page = vec![3; PAGE];
        for message in all(&page, &[7; 40]) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                decode(&bytes).expect_err("a message with a flipped bit");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    /// What is checked behind the checksum, for one who can make one.
    #[test]
    fn are_impossible_fields_refused() {
        let with = |message: FollowMessage<'_>, at: usize, to: u8| {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            bytes[at] = to;
            bytes[..4].fill(0);
            let crc = crc32fast::hash(&bytes);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            decode(&bytes).expect_err("refused")
        };
        let turn = FollowMessage::Turn(Position::ZERO, Sequence::ZERO);
        assert_eq!(with(turn, 8, 0), FollowMessageError::Kind(0));
        assert_eq!(with(turn, 8, 9), FollowMessageError::Kind(9));
        assert_eq!(with(turn, 4, 17), FollowMessageError::Len(17));
        assert_eq!(with(turn, 7, 1), FollowMessageError::Len(0x0100_0010));
        assert_eq!(with(turn, 12, 1), FollowMessageError::Reserved);
        let hello = FollowMessage::Hello(Some(place()));
        assert_eq!(with(hello, 16, 2), FollowMessageError::Version(2));
        assert_eq!(with(hello, 18, 2), FollowMessageError::Field);
        assert_eq!(with(hello, 18, 0), FollowMessageError::Field);
        assert_eq!(with(hello, 95, 1), FollowMessageError::Reserved);
        let welcome = FollowMessage::Welcome(leader());
        assert_eq!(with(welcome, 18, 31), FollowMessageError::Field);
        assert_eq!(with(welcome, 19, 1), FollowMessageError::Field);
        assert_eq!(with(FollowMessage::End(FollowEnd::Closed), 16, 4), FollowMessageError::Field);
        let refusal = FollowMessage::Refusal(FollowRefusal::Version(2));
        assert_eq!(with(refusal, 16, 9), FollowMessageError::Field);
    }
}
