//! umadb-core: an event store whose every append is synced.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umadb_core::db::UmaDb;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_dcb::{DcbEvent, DcbEventStoreSync};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Events of one append in a log that is replayed: each is synced.
const FILL: usize = 8192;
/// Events that are read at once.
const READ: u32 = 8192;

/// umadb-core.
#[derive(Debug)]
pub struct Umadb;

fn open(within: &Path) -> Outcome<UmaDb> {
    let mvcc = Mvcc::new(false, StorageOptions::default().db_path(within))?;
    Ok(UmaDb::from_arc(Arc::new(mvcc)))
}

impl Subject for Umadb {
    fn name(&self) -> &'static str {
        "umadb-core"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32 of each page"),
            verified: true,
            atomic: "an append",
            opening: "its headers",
            order: "one sequence, with types, tags and conditions",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        match operation {
            Operation::Append => String::new(),
            Operation::Durable => format!(
                "UmaDb::append of {batch} DcbEvents (type \"bench\", no tags, no condition); \
                 StorageOptions by default"
            ),
            Operation::Replay => "UmaDb::read, 8,192 at a time; appends of 8,192".into(),
            Operation::Open | Operation::Fill => {
                "Mvcc::new, StorageOptions by default; appends of 8,192".into()
            }
        }
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(Log { store: open(load.within)?, batch: load.batch })))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log { store: open(load.within)?, batch: FILL };
        log.calls(load.payloads, 0, events / FILL as u64)?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let store = open(within)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        loop {
            let before = tally.events;
            // Positions count from 1.
            for event in store.read(None, Some(before + 1), false, Some(READ))? {
                tally.take(&event?.event.data);
            }
            if tally.events == before {
                return Ok(Some((tally, began.elapsed())));
            }
        }
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within)?)))
    }
}

struct Log {
    store: UmaDb,
    batch: usize,
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        for call in 0..calls {
            let begin = first + call * self.batch as u64;
            let payloads = payloads.batch(begin, self.batch).into_iter();
            let events = payloads.map(|data| DcbEvent::new().event_type("bench").data(data));
            self.store.append(events.collect(), None, None)?;
        }
        Ok(())
    }
}
