//! An engine without a thread of its own: whoever has it decides.

use std::any::TypeId;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use factlog_codec::{ExtensionError, Sequence, StreamVersion};

use super::batch::{Verdict, With};
use super::decide::Aggregate;
use super::receipt::{CommandError, Failure};
use super::slot::Fate;
use super::stats::{EngineStats, Notes};
use super::thread::{Core, WARM};
use crate::image::{IntoKey, Restart, State, Suspension, SuspensionCause, Unseen};
use crate::log::{EventRef, Log, RetainError, Retained, Retention, SyncError};

/// A command for an instance, with what it has beside itself.
#[derive(Debug)]
pub struct LocalCommand<A: Aggregate> {
    pub(super) key: A::Key,
    pub(super) command: A::Command,
    pub(super) with: With,
}

impl<A: Aggregate> LocalCommand<A> {
    /// A command for an instance.
    pub fn new(key: impl IntoKey<A::Key>, command: impl Into<A::Command>) -> Self {
        Self { key: key.into_key(), command: command.into(), with: With::default() }
    }

    pub(super) fn given(key: A::Key, command: A::Command) -> Self {
        Self { key, command, with: With::default() }
    }

    /// As [`Sending::idempotency_key`](crate::Sending::idempotency_key).
    #[must_use]
    pub fn idempotency_key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.with.key = Some(key.as_ref().into());
        self
    }

    /// As [`Sending::cause`](crate::Sending::cause).
    #[must_use]
    pub const fn cause(mut self, sequence: Sequence) -> Self {
        self.with.cause = Some(sequence);
        self
    }

    /// As [`Sending::caused_by`](crate::Sending::caused_by).
    ///
    /// # Errors
    ///
    /// What stands beside that event cannot be read.
    pub fn caused_by(self, event: &EventRef<'_>) -> Result<Self, ExtensionError> {
        Ok(self.cause(event.sequence()).correlation(event.conversation()?))
    }

    /// The event at the root of its conversation.
    #[must_use]
    pub const fn correlation(mut self, sequence: Sequence) -> Self {
        self.with.correlation = Some(sequence);
        self
    }
}

/// An engine in the thread that has it: no queue, no other thread that decides, nothing to wait for.
///
/// For programs that already have one thread through which everything goes. Commands are decided,
/// staged and folded as by an [`Engine`](crate::Engine); [`LocalEngine::call_all`] puts many of them
/// into one frame. It takes no snapshots, and begins with those that an `Engine` has taken.
pub struct LocalEngine {
    pub(super) core: Core,
    kinds: HashMap<TypeId, u16>,
    restart: Restart,
    notes: Notes,
}

impl fmt::Debug for LocalEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalEngine")
            .field("log", &self.core.log.directory())
            .finish_non_exhaustive()
    }
}

impl LocalEngine {
    pub(super) fn new(
        core: Core,
        kinds: HashMap<TypeId, u16>,
        restart: Restart,
        notes: Notes,
    ) -> Self {
        Self { core, kinds, restart, notes }
    }

    /// The log, for readers.
    pub fn log(&self) -> &Log {
        &self.core.log
    }

    /// What it is doing: see [`Client::stats`](crate::Client::stats).
    pub fn stats(&self) -> EngineStats {
        EngineStats { log: self.core.log.stats(), ..self.notes.read() }
    }

    /// What it began with.
    pub fn restart(&self) -> &Restart {
        &self.restart
    }

    fn kind<S: State>(&self) -> u16 {
        match self.kinds.get(&TypeId::of::<S>()) {
            Some(kind) => *kind,
            None => panic!("the engine does not hold `{}`: add it before it starts", S::NAME),
        }
    }

    /// Decides one command, in a frame of its own.
    ///
    /// # Errors
    ///
    /// The command led to nothing; see [`CommandError`].
    ///
    /// # Panics
    ///
    /// When the engine does not hold this aggregate.
    pub fn call<A: Aggregate>(
        &mut self,
        key: impl IntoKey<A::Key>,
        command: impl Into<A::Command>,
    ) -> Verdict<A> {
        let mut answer = None;
        let one = LocalCommand::new(key, command);
        self.call_all::<A>([one], |verdict| answer = Some(verdict));
        answer.unwrap_or(Err(CommandError::Failed(Failure::Abandoned)))
    }

