//! Memory images: the state of all aggregates in memory, which the log brings back.
//!
//! - `state`: what is folded: [`State`] and its keys
//! - `basis`: what somebody has read of it, to decide elsewhere
//! - `instances`: the instances of one kind of state
//! - `images`: all kinds together, and which events go to which instance
//! - `fold`: from the log to the images
//! - `ordered`: the instances of a kind in the order of their keys
//! - `hash`: hashes of states
//! - `snapshot`: images on disk
//! - `suspension`: instances whose events the program cannot fold
//! - `trail`: hashes of an image at every so many events, and where two such trails part
//! - `replica`: an image on a thread of its own, which follows the log

mod basis;
mod fold;
mod hash;
mod images;
mod instances;
mod ordered;
mod replica;
mod snapshot;
mod state;
mod suspension;
mod trail;

pub use basis::Basis;
pub(crate) use fold::{catch_up, fold, refold, suspend_dropped};
pub use hash::{NoStateHash, StateHash, StateHashError};
pub(crate) use images::{Images, Route};
pub(crate) use instances::{Folded, Instances, Unseen};
pub use replica::{Replica, ReplicaBuilder, ReplicaError};
pub(crate) use snapshot::{
    Base, Job, Ladder, Piece, Records, SectionOf, Snapshot, find as find_snapshot,
    write as write_snapshot,
};
pub use snapshot::{PassedOver, PassedOverReason, SnapshotTaken, SnapshotTrouble, StoredState};
pub use state::{InstanceKey, IntoKey, State};
pub use suspension::{Suspension, SuspensionCause};
pub use trail::{
    Drift, NoStateTrail, StateTrail, StateTrailBuilder, TrailError, first_drift, instances_of,
};
