//! Whether decisions come out the same when they are made again: recorded commands are given to the
//! present `decide`, and its events are held against those in the log, byte for byte.
//!
//! The log is read twice at once. One cursor looks for commands; the other one folds what was there
//! before each, so that it is decided on the state that it was decided on, and then gives the events
//! that it led to. What is folded is always what stands in the log: one wrong decision does not
//! spoil those behind it.
//!
//! - `run`: the two cursors
//! - `again`: one command, decided again
//! - `archived`: events side by side
//! - `report`: what came of it

mod again;
mod archived;
mod report;
mod run;

pub use report::{
    CommandDifference, DeterminismOutcome, DeterminismReport, RecordedOutcome, Unchecked,
};
pub use run::{Determinism, DeterminismError, DeterminismProgress};
