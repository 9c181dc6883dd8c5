//! seglog: records in one file of fixed size, written through a buffer.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seglog::read::Reader;
use seglog::write::Writer;

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// A file has this size from the beginning, and takes no more.
const SEGMENT: usize = 512 << 20;
/// Records between two commits in a log that is replayed.
const FILL: u64 = 1024;

/// seglog.
#[derive(Debug)]
pub struct Seglog;

fn file(within: &Path) -> PathBuf {
    within.join("segment.log")
}

impl Subject for Seglog {
    fn name(&self) -> &'static str {
        "seglog"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32C of each record"),
            verified: true,
            atomic: "a commit",
            opening: "everything, verified",
            order: "records at offsets",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append => format!(
                "Writer::append_data {batch} times, then flush_writer: its buffer of 16 KiB is \
                 handed to the system with each call; segment of 512 MiB; no commit marker"
            ),
            Operation::Durable => format!(
                "Writer::append_data {batch} times, then commit (marker, fdatasync); segment of \
                 512 MiB, which it allocates and does not write beforehand"
            ),
            Operation::Replay => {
                "Reader::open_read_only, iter (64 KiB ahead); commits of 1,024".into()
            }
            Operation::Open | Operation::Fill => {
                "Writer::open, which reads and verifies all; commits of 1,024".into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::create(load, false)?)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::create(load, true)?)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::create(load, true)?;
        log.batch = FILL;
        log.calls(load.payloads, 0, events / FILL)?;
        log.writer.close()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let mut reader = Reader::<0>::open_read_only(file(within), None)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        let mut records = reader.iter(0);
        while let Some(record) = records.next_record()? {
            tally.take(&record.data);
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(Writer::<0>::open(file(within), SEGMENT, 0)?)))
    }
}

struct Log {
    writer: Writer<0>,
    batch: u64,
    /// Of one call, with headers of 8 bytes and a marker of 17.
    bytes: u64,
    commit: bool,
}

impl Log {
    fn create(load: &Load<'_>, commit: bool) -> Outcome<Self> {
        let writer = Writer::create(file(load.within), SEGMENT, 0)?;
        let bytes = (load.batch * (8 + load.payloads.size()) + 17) as u64;
        Ok(Self { writer, batch: load.batch as u64, bytes, commit })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        for call in 0..calls {
            let begin = first + call * self.batch;
            for number in begin..begin + self.batch {
                self.writer.append_data(payloads.of(number))?;
            }
            if self.commit {
                self.writer.commit(begin + self.batch)?;
            } else {
                self.writer.flush_writer()?;
            }
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        self.writer.remaining_bytes() / self.bytes
    }
}
