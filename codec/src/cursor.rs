//! Named cursors: a file with two slots, written in turn, each a page with its own checksum.
//!
//! A slot says how far somebody has come, and by which frame that was: so it can be told whether
//! the log still is the one that was read.

use core::fmt;

use bytemuck::Zeroable;
use uuid::Uuid;

use crate::bytes::{Reader, all_zero, put};
use crate::checksum::page_crc;
use crate::ids::{Epoch, HistoryId, LogId, Position, Sequence};
use crate::layout::{FORMAT_VERSION, MAX_CURSOR_NAME, PAGE};
use crate::raw::{CURSOR_MAGIC, RawCursor};

/// The name of a cursor, which is that of its file: 1 to 64 bytes of `a-z`, `0-9`, `-`, `_` and
/// `.`, not beginning with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorName(Box<str>);

/// Why a cursor cannot be called that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CursorNameError {
    /// It has none or more than 64 bytes: so many.
    Length(usize),
    /// It begins with a dot.
    Dot,
    /// It has a byte that is none of `a-z`, `0-9`, `-`, `_` and `.`: this one.
    Byte(u8),
}

impl fmt::Display for CursorNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => {
                write!(f, "the name of a cursor has 1 to {MAX_CURSOR_NAME} bytes, not {len}")
            }
            Self::Dot => write!(f, "the name of a cursor does not begin with a dot"),
            Self::Byte(byte) => write!(
                f,
                "the name of a cursor is made of a-z, 0-9, '-', '_' and '.', not of '{}'",
                byte.escape_ascii()
            ),
        }
    }
}

impl core::error::Error for CursorNameError {}

impl CursorName {
    /// The name, if it is one.
    ///
    /// # Errors
    ///
    /// The reason why a cursor cannot be called that.
    pub fn new(name: &str) -> Result<Self, CursorNameError> {
        if !(1..=MAX_CURSOR_NAME).contains(&name.len()) {
            return Err(CursorNameError::Length(name.len()));
        }
        if name.starts_with('.') {
            return Err(CursorNameError::Dot);
        }
        let good = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        match name.bytes().find(|byte| !good(byte)) {
            Some(byte) => Err(CursorNameError::Byte(byte)),
            None => Ok(Self(name.into())),
        }
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for CursorName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// How far somebody has come in a log, and what proves that it is still the log that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorPlace {
    /// Identity of the log.
    pub log: LogId,
    /// The last event that was processed; [`Sequence::ZERO`] if the log kept none before `next`.
    pub sequence: Sequence,
    /// The event that comes next.
    pub next: Sequence,
    /// The frame that holds the last processed event; if there is none, the first frame of the
    /// segment in which the log began.
    pub position: Position,
    /// Checksum of that frame, as it stands in its header.
    pub frame_crc: u32,
    /// Epoch in which that frame was written.
    pub epoch: Epoch,
    /// History of that epoch.
    pub history: HistoryId,
}

/// What one slot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorSlot {
    /// Counts the writes; the slot with the greater one is the newer.
    pub generation: u64,
    /// Whose place it is: the name of the file.
    pub name: CursorName,
    /// The place.
    pub place: CursorPlace,
}

/// Why a slot cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CursorSlotError {
    /// The file ends inside the slot.
    Short,
    /// The first bytes are not those of a cursor.
    Magic,
    /// The checksum does not hold.
    Checksum,
    /// A version that this crate does not know.
    Version(u16),
    /// The name is none.
    Name,
    /// The next event is not the one after the last processed.
    Next(Sequence),
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for CursorSlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "the cursor's file ends too early"),
            Self::Magic => write!(f, "this is no cursor of a factlog"),
            Self::Checksum => write!(f, "the checksum of the cursor does not hold"),
            Self::Version(version) => write!(
                f,
                "format version {version} is not known here (newest known: {FORMAT_VERSION}): use \
                 the version of factlog that wrote it"
            ),
            Self::Name => write!(f, "the cursor has an impossible name"),
            Self::Next(next) => {
                write!(f, "event {next} does not come after the last processed one")
            }
            Self::Reserved => write!(f, "a reserved field of the cursor is in use"),
        }
    }
}

