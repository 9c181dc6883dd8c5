//! From what stands on the medium to a log that can be gone on with.
//!
//! - `replay`: what the frames say: types, streams and their heads
//! - `gather`: reads segments, walks them, and collects facts
//! - `decide`: from facts to a verdict, without touching anything
//!
//! Applying a verdict is the business of opening for writing.

mod decide;
mod gather;
mod replay;

pub(super) use decide::{Verdict, decide};
pub(super) use gather::{Begin, End, Found, Unproven, gather};
pub(super) use replay::{Head, Replay};
