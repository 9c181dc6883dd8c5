//! A command that is about to be sent.

use std::any::TypeId;
use std::fmt;
use std::time::{Duration, Instant};

use factlog_codec::{ExtensionError, Sequence};

use super::batch::With;
use super::client::Client;
use super::decide::{Aggregate, Events};
use super::prepared::Prepared;
use super::receipt::{Accepted, CommandError, Failure, SendError};
use super::slot::{Asked, Pending, Slot};
use crate::image::{Basis, Looking, address};
use crate::log::{EventRef, Handover, Refuse};
use crate::sync::Arc;

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
    pub(super) fn new(client: &'c Client, key: A::Key, command: A::Command) -> Self {
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

    /// The event in the log that caused it. Its events are then of the conversation of that one, unless
    /// a [`correlation`](Self::correlation) is given: the event is looked up when the command is sent.
    pub fn cause(mut self, sequence: Sequence) -> Self {
        self.with.cause = Some(sequence);
        self
    }

    /// It was caused by this event, and belongs to its conversation: the same without looking it up.
    ///
    /// # Errors
    ///
    /// What stands beside that event cannot be read.
    pub fn caused_by(self, event: &EventRef<'_>) -> Result<Self, ExtensionError> {
        Ok(self.cause(event.sequence()).correlation(event.conversation()?))
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
        if Looking::is_at(address(&self.client.queue)) {
            return Err(CommandError::Failed(Failure::Asking));
        }
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
        let Self { client, key, command, prepared, mut with } = self;
        if client.log.is_forked() {
            return Err(SendError::Forked(command));
        }
        let Some(kind) = client.kinds.get(&TypeId::of::<A>()) else {
            return Err(SendError::NoAggregate(command, A::NAME));
        };
        with.complete(&client.log);
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
