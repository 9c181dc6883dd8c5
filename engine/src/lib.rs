//! factlog: an embedded, events-first engine.
//!
//! A program links it in and gets a log of immutable facts. One writer thread owns it; readers
//! follow without locks, on any thread, and see events where they stand, without a copy.
//!
//! ```
//! use factlog::{Options, Start};
//!
//! #[factlog::event(name = "flight-departed", version = 1)]
//! pub struct FlightDeparted {
//!     pub flight: String,
//!     pub delay_minutes: i32,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! let mut writer = Options::new().open(directory.path())?;
//! writer.append(&FlightDeparted { flight: "UA1545".into(), delay_minutes: 2 })?;
//!
//! let mut cursor = writer.log().cursor(Start::Oldest)?;
//! for event in cursor.poll()? {
//!     if let Some(departed) = event?.get::<FlightDeparted>()? {
//!         assert_eq!((departed.flight(), departed.delay_minutes()), ("UA1545", 2));
//!     }
//! }
//! writer.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Where to read on:
//!
//! - [`guide`]: events, versions, aggregates, reading state, snapshots, time travel, forks, testing,
//!   determinism, following, a page for each
//! - [`event`], [`value`], [`vocabulary`], [`versions`]: what is stored, and how it is read
//! - [`Options`]: opening; [`Writer`] and [`Transaction`]: appending; [`Log`] and [`Cursor`]:
//!   reading
//! - [`RecoveryReport`]: what a crash has left, and what became of it; [`Scrub`]: what has rotted
//! - `engine/DESIGN.md`: why it is as it is; `codec/FORMAT.md`: the file format

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;

// What events of tests are derived with names it so.
#[cfg(test)]
extern crate self as factlog;

mod aggregate;
pub mod guide;
mod image;
mod log;
mod sync;

pub use aggregate::testing;
pub use aggregate::{
    Accepted, Aggregate, AskError, Client, CommandDifference, CommandError, Conflict, Context,
    Determinism, DeterminismError, DeterminismOutcome, DeterminismProgress, DeterminismReport,
    Engine, EngineBuilder, EngineError, EngineStats, Events, Failure, IdempotencyWindow,
    LocalCommand, LocalEngine, LongestDecision, Pending, RecordedOutcome, Room, SendError, Sending,
    Unchecked,
};
#[doc(hidden)]
pub use factlog_codec::__private;
pub use factlog_codec::types::{
    Decode, Depth, Description, DescriptionError, Encode, EncodeError, Event, EventType, List,
    Newer, Opaque, RenderError, SchemaDrift, Scratch, Stored, TypeKey, Upcast, UpcastError,
    Upcasts, Value, ViewError, Vocabulary, render,
};
pub use factlog_codec::{
    Ancestor, BlockError, CatalogError, CommandItem, CommandItemError, CommandOutcome, CursorName,
    CursorNameError, CursorPlace, CursorSlotError, Encoding, Epoch, ExtensionError, FollowEnd,
    FollowMessageError, FollowRefusal, FrameError, HeaderError, HistoryId, IndexError, ItemError,
    Key, LogId, ManifestError, MetadataTooLong, Place, Position, SealError, SegOpenError,
    SegmentId, Sequence, SnapshotError, Source, Stop, StopReason, StreamItemError, StreamKey,
    StreamKeyError, StreamNumber, StreamVersion, TypeItemError, TypeNumber, WriteWay, event, value,
    versions, vocabulary,
};
pub use image::{
    AsOf, Basis, Change, DiffError, Drift, History, HistoryBuilder, HistoryCounts, HistoryError,
    InstanceDiff, InstanceKey, IntoKey, Moment, NoStateHash, NoStateTrail, PassedOver,
    PassedOverReason, Past, PastImage, Patch, Presence, Replica, ReplicaBuilder, ReplicaError,
    Restart, SnapshotTaken, SnapshotTrouble, Snapshots, State, StateHash, StateHashError,
    StateTrail, StateTrailBuilder, Step, Stepper, StoredState, Suspension, SuspensionCause,
    TrailError, TurningPoint, first_drift, instances_of,
};
#[cfg(feature = "futures")]
pub use log::EventStream;
pub use log::{
    AccessError, Answer, AppendError, AttachError, Backup, BackupError, BackupProgress, Batch,
    BecomesDurable, Caused, Clock, CommandFailed, CommandFailedView, CommitAlign, Conversation,
    CorrectionFault, Corrections, Cursor, CursorFault, Cut, Damage, DamageReason, DiskObserver,
    DiskOperation, Draft, Drafts, Durability, EventRef, Expected, Fact, Fed, Feed, FeedError,
    FeedProgress, FileSystem, FollowError, FollowProgress, Follower, Following, Fork, ForkError,
    Forked, Hole, InstanceSuspended, InstanceSuspendedView, IoError, ItemFault, Log, LogType, Meta,
    NamedCursor, NamedPlace, NotWriter, OpenError, OptionError, Options, Producer, ReadError,
    Readable, Receipt, Recovery, RecoveryOutcome, RecoveryProgress, RecoveryReport, Refusal,
    Refused, Remedy, Rerun, RetainError, Retained, Retention, Salvage, SalvageError, SalvageReport,
    Salvaged, SaveError, SchemaChange, SchemaError, Scrub, ScrubError, ScrubFinding, ScrubProgress,
    ScrubReason, ScrubReport, ScrubStop, SeekError, SnapshotFailed, SnapshotFailedView, Start,
    Stats, StreamCursor, StreamHistory, SubmitError, SyncError, SystemClock, ThreadOptions,
    Transaction, Turn, WaitStrategy, Waited, WhatIf, WhatIfError, Witness, Writer, WriterThread,
    check_schema,
};
/// Of the crate `uuid`: what a field or a key can be.
pub use uuid::Uuid;
