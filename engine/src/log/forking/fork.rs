//! What is asked for, and what was done.

use std::path::{Path, PathBuf};

use factlog_codec::{LogId, Sequence};

use super::error::ForkError;
use super::make::Making;
use super::plan::Plan;
use crate::log::cursor::Log;

/// A fork of a log: another log, which begins with what this one has up to some event, and goes on
/// on its own. The origin is read, and never changed.
///
/// ```
/// # #[factlog::event(name = "price-set", version = 1)]
/// # pub struct PriceSet { pub cents: u64 }
/// # let folder = tempfile::tempdir()?;
/// use factlog::{Fork, Options, Sequence};
///
/// let mut writer = Options::new().segment_size(4 << 20).open(folder.path().join("shop"))?;
/// for cents in [10, 12, 99] {
///     writer.append(&PriceSet { cents })?;
/// }
/// writer.sync()?;
///
/// let there = folder.path().join("what-if");
/// let forked = Fork::of(&writer.log()).at(Sequence::new(2)).create(&there)?;
/// assert_eq!(forked.last, Sequence::new(2));
///
/// let mut other = Options::new().segment_size(4 << 20).open(&there)?;
/// other.append(&PriceSet { cents: 13 })?;
/// assert_eq!((other.log().visible().0, writer.log().visible().0), (Sequence::new(3), Sequence::new(3)));
/// assert_eq!(other.log().lineage()[0].log, writer.log_id());
/// # other.close()?;
/// # writer.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a fork is made with `create`"]
pub struct Fork {
    log: Log,
    at: Option<Sequence>,
    copies: bool,
}

/// A fork that was made. It is opened like any log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forked {
    /// Where it is.
    pub directory: PathBuf,
    /// Its identity.
    pub log: LogId,
    /// The last event that it has of its origin.
    pub last: Sequence,
    /// Segments that it shares with its origin.
    pub linked: u32,
    /// Segments that were copied: the one that is not sealed yet, and all of them where the file
    /// system has no links, or is another one.
    pub copied: u32,
    /// Bytes that were copied.
    pub copied_bytes: u64,
    /// Snapshots that it shares with its origin.
    pub snapshots: u32,
}

impl Fork {
    /// Of everything in `log` that is durable. (Of a log that was opened for reading only: of all
    /// that it has.)
    pub fn of(log: &Log) -> Self {
        Self { log: log.clone(), at: None, copies: true }
    }

    /// Up to this event. Where it is in the middle of a transaction, up to what is before that: one is
    /// taken whole or not at all, and [`Forked::last`] says how far it went.
    ///
    /// Commands that led to no event, and were written after the last event that is taken, are left
    /// out. With `Sequence::ZERO` the fork has no event at all.
    pub fn at(mut self, last: Sequence) -> Self {
        self.at = Some(last);
        self
    }

    /// Where a segment cannot be linked, there is to be no fork, and no copy: on another file system, on
    /// one that has no links.
    pub fn links_only(mut self) -> Self {
        self.copies = false;
        self
    }

    /// Makes the fork in `directory`, which is empty or missing. It is made under another name beside it,
    /// and is there when it is whole and durable: a crash leaves at most `.NAME.forking`, which is no
    /// log that anybody opens, and goes when the same is done again.
    ///
    /// Its first segment of its own is prepared when it is first opened for writing: until then it takes
    /// some pages. Named cursors are not taken along: who reads the fork is somebody else.
    ///
    /// # Errors
    ///
    /// There is no fork; see [`ForkError`].
    pub fn create(self, directory: impl AsRef<Path>) -> Result<Forked, ForkError> {
        let making = Making::begin(directory.as_ref(), self.log.shared().directory.io())?;
        let plan = Plan::make(self.log.shared(), self.at)?;
        making.make(self.log.shared(), &plan, self.copies)
    }
}
