//! Identities and coordinates: one newtype for each, with its legal arithmetic only.

use core::fmt;

use uuid::Uuid;

use crate::layout;

/// Dense number of an event, from 1, in commit order: the index of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first event: what a reader of nothing has seen.
    pub const ZERO: Self = Self(0);
    /// The first event of a log.
    pub const FIRST: Self = Self(1);

    /// The sequence with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The sequence `count` events later; stays at the greatest instead of overflowing.
    pub const fn after(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
    /// The sequence just before; zero stays zero.
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Number of a segment file, from 1; 0 says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentId(u32);

impl SegmentId {
    /// No segment.
    pub const NONE: Self = Self(0);
    /// The first segment of a log.
    pub const FIRST: Self = Self(1);

    /// The segment with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
    /// The segment that follows, or `None` when the numbers are used up.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// Byte coordinate of a frame: segment number and offset in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// Before everything; also what "no position" is written as.
    pub const ZERO: Self = Self(0);

    /// The coordinate with this number.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    /// As one number.
    pub const fn raw(self) -> u64 {
        self.0
    }
    /// The coordinate of `offset` in `segment`, for segments of `bits`.
    pub const fn new(segment: SegmentId, offset: u32, bits: u8) -> Self {
        // Both widen: u32 to u64 loses nothing.
        Self(((segment.0 as u64) << bits) | offset as u64)
    }
    /// The segment it stands in.
    pub const fn segment(self, bits: u8) -> SegmentId {
        SegmentId((self.0 >> bits) as u32)
    }
    /// The offset in that segment.
    pub const fn offset(self, bits: u8) -> u32 {
        (self.0 & ((1 << bits) - 1)) as u32
    }
}

/// How often the log was opened for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u32);

impl Epoch {
    /// The epoch with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u32 {
        self.0
    }
    /// The next one, or `None` when the numbers are used up.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// Number of an event inside its stream, from 1; 0 says that the stream has none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamVersion(u64);

impl StreamVersion {
    /// A stream without events.
    pub const NONE: Self = Self(0);
    /// Greatest version that the format can say (40 bits).
    pub const MAX: Self = Self((1 << 40) - 1);

    /// The version with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The version of the stream's next event.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
    /// The version of the event before; zero stays zero.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Number that stands for a stream in a log; 0 says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamNumber(u64);

impl StreamNumber {
    /// No stream.
    pub const NONE: Self = Self(0);
    /// The first stream of a log.
    pub const FIRST: Self = Self(1);

    /// The stream with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The next number.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Number that stands for an event type in a log; 0 says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TypeNumber(u16);

impl TypeNumber {
    /// No type.
    pub const NONE: Self = Self(0);
    /// The first type of a log.
    pub const FIRST: Self = Self(1);

    /// The type with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
    /// The next number, or `None` when they are used up.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// Identity of a log, given at its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LogId(Uuid);

impl LogId {
    /// The identity with this value.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
    /// As a UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

/// Identity of one epoch's history: two restored copies of one log reach the same epoch, and are
/// told apart by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HistoryId(Uuid);

impl HistoryId {
    /// The identity with this value.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }
    /// As a UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

macro_rules! display_as_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_inner!(
    Sequence,
    SegmentId,
    Epoch,
    StreamVersion,
    StreamNumber,
    TypeNumber,
    LogId,
    HistoryId
);

/// Where something stands, in the words that a person needs to find it: segment and offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// The offset in it, in bytes.
    pub offset: u32,
}

impl Place {
    /// The same place as one number, for segments of `bits`.
    pub const fn position(self, bits: u8) -> Position {
        Position::new(self.segment, self.offset, bits)
    }
    /// Where `position` is, in segments of `bits`.
    pub const fn of(position: Position, bits: u8) -> Self {
        Self { segment: position.segment(bits), offset: position.offset(bits) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

const _: () = assert!(layout::MAX_SEGMENT_BITS < 32);

#[cfg(test)]
mod tests {
    use super::*;

    /// A position is segment and offset, and nothing is lost on the way there and back.
    #[test]
    fn does_a_position_keep_segment_and_offset() {
        for bits in layout::MIN_SEGMENT_BITS..=layout::MAX_SEGMENT_BITS {
            let last = u32::try_from(layout::segment_size(bits) - 16).unwrap();
            for segment in [1, 2, 77, u32::MAX] {
                for offset in [0, 16, 4096, last] {
                    let position = Position::new(SegmentId::new(segment), offset, bits);
                    assert_eq!(position.segment(bits).get(), segment);
                    assert_eq!(position.offset(bits), offset);
                }
            }
        }
    }
}
