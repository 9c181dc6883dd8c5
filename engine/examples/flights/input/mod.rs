//! The flights of a table, and what happened to them in order of its own time.
//!
//! - [`decode`] unpacks a file; it lends a text to read.
//! - [`lines`] takes the text apart; it lends lines and their fields.
//! - [`zones`] knows the clocks of airports; it lends the instant of a reading.
//! - [`row`] makes a flight and its facts of the fields of one line.
//! - [`reason`] and [`problem`] say what is wrong with a row, and with a file.
//! - [`short`] keeps codes in place.

pub(crate) mod decode;
pub(crate) mod lines;
pub(crate) mod problem;
pub(crate) mod reason;
mod row;
pub(crate) mod short;
pub(crate) mod zones;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

pub(crate) use problem::{InputError, Problem, Table};
pub(crate) use reason::{BadLine, Reason};

use decode::{Packing, Unpacked, unpack};
use lines::{Fields, LineError, Lines};
use row::{Layout, Story};
use short::Short;
use zones::{AirportCode, Zones};

/// The most rows that are read from one table: they are all kept, at some 150 bytes each.
pub(crate) const MAX_ROWS: u64 = 10_000_000;

/// How many bad lines are kept with their reasons; all are counted.
pub(crate) const MAX_BAD_KEPT: usize = 1000;

const ROWS_PER_REPORT: u64 = 1 << 16;

const JANUARY: &[u8] = include_bytes!("../data/flights-2013-01.csv.zst");

/// One fact of a flight, at its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Seconds since the Unix epoch.
    pub(crate) at: i64,
    /// Which flight: an index into [`Input::flights`].
    pub(crate) row: u32,
    /// What happened.
    pub(crate) kind: StepKind,
}

/// What happened to a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// It was planned.
    Scheduled,
    /// It left its origin.
    Departed {
        /// Against the plan; negative if it was early.
        delay_minutes: i32,
    },
    /// It reached its destination.
    Arrived,
    /// It never left.
    Cancelled,
    /// It left, but did not reach its destination.
    Diverted,
}

impl StepKind {
    /// Of facts at the same instant, plans come first, then departures, then ends.
    fn rank(self) -> u8 {
        match self {
            Self::Scheduled => 0,
            Self::Departed { .. } => 1,
            Self::Arrived | Self::Cancelled | Self::Diverted => 2,
        }
    }
}

/// A flight as it was planned. Instants are seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    /// The carrier's code.
    pub(crate) carrier: Short<3>,
    /// The carrier's number for it.
    pub(crate) number: u32,
    /// The aircraft, if it is known.
    pub(crate) tail: Option<Short<8>>,
    /// Where it leaves.
    pub(crate) origin: AirportCode,
    /// Where it goes.
    pub(crate) dest: AirportCode,
    /// When it should leave.
    pub(crate) scheduled_departure: i64,
    /// When it should arrive.
    pub(crate) scheduled_arrival: i64,
}

/// All that was read from a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// The flights of the good rows, in the order of the table.
    pub(crate) flights: Vec<Flight>,
    /// Their facts, in order of time; at the same instant by kind, then by flight.
    pub(crate) steps: Vec<Step>,
    /// The first bad rows, at most [`MAX_BAD_KEPT`].
    pub(crate) bad: Vec<BadLine>,
    /// The number of bad rows.
    pub(crate) bad_count: u64,
}

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Rows read, good and bad.
    pub(crate) rows: u64,
    /// Bytes taken from the file, as packed.
    pub(crate) bytes: u64,
    /// Bytes in the file, if that is known.
    pub(crate) bytes_total: Option<u64>,
}

/// The flights of January 2013, which are part of the program.
pub(crate) fn january() -> Result<Input, InputError> {
    from_reader(JANUARY, MAX_ROWS, &mut |_, _| ())
        .map_err(|problem| InputError { table: Table::January, problem })
}

