//! SQLite: a table of payloads, with its write-ahead log.

use std::any::Any;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// Rows of one transaction in a log that is replayed.
const FILL: usize = 8192;

/// SQLite.
#[derive(Debug)]
pub struct Sqlite;

fn connect(within: &Path, synchronous: &str) -> Outcome<Connection> {
    let connection = Connection::open(within.join("events.db"))?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};
         CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY, payload BLOB NOT NULL);"
    ))?;
    Ok(connection)
}

impl Subject for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: None,
            verified: false,
            atomic: "a transaction",
            opening: "its header and schema",
            order: "a table by number, with SQL; frames of its WAL have checksums, pages have none",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        let call = format!("INSERT {batch} a transaction, prepared; journal_mode=WAL");
        match operation {
            Operation::Append => format!("{call}, synchronous=OFF"),
            Operation::Durable => format!("{call}, synchronous=FULL"),
            Operation::Replay => "SELECT payload ORDER BY number, blobs borrowed".into(),
            Operation::Open | Operation::Fill => {
                "Connection::open, WAL, and the first SELECT of the greatest number".into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let connection = connect(load.within, "OFF")?;
        Ok(Some(Box::new(Log { connection, batch: load.batch })))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let connection = connect(load.within, "FULL")?;
        Ok(Some(Box::new(Log { connection, batch: load.batch })))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log { connection: connect(load.within, "OFF")?, batch: FILL };
        log.calls(load.payloads, 0, events / FILL as u64)?;
        log.connection.close().map_err(|(_, error)| error)?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let connection = connect(within, "OFF")?;
        let mut tally = Tally::default();
        let began = Instant::now();
        let mut statement = connection.prepare("SELECT payload FROM events ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            tally.take(row.get_ref(0)?.as_blob()?);
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        let connection = connect(within, "FULL")?;
        connection.query_row("SELECT max(number) FROM events", [], |row| row.get::<_, i64>(0))?;
        Ok(Some(Box::new(connection)))
    }
}

struct Log {
    connection: Connection,
    batch: usize,
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            let transaction = self.connection.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO events (payload) VALUES (?1)")?;
            for _ in 0..self.batch {
                insert.execute([payloads.of(number)])?;
                number += 1;
            }
            drop(insert);
            transaction.commit()?;
        }
        Ok(())
    }
}
