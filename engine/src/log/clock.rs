//! Where a frame's time comes from.
//!
//! Reading the system's clock costs as much as a small append, so the default reads the
//! processor's time stamp counter and holds it against the system's clock every few
//! milliseconds. Where there is no constant counter, the system's clock is read each time.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time for frames.
///
/// The log makes times rise by itself; a clock may stand still or go back.
pub trait Clock: Send {
    /// Nanoseconds since the Unix epoch.
    fn now(&mut self) -> u64;

    /// How far off `now` may be, in nanoseconds. Steps back by no more than this are not
    /// reported as a clock set back.
    fn resolution(&self) -> u64 {
        0
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("resolution", &self.resolution()).finish()
    }
}

/// The system's clock, read anew each time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&mut self) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Latest time that a clock of the user's can give: behind it times must still be able to rise.
const LATEST: u64 = u64::MAX >> 1;

/// What the writer reads: a clock of the user's, or the fast one without a virtual call.
#[derive(Debug)]
pub(crate) enum FrameClock {
    Fast(CounterClock),
    Own(Box<dyn Clock>),
}

impl FrameClock {
    #[inline]
    pub(crate) fn now(&mut self) -> u64 {
        match self {
            Self::Fast(clock) => clock.now(),
            Self::Own(clock) => clock.now().min(LATEST),
        }
    }

    #[inline]
    pub(crate) fn resolution(&self) -> u64 {
        match self {
            Self::Fast(_) => CounterClock::RESOLUTION,
            Self::Own(clock) => clock.resolution(),
        }
    }
}

/// A time stamp counter held against the system's clock.
#[derive(Debug)]
pub(crate) struct CounterClock {
    system: SystemClock,
    /// Counter and time of the last comparison.
    anchor: (u64, u64),
    /// Nanoseconds for each tick, times 2^32; 0 until two comparisons have been made.
    rate: u64,
    /// Ticks after which the next comparison is due.
    due: u64,
    /// The last comparison gave another rate, which was not believed.
    doubted: bool,
    constant: bool,
}

/// The system's clock, and the counter at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    now: u64,
    counter: u64,
    /// Ticks between the look at the counter before that at the clock and the one after.
    apart: u64,
}

impl Reading {
    /// So many ticks apart, some microseconds, it is of one moment.
    const FAR: u64 = 1 << 14;
    /// So near that there is no need to try again.
    const NEAR: u64 = 1 << 12;
    const TRIES: usize = 4;

    /// The best of a few. The thread may lose its processor between one look and the next.
    fn take(mut system: impl FnMut() -> u64, mut counter: impl FnMut() -> u64) -> Self {
        let mut look = || {
            let before = counter();
            let now = system();
            let apart = counter().wrapping_sub(before);
            Self { now, counter: before.wrapping_add(apart / 2), apart }
        };
        let mut best = look();
        for _ in 1..Self::TRIES {
            if best.apart <= Self::NEAR {
                break;
            }
            let next = look();
            best = if next.apart < best.apart { next } else { best };
        }
        best
    }

    const fn is_of_one_moment(&self) -> bool {
        self.apart <= Self::FAR
    }
}

impl CounterClock {
    /// The counter is compared every 2 ms and a rate off by 500 parts in a million is off by
    /// a microsecond then.
    const RESOLUTION: u64 = 1_000;
    const COMPARE_EVERY: u64 = 2_000_000;

    pub(crate) fn new() -> Self {
        let constant = counter::is_constant();
        let mut clock = Self {
            system: SystemClock,
            anchor: (0, u64::MAX),
            rate: 0,
            due: 0,
            doubted: false,
            constant,
        };
        // Any time is before the first anchor, and begins anew.
        clock.compare();
        clock
    }

    #[inline]
    pub(crate) fn now(&mut self) -> u64 {
        if self.constant {
            let ticks = counter::read().wrapping_sub(self.anchor.0);
            if ticks < self.due {
                // ticks < due, which stands for a few milliseconds: the product fits.
                return self.anchor.1 + ((ticks * self.rate) >> 32);
            }
        }
        self.compare()
    }

