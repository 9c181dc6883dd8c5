//! Is the log of a follower the log of its leader, whatever happens on the way?
//!
//! Goal: at every moment a follower has a prefix of what is durable at its leader, byte for byte, so
//! that every state folded from it is the same; it never has anything else, and never acknowledges
//! what it could lose.
//!
//! Method: real leaders and followers over socket pairs, of which some are cut at random bytes, over
//! pipes of a killed process, and over streams that say what nobody would; compared by the bytes of
//! their segments, by what readers see, and by the hashes of their states every 10,000 events.
#![cfg(unix)]

mod crashes;
mod holding;
mod live;
mod promises;
mod refusals;
mod rotting;
mod support;
