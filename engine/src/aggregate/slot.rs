//! A command on its way to the thread, and the answer on its way back.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use factlog_codec::{CursorPlace, Sequence, StreamVersion};

use super::batch::{Attempt, Batch, Verdict, With};
use super::decide::Aggregate;
use super::prepared::Prepared;
use super::receipt::{Accepted, CommandError, Failure};
use crate::image::{
    Images, Looking, Settled, SnapshotTaken, SnapshotTrouble, State, Telling, Told, Unseen,
};
use crate::log::{AppendError, Draft, Drafts, IoError, Promise};
use crate::sync::{Arc, Mutex, PoisonError};

/// What became of a frame, for those who stand in it.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// It is visible, and durable if that was promised.
    Published { durable: bool },
    /// It is visible, but could not be made durable.
    NotDurable(Arc<IoError>),
    /// There is none: it could not be begun.
    Refused(Arc<AppendError>),
    /// There is none: the log has stopped.
    Stopped(Arc<IoError>),
    /// There is none: a clock of the user's panicked.
    Panicked(String),
    /// There is none: the state is not known, since the log cannot be read.
    Unreadable(String),
    /// Nobody knows: the thread ended.
    Lost,
}

impl Fate {
    /// What becomes of a command that stood in the frame, if it was decided.
    #[inline]
    pub(super) fn settle<A: Aggregate>(&self, mut decided: Option<Verdict<A>>) -> Verdict<A> {
        if let Self::Published { durable } = self {
            if let Some(Ok(accepted)) = &mut decided {
                accepted.durable = *durable;
            }
            return decided.unwrap_or(Err(CommandError::Failed(Failure::Abandoned)));
        }
        self.settle_unpublished::<A>(decided)
    }

    #[cold]
    #[inline(never)]
    fn settle_unpublished<A: Aggregate>(&self, decided: Option<Verdict<A>>) -> Verdict<A> {
        let failed = |failure| Err(CommandError::Failed(failure));
        match (self, decided) {
            (Self::NotDurable(error), Some(Ok(_))) => {
                failed(Failure::NotDurable(Arc::clone(error)))
            }
            (Self::NotDurable(_), Some(Err(error))) => Err(error),
            (Self::Refused(error), _) => failed(Failure::Append(Arc::clone(error))),
            (Self::Stopped(error), _) => failed(Failure::Stopped(Arc::clone(error))),
            (Self::Panicked(said), _) => failed(Failure::Panicked(said.clone())),
            (Self::Unreadable(why), _) => failed(Failure::Unreadable(why.clone())),
            (Self::Lost | Self::Published { .. }, _) | (Self::NotDurable(_), None) => {
                failed(Failure::Abandoned)
            }
        }
    }
}

/// What is asked of the thread.
pub(super) trait Request: Send + Sync {
    /// Into the frame; whether it could be.
    fn run(&self, batch: &mut Batch<'_>) -> bool;

    /// The frame is over.
    fn answer(&self, fate: &Fate);

    /// Looks at what is published, between frames.
    fn look(&self, images: &mut Images) {
        let _ = images;
    }

    /// Whether it needs a frame of its own.
    fn alone(&self) -> bool {
        false
    }

    /// What else it wants than to be decided.
    fn wish(&self) -> Wish {
        Wish::Decide
    }
}

/// What a request is about.
pub(super) enum Wish {
    /// It goes into a frame.
    Decide,
    /// It looks at what is published.
    Look,
    /// It wants a snapshot to be taken.
    Snapshot(Told),
    /// A snapshot is written.
    Settle,
    /// Somebody else has written one, or not.
    Settled(Box<Settled>),
}

/// However a request is lost, it is answered.
pub(super) struct Asked(Option<Arc<dyn Request>>);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

impl Asked {
    pub(super) fn new(request: Arc<dyn Request>) -> Self {
        Self(Some(request))
    }

    pub(super) fn request(&self) -> Option<&dyn Request> {
        self.0.as_deref()
    }

    pub(super) fn answer(mut self, fate: &Fate) {
        if let Some(request) = self.0.take() {
            request.answer(fate);
        }
    }

