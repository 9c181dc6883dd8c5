//! From options to an engine that runs.

use std::any::TypeId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::path::PathBuf;

use factlog_codec::types::Event;

use super::batch::Desk;
use super::client::{Client, Replicas};
use super::decide::Aggregate;
use super::engine::Engine;
use super::local::LocalEngine;
use super::slot::{Asked, Finished};
use super::snapshots::{Holds, Keeper, SLICE};
use super::stats::Notes;
use super::thread::Core;
use super::window::{IdempotencyWindow, Window};
use crate::image::{
    Beside, Images, PassedOverReason, Pen, Restart, Snapshot, Snapshots, Taker, catch_up,
    find_snapshot, find_whole,
};
use crate::log::{
    Handover, InstanceSuspended, IoError, Log, OpenError, Options, ReadError, SeekError,
    ThreadOptions, Writer,
};
use crate::sync::Arc;

/// Why an engine did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// The log was not opened.
    Open(OpenError),
    /// What is in the log cannot be folded, since it cannot be read.
    Read(SeekError),
    /// Two aggregates have the same name: it.
    Twice(&'static str),
    /// The system gives no thread, or no randomness.
    Io(IoError),
    /// Snapshots are to be taken, but instances of this aggregate cannot be stored: set
    /// [`State::STORED`](crate::State::STORED).
    NotStored(&'static str),
    /// The program is built to abort at a panic: a decision that panics would end the process, and
    /// with it all others. Build it with `panic = "unwind"`.
    Abort,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => error.fmt(f),
            Self::Read(error) => write!(f, "the log cannot be folded: {error}"),
            Self::Twice(name) => write!(
                f,
                "two aggregates are called `{name}`: the name is the category of their streams"
            ),
            Self::Io(error) => error.fmt(f),
            Self::NotStored(name) => write!(
                f,
                "snapshots are to be taken, but instances of `{name}` cannot be stored: set \
                 `STORED` in its `State`"
            ),
            Self::Abort => write!(
                f,
                "this program aborts at a panic, so that one bad decision would end it: build it \
                 with `panic = \"unwind\"`"
            ),
        }
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Io(error) => Some(&error.source),
            Self::Twice(_) | Self::NotStored(_) | Self::Abort => None,
        }
    }
}

/// How an engine is to be: which aggregates, which options.
#[must_use = "an engine starts with `start`"]
pub struct EngineBuilder {
    directory: PathBuf,
    options: Options,
    thread: ThreadOptions,
    window: IdempotencyWindow,
    record: bool,
    snapshots: Snapshots,
    images: Images,
    kinds: HashMap<TypeId, u16>,
    twice: Option<&'static str>,
}

