//! The bytes that every subject gets: the same, and of no use to a compressor.

const RING: usize = 64 << 10;

/// Payloads of one size, cut from a ring of random bytes that stays in the processor's cache.
#[derive(Debug)]
pub struct Payloads {
    ring: Vec<u8>,
    size: usize,
}

impl Payloads {
    /// Payloads of `size` bytes, which must divide 64 KiB.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn new(size: usize) -> Self {
        assert!(size > 0 && RING.is_multiple_of(size), "{size} bytes do not divide {RING}");
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            // xorshift64: the same bytes in every run and for everybody.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        Self { ring: (0..RING).map(|_| next()).collect(), size }
    }

    /// Bytes of each.
    pub fn size(&self) -> usize {
        self.size
    }

    /// That of event `number`.
    #[inline]
    pub fn of(&self, number: u64) -> &[u8] {
        let at = (number as usize * self.size) & (RING - 1);
        &self.ring[at..at + self.size]
    }

    /// Those of `count` events from `first` on.
    pub fn batch(&self, first: u64, count: usize) -> Vec<&[u8]> {
        (first..first + count as u64).map(|number| self.of(number)).collect()
    }

    /// What [`Tally`] comes to after the first `events`.
    pub fn tally(&self, events: u64) -> Tally {
        let mut tally = Tally::default();
        (0..events).for_each(|number| tally.take(self.of(number)));
        tally
    }
}

/// What a reader has seen: enough to notice that events are missing, or are not read at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of events.
    pub events: u64,
    /// Sum of their first bytes, last bytes and lengths.
    pub sum: u64,
}

impl Tally {
    /// One event more.
    #[inline]
    pub fn take(&mut self, payload: &[u8]) {
        let ends = payload.first().zip(payload.last());
        let (first, last) = ends.map_or((0, 0), |(first, last)| (*first, *last));
        self.events += 1;
        self.sum += u64::from(first) + u64::from(last) + payload.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_payloads_the_same_for_everybody_and_not_all_alike() {
        let (one, other) = (Payloads::new(64), Payloads::new(64));
        assert_eq!(one.of(7), other.of(7));
        assert_ne!(one.of(7), one.of(8));
        assert_eq!(one.of(0), one.of(1024));
        assert_eq!(one.batch(3, 2), [one.of(3), one.of(4)]);
    }

    #[test]
    fn does_a_tally_notice_what_is_missing() {
        let payloads = Payloads::new(256);
        let mut tally = Tally::default();
        (0..9).for_each(|number| tally.take(payloads.of(number)));
        assert_ne!(tally, payloads.tally(10));
        tally.take(payloads.of(9));
        assert_eq!(tally, payloads.tally(10));
    }
}
