//! What if: a fork that ends before some event, to which what follows is appended again, but for what is
//! left out or replaced.
//!
//! Facts are never rewritten: the fork has its own. An event that is appended again has another sequence
//! once anything was left out; what names an event (cause, correlation, correction) is made to name the
//! same one there.
//!
//! - `fact`: an event that would be appended again, and what becomes of it
//! - `numbers`: which event of the origin is which one of the fork
//! - `rerun`: appending again
//! - `error`: why it does not go on

mod error;
mod fact;
mod numbers;
mod rerun;

pub use error::WhatIfError;
pub use fact::{Fact, Turn};
pub use rerun::{Rerun, WhatIf};
