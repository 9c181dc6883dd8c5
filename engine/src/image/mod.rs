//! Memory images: the state of all aggregates in memory, which the log brings back.
//!
//! - `state`: what is folded: [`State`] and its keys
//! - `basis`: what somebody has read of it, to decide elsewhere
//! - `instances`: the instances of one kind of state
//! - `kind`: what every kind can do, whatever its type is
//! - `images`: all kinds together, and which events go to which instance
//! - `fold`: from the log to the images
//! - `ordered`: the instances of a kind in the order of their keys
//! - `hash`: hashes of states
//! - `history`: time travel: how things were, what has changed, and why
//! - `looking`: what this thread looks at right now
//! - `patch`: what differs between states, and between images
//! - `snapshot`: images on disk
//! - `suspension`: instances whose events the program cannot fold
//! - `taker`: the snapshot that is being taken
//! - `trail`: hashes of an image at every so many events, and where two such trails part
//! - `replica`: an image on a thread of its own, which follows the log
//! - `replica_error`: why it does not show what was asked for
//! - `restart`: what somebody began with, for people

mod basis;
mod fold;
mod hash;
mod history;
mod images;
mod instances;
mod kind;
mod looking;
mod ordered;
mod patch;
mod replica;
mod replica_error;
mod restart;
mod snapshot;
mod state;
mod suspension;
mod taker;
mod trail;

pub use basis::Basis;
pub(crate) use fold::{catch_up, fold, refold, suspend_dropped};
pub use hash::{NoStateHash, StateHash, StateHashError};
pub use history::{
    AsOf, History, HistoryBuilder, HistoryCounts, HistoryError, Moment, Past, PastImage, Step,
    Stepper, TurningPoint,
};
pub(crate) use images::{Images, Route};
pub(crate) use instances::{Folded, Instances, Unseen};
pub(crate) use looking::{Looking, address};
pub use patch::{Change, DiffError, InstanceDiff, Patch, Presence};
pub(crate) use replica::Taking as ReplicaTaking;
pub use replica::{Replica, ReplicaBuilder};
pub use replica_error::ReplicaError;
pub(crate) use snapshot::{Base, Records, SectionOf, Snapshot, find as find_snapshot, find_whole};
pub use snapshot::{
    PassedOver, PassedOverReason, Restart, SnapshotTaken, SnapshotTrouble, Snapshots, StoredState,
};
pub use state::{InstanceKey, IntoKey, State};
pub use suspension::{Suspension, SuspensionCause};
pub(crate) use taker::{Beside, Pen, Settled, Taker, Telling, Told};
pub use trail::{
    Drift, NoStateTrail, StateTrail, StateTrailBuilder, TrailError, first_drift, instances_of,
};
