//! Messages from bytes, which may be any.

use core::fmt;

use uuid::Uuid;

use super::message::{
    FOLLOW_VERSION, FollowEnd, FollowLeader, FollowMessage, FollowPlace, FollowRefusal, HEAD, Kind,
    checksum,
};
use crate::bytes::{Reader, all_zero};
use crate::ids::{Epoch, HistoryId, LogId, Position, Sequence};
use crate::layout::{MAX_SEGMENT_BITS, MIN_SEGMENT_BITS};

/// The greatest epoch that a leader may say it is of.
const MAX_EPOCH: u32 = 1 << 31;

/// The head of a message: its length, kind and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowHead {
    crc: u32,
    len: u32,
    kind: Kind,
    raw: [u8; Self::LEN],
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

impl FollowHead {
    /// Bytes of a head.
    pub const LEN: usize = HEAD;

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
        // Whoever is promoted needs a higher one: nobody is to use them up with a word.
        if !(MIN_SEGMENT_BITS..=MAX_SEGMENT_BITS).contains(&bits) || epoch.get() > MAX_EPOCH {
            return Err(FollowMessageError::Field);
        }
        Ok(FollowLeader { log, bits, epoch, history })
    }

    fn refusal(&mut self) -> Result<FollowRefusal, FollowMessageError> {
        // Of every version: so that both sides learn that they do not speak the same.
        let (reason, version) = (self.u16(), self.u16());
        let (epoch, sequence) = (Epoch::new(self.u32()), Sequence::new(self.u64()));
        let log = LogId::new(self.uuid());
        let refusal = match reason {
            1 => FollowRefusal::Version(version),
            2 => FollowRefusal::Foreign(log),
            3 => FollowRefusal::Behind(sequence),
            4 => FollowRefusal::Ahead(sequence),
            5 => FollowRefusal::Diverged(epoch),
            _ => return Err(FollowMessageError::Field),
        };
        // What the reason does not name is zero. Another version may say more.
        let zero = version == 0
            && (reason == 2 || log == LogId::default())
            && (matches!(reason, 3 | 4) || sequence == Sequence::ZERO)
            && (reason == 5 || epoch == Epoch::default());
        if reason == 1 || zero { Ok(refusal) } else { Err(FollowMessageError::Reserved) }
    }
}
