//! An event that would be appended again, and what becomes of it.

use std::fmt;
use std::ops::Deref;

use factlog_codec::TypeNumber;
use factlog_codec::types::{Encode, EncodeError, Scratch, encode_growing};

use crate::log::cursor::EventRef;
use crate::log::type_table::LogType;

/// An event of the origin, which is about to be appended again.
#[derive(Debug, Clone, Copy)]
pub struct Fact<'a> {
    pub(super) event: EventRef<'a>,
    pub(super) lacks_cause: bool,
    pub(super) lacks_root: bool,
}

impl<'a> Fact<'a> {
    /// Whether the event that caused it was left out.
    pub fn lacks_cause(&self) -> bool {
        self.lacks_cause
    }

    /// Whether the event at the root of its conversation was left out.
    pub fn lacks_root(&self) -> bool {
        self.lacks_root
    }
}

impl<'a> Deref for Fact<'a> {
    type Target = EventRef<'a>;

    fn deref(&self) -> &EventRef<'a> {
        &self.event
    }
}

/// What becomes of an event of the origin.
#[derive(Debug)]
pub enum Turn {
    /// It is appended again as it was.
    Keep,
    /// It did not happen.
    Skip,
    /// This happened instead, in the same streams.
    Replace(Replacement),
}

impl Turn {
    /// This happened instead, in the same streams, with the same causes.
    ///
    /// # Errors
    ///
    /// It has more than 1 MiB, or is nested too deeply.
    pub fn replace(event: &impl Encode) -> Result<Self, EncodeError> {
        let (mut space, mut scratch) = (Vec::new(), Scratch::new());
        let len = encode_growing(&mut space, MOST, |out| event.encode(out, &mut scratch))?;
        let of = LogType::from_event(TypeNumber::NONE, event.event_type());
        Ok(Self::Replace(Replacement { of, space, len }))
    }

    /// Skips it if it lacks its cause, else keeps it: then all that a skipped event has led to is
    /// skipped with it.
    pub fn with_its_cause(fact: &Fact<'_>) -> Self {
        if fact.lacks_cause() { Self::Skip } else { Self::Keep }
    }
}

/// Most bytes of a replacement.
const MOST: usize = 1 << 20;

/// What happened instead.
pub struct Replacement {
    pub(super) of: LogType,
    space: Vec<u128>,
    len: usize,
}

impl Replacement {
    pub(super) fn payload(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.space);
        bytes.get(..self.len).unwrap_or(bytes)
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement").field("type", &self.of.name()).finish_non_exhaustive()
    }
}
