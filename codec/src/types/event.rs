//! The traits of events, as the log sees them.

use core::fmt::Debug;

use super::encode::{EncodeError, Scratch};
use super::event_type::EventType;
use super::view::ViewError;

/// What can be appended: one event, or one of a vocabulary.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a vocabulary",
    note = "an event is a struct under `#[event]`, a vocabulary an enum of events under \
            `#[vocabulary]`"
)]
pub trait Encode {
    /// The type of the event.
    fn event_type(&self) -> &'static EventType;

    /// Bytes of the payload, if they are the same for all values of the type.
    fn fixed_size(&self) -> Option<usize>;

    /// Writes the payload to the start of `out`, and gives its length in bytes.
    ///
    /// To be read in place, the payload must stand at a multiple of 16 bytes.
    ///
    /// # Errors
    ///
    /// It does not fit `out` or `scratch`, or the value is nested too deeply. `out` then holds no
    /// payload.
    fn encode(&self, out: &mut [u8], scratch: &mut Scratch) -> Result<usize, EncodeError>;
}

/// An event: one struct, under [`#[event]`](crate::event).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event",
    note = "an event is a struct under `#[event(name = \"...\", version = 1)]`"
)]
pub trait Event: Encode + Sized + 'static {
    /// Name of the event.
    const NAME: &'static str;

    /// Version of the event, from 1.
    const VERSION: u16;

    /// The event in place: its archived form, with getters that give native values.
    type View: Debug + 'static;

    /// The type's identity.
    fn static_type() -> &'static EventType;

    /// Reads a payload in place. All of it is checked first.
    ///
    /// # Errors
    ///
    /// The payload is not one of this type, or it is not aligned.
    fn view(payload: &[u8]) -> Result<&Self::View, ViewError>;

    /// The event, from its view.
    fn owned(view: &Self::View) -> Self;
}
