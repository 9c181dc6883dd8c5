//! From what stands on the medium to a log that can be gone on with.
//!
//! - `replay`: what the frames say: types, streams and their heads
//! - `found`: what was found
//! - `probe`: what the beginning of a segment says, and its last page
//! - `tables`: the stream table to begin with
//! - `gather`: goes through the segments and collects facts
//! - `chain`: walks the frames of one
//! - `behind`: what stands behind the end
//! - `decide`: from facts to a verdict, without touching anything
//!
//! Applying a verdict is the business of opening for writing.

mod behind;
mod chain;
mod decide;
mod found;
mod gather;
mod probe;
mod replay;
mod tables;

pub use decide::Recovery;
pub(super) use decide::{Action, Verdict, act, decide};
pub(super) use found::{Begin, End, Found, Unproven};
pub(super) use gather::{Depth, gather, new_identity};
pub(super) use probe::{read_gap, read_open};
pub(super) use replay::{Absorbing, Head, Replay, agrees};
