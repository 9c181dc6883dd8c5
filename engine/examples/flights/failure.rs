//! What can end the program early, and the exit code that says so.

use std::fmt;
use std::path::PathBuf;

use factlog::{
    AppendError, Damage, HistoryError, IoError, OpenError, ReadError, SeekError, Sequence,
    StreamKeyError, SyncError, ViewError, WhatIfError,
};

use jiff::civil::Date;

use super::input::InputError;

/// Why the program ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    Input(InputError),
    Temporary(std::io::Error),
    /// The answer cannot be printed.
    Output(std::io::Error),
    Open(OpenError),
    Damaged(Box<Damage>),
    /// The log was made from another table: where they part.
    OtherTable {
        directory: PathBuf,
        sequence: Sequence,
    },
    Append(AppendError),
    /// A submission was not taken, or not answered: why.
    Submit(String),
    Io(IoError),
    Sync(SyncError),
    Seek(SeekError),
    Read(ReadError),
    View(ViewError),
    Stream(StreamKeyError),
    /// The log ended before a view had seen all of it.
    Ended {
        seen: u64,
        wanted: u64,
    },
    /// No flight of that name has left.
    NoFlight(String),
    /// No flight of that name has left that was to leave on that day, if one was given.
    NotLeft {
        flight: String,
        day: Option<Date>,
    },
    /// Nobody knows which aircraft flew it.
    NoAircraft(String),
    WhatIf(Box<WhatIfError>),
    /// What was folded while appending is not what the log says.
    Different,
    /// The past cannot be told.
    Past(HistoryError),
}

impl Failure {
    /// 2: the input is at fault; 3: the log is damaged; 1: anything else.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::OtherTable { .. } | Self::NoFlight(_) | Self::NoAircraft(_) => 2,
            Self::NotLeft { .. } => 2,
            Self::Damaged(_) | Self::Open(OpenError::Damaged(_)) => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(error) => error.fmt(f),
            Self::Temporary(error) => write!(f, "cannot make a temporary directory: {error}"),
            Self::Output(error) => write!(f, "cannot print: {error}"),
            Self::Open(error) => error.fmt(f),
            Self::Damaged(damage) => damage.fmt(f),
            Self::OtherTable { directory, sequence } => write!(
                f,
                "the log in {} was made from another table: event {sequence} is not what this \
                 table says; give the same --data again, or another --dir",
                directory.display()
            ),
            Self::Append(error) => error.fmt(f),
            Self::Submit(why) => f.write_str(why),
            Self::Io(error) => error.fmt(f),
            Self::Sync(error) => error.fmt(f),
            Self::Seek(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::View(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
            Self::Ended { seen, wanted } => {
                write!(f, "the log ended after {seen} events, of {wanted}")
            }
            Self::NoFlight(flight) => write!(
                f,
                "no flight {} has left: it is carrier and number, UA1545, and if there are several \
                 origin and planned departure, UA1545/EWR/1357035300",
                flight.escape_debug()
            ),
            Self::NotLeft { flight, day: None } => write!(f, "no flight {flight} has left"),
            Self::NotLeft { flight, day: Some(day) } => {
                write!(f, "no flight {flight} has left that was to leave on {day} (UTC)")
            }
            Self::NoAircraft(flight) => {
                write!(f, "the table does not say which aircraft flew {flight}")
            }
            Self::WhatIf(error) => error.fmt(f),
            Self::Past(error) => error.fmt(f),
            Self::Different => {
                write!(f, "the views that were folded live differ from those of the log")
            }
        }
    }
}

impl std::error::Error for Failure {}

macro_rules! from {
    ($($variant:ident($error:ty)),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}
from!(
    Input(InputError),
    Open(OpenError),
    Io(IoError),
    Sync(SyncError),
    Seek(SeekError),
    Read(ReadError),
    View(ViewError),
    Past(HistoryError)
);
