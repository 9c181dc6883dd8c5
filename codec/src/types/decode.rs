//! From what was stored back to the value, whether it is an event or one of a vocabulary.

use super::event::Encode;
use super::event_type::TypeKey;
use super::vocabulary::{UpcastError, Upcasts};

/// What is read back into the value that was stored: one event, or one of a vocabulary.
///
/// Implemented by [`#[event]`](crate::event) and [`#[vocabulary]`](crate::vocabulary).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a vocabulary",
    note = "an event is a struct under `#[event]`, a vocabulary an enum of events under \
            `#[vocabulary]`"
)]
pub trait Decode: Encode + Sized {
    /// Gives the values that a payload of type `key` stands for to `see`: one, or, where it is of an
    /// earlier version, what that becomes. How many there were; `None` if it is of none of its types.
    ///
    /// # Errors
    ///
    /// The payload is not one of its type, the type was stored with another shape, or what it becomes
    /// cannot be archived.
    fn decode(
        key: TypeKey,
        payload: &[u8],
        upcasts: &mut Upcasts,
        see: &mut dyn FnMut(Self),
    ) -> Result<Option<u32>, UpcastError>;
}
