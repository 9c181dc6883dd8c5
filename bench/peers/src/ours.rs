//! factlog, by its public interface: events that are bytes, as its users would append them.

use std::any::Any;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use factlog::{CommitAlign, Durability, EventType, Opaque, Options, Start, WriteWay, Writer};

use crate::payload::{Payloads, Tally};
use crate::row::Operation;
use crate::subject::{Appender, Guarantees, Load, Outcome, Subject};

static EVENT: EventType = EventType::opaque("bench", 1);

/// Bytes of the segments that are appended to without syncs: their pages are present beforehand.
const SEGMENT: u64 = 512 << 20;
/// Bytes of the segments that are made durable: they were written beforehand, as what the limit writes
/// into. The log is replaced before its first one ends, since to prepare another one beside it takes
/// as much of the disk as the commits do.
pub const PREPARED: u64 = 256 << 20;
/// What stays free at their end, so that nothing is measured that happens there.
const MARGIN: u64 = 2 << 20;
/// Most bytes of payload that are put into one transaction: 1 MiB is the most, with headers.
const TRANSACTION: usize = 512 << 10;

/// factlog.
#[derive(Debug)]
pub struct Factlog;

impl Subject for Factlog {
    fn name(&self) -> &'static str {
        "factlog"
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            checksum: Some("CRC-32 of each frame"),
            verified: true,
            atomic: "a call",
            opening: "what the newest stream table has not; three pages of each other segment",
            order: "one sequence; streams, causes and types on demand",
        }
    }

    fn settings(&self, operation: Operation, batch: usize) -> String {
        let call = if batch == 1 { "append" } else { "begin, append, commit" };
        match operation {
            Operation::Append => format!(
                "{call}; Durability::None, mapped, segments of 512 MiB, all of it prefaulted, \
                 CRC-32; visible to readers when a call returns"
            ),
            Operation::Durable => format!(
                "{call}; Durability::Always, WriteWay and CommitAlign by default (staged, commits \
                 end at pages), segments of 256 MiB, prepared beforehand, CRC-32; more than 512 KiB a commit: several transactions staged \
                 under Durability::None, then Writer::sync"
            ),
            Operation::Replay => "open_read_only, Cursor::poll from the oldest event; frames of \
                                  64 events, verified and walked"
                .into(),
            Operation::Open | Operation::Fill => {
                "Options::open for writing, by default; the log was closed".into()
            }
        }
    }

    fn append(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let before = present();
        let options = Options::new().segment_size(SEGMENT).spare_segments(1);
        let options = options.prefault(SEGMENT as usize).durability(Durability::None);
        let mut log = Log::new(options, load, false)?;
        log.segment = Some(SEGMENT);
        // The type is described in the log with its first event.
        log.writer.append(&Opaque::new(&EVENT, load.payloads.of(0)))?;
        // The segment in use and the one after it: nothing is made present while this is measured.
        settle(&load.within.join("seg"), before + 2 * SEGMENT - MARGIN)?;
        Ok(Some(Box::new(log)))
    }

    fn durable(&self, load: &Load<'_>) -> Outcome<Option<Box<dyn Appender>>> {
        let log = Self::durable_log(load)?;
        settle(&load.within.join("seg"), 0)?;
        Ok(Some(Box::new(log)))
    }

    fn fill(&self, load: &Load<'_>, events: u64) -> Outcome<bool> {
        let mut log = Log::new(Options::new().durability(Durability::None), load, false)?;
        log.calls(load.payloads, 0, events / load.batch as u64)?;
        log.writer.close()?;
        Ok(true)
    }

    fn replay(&self, within: &Path) -> Outcome<Option<(Tally, Duration)>> {
        let log = Options::new().open_read_only(within)?;
        let mut tally = Tally::default();
        let began = Instant::now();
        let mut cursor = log.cursor(Start::Oldest)?;
        loop {
            let before = tally.events;
            for event in cursor.poll()? {
                tally.take(event?.payload());
            }
            if tally.events == before {
                return Ok(Some((tally, began.elapsed())));
            }
        }
    }

    fn open(&self, within: &Path) -> Outcome<Option<Box<dyn Any>>> {
        Ok(Some(Box::new(Open { writer: Some(Options::new().open(within)?) })))
    }
}

