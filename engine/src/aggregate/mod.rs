//! Aggregates: commands in, events out.
//!
//! One thread owns the log and the memory image. It takes commands as they come, decides each on
//! the state that all before it have left, stages its events, folds them from the staged bytes, and
//! goes on with the next; then the frame is published once, and everybody is answered.
//!
//! - `decide`: what an aggregate is: [`Aggregate`], [`Context`], [`Events`]
//! - `receipt`: what becomes of a command
//! - `window`, `answers`: idempotency keys, and what was answered
//! - `prepared`: commands that were decided outside of that thread
//! - `batch`: commands into one frame; `deciding`: one of them
//! - `snapshots`: what is done about them beside taking them
//! - `stats`: what the engine is doing, in numbers
//! - `slot`: a command on its way to the thread, and the answer on its way back
//! - `thread`: the thread that owns it all
//! - `local`: an engine without a thread of its own
//! - `determinism`: recorded commands are decided again, and held against the log
//! - `testing`: tests of aggregates, as sentences and as laws
//! - `client`, `sending`, `room`: sending commands and asking, from any thread, or as a task
//! - `engine`, `builder`: an engine that runs, and how it comes to that

mod answers;
mod batch;
mod builder;
mod client;
mod decide;
mod deciding;
mod determinism;
mod engine;
mod local;
mod prepared;
mod receipt;
mod room;
mod sending;
mod slot;
mod snapshots;
mod stats;
pub mod testing;
mod thread;
mod window;

pub use builder::{EngineBuilder, EngineError};
pub use client::{AskError, Client};
pub use decide::{Aggregate, Context, Events};
pub use determinism::{
    CommandDifference, Determinism, DeterminismError, DeterminismOutcome, DeterminismProgress,
    DeterminismReport, RecordedOutcome, Unchecked,
};
pub use engine::Engine;
pub use local::{LocalCommand, LocalEngine};
pub use receipt::{Accepted, CommandError, Conflict, Failure, SendError};
pub use room::Room;
pub use sending::Sending;
pub use slot::Pending;
pub use stats::{EngineStats, LongestDecision};
pub use window::IdempotencyWindow;
