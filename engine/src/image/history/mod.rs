//! Time travel: how things were as of an event or a time, what has changed, and why.
//!
//! - `moment`: of which moment somebody asks, and of which the answer is
//! - `error`: why there is no answer
//! - `shelf`: the snapshots of a log, kept mapped
//! - `handle`: [`History`]: the log, its snapshots, and what is known of its streams
//! - `one`: one instance as of a moment
//! - `whole`: an image as of a moment
//! - `why`: the event that made something true
//! - `stepper`: an image that goes forwards and backwards
//! - `partition`: the first event for which something of the user's own no longer holds

mod error;
mod handle;
mod moment;
mod one;
mod partition;
mod shelf;
mod stepper;
mod whole;
mod why;

pub use error::HistoryError;
pub use handle::{History, HistoryBuilder, HistoryCounts};
pub use moment::{AsOf, Moment};
pub use one::Past;
pub use stepper::{Step, Stepper};
pub use whole::PastImage;
pub use why::TurningPoint;
