//! Opening, sending, asking.

use std::any::TypeId;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog_codec::types::{Encode, Event};
use factlog_codec::{Sequence, StreamKey, StreamKeyError, StreamVersion};

use super::batch::{Desk, With};
use super::decide::{Aggregate, Events};
use super::prepared::Prepared;
use super::receipt::{Accepted, CommandError, FORKED, Failure, SendError};
use super::slot::{Asked, Pending, Question, Raw, Slot};
use super::thread::Core;
use super::window::{IdempotencyWindow, Window};
use crate::image::{Basis, Images, InstanceKey, IntoKey, State, Suspension, catch_up};
use crate::log::{
    Draft, Handover, InstanceSuspended, IoError, ItemFault, Log, OpenError, Options, Promise,
    ReadError, Refuse, SeekError, SyncError, ThreadOptions, Writer,
};
use crate::sync::{Arc, Mutex};

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
            Self::Twice(_) | Self::Abort => None,
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
    images: Images,
    kinds: HashMap<TypeId, u16>,
    twice: Option<&'static str>,
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// Aggregates over a log: one thread decides for all of them.
///
/// Dropping it ends the thread once everything that was taken is decided; [`Engine::close`] makes
/// it durable as well.
pub struct Engine {
    client: Client,
    thread: Option<JoinHandle<Writer>>,
}

/// Sends commands to an engine, and asks about its state. Clone it, send it to any thread.
#[derive(Clone)]
pub struct Client {
    queue: Arc<Handover<Asked>>,
    kinds: Arc<HashMap<TypeId, u16>>,
    log: Log,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("log", &self.client.log.directory()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("log", &self.log.directory()).finish_non_exhaustive()
    }
}

impl EngineBuilder {
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

