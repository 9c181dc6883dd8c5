//! Following: a log elsewhere is taken over byte for byte, as far as it is durable, over any stream
//! of bytes.
//!
//! What a follower has is the leader's log: the same identity, the same segments, the same
//! positions and checksums. So there is nothing to translate, a place in one is a place in the
//! other, and whoever has to write when the leader is gone opens the directory.
//!
//! - `link`: messages over a stream
//! - `error`: what can go wrong on both sides
//! - `judge`: whether a follower can go on from where it is
//! - `feed`: the leader's side
//! - `opening`: a directory is opened to follow
//! - `taking`: what comes is verified, written, made durable, and only then acknowledged and shown
//! - `follower`: the follower's side

mod error;
mod feed;
mod follower;
mod judge;
mod link;
mod opening;
mod taking;

pub use error::{FeedError, FollowError};
pub use feed::{Fed, Feed, FeedProgress};
pub use follower::{FollowProgress, Follower, Following};
