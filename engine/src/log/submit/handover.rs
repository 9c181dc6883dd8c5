//! The bounded queue between producers and the writer, and who sleeps at its ends.
//!
//! Closing must lose nothing that was accepted: a producer that is in the middle of a push when
//! the gate closes is waited for. The gate is one word, a bit for closed and a count of those in
//! the middle, so that one order holds for all of them.

use std::time::Instant;

use crate::log::wait::{Signal, WaitList};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArrayQueue, heavy_fence, light_fence};

const CLOSED: u64 = 1;
const ONE: u64 = 2;

/// Why something was not taken.
#[derive(Debug)]
pub(in crate::log) enum Refuse<T> {
    /// The queue has no room.
    Full(T),
    /// Nothing is taken any more.
    Closed(T),
}

/// A bounded queue with many producers and one consumer, each of which may sleep.
#[derive(Debug)]
pub(in crate::log) struct Handover<T> {
    queue: ArrayQueue<T>,
    gate: AtomicU64,
    /// The consumer sleeps, or is about to.
    asleep: AtomicBool,
    consumer: Signal,
    /// Producers that wait for room.
    room: WaitList,
}

impl<T> Handover<T> {
    pub(in crate::log) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            gate: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            consumer: Signal::new(),
            room: WaitList::new(),
        }
    }

    /// How many wait in it.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Most that can wait in it.
    pub(super) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Hands over, if there is room.
    pub(in crate::log) fn push(&self, value: T) -> Result<(), Refuse<T>> {
        // Acquire and release: the consumer that sees nobody in the middle sees what they pushed.
        if self.gate.fetch_add(ONE, Ordering::AcqRel) & CLOSED != 0 {
            self.gate.fetch_sub(ONE, Ordering::Release);
            self.ring();
            return Err(Refuse::Closed(value));
        }
        let pushed = self.queue.push(value);
        self.gate.fetch_sub(ONE, Ordering::Release);
        self.ring();
        pushed.map_err(Refuse::Full)
    }

    /// Hands over, and waits for room until `deadline`.
    pub(in crate::log) fn push_wait(
        &self,
        value: T,
        deadline: Option<Instant>,
    ) -> Result<(), Refuse<T>> {
        let mut held = match self.push(value) {
            Err(Refuse::Full(value)) => Some(value),
            done => return done,
        };
        let pushed = self.room.wait(deadline, || match self.push(held.take()?) {
            Ok(()) => Some(Ok(())),
            Err(Refuse::Full(value)) => {
                held = Some(value);
                None
            }
            Err(closed) => Some(Err(closed)),
        });
        match (pushed, held) {
            (Some(done), _) => done,
            (None, Some(value)) => Err(Refuse::Full(value)),
            (None, None) => Ok(()),
        }
    }

    /// Wakes the consumer, if it sleeps.
    fn ring(&self) {
        light_fence();
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.consumer.notify();
        }
    }

    /// Takes the oldest. Only the consumer.
    pub(in crate::log) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// After having taken some: lets producers go on that wait for room. Only the consumer.
    pub(in crate::log) fn made_room(&self) {
        self.room.notify();
    }

    /// Takes the oldest, and sleeps until there is one; `None` once the gate is closed and
    /// everything was taken. Only the consumer.
    pub(in crate::log) fn pop_wait(&self) -> Option<T> {
        loop {
            // Before the queue: who was in the middle has pushed by then.
            let gate = self.gate.load(Ordering::Acquire);
            if let Some(value) = self.queue.pop() {
                return Some(value);
            }
            if gate == CLOSED {
                return None;
            }
            // Swaps, so that one order holds for all changes of the flag.
            self.asleep.swap(true, Ordering::AcqRel);
            let fenced = heavy_fence();
            if !self.queue.is_empty() || self.gate.load(Ordering::Acquire) == CLOSED {
                self.asleep.swap(false, Ordering::AcqRel);
                continue;
            }
            // Without the fence somebody may have missed that it sleeps.
            let soon = std::time::Duration::from_millis(1);
            self.consumer.wait(if fenced { None } else { Some(Instant::now() + soon) });
        }
    }

    /// Whether nothing waits in it.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing comes any more, and everything was taken. Only the consumer.
    pub(super) fn is_finished(&self) -> bool {
        self.gate.load(Ordering::Acquire) == CLOSED && self.queue.is_empty()
    }

    /// Takes nothing any more. What was accepted stays to be taken.
    pub(in crate::log) fn close(&self) {
        self.gate.fetch_or(CLOSED, Ordering::AcqRel);
        self.ring();
        self.room.notify();
    }
}
