//! Items: what stands in a frame.
//!
//! - `header`: the sixteen bytes before each
//! - `items`: a verified body to its items
//! - `extension`: links, causes and other additions to an event
//! - `stream`: the key that a stream number stands for
//! - `event_type`: the description that a type number stands for
//! - `command`: what became of a command

mod command;
mod event_type;
mod extension;
mod header;
mod items;
mod stream;

pub use command::{CommandItem, CommandItemError, CommandOutcome};
pub use event_type::{Encoding, TypeItem, TypeItemError};
pub use extension::{
    EventExtensions, ExtensionError, Extensions, FurtherLink, Link, MetadataTooLong, Source,
};
pub use header::{ItemFlags, ItemHeader, ItemKind};
pub use items::{Item, ItemError, Items};
pub use stream::{Key, StreamItemError, StreamKey, StreamKeyError};
