//! An image on a thread of its own, which follows the log.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog_codec::types::Event;
use factlog_codec::{Sequence, StreamKey, StreamVersion};

use super::basis::Basis;
use super::fold::{fold, suspend_dropped};
use super::hash::{StateHash, StateHashError};
use super::images::Images;
use super::instances::Unseen;
use super::looking::{Looking, address};
use super::replica_error::ReplicaError;
use super::snapshot::{
    PassedOverReason, Restart, Snapshot, SnapshotTaken, SnapshotTrouble, Snapshots,
    find as find_snapshot,
};
use super::state::{InstanceKey, State};
use super::taker::{Beside, Pen, Settled, Taker, Telling, Told};
use crate::log::{
    Cursor, Entry, IoError, Log, ReadError, SeekError, SnapshotFailed, Start, WaitStrategy, Waited,
    message,
};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, wait_until};

/// How long the thread sleeps at most before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes that are taken into a snapshot at once, while readers wait.
const SLICE: usize = 64 << 10;

/// How long the thread tries, when it ends, to tell of its last snapshots.
const LAST_TRY: Duration = Duration::from_secs(1);

/// Items after which readers get their turn, at the end of a frame.
const AT_ONCE: usize = 4096;

#[derive(Default)]
struct Progress {
    /// Everything up to this is folded.
    at: Sequence,
    /// Why nothing more comes.
    stopped: Option<String>,
}

/// What is folded.
struct Folding {
    images: Images,
    /// What a snapshot has beside them, if this replica takes any.
    beside: Option<Box<dyn Beside>>,
}

struct Inside {
    held: RwLock<Folding>,
    progress: Mutex<Progress>,
    /// Who wants a snapshot.
    wanted: Mutex<Option<Told>>,
    came: Condvar,
    end: AtomicBool,
}

/// A copy of the state that follows the log on a thread of its own: many readers, each of which
/// sees a state as it was between two commits.
///
/// Nothing is folded while somebody looks. So whoever looks must not wait for another thread that does
/// as well; and must not ask the same replica again, which is an error.
///
/// It costs a second copy of all its instances, and no time of the writer. It begins with a snapshot,
/// if there is one that has all its kinds as they are now; then instances are loaded when they are
/// first needed. Dropping it ends the thread.
pub struct Replica {
    inside: Arc<Inside>,
    restart: Restart,
    takes: bool,
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
    whole: bool,
    taking: Option<Taking>,
}

/// How a replica takes snapshots.
pub(crate) struct Taking {
    pub(crate) policy: Snapshots,
    pub(crate) beside: Box<dyn Beside>,
    pub(crate) pen: Pen,
    /// Who else learns of each, whoever has asked for it; whether that needs no other try. A try takes no
    /// longer than this.
    pub(crate) tell: Tell,
}

