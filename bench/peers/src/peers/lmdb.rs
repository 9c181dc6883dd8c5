//! LMDB, through heed: a mapped B-tree of payloads by number.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use heed::byteorder::BigEndian;
use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Most bytes of a database: address space, not disk space.
const MAP: usize = 16 << 30;
/// Events of one transaction in a log that is replayed.
const FILL: usize = 64 << 10;

type Events = Database<U64<BigEndian>, Bytes>;

/// LMDB.
#[derive(Debug)]
pub struct Lmdb;

fn open(within: &Path, synced: bool) -> Outcome<(Env, Events)> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP);
    if !synced {
        // SAFETY: a crash may damage the database, and nobody reads it after one.
        unsafe { options.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the directory is this program's own, and nobody else changes its files.
    let env = unsafe { options.open(within) }?;
    let mut transaction = env.write_txn()?;
    let events = env.create_database(&mut transaction, None)?;
    transaction.commit()?;
    Ok((env, events))
}

impl Subject for Lmdb {
    fn name(&self) -> &'static str {
        "lmdb"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: None,
            verified: false,
            atomic: "a transaction",
            opening: "its two headers",
            order: "a B-tree by number",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        let call = format!("put with APPEND, {batch} a transaction; map of 16 GiB");
        match operation {
            Operation::Append => format!("{call}, NO_SYNC"),
            Operation::Durable => format!("{call}, synced by default"),
            Operation::Replay => "Database::iter, values borrowed".into(),
            Operation::Open | Operation::Fill => {
                "EnvOpenOptions::open and the database in it, with a synced empty transaction"
                    .into()
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
        let mut log = Log::new(&Load { batch: FILL, ..*load }, false)?;
        log.calls(load.payloads, 0, events / FILL as u64)?;
        log.env.force_sync()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let (env, events) = open(within, true)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        let transaction = env.read_txn()?;
        for event in events.iter(&transaction)? {
            tally.take(event?.1);
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(open(within, true)?)))
    }
}

struct Log {
    env: Env,
    events: Events,
    batch: usize,
}

impl Log {
    fn new(load: &Load<'_>, synced: bool) -> Outcome<Self> {
        let (env, events) = open(load.within, synced)?;
        Ok(Self { env, events, batch: load.batch })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            let mut transaction = self.env.write_txn()?;
            for _ in 0..self.batch {
                let payload = payloads.of(number);
                let flags = PutFlags::APPEND;
                self.events.put_with_flags(&mut transaction, flags, &number, payload)?;
                number += 1;
            }
            transaction.commit()?;
        }
        Ok(())
    }
}
