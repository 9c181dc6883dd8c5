//! okaywal: a write-ahead log whose every commit is synced. What it holds is read by opening it.

use std::any::Any;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use okaywal::{
    Configuration, Entry, EntryId, LogManager, ReadChunkResult, SegmentReader, WriteAheadLog,
};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Chunks of an entry in a log that is replayed: each entry costs a sync.
const FILL: usize = 1024;

/// okaywal.
#[derive(Debug)]
pub struct OkayWal;

fn configuration(within: &Path) -> Configuration {
    Configuration::default_for(within).buffer_bytes(256 << 10)
}

/// One that keeps all in one file, and gives nothing of it up.
fn keeping(within: &Path) -> Configuration {
    configuration(within).preallocate_bytes(448 << 20).checkpoint_after_bytes(u64::MAX)
}

impl Subject for OkayWal {
    fn name(&self) -> &'static str {
        "okaywal"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32C of each chunk"),
            verified: true,
            atomic: "an entry",
            opening: "everything, verified",
            order: "entries of chunks, until they are checkpointed elsewhere",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append => String::new(),
            Operation::Durable => format!(
                "begin_entry, write_chunk {batch} times, commit; preallocated (with zeros) 64 MiB, \
                 checkpoint after 48 MiB, which keeps nothing; buffer of 256 KiB"
            ),
            Operation::Replay => {
                "recovery with a LogManager that reads each chunk into one buffer \
                                  and checks it; entries of 1,024 chunks; includes opening"
                    .into()
            }
            Operation::Open | Operation::Fill => {
                "recovery with a LogManager that reads nothing; entries of 1,024 chunks; buffer of \
                 256 KiB"
                    .into()
            }
        }
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let configuration =
            configuration(load.within).preallocate_bytes(64 << 20).checkpoint_after_bytes(48 << 20);
        let log = configuration.open(Replayer::default())?;
        Ok(Some(Box::new(Log { log, batch: load.batch })))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let log = keeping(load.within).open(Replayer::default())?;
        let mut log = Log { log, batch: FILL };
        log.calls(load.payloads, 0, events / FILL as u64)?;
        log.log.shutdown()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let seen = Arc::new(Mutex::new(Tally::default()));
        let replayer = Replayer { seen: Arc::clone(&seen), ..Replayer::default() };
        let began = Instant::now();
        let log = keeping(within).open(replayer)?;
        let took = began.elapsed();
        drop(log);
        let tally = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some((tally, took)))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(keeping(within).open(Replayer::default())?)))
    }
}

/// Reads and checks what is recovered.
#[derive(Debug, Default)]
struct Replayer {
    seen: Arc<Mutex<Tally>>,
    buffer: Vec<u8>,
}

impl LogManager for Replayer {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut tally = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            self.buffer.resize(chunk.bytes_remaining() as usize, 0);
            chunk.read_exact(&mut self.buffer)?;
            if !chunk.check_crc()? {
                return Err(io::Error::other("a chunk does not verify"));
            }
            tally.take(&self.buffer);
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _: EntryId,
        _: &mut SegmentReader,
        _: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    log: WriteAheadLog,
    batch: usize,
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            let mut entry = self.log.begin_entry()?;
            for _ in 0..self.batch {
                entry.write_chunk(payloads.of(number))?;
                number += 1;
            }
            entry.commit()?;
        }
        Ok(())
    }
}
