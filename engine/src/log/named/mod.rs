//! Named cursors: places that outlast the process, and proof that the log is the one they are in.
//!
//! - `error`: why one is not attached, why a place is not saved
//! - `proof`: the frame that proves a place, found in the log
//! - `verdict`: from what a file says and what stands in the log to an answer; nothing but that
//! - `begin`: what is held for each of them when a log is opened
//! - `cursor`: one that somebody has: reading, saving
//! - `attach`: attaching, registering, resetting, forgetting

mod attach;
mod begin;
mod cursor;
mod error;
mod proof;
mod verdict;

pub(super) use begin::{damaged, register_all};
pub use cursor::NamedCursor;
pub use error::{AttachError, SaveError};
pub(in crate::log) use proof::history_of;
pub(super) use proof::{place_before, standing};
pub(crate) use verdict::Verdict as Standing;