/// Tells somebody of a snapshot.
pub(crate) type Tell = Box<dyn Fn(&Settled, Duration) -> bool + Send>;

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

    /// Begins with the oldest event of the log, whatever snapshots there are: to be held against what a
    /// snapshot brings.
    pub fn whole_log(mut self) -> Self {
        self.whole = true;
        self
    }

    /// Starts the thread. It begins with the newest snapshot that will do, or with the oldest event of
    /// the log.
    ///
    /// # Errors
    ///
    /// The log cannot be read, or the system gives no thread.
    pub fn start(self) -> Result<Replica, SeekError> {
        let Self { log, mut images, whole, mut taking } = self;
        let restart = match whole {
            true => Restart::default(),
            false => begin(&log, &mut images, taking.as_mut()),
        };
        let cursor = match restart.snapshot {
            Some(_) => log.cursor(Start::Sequence(images.next))?,
            None => {
                suspend_dropped(&mut images, &log)?;
                let cursor = log.cursor(Start::Oldest)?;
                images.begin_without(&log, whole);
                cursor
            }
        };
        let at = images.next.before();
        let (taker, beside, tell) = match taking {
            None => (None, None, None),
            Some(Taking { policy, beside, pen, tell }) => {
                // The thread looks by itself.
                let bell: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
                (Some(Taker::new(policy, SLICE, at, (bell, pen))), Some(beside), Some(tell))
            }
        };
        let takes = taker.is_some();
        let inside = Arc::new(Inside {
            held: RwLock::new(Folding { images, beside }),
            progress: Mutex::new(Progress { at, stopped: None }),
            wanted: Mutex::new(None),
            came: Condvar::new(),
            end: AtomicBool::new(false),
        });
        let shared = Arc::clone(&inside);
        let snapshots = taker.zip(tell);
        let snapshots =
            snapshots.map(|(taker, tell)| Snapping { taker, tell, untold: VecDeque::new() });
        let follower = Follower { inside: shared, log: log.clone(), cursor, snapshots };
        let run = move || follower.run();
        let thread = std::thread::Builder::new().name("factlog-replica".into()).spawn(run);
        let thread = thread.map_err(|source| {
            let error = IoError::new("start a replica of", log.directory(), source);
            SeekError::Read(ReadError::Io(Arc::new(error)))
        })?;
        Ok(Replica { inside, restart, takes, log, thread: Some(thread) })
    }

    /// With these kinds, and taking snapshots.
    pub(crate) fn with(log: &Log, images: Images, taking: Taking) -> Self {
        Self { log: log.clone(), images, whole: false, taking: Some(taking) }
    }
}

/// Begins with the newest snapshot that will do, if there is one.
fn begin(log: &Log, images: &mut Images, taking: Option<&mut Taking>) -> Restart {
    let mut restart = Restart::default();
    let Ok(mut kinds) = images.stored() else { return restart };
    let mut beside = taking.map(|taking| &mut taking.beside);
    kinds.extend(beside.as_ref().map(|beside| beside.section()));
    let admit = |snapshot: &Arc<Snapshot>| match &mut beside {
        Some(beside) => beside.begin_with(snapshot).map_err(PassedOverReason::Keys),
        None => Ok(()),
    };
    let (snapshot, passed_over) = find_snapshot(log, &kinds, log.visible().0, admit);
    restart.passed_over = passed_over;
    if let Some(snapshot) = &snapshot {
        restart.snapshot = Some(snapshot.sequence());
        images.begin_with(snapshot, log);
    }
    restart
}

impl Replica {
    /// A replica of the states of a log.
    pub fn of(log: &Log) -> ReplicaBuilder {
        ReplicaBuilder { log: log.clone(), images: Images::new(), whole: false, taking: None }
    }

    /// The snapshot that it began with, and those that would not do. (What it has folded since then is
    /// not counted.)
    pub fn restart(&self) -> &Restart {
        &self.restart
    }

