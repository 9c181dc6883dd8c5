//! Forks: a log of its own that begins with what another one has, up to a place.
//!
//! Nothing is copied that is at rest: segments that are sealed and durable get a further name in the
//! directory of the fork. The manifest there says which log wrote them and where what was taken ends,
//! so that they are believed that far and never written. What the fork writes itself goes into segments
//! of its own, the first of which is prepared when it is first opened for writing.
//!
//! - `fork`: what is asked for, what was done
//! - `error`: why there is no fork
//! - `plan`: where it ends, and what is linked, what copied
//! - `make`: made under another name, and renamed when all of it is durable

mod error;
mod fork;
mod make;
mod plan;

pub use error::ForkError;
pub use fork::{Fork, Forked};
