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

pub use interrupt::{Interrupt, SealHeld};
pub use scratch::{SCRATCH, in_memory, scratch};
pub use seen::{Seen, read_all, read_from, small};

/// FNV-1a over `bytes`: to tell payloads apart, not to protect them.
pub fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

/// A small generator of pseudo-random numbers (SplitMix64): the same numbers for the same seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed from `FACTLOG_SEED`, or from the clock; printed, so that a run can be repeated.
    pub fn from_environment(what: &str) -> Self {
        let given = std::env::var("FACTLOG_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| u64::from(now.subsec_nanos()) ^ now.as_secs() << 20)
        });
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
