//! redb: a B-tree of payloads by number.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// Events of one transaction in a log that is replayed.
const FILL: usize = 64 << 10;

/// redb.
#[derive(Debug)]
pub struct Redb;

fn open(within: &Path) -> Outcome<Database> {
    Ok(Database::create(within.join("events.redb"))?)
}

impl Subject for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("XXH3 of each page, up to the root"),
            verified: false,
            atomic: "a transaction",
            opening: "its header",
            order: "a B-tree by number",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        let call = format!("insert {batch} a transaction");
        match operation {
            Operation::Append => format!("{call}, Durability::None, else by default"),
            Operation::Durable => format!("{call}, Durability::Immediate, else by default"),
            Operation::Replay => {
                "Table::iter (checksums are for recovery and check_integrity)".into()
            }
            Operation::Open | Operation::Fill => "Database::create, by default; was closed".into(),
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, Durability::None)?)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log::new(load, Durability::Immediate)?)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::new(&Load { batch: FILL, ..*load }, Durability::Immediate)?;
        log.calls(load.payloads, 0, events / FILL as u64)?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let database = open(within)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        let transaction = database.begin_read()?;
        let table = transaction.open_table(EVENTS)?;
        for event in table.iter()? {
            tally.take(event?.1.value());
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within)?)))
    }
}

struct Log {
    database: Database,
    durability: Durability,
    batch: usize,
}

impl Log {
    fn new(load: &Load<'_>, durability: Durability) -> Outcome<Self> {
        Ok(Self { database: open(load.within)?, durability, batch: load.batch })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(self.durability)?;
            let mut table = transaction.open_table(EVENTS)?;
            for _ in 0..self.batch {
                table.insert(number, payloads.of(number))?;
                number += 1;
            }
            drop(table);
            transaction.commit()?;
        }
        Ok(())
    }
}
