//! The two checks of a frame, and the checksum of a segment.
//!
//! Both are keyed with the segment's salt, its number and the frame's offset: bytes that verify
//! at one place do not verify at another, nor after their file was used again. This is a guard
//! against accidents, not against somebody who can write the files.

use crc32fast::Hasher;

use crate::ids::SegmentId;
use crate::layout::FRAME_HEADER;

/// Odd constants without structure: the first digits of the fractional part of pi, in hexadecimal.
const K: [u64; 6] = [
    0x243F_6A88_85A3_08D3,
    0x1319_8A2E_0370_7345,
    0xA409_3822_299F_31D1,
    0x082E_FA98_EC4E_6C89,
    0x4528_21E6_38D0_1377,
    0xBE54_66CF_34E9_0C6D,
];

/// Multiplies to 128 bits and folds the halves together (the mixing step of wyhash).
#[inline]
const fn mix(a: u64, b: u64) -> u64 {
    // Truncation to the halves is what is meant.
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// What all frames of one segment are keyed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentKey {
    salt: u64,
    segment: SegmentId,
}

/// What one place in a segment is keyed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKey(u64);

impl SegmentKey {
    /// The key of `segment`, prepared with `salt`.
    pub const fn new(salt: u64, segment: SegmentId) -> Self {
        Self { salt, segment }
    }

    /// The segment that it is for.
    pub const fn segment(self) -> SegmentId {
        self.segment
    }

    /// Tells a segment from all others, also from one that had its number before.
    pub const fn identity(self) -> u64 {
        self.at(u32::MAX).0
    }

    /// The key of the frame (or page) at `offset`.
    #[inline]
    pub const fn at(self, offset: u32) -> FrameKey {
        let place = ((self.segment.get() as u64) << 32) | offset as u64;
        FrameKey(mix(self.salt ^ K[0], place ^ K[1]))
    }

    /// The fold of a segment without frames.
    pub const fn empty_fold(self) -> Fold {
        Fold(mix(self.salt ^ K[5], K[0]))
    }
}

impl FrameKey {
    /// The check of a frame header: bytes 4..44 of `header`, five words.
    ///
    /// Cheap, and it holds before any length in the header is used.
    #[inline]
    pub fn hsum(self, header: &[u8; FRAME_HEADER]) -> u32 {
        let [_, _, _, _, words @ .., _, _, _, _] = header;
        let (chunks, _) = words.as_chunks::<8>();
        let mut w = [0; 5];
        for (word, chunk) in w.iter_mut().zip(chunks) {
            *word = u64::from_le_bytes(*chunk);
        }
        self.hsum_of_words(w)
    }

    /// The same, of the five words.
    #[inline]
    pub(crate) const fn hsum_of_words(self, [a, b, c, d, e]: [u64; 5]) -> u32 {
        let k = self.0;
        fold_halves(mix(a ^ k, b ^ K[2]) ^ mix(c ^ k, d ^ K[3]) ^ mix(e ^ k, K[4]))
    }

    /// The checksum of `bytes`, seeded with this key.
    #[inline]
    pub fn crc(self, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finalize()
    }

    /// The same, for bytes that come in pieces.
    #[inline]
    pub(crate) fn hasher(self) -> Hasher {
        Hasher::new_with_initial(fold_halves(self.0))
    }
}

#[inline]
const fn fold_halves(x: u64) -> u32 {
    (x as u32) ^ ((x >> 32) as u32)
}

/// A checksum over the frames of a segment: over their places and checksums, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fold(u64);

impl Fold {
    /// The fold with this value.
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
    /// As a number.
    pub const fn raw(self) -> u64 {
        self.0
    }
    /// The fold after one more frame.
    #[inline]
    #[must_use]
    pub const fn then(self, offset: u32, crc: u32) -> Self {
        Self(mix(self.0 ^ K[5], (((offset as u64) << 32) | crc as u64) ^ K[2]))
    }
}

/// The checksum of a page that has its CRC field at `field..field + 4`, taken with that field zero.
///
/// The page is at least `field + 4` bytes long, or the whole page is taken.
pub(crate) fn page_crc(seed: u32, page: &[u8], field: usize) -> u32 {
    let mut hasher = Hasher::new_with_initial(seed);
    match (page.get(..field), page.get(field..).and_then(|rest| rest.get(4..))) {
        (Some(before), Some(after)) => {
            hasher.update(before);
            hasher.update(&[0; 4]);
            hasher.update(after);
        }
        _ => hasher.update(page),
    }
    hasher.finalize()
}

impl FrameKey {
    /// The seed of this key, for checks that are not a frame's.
    pub(crate) const fn seed(self) -> u32 {
        fold_halves(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::RawFrameHeader;

    /// The words taken from the fields are those that stand in the bytes.
    #[test]
    fn are_the_words_of_a_header_those_of_its_bytes() {
        let mut bytes = [0; FRAME_HEADER];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(index * 5 + 1).unwrap();
        }
        let raw: RawFrameHeader = bytemuck::cast(bytes);
        let key = SegmentKey::new(7, SegmentId::FIRST).at(4096);
        assert_eq!(key.hsum(&bytes), key.hsum_of_words(raw.words()));
    }
}
