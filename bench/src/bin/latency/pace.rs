//! Intended starts, the clock, and its cost.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use quanta::Clock;

/// The processor's counter, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    /// What one reading costs, in nanoseconds.
    pub(crate) cost: f64,
}

impl Timer {
    pub(crate) fn new() -> Self {
        const ROUNDS: u64 = 1_000_000;
        let clock = Clock::new();
        let begin = clock.raw();
        for _ in 0..ROUNDS {
            std::hint::black_box(clock.raw());
        }
        // Single differences are whole steps of the counter: the mean of many is finer.
        let cost = clock.delta_as_nanos(begin, clock.raw()) as f64 / ROUNDS as f64;
        Self { clock, cost }
    }

    /// The counter.
    #[inline]
    pub(crate) fn raw(&self) -> u64 {
        self.clock.raw()
    }

    /// Nanoseconds between two readings; 0 if they are the other way round.
    #[inline]
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        self.clock.delta_as_nanos(from, to)
    }

    /// Steps of the counter in a second.
    fn rate(&self) -> f64 {
        let from = self.raw();
        std::thread::sleep(Duration::from_millis(50));
        let to = self.raw();
        (to - from) as f64 / (self.between(from, to).max(1) as f64 / 1e9)
    }

    /// Calls `each` with the intended start of each operation, `rate` a second, for `time`; `each`
    /// gives whether to go on.
    pub(crate) fn pace<E>(
        &self,
        rate: u64,
        time: Duration,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let apart = self.rate() / rate as f64;
        let count = (rate as f64 * time.as_secs_f64()) as u64;
        let begin = self.raw() + apart as u64;
        for number in 0..count {
            let intended = begin + (number as f64 * apart) as u64;
            while self.raw() < intended {
                std::hint::spin_loop();
            }
            each(intended)?;
        }
        Ok(())
    }
}

/// Up to a minute, three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>, CreationError> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3)
}
