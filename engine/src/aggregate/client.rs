//! Sending commands, and asking about state, from any thread.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use factlog_codec::types::Encode;
use factlog_codec::{Sequence, StreamKey, StreamKeyError, StreamVersion};

use super::decide::Aggregate;
use super::receipt::{ASKING, Accepted, CommandError, FORKED, Failure, SendError};
use super::room::Room;
use super::sending::Sending;
use super::slot::{Asked, Pending, Question, Raw, TakeSnapshot, TakenElsewhere};
use super::stats::{EngineStats, Notes};
use super::window::{IdempotencyWindow, Window};
use crate::image::{
    Basis, Images, InstanceKey, IntoKey, Looking, Pen, ReplicaBuilder, ReplicaTaking, Settled,
    SnapshotTaken, SnapshotTrouble, Snapshots, State, Suspension, Telling, address,
};
use crate::log::{Draft, Handover, Log, Promise, Refuse, Stats};
use crate::sync::{Arc, Mutex};

/// Sends commands to an engine, and asks about its state. Clone it, send it to any thread.
#[derive(Clone)]
pub struct Client {
    pub(super) queue: Arc<Handover<Asked>>,
    pub(super) kinds: Arc<HashMap<TypeId, u16>>,
    pub(super) log: Log,
    pub(super) notes: Notes,
    pub(super) replicas: Arc<Replicas>,
}

/// What a replica of an engine is made from.
pub(super) struct Replicas {
    /// The engine's kinds, without instances.
    pub(super) images: Images,
    pub(super) window: IdempotencyWindow,
    /// That of the engine's window.
    pub(super) seed: u64,
    pub(super) pen: Pen,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("log", &self.log.directory()).finish_non_exhaustive()
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

    /// What the engine is doing: its log and queue, the longest decision of each type of command,
    /// snapshots and what went wrong with them. Asking costs the thread that decides nothing.
    pub fn stats(&self) -> EngineStats {
        let (queue, queue_capacity) = self.queue();
        let log = Stats { queue, queue_capacity, ..self.log.stats() };
        EngineStats { log, ..self.notes.read() }
    }

    /// Waits for room in the queue, as a task: after [`SendError::Full`], say. Others may be faster, so
    /// it is sent in a loop:
    ///
    /// ```
    /// # use factlog::{Aggregate, Client, Pending, SendError};
    /// async fn send<A: Aggregate>(
    ///     client: &Client,
    ///     key: A::Key,
    ///     mut command: A::Command,
    /// ) -> Result<Pending<A>, SendError<A::Command>>
    /// where
    ///     A::Key: factlog::IntoKey<A::Key>,
    /// {
    ///     loop {
    ///         match client.send::<A>(key.clone(), command) {
    ///             Err(SendError::Full(back)) => command = back,
    ///             sent => return sent,
    ///         }
    ///         client.room().await;
    ///     }
    /// }
    /// ```
    pub fn room(&self) -> Room<'_> {
        Room::new(self)
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
    /// that was answered. It costs that thread its time, so `ask` must not wait for anything; least of all
    /// for that thread: what is asked of the same engine from inside is refused.
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
        if Looking::is_at(address(&self.queue)) {
            return Err(AskError::Asking);
        }
        let kind = *self.kinds.get(&TypeId::of::<S>()).ok_or(AskError::NoAggregate(S::NAME))?;
        let ask = Mutex::new(Some(ask));
        let (to, told) = (address(&self.queue), Promise::new());
        let question = Arc::new(Question::<S, T, _> { kind, key, ask, to, told });
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

    /// A replica of all kinds of state of this engine, which takes snapshots in its stead: the same
    /// files, with idempotency keys, at no cost for the thread that decides. For whoever takes them the
    /// policy of its own applies, also for how many are kept.
    ///
    /// Beside a second copy of all instances it has one of all idempotency keys.
    pub fn replica(&self, snapshots: Snapshots) -> ReplicaBuilder {
        let Replicas { images, window, seed, pen } = &*self.replicas;
        let queue = Arc::clone(&self.queue);
        let tell = move |settled: &Settled, patience: Duration| {
            let Settled { event, place, written, told } = settled;
            let (event, place, written) = (*event, *place, written.clone());
            let taken = TakenElsewhere { event, place, written, by_itself: told.is_none() };
            let asked = Asked::new(Arc::new(taken));
            let Err(refused) = queue.push_wait(asked, Some(Instant::now() + patience)) else {
                return true;
            };
            // If the engine has ended, nobody needs to know.
            let ended = matches!(refused, Refuse::Closed(_));
            refused.into_inner().disarm();
            ended
        };
        let taking = ReplicaTaking {
            policy: snapshots,
            beside: Box::new(Window::new(*window, *seed)),
            pen: Pen::clone(pen),
            tell: Box::new(tell),
        };
        ReplicaBuilder::with(&self.log, images.fresh(), taking)
    }

    /// Takes a snapshot of everything that was decided before, and waits until it is in its place.
    ///
    /// # Errors
    ///
    /// There is none; see [`SnapshotTrouble`]. From inside a question it is [`Busy`](SnapshotTrouble::Busy).
    pub fn snapshot(&self) -> Result<SnapshotTaken, SnapshotTrouble> {
        if self.log.is_forked() {
            return Err(SnapshotTrouble::Forked);
        }
        if Looking::is_at(address(&self.queue)) {
            return Err(SnapshotTrouble::Busy);
        }
        let (outcome, told) = Telling::begin();
        let asked = Asked::new(Arc::new(TakeSnapshot(told)));
        if let Err(refused) = self.queue.push_wait(asked, None) {
            refused.into_inner().disarm();
            return Err(SnapshotTrouble::Ended);
        }
        outcome.wait()
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
        if Looking::is_at(address(&self.queue)) {
            return Err(Failure::Asking);
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
    /// It was asked from inside a question to the same engine: the thread that decides would wait for
    /// itself.
    Asking,
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
            Self::Asking => write!(f, "{ASKING}"),
            Self::Lost => write!(f, "the question panicked, or the engine ended meanwhile"),
        }
    }
}

impl std::error::Error for AskError {}
