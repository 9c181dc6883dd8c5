//! The sixteen bytes before each item.

use crate::ids::{StreamNumber, TypeNumber};
use crate::layout::ITEM_HEADER;
use crate::raw::RawItemHeader;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ItemKind {
    /// An event: the only kind that takes a sequence.
    Event,
    /// What became of a command.
    Command,
    /// The type that a type number stands for.
    Type,
    /// The key that a stream number stands for.
    Stream,
}

impl ItemKind {
    /// The number that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Event => 1,
            Self::Command => 2,
            Self::Type => 3,
            Self::Stream => 4,
        }
    }

    /// The kind that `code` stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Event,
            2 => Self::Command,
            3 => Self::Type,
            4 => Self::Stream,
            _ => return None,
        })
    }
}

/// Kind and marks of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemFlags {
    /// What it is.
    pub kind: ItemKind,
    /// Whether it is the last item of its command or submission.
    pub last: bool,
}

impl ItemFlags {
    const LAST: u8 = 0x80;
    const KIND: u8 = 0x07;

    /// As it is written.
    pub const fn bits(self) -> u8 {
        self.kind.code() | if self.last { Self::LAST } else { 0 }
    }

    /// The flags in `bits`, or `None` if one of them is unknown.
    #[inline]
    pub fn from_bits(bits: u8) -> Option<Self> {
        if bits & !(Self::LAST | Self::KIND) != 0 {
            return None;
        }
        let kind = ItemKind::from_code(bits & Self::KIND)?;
        Some(Self { kind, last: bits & Self::LAST != 0 })
    }
}

/// An item's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemHeader {
    /// Exact length of the payload in bytes.
    pub len: u32,
    /// Number of its type; none for a STREAM.
    pub type_number: TypeNumber,
    /// Kind and marks.
    pub flags: ItemFlags,
    /// Length of all extensions, in units of 16 bytes.
    pub extension_units: u8,
    /// Number of its stream, or none.
    pub stream: StreamNumber,
}

impl ItemHeader {
    /// Where the flags stand in the header.
    pub const FLAGS_AT: usize = core::mem::offset_of!(RawItemHeader, flags);

    /// As it is written.
    #[inline]
    pub fn encode(&self) -> [u8; ITEM_HEADER] {
        // In two words: to write the fields one by one and then copy all of them would wait for
        // the stores.
        let kind = u128::from(self.flags.bits()) << 48 | u128::from(self.extension_units) << 56;
        let first = u128::from(self.len) | u128::from(self.type_number.get()) << 32 | kind;
        (first | u128::from(self.stream.get()) << 64).to_le_bytes()
    }

    /// From raw fields; `None` if the flags are unknown.
    #[inline]
    pub(crate) fn from_raw(raw: &RawItemHeader) -> Option<Self> {
        Some(Self {
            len: raw.len,
            type_number: TypeNumber::new(raw.type_number),
            flags: ItemFlags::from_bits(raw.flags)?,
            extension_units: raw.ext,
            stream: StreamNumber::new(raw.stream),
        })
    }
}