    /// Reads the system's clock, and learns the rate if enough time has passed.
    #[cold]
    #[inline(never)]
    fn compare(&mut self) -> u64 {
        if !self.constant {
            return self.system.now();
        }
        let mut system = self.system;
        let reading = Reading::take(|| system.now(), counter::read);
        self.learn(reading);
        reading.now
    }

    /// Holds the counter against the system's clock. What is not of one moment teaches nothing: the
    /// next frame compares again.
    fn learn(&mut self, reading: Reading) {
        if !reading.is_of_one_moment() {
            return;
        }
        let Reading { now, counter, .. } = reading;
        let (ticks, elapsed) =
            (counter.wrapping_sub(self.anchor.0), now.saturating_sub(self.anchor.1));
        // Too short a time gives no rate; a long one is as good, unless the clock was set.
        if elapsed >= Self::COMPARE_EVERY {
            let rate = (u128::from(elapsed) << 32).checked_div(u128::from(ticks)).unwrap_or(0);
            // Between 0.05 and 10 ns a tick, or the clock was set meanwhile.
            let sane = (1_u128 << 32) / 20..=10_u128 << 32;
            let rate = if sane.contains(&rate) { rate as u64 } else { 0 };
            // One that is another all of a sudden is believed when it is so again from here on.
            self.doubted =
                self.rate != 0 && rate.abs_diff(self.rate) > self.rate / 100 && !self.doubted;
            if !self.doubted {
                self.rate = rate;
            }
            self.due = (u128::from(Self::COMPARE_EVERY) << 32)
                .checked_div(u128::from(self.rate))
                .map_or(0, |due| due as u64);
            self.anchor = (counter, now);
        } else if now < self.anchor.1 {
            // Set back: begin anew from there.
            (self.rate, self.due, self.doubted) = (0, 0, false);
            self.anchor = (counter, now);
        }
    }
}

/// Measures short times for the price of reading the processor's counter: some ten nanoseconds.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    constant: bool,
    began: (Instant, u64),
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self { constant: counter::is_constant(), began: (Instant::now(), counter::read()) }
    }

    /// A moment, in ticks.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if self.constant { counter::read() } else { self.elapsed() }
    }

    /// How long so many ticks are.
    #[cold]
    pub(crate) fn duration(&self, ticks: u64) -> Duration {
        let all = if self.constant {
            counter::read().wrapping_sub(self.began.1).max(1)
        } else {
            return Duration::from_nanos(ticks);
        };
        let nanos = u128::from(ticks) * u128::from(self.elapsed()) / u128::from(all);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(target_arch = "x86_64")]
mod counter {
    use core::arch::x86_64::{__cpuid, _rdtsc};

