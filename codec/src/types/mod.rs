//! Typed events: what a payload is, how it is written, read in place, described and shown.
//!
//! An event is a struct under [`#[event]`](crate::event). Its payload is an rkyv archive, read in
//! place through a *view* whose getters give native values. Each type carries a [`Description`] of
//! its archived form; the log stores it, and its fingerprint tells a changed shape from the old one.
//!
//! | file | what it holds |
//! |---|---|
//! | `event_type` | the identity of a type: name, version, fingerprint |
//! | `value`, `scalars`, `containers`, `tuples`, `opaque` | what can be a field |
//! | `list`, `boxed` | views of fields that hold other values |
//! | `event` | the traits of events |
//! | `vocabulary` | several events together, earlier versions of them made newer ones |
//! | `foreign` | events whose payloads are opaque bytes |
//! | `stored` | values by themselves: replies |
//! | `encode`, `view` | value to payload, payload to view |
//! | `description` | the canonical description, its bytes and its checks |
//! | `render` | a payload as JSON, from its description alone |
//! | `private` | what the macros' output refers to |
//!
//! ```
//! use factlog_codec::types::{Encode, Event, Scratch};
//!
//! /// A flight has left its gate.
//! #[factlog_codec::event(name = "flight-departed", version = 1, crate = factlog_codec)]
//! #[derive(Debug, PartialEq)]
//! pub struct FlightDeparted {
//!     /// Minutes behind the timetable.
//!     pub delay: u32,
//!     /// Where it goes.
//!     pub destination: String,
//! }
//!
//! let event = FlightDeparted { delay: 12, destination: "LIN".into() };
//! let mut space = vec![0_u128; 8];
//! let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
//! let len = event.encode(space, &mut Scratch::new())?;
//!
//! let view = FlightDeparted::view(&space[..len])?;
//! assert_eq!((view.delay(), view.destination()), (12, "LIN"));
//! assert_eq!(view.to_owned(), event);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod boxed;
mod containers;
mod decode;
mod description;
mod encode;
mod event;
mod event_type;
mod foreign;
mod hash;
mod list;
mod opaque;
#[doc(hidden)]
pub mod private;
mod render;
mod scalars;
mod stored;
mod tuples;
mod value;
mod view;
mod vocabulary;

pub use boxed::Boxed;
pub use decode::Decode;
pub use description::{
    Description, DescriptionBuilder, DescriptionError, Field, FieldDraft, MAX_DESCRIPTION,
    MAX_NODES, Node, NodeId, Scalar, Shape, Variant, VariantDraft,
};
pub use encode::{EncodeError, Scratch, encode, encode_growing};
pub use event::{Encode, Event};
pub use event_type::{EventType, SchemaDrift, TypeKey};
pub use foreign::Opaque;
pub use list::{List, ListIter};
pub use render::{RenderError, RenderReason, render};
pub use stored::Stored;
pub use value::{Depth, MAX_POINTERS, Value};
pub use view::{ViewError, view};
pub use vocabulary::{Newer, Upcast, UpcastError, Upcasts, Vocabulary};
