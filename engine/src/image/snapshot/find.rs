//! The newest snapshot that will do, and why others will not.

use std::fmt;
use std::io;

use factlog_codec::{BlockError, CursorPlace, Epoch, IndexError, Sequence, SnapshotError};

use super::file::{Broken, Snapshot};
use crate::log::{Log, ReadError, Standing};
use crate::sync::Arc;

/// A snapshot that was not used.
#[derive(Debug, Clone)]
pub struct PassedOver {
    /// The event that it is as of, by its name.
    pub sequence: Sequence,
    /// Why.
    pub reason: PassedOverReason,
}

/// Why a snapshot was not used. The state is folded from an older one, or from the whole log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PassedOverReason {
    /// It cannot be read.
    Io(Arc<io::Error>),
    /// It is damaged, or torn, or of a format that is newer than this program.
    Damaged(SnapshotError),
    /// Its index makes no sense.
    Index(IndexError),
    /// Its idempotency keys are damaged: a key that cannot be looked up would be done again.
    Keys(BlockError),
    /// A block of its instances is damaged.
    Instances(BlockError),
    /// It is of another log.
    Foreign,
    /// It is as of an event that the log does not have.
    Lost,
    /// The log has other events there, written in this epoch.
    Rewritten(Epoch),
    /// Retention has dropped events that come after it.
    Behind,
    /// Its name says another event than it does.
    Name(Sequence),
    /// It has no instances of this kind of state.
    NoKind(&'static str),
    /// This kind of state has changed since: its shape, or the version of its logic.
    Outdated(&'static str),
    /// The log could not be asked.
    Read(Arc<ReadError>),
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot as of event {} is passed over: {}", self.sequence, self.reason)
    }
}

impl fmt::Display for PassedOverReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::Damaged(error) => error.fmt(f),
            Self::Index(error) => error.fmt(f),
            Self::Keys(error) => write!(f, "its idempotency keys cannot be read: {error}"),
            Self::Instances(error) => write!(f, "its instances cannot all be read: {error}"),
            Self::Foreign => write!(f, "it is of another log"),
            Self::Lost => write!(f, "the log does not have that event"),
            Self::Rewritten(epoch) => write!(f, "the log was written anew there in epoch {epoch}"),
            Self::Behind => write!(f, "retention has dropped events that come after it"),
            Self::Name(sequence) => write!(f, "by its header it is as of event {sequence}"),
            Self::NoKind(name) => write!(f, "it has no instances of `{name}`"),
            Self::Outdated(name) => {
                write!(f, "`{name}` has another shape or another version of its logic now")
            }
            Self::Read(error) => write!(f, "the log could not be asked: {error}"),
        }
    }
}

/// The newest snapshot of this log that has all of these kinds, each with this fingerprint, and
/// that `admit` has nothing against.
pub(crate) fn find(
    log: &Log,
    kinds: &[(&'static str, u64)],
    up_to: Sequence,
    mut admit: impl FnMut(&Arc<Snapshot>) -> Result<(), PassedOverReason>,
) -> (Option<Arc<Snapshot>>, Vec<PassedOver>) {
    let mut passed_over = Vec::new();
    let listed = match log.snapshots() {
        Ok(listed) => listed,
        Err(error) => {
            let reason = PassedOverReason::Io(Arc::new(error));
            return (None, vec![PassedOver { sequence: Sequence::ZERO, reason }]);
        }
    };
    for sequence in listed.into_iter().filter(|sequence| *sequence <= up_to) {
        let looked = look(log, sequence, kinds).map(Arc::new);
        match looked.and_then(|snapshot| admit(&snapshot).map(|()| snapshot)) {
            Ok(snapshot) => return (Some(snapshot), passed_over),
            Err(reason) => passed_over.push(PassedOver { sequence, reason }),
        }
    }
    (None, passed_over)
}

/// All snapshots of this log that can be used for anything, the newest first.
pub(crate) fn find_all(log: &Log, up_to: Sequence) -> Vec<Arc<Snapshot>> {
    let listed = log.snapshots().unwrap_or_default().into_iter();
    let looked = listed.filter(|sequence| *sequence <= up_to).map(|one| look(log, one, &[]));
    looked.filter_map(Result::ok).map(Arc::new).collect()
}

/// The places of so many snapshots at most that have all of these kinds whole, the newest first.
pub(crate) fn find_whole(
    log: &Log,
    kinds: &[(&'static str, u64)],
    up_to: Sequence,
    most: usize,
) -> Vec<CursorPlace> {
    let listed = log.snapshots().unwrap_or_default().into_iter();
    let looked = listed.filter(|sequence| *sequence <= up_to).map(|one| look(log, one, kinds));
    let whole = looked.filter_map(Result::ok).filter(Snapshot::is_whole);
    whole.map(|snapshot| snapshot.header().place).take(most).collect()
}

/// A snapshot, if it is of this log, and has all of these kinds.
pub(crate) fn look(
    log: &Log,
    sequence: Sequence,
    kinds: &[(&'static str, u64)],
) -> Result<Snapshot, PassedOverReason> {
    let io = |error| PassedOverReason::Io(Arc::new(error));
    let file = log.map_snapshot(sequence).map_err(io)?;
    let snapshot = Snapshot::open(file).map_err(|broken| match broken {
        Broken::Header(error) => PassedOverReason::Damaged(error),
        Broken::Index(error) => PassedOverReason::Index(error),
    })?;
    let place = snapshot.header().place;
    if place.sequence != sequence {
        return Err(PassedOverReason::Name(place.sequence));
    }
    let standing = log.standing(&place);
    match standing.map_err(|error| PassedOverReason::Read(Arc::new(error)))? {
        Standing::InOrder => {}
        Standing::Foreign => return Err(PassedOverReason::Foreign),
        Standing::Lost => return Err(PassedOverReason::Lost),
        Standing::Rewritten(epoch) => return Err(PassedOverReason::Rewritten(epoch)),
        Standing::Behind => return Err(PassedOverReason::Behind),
    }
    snapshot.left_out().map_err(PassedOverReason::Instances)?;
    for (name, fingerprint) in kinds {
        match snapshot.section(name) {
            None => return Err(PassedOverReason::NoKind(name)),
            Some((_, found)) if found != *fingerprint => {
                return Err(PassedOverReason::Outdated(name));
            }
            Some(_) => {}
        }
    }
    Ok(snapshot)
}
