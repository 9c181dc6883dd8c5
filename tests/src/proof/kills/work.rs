//! What is done to a log in the process that is killed, and what it tells outside.
//!
//! A reader writes each event that it has seen, sequence and digest, to the process's output before
//! anything else happens to it: a pipe, whose other end is in the process that kills.

use std::env;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use factlog::{
    DiskObserver, DiskOperation, Durability, Expected, Meta, Options, Retention, Start, StreamKey,
    WaitStrategy, Waited, WriteWay, Writer,
};

use crate::digest;

/// The directory of the log, in a process that was started for this.
pub(super) const DIRECTORY: &str = "FACTLOG_PROOF_KILLS";
/// How it is worked on: see [`Work::words`].
pub(super) const WORK: &str = "FACTLOG_PROOF_KILLS_WORK";
/// What the process says when it has opened the log.
pub(super) const READY: &[u8] = b"the log is open\n";
/// In a record's sequence: everything up to it was acknowledged as durable.
pub(super) const DURABLE: u64 = 1 << 63;
/// Streams that are appended to.
pub(super) const STREAMS: u64 = 7;

/// One event: all of it follows from its number.
#[factlog::event(name = "written", version = 1)]
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) filler: Vec<u8>,
}

impl Written {
    pub(super) fn new(number: u64) -> Self {
        Self { number, filler: vec![number as u8; (number % 500) as usize] }
    }
}

/// What the process does until it is killed, or has done it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) way: WriteWay,
    /// How many transactions; 0: as many as there is time for.
    pub(super) steps: u64,
    /// The write in the middle of which it kills itself; 0: none.
    pub(super) tear: u64,
}

impl Work {
    /// As the environment says it.
    pub(super) fn words(self) -> String {
        let way = if self.way == WriteWay::Mapped { "mapped" } else { "staged" };
        format!("{way} {} {}", self.steps, self.tear)
    }

    fn from_words(words: &str) -> Option<Self> {
        let mut words = words.split(' ');
        let way = match words.next()? {
            "mapped" => WriteWay::Mapped,
            "staged" => WriteWay::Staged,
            _ => return None,
        };
        let mut number = || words.next()?.parse().ok();
        Some(Self { way, steps: number()?, tear: number()? })
    }
}

pub(super) fn options(way: WriteWay) -> Options {
    let options = Options::new().segment_size(4 << 20).spare_segments(2).prefault(1 << 18);
    options.write_way(way).durability(Durability::None)
}

/// Does the n-th write in part, and kills this process.
struct Tear {
    left: AtomicU64,
}

impl DiskObserver for Tear {
    fn before(&self, operation: &DiskOperation<'_>) -> io::Result<()> {
        let DiskOperation::Write(file, offset, bytes) = operation else { return Ok(()) };
        if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return Ok(());
        }
        file.write_all_at(&bytes[..bytes.len() * 2 / 3], *offset)?;
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
        Ok(())
    }
}

/// Does not return in a process that was started for this.
pub(super) fn child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let words = env::var(WORK).unwrap_or_default();
    let work = Work::from_words(&words).expect("words that were written by this program");
    let mut options = options(work.way);
    if work.tear > 0 {
        options = options.disk_observer(Arc::new(Tear { left: AtomicU64::new(work.tear) }));
    }
    let mut writer = options.open(Path::new(&directory)).expect("the log opens after every kill");
    let log = writer.log();
    let reader = std::thread::spawn(move || tell(&log));
    do_it(&mut writer, work.steps);
    drop(writer);
    reader.join().expect("no panic");
    std::process::exit(0);
}

fn tell(log: &factlog::Log) {
    let mut cursor = log.cursor(Start::End).expect("a cursor");
    say(READY);
    let mut records = Vec::new();
    while cursor.wait(WaitStrategy::Yield, Duration::from_secs(60)) != Waited::Closed {
        records.clear();
        for event in cursor.poll().expect("readable") {
            let event = event.expect("readable");
            records.extend_from_slice(&event.sequence().get().to_le_bytes());
            records.extend_from_slice(&digest(event.payload()).to_le_bytes());
        }
        // Behind a kill the pipe has all or nothing of each write.
        records.chunks(4096).for_each(say);
    }
}

fn say(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    out.write_all(bytes).expect("the parent reads");
    out.flush().expect("the parent reads");
}

fn do_it(writer: &mut Writer, steps: u64) {
    let streams: Vec<StreamKey> =
        (0..STREAMS).map(|key| StreamKey::new("stream", key).expect("a name")).collect();
    let begin = writer.next_sequence().get();
    let end = if steps == 0 { u64::MAX } else { begin + steps };
    // Where the moment of a kill is a call, there shall be many of them; where it is any, few.
    let (sync, retain) = if steps == 0 { (503, 307) } else { (41, 97) };
    let meta =
        |number: u64| Meta::new().stream(&streams[(number % STREAMS) as usize], Expected::Any);
    for number in begin..end {
        if number % 8 == 0 {
            writer.append_with(&Written::new(number), meta(number)).expect("appended");
        } else {
            let mut transaction = writer.begin().expect("a transaction");
            for part in number..number + 30 + number % 90 {
                transaction.append_with(&Written::new(part), meta(part)).expect("appended");
            }
            transaction.commit().expect("committed");
        }
        if number % sync == 0 {
            let last = writer.next_sequence().get() - 1;
            writer.sync().expect("durable");
            let record = [(last | DURABLE).to_le_bytes(), [0; 8]];
            say(record.as_flattened());
        }
        if number % retain == 0 {
            writer.retain(&Retention::keep_segments(2)).expect("retained");
        }
    }
}
