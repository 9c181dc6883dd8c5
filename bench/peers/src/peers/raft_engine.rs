//! raft-engine: entries of raft groups, here of one. An entry is a protobuf message that knows its
//! index: a `BytesValue` of the index and the payload.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

const GROUP: u64 = 1;
/// Entries that are fetched at once.
const FETCH: u64 = 4096;
const INDEX: usize = size_of::<u64>();

/// raft-engine.
#[derive(Debug)]
pub struct RaftEngine;

fn open(within: &Path) -> Outcome<Engine> {
    let config = Config {
        dir: within.join("log").to_string_lossy().into_owned(),
        batch_compression_threshold: ReadableSize::kb(0),
        ..Config::default()
    };
    Ok(Engine::open(config)?)
}

impl Subject for RaftEngine {
    fn name(&self) -> &'static str {
        "raft-engine"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32 of each batch"),
            verified: true,
            atomic: "a batch",
            opening: "everything, indexed",
            order: "entries of groups by index, all of them in an index in memory",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append | Operation::Durable => format!(
                "add_entries of {batch} (protobuf: index and payload), write with sync={}; no \
                 compression, else by default (files of 128 MiB)",
                operation == Operation::Durable
            ),
            Operation::Replay => "fetch_entries_to, 4,096 at a time; batches of 64".into(),
            Operation::Open | Operation::Fill => {
                "Engine::open, which reads all and indexes it; batches of 64".into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, false)?)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, true)?)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::new(load, false)?;
        log.calls(load.payloads, 0, events / load.batch as u64)?;
        log.engine.sync()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let engine = open(within)?;
        let end = engine.last_index(GROUP).map_or(0, |last| last + 1);
        let mut tally = Tally::default();
        let began = Instant::now();
        let mut entries = Vec::new();
        for first in (1..end).step_by(FETCH as usize) {
            entries.clear();
            let last = (first + FETCH).min(end);
            engine.fetch_entries_to::<Indexed>(GROUP, first, last, None, &mut entries)?;
            let payloads = entries.iter().filter_map(|entry| entry.value.get(INDEX..));
            payloads.for_each(|payload| tally.take(payload));
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within)?)))
    }
}

/// An entry that begins with its index.
struct Indexed;

impl MessageExt for Indexed {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        entry.value.first_chunk().map_or(0, |index| u64::from_le_bytes(*index))
    }
}

struct Log {
    engine: Engine,
    batch: LogBatch,
    /// Used again and again.
    entries: Vec<BytesValue>,
    sync: bool,
}

impl Log {
    fn new(load: &Load<'_>, sync: bool) -> Outcome<Self> {
        Ok(Self {
            engine: open(load.within)?,
            batch: LogBatch::with_capacity(load.batch),
            entries: vec![BytesValue::default(); load.batch],
            sync,
        })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            for entry in &mut self.entries {
                let payload = payloads.of(number);
                // Raft counts from 1.
                number += 1;
                entry.value.clear();
                entry.value.extend_from_slice(&number.to_le_bytes());
                entry.value.extend_from_slice(payload);
            }
            self.batch.add_entries::<Indexed>(GROUP, &self.entries)?;
            self.engine.write(&mut self.batch, self.sync)?;
        }
        Ok(())
    }
}
