//! What each log must do to be measured.

use std::any::Any;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use crate::payload::{Payloads, Tally};
use crate::row::Operation;

/// What comes of something that the subject, or its surroundings, can refuse.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What a subject promises, from its documentation and its source.
#[derive(Debug, Clone, Copy)]
pub struct Guarantees {
    /// The checksum over each payload; `None` if there is none.
    pub checksum: Option<&'static str>,
    /// Whether reading checks it.
    pub verified: bool,
    /// What becomes durable or visible together.
    pub atomic: &'static str,
    /// What opening reads of a log that was closed.
    pub opening: &'static str,
    /// What it keeps beside the payloads: order, streams, indexes.
    pub order: &'static str,
}

impl Guarantees {
    /// Whether the bytes that `operation` touches are guarded in it: a checksum is made where
    /// something is written, and held against the bytes where something is read.
    pub fn guard(&self, operation: Operation) -> bool {
        self.checksum.is_some() && (operation != Operation::Replay || self.verified)
    }
}

/// A log, a store, or a limit of the machine.
pub trait Subject {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// What it promises.
    fn guarantees(&self) -> Guarantees;

    /// How it is configured for an operation, in words that its users know.
    fn settings(&self, operation: Operation, batch: usize) -> String;

    /// A new log in `within`, appended to without syncs; `None` if it cannot do without.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    fn append(&self, _load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(None)
    }

    /// A new log in `within`, each of whose commits is synced; `None` if it never syncs.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    fn durable(&self, _load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(None)
    }

    /// Writes a log of `events` in `within` and closes it; whether it can be replayed.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn fill(&self, _load: &Load<'_>, _events: u64) -> Outcome<bool> {
        Ok(false)
    }

    /// Reads such a log from its beginning, and checks what can be checked: what was seen, and
    /// how long it took.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn replay(&self, _within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        Ok(None)
    }

    /// Opens such a log as its users do who want to write to it.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    fn open(&self, _within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(None)
    }
}

/// Where a subject writes, and what.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// An empty directory.
    pub within: &'a Path,
    /// What it is given.
    pub payloads: &'a Payloads,
    /// Events in one call or one commit.
    pub batch: usize,
}

impl Load<'_> {
    /// Bytes of payload in one call.
    pub fn bytes(&self) -> u64 {
        (self.batch * self.payloads.size()) as u64
    }
}

/// A log that is appended to.
pub trait Appender {
    /// Makes `calls` calls, with the payloads of events from `first` on.
    ///
    /// # Errors
    ///
    /// One of them failed.
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()>;

    /// How many more calls it takes before it must be replaced by a new one.
    fn room(&self) -> u64 {
        u64::MAX
    }
}
