//! The thread that owns the writer: it drains what is there into one frame, publishes once, and
//! answers each submission with its sequences.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use factlog_codec::layout::max_transaction;

use super::answer::{Accepted, Refusal};
use super::handover::{Closing, Handover};
use super::producer::Producer;
use crate::log::cursor::{Log, WaitStrategy};
use crate::log::durability::Durability;
use crate::log::error::{AppendError, RetainError, SyncError};
use crate::log::fault::{IoError, message};
use crate::log::report::Retained;
use crate::log::retention::{Retention, retain};
use crate::log::shared::Shared;
use crate::log::writer::{Receipt, Transaction, Writer};
use crate::sync::Arc;

/// A frame takes no more submissions once it has so many bytes: whoever reads one of its events
/// verifies all of it.
const ENOUGH_BYTES: usize = 64 << 10;
/// Nor once it has so many events.
const ENOUGH_EVENTS: usize = 4096;
/// One sync serves at most so many submissions.
const ENOUGH_WAITING: usize = 4096;

/// How the writer's thread works.
#[derive(Debug, Clone)]
pub struct ThreadOptions {
    pub(crate) queue: usize,
    pub(crate) idle: WaitStrategy,
}

impl Default for ThreadOptions {
    fn default() -> Self {
        Self { queue: 1024, idle: WaitStrategy::Park }
    }
}

impl ThreadOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Most submissions that wait for the writer, at least 1; 1,024 by default.
    #[must_use]
    pub fn queue(mut self, capacity: usize) -> Self {
        self.queue = capacity.max(1);
        self
    }

    /// What the thread does when nothing is to be written; it parks by default.
    #[must_use]
    pub fn idle(mut self, strategy: WaitStrategy) -> Self {
        self.idle = strategy;
        self
    }
}

/// A writer on a thread of its own, to which any number of [`Producer`]s hand events.
///
/// Dropping it ends the thread once everything that was accepted is written; so does
/// [`WriterThread::close`], which makes it durable as well and says how that went.
#[derive(Debug)]
pub struct WriterThread {
    shared: Arc<Shared>,
    handover: Arc<Handover<Accepted>>,
    thread: Option<JoinHandle<Writer>>,
}

impl Writer {
    /// Moves the writer to a thread of its own.
    ///
    /// # Errors
    ///
    /// The system gives no thread. The writer is dropped: the log can be opened again.
    pub fn spawn(self, options: ThreadOptions) -> Result<WriterThread, IoError> {
        let shared = Arc::clone(self.shared());
        let handover = Arc::new(Handover::new(options.queue));
        let inside = Arc::clone(&handover);
        let run = move || run(self, &inside, options.idle);
        let thread = std::thread::Builder::new().name("factlog-writer".into()).spawn(run);
        let thread = thread.map_err(|source| {
            IoError::new("start a thread for the writer of", shared.directory.root(), source)
        })?;
        Ok(WriterThread { shared, handover, thread: Some(thread) })
    }
}

impl WriterThread {
    /// A handle to submit events with.
    pub fn producer(&self) -> Producer {
        Producer::new(&self.shared, &self.handover, max_transaction(self.shared.bits))
    }

    /// A handle for readers.
    pub fn log(&self) -> Log {
        Log::new(Arc::clone(&self.shared))
    }

    /// Drops whole segments from the front that `retention` does not keep, while producers go on.
    ///
    /// # Errors
    ///
    /// Nothing was dropped, and the log is as it was.
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        if ended && !self.shared.fork.is_child() {
            // With the writer its lock is gone: somebody else may write by now.
            let error = std::io::Error::other("the thread of the writer has ended");
            let error = IoError::new("drop segments of", self.shared.directory.root(), error);
            return Err(RetainError::Io(Arc::new(error)));
        }
        retain(&self.shared, retention)
    }

    /// Takes nothing any more, writes what was accepted, and gives the writer back; `None` if its
    /// thread panicked.
    pub fn into_writer(mut self) -> Option<Writer> {
        self.end()
    }

    /// Takes nothing any more, writes what was accepted, makes it durable, and closes the log.
    ///
    /// # Errors
    ///
    /// Not everything may be durable, or it could not be noted.
    pub fn close(mut self) -> Result<(), SyncError> {
        if self.shared.fork.is_child() {
            return Err(SyncError::Forked);
        }
        match self.end() {
            Some(writer) => writer.close(),
            None => Err(SyncError::ThreadPanicked),
        }
    }

    fn end(&mut self) -> Option<Writer> {
        if self.shared.fork.is_child() {
            // The thread does not exist here: nobody would end.
            self.thread = None;
            return None;
        }
        self.handover.close();
        self.thread.take()?.join().ok()
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        drop(self.end());
    }
}

