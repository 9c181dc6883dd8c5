//! An image on a thread of its own, which follows the log.

use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog_codec::{Sequence, StreamKey, StreamKeyError, StreamVersion};

use super::basis::Basis;
use super::fold::{fold, suspend_dropped};
use super::hash::{StateHash, StateHashError};
use super::images::Images;
use super::instances::Unseen;
use super::state::{InstanceKey, State};
use super::suspension::Suspension;
use crate::log::{Cursor, IoError, Log, ReadError, SeekError, Start, WaitStrategy, Waited};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, wait_until};

/// How long the thread sleeps at most before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Items after which readers get their turn, at the end of a frame.
const AT_ONCE: usize = 4096;

/// Why a replica does not show what was asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReplicaError {
    /// It had not come so far when the time ran out: where it is.
    Behind(Sequence),
    /// It cannot read the log any more: why, and where it is.
    Stopped(String, Sequence),
    /// It was not given this kind of state.
    NoKind(&'static str),
    /// The instance is suspended.
    Suspended(Suspension),
    /// The key cannot name a stream.
    Key(StreamKeyError),
}

impl fmt::Display for ReplicaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(at) => {
                write!(f, "the replica is at event {at}: ask again, or wait longer")
            }
            Self::Stopped(why, at) => write!(f, "the replica stopped at event {at}: {why}"),
            Self::NoKind(name) => write!(f, "the replica does not hold `{name}`: add it first"),
            Self::Suspended(why) => why.fmt(f),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReplicaError {}

#[derive(Default)]
struct Progress {
    /// Everything up to this is folded.
    at: Sequence,
    /// Why nothing more comes.
    stopped: Option<String>,
}

struct Inside {
    images: RwLock<Images>,
    progress: Mutex<Progress>,
    came: Condvar,
    end: AtomicBool,
}

/// A copy of the state that follows the log on a thread of its own: many readers, each of which
/// sees a state as it was between two commits.
///
/// It costs a second copy of all its instances, and no time of the writer. Dropping it ends the
/// thread.
pub struct Replica {
    inside: Arc<Inside>,
    log: Log,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").field("at", &self.at()).finish_non_exhaustive()
    }
}

/// Which kinds of state a replica holds.
#[must_use = "a replica starts with `start`"]
pub struct ReplicaBuilder {
    log: Log,
    images: Images,
}

impl fmt::Debug for ReplicaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaBuilder").finish_non_exhaustive()
    }
}

impl ReplicaBuilder {
    /// Holds this kind of state as well.
    pub fn state<S: State>(mut self) -> Self {
        let _ = self.images.add::<S>();
        self
    }

    /// Starts the thread. It begins with the oldest event of the log.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or the system gives no thread.
    pub fn start(self) -> Result<Replica, SeekError> {
        let cursor = self.log.cursor(Start::Oldest)?;
        let mut images = self.images;
        suspend_dropped(&mut images, &self.log)?;
        let inside = Arc::new(Inside {
            images: RwLock::new(images),
            progress: Mutex::new(Progress::default()),
            came: Condvar::new(),
            end: AtomicBool::new(false),
        });
        let shared = Arc::clone(&inside);
        let run = move || shared.run(cursor);
        let thread = std::thread::Builder::new().name("factlog-replica".into()).spawn(run);
        let thread = thread.map_err(|source| {
            let error = IoError::new("start a replica of", self.log.directory(), source);
            SeekError::Read(ReadError::Io(Arc::new(error)))
        })?;
        Ok(Replica { inside, log: self.log, thread: Some(thread) })
    }
}

impl Replica {
    /// A replica of the states of a log.
    pub fn of(log: &Log) -> ReplicaBuilder {
        ReplicaBuilder { log: log.clone(), images: Images::new() }
    }

    /// The sequence of the last event that it has folded.
    pub fn at(&self) -> Sequence {
        self.inside.progress.lock().unwrap_or_else(PoisonError::into_inner).at
    }