    /// Decides commands one after the other, each on the state that all before it have left, in as
    /// few frames as they need. `answer` is given what became of each, in their order, once its frame is
    /// visible (and durable, if that is promised).
    ///
    /// # Panics
    ///
    /// When the engine does not hold this aggregate; or what `commands` or `answer` panics with, or
    /// archiving an event or a reply: then nothing of the frame in the making is in the log, or in the
    /// state.
    pub fn call_all<A: Aggregate>(
        &mut self,
        commands: impl IntoIterator<Item = LocalCommand<A>>,
        mut answer: impl FnMut(Verdict<A>),
    ) {
        let kind = self.kind::<A>();
        let log = self.core.log.clone();
        let mut commands = commands.into_iter().map(|mut one| {
            one.with.complete(&log);
            one
        });
        let (mut waiting, mut decided) = (VecDeque::new(), Vec::new());
        loop {
            if waiting.is_empty() {
                waiting.extend(commands.by_ref().take(WARM));
            }
            if waiting.is_empty() {
                return;
            }
            let fate = match &self.core.lost {
                Some(why) => Fate::Unreadable(why.clone()),
                None => self.core.frame_of::<A>(kind, &mut waiting, &mut commands, &mut decided),
            };
            if decided.is_empty() {
                // The frame could not be begun.
                waiting.pop_front();
                answer(fate.settle::<A>(None));
            }
            for verdict in decided.drain(..) {
                answer(fate.settle::<A>(Some(verdict)));
            }
        }
    }

    /// Decides a command that is still needed.
    pub(super) fn call_ref<A: Aggregate>(&mut self, one: &LocalCommand<A>) -> Verdict<A> {
        let kind = self.kind::<A>();
        self.core.frame_of_one(kind, one)
    }

    /// Looks at the state of one instance; at the default if it has no event.
    ///
    /// # Errors
    ///
    /// The instance is suspended: why; or all are, since the log could not be read when they had to be
    /// folded anew.
    ///
    /// # Panics
    ///
    /// When the engine does not hold this kind of state; or what the default of a state panics with.
    pub fn look<S: State, T>(
        &mut self,
        key: impl IntoKey<S::Key>,
        look: impl FnOnce(&S) -> T,
    ) -> Result<T, Suspension> {
        let (kind, key) = (self.kind::<S>(), key.into_key());
        if let Some(why) = &self.core.lost {
            let cause = SuspensionCause::Unread(why.clone());
            let (sequence, version) = (self.core.images.next, StreamVersion::NONE);
            return Err(Suspension { sequence, version, cause });
        }
        let loading = AssertUnwindSafe(|| self.core.images.ready::<S>(kind, &key));
        if let Err(panic) = catch_unwind(loading) {
            self.core.start_over();
            resume_unwind(panic);
        }
        let found = self.core.images.get::<S>(kind).map(|all| all.look(&key));
        match found {
            Some(Err(Unseen::Suspended(why))) => Err(why),
            Some(Ok(state)) => Ok(look(state)),
            // It was made ready above.
            Some(Err(Unseen::Stored)) | None => Ok(look(&S::default())),
        }
    }

    /// As [`Engine::retain`](crate::Engine::retain).
    ///
    /// # Errors
    ///
    /// Nothing was dropped, and the log is as it was.
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        self.core.log.retain(retention)
    }

    /// Makes everything durable, and closes the log.
    ///
    /// # Errors
    ///
    /// Not everything may be durable, or it could not be noted.
    pub fn close(self) -> Result<(), SyncError> {
        self.core.writer.close()
    }

    /// The sequence of the last event.
    pub fn last(&self) -> Sequence {
        self.core.log.visible().0
    }
}
