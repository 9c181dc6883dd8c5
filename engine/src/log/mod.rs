//! The log: immutable events in segments, one writer, any number of readers.
//!
//! From the bottom up:
//!
//! - `disk`: files and directories, the cold boundary to the operating system
//! - `map`, `fork`, `clock`: raw mappings, watching for forks, frame time; the unsafe code is here
//! - `staged`, `claim`: the two ways in which frames get into a segment
//! - `append_only`, `frontier`, `index`: what one thread writes and others read without locks
//! - `type_table`, `stream_table`, `segment`, `shared`: what an open log consists of
//! - `wait`: sleeping until something happens
//! - `keeper`, `holds`, `map_cache`: the manifest; what retention must leave; mappings in use
//! - `registry`: the named cursors, as their files say
//! - `fault`, `report`, `error`: what can go wrong, and how it is told; `failure`: the facts that the
//!   engine itself writes about failures
//! - `recovery`: from what stands on the medium to a verdict
//! - `conductor`, `syncer`, `table_keeper`: the threads in the background; `durability`, `demand`:
//!   what the second one is to do
//! - `rollover`: from one segment to the next
//! - `writer`, `cursor`: appending and reading
//! - `named`: cursors whose places are kept, and whether the log still is the one that they read
//! - `schema`: a lock on the types that were released
//! - `snapshots`: what memory images on disk need of the log
//! - `scrub`: sealed segments are read again, to find what has rotted
//! - `backup`, `stats`: a copy of a log that is being written; what it is doing
//! - `forking`: a log of its own that begins with what another one has
//! - `salvage`: what can be got out of a damaged log
//! - `postings`, `conversation`: what has come of an event, as a tree of causes
//! - `retention`: whole segments from the front are dropped
//! - `wait_durable`: waiting until events are durable
//! - `submit`: many producers, and the thread that writes for them
//! - `open`, `options`: how it all begins
//! - `follow`: a log elsewhere is taken over, byte for byte
//! - `what_if`: what followed is appended to a fork again, with another past

mod append_only;
mod backup;
mod claim;
mod clock;
mod conductor;
mod conversation;
mod cursor;
mod demand;
mod disk;
mod durability;
mod error;
mod failure;
mod fault;
mod follow;
mod fork;
mod forking;
mod frontier;
mod holds;
mod index;
mod keeper;
mod map;
mod map_cache;
#[cfg(all(test, loom))]
mod models;
mod named;
mod open;
mod options;
mod postings;
mod recovery;
mod registry;
mod report;
mod retention;
mod rollover;
mod salvage;
mod schema;
mod scrub;
mod segment;
mod shared;
mod snapshots;
mod staged;
mod stats;
mod stream_table;
mod submit;
mod syncer;
mod table_keeper;
mod type_table;
mod wait;
mod wait_durable;
mod what_if;
mod writer;

pub use backup::{Backup, BackupError, BackupProgress};
pub(crate) use clock::Stopwatch;
pub use clock::{Clock, SystemClock};
pub use conversation::{Caused, Conversation};
#[cfg(feature = "futures")]
pub use cursor::EventStream;
pub use cursor::{
    Batch, Corrections, Cursor, EventRef, Log, Readable, Start, StreamCursor, StreamHistory,
    WaitStrategy, Waited,
};
pub(crate) use cursor::{Bound, Entry, Maps, Reached, Settled, Trail};
pub(crate) use disk::SnapshotFile;
pub use disk::{DiskObserver, DiskOperation, FileSystem};
pub use durability::{CommitAlign, Durability, Witness};
pub use error::{
    AccessError, AppendError, CorrectionFault, OpenError, OptionError, ReadError, RetainError,
    SeekError, SyncError,
};
pub use failure::{
    CommandFailed, CommandFailedView, InstanceSuspended, InstanceSuspendedView, SnapshotFailed,
    SnapshotFailedView,
};
pub(crate) use fault::message;
pub use fault::{CursorFault, IoError, ItemFault};
pub use follow::{
    Fed, Feed, FeedError, FeedProgress, FollowError, FollowProgress, Follower, Following,
};
pub use forking::{Fork, ForkError, Forked};
pub(crate) use map::StillFile;
pub(crate) use named::Standing;
pub use named::{AttachError, NamedCursor, SaveError};
pub use options::Options;
pub use recovery::Recovery;
pub use registry::{NamedPlace, NotWriter};
pub(crate) use report::counted;
pub use report::{
    Cut, Damage, DamageReason, RecoveryOutcome, RecoveryProgress, RecoveryReport, Retained,
};
pub use retention::Retention;
pub use salvage::{Hole, Salvage, SalvageError, SalvageReport, Salvaged};
pub use schema::{SchemaChange, SchemaError, check_schema};
pub use scrub::{
    Remedy, Scrub, ScrubError, ScrubFinding, ScrubProgress, ScrubReason, ScrubReport, ScrubStop,
};
pub(crate) use snapshots::{Kept, LEFT_OUT_NAME, LOST};
pub use stats::Stats;
pub use submit::{
    Answer, Draft, Drafts, Producer, Refusal, Refused, SubmitError, ThreadOptions, WriterThread,
};
pub(crate) use submit::{Closing, Handover, Refuse};
pub use type_table::LogType;
pub(crate) use wait::Promise;
pub use wait_durable::BecomesDurable;
pub use what_if::{Fact, Rerun, Turn, WhatIf, WhatIfError};
pub(crate) use writer::Point;
pub use writer::{Expected, Meta, Receipt, Transaction, Writer};
