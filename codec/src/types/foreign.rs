//! Events whose payloads are bytes that only the application can read: JSON, protobuf, whatever
//! other programs need.

use super::encode::{EncodeError, Scratch};
use super::event::Encode;
use super::event_type::EventType;
use crate::item::Encoding;

/// An event of an opaque type: bytes, borrowed.
///
/// ```
/// use factlog_codec::types::{EventType, Opaque};
///
/// static ORDER: EventType = EventType::opaque("order.json", 1);
/// let event = Opaque::new(&ORDER, br#"{"order": 7}"#);
/// # let _ = event;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Opaque<'a> {
    event_type: &'static EventType,
    bytes: &'a [u8],
}

impl<'a> Opaque<'a> {
    /// An event of `event_type`, which was made by [`EventType::opaque`].
    ///
    /// # Panics
    ///
    /// When the type is one that the log describes: its payloads are archives, and bytes in their
    /// place would be a mistake in the program.
    #[inline]
    pub const fn new(event_type: &'static EventType, bytes: &'a [u8]) -> Self {
        assert!(
            matches!(event_type.encoding(), Encoding::Opaque),
            "only a type made by EventType::opaque has bytes for payloads"
        );
        Self { event_type, bytes }
    }
}

impl Encode for Opaque<'_> {
    #[inline]
    fn event_type(&self) -> &'static EventType {
        self.event_type
    }

    #[inline]
    fn fixed_size(&self) -> Option<usize> {
        Some(self.bytes.len())
    }

    #[inline]
    fn encode(&self, out: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        let room = out.get_mut(..self.bytes.len()).ok_or(EncodeError::NoSpace)?;
        room.copy_from_slice(self.bytes);
        Ok(self.bytes.len())
    }
}
