//! fjall: a log-structured tree of payloads by number.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// fjall.
#[derive(Debug)]
pub struct Fjall;

fn open(within: &Path) -> Outcome<(Database, Keyspace)> {
    let database = Database::builder(within.join("db")).open()?;
    let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
    Ok((database, events))
}

impl Subject for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("XXH3 of each batch and block"),
            verified: true,
            atomic: "a batch",
            opening: "its journal and manifest",
            order: "a tree by number, compacted in the background",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append if batch == 1 => {
                "Keyspace::insert; by default (journal handed to the system each time)".into()
            }
            Operation::Append => format!("WriteBatch of {batch}; by default"),
            Operation::Durable => {
                format!("WriteBatch of {batch}, PersistMode::SyncData; else by default")
            }
            Operation::Replay => "Keyspace::iter; blocks verified, memtables in memory".into(),
            Operation::Open | Operation::Fill => {
                "Database::builder.open, which replays the journal".into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, None)?)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, Some(PersistMode::SyncData))?)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::new(load, None)?;
        log.calls(load.payloads, 0, events / load.batch as u64)?;
        log.database.persist(PersistMode::SyncAll)?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let (_database, events) = open(within)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        for event in events.iter() {
            tally.take(&event.value()?);
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within)?)))
    }
}

struct Log {
    database: Database,
    events: Keyspace,
    persist: Option<PersistMode>,
    batch: usize,
}

impl Log {
    fn new(load: &Load<'_>, persist: Option<PersistMode>) -> Outcome<Self> {
        let (database, events) = open(load.within)?;
        Ok(Self { database, events, persist, batch: load.batch })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            if self.batch == 1 && self.persist.is_none() {
                self.events.insert(number.to_be_bytes(), payloads.of(number))?;
                number += 1;
                continue;
            }
            let mut batch = self.database.batch().durability(self.persist);
            for _ in 0..self.batch {
                batch.insert(&self.events, number.to_be_bytes(), payloads.of(number));
                number += 1;
            }
            batch.commit()?;
        }
        Ok(())
    }
}
