//! What the output of the macros refers to, and nothing else may: no part of the API.

pub use rkyv;

pub use super::description::{Description, DescriptionBuilder, FieldDraft, NodeId, VariantDraft};
pub use super::encode::{EncodeError, Scratch, encode};
pub use super::event::{Encode, Event};
pub use super::event_type::{EventType, TypeKey};
pub use super::list::List;
pub use super::opaque::OpaqueOwned;
pub use super::value::Value;
pub use super::view::{ViewError, view};
pub use super::vocabulary::{Newer, Upcast, UpcastError, Upcasts, Vocabulary};

/// Well formed for fields that can be described only: the macros write it before all else, so that
/// its error comes first.
pub struct Checked<T: Value>(core::marker::PhantomData<T>);

/// Shown for an opaque field: its type need not be `Debug`.
pub struct Unshown(pub &'static str);

impl core::fmt::Debug for Unshown {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

/// Most bytes that the archived form of an event may be aligned to.
pub const MAX_ALIGN: usize = 16;

/// The types of a vocabulary.
pub type Types = Vec<&'static EventType>;
