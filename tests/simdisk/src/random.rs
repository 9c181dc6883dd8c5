//! Chances, and a generator for them.

/// A small generator of pseudo-random numbers (SplitMix64, by Steele, Lea and Flood): the same
/// numbers for the same seed. It keeps no secret.
///
/// # Example
///
/// ```
/// let mut random = factlog_simdisk::Random::new(7);
/// let mut again = factlog_simdisk::Random::new(7);
/// assert_eq!(random.draw(), again.draw());
/// ```
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From this seed. Print it, so that a run can be repeated.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`, or 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        below(&mut || self.draw(), bound)
    }
}

/// Spreads the bits of a number over all of it.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// Where numbers come from: the caller's own generator, or [`Random`].
pub(crate) type Source<'a> = &'a mut dyn FnMut() -> u64;

/// A number below `bound`, or 0 if that is 0.
pub(crate) fn below(random: Source<'_>, bound: u64) -> u64 {
    // The upper half of the product: generators are at their best in the upper bits.
    ((u128::from(random()) * u128::from(bound)) >> 64) as u64
}

/// True with this probability.
pub(crate) fn chance(random: Source<'_>, share: f64) -> bool {
    // 53 bits are what the fraction of an f64 holds.
    let drawn = (random() >> 11) as f64 / (1_u64 << 53) as f64;
    drawn < share
}