impl core::error::Error for CursorSlotError {}

const CRC_FIELD: usize = core::mem::offset_of!(RawCursor, crc);

impl CursorSlot {
    /// As a page.
    pub fn encode(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        let place = &self.place;
        let name = self.name.as_str().as_bytes();
        let mut raw = RawCursor {
            magic: CURSOR_MAGIC,
            version: FORMAT_VERSION,
            // Bounded by its constructor.
            name_len: u8::try_from(name.len()).unwrap_or(u8::MAX),
            generation: self.generation,
            log: *place.log.uuid().as_bytes(),
            history: *place.history.uuid().as_bytes(),
            sequence: place.sequence.get(),
            next: place.next.get(),
            position: place.position.raw(),
            frame_crc: place.frame_crc,
            epoch: place.epoch.get(),
            ..RawCursor::zeroed()
        };
        put(&mut raw.name, name);
        put(&mut page, bytemuck::bytes_of(&raw));
        raw.crc = page_crc(0, &page, CRC_FIELD);
        put(&mut page, bytemuck::bytes_of(&raw));
        page
    }

    /// From a slot, which may be anything.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used.
    pub fn decode(slot: &[u8]) -> Result<Self, CursorSlotError> {
        let page = slot.get(..PAGE).ok_or(CursorSlotError::Short)?;
        let mut reader = Reader::new(page);
        let raw: RawCursor = reader.pod().ok_or(CursorSlotError::Short)?;
        if raw.magic != CURSOR_MAGIC {
            return Err(CursorSlotError::Magic);
        }
        if page_crc(0, page, CRC_FIELD) != raw.crc {
            return Err(CursorSlotError::Checksum);
        }
        if raw.version != FORMAT_VERSION {
            return Err(CursorSlotError::Version(raw.version));
        }
        let name = raw.name.split_at_checked(usize::from(raw.name_len));
        let (name, behind) = name.ok_or(CursorSlotError::Name)?;
        let name = core::str::from_utf8(name).ok().and_then(|name| CursorName::new(name).ok());
        let name = name.ok_or(CursorSlotError::Name)?;
        if raw.zero != 0 || !all_zero(behind) || !all_zero(reader.rest()) {
            return Err(CursorSlotError::Reserved);
        }
        let (sequence, next) = (Sequence::new(raw.sequence), Sequence::new(raw.next));
        if next <= sequence || (sequence != Sequence::ZERO && next != sequence.after(1)) {
            return Err(CursorSlotError::Next(next));
        }
        let place = CursorPlace {
            log: LogId::new(Uuid::from_bytes(raw.log)),
            sequence,
            next,
            position: Position::from_raw(raw.position),
            frame_crc: raw.frame_crc,
            epoch: Epoch::new(raw.epoch),
            history: HistoryId::new(Uuid::from_bytes(raw.history)),
        };
        Ok(Self { generation: raw.generation, name, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are what they may be, and nothing that leads elsewhere.
    #[test]
    fn are_only_harmless_names_taken() {
        let longest = "x".repeat(64);
        for name in ["a", "board-2", "a.b_c", "0", "a..", "-", "_.", longest.as_str()] {
            assert_eq!(CursorName::new(name).unwrap().as_str(), name);
        }
        for (name, error) in [
            ("", CursorNameError::Length(0)),
            (".", CursorNameError::Dot),
            ("..", CursorNameError::Dot),
            (".a", CursorNameError::Dot),
            ("a/b", CursorNameError::Byte(b'/')),
            ("A", CursorNameError::Byte(b'A')),
            ("a b", CursorNameError::Byte(b' ')),
            ("a\\b", CursorNameError::Byte(b'\\')),
            ("a\0", CursorNameError::Byte(0)),
            ("\u{e9}", CursorNameError::Byte(0xC3)),
        ] {
            assert_eq!(CursorName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(CursorName::new(&"x".repeat(65)), Err(CursorNameError::Length(65)));
    }
}
