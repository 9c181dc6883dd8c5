//! Sleeping until something happens, without anybody being forgotten.
//!
//! - `signal`: one sleeper, and who wakes it
//! - `list`: any number of sleepers, which one publisher wakes at almost no cost to itself
//! - `herald`: the thread that wakes them where there are many

mod herald;
mod list;
mod signal;

pub(super) use herald::Herald;
pub(super) use list::WaitList;
pub(super) use signal::Signal;

#[cfg(all(test, loom))]
pub(super) use herald::Office;
