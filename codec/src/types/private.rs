//! What the output of the macros refers to, and nothing else may: no part of the API.

pub use rkyv;

pub use super::decode::Decode;
pub use super::description::{Description, DescriptionBuilder, FieldDraft, NodeId, VariantDraft};
pub use super::encode::{EncodeError, Scratch, encode};
pub use super::event::{Encode, Event};
pub use super::event_type::{EventType, TypeKey};
pub use super::list::List;
pub use super::opaque::OpaqueOwned;
pub use super::value::{Depth, Value};
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

/// Asks a type for its event types, whether it is an event or a vocabulary.
pub struct TypesOf<T>(core::marker::PhantomData<T>);

impl<T> TypesOf<T> {
    /// Of `T`.
    #[expect(clippy::new_without_default, reason = "made by a macro only")]
    pub const fn new() -> Self {
        Self(core::marker::PhantomData)
    }
}

/// Found first, for a vocabulary.
pub trait OfVocabulary {
    /// Its types.
    fn types(&self) -> Types;
}

impl<V: Vocabulary> OfVocabulary for TypesOf<V> {
    fn types(&self) -> Types {
        V::types()
    }
}

/// Found behind one more reference, for an event.
pub trait OfEvent {
    /// Its type.
    fn types(&self) -> Types;
}

impl<E: Event> OfEvent for &TypesOf<E> {
    fn types(&self) -> Types {
        vec![E::static_type()]
    }
}

/// Whether no event stands there twice, by name and version.
pub const fn distinct(mut events: &[(&str, u16)]) -> bool {
    while let [(name, version), rest @ ..] = events {
        let mut others = rest;
        while let [(other, of), more @ ..] = others {
            if *version == *of && same(name.as_bytes(), other.as_bytes()) {
                return false;
            }
            others = more;
        }
        events = rest;
    }
    true
}

const fn same(mut one: &[u8], mut other: &[u8]) -> bool {
    while let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other) {
        if *a != *b {
            return false;
        }
        one = one_rest;
        other = other_rest;
    }
    one.is_empty() && other.is_empty()
}
