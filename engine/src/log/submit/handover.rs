//! The bounded queue between producers and the writer, and who sleeps at its ends.
//!
//! Closing must lose nothing that was accepted: a producer that is in the middle of a push when
//! the gate closes is waited for. The gate is one word, a bit for closed and a count of those in
//! the middle, so that one order holds for all of them.

use std::time::Instant;

use crate::log::cursor::WaitStrategy;
use crate::log::wait::{Signal, WaitList};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArrayQueue, heavy_fence, light_fence, spin_loop};

/// Looks at an empty queue before the consumer sleeps.
const LOOKS: u32 = 256;

const CLOSED: u64 = 1;
const ONE: u64 = 2;

/// Why something was not taken.
#[derive(Debug)]
pub(crate) enum Refuse<T> {
    /// The queue has no room.
    Full(T),
    /// Nothing is taken any more.
    Closed(T),
}

impl<T> Refuse<T> {
    /// What was not taken.
    pub(crate) fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

/// A bounded queue with many producers and one consumer, each of which may sleep.
#[derive(Debug)]
pub(crate) struct Handover<T> {
    queue: ArrayQueue<T>,
    gate: AtomicU64,
    /// The consumer sleeps, or is about to.
    asleep: AtomicBool,
    consumer: Signal,
    /// Producers that wait for room.
    room: WaitList,
}

impl<T> Handover<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity),
            gate: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            consumer: Signal::new(),
            room: WaitList::new(),
        }
    }

    /// How many wait in it.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Most that can wait in it.
    pub(crate) fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Hands over, if there is room.
    pub(crate) fn push(&self, value: T) -> Result<(), Refuse<T>> {
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
    pub(crate) fn push_wait(&self, value: T, deadline: Option<Instant>) -> Result<(), Refuse<T>> {
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

    /// Whether something could be handed over, or never will be.
    pub(crate) fn has_room(&self) -> bool {
        self.gate.load(Ordering::Acquire) & CLOSED != 0 || self.queue.len() < self.queue.capacity()
    }

    /// Those who wait for room.
    pub(crate) fn waiting_for_room(&self) -> &WaitList {
        &self.room
    }

    /// Takes the oldest. Only the consumer.
    pub(crate) fn pop(&self) -> Option<T> {
        self.queue.pop()
    }

    /// After having taken some: lets producers go on that wait for room. Only the consumer.
    pub(crate) fn made_room(&self) {
        self.room.notify();
    }

    /// Takes the oldest, and sleeps until there is one; `None` once the gate is closed and
    /// everything was taken. Only the consumer.
    pub(crate) fn pop_wait(&self) -> Option<T> {
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

    /// Takes the oldest, and does what `idle` says until there is one; `None` once the gate is closed
    /// and everything was taken. Only the consumer.
    pub(crate) fn next(&self, idle: WaitStrategy) -> Option<T> {
        let mut looks = 0_u32;
        loop {
            if let Some(next) = self.pop() {
                return Some(next);
            }
            if idle == WaitStrategy::Park && looks >= LOOKS {
                return self.pop_wait();
            }
            looks = looks.wrapping_add(1);
            if idle == WaitStrategy::Yield {
                std::thread::yield_now();
            } else {
                spin_loop();
            }
            // Whether the gate is closed is asked in between only.
            if looks.is_multiple_of(LOOKS) && self.is_finished() {
                return None;
            }
        }
    }

    /// Whether nothing waits in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether nothing comes any more, and everything was taken. Only the consumer.
    pub(crate) fn is_finished(&self) -> bool {
        self.gate.load(Ordering::Acquire) == CLOSED && self.queue.is_empty()
    }

    /// Takes nothing any more. What was accepted stays to be taken.
    pub(crate) fn close(&self) {
        self.gate.fetch_or(CLOSED, Ordering::AcqRel);
        self.ring();
        self.room.notify();
    }
}

/// Closes the hand-over however the consumer ends, so that nobody waits for it: also those are let
/// go who were in the middle of handing over.
pub(crate) struct Closing<'a, T>(pub(crate) &'a Handover<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        while let Some(left) = self.0.pop_wait() {
            drop(left);
        }
    }
}
