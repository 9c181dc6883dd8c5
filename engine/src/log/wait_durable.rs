//! Waiting until events are durable.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use factlog_codec::Sequence;

use super::cursor::{Log, Waited};
use super::error::SyncError;
use super::shared::Shared;

impl Shared {
    /// How it stands with an event: durable, not to become so any more, or neither yet.
    fn look_durable(&self, sequence: Sequence) -> Option<Result<Waited, SyncError>> {
        // Before the look: what became durable before the end is seen by the look.
        let open = self.frontier.is_open();
        let poison = self.poison.get();
        if self.frontier.durable_pair().1 > sequence {
            return Some(Ok(Waited::Ready));
        }
        if let Some(cause) = poison {
            return Some(Err(SyncError::Poisoned(cause.clone())));
        }
        (!open).then_some(Ok(Waited::Closed))
    }
}

impl Log {
    /// Waits until this event is durable, and has it made so: also one that nobody has written
    /// yet, and whatever the log's [`Durability`](crate::Durability) is.
    ///
    /// Gives [`Waited::Closed`] if the writer is gone and it is not.
    ///
    /// # Errors
    ///
    /// The log has failed: the event may not be durable, and will not become so.
    pub fn wait_durable(&self, sequence: Sequence, timeout: Duration) -> Result<Waited, SyncError> {
        let shared = self.shared();
        if let Some(found) = shared.look_durable(sequence) {
            return found;
        }
        let deadline = Instant::now().checked_add(timeout);
        let look = || {
            let found = shared.look_durable(sequence);
            if found.is_none() {
                shared.demand(sequence);
            }
            found
        };
        let waiters = shared.frontier.durable_waiters();
        waiters.wait(deadline, look).unwrap_or(Ok(Waited::TimedOut))
    }

    /// The same, as a task of any executor.
    pub fn durable_at(&self, sequence: Sequence) -> BecomesDurable<'_> {
        BecomesDurable { log: self, sequence, entered: None }
    }
}

/// The future of [`Log::durable_at`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct BecomesDurable<'a> {
    log: &'a Log,
    sequence: Sequence,
    entered: Option<u64>,
}

impl BecomesDurable<'_> {
    fn leave(&mut self) {
        if let Some(number) = self.entered.take() {
            self.log.shared().frontier.durable_waiters().leave(number);
        }
    }
}

impl Future for BecomesDurable<'_> {
    type Output = Result<Waited, SyncError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.leave();
        let shared = self.log.shared();
        if let Some(found) = shared.look_durable(self.sequence) {
            return Poll::Ready(found);
        }
        let number = shared.frontier.durable_waiters().enter_task(context.waker());
        // What came in between is not waited for; what is asked for now wakes this task.
        let found = shared.look_durable(self.sequence);
        if found.is_none() {
            shared.demand(self.sequence);
        }
        self.entered = Some(number);
        found.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for BecomesDurable<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