impl Factlog {
    fn durable_log(load: &Load<'_>) -> Outcome<Log> {
        let pieces = load.batch * load.payloads.size() > TRANSACTION;
        let options = Options::new().segment_size(PREPARED).spare_segments(1);
        let options = if pieces {
            options.durability(Durability::None).write_way(WriteWay::Staged)
        } else {
            options.durability(Durability::Always).commit_align(CommitAlign::Page)
        };
        let mut log = Log::new(options, load, pieces)?;
        log.segment = Some(PREPARED);
        Ok(log)
    }
}

/// Bytes that a durable commit of so many events puts into the log, padding included.
///
/// # Errors
///
/// A log for it cannot be written.
pub fn commit_bytes(load: &Load<'_>) -> Outcome<usize> {
    const COMMITS: u64 = 4;
    let directory = tempfile::tempdir_in(load.within)?;
    let load = Load { within: directory.path(), ..*load };
    let mut log = Factlog::durable_log(&load)?;
    // The first brings the type along.
    log.calls(load.payloads, 0, 1)?;
    let (_, before) = log.writer.log().visible();
    log.calls(load.payloads, 0, COMMITS)?;
    let (_, after) = log.writer.log().visible();
    Ok((after.raw().saturating_sub(before.raw()) / COMMITS) as usize)
}

/// A log that is appended to.
struct Log {
    writer: Writer,
    batch: usize,
    /// Events in one transaction.
    transaction: usize,
    /// Whether a call is several transactions and a sync.
    pieces: bool,
    /// Bytes of the frame of one call.
    frames: u64,
    /// Bytes of a segment, if the log is replaced before its first segment ends.
    segment: Option<u64>,
}

impl Log {
    fn new(options: Options, load: &Load<'_>, pieces: bool) -> Outcome<Self> {
        let size = load.payloads.size();
        let transaction = load.batch.min(TRANSACTION / size);
        let writer = options.open(load.within)?;
        let frames = 64 + load.batch * (16 + size);
        Ok(Self {
            writer,
            batch: load.batch,
            transaction,
            pieces,
            frames: frames as u64,
            segment: None,
        })
    }
}

impl Appender for Log {
    fn calls(&mut self, payloads: &Payloads, first: u64, calls: u64) -> Outcome<()> {
        let mut number = first;
        for _ in 0..calls {
            if self.batch == 1 {
                self.writer.append(&Opaque::new(&EVENT, payloads.of(number)))?;
                number += 1;
                continue;
            }
            let end = number + self.batch as u64;
            while number < end {
                let mut transaction = self.writer.begin()?;
                for _ in 0..self.transaction.min((end - number) as usize) {
                    transaction.append(&Opaque::new(&EVENT, payloads.of(number)))?;
                    number += 1;
                }
                transaction.commit()?;
            }
            if self.pieces {
                self.writer.sync()?;
            }
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        let Some(segment) = self.segment else { return u64::MAX };
        let (_, position) = self.writer.log().visible();
        (segment - MARGIN).saturating_sub(position.raw() % segment) / self.frames
    }
}

/// A log that is closed when it is dropped, so that it is opened as one that was.
struct Open {
    writer: Option<Writer>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // What is measured next is then slower, and says so by itself.
            drop(writer.close());
        }
    }
}

/// Waits until nothing happens in the background any more: the segments ahead are prepared, their
/// zeros written, and at least so many bytes of pages present. It would be measured with the first
/// commits only.
fn settle(segments: &Path, pages: u64) -> Outcome<()> {
    let began = Instant::now();
    let (mut before, mut since) = ((Vec::new(), 0), Instant::now());
    while since.elapsed() < Duration::from_millis(200) {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("segments are still being prepared after 60 s".into());
        }
        std::thread::sleep(Duration::from_millis(5));
        let mut names = Vec::new();
        for entry in fs::read_dir(segments)? {
            names.push(entry?.file_name());
        }
        names.sort();
        let busy = names.iter().any(|name| Path::new(name).extension() == Some("tmp".as_ref()));
        let now = (names, present());
        if busy || now.1 < pages || now != before {
            (before, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Bytes of files that are present in this process.
fn present() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(2).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