    /// Waits until it has folded everything up to `sequence`: a receipt's last, so that what is
    /// read is never older than what was answered.
    ///
    /// # Errors
    ///
    /// The time ran out, or the replica has stopped.
    pub fn at_least(&self, sequence: Sequence, timeout: Duration) -> Result<(), ReplicaError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut progress = self.inside.progress.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if progress.at >= sequence {
                return Ok(());
            }
            if let Some(why) = &progress.stopped {
                return Err(ReplicaError::Stopped(why.clone(), progress.at));
            }
            let (guard, in_time) = wait_until(&self.inside.came, progress, deadline);
            progress = guard;
            if !in_time && progress.at < sequence {
                return Err(ReplicaError::Behind(progress.at));
            }
        }
    }

    /// Looks at one instance; at the default state if it has no event.
    ///
    /// # Errors
    ///
    /// The replica does not hold this kind of state, or the instance is suspended.
    pub fn with<S: State, T>(
        &self,
        key: &S::Key,
        look: impl FnOnce(&S) -> T,
    ) -> Result<T, ReplicaError> {
        self.look(key, look).map(|(seen, _)| seen)
    }

    /// The same, with what is needed to prepare a command on it.
    ///
    /// # Errors
    ///
    /// As [`Replica::with`]; or the key cannot name a stream.
    pub fn read<S: State, T>(
        &self,
        key: &S::Key,
        look: impl FnOnce(&S) -> T,
    ) -> Result<(T, Basis), ReplicaError> {
        let stream = StreamKey::new(S::NAME, key.to_key()).map_err(ReplicaError::Key)?;
        let (seen, version) = self.look(key, look)?;
        Ok((seen, Basis::new().with(stream, version)))
    }

    fn look<S: State, T>(
        &self,
        key: &S::Key,
        look: impl FnOnce(&S) -> T,
    ) -> Result<(T, StreamVersion), ReplicaError> {
        let images = self.inside.images.read().unwrap_or_else(PoisonError::into_inner);
        let kind = images.kind_of::<S>().and_then(|kind| images.get::<S>(kind));
        let kind = kind.ok_or(ReplicaError::NoKind(S::NAME))?;
        match kind.look(key) {
            Ok(state) => Ok((look(state), kind.version(key))),
            Err(Unseen::Suspended(why)) => Err(ReplicaError::Suspended(why)),
            Err(Unseen::Stored) => Err(ReplicaError::NoKind(S::NAME)),
        }
    }

    /// Looks at all instances of a kind, in no order, and says as of which event: a consistent cut.
    ///
    /// # Errors
    ///
    /// The replica does not hold this kind of state.
    pub fn for_each<S: State>(
        &self,
        mut look: impl FnMut(&S::Key, &S),
    ) -> Result<Sequence, ReplicaError> {
        let images = self.inside.images.read().unwrap_or_else(PoisonError::into_inner);
        let kind = images.kind_of::<S>().and_then(|kind| images.get::<S>(kind));
        let kind = kind.ok_or(ReplicaError::NoKind(S::NAME))?;
        kind.iter().for_each(|(key, state)| look(key, state));
        Ok(images.next.before())
    }

    /// The hash of all its states, and as of which event. Nothing is folded meanwhile.
    ///
    /// # Errors
    ///
    /// Instances of a kind are not stored, or one is too large to be.
    pub fn state_hash(&self) -> Result<(StateHash, Sequence), StateHashError> {
        let images = self.inside.images.read().unwrap_or_else(PoisonError::into_inner);
        Ok((StateHash::of_image(&images)?, images.next.before()))
    }
}

impl Inside {
    fn run(&self, mut cursor: Cursor) {
        let stopped = loop {
            if self.end.load(Ordering::Acquire) {
                break "it was dropped".to_owned();
            }
            match self.take(&mut cursor) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => break error.to_string(),
            }
            if cursor.wait(WaitStrategy::Park, LOOK) == Waited::Closed {
                // What was written last is still taken.
                match self.take(&mut cursor) {
                    Ok(true) => continue,
                    Ok(false) => break "the log was closed".to_owned(),
                    Err(error) => break error.to_string(),
                }
            }
        };
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.stopped = Some(stopped);
        drop(progress);
        self.came.notify_all();
    }

    /// Folds what there is; whether there was anything. Batches end where frames do, so that
    /// nobody sees part of a transaction.
    fn take(&self, cursor: &mut Cursor) -> Result<bool, ReadError> {
        let mut batch = cursor.poll()?;
        let mut images = self.images.write().unwrap_or_else(PoisonError::into_inner);
        let (mut folded, mut frame) = (0, None);
        while let Some(entry) = batch.next_entry()? {
            let goes_on = frame.replace(entry.place) == Some(entry.place);
            if folded >= AT_ONCE && !goes_on {
                let at = images.next.before();
                drop(images);
                self.note(at);
                images = self.images.write().unwrap_or_else(PoisonError::into_inner);
                folded = 0;
            }
            folded += 1;
            fold(&mut images, &entry);
        }
        let at = images.next.before();
        drop(images);
        if frame.is_some() {
            self.note(at);
        }
        Ok(frame.is_some())
    }

    /// Everything up to `at` is folded.
    fn note(&self, at: Sequence) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).at = at;
        self.came.notify_all();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if self.log.is_forked() {
            // The thread does not exist here: nobody would end.
            self.thread = None;
            return;
        }
        self.inside.end.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
