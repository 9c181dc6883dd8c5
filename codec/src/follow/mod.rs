//! Messages between a leader and a follower: a log is taken over byte for byte, as far as it is
//! durable.
//!
//! They take turns: the leader sends, and ends its turn with a [`FollowMessage::Turn`]; the follower
//! makes durable what has come, and answers with an [`FollowMessage::Ack`]. Neither reads and writes
//! at once, so any stream of bytes will do, and neither needs a second thread.
//!
//! - `message`: what they say
//! - `decode`: from bytes, which may be any
//! - `encode`: to bytes

mod decode;
mod encode;
mod message;

pub use decode::{FollowHead, FollowMessageError};
pub use message::{
    FOLLOW_VERSION, FollowEnd, FollowLeader, FollowMessage, FollowPlace, FollowRefusal,
};
