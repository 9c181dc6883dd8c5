//! What the code under test is about to do, counted, and made to fail.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What the code under test is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// Make a file.
    Create,
    /// Set a file's length, or give it room.
    Allocate,
    /// Write with a system call.
    Write,
    /// Sync a file.
    Sync,
    /// Sync the names of a directory.
    SyncDirectory,
    /// Rename a file or directory.
    Rename,
    /// Remove a file or directory.
    Remove,
    /// Give a file another name.
    Link,
    /// Make a directory.
    MakeDirectory,
}

impl Operation {
    const COUNT: usize = Self::MakeDirectory as usize + 1;
}

/// An operation that is to fail: the n-th of all, or of one kind, and perhaps all after it.
///
/// # Example
///
/// ```
/// use factlog_simdisk::{Fault, Operation};
/// use std::io::ErrorKind;
///
/// // The second sync, and every one after it.
/// let fault = Fault::at(2, ErrorKind::Other).only(Operation::Sync).sticky();
/// # let _ = fault;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    at: u64,
    only: Option<Operation>,
    error: io::ErrorKind,
    sticky: bool,
}

impl Fault {
    /// Operation number `number` fails in this way. Numbers begin at 1, when the disk was made; 0
    /// is none.
    pub const fn at(number: u64, error: io::ErrorKind) -> Self {
        Self { at: number, only: None, error, sticky: false }
    }

    /// Only operations of this kind are counted for it, and fail.
    pub const fn only(self, kind: Operation) -> Self {
        Self { only: Some(kind), ..self }
    }

    /// Those after it fail as well.
    pub const fn sticky(self) -> Self {
        Self { sticky: true, ..self }
    }
}

/// What is inside of the error that a [`Fault`] makes: tells it from errors of the real system.
///
/// # Example
///
/// ```
/// use factlog_simdisk::InjectedFault;
///
/// fn is_injected(error: &std::io::Error) -> bool {
///     error.get_ref().is_some_and(|inner| inner.is::<InjectedFault>())
/// }
/// # assert!(!is_injected(&std::io::Error::other("x")));
/// ```
#[derive(Debug, Clone)]
pub struct InjectedFault {
    kind: Operation,
    path: PathBuf,
    number: u64,
}

impl InjectedFault {
    /// What failed.
    pub fn kind(&self) -> Operation {
        self.kind
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its number among all operations, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Display for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, path, number } = self;
        write!(f, "injected fault: operation {number}, {kind:?} of {}", path.display())
    }
}

impl Error for InjectedFault {}

/// Counts of operations, and the one that is to fail.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    counts: [u64; Operation::COUNT],
    fault: Option<Fault>,
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    pub(crate) fn all(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(crate) fn of(&self, kind: Operation) -> u64 {
        self.counts[kind as usize]
    }

    pub(crate) fn count(&mut self, kind: Operation, path: &Path) -> io::Result<()> {
        self.counts[kind as usize] += 1;
        let number = self.all();
        let Some(fault) = self.fault else { return Ok(()) };
        let at = match fault.only {
            None => number,
            Some(only) if only == kind => self.of(kind),
            Some(_) => return Ok(()),
        };
        let due = fault.at != 0 && if fault.sticky { at >= fault.at } else { at == fault.at };
        if due {
            let inner = InjectedFault { kind, path: path.to_path_buf(), number };
            return Err(io::Error::new(fault.error, inner));
        }
        Ok(())
    }
}
