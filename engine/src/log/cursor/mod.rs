//! Reading: any number of cursors on any threads, none of which the writer knows.
//!
//! - `start`: where a cursor begins
//! - `log`: the handle that cursors are made from
//! - `corrections`: which events of a stream were corrected
//! - `event_ref`: one event, borrowed from the mapping
//! - `entry`: whatever else stands in a frame, for the floors above
//! - `forward`: everything from a place on, as it comes
//! - `hold`: what a reader holds against retention
//! - `frames`: seeking, and looking at single frames
//! - `strategy`, `waiting`: until more comes, as a thread or as a task
//! - `located`: where an event of a stream stands in its frame
//! - `stream`: the events of one stream, forwards and backwards
//! - `bound`: how far somebody reads who wants to know how things were
//! - `trail`: where the events of a stream stand, kept for the next question

mod bound;
mod corrections;
mod entry;
mod event_ref;
mod forward;
mod frames;
mod hold;
mod located;
mod log;
mod start;
mod strategy;
mod stream;
mod trail;
mod waiting;

pub(crate) use bound::{Bound, Settled};
pub use corrections::Corrections;
pub(crate) use entry::Entry;
pub use event_ref::EventRef;
pub use forward::{Batch, Cursor};
pub(in crate::log) use frames::Pin;
pub(in crate::log) use hold::Hold;
pub use log::Log;
pub use start::Start;
pub use strategy::{WaitStrategy, Waited};
pub use stream::{StreamCursor, StreamHistory};
pub(crate) use trail::{Maps, Reached, Trail};
#[cfg(feature = "futures")]
pub use waiting::EventStream;
pub use waiting::Readable;