    /// Takes a snapshot of what it has folded, and waits until it is in its place. Only one that was made
    /// by [`Client::replica`](crate::Client::replica) does: others know no idempotency keys.
    ///
    /// It costs no time of the thread that decides, and as many bytes of memory as its file has until
    /// it is written.
    ///
    /// # Errors
    ///
    /// There is none; see [`SnapshotTrouble`]. From inside a look at the replica it is
    /// [`Busy`](SnapshotTrouble::Busy).
    pub fn snapshot(&self) -> Result<SnapshotTaken, SnapshotTrouble> {
        if self.log.is_forked() {
            return Err(SnapshotTrouble::Forked);
        }
        if !self.takes {
            return Err(SnapshotTrouble::NoKeys);
        }
        if Looking::is_at(address(&self.inside)) {
            return Err(SnapshotTrouble::Busy);
        }
        let (outcome, told) = Telling::begin();
        {
            let progress = self.inside.progress.lock().unwrap_or_else(PoisonError::into_inner);
            if progress.stopped.is_some() {
                return Err(SnapshotTrouble::Ended);
            }
            let mut wanted = self.inside.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.is_some() {
                return Err(SnapshotTrouble::Busy);
            }
            *wanted = Some(told);
        }
        outcome.wait()
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
    /// The time ran out, or the replica has stopped; or it has not come so far, and this is called from
    /// inside a look at it, during which nothing is folded.
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
            if Looking::is_at(address(&self.inside)) {
                return Err(ReplicaError::Looking);
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
    /// The replica does not hold this kind of state, or the instance is suspended; or this is called from
    /// inside a look at the same replica.
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
        let _looking = Looking::begin(address(&self.inside)).ok_or(ReplicaError::Looking)?;
        let mut tried = false;
        loop {
            let held = self.inside.held.read().unwrap_or_else(PoisonError::into_inner);
            let number = held.images.kind_of::<S>().ok_or(ReplicaError::NoKind(S::NAME))?;
            let kind = held.images.get::<S>(number).ok_or(ReplicaError::NoKind(S::NAME))?;
            match kind.look(key) {
                Ok(state) => return Ok((look(state), kind.version(key))),
                Err(Unseen::Suspended(why)) => return Err(ReplicaError::Suspended(why)),
                Err(Unseen::Stored) if tried => return Err(ReplicaError::NoKind(S::NAME)),
                // In the snapshot only: it is loaded, once.
                Err(Unseen::Stored) => tried = true,
            }
            drop(held);
            let mut held = self.inside.held.write().unwrap_or_else(PoisonError::into_inner);
            held.images.ready::<S>(number, key);
        }
    }

    /// Looks at all instances of a kind that have events and are not suspended, in no order, and says as
    /// of which event: a consistent cut. Those that stand in a snapshot only are loaded first.
    ///
    /// # Errors
    ///
    /// The replica does not hold this kind of state; or this is called from inside a look at it.
    pub fn for_each<S: State>(
        &self,
        mut look: impl FnMut(&S::Key, &S),
    ) -> Result<Sequence, ReplicaError> {
        let _looking = Looking::begin(address(&self.inside)).ok_or(ReplicaError::Looking)?;
        {
            let mut held = self.inside.held.write().unwrap_or_else(PoisonError::into_inner);
            held.images.load_all(S::NAME);
        }
        let held = self.inside.held.read().unwrap_or_else(PoisonError::into_inner);
        let images = &held.images;
        let kind = images.kind_of::<S>().and_then(|kind| images.get::<S>(kind));
        let kind = kind.ok_or(ReplicaError::NoKind(S::NAME))?;
        kind.iter().for_each(|(key, state)| look(key, state));
        Ok(images.next.before())
    }

    /// The hash of all its states, and as of which event. Nothing is folded meanwhile.
    ///
    /// # Errors
    ///
    /// Instances of a kind are not stored, or one is too large to be; or this is called from inside a look
    /// at the replica.
    pub fn state_hash(&self) -> Result<(StateHash, Sequence), StateHashError> {
        let _looking = Looking::begin(address(&self.inside)).ok_or(StateHashError::Looking)?;
        let held = self.inside.held.read().unwrap_or_else(PoisonError::into_inner);
        Ok((StateHash::of_image(&held.images)?, held.images.next.before()))
    }
}

/// The snapshots of a replica.
struct Snapping {
    taker: Taker,
    tell: Tell,
    /// What could not be told yet: the queue had no room.
    untold: VecDeque<Settled>,
}

impl Snapping {
    /// Tells what became of a snapshot: to others in its turn, and to whoever has asked for it.
    fn settled(&mut self, settled: Settled) {
        let asked = settled.told.clone().map(|told| (told, settled.written.clone()));
        self.untold.push_back(settled);
        self.tell(Duration::ZERO);
        if let Some((told, written)) = asked {
            told.leave(written);
        }
    }

    /// Tells what is not told yet, as far as there is room; each try takes no longer than this.
    fn tell(&mut self, patience: Duration) {
        while self.untold.front().is_some_and(|next| (self.tell)(next, patience)) {
            self.untold.pop_front();
        }
    }
}

/// What the thread has.
struct Follower {
    inside: Arc<Inside>,
    log: Log,
    cursor: Cursor,
    snapshots: Option<Snapping>,
}

impl Follower {
    fn run(mut self) {
        // It is the user's code that archives a state.
        let follow = AssertUnwindSafe(|| self.follow());
        let stopped = catch_unwind(follow).unwrap_or_else(|panic| message(&*panic));
        if let Some(mut snapshots) = self.snapshots {
            let mut held = self.inside.held.write().unwrap_or_else(PoisonError::into_inner);
            snapshots.taker.end(&mut held.images);
            drop(held);
            snapshots.tell(LAST_TRY);
        }
        let mut progress = self.inside.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.stopped = Some(stopped);
        let mut wanted = self.inside.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits for it learns that it has ended.
        *wanted = None;
        drop((wanted, progress));
        self.inside.came.notify_all();
    }