/// The flights of a file; `progress` is told now and then, and at the end.
pub(crate) fn from_file(
    path: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Input, InputError> {
    open(path)
        .and_then(|(file, bytes_total)| {
            from_reader(file, MAX_ROWS, &mut |rows, bytes| {
                progress(Progress { rows, bytes, bytes_total })
            })
        })
        .map_err(|problem| InputError { table: Table::File(path.to_owned()), problem })
}

/// Opens a file and tells its length, if it has one.
fn open(path: &Path) -> Result<(File, Option<u64>), Problem> {
    // Asked before opening: some systems open directories, and fail to read them.
    let metadata = fs::metadata(path).map_err(not_opened)?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    let file = File::open(path).map_err(not_opened)?;
    Ok((file, metadata.is_file().then_some(metadata.len())))
}

fn not_opened(error: io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::NotFound,
        _ => Problem::Open(error),
    }
}

/// The flights of anything that can be read, if it has at most `max_rows`; `progress` is given
/// rows and packed bytes.
pub(crate) fn from_reader(
    source: impl Read,
    max_rows: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Input, Problem> {
    let mut zones = Zones::embedded().map_err(|bad| Problem::Airports { line: bad.line })?;
    let Unpacked { packing, text, taken } =
        unpack(source).map_err(|source| Problem::Read { line: 0, source })?;
    let mut lines = Lines::new(text);
    let mut fields = Fields::default();
    let layout = match lines.advance() {
        Ok(true) => header(lines.current(), &mut fields)?,
        Ok(false) => return Err(Problem::Empty),
        Err(LineError::TooLong) if as_text(lines.current()).is_none() => {
            return Err(Problem::Binary);
        }
        Err(error) => return Err(no_line(error, packing, lines.number())),
    };
    let mut input = Input::default();
    let mut rows = 0;
    while lines.advance().map_err(|error| no_line(error, packing, lines.number()))? {
        if rows == max_rows {
            return Err(Problem::TooManyRows { most: max_rows });
        }
        rows += 1;
        match story(lines.current(), &mut fields, &layout, &mut zones) {
            Ok(story) => input.push(story),
            Err(reason) => input.push_bad(BadLine { line: lines.number(), reason }),
        }
        if rows % ROWS_PER_REPORT == 0 {
            progress(rows, taken.get());
        }
    }
    progress(rows, taken.get());
    // No two steps are equal in all three: a flight has at most one fact of each rank.
    input.steps.sort_unstable_by_key(|step| (step.at, step.kind.rank(), step.row));
    Ok(input)
}

fn header(line: &[u8], fields: &mut Fields) -> Result<Layout, Problem> {
    let line = as_text(line).ok_or(Problem::Binary)?;
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    // Open quotes leave the fields before them: what is missing is then named.
    let _ = fields.split(line);
    Layout::from_header(fields)
}

/// The text of a first line, unless it shows that the file is not text at all. A line cut off at
/// its greatest length may end within a character.
fn as_text(line: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => return None,
        Err(error) => std::str::from_utf8(line.get(..error.valid_up_to())?).ok()?,
    };
    (!text.contains('\0')).then_some(text)
}

fn story(
    line: &[u8],
    fields: &mut Fields,
    layout: &Layout,
    zones: &mut Zones,
) -> Result<Story, Reason> {
    fields.split(std::str::from_utf8(line).map_err(|_| Reason::NotUtf8)?)?;
    layout.row(fields)?.story(zones)
}

fn no_line(error: LineError, packing: Packing, line: u64) -> Problem {
    match error {
        LineError::TooLong => Problem::LineTooLong { line },
        LineError::Io(source) => match source.kind() {
            _ if packing == Packing::Plain => Problem::Read { line, source },
            ErrorKind::UnexpectedEof => Problem::Truncated { packing, line },
            ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                Problem::Damaged { packing, line, source }
            }
            _ => Problem::Read { line, source },
        },
    }
}

impl Input {
    fn push(&mut self, story: Story) {
        // `MAX_ROWS` is far below what the number of a row holds.
        let row = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        self.flights.push(story.flight);
        let facts = story.facts.into_iter().flatten();
        self.steps.extend(facts.map(|(at, kind)| Step { at, row, kind }));
    }

    fn push_bad(&mut self, bad: BadLine) {
        self.bad_count += 1;
        if self.bad.len() < MAX_BAD_KEPT {
            self.bad.push(bad);
        }
    }
}
