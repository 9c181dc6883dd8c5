//! Many producers, one writer: events handed to a thread that owns the writer.
//!
//! - `draft`: an event and what it has beside its payload, owned
//! - `answer`: what becomes of a submission
//! - `handover`: the bounded queue, and who sleeps at its ends
//! - `producer`: submitting
//! - `thread`: the thread, which drains what is there into one frame

mod answer;
mod draft;
mod handover;
mod producer;
mod thread;

pub use answer::{Answer, Refusal, Refused};
pub use draft::{Draft, Drafts};
pub use producer::{Producer, SubmitError};
pub use thread::{ThreadOptions, WriterThread};

pub(crate) use handover::{Closing, Handover, Refuse};
