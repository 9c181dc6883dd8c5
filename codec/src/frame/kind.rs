//! What a frame is for.

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameKind {
    /// A transaction or drained batch: items.
    Data,
    /// The first frame of a segment: what is before it, and every type of the log.
    SegOpen,
    /// A writer goes on in a segment that another epoch began.
    Epoch,
    /// A snapshot exists at this sequence.
    Snapshot,
    /// Nothing but distance.
    Pad,
    /// Sequences that were lost and will not be given again.
    Gap,
}

impl FrameKind {
    /// The number that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::SegOpen => 2,
            Self::Epoch => 3,
            Self::Snapshot => 4,
            Self::Pad => 5,
            Self::Gap => 6,
        }
    }

    /// The kind that `code` stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Data,
            2 => Self::SegOpen,
            3 => Self::Epoch,
            4 => Self::Snapshot,
            5 => Self::Pad,
            6 => Self::Gap,
            _ => return None,
        })
    }
}

/// Flags of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrameFlags(u8);

impl FrameFlags {
    /// None set.
    pub const NONE: Self = Self(0);
    /// The clock read earlier than the frame before, by more than its resolution: the time is
    /// that of the frame before plus one nanosecond.
    pub const CLOCK_BACK: Self = Self(1);
    const KNOWN: u8 = 1;

    /// As it is written.
    pub const fn bits(self) -> u8 {
        self.0
    }
    /// The flags in `bits`, or `None` if one of them is unknown.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::KNOWN == 0 { Some(Self(bits)) } else { None }
    }
    /// Whether the clock was found set back.
    pub const fn clock_back(self) -> bool {
        self.0 & Self::CLOCK_BACK.0 != 0
    }
}
