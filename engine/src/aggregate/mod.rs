//! Aggregates: commands in, events out.
//!
//! One thread owns the log and the memory image. It takes commands as they come, decides each on
//! the state that all before it have left, stages its events, folds them from the staged bytes, and
//! goes on with the next; then the frame is published once, and everybody is answered.
//!
//! - `decide`: what an aggregate is: [`Aggregate`], [`Context`], [`Events`]
//! - `receipt`: what becomes of a command
//! - `window`: idempotency keys, and what was answered
//! - `prepared`: commands that were decided outside of that thread
//! - `batch`: commands into one frame; `deciding`: one of them
//! - `slot`: a command on its way to the thread, and the answer on its way back
//! - `thread`: the thread that owns it all
//! - `engine`: opening, sending, asking

mod batch;
mod decide;
mod deciding;
mod engine;
mod prepared;
mod receipt;
mod slot;
mod thread;
mod window;

pub use decide::{Aggregate, Context, Events};
pub use engine::{AskError, Client, Engine, EngineBuilder, EngineError, Sending};
pub use receipt::{Accepted, CommandError, Conflict, Failure, SendError};
pub use slot::Pending;
pub use window::IdempotencyWindow;
