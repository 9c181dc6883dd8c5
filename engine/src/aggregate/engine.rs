//! An engine that runs: closing it, and what it began with.

use std::fmt;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::builder::EngineBuilder;
use super::client::Client;
use crate::image::{Restart, Snapshot};
use crate::log::{IoError, RetainError, Retained, Retention, SyncError, Writer};
use crate::sync::Arc;

/// Aggregates over a log: one thread decides for all of them.
///
/// Dropping it ends the thread once everything that was taken is decided; [`Engine::close`] makes
/// it durable as well.
pub struct Engine {
    pub(super) client: Client,
    pub(super) restart: Restart,
    pub(super) snapshot: Option<Arc<Snapshot>>,
    pub(super) thread: Option<JoinHandle<Writer>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("log", &self.client.log.directory()).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over the log in `directory`, which is made if it is not there.
    pub fn open(directory: impl Into<PathBuf>) -> EngineBuilder {
        EngineBuilder::new(directory.into())
    }

    /// What it began with: which snapshot, which ones would not do, how much was folded.
    pub fn restart(&self) -> &Restart {
        &self.restart
    }

    /// Blocks of the snapshot that it began with which were found to be damaged so far. Each is
    /// verified when it is first touched; instances that stand in a damaged one are folded from the
    /// log instead.
    pub fn damaged_blocks(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.damaged())
    }

    /// A handle to send commands with, for any thread.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Drops whole segments from the front of the log that `retention` does not keep, while commands
    /// go on.
    ///
    /// The engine holds what it needs to start again: what follows the oldest of the snapshots that it
    /// keeps (see [`Snapshots::keep`](crate::Snapshots::keep)), in which idempotency keys stand too.
    /// Without a snapshot nothing is dropped, nor while the newest one leaves out instances that are
    /// suspended: [`Retained::held`] says from where on it is held.
    ///
    /// # Errors
    ///
    /// Nothing was dropped, and the log is as it was.
    pub fn retain(&self, retention: &Retention) -> Result<Retained, RetainError> {
        let log = &self.client.log;
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        if ended && !log.is_forked() {
            // With the writer its lock is gone: somebody else may write by now.
            let error = std::io::Error::other("the thread of the engine has ended");
            let error = IoError::new("drop segments of", log.directory(), error);
            return Err(RetainError::Io(Arc::new(error)));
        }
        log.retain(retention)
    }

    /// Takes nothing any more, decides what was taken, makes it durable, and closes the log.
    ///
    /// # Errors
    ///
    /// Not everything may be durable, or it could not be noted.
    pub fn close(mut self) -> Result<(), SyncError> {
        if self.client.log.is_forked() {
            self.thread = None;
            return Err(SyncError::Forked);
        }
        match self.end() {
            Some(writer) => writer.close(),
            None => Err(SyncError::ThreadPanicked),
        }
    }

    fn end(&mut self) -> Option<Writer> {
        if self.client.log.is_forked() {
            // The thread does not exist here: nobody would end.
            self.thread = None;
            return None;
        }
        self.client.queue.close();
        self.thread.take()?.join().ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.end());
    }
}

impl std::ops::Deref for Engine {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
