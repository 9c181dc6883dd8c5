//! What the machine does at most: loops that do nothing but move the bytes.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::{Advice, Mmap, MmapMut};

use crate::ours::{PREPARED, commit_bytes};
use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Bytes of the mapping that is copied into: as many as factlog's segments have in the same row.
const MAPPED: usize = 512 << 20;
/// Bytes of the file that is written to: as many as factlog's segments have in the same row.
const WRITTEN: usize = PREPARED as usize;

/// The limit that an operation is held against, if there is one.
pub fn of(operation: Operation) -> Option<Box<dyn Subject>> {
    match operation {
        Operation::Append => Some(Box::new(Limit::Copy)),
        Operation::Durable => Some(Box::new(Limit::Write)),
        Operation::Replay => Some(Box::new(Limit::Read)),
        Operation::Open | Operation::Fill => None,
    }
}

/// All of them.
pub fn all() -> Vec<Box<dyn Subject>> {
    [Operation::Append, Operation::Durable, Operation::Replay].into_iter().filter_map(of).collect()
}

#[derive(Debug)]
enum Limit {
    Copy,
    Write,
    Read,
}

impl Subject for Limit {
    fn name(&self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Write => "pwrite+fdatasync",
            Self::Read => "read",
        }
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: None,
            verified: false,
            atomic: "nothing",
            opening: "nothing",
            order: "none",
        }
    }

    fn settings(&self, _: Operation, _: usize) -> String {
        match self {
            Self::Copy => "the same payloads, one behind the other into a mapped file of 512 MiB \
                           whose pages are present; a new one when it is full"
                .into(),
            Self::Write => {
                "as many bytes as factlog writes for the commit, padding included, into \
                            64 MiB that were written and synced before, again and again"
                    .into()
            }
            Self::Read => {
                "the same payloads, one behind the other in a mapped file that stands in \
                           the page cache, summed up as words of 8 bytes"
                    .into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let file = file(load.within)?;
        file.set_len(MAPPED as u64)?;
        // SAFETY: the file is in a directory of this process's own, and nobody else maps it.
        let mapping = unsafe { MmapMut::map_mut(&file) }?;
        mapping.advise(Advice::PopulateWrite)?;
        Ok(Some(Box::new(Copy { mapping, at: 0, batch: load.batch, bytes: load.bytes() as usize })))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let bytes = commit_bytes(load)?;
        let file = file(load.within)?;
        let source: Vec<u8> =
            (0_u64..).flat_map(|n| load.payloads.of(n)).take(bytes).copied().collect();
        file.write_all_at(&vec![0; WRITTEN], 0)?;
        file.sync_all()?;
        Ok(Some(Box::new(Write { file, source, at: 0 })))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let file = file(load.within)?;
        let size = load.payloads.size() as u64;
        file.set_len(events * size)?;
        // SAFETY: the file is in a directory of this process's own, and nobody else maps it.
        let mapping = unsafe { MmapMut::map_mut(&file) }?;
        let mut copy = Copy { mapping, at: 0, batch: 1, bytes: load.payloads.size() };
        copy.calls(load.payloads, 0, events)?;
        copy.mapping.flush()?;
        // Beside it, since nothing in the file says so.
        std::fs::write(load.within.join("size"), size.to_string())?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let file = File::open(within.join("limit"))?;
        let size: usize = std::fs::read_to_string(within.join("size"))?.parse()?;
        // SAFETY: nobody changes the file after it was filled.
        let mapping = unsafe { Mmap::map(&file) }?;
        let began = Instant::now();
        let words = mapping.chunks_exact(8).filter_map(|word| word.try_into().ok());
        let sum = words.fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(word)));
        let took = began.elapsed();
        black_box(sum);
        let mut tally = Tally::default();
        mapping.chunks_exact(size).for_each(|payload| tally.take(payload));
        Ok(Some((tally, took)))
    }
}

fn file(within: &Path) -> Outcome<File> {
    let mut options = OpenOptions::new();
    Ok(options.read(true).write(true).create_new(true).open(within.join("limit"))?)
}

struct Copy {
    mapping: MmapMut,
    at: usize,
    batch: usize,
    /// Of one call.
    bytes: usize,
}

impl Appender for Copy {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        for number in first..first + calls * self.batch as u64 {
            let payload = payloads.of(number);
            let end = self.at + payload.len();
            self.mapping[self.at..end].copy_from_slice(payload);
            self.at = end;
        }
        black_box(&self.mapping[..]);
        Ok(())
    }

    fn room(&self) -> u64 {
        ((self.mapping.len() - self.at) / self.bytes) as u64
    }
}

struct Write {
    file: File,
    source: Vec<u8>,
    at: usize,
}

impl Appender for Write {
    fn calls(&mut self, _: &Payloads, _: u64, calls: u64) -> Outcome<()> {
        for _ in 0..calls {
            if self.at + self.source.len() > WRITTEN {
                self.at = 0;
            }
            self.file.write_all_at(&self.source, self.at as u64)?;
            self.file.sync_data()?;
            self.at += self.source.len();
        }
        Ok(())
    }
}
