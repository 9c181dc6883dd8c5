//! A connection that gives bytes in pieces and is cut when so many have passed.

use std::io::{self, Read, Write};

use crate::Random;

/// A stream that is cut once `left` bytes have gone over it, in either direction.
#[derive(Debug)]
pub struct Lossy<S> {
    stream: S,
    left: u64,
    random: Random,
}

impl<S> Lossy<S> {
    /// Over `stream`, cut after `left` bytes.
    pub const fn new(stream: S, left: u64, seed: u64) -> Self {
        Self { stream, left, random: Random::new(seed) }
    }

    /// How many of `len` bytes pass at once.
    fn pass(&mut self, len: usize) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let piece = match self.random.below(4) {
            0 => 1 + self.random.below(64),
            1 => 1 + self.random.below(4096),
            _ => u64::MAX,
        };
        let most = piece.min(self.left).min(len as u64);
        Ok(usize::try_from(most).unwrap_or(len))
    }
}

impl<S: Read> Read for Lossy<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let len = self.pass(bytes.len())?;
        let read = self.stream.read(&mut bytes[..len])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl<S: Write> Write for Lossy<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.pass(bytes.len())?;
        let written = self.stream.write(&bytes[..len])?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
