//! What the suites share: digests and seeds; events as they are seen; logs as files, forged, and
//! damaged; disks that fail; logs with named cursors; connections that are cut; a model; what is fuzzed; the promises and
//! their proofs.

#[cfg(target_os = "linux")]
pub mod again;
pub mod damaged;
pub mod forge;
pub mod fuzz;
mod interrupt;
pub mod lossy;
pub mod model;
pub mod models;
#[cfg(target_os = "linux")]
pub mod mounted;
pub mod named;
pub mod plants;
#[cfg(unix)]
pub mod power_cut;
pub mod proof;
mod scratch;
mod seen;
pub mod stress;
pub mod surgery;

use std::time::{SystemTime, UNIX_EPOCH};

pub use interrupt::{Gate, Interrupt, SealHeld};
pub use scratch::{SCRATCH, in_memory, scratch};
pub use seen::{Seen, read_all, read_from, small};

/// FNV-1a over `bytes`: to tell payloads apart, not to protect them.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// A seed that is another each time, and short enough to be typed.
pub fn seed_from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs() % 1_000_000 * 1_000 + u64::from(now.subsec_millis())
}

/// A small generator of pseudo-random numbers (SplitMix64): the same numbers for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed from `FACTLOG_SEED`, of which `clock` makes a new one each time; else one that is
    /// always the same for `what`, so that a commit passes or fails, and not now this, now that.
    /// Printed, so that a run can be repeated.
    ///
    /// # Panics
    ///
    /// When it is neither a number nor `clock`.
    pub fn from_environment(what: &str) -> Self {
        let seed = match std::env::var("FACTLOG_SEED").as_deref() {
            Ok("clock") => seed_from_clock(),
            Ok(number) => number.parse().expect("FACTLOG_SEED is a number, or clock"),
            Err(_) => digest(what.as_bytes()),
        };
        println!("{what}: FACTLOG_SEED={seed}");
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
