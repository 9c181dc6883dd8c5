//! SEGOPEN: the first frame of a segment, written when it is taken into use.
//!
//! It says what is before the segment, and carries every type of the log, so that a segment can
//! be read without those before it.

use core::fmt;

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::{Reader, put};
use crate::checksum::Fold;
use crate::frame::{Frame, FrameKind};
use crate::ids::{HistoryId, SegmentId, StreamNumber, TypeNumber};
use crate::item::{ItemError, ItemFlags, ItemHeader, ItemKind, Items, TypeItem, TypeItemError};
use crate::layout::{ITEM_HEADER, align_up};
use crate::raw::RawSegOpen;

/// How the frames of a segment come to the medium; fixed when the segment is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WriteWay {
    /// By stores into a mapping.
    Mapped,
    /// By writes into space that was written before.
    Staged,
}

/// Why the segment before ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Succession {
    /// There is none before: the log begins here.
    First,
    /// It was full.
    Full,
    /// Its tail was torn; recovery ended it at the last frame that verified.
    TornTail,
    /// It was damaged; repair ended it, and lost sequences are named by a GAP.
    Repaired,
    /// It is an ancestor's, which goes on there; the log was forked from it at that place.
    Forked,
}

/// What is before a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// The segment before, or none.
    pub segment: SegmentId,
    /// Where its frames end.
    pub end: u32,
    /// Checksum of all its frames.
    pub fold: Fold,
    /// Why it ends there.
    pub why: Succession,
}

/// The fixed part of a SEGOPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegOpen {
    /// Identity of the writer's history.
    pub history: HistoryId,
    /// What is before.
    pub before: Predecessor,
    /// Wall clock, as read, in nanoseconds since the Unix epoch.
    pub wall_clock: u64,
    /// The next stream number.
    pub next_stream: StreamNumber,
    /// The next type number; `None` when all are used.
    pub next_type: Option<TypeNumber>,
    /// Number of types in the table.
    pub types: u16,
    /// How the segment is written.
    pub way: WriteWay,
}

/// Why a frame is no SEGOPEN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegOpenError {
    /// It is a frame of another kind.
    Kind,
    /// It ends too early.
    Short,
    /// An unknown way of writing.
    Way(u8),
    /// An unknown reason for the end of the predecessor.
    Why(u8),
    /// The table has another number of types than it says: it says this.
    Types(u16),
    /// The table holds something that is no item.
    Item(ItemError),
    /// The table holds an item of another kind.
    NoType(ItemKind),
    /// The table holds a type that cannot be read.
    Type(TypeItemError),
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for SegOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => write!(f, "the first frame of the segment is no SEGOPEN"),
            Self::Short => write!(f, "the SEGOPEN ends too early"),
            Self::Way(way) => write!(f, "unknown way of writing: {way}"),
            Self::Why(why) => write!(f, "unknown reason for the end of the segment before: {why}"),
            Self::Types(types) => write!(f, "the type table does not have its {types} types"),
            Self::Item(error) => write!(f, "the type table cannot be read: {error}"),
            Self::NoType(kind) => write!(f, "the type table holds an item of kind {kind:?}"),
            Self::Type(error) => write!(f, "the type table cannot be read: {error}"),
            Self::Reserved => write!(f, "a reserved field of the SEGOPEN is in use"),
        }
    }
}

impl core::error::Error for SegOpenError {}

impl SegOpen {
    /// Length of the fixed part.
    pub const LEN: usize = size_of::<RawSegOpen>();

    /// Bytes of a table entry for `item`.
    pub fn type_len(item: &TypeItem<'_>) -> usize {
        ITEM_HEADER + align_up(item.encoded_len())
    }

