//! Guide: what an application meets, page by page.

#[doc = include_str!("../guide/events.md")]
pub mod events {}

#[doc = include_str!("../guide/versions.md")]
pub mod versions {}

#[doc = include_str!("../guide/aggregates.md")]
pub mod aggregates {}

#[doc = include_str!("../guide/reading_state.md")]
pub mod reading_state {}

#[doc = include_str!("../guide/snapshots.md")]
pub mod snapshots {}

#[doc = include_str!("../guide/time_travel.md")]
pub mod time_travel {}

#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/forks.md")]
pub mod forks {}

#[doc = include_str!("../guide/determinism.md")]
pub mod determinism {}

#[doc = include_str!("../guide/following.md")]
pub mod following {}