    /// It was not taken after all: nobody waits.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(request) = self.0.take() {
            request.answer(&Fate::Lost);
        }
    }
}

/// A command, and what was decided outside.
type Sent<A> = (<A as Aggregate>::Command, Option<Prepared<A>>);

/// A command, and what became of it: one allocation for both sides.
pub(super) struct Slot<A: Aggregate> {
    kind: u16,
    key: A::Key,
    with: With,
    /// The command, and what was decided on it if that was outside.
    command: Mutex<Option<Sent<A>>>,
    /// Until the frame is published nobody is told.
    decided: Mutex<Option<Verdict<A>>>,
    told: Promise<Verdict<A>>,
}

impl<A: Aggregate> Slot<A> {
    pub(super) fn new(kind: u16, key: A::Key, (command, prepared): Sent<A>, with: With) -> Self {
        let (command, decided) = (Mutex::new(Some((command, prepared))), Mutex::new(None));
        Self { kind, key, with, command, decided, told: Promise::new() }
    }

    /// Takes back the command of a slot that was not taken.
    pub(super) fn take_command(&self) -> Option<A::Command> {
        let taken = self.command.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.map(|(command, _)| command)
    }
}

impl<A: Aggregate> Request for Slot<A> {
    fn run(&self, batch: &mut Batch<'_>) -> bool {
        let command = self.command.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((command, prepared)) = command.as_ref() else { return true };
        match batch.run::<A>(self.kind, &self.key, command, &self.with, prepared.as_ref()) {
            Attempt::Later => false,
            Attempt::Done(verdict) => {
                *self.decided.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
                true
            }
        }
    }

    fn answer(&self, fate: &Fate) {
        let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.told.leave(fate.settle::<A>(decided));
    }
}

/// What will become of a command. A future on any executor, or waited for by a thread.
///
/// Dropping it does not take the command back.
#[must_use = "the command may be refused"]
pub struct Pending<A: Aggregate>(pub(super) Arc<Slot<A>>);

impl<A: Aggregate> std::fmt::Debug for Pending<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("aggregate", &A::NAME).finish_non_exhaustive()
    }
}

impl<A: Aggregate> Pending<A> {
    /// Waits for it.
    ///
    /// # Errors
    ///
    /// The command led to nothing; see [`CommandError`].
    pub fn wait(self) -> Result<Accepted<A::Reply>, CommandError<A::Rejection>> {
        self.0.told.wait()
    }

    /// Waits for it, but no longer than `timeout`: then it gives what is still to come.
    ///
    /// # Errors
    ///
    /// The time ran out.
    #[allow(clippy::type_complexity, reason = "what came of the wait, and of the command")]
    pub fn wait_for(
        self,
        timeout: Duration,
    ) -> Result<Result<Accepted<A::Reply>, CommandError<A::Rejection>>, Self> {
        self.0.told.wait_for(timeout).ok_or(self)
    }
}

impl<A: Aggregate> Future for Pending<A> {
    type Output = Result<Accepted<A::Reply>, CommandError<A::Rejection>>;

    /// After it was ready it must not be polled again: it would be pending for ever.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.told.take(Some(context.waker())).map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a question comes to.
type Seen<T> = Result<(T, StreamVersion), crate::image::Suspension>;

/// A question about the state of one instance.
pub(super) struct Question<S: State, T, F> {
    pub(super) kind: u16,
    pub(super) key: S::Key,
    pub(super) ask: Mutex<Option<F>>,
    /// The address of the queue that it was put into.
    pub(super) to: usize,
    pub(super) told: Promise<Option<Seen<T>>>,
}

impl<S: State, T: Send, F: FnOnce(&S) -> T + Send> Request for Question<S, T, F> {
    fn run(&self, _: &mut Batch<'_>) -> bool {
        true
    }

    fn answer(&self, _: &Fate) {
        self.told.leave(None);
    }