    /// The processor's time stamp counter.
    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        unsafe { _rdtsc() }
    }

    /// Whether it ticks at one rate in all states of the processor.
    pub(super) fn is_constant() -> bool {
        const HIGHEST: u32 = 0x8000_0000;
        const POWER: u32 = 0x8000_0007;
        __cpuid(HIGHEST).eax >= POWER && __cpuid(POWER).edx & (1 << 8) != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) fn read() -> u64 {
        0
    }
    pub(super) fn is_constant() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stopwatch is no faster and not much slower than the system's.
    #[test]
    fn does_a_stopwatch_measure_time() {
        let watch = Stopwatch::new();
        let (began, ticks) = (Instant::now(), watch.now());
        std::thread::sleep(Duration::from_millis(20));
        let measured = watch.now().wrapping_sub(ticks);
        let least = Duration::from_millis(19);
        let measured = watch.duration(measured);
        assert!(measured >= least && measured <= began.elapsed() * 2, "{measured:?}");
    }

    /// The counter stays within a millisecond of the system's clock over many comparisons, however
    /// busy the machine is.
    #[test]
    fn does_the_counter_follow_the_system() {
        let mut fast = CounterClock::new();
        let mut system = SystemClock;
        let until = system.now() + 30_000_000;
        loop {
            let (before, now, after) = (system.now(), fast.now(), system.now());
            assert!(
                now + 1_000_000 >= before && now <= after + 1_000_000,
                "{before} {now} {after}"
            );
            if before > until {
                break;
            }
        }
    }

    const MS: u64 = 1_000_000;

    /// A counter of three ticks a nanosecond, as of a time.
    fn at(now: u64, apart: u64) -> Reading {
        Reading { now, counter: now * 3, apart }
    }

    /// One that has learned its rate up to 20 ms.
    fn learned() -> CounterClock {
        let mut clock = CounterClock::new();
        clock.anchor = (0, u64::MAX);
        clock.learn(at(10 * MS, 100));
        assert_eq!((clock.rate, clock.anchor), (0, (30 * MS, 10 * MS)));
        clock.learn(at(20 * MS, 100));
        assert_eq!((clock.rate, clock.anchor), ((1 << 32) / 3, (60 * MS, 20 * MS)));
        clock
    }

    /// Where the processor is taken away between two looks, they are tried again, and the best ones
    /// count.
    #[test]
    fn is_what_was_interrupted_looked_at_again() {
        let take = |counters: &[u64]| {
            let (mut counters, mut times) = (counters.iter().copied(), 1..);
            let reading = Reading::take(|| times.next().unwrap(), || counters.next().unwrap());
            (reading, counters.count())
        };
        let one = |now, counter, apart| Reading { now, counter, apart };
        assert_eq!(take(&[1_000, 1_100, 0, 0]), (one(1, 1_050, 100), 2));
        let far = 1 << 20;
        assert_eq!(take(&[0, far, far, far + 60]), (one(2, far + 30, 60), 0));
        let (best, _) = take(&[0, far, 0, far / 2, 0, 4 * far, 0, far]);
        assert_eq!(best, one(2, far / 4, far / 2));
        assert!(!best.is_of_one_moment());
    }

    /// A reading that took long moves no anchor and teaches no rate, the first one neither.
    #[test]
    fn is_nothing_learned_from_looks_far_apart() {
        let mut clock = learned();
        let before = (clock.rate, clock.anchor, clock.due);
        // The time is an old one: half a millisecond has passed since.
        let late = Reading { now: 22 * MS, counter: 22 * MS * 3 + 3 * MS / 2, apart: 3 * MS };
        clock.learn(late);
        clock.learn(Reading { now: 9 * MS, ..late });
        assert_eq!((clock.rate, clock.anchor, clock.due), before);
        clock.learn(at(23 * MS, 200));
        assert_eq!((clock.rate, clock.anchor.1), ((1 << 32) / 3, 23 * MS));
    }

    /// The clock is set forward by a second, or runs at another rate: that is believed the second
    /// time.
    #[test]
    fn is_another_rate_doubted_once() {
        let mut clock = learned();
        let (rate, due) = (clock.rate, clock.due);
        let set = |now: u64| Reading { now: now + 1_000 * MS, counter: now * 3, apart: 100 };
        clock.learn(set(22 * MS));
        assert_eq!((clock.rate, clock.due, clock.anchor), (rate, due, (66 * MS, 1_022 * MS)));
        clock.learn(set(24 * MS));
        assert_eq!((clock.rate, clock.doubted), (rate, false));
        // Half as fast from here on.
        let slow = |now: u64| Reading { now, counter: 72 * MS + (now - 1_024 * MS) * 6, apart: 9 };
        clock.learn(slow(1_027 * MS));
        assert_eq!((clock.rate, clock.doubted), (rate, true));
        clock.learn(slow(1_030 * MS));
        assert_eq!((clock.rate, clock.doubted), ((1 << 32) / 6, false));
        // Set back: nothing is known.
        clock.learn(slow(1_025 * MS));
        assert_eq!((clock.rate, clock.due, clock.anchor.1), (0, 0, 1_025 * MS));
    }
}
