//! Reads of a payload at any offset: what is not there is an error.

use super::{RenderError, RenderReason};

/// Bytes of an archived string in place.
const STRING: usize = 8;

/// What is shown.
#[derive(Clone, Copy)]
pub(super) struct Payload<'a>(pub(super) &'a [u8]);

impl<'a> Payload<'a> {
    pub(super) fn slice(self, offset: usize, len: usize) -> Result<&'a [u8], RenderError> {
        self.0
            .get(offset..)
            .and_then(|rest| rest.get(..len))
            .ok_or(RenderError { offset, reason: RenderReason::Outside })
    }

    pub(super) fn take<const N: usize>(self, offset: usize) -> Result<[u8; N], RenderError> {
        let outside = RenderError { offset, reason: RenderReason::Outside };
        self.slice(offset, N)?.try_into().map_err(|_| outside)
    }

    /// Where the relative pointer at `offset` leads, counted from `base`.
    pub(super) fn target(self, offset: usize, base: usize) -> Result<usize, RenderError> {
        let outside = RenderError { offset, reason: RenderReason::Outside };
        let distance = i32::from_le_bytes(self.take(offset)?);
        let distance = isize::try_from(distance).map_err(|_| outside)?;
        base.checked_add_signed(distance).ok_or(outside)
    }

    pub(super) fn length(self, offset: usize) -> Result<usize, RenderError> {
        let length = u32::from_le_bytes(self.take(offset)?);
        usize::try_from(length).map_err(|_| RenderError { offset, reason: RenderReason::Outside })
    }

    /// Whether the text of a `String` is behind a pointer.
    pub(super) fn is_out_of_place(self, offset: usize) -> Result<bool, RenderError> {
        let [first] = self.take(offset)?;
        Ok(first & 0xC0 == 0x80)
    }

    /// The text of a `String`: in its 8 bytes if it is short, else behind a pointer.
    pub(super) fn string(self, offset: usize) -> Result<&'a str, RenderError> {
        let bytes = self.slice(offset, STRING)?;
        let damaged = RenderError { offset, reason: RenderReason::Text };
        let text = if self.is_out_of_place(offset)? {
            let word = u32::from_le_bytes(self.take(offset)?);
            let length = (word & 0x3F) | ((word & 0xFFFF_FF00) >> 2);
            let length = usize::try_from(length).map_err(|_| damaged)?;
            if length <= STRING {
                return Err(damaged);
            }
            let target = self.target(offset.saturating_add(4), offset)?;
            self.slice(target, length)?
        } else {
            bytes.split(|byte| *byte == 0xFF).next().ok_or(damaged)?
        };
        core::str::from_utf8(text).map_err(|_| damaged)
    }

    /// The text of a `Box<str>`: a pointer and a length.
    pub(super) fn text(self, offset: usize) -> Result<&'a str, RenderError> {
        let target = self.target(offset, offset)?;
        let text = self.slice(target, self.length(offset.saturating_add(4))?)?;
        core::str::from_utf8(text).map_err(|_| RenderError { offset, reason: RenderReason::Text })
    }
}