    /// Writes the fixed part to the start of `body`, and gives what follows, where the types go.
    ///
    /// # Panics
    ///
    /// When `body` is shorter than [`LEN`](Self::LEN).
    pub fn encode<'a>(&self, body: &'a mut [u8]) -> &'a mut [u8] {
        let raw = RawSegOpen {
            history: *self.history.uuid().as_bytes(),
            before_fold: self.before.fold.raw(),
            before_segment: self.before.segment.get(),
            before_end: self.before.end,
            wall_clock: self.wall_clock,
            next_stream: self.next_stream.get(),
            next_type: self.next_type.map_or(0, TypeNumber::get),
            types: self.types,
            way: match self.way {
                WriteWay::Mapped => 1,
                WriteWay::Staged => 2,
            },
            why: match self.before.why {
                Succession::First => 1,
                Succession::Full => 2,
                Succession::TornTail => 3,
                Succession::Repaired => 4,
                Succession::Forked => 5,
            },
            ..RawSegOpen::zeroed()
        };
        put(body, bytemuck::bytes_of(&raw))
    }

    /// Writes a TYPE item to the start of `out`, and gives what follows.
    ///
    /// # Panics
    ///
    /// When `out` is shorter than [`type_len`](Self::type_len).
    pub fn encode_type<'a>(
        out: &'a mut [u8],
        number: TypeNumber,
        item: &TypeItem<'_>,
    ) -> &'a mut [u8] {
        let len = item.encoded_len();
        let header = ItemHeader {
            len: u32::try_from(len).unwrap_or(u32::MAX),
            type_number: number,
            flags: ItemFlags { kind: ItemKind::Type, last: false },
            extension_units: 0,
            stream: StreamNumber::NONE,
        };
        let rest = put(out, &header.encode());
        let (payload, rest) = rest.split_at_mut(align_up(len));
        let (payload, padding) = payload.split_at_mut(len);
        item.encode(payload);
        padding.fill(0);
        rest
    }

    /// The fixed part of a verified frame, and its types.
    ///
    /// # Errors
    ///
    /// The frame is no SEGOPEN that can be used.
    pub fn decode<'a>(frame: &Frame<'a>) -> Result<(Self, SegOpenTypes<'a>), SegOpenError> {
        if frame.header.kind != FrameKind::SegOpen {
            return Err(SegOpenError::Kind);
        }
        let open = Self::decode_fixed(frame.body)?;
        let types = frame.body.get(Self::LEN..).unwrap_or(&[]);
        let types = SegOpenTypes { items: Items::new(types) };
        let mut count = 0_u32;
        for entry in types.clone() {
            entry?;
            count += 1;
        }
        if count != u32::from(open.types) {
            return Err(SegOpenError::Types(open.types));
        }
        Ok((open, types))
    }

    /// The fixed part, of the body of a verified frame of this kind. The types, which may not be
    /// at hand, are not looked at.
    ///
    /// # Errors
    ///
    /// The fixed part cannot be used.
    pub fn decode_fixed(body: &[u8]) -> Result<Self, SegOpenError> {
        let mut reader = Reader::new(body);
        let raw: RawSegOpen = reader.pod().ok_or(SegOpenError::Short)?;
        let way = match raw.way {
            1 => WriteWay::Mapped,
            2 => WriteWay::Staged,
            other => return Err(SegOpenError::Way(other)),
        };
        let why = match raw.why {
            1 => Succession::First,
            2 => Succession::Full,
            3 => Succession::TornTail,
            4 => Succession::Repaired,
            5 => Succession::Forked,
            other => return Err(SegOpenError::Why(other)),
        };
        if raw.reserved != [0; 10] {
            return Err(SegOpenError::Reserved);
        }
        let before = Predecessor {
            segment: SegmentId::new(raw.before_segment),
            end: raw.before_end,
            fold: Fold::from_raw(raw.before_fold),
            why,
        };
        Ok(Self {
            history: HistoryId::new(Uuid::from_bytes(raw.history)),
            before,
            wall_clock: raw.wall_clock,
            next_stream: StreamNumber::new(raw.next_stream),
            next_type: (raw.next_type != 0).then(|| TypeNumber::new(raw.next_type)),
            types: raw.types,
            way,
        })
    }
}

/// The types in a SEGOPEN.
#[derive(Debug, Clone)]
pub struct SegOpenTypes<'a> {
    items: Items<'a>,
}

impl<'a> Iterator for SegOpenTypes<'a> {
    type Item = Result<(TypeNumber, TypeItem<'a>), SegOpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.items.next()? {
            Ok(item) => item,
            Err(error) => return Some(Err(SegOpenError::Item(error))),
        };
        let kind = item.header.flags.kind;
        if kind != ItemKind::Type {
            return Some(Err(SegOpenError::NoType(kind)));
        }
        let decoded = TypeItem::decode(item.payload).map_err(SegOpenError::Type);
        Some(decoded.map(|decoded| (item.header.type_number, decoded)))
    }
}
