//! From what stands on the medium to a log that can be gone on with.
//!
//! - `replay`: what the frames say: types, streams and their heads
//! - `gather`: reads segments, walks them, and collects facts
//! - `decide`: from facts to a verdict, without touching anything
//! - `report`: what was found, cut and kept
//!
//! Applying a verdict is the business of opening for writing.

mod decide;
mod gather;
mod replay;
mod report;

pub(super) use decide::{Verdict, decide};
pub(super) use gather::{End, Found, gather};
pub(super) use replay::Head;
pub use report::{Cut, Damage, DamageReason, RecoveryOutcome, RecoveryProgress, RecoveryReport};