    /// Opens the log, folds what is in it, and starts the thread.
    ///
    /// # Errors
    ///
    /// See [`EngineError`].
    pub fn start(mut self) -> Result<Engine, EngineError> {
        if cfg!(panic = "abort") {
            return Err(EngineError::Abort);
        }
        if let Some(name) = self.twice {
            return Err(EngineError::Twice(name));
        }
        let options = self.options.types(self.images.types());
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
        let folded = catch_up(&mut self.images, &log, |entry| {
            let command = entry.command().map_err(|fault: ItemFault| entry.unreadable(fault))?;
            if let Some(item) = command {
                window.remember(&item, entry.ts);
                window.keep();
            } else if entry.type_key() == Some(InstanceSuspended::static_type().key())
                && let Ok(fact) = InstanceSuspended::view(entry.item.payload)
            {
                told.insert((fact.key().to_owned(), fact.event()));
            }
            Ok::<_, ReadError>(())
        });
        folded.map_err(EngineError::Read)?;
        report_suspensions(&mut writer, &self.images, &log, &told);
        self.images.next = writer.next_sequence();

        let queue = Arc::new(Handover::new(self.thread.queue));
        let client =
            Client { queue: Arc::clone(&queue), kinds: Arc::new(self.kinds), log: log.clone() };
        let desk = Desk::new(self.record, seed(other));
        let core = Core { writer, log, images: self.images, window, desk, durability, lost: None };
        let idle = self.thread.idle;
        let run = move || core.serve(&queue, idle);
        let thread = std::thread::Builder::new().name("factlog-engine".into()).spawn(run);
        let thread = thread.map_err(|source| {
            EngineError::Io(IoError::new("start a thread for", &self.directory, source))
        })?;
        Ok(Engine { client, thread: Some(thread) })
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

impl Engine {
    /// An engine over the log in `directory`, which is made if it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> EngineBuilder {
        EngineBuilder {
            directory: directory.into(),
            options: Options::new(),
            thread: ThreadOptions::new(),
            window: IdempotencyWindow::default(),
            record: false,
            images: Images::new(),
            kinds: HashMap::new(),
            twice: None,
        }
    }

    /// A handle to send commands with, for any thread.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Takes nothing any more, decides what was taken, makes it durable, and closes the log.
    ///
    /// # Errors
    ///
    /// Not everything may be durable, or it could not be noted.
    pub fn close(mut self) -> Result<(), SyncError> {
        if self.client.log.is_forked() {
            self.thread = None;
            return Err(SyncError::Forked);
        }
        match self.end() {
            Some(writer) => writer.close(),
            None => Err(SyncError::ThreadPanicked),
        }
    }

    fn end(&mut self) -> Option<Writer> {
        if self.client.log.is_forked() {
            // The thread does not exist here: nobody would end.
            self.thread = None;
            return None;
        }
        self.client.queue.close();
        self.thread.take()?.join().ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl std::ops::Deref for Engine {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Client {
    /// The log, for readers.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Commands that wait, and most that can.
    pub fn queue(&self) -> (usize, usize) {
        (self.queue.len(), self.queue.capacity())
    }

    /// Sends a command to an instance, if there is room at once.
    ///
    /// # Errors
    ///
    /// It was not taken, and is given back.
    pub fn send<A: Aggregate>(
        &self,
        key: impl IntoKey<A::Key>,
        command: impl Into<A::Command>,
    ) -> Result<Pending<A>, SendError<A::Command>> {
        Sending::<A>::new(self, key.into_key(), command.into()).send()
    }

    /// Sends a command, waits for room and for what becomes of it.
    ///
    /// # Errors
    ///
    /// The command led to nothing; see [`CommandError`].
    ///
    /// # Panics
    ///
    /// When the engine does not hold this aggregate.
    pub fn call<A: Aggregate>(
        &self,
        key: impl IntoKey<A::Key>,
        command: impl Into<A::Command>,
    ) -> Result<Accepted<A::Reply>, CommandError<A::Rejection>> {
        Sending::<A>::new(self, key.into_key(), command.into()).call()
    }

    /// A command with an idempotency key, or with causes: then sent like any other.
    pub fn command<A: Aggregate>(
        &self,
        key: impl IntoKey<A::Key>,
        command: impl Into<A::Command>,
    ) -> Sending<'_, A> {
        Sending::new(self, key.into_key(), command.into())
    }

    /// Looks at the state of one instance, in the thread that writes: never older than anything
    /// that was answered. It costs that thread its time.
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    pub fn ask<S: State, T: Send + 'static>(
        &self,
        key: impl IntoKey<S::Key>,
        ask: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<T, AskError> {
        self.question(key.into_key(), ask).map(|(seen, _)| seen)
    }

    /// The same, with what is needed to prepare a command on it: see [`Sending::prepared`].
    ///
    /// # Errors
    ///
    /// See [`AskError`].
    pub fn read<S: State, T: Send + 'static>(
        &self,
        key: impl IntoKey<S::Key>,
        read: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<(T, Basis), AskError> {
        let key = key.into_key();
        let stream = StreamKey::new(S::NAME, key.to_key()).map_err(AskError::Key)?;
        let (seen, version) = self.question(key, read)?;
        Ok((seen, Basis::new().with(stream, version)))
    }

    fn question<S: State, T: Send + 'static>(
        &self,
        key: S::Key,
        ask: impl FnOnce(&S) -> T + Send + 'static,
    ) -> Result<(T, StreamVersion), AskError> {
        if self.log.is_forked() {
            return Err(AskError::Forked);
        }
        let kind = *self.kinds.get(&TypeId::of::<S>()).ok_or(AskError::NoAggregate(S::NAME))?;
        let ask = Mutex::new(Some(ask));
        let question = Arc::new(Question::<S, T, _> { kind, key, ask, told: Promise::new() });
        let asked = Asked::new(Arc::clone(&question) as _);
        if let Err(Refuse::Full(asked) | Refuse::Closed(asked)) = self.queue.push_wait(asked, None)
        {
            asked.disarm();
            return Err(AskError::Closed);
        }
        match question.told.wait() {
            Some(Ok(seen)) => Ok(seen),
            Some(Err(why)) => Err(AskError::Suspended(why)),
            None => Err(AskError::Lost),
        }
    }

    /// Appends events that nobody decides: all of them, or none. They are folded like all others.
    ///
    /// # Errors
    ///
    /// None of them is in the log, but for [`Failure::NotDurable`].
    pub fn append<E: Encode + Send + 'static>(
        &self,
        events: Vec<Draft<E>>,
    ) -> Result<(Sequence, u64), Failure> {
        if self.log.is_forked() {
            return Err(Failure::Forked);
        }
        let raw = Arc::new(Raw {
            drafts: Mutex::new(events),
            staged: Mutex::new(None),
            told: Promise::new(),
        });
        let asked = Asked::new(Arc::clone(&raw) as _);
        if let Err(Refuse::Full(asked) | Refuse::Closed(asked)) = self.queue.push_wait(asked, None)
        {
            asked.disarm();
            return Err(Failure::Abandoned);
        }
        raw.told.wait()
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AskError {
    /// The engine takes nothing any more.
    Closed,
    /// This process is a forked child of the one that started the engine.
    Forked,
    /// The engine does not hold this aggregate.
    NoAggregate(&'static str),
    /// The instance is suspended.
    Suspended(Suspension),
    /// The key cannot name a stream.
    Key(StreamKeyError),
    /// The question panicked, or the engine ended.
    Lost,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the engine was ended, and takes nothing more"),
            Self::Forked => write!(f, "{FORKED}"),
            Self::NoAggregate(name) => write!(f, "the engine does not hold `{name}`"),
            Self::Suspended(why) => why.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Lost => write!(f, "the question panicked, or the engine ended meanwhile"),
        }
    }
}

impl std::error::Error for AskError {}

/// Why it is given back.
type GiveBack<C> = fn(C) -> SendError<C>;

/// A command that is about to be sent.
#[must_use = "a command is sent with `send` or `call`"]
pub struct Sending<'c, A: Aggregate> {
    client: &'c Client,
    key: A::Key,
    command: A::Command,
    prepared: Option<Prepared<A>>,
    with: With,
}

impl<A: Aggregate> fmt::Debug for Sending<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("aggregate", &A::NAME).finish_non_exhaustive()
    }
}

