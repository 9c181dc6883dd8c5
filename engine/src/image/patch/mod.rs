//! What differs between two states, as a JSON Patch (RFC 6902): states are shown as JSON by their
//! descriptions, and what differs there is told.
//!
//! - `json`: a text that the renderer has made, taken apart
//! - `compare`: two of them, side by side
//! - `change`: what is told: [`Patch`] and its [`Change`]s
//! - `states`: of two states of one instance
//! - `images`: of two images, instance by instance

mod change;
mod compare;
mod images;
mod json;
mod states;

pub use change::{Change, Patch};
pub(crate) use images::differences;
pub use images::{InstanceDiff, Presence};
pub use states::DiffError;
