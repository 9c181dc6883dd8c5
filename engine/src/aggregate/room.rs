//! Waiting for room in the queue, as a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::client::Client;

/// Ready when there is room in an engine's queue, or nobody will make any: what [`Client::room`]
/// gives.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Room<'c> {
    client: &'c Client,
    entered: Option<u64>,
}

impl fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("client", self.client).finish_non_exhaustive()
    }
}

impl<'c> Room<'c> {
    pub(super) fn new(client: &'c Client) -> Self {
        Self { client, entered: None }
    }

    fn leave(&mut self) {
        if let Some(number) = self.entered.take() {
            self.client.queue.waiting_for_room().leave(number);
        }
    }
}

impl Future for Room<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.leave();
        if self.client.queue.has_room() {
            return Poll::Ready(());
        }
        let waiting = self.client.queue.waiting_for_room();
        self.entered = Some(waiting.enter_task(context.waker()));
        // Room that was made in between is not waited for.
        if self.client.queue.has_room() {
            self.leave();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