    /// Folds what comes, and takes snapshots, until it ends; why it does.
    fn follow(&mut self) -> String {
        loop {
            if self.inside.end.load(Ordering::Acquire) {
                break "it was dropped".to_owned();
            }
            let taken = self.take();
            let busy = self.snapshots();
            match taken {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => break error.to_string(),
            }
            if busy {
                continue;
            }
            if self.cursor.wait(WaitStrategy::Park, LOOK) == Waited::Closed {
                // What was written last is still taken.
                match self.take() {
                    Ok(true) => continue,
                    Ok(false) => break "the log was closed".to_owned(),
                    Err(error) => break error.to_string(),
                }
            }
        }
    }

    /// Folds what there is; whether there was anything.
    fn take(&mut self) -> Result<bool, ReadError> {
        let Self { inside, cursor, snapshots, .. } = self;
        inside.take(cursor, |entry| {
            if let Some(Snapping { taker, .. }) = snapshots
                && entry.type_key() == Some(SnapshotFailed::static_type().key())
            {
                taker.saw_failure();
            }
        })
    }

    /// What is to be done for snapshots, between frames; whether there is more at once.
    fn snapshots(&mut self) -> bool {
        let Some(snapshots) = &mut self.snapshots else { return false };
        match snapshots.taker.settle() {
            Some(settled) => snapshots.settled(settled),
            None => snapshots.tell(Duration::ZERO),
        }
        let taker = &mut snapshots.taker;
        if !taker.is_idle() && !taker.is_taking() {
            return false;
        }
        let wanted = {
            let mut wanted = self.inside.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if taker.is_idle() { wanted.take() } else { None }
        };
        let at = self.inside.progress.lock().unwrap_or_else(PoisonError::into_inner).at;
        if !taker.is_taking() && wanted.is_none() && !taker.is_due(at.after(1)) {
            return false;
        }
        let began = Instant::now();
        let mut held = self.inside.held.write().unwrap_or_else(PoisonError::into_inner);
        let Folding { images, beside: Some(beside) } = &mut *held else { return false };
        if taker.is_taking() {
            taker.slice(images, &mut **beside, true);
            drop(held);
            // Readers get their turn: a lock that is taken again at once is never theirs.
            std::thread::sleep(began.elapsed());
            return taker.is_taking();
        }
        let begun = taker.begin(&self.log, images, &mut **beside, wanted.as_ref());
        drop(held);
        if let Err((event, trouble)) = begun {
            let written = Err(trouble);
            snapshots.settled(Settled { event, place: None, written, told: wanted });
        }
        true
    }
}

impl Inside {
    /// Folds what there is; whether there was anything. Batches end where frames do, so that
    /// nobody sees part of a transaction.
    fn take(
        &self,
        cursor: &mut Cursor,
        mut also: impl FnMut(&Entry<'_>),
    ) -> Result<bool, ReadError> {
        let mut batch = cursor.poll()?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let (mut folded, mut frame) = (0, None);
        while let Some(entry) = batch.next_entry()? {
            let goes_on = frame.replace(entry.place) == Some(entry.place);
            if folded >= AT_ONCE && !goes_on {
                let at = held.images.next.before();
                drop(held);
                self.note(at);
                held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                folded = 0;
            }
            folded += 1;
            let Folding { images, beside } = &mut *held;
            if entry.sequence < images.next {
                // In the snapshot already.
                continue;
            }
            if let Some(beside) = beside {
                beside.see(&entry)?;
            }
            also(&entry);
            fold(images, &entry);
        }
        let at = held.images.next.before();
        drop(held);
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
