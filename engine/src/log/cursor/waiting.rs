//! How a cursor waits for more: looking again and again, or asleep; as a thread, or as a task.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::forward::Cursor;
use super::strategy::{WaitStrategy, Waited};
use crate::sync::spin_loop;

/// A cursor that looks again and again says so often that it waits for what is durable.
const LOOKS_BETWEEN_DEMANDS: u32 = 1 << 16;
/// Looks before a parking cursor sleeps: some microseconds, about what a sleep costs.
const LOOKS: u32 = 256;

impl Cursor {
    /// Waits until there is something to read.
    pub fn wait(&self, strategy: WaitStrategy, timeout: Duration) -> Waited {
        let deadline = Instant::now().checked_add(timeout);
        let mut looks = 0_u32;
        loop {
            if let Some(waited) = self.look() {
                return waited;
            }
            if looks.is_multiple_of(LOOKS_BETWEEN_DEMANDS) {
                self.demand();
            }
            match strategy {
                WaitStrategy::Spin => spin_loop(),
                WaitStrategy::Yield => std::thread::yield_now(),
                WaitStrategy::Park if looks < LOOKS => spin_loop(),
                WaitStrategy::Park => {
                    let found = self.waiters().wait(deadline, || {
                        self.look().or_else(|| {
                            self.demand();
                            None
                        })
                    });
                    return found.unwrap_or(Waited::TimedOut);
                }
            }
            looks = looks.wrapping_add(1);
            // Reading the clock costs more than a look.
            if looks.is_multiple_of(64)
                && deadline.is_some_and(|deadline| Instant::now() >= deadline)
            {
                return self.look().unwrap_or(Waited::TimedOut);
            }
        }
    }

    /// Waits, as a task of any executor, until there is something to read: gives
    /// [`Waited::Ready`] or [`Waited::Closed`].
    pub fn readable(&mut self) -> Readable<'_> {
        Readable { cursor: self, entered: None }
    }
}

/// The future of [`Cursor::readable`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Readable<'a> {
    cursor: &'a Cursor,
    entered: Option<u64>,
}

impl Future for Readable<'_> {
    type Output = Waited;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Waited> {
        if let Some(number) = self.entered.take() {
            self.cursor.waiters().leave(number);
        }
        if let Some(waited) = self.cursor.look() {
            return Poll::Ready(waited);
        }
        self.entered = Some(self.cursor.waiters().enter_task(context.waker()));
        // What came in between is not waited for; what is asked for now wakes this task.
        self.cursor.look().map_or_else(
            || {
                self.cursor.demand();
                Poll::Pending
            },
            Poll::Ready,
        )
    }
}

impl Drop for Readable<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.entered.take() {
            self.cursor.waiters().leave(number);
        }
    }
}

#[cfg(feature = "futures")]
mod stream {
    //! Events as a stream of the `futures` crates.

    use std::fmt;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_core::Stream;

    use super::{Cursor, Waited};
    use crate::log::cursor::EventRef;
    use crate::log::error::ReadError;

    /// What `map` makes of each event, as it comes. See [`Cursor::into_stream`].
    pub struct EventStream<F> {
        cursor: Cursor,
        map: F,
        entered: Option<u64>,
        ended: bool,
    }

    impl<F> fmt::Debug for EventStream<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("EventStream").field("cursor", &self.cursor).finish_non_exhaustive()
        }
    }

    impl Cursor {
        /// A stream of what `map` makes of each event. It ends when the writer is gone and
        /// everything was given, or after an error.
        pub fn into_stream<T, F>(self, map: F) -> EventStream<F>
        where
            F: FnMut(EventRef<'_>) -> T + Unpin,
        {
            EventStream { cursor: self, map, entered: None, ended: false }
        }
    }

    impl<T, F> Stream for EventStream<F>
    where
        F: FnMut(EventRef<'_>) -> T + Unpin,
    {
        type Item = Result<T, ReadError>;

        fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let this = self.get_mut();
            if let Some(number) = this.entered.take() {
                this.cursor.waiters().leave(number);
            }
            while !this.ended {
                match this.cursor.next_event() {
                    Ok(Some(event)) => return Poll::Ready(Some(Ok((this.map)(event)))),
                    Ok(None) => {}
                    Err(error) => {
                        this.ended = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                match this.cursor.look() {
                    Some(Waited::Closed) => this.ended = true,
                    Some(_) => {}
                    None => {
                        let number = this.cursor.waiters().enter_task(context.waker());
                        if this.cursor.look().is_none() {
                            this.cursor.demand();
                            this.entered = Some(number);
                            return Poll::Pending;
                        }
                        this.cursor.waiters().leave(number);
                    }
                }
            }
            Poll::Ready(None)
        }
    }

    impl<F> Drop for EventStream<F> {
        fn drop(&mut self) {
            if let Some(number) = self.entered.take() {
                self.cursor.waiters().leave(number);
            }
        }
    }
}

#[cfg(feature = "futures")]
pub use stream::EventStream;
