//! khata-rs: a queue in a mapped file. Its `Store`, the file below its `Queue`, takes batches,
//! verifies on demand, and has its pages touched beforehand; its `Queue` does none of it.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use khata_rs::{LockFreeIndexConfig, Store, StoreConfig};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

/// A file has this size from the beginning, and takes no more.
const BLOCK: usize = 512 << 20;

/// khata-rs, with or without its checksums.
#[derive(Debug)]
pub struct Khata {
    /// Whether checksums are made and verified.
    pub checked: bool,
}

impl Khata {
    fn config(&self) -> StoreConfig {
        StoreConfig {
            block_size: BLOCK,
            enable_checksums: self.checked,
            pretouch_ahead: BLOCK,
            ..StoreConfig::default()
        }
    }

    fn create(&self, load: &Load<'_>) -> Outcome<Log> {
        let store = Store::open(file(load.within), 0, self.config(), false)?;
        let bytes = (load.batch * (8 + load.payloads.size())) as u64;
        Ok(Log { store, batch: load.batch, bytes, checked: self.checked, flush: false })
    }
}

fn file(within: &Path) -> PathBuf {
    within.join("store.cq4")
}

impl Subject for Khata {
    fn name(&self) -> &'static str {
        if self.checked { "khata-rs" } else { "khata-rs-unchecked" }
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: self.checked.then_some("CRC-16 of each payload"),
            verified: self.checked,
            atomic: "an event",
            opening: "every header",
            order: "one sequence, with a sparse index in memory",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        let checksums = if self.checked { "CRC-16" } else { "no checksums" };
        let call = match (batch, self.checked) {
            (1, true) => "Store::append",
            (1, false) => "Store::append_unchecked",
            (_, true) => "Store::append_batch",
            (_, false) => "Store::append_batch_unchecked",
        };
        match operation {
            Operation::Append => format!("{call}; {checksums}, block of 512 MiB, all pretouched"),
            Operation::Durable => {
                format!("{call}, then Store::flush (msync of the file); {checksums}, 512 MiB")
            }
            Operation::Replay if self.checked => {
                "Store::read_verified by number, index of every event built at opening".into()
            }
            Operation::Replay => "Store::iter, which verifies nothing".into(),
            Operation::Open | Operation::Fill => {
                "Store::open for writing, default pretouch of 1 MiB; walks all headers, verifies \
                 nothing"
                    .into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        Ok(Some(Box::new(self.create(load)?)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let log = self.create(load)?;
        // The pages were touched, which made them dirty: no commit shall have to write them all.
        log.store.flush()?;
        Ok(Some(Box::new(Log { flush: true, ..log })))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = self.create(load)?;
        log.calls(load.payloads, 0, events / load.batch as u64)?;
        log.store.flush()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let index_config = LockFreeIndexConfig::new(4096, 1, 2048);
        let config = StoreConfig { index_config, ..self.config() };
        let store = Store::open(file(within), 0, config, true)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        if self.checked {
            while let Some(payload) = store.read_verified(tally.events)? {
                tally.take(payload);
            }
        } else {
            store.iter().for_each(|(_, payload)| tally.take(payload));
        }
        Ok(Some((tally, began.elapsed())))
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        let config = StoreConfig { pretouch_ahead: 1 << 20, ..self.config() };
        Ok(Some(Box::new(Store::open(file(within), 0, config, false)?)))
    }
}

struct Log {
    store: Store,
    batch: usize,
    /// Of one call, with headers of 8 bytes.
    bytes: u64,
    checked: bool,
    /// Whether each call ends with a sync.
    flush: bool,
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            if self.batch == 1 {
                let payload = payloads.of(number);
                if self.checked {
                    self.store.append(payload)?;
                } else {
                    self.store.append_unchecked(payload)?;
                }
            } else {
                let events = payloads.batch(number, self.batch);
                if self.checked {
                    self.store.append_batch(&events)?;
                } else {
                    self.store.append_batch_unchecked(&events)?;
                }
            }
            if self.flush {
                self.store.flush()?;
            }
            number += self.batch as u64;
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        self.store.remaining() / self.bytes
    }
}
