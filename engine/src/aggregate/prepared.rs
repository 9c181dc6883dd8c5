//! Commands that were decided outside of the thread that writes.

use super::decide::{Aggregate, Events};
use crate::image::Basis;

/// What was decided outside, and on what.
pub(super) struct Prepared<A: Aggregate> {
    pub(super) basis: Basis,
    pub(super) events: Events<A::Event>,
    pub(super) reply: Option<A::Reply>,
}