fn run(mut writer: Writer, handover: &Handover<Accepted>, idle: WaitStrategy) -> Writer {
    let closing = Closing(handover);
    let durability = writer.shared().durability;
    let mut batch = Vec::new();
    let mut left = None;
    while let Some(next) = left.take().or_else(|| handover.next(idle)) {
        left = write(&mut writer, handover, next, &mut batch);
        // One sync serves all that wait for it.
        let more = left.is_some() || !handover.is_empty();
        if durability != Durability::Group || !more || batch.len() >= ENOUGH_WAITING {
            answer(&mut writer, durability, &mut batch);
        }
    }
    drop(closing);
    writer
}

/// A submission whose events stand in the frame, or why they do not.
type Written = (Accepted, Result<Receipt, Refusal>);

/// Writes one frame: `next`, and what else waits. Gives what did not fit and begins the next one.
fn write(
    writer: &mut Writer,
    handover: &Handover<Accepted>,
    next: Accepted,
    batch: &mut Vec<Written>,
) -> Option<Accepted> {
    // A clock of the user's may panic when a segment ends.
    let ready = catch_unwind(AssertUnwindSafe(|| writer.make_room()));
    let begun = match ready {
        Ok(Ok(())) => writer.begin().map_err(Refusal::Append),
        Ok(Err(error)) => Err(Refusal::Append(error)),
        Err(panic) => Err(Refusal::Panicked(message(&*panic))),
    };
    let mut transaction = match begun {
        Ok(transaction) => transaction,
        Err(refusal) => {
            batch.push((next, Err(refusal)));
            handover.made_room();
            return None;
        }
    };
    let begun = batch.len();
    let mut left = None;
    let mut next = Some(next);
    while let Some(accepted) = next.take() {
        match put(&mut transaction, &accepted) {
            Err(Refusal::Append(AppendError::TooLarge { .. })) if !transaction.is_empty() => {
                // It may fit a frame of its own.
                left = Some(accepted);
                break;
            }
            outcome => batch.push((accepted, outcome)),
        }
        // Those that were refused count as well: everybody waits for an answer.
        let enough = transaction.bytes() >= ENOUGH_BYTES
            || transaction.len() >= ENOUGH_EVENTS
            || batch.len() - begun >= ENOUGH_EVENTS;
        if !enough {
            next = handover.pop();
        }
    }
    // Whoever waits for room can go on while the frame is being closed.
    handover.made_room();
    let committed = catch_unwind(AssertUnwindSafe(|| transaction.commit_visible()));
    let refused = match committed {
        Ok(Ok(_)) => return left,
        Ok(Err(cause)) => Err(cause),
        Err(panic) => Ok(message(&*panic)),
    };
    for (_, outcome) in batch.iter_mut().skip(begun).filter(|(_, outcome)| outcome.is_ok()) {
        *outcome = Err(match &refused {
            Ok(text) => Refusal::Panicked(text.clone()),
            Err(cause) => Refusal::Append(AppendError::Poisoned(Arc::clone(cause))),
        });
    }
    left
}

/// Answers everybody, after a sync if that is what the log promises.
fn answer(writer: &mut Writer, durability: Durability, batch: &mut Vec<Written>) {
    let wanted = durability.is_acknowledged() && batch.iter().any(|(_, outcome)| outcome.is_ok());
    let synced = if wanted { writer.sync() } else { Ok(()) };
    for (accepted, outcome) in batch.drain(..) {
        accepted.answer(match (&synced, outcome) {
            (Ok(()), Ok(receipt)) => Ok(Receipt { durable: wanted, ..receipt }),
            (Err(SyncError::Poisoned(cause)), Ok(_)) => {
                Err(Refusal::Append(AppendError::NotDurable(Arc::clone(cause))))
            }
            (Err(_), Ok(_)) => Err(Refusal::Append(AppendError::Forked)),
            (_, Err(refusal)) => Err(refusal),
        });
    }
}

/// Puts one submission into the frame, whole or not at all.
fn put(transaction: &mut Transaction<'_>, accepted: &Accepted) -> Result<Receipt, Refusal> {
    let point = transaction.savepoint();
    let first = transaction.next_sequence();
    let done = catch_unwind(AssertUnwindSafe(|| accepted.put(transaction)));
    let refusal = match done {
        Ok(Ok(())) => {
            let events = transaction.end_submission(&point);
            return Ok(Receipt { first, events, durable: false });
        }
        Ok(Err(error)) => Refusal::Append(error),
        Err(panic) => Refusal::Panicked(message(&*panic)),
    };
    transaction.roll_back(&point);
    Err(refusal)
}