/// Everything that an engine needs.
struct Ready {
    core: Core,
    kinds: HashMap<TypeId, u16>,
    restart: Restart,
    snapshot: Option<Arc<Snapshot>>,
    notes: Notes,
    replicas: Replicas,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl EngineBuilder {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            options: Options::new(),
            thread: ThreadOptions::new(),
            window: IdempotencyWindow::default(),
            record: false,
            snapshots: Snapshots::on_request(),
            images: Images::new(),
            kinds: HashMap::new(),
            twice: None,
        }
    }

    /// Holds this aggregate as well.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        match self.images.add::<A>() {
            Some(kind) => {
                self.kinds.insert(TypeId::of::<A>(), kind);
            }
            None => self.twice = Some(A::NAME),
        }
        self
    }

    /// How the log is opened.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How the thread works.
    pub fn thread(mut self, options: ThreadOptions) -> Self {
        self.thread = options;
        self
    }

    /// How long idempotency keys are remembered.
    pub fn idempotency(mut self, window: IdempotencyWindow) -> Self {
        self.window = window;
        self
    }

    /// Writes every command into the log as a whole, not only what became of those with an
    /// idempotency key.
    pub fn record_commands(mut self) -> Self {
        self.record = true;
        self
    }

    /// When snapshots are taken, and which are kept.
    pub fn snapshots(mut self, snapshots: Snapshots) -> Self {
        self.snapshots = snapshots;
        self
    }

    /// Opens the log, folds what is in it (or what follows the newest snapshot that will do), and
    /// starts the thread.
    ///
    /// # Errors
    ///
    /// See [`EngineError`].
    pub fn start(self) -> Result<Engine, EngineError> {
        let queue = Arc::new(Handover::new(self.thread.queue));
        let (idle, directory) = (self.thread.idle, self.directory.clone());
        let Ready { core, kinds, restart, snapshot, notes, replicas } =
            self.ready(Arc::clone(&queue))?;
        let (log, kinds) = (core.log.clone(), Arc::new(kinds));
        let client =
            Client { queue: Arc::clone(&queue), kinds, log, notes, replicas: Arc::new(replicas) };
        let run = move || core.serve(&queue, idle);
        let thread = std::thread::Builder::new().name("factlog-engine".into()).spawn(run);
        let thread = thread.map_err(|source| {
            EngineError::Io(IoError::new("start a thread for", &directory, source))
        })?;
        Ok(Engine { client, restart, snapshot, thread: Some(thread) })
    }

    /// The same without a thread: whoever has the engine decides.
    ///
    /// # Errors
    ///
    /// See [`EngineError`].
    pub fn start_local(self) -> Result<LocalEngine, EngineError> {
        // Nobody hands over anything.
        let Ready { core, kinds, restart, notes, .. } = self.ready(Arc::new(Handover::new(1)))?;
        Ok(LocalEngine::new(core, kinds, restart, notes))
    }

    /// Opens the log, and folds what is in it.
    fn ready(mut self, queue: Arc<Handover<Asked>>) -> Result<Ready, EngineError> {
        if cfg!(panic = "abort") {
            return Err(EngineError::Abort);
        }
        if let Some(name) = self.twice {
            return Err(EngineError::Twice(name));
        }
        let replicas = (self.images.fresh(), self.window);
        let options = std::mem::take(&mut self.options).types(self.images.types());
        let durability = options.durability_of();
        let mut writer = options.open(&self.directory).map_err(EngineError::Open)?;
        let log = writer.log();
        let mut seeds = [0; 16];
        getrandom::fill(&mut seeds).map_err(|error| {
            let source = std::io::Error::other(error);
            EngineError::Io(IoError::new("get random numbers for", &self.directory, source))
        })?;
        let (one, other) = seeds.split_at(8);
        let seed = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut window = Window::new(self.window, seed(one));
        let mut told = HashSet::new();
        let (mut restart, snapshot, holds) = self.begin(&log, &mut window, &mut told)?;
        let folded = catch_up(&mut self.images, &log, |entry| {
            restart.folded += u64::from(entry.is_event());
            window.see(entry)?;
            if entry.type_key() == Some(InstanceSuspended::static_type().key())
                && let Ok(fact) = InstanceSuspended::view(entry.item.payload)
            {
                told.insert((fact.key().to_owned(), fact.event()));
            }
            Ok::<_, ReadError>(())
        });
        folded.map_err(EngineError::Read)?;
        report_suspensions(&mut writer, &self.images, &log, &told);
        self.images.next = writer.next_sequence();

        let notes = Notes::default();
        let desk = Desk::new(self.record, seed(other), notes.clone());
        let last = restart.snapshot.unwrap_or_default();
        let bell = move || {
            if let Err(refused) = queue.push(Asked::new(Arc::new(Finished))) {
                refused.into_inner().disarm();
            }
        };
        let pen = Pen::default();
        let taker = Taker::new(self.snapshots, SLICE, last, (Arc::new(bell), Pen::clone(&pen)));
        let (images, window_of) = replicas;
        let replicas = Replicas { images, window: window_of, seed: seed(one), pen };
        let keeper = Keeper::new(holds, notes.clone(), taker.newest());
        let core = Core {
            writer,
            log,
            images: self.images,
            window,
            desk,
            durability,
            taker,
            keeper,
            lost: None,
        };
        Ok(Ready { core, kinds: self.kinds, restart, snapshot, notes, replicas })
    }

    /// Begins with the newest snapshot that will do, if there is one.
    fn begin(
        &mut self,
        log: &Log,
        window: &mut Window,
        told: &mut HashSet<(String, u64)>,
    ) -> Result<(Restart, Option<Arc<Snapshot>>, Holds), EngineError> {
        let mut restart = Restart::default();
        let mut kinds = match self.images.stored() {
            Ok(kinds) => kinds,
            Err(kind) if self.snapshots.is_automatic() => return Err(EngineError::NotStored(kind)),
            Err(_) => return Ok((restart, None, Holds::new(log, false, VecDeque::new()))),
        };
        // What an earlier process has left there is in nobody's way.
        drop(log.remove_unfinished_snapshots());
        kinds.push(window.section());
        let admit =
            |snapshot: &Arc<Snapshot>| window.begin_with(snapshot).map_err(PassedOverReason::Keys);
        let (snapshot, passed_over) = find_snapshot(log, &kinds, log.visible().0, admit);
        restart.passed_over = passed_over;
        let Some(snapshot) = snapshot else {
            return Ok((restart, None, Holds::new(log, false, VecDeque::new())));
        };
        restart.snapshot = Some(snapshot.sequence());
        // It was told before the snapshot was taken.
        for (stream, why) in self.images.begin_with(&snapshot, log) {
            told.insert((stream.key().to_string(), why.sequence.get()));
        }
        let whole = find_whole(log, &kinds, snapshot.sequence(), self.snapshots.newest());
        // One that leaves out instances does not count: they need their whole history.
        let holds = Holds::new(log, snapshot.is_whole(), whole.into_iter().rev().collect());
        Ok((restart, Some(snapshot), holds))
    }
}

/// A failure fact for every instance that cannot be folded, unless the log has it already.
fn report_suspensions(
    writer: &mut Writer,
    images: &Images,
    log: &Log,
    told: &HashSet<(String, u64)>,
) {
    for (aggregate, stream, why) in images.suspensions() {
        let Some(name) = log.stream_key(stream) else { continue };
        if told.contains(&(name.key().to_string(), why.sequence.get())) {
            continue;
        }
        let fact = InstanceSuspended {
            aggregate: aggregate.to_owned(),
            key: name.key().to_string(),
            event: why.sequence.get(),
            cause: why.cause.to_string(),
        };
        // What cannot be stored is told to whoever asks the instance.
        drop(writer.append(&fact));
    }
}
