//! The promises of a log, G1 to G8, and what tries them: one row of the table for each.
//!
//! Each promise has a module with one function, from a [`Request`] to a [`Row`]. What a row says
//! was counted by what it ran: nothing of it is known beforehand. The bugs that each of them must
//! find are files, planted in a copy of the tree: see [`plants`](crate::plants).
//!
//! - `promises`: what is promised, and the functions that try it
//! - `arguments`, `table`, `report`: what the program `proof` is told, does, and says
//! - `planted`: bugs that must be found
//! - one module for each way of trying

pub mod arguments;
#[cfg(target_os = "linux")]
pub mod block;
pub mod damage;
pub mod full_disk;
pub mod fuzzing;
#[cfg(target_os = "linux")]
pub mod kills;
pub mod models;
pub mod planted;
#[cfg(unix)]
pub mod power;
pub mod promises;
pub mod report;
pub mod sync_errors;
pub mod table;

/// Does not return in a process that a proof has started as a child of its own. Programs that run
/// proofs call it first of all.
pub fn child() {
    crate::stress::child();
    #[cfg(target_os = "linux")]
    block::child();
    #[cfg(target_os = "linux")]
    kills::child();
    sync_errors::child();
    full_disk::child();
}

/// What is asked of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Where its random numbers begin: the same seed tries the same.
    pub seed: u64,
    /// How often it is to be tried; where this is `None`, as often as `quick` says.
    pub count: Option<u64>,
    /// Whether a share of ten minutes is all there is, or the full figures are asked for.
    pub quick: bool,
}

impl Request {
    /// How often to try: what was asked for, or else one of these two.
    pub fn times(&self, quick: u64, full: u64) -> u64 {
        self.count.unwrap_or(if self.quick { quick } else { full })
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Whether everything that was tried held.
    pub holds: bool,
    /// How often it was tried.
    pub tried: u64,
    /// What was counted on the way, as words for people: `tail torn 412`, `verdict damaged 18`.
    pub counts: Vec<String>,
    /// Bugs on purpose that it looked for itself, and found: it does not hold if one was not.
    pub canaries: u64,
    /// What did not hold: where, and how to see it again.
    pub failure: Option<String>,
    /// What of it was not tried on this machine, and why.
    pub skipped: Option<String>,
}
