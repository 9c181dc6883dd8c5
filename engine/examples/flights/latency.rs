//! How long things took: half of them at most so long, 99 in 100, the longest.

use std::time::Duration;

/// How often it is looked how far the log is durable: what comes of it is too long by up to so
/// much.
pub(crate) const SAMPLE: Duration = Duration::from_millis(1);

/// Buckets for each power of two: what is said is at most 1/128 too much.
const FINENESS: u32 = 7;
/// Buckets for the powers of two that a 64-bit number has above the first bucket's.
const BUCKETS: usize = (65 - FINENESS as usize) << FINENESS;

/// Counts of durations in nanoseconds, in buckets that grow with them: HDR-like, in 58 KiB.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: 0 }
    }
}

/// What a histogram comes to, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Latency {
    /// Half of them took at most this.
    pub(crate) p50: f64,
    /// 99 in 100 took at most this.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Histogram {
    /// Counts one more.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(nanoseconds);
    }

    /// Counts one more; what takes 500 years takes no longer.
    pub(crate) fn record_duration(&mut self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// What it comes to; `None` if nothing was counted.
    pub(crate) fn latency(&self) -> Option<Latency> {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        (self.count > 0).then(|| Latency {
            p50: microseconds(self.at_most(50)),
            p99: microseconds(self.at_most(99)),
            max: microseconds(self.max),
        })
    }

    /// So many hundredths of them took at most this many nanoseconds.
    fn at_most(&self, hundredths: u64) -> u64 {
        let wanted = (u128::from(self.count) * u128::from(hundredths)).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted {
                return greatest(index).min(self.max);
            }
        }
        self.max
    }
}

/// Below `1 << FINENESS` each number has a bucket of its own; above, each power of two is cut into
/// as many.
fn bucket(value: u64) -> usize {
    let power = value.checked_ilog2().unwrap_or(0);
    let shift = power.saturating_sub(FINENESS);
    ((shift as usize) << FINENESS) + (value >> shift) as usize
}

/// The greatest number that falls into a bucket.
fn greatest(index: usize) -> u64 {
    let shift = (index >> FINENESS).saturating_sub(1);
    let lead = (index - (shift << FINENESS)) as u64;
    (lead << shift) | ((1 << shift) - 1)
}
