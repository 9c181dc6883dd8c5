//! A shrinking reader over borrowed bytes: what was read is gone, what is missing is `None`.

use bytemuck::Pod;

/// Takes typed pieces off the front of a slice. No index arithmetic, no panic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    pub(crate) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    /// The next value of a raw type, wherever it is aligned.
    #[inline]
    pub(crate) fn pod<T: Pod>(&mut self) -> Option<T> {
        self.take(size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }
}

/// Whether all of `bytes` is zero.
pub fn all_zero(bytes: &[u8]) -> bool {
    // In stretches, since it runs over whole segments: each is one call to compare memory, which a
    // fuzzer's instruments check once, and not byte by byte. Then in words, since it also runs over
    // 48 bytes at every 16th byte of them.
    let (stretches, rest) = bytes.as_chunks::<1024>();
    let (words, tail) = rest.as_chunks::<16>();
    stretches.iter().all(|stretch| *stretch == [0; 1024])
        && words.iter().all(|word| u128::from_ne_bytes(*word) == 0)
        && tail.iter().all(|byte| *byte == 0)
}

/// Copies `from` over the start of `to`, and gives the bytes after it.
///
/// # Panics
///
/// When `to` is shorter than `from`: callers encode into space that they have measured.
#[inline]
pub(crate) fn put<'a>(to: &'a mut [u8], from: &[u8]) -> &'a mut [u8] {
    let (head, rest) = to.split_at_mut(from.len());
    head.copy_from_slice(from);
    rest
}
