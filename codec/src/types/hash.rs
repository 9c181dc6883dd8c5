//! The hash of descriptions and type names: FNV-1a in 64 bits, finished as MurmurHash3 does.
//!
//! Small, public and easily written in any language: a fingerprint must be the same everywhere.
//! FNV-1a is by Fowler, Noll and Vo; the finaliser is `fmix64` of Austin Appleby's MurmurHash3.

/// A running FNV-1a hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fnv(u64);

impl Fnv {
    pub(super) const fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    #[must_use]
    pub(super) fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self
    }

    /// Finished: FNV alone leaves its upper bits poorly mixed for short input.
    pub(super) const fn finish(self) -> u64 {
        let mut x = self.0;
        x ^= x >> 33;
        x = x.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        x ^= x >> 33;
        x = x.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        x ^ (x >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::Fnv;

    #[test]
    fn does_fnv_give_its_published_values() {
        // From the authors' test suite: "" and "foobar".
        assert_eq!(Fnv::new().0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::new().with(b"foobar").0, 0x8594_4171_f739_67e8);
        assert_eq!(Fnv::new().with(b"foo").with(b"bar").0, 0x8594_4171_f739_67e8);
    }
}
