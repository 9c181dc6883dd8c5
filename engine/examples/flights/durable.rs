//! How long after an event became visible it was durable, seen from outside.
//!
//! Whoever waits for durability has the log synced, whatever its policy is. So this thread does not
//! wait: it looks every [`SAMPLE`] how far the log is durable, and reads the events that became so.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factlog::{Clock, Log, Sequence, Start, SystemClock};

use super::failure::Failure;
use super::latency::{Histogram, Latency, SAMPLE};

/// A thread that watches how far the log is durable.
pub(crate) struct DurableWatch {
    thread: JoinHandle<Result<Option<Latency>, Failure>>,
    /// When this goes, the thread looks a last time.
    go_on: SyncSender<()>,
}

impl DurableWatch {
    /// Begins to watch the events behind the first `have`.
    pub(crate) fn start(log: &Log, have: u64) -> Self {
        let (log, (go_on, ended)) = (log.clone(), sync_channel(0));
        let thread = std::thread::spawn(move || watch(&log, have, &ended));
        Self { thread, go_on }
    }

    /// Looks a last time; what it came to.
    pub(crate) fn finish(self) -> Result<Option<Latency>, Failure> {
        drop(self.go_on);
        match self.thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// Leaves the log alone until `events` are durable, or the patience is over.
pub(crate) fn let_settle(log: &Log, events: u64, patience: Duration) {
    let began = Instant::now();
    while log.durable().0.get() < events && began.elapsed() < patience {
        std::thread::sleep(SAMPLE);
    }
}

fn watch(log: &Log, have: u64, ended: &Receiver<()>) -> Result<Option<Latency>, Failure> {
    let mut clock = SystemClock;
    let mut histogram = Histogram::default();
    let next = Sequence::new(have).after(1);
    let mut cursor = log.cursor(Start::Sequence(next))?.only_durable();
    let mut last = false;
    loop {
        loop {
            let before = cursor.next_sequence();
            let batch = cursor.poll()?;
            let now = clock.now();
            for event in batch {
                histogram.record(now.saturating_sub(event?.ts()));
            }
            // A batch ends with its segment: more may stand in the next one.
            if cursor.next_sequence() == before {
                break;
            }
        }
        if last {
            return Ok(histogram.latency());
        }
        last = ended.recv_timeout(SAMPLE) == Err(RecvTimeoutError::Disconnected);
    }
}