impl<'c, A: Aggregate> Sending<'c, A> {
    fn new(client: &'c Client, key: A::Key, command: A::Command) -> Self {
        Self { client, key, command, prepared: None, with: With::default() }
    }

    /// A second command with this key is not done again, but answered as the first one was. At most
    /// 255 bytes, and never personal data: keys stay in the log.
    pub fn idempotency_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.with.key = Some(key.as_ref().into());
        self
    }

    /// It is decided already: on what was read at `basis` it leads to these events. It is refused as a
    /// [`Conflict`](CommandError::Conflict) if, and only if, one of the instances that were read has
    /// had a further event since; `decide` is not asked. For decisions that take long, or that need
    /// what only the outside has.
    ///
    /// A conflict is not remembered under an idempotency key: prepared anew, it may be sent with
    /// the same one.
    pub fn prepared(mut self, basis: Basis, events: Events<A::Event>) -> Self
    where
        A::Event: Send,
    {
        self.prepared = Some(Prepared { basis, events, reply: None });
        self
    }

    /// What a prepared command is answered, if it is accepted.
    pub fn reply(mut self, reply: A::Reply) -> Self {
        if let Some(prepared) = &mut self.prepared {
            prepared.reply = Some(reply);
        }
        self
    }

    /// The event in the log that caused it.
    pub fn cause(mut self, sequence: Sequence) -> Self {
        self.with.cause = Some(sequence);
        self
    }

    /// The event at the root of its conversation.
    pub fn correlation(mut self, sequence: Sequence) -> Self {
        self.with.correlation = Some(sequence);
        self
    }

    /// Sends it, if there is room at once.
    ///
    /// # Errors
    ///
    /// It was not taken, and is given back.
    pub fn send(self) -> Result<Pending<A>, SendError<A::Command>> {
        self.hand_over(|queue, asked| queue.push(asked))
    }

    /// Sends it, and waits up to `timeout` for room.
    ///
    /// # Errors
    ///
    /// It was not taken, and is given back.
    pub fn send_within(self, timeout: Duration) -> Result<Pending<A>, SendError<A::Command>> {
        let deadline = Instant::now().checked_add(timeout);
        self.hand_over(|queue, asked| queue.push_wait(asked, deadline))
    }

    /// Sends it, waits for room and for what becomes of it.
    ///
    /// # Errors
    ///
    /// The command led to nothing; see [`CommandError`].
    ///
    /// # Panics
    ///
    /// When the engine does not hold this aggregate.
    pub fn call(self) -> Result<Accepted<A::Reply>, CommandError<A::Rejection>> {
        match self.hand_over(|queue, asked| queue.push_wait(asked, None)) {
            Ok(pending) => pending.wait(),
            Err(error @ SendError::NoAggregate(..)) => panic!("{error}"),
            Err(SendError::Forked(_)) => Err(CommandError::Failed(Failure::Forked)),
            Err(_) => Err(CommandError::Failed(Failure::Abandoned)),
        }
    }

    fn hand_over(
        self,
        push: impl FnOnce(&Handover<Asked>, Asked) -> Result<(), Refuse<Asked>>,
    ) -> Result<Pending<A>, SendError<A::Command>> {
        let Self { client, key, command, prepared, with } = self;
        if client.log.is_forked() {
            return Err(SendError::Forked(command));
        }
        let Some(kind) = client.kinds.get(&TypeId::of::<A>()) else {
            return Err(SendError::NoAggregate(command, A::NAME));
        };
        let slot = Arc::new(Slot::<A>::new(*kind, key, (command, prepared), with));
        let asked = Asked::new(Arc::clone(&slot) as _);
        let (asked, give_back): (_, GiveBack<A::Command>) = match push(&client.queue, asked) {
            Ok(()) => return Ok(Pending(slot)),
            Err(Refuse::Full(asked)) => (asked, SendError::Full),
            Err(Refuse::Closed(asked)) => (asked, SendError::Closed),
        };
        asked.disarm();
        match slot.take_command() {
            Some(command) => Err(give_back(command)),
            // Nobody but this thread has seen it: it is there.
            None => unreachable!("the command of a slot that was not taken"),
        }
    }
}
