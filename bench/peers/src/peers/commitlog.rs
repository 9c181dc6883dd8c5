//! commitlog: segments of messages, each with an index. It has no call that syncs a segment: its
//! `flush` is that of `std::fs::File`, which does nothing.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use commitlog::message::{MessageBuf, MessageSet};
use commitlog::{CommitLog, LogOptions, ReadLimit};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Bytes that are read at once.
const READ: usize = 1 << 20;

/// commitlog.
#[derive(Debug)]
pub struct Commitlog;

fn open(within: &Path) -> Outcome<CommitLog> {
    Ok(CommitLog::new(LogOptions::new(within.join("log")))?)
}

impl Subject for Commitlog {
    fn name(&self) -> &'static str {
        "commitlog"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32C of each message"),
            verified: true,
            atomic: "nothing",
            opening: "directory and index",
            order: "one sequence, with an index entry for each message; never synced",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append if batch == 1 => "append_msg; LogOptions by default".into(),
            Operation::Append => {
                format!("MessageBuf of {batch}, append; LogOptions by default")
            }
            Operation::Durable => String::new(),
            Operation::Replay => "read with ReadLimit of 1 MiB, which verifies; payloads".into(),
            Operation::Open | Operation::Fill => "CommitLog::new, by default".into(),
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load)?)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::new(load)?;
        log.calls(load.payloads, 0, events / load.batch as u64)?;
        log.log.flush()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let log = open(within)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        loop {
            let messages = log.read(tally.events, ReadLimit::max_bytes(READ))?;
            if messages.is_empty() {
                return Ok(Some((tally, began.elapsed())));
            }
            messages.iter().for_each(|message| tally.take(message.payload()));
        }
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within)?)))
    }
}

struct Log {
    log: CommitLog,
    buffer: MessageBuf,
    batch: usize,
}

impl Log {
    fn new(load: &Load<'_>) -> Outcome<Self> {
        Ok(Self { log: open(load.within)?, buffer: MessageBuf::default(), batch: load.batch })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            if self.batch == 1 {
                self.log.append_msg(payloads.of(number))?;
                number += 1;
                continue;
            }
            self.buffer.clear();
            for _ in 0..self.batch {
                let pushed = self.buffer.push(payloads.of(number));
                pushed.map_err(|_| "the payload is too large for a message")?;
                number += 1;
            }
            self.log.append(&mut self.buffer)?;
        }
        Ok(())
    }
}