    fn look(&self, images: &mut Images) {
        images.ready::<S>(self.kind, &self.key);
        let ask = self.ask.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(ask), Some(kind)) = (ask, images.get::<S>(self.kind)) else { return };
        let _looking = Looking::begin(self.to);
        let seen = match kind.look(&self.key) {
            Err(Unseen::Suspended(why)) => Some(Err(why)),
            // Loaded above.
            Err(Unseen::Stored) => None,
            Ok(state) => {
                let asking = std::panic::AssertUnwindSafe(|| ask(state));
                let version = kind.version(&self.key);
                std::panic::catch_unwind(asking).ok().map(|seen| Ok((seen, version)))
            }
        };
        self.told.leave(seen);
    }

    fn wish(&self) -> Wish {
        Wish::Look
    }
}

/// A snapshot is to be taken.
pub(super) struct TakeSnapshot(pub(super) Told);

impl Request for TakeSnapshot {
    fn run(&self, _: &mut Batch<'_>) -> bool {
        true
    }

    fn answer(&self, _: &Fate) {
        self.0.leave(Err(SnapshotTrouble::Ended));
    }

    fn wish(&self) -> Wish {
        Wish::Snapshot(Told::clone(&self.0))
    }
}

/// A snapshot is written.
pub(super) struct Finished;

impl Request for Finished {
    fn run(&self, _: &mut Batch<'_>) -> bool {
        true
    }

    fn answer(&self, _: &Fate) {}

    fn wish(&self) -> Wish {
        Wish::Settle
    }
}

/// A replica has taken a snapshot.
pub(super) struct TakenElsewhere {
    pub(super) event: Sequence,
    pub(super) place: Option<CursorPlace>,
    pub(super) written: Result<SnapshotTaken, SnapshotTrouble>,
    /// Whether nobody had asked for it.
    pub(super) by_itself: bool,
}

impl Request for TakenElsewhere {
    fn run(&self, _: &mut Batch<'_>) -> bool {
        true
    }

    fn answer(&self, _: &Fate) {}

    fn wish(&self) -> Wish {
        // Whoever has asked the replica is told by the replica.
        let told = (!self.by_itself).then(|| Telling::begin().1);
        let Self { event, place, written, .. } = self;
        let (event, place, written) = (*event, *place, written.clone());
        Wish::Settled(Box::new(Settled { event, place, written, told }))
    }
}

/// First sequence and number of events that stand in a frame, or why they do not.
type Staged = Result<(Sequence, u64), Failure>;

/// Events that nobody decided: they are appended as they are, and folded like all others.
pub(super) struct Raw<E: factlog_codec::types::Encode + Send + 'static> {
    pub(super) drafts: Mutex<Vec<Draft<E>>>,
    pub(super) staged: Mutex<Option<Staged>>,
    pub(super) told: Promise<Result<(Sequence, u64), Failure>>,
}

impl<E: factlog_codec::types::Encode + Send + 'static> Request for Raw<E> {
    fn alone(&self) -> bool {
        true
    }

    fn run(&self, batch: &mut Batch<'_>) -> bool {
        let drafts = self.drafts.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = batch.run_raw(|transaction| drafts.put(transaction));
        *self.staged.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        true
    }

    fn answer(&self, fate: &Fate) {
        let staged = self.staged.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.told.leave(match (fate, staged) {
            (Fate::Published { .. }, Some(Ok(receipt))) => Ok(receipt),
            (Fate::Published { .. } | Fate::NotDurable(_), Some(Err(failure))) => Err(failure),
            (Fate::NotDurable(error), Some(Ok(_))) => Err(Failure::NotDurable(Arc::clone(error))),
            (Fate::Refused(error), _) => Err(Failure::Append(Arc::clone(error))),
            (Fate::Stopped(error), _) => Err(Failure::Stopped(Arc::clone(error))),
            (Fate::Panicked(said), _) => Err(Failure::Panicked(said.clone())),
            (Fate::Unreadable(why), _) => Err(Failure::Unreadable(why.clone())),
            (Fate::Lost, _) | (Fate::Published { .. } | Fate::NotDurable(_), None) => {
                Err(Failure::Abandoned)
            }
        });
    }
}
