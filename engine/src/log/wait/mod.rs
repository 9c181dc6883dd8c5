//! Sleeping until something happens, without anybody being forgotten.
//!
//! - `signal`: one sleeper, and who wakes it
//! - `promise`: a value that is left for a thread or a task
//! - `list`: any number of sleepers, which one publisher wakes at almost no cost to itself
//! - `herald`: the thread that wakes them where there are many

mod herald;
mod list;
mod promise;
mod signal;

pub(super) use herald::Herald;
pub(super) use list::WaitList;
pub(crate) use promise::Promise;
pub(super) use signal::Signal;

#[cfg(all(test, loom))]
pub(super) use herald::Office;
