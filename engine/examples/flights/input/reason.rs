//! What can be wrong with one row. Such a row is counted and passed over.

use std::fmt;

use super::lines::BadQuotes;
use super::short::Short;

/// A column that the reader needs; the table may have others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// Actual departure, local time.
    DepTime,
    /// Departure delay in minutes.
    DepDelay,
    /// Actual arrival, local time of the destination.
    ArrTime,
    /// Scheduled arrival, local time of the destination.
    SchedArrTime,
    /// The carrier's code.
    Carrier,
    /// The flight's number.
    Flight,
    /// The aircraft's tail number.
    TailNum,
    /// The airport of departure.
    Origin,
    /// The destination.
    Dest,
    /// The minute of the scheduled departure.
    Minute,
    /// The hour of the scheduled departure, in UTC.
    TimeHour,
}

impl Column {
    /// All of them, each at the place that its discriminant gives.
    pub(crate) const ALL: [Self; 11] = [
        Self::DepTime,
        Self::DepDelay,
        Self::ArrTime,
        Self::SchedArrTime,
        Self::Carrier,
        Self::Flight,
        Self::TailNum,
        Self::Origin,
        Self::Dest,
        Self::Minute,
        Self::TimeHour,
    ];

    /// Its name in the header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DepTime => "dep_time",
            Self::DepDelay => "dep_delay",
            Self::ArrTime => "arr_time",
            Self::SchedArrTime => "sched_arr_time",
            Self::Carrier => "carrier",
            Self::Flight => "flight",
            Self::TailNum => "tailnum",
            Self::Origin => "origin",
            Self::Dest => "dest",
            Self::Minute => "minute",
            Self::TimeHour => "time_hour",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The beginning of a field as it was read; shown with control characters escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Excerpt(Short<24>);

impl Excerpt {
    /// Of this field.
    pub(crate) fn of(field: &str) -> Self {
        Self(Short::beginning_of(field))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.as_str().escape_debug())
    }
}

/// Why a row was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The line is not UTF-8.
    NotUtf8,
    /// A quoted field does not end where a field ends.
    BadQuotes,
    /// The row has more or fewer fields than the header.
    ColumnCount {
        /// As many as the header has.
        expected: usize,
        /// As many as the row has.
        found: usize,
    },
    /// A field that every flight has is `NA` or empty.
    Missing(Column),
    /// A field should be a whole number.
    NotANumber(Column, Excerpt),
    /// A number is beyond what can be true.
    OutOfRange(Column, Excerpt),
    /// A number is not what a clock can show: `2561`.
    NotAClockTime(Column, Excerpt),
    /// `time_hour` is not a full hour in UTC.
    NotAnHour(Excerpt),
    /// A code is too long, or not made of the characters of one.
    NotACode(Column, Excerpt),
    /// The time zone of this airport is not known.
    UnknownAirport(Column, Excerpt),
    /// There is a `dep_time` but no `dep_delay`.
    DepartedWithoutDelay,
    /// There is an `arr_time` but no `dep_time`.
    ArrivedWithoutDeparture,
}

impl From<BadQuotes> for Reason {
    fn from(BadQuotes: BadQuotes) -> Self {
        Self::BadQuotes
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the line is not UTF-8"),
            Self::BadQuotes => f.write_str("a quoted field is not closed properly"),
            Self::ColumnCount { expected, found } => {
                write!(f, "{found} fields where the header has {expected}")
            }
            Self::Missing(column) => write!(f, "{column} is missing"),
            Self::NotANumber(column, field) => {
                write!(f, "{column} is not a whole number: {field}")
            }
            Self::OutOfRange(column, field) => write!(f, "{column} is out of range: {field}"),
            Self::NotAClockTime(column, field) => {
                write!(f, "{column} is not a time of day: {field}")
            }
            Self::NotAnHour(field) => {
                write!(f, "{} is not a full hour in UTC: {field}", Column::TimeHour)
            }
            Self::NotACode(column, field) => write!(f, "{column} is not a code: {field}"),
            Self::UnknownAirport(column, field) => {
                write!(f, "{column} is an airport whose time zone is not known: {field}")
            }
            Self::DepartedWithoutDelay => f.write_str("departed, but dep_delay is missing"),
            Self::ArrivedWithoutDeparture => f.write_str("arrived, but dep_time is missing"),
        }
    }
}

/// A row that was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its line in the unpacked text; the header is line 1 if no blank line precedes it.
    pub(crate) line: u64,
    /// What is wrong with it.
    pub(crate) reason: Reason,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}
