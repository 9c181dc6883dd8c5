//! Reading: any number of cursors on any threads, none of which the writer knows.
//!
//! - `start`: where a cursor begins
//! - `log`: the handle that cursors are made from
//! - `event_ref`: one event, borrowed from the mapping
//! - `forward`: everything from a place on, as it comes
//! - `frames`: seeking, and looking at single frames
//! - `stream`: the events of one stream, forwards and backwards

mod event_ref;
mod forward;
mod frames;
mod log;
mod start;
mod stream;

pub use event_ref::EventRef;
pub use forward::{Batch, Cursor, WaitStrategy, Waited};
pub use log::Log;
pub use start::Start;
pub use stream::{StreamCursor, StreamHistory};
