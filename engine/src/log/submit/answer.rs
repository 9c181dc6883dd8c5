//! What becomes of a submission: told once, to a thread or to a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::draft::Drafts;
use crate::log::error::AppendError;
use crate::log::wait::Promise;
use crate::log::writer::{Receipt, Transaction};
use crate::sync::{Arc, Mutex, PoisonError};

/// Why an accepted submission is not in the log (or, with [`AppendError::NotDurable`], not
/// durable).
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// It could not be appended.
    Append(AppendError),
    /// Code of the event's own panicked while it was serialised, or the clock did: the message.
    Panicked(String),
    /// The writer's thread ended before it said what became of it: it may be in the log.
    Abandoned,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(error) => error.fmt(f),
            Self::Panicked(message) => {
                write!(f, "nothing was appended, since its serialisation panicked: {message}")
            }
            Self::Abandoned => write!(
                f,
                "the thread of the writer ended before it said what became of this: look into the \
                 log"
            ),
        }
    }
}

/// An accepted submission that did not come into the log, or is not durable as was promised
/// ([`AppendError::NotDurable`]), and why.
pub struct Refused<D> {
    /// What was submitted, given back.
    pub content: Option<D>,
    /// Why.
    pub reason: Refusal,
}

impl<D> fmt::Debug for Refused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<D> fmt::Display for Refused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<D> std::error::Error for Refused<D> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Refusal::Append(error) => Some(error),
            _ => None,
        }
    }
}

type Outcome = Result<Receipt, Refusal>;

/// What both sides see of a submission: one allocation for content and answer.
#[derive(Debug)]
struct Slot<D> {
    content: Mutex<Option<D>>,
    outcome: Promise<Outcome>,
}

/// The writer's side of a submission, whatever it contains.
trait Submission: Send + Sync {
    fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError>;
    fn answer(&self, outcome: Outcome);
}

impl<D: Drafts> Submission for Slot<D> {
    fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.as_ref().map_or(Ok(()), |content| content.put(transaction))
    }

    fn answer(&self, outcome: Outcome) {
        if outcome.is_ok() {
            // It is a fact now. What is dropped here is the user's, and may panic.
            let content = self.content.lock().unwrap_or_else(PoisonError::into_inner).take();
            let dropping = std::panic::AssertUnwindSafe(|| drop(content));
            drop(std::panic::catch_unwind(dropping));
        }
        self.outcome.leave(outcome);
    }
}

/// A submission on its way. However it is lost, it is answered.
pub(in crate::log) struct Accepted {
    submission: Option<Arc<dyn Submission>>,
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").finish_non_exhaustive()
    }
}

impl Accepted {
    pub(super) fn put(&self, transaction: &mut Transaction<'_>) -> Result<(), AppendError> {
        self.submission.as_ref().map_or(Ok(()), |submission| submission.put(transaction))
    }

    pub(in crate::log) fn answer(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        let Some(submission) = self.submission.take() else { return };
        // If nobody waits any more, the content goes here: it is the user's, and may panic.
        let telling = std::panic::AssertUnwindSafe(move || submission.answer(outcome));
        drop(std::panic::catch_unwind(telling));
    }

    /// It was not accepted after all: nobody waits.
    pub(super) fn disarm(mut self) {
        self.submission = None;
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.tell(Err(Refusal::Abandoned));
    }
}

/// What will become of a submission. A future on any executor, or waited for by a thread.
///
/// Dropping it does not take the submission back. In a forked child nobody answers.
#[must_use = "the submission may be refused"]
#[derive(Debug)]
pub struct Answer<D> {
    slot: Arc<Slot<D>>,
}

impl<D: Drafts> Answer<D> {
    /// Both sides of a submission.
    pub(in crate::log) fn new(content: D) -> (Self, Accepted) {
        let slot = Arc::new(Slot { content: Mutex::new(Some(content)), outcome: Promise::new() });
        let submission: Arc<dyn Submission> = Arc::clone(&slot) as _;
        (Self { slot }, Accepted { submission: Some(submission) })
    }

    /// Takes the content back of a submission that was not accepted.
    pub(super) fn into_content(self) -> Option<D> {
        self.slot.content.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// With what was submitted, if it did not come into the log.
    fn told(&self, outcome: Outcome) -> Result<Receipt, Refused<D>> {
        outcome.map_err(|reason| {
            let content = self.slot.content.lock().unwrap_or_else(PoisonError::into_inner).take();
            Refused { content, reason }
        })
    }

    /// Waits for it.
    ///
    /// # Errors
    ///
    /// The submission is not in the log, and is given back; or it is, and not durable.
    pub fn wait(self) -> Result<Receipt, Refused<D>> {
        self.told(self.slot.outcome.wait())
    }

    /// Waits for it, but no longer than `timeout`: then it gives the answer still to come.
    ///
    /// # Errors
    ///
    /// The time ran out.
    pub fn wait_for(self, timeout: Duration) -> Result<Result<Receipt, Refused<D>>, Self> {
        self.slot.outcome.wait_for(timeout).map(|outcome| self.told(outcome)).ok_or(self)
    }
}

impl<D: Drafts> Future for Answer<D> {
    type Output = Result<Receipt, Refused<D>>;

    /// After it was ready it must not be polled again: it would be pending for ever.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let taken = self.slot.outcome.take(Some(context.waker()));
        taken.map_or(Poll::Pending, |outcome| Poll::Ready(self.told(outcome)))
    }
}
