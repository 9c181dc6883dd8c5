//! How fast it is read, and whether it goes on.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use factlog_codec::SegmentId;
use factlog_codec::layout::PAGE;

use super::medium::CHUNK;
use super::report::ScrubProgress;

/// The longest sleep without asking whether to go on; also what the bucket holds.
const NAP: Duration = Duration::from_millis(50);

/// Somebody wants it to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// A bucket of tokens, one for each byte. It holds what comes in 50 ms, and can be overdrawn by one
/// piece, for which the next one waits.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Bytes a second, at least 1.
    rate: u64,
    /// When all that was taken is paid for.
    paid: Duration,
}

impl Bucket {
    /// `None` without a rate.
    pub(super) const fn new(rate: u64) -> Option<Self> {
        if rate == 0 { None } else { Some(Self { rate, paid: Duration::ZERO }) }
    }

    /// How much to read at once: what comes in 50 ms, in whole pages.
    pub(super) fn piece(&self) -> usize {
        let bytes = usize::try_from(self.rate / 20).unwrap_or(usize::MAX);
        bytes.clamp(PAGE, CHUNK) / PAGE * PAGE
    }

    /// Takes `bytes` at time `now`; gives the time from which on they may be read.
    pub(super) fn take(&mut self, bytes: usize, now: Duration) -> Duration {
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.rate));
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        // What was not used for longer than it holds has run over.
        let due = self.paid.max(now.saturating_sub(NAP));
        self.paid = due.saturating_add(cost);
        due
    }
}

/// A clock that can be slept by.
pub(super) trait Timer {
    /// Time since some moment.
    fn now(&self) -> Duration;
    fn sleep(&mut self, time: Duration);
}

/// The system's.
#[derive(Debug)]
pub(super) struct SystemTimer(Instant);

impl Default for SystemTimer {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Timer for SystemTimer {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        thread::sleep(time);
    }
}

/// Asked before each read.
pub(super) struct Pace<'a> {
    bucket: Option<Bucket>,
    timer: &'a mut dyn Timer,
    tell: &'a mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
    at: ScrubProgress,
    /// Bytes that reads were allowed for, also such as failed.
    spent: u64,
}

impl<'a> Pace<'a> {
    pub(super) fn new(
        bucket: Option<Bucket>,
        timer: &'a mut dyn Timer,
        tell: &'a mut dyn FnMut(ScrubProgress) -> ControlFlow<()>,
        of: usize,
    ) -> Self {
        let at = ScrubProgress { segment: SegmentId::FIRST, done: 0, of, bytes: 0 };
        Self { bucket, timer, tell, at, spent: 0 }
    }

    /// The next segment begins.
    pub(super) fn enter(&mut self, segment: SegmentId, done: usize) {
        (self.at.segment, self.at.done) = (segment, done);
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.at.bytes
    }

    /// Bytes that were asked for so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// So many bytes were read.
    pub(super) fn count(&mut self, bytes: usize) {
        self.at.bytes += bytes as u64;
    }

    /// Waits until so many bytes may be read.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Stopped> {
        self.ask()?;
        if let Some(bucket) = &mut self.bucket {
            let due = bucket.take(bytes, self.timer.now());
            loop {
                let wait = due.saturating_sub(self.timer.now());
                if wait.is_zero() {
                    break;
                }
                self.timer.sleep(wait.min(NAP));
                self.ask()?;
            }
        }
        self.spent += bytes as u64;
        Ok(())
    }

    fn ask(&mut self) -> Result<(), Stopped> {
        match (self.tell)(self.at) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Goes by what is slept, and notes the longest sleep.
    struct Slept {
        now: Cell<Duration>,
        longest: Duration,
    }

    impl Timer for Slept {
        fn now(&self) -> Duration {
            // Reading takes time too.
            self.now.set(self.now.get() + Duration::from_micros(10));
            self.now.get()
        }

        fn sleep(&mut self, time: Duration) {
            self.longest = self.longest.max(time);
            self.now.set(self.now.get() + time);
        }
    }

    /// At no time has more been read than the rate allows, but for one piece and 50 ms; and it does
    /// not fall behind either.
    #[test]
    fn is_the_rate_kept_at_all_times() {
        for rate in [1_u64, 100, 4096, 100_000, 1 << 20, 333_333_333, 20 << 30] {
            let bucket = Bucket::new(rate).unwrap();
            let piece = bucket.piece();
            assert!(piece.is_multiple_of(PAGE) && (PAGE..=CHUNK).contains(&piece));
            let mut timer =
                Slept { now: Cell::new(Duration::from_secs(9)), longest: Duration::ZERO };
            let began = timer.now.get();
            let mut tell = |_| ControlFlow::Continue(());
            for pieces in [1, 10, 100] {
                let mut pace = Pace::new(Bucket::new(rate), &mut timer, &mut tell, 1);
                let before = pace.timer.now();
                for count in 1..=pieces {
                    pace.spend(piece).unwrap();
                    let passed = (pace.timer.now() - before + NAP).as_secs_f64();
                    let most = passed * rate as f64 + piece as f64 + 1.0;
                    assert!((count * piece) as f64 <= most, "{rate}: {count} in {passed}");
                }
                let passed = (pace.timer.now() - before).as_secs_f64();
                let least = (pieces * piece) as f64 / rate as f64;
                let asked = 1e-3 * pieces as f64;
                assert!(passed <= least + asked, "{rate}: {passed}, not {least}");
            }
            assert!(timer.longest <= NAP && timer.now.get() > began);
        }
        assert!(Bucket::new(0).is_none());
    }

    /// However slow the rate is, it asks every 50 ms.
    #[test]
    fn does_it_stop_within_one_nap() {
        let mut timer = Slept { now: Cell::new(Duration::ZERO), longest: Duration::ZERO };
        let mut asked = 0;
        let mut tell = |_| {
            asked += 1;
            if asked > 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut pace = Pace::new(Bucket::new(1), &mut timer, &mut tell, 1);
        pace.spend(PAGE).unwrap();
        assert_eq!(pace.spend(PAGE), Err(Stopped));
        assert_eq!((pace.spent(), pace.bytes()), (PAGE as u64, 0), "nothing was read");
        assert!(timer.now.get() < Duration::from_secs(1));
    }
}
