//! Memory images on disk: as of one event, so that only what follows it has to be folded.
//!
//! A snapshot is derived: the log can do without. One that is lost, torn, damaged, of another log
//! or of other states is passed over, and said to be so; the state is the same.
//!
//! - `stored`: how the instances of a kind of state are stored
//! - `record`: what is handed from the thread that has the images to the one that writes
//! - `taking`: the instances of one kind, as they were when a snapshot was begun
//! - `file`: a snapshot that is there: mapped, and looked into
//! - `find`: the newest one that will do
//! - `write`: from records to a file
//! - `ladder`: which ones are kept
//! - `thin`: which ones go, once there is another
//! - `policy`: when they are taken, and what somebody began with

mod file;
mod find;
mod ladder;
mod policy;
mod record;
mod stored;
mod taking;
mod thin;
mod write;

pub(crate) use file::{Base, Snapshot};
pub use find::{PassedOver, PassedOverReason};
pub(crate) use find::{find, find_all, find_whole, look};
pub(crate) use ladder::Ladder;
pub use policy::{Restart, Snapshots};
pub(crate) use record::{LEFT_OUT, Records};
pub use stored::StoredState;
pub(crate) use taking::{Taking, Unstorable};
pub(crate) use write::{Job, Piece, SectionOf, write};
pub use write::{SnapshotTaken, SnapshotTrouble};
