//! Submitting: from any thread, never a silent wait.

use std::fmt;
use std::time::{Duration, Instant};

use factlog_codec::types::Encode;

use super::answer::{Accepted, Answer};
use super::draft::{Draft, Drafts};
use super::handover::{Handover, Refuse};
use crate::log::error::AppendError;
use crate::log::fault::IoError;
use crate::log::shared::Shared;
use crate::sync::Arc;

/// Why a submission was not accepted. It is given back.
#[non_exhaustive]
pub enum SubmitError<D> {
    /// The queue is full (or still was when the time ran out): the writer is behind.
    Full(D),
    /// The writer's thread takes nothing any more.
    Closed(D),
    /// An operation on a segment in use failed: the log must be opened anew.
    Failed(D, Arc<IoError>),
    /// It is larger than a frame may be: most bytes that it may have.
    TooLarge(D, usize),
    /// This process is a forked child of the one that opened the log: nobody writes here.
    Forked(D),
}

impl<D> SubmitError<D> {
    /// What was submitted.
    pub fn into_content(self) -> D {
        match self {
            Self::Full(content)
            | Self::Closed(content)
            | Self::Forked(content)
            | Self::Failed(content, _)
            | Self::TooLarge(content, _) => content,
        }
    }
}

impl<D> fmt::Debug for SubmitError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
            Self::Failed(..) => "Failed",
            Self::TooLarge(..) => "TooLarge",
            Self::Forked(_) => "Forked",
        };
        f.debug_tuple(name).finish_non_exhaustive()
    }
}

impl<D> fmt::Display for SubmitError<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => write!(
                f,
                "the queue to the writer is full: wait with `submit`, or shed load; a longer queue \
                 helps against bursts only"
            ),
            Self::Closed(_) => write!(f, "the writer's thread was ended, and takes nothing more"),
            Self::Failed(_, cause) => {
                write!(f, "the log stopped writing ({cause}): open it anew")
            }
            Self::Forked(_) => AppendError::Forked.fmt(f),
            Self::TooLarge(_, limit) => write!(
                f,
                "the submission has more than {limit} bytes: make it smaller, or use larger segments"
            ),
        }
    }
}

impl<D> std::error::Error for SubmitError<D> {}

/// Hands events to the thread that owns the writer. Clone it, send it to any thread.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    handover: Arc<Handover<Accepted>>,
    max_transaction: usize,
}

impl Producer {
    pub(super) fn new(
        shared: &Arc<Shared>,
        handover: &Arc<Handover<Accepted>>,
        max_transaction: usize,
    ) -> Self {
        Self { shared: Arc::clone(shared), handover: Arc::clone(handover), max_transaction }
    }

    /// Submits an event, if there is room at once.
    ///
    /// # Errors
    ///
    /// It was not accepted, and is given back.
    pub fn try_submit<E: Encode + Send + 'static>(
        &self,
        event: E,
    ) -> Result<Answer<Draft<E>>, SubmitError<Draft<E>>> {
        self.try_submit_drafts(Draft::new(event))
    }

    /// Submits a draft, or several that belong together, if there is room at once.
    ///
    /// # Errors
    ///
    /// Nothing of it was accepted; it is given back.
    pub fn try_submit_drafts<D: Drafts>(&self, drafts: D) -> Result<Answer<D>, SubmitError<D>> {
        self.hand_over(drafts, |handover, accepted| handover.push(accepted))
    }

    /// Submits an event, and waits up to `timeout` for room in the queue.
    ///
    /// # Errors
    ///
    /// It was not accepted, and is given back.
    pub fn submit<E: Encode + Send + 'static>(
        &self,
        event: E,
        timeout: Duration,
    ) -> Result<Answer<Draft<E>>, SubmitError<Draft<E>>> {
        self.submit_drafts(Draft::new(event), timeout)
    }

    /// Submits a draft, or several that belong together, and waits up to `timeout` for room.
    ///
    /// # Errors
    ///
    /// Nothing of it was accepted; it is given back.
    pub fn submit_drafts<D: Drafts>(
        &self,
        drafts: D,
        timeout: Duration,
    ) -> Result<Answer<D>, SubmitError<D>> {
        let deadline = Instant::now().checked_add(timeout);
        self.hand_over(drafts, |handover, accepted| handover.push_wait(accepted, deadline))
    }

    /// Submissions that wait for the writer, and most that can.
    pub fn queue(&self) -> (usize, usize) {
        (self.handover.len(), self.handover.capacity())
    }

    fn hand_over<D: Drafts>(
        &self,
        drafts: D,
        push: impl FnOnce(&Handover<Accepted>, Accepted) -> Result<(), Refuse<Accepted>>,
    ) -> Result<Answer<D>, SubmitError<D>> {
        if self.shared.fork.is_child() {
            return Err(SubmitError::Forked(drafts));
        }
        if let Some(cause) = self.shared.poison.get() {
            return Err(SubmitError::Failed(drafts, Arc::clone(cause)));
        }
        if drafts.least_bytes() > self.max_transaction {
            return Err(SubmitError::TooLarge(drafts, self.max_transaction));
        }
        let (answer, accepted) = Answer::new(drafts);
        let (refused, give_back): (_, fn(D) -> SubmitError<D>) =
            match push(&self.handover, accepted) {
                Ok(()) => return Ok(answer),
                Err(Refuse::Full(refused)) => (refused, SubmitError::Full),
                Err(Refuse::Closed(refused)) => (refused, SubmitError::Closed),
            };
        refused.disarm();
        match answer.into_content() {
            Some(content) => Err(give_back(content)),
            // Nobody but this thread has seen it: it is there.
            None => unreachable!("the content of a submission that was not accepted"),
        }
    }
}
