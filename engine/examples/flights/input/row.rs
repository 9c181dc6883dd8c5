//! From the fields of a row to a flight and what became of it.

use jiff::Timestamp;

use super::lines::Fields;
use super::problem::Problem;
use super::reason::{Column, Excerpt, Reason};
use super::short::Short;
use super::zones::{Airport, AirportCode, Reading, Zones};
use super::{Flight, StepKind};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// The fact that a flight is planned comes this long before its scheduled departure.
const ANNOUNCED_BEFORE: i64 = 24 * HOUR;

/// Delays in minutes that are believed: later than the announcement, and within two weeks.
const DELAYS: std::ops::RangeInclusive<i64> = -(ANNOUNCED_BEFORE / MINUTE) + 1..=14 * 24 * 60;

/// Scheduled departures that are believed: 1970 to 2099.
const HOURS: std::ops::Range<i64> = 0..4_102_444_800;

/// Where the needed columns are in a row.
pub(crate) struct Layout {
    places: [usize; Column::ALL.len()],
    width: usize,
}

impl Layout {
    /// Finds the columns by their names.
    pub(crate) fn from_header(header: &Fields) -> Result<Self, Problem> {
        let mut places = [0; Column::ALL.len()];
        let mut missing = Vec::new();
        for (column, place) in Column::ALL.into_iter().zip(&mut places) {
            let is_it = |name: &str| name.trim_ascii() == column.name();
            let mut found =
                header.iter().enumerate().filter(|(_, name)| is_it(name)).map(|(index, _)| index);
            match (found.next(), found.next()) {
                (Some(index), None) => *place = index,
                (None, _) => missing.push(column),
                (Some(_), Some(_)) => return Err(Problem::RepeatedColumn(column)),
            }
        }
        if missing.is_empty() {
            Ok(Self { places, width: header.len() })
        } else {
            Err(Problem::MissingColumns(missing))
        }
    }

    /// Takes fields for a row, if there are as many as in the header.
    pub(crate) fn row<'a>(&'a self, fields: &'a Fields) -> Result<Row<'a>, Reason> {
        if fields.len() == self.width {
            Ok(Row { fields, layout: self })
        } else {
            Err(Reason::ColumnCount { expected: self.width, found: fields.len() })
        }
    }
}

/// A row of the right width; nothing else about it has been checked.
pub(crate) struct Row<'a> {
    fields: &'a Fields,
    layout: &'a Layout,
}

/// A flight, and its facts with the instants at which they became true.
pub(crate) struct Story {
    /// The flight.
    pub(crate) flight: Flight,
    /// Two or three facts, in order of time.
    pub(crate) facts: [Option<(i64, StepKind)>; 3],
}

impl Row<'_> {
    /// Checks everything and finds out what happened.
    pub(crate) fn story(&self, zones: &mut Zones) -> Result<Story, Reason> {
        let (flight, dest) = self.flight(zones)?;
        let planned = flight.scheduled_departure;
        let scheduled = Some((planned - ANNOUNCED_BEFORE, StepKind::Scheduled));
        let departed_at_clock = self.optional_reading(Column::DepTime)?;
        let arrived_at_clock = self.optional_reading(Column::ArrTime)?;
        if departed_at_clock.is_none() {
            return match arrived_at_clock {
                Some(_) => Err(Reason::ArrivedWithoutDeparture),
                None => {
                    let facts = [scheduled, Some((planned, StepKind::Cancelled)), None];
                    Ok(Story { flight, facts })
                }
            };
        }
        let delay_minutes = self.delay()?;
        let departure = planned + i64::from(delay_minutes) * MINUTE;
        let end = match arrived_at_clock {
            Some(reading) => {
                let arrival = zones.first_after(dest, departure, reading);
                (arrival.ok_or_else(|| self.out_of_range(Column::ArrTime))?, StepKind::Arrived)
            }
            // It left so late that the planned arrival had passed: it was diverted after that.
            None if flight.scheduled_arrival <= departure => {
                (departure + MINUTE, StepKind::Diverted)
            }
            None => (flight.scheduled_arrival, StepKind::Diverted),
        };
        let departed = Some((departure, StepKind::Departed { delay_minutes }));
        Ok(Story { flight, facts: [scheduled, departed, Some(end)] })
    }

    /// The flight as planned, and where its destination is in the list of airports.
    fn flight(&self, zones: &mut Zones) -> Result<(Flight, Airport), Reason> {
        let carrier = self.code(Column::Carrier, self.required(Column::Carrier)?)?;
        let number = self.whole_number(Column::Flight)?;
        let number = u32::try_from(number).map_err(|_| self.out_of_range(Column::Flight))?;
        let tail = match self.optional(Column::TailNum) {
            Some(tail) => Some(self.code(Column::TailNum, tail)?),
            None => None,
        };
        let (origin, _) = self.airport(Column::Origin, zones)?;
        let (dest, place) = self.airport(Column::Dest, zones)?;
        let scheduled_departure = self.scheduled_departure()?;
        let reading = self.reading(Column::SchedArrTime, self.required(Column::SchedArrTime)?)?;
        let scheduled_arrival = zones
            .first_after(place, scheduled_departure, reading)
            .ok_or_else(|| self.out_of_range(Column::SchedArrTime))?;
        let flight =
            Flight { carrier, number, tail, origin, dest, scheduled_departure, scheduled_arrival };
        Ok((flight, place))
    }

    fn scheduled_departure(&self) -> Result<i64, Reason> {
        let text = self.required(Column::TimeHour)?;
        let not_an_hour = || Reason::NotAnHour(Excerpt::of(text));
        let hour: Timestamp = text.parse().map_err(|_| not_an_hour())?;
        if hour.subsec_nanosecond() != 0 || hour.as_second() % HOUR != 0 {
            return Err(not_an_hour());
        }
        if !HOURS.contains(&hour.as_second()) {
            return Err(self.out_of_range(Column::TimeHour));
        }
        let minute = self.whole_number(Column::Minute)?;
        if !(0..60).contains(&minute) {
            return Err(self.out_of_range(Column::Minute));
        }
        Ok(hour.as_second() + minute * MINUTE)
    }

    fn delay(&self) -> Result<i32, Reason> {
        if self.optional(Column::DepDelay).is_none() {
            return Err(Reason::DepartedWithoutDelay);
        }
        let minutes = self.whole_number(Column::DepDelay)?;
        let believed = Some(minutes).filter(|minutes| DELAYS.contains(minutes));
        believed
            .and_then(|minutes| i32::try_from(minutes).ok())
            .ok_or_else(|| self.out_of_range(Column::DepDelay))
    }

    fn airport(&self, column: Column, zones: &Zones) -> Result<(AirportCode, Airport), Reason> {
        let text = self.required(column)?;
        let known = Short::new(text).and_then(|code| Some((code, zones.airport(code)?)));
        known.ok_or_else(|| Reason::UnknownAirport(column, Excerpt::of(text)))
    }

    fn code<const N: usize>(&self, column: Column, text: &str) -> Result<Short<N>, Reason> {
        let proper = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        Short::new(text)
            .filter(|_| proper)
            .ok_or_else(|| Reason::NotACode(column, Excerpt::of(text)))
    }

    fn optional_reading(&self, column: Column) -> Result<Option<Reading>, Reason> {
        self.optional(column).map(|text| self.reading(column, text)).transpose()
    }

    fn reading(&self, column: Column, text: &str) -> Result<Reading, Reason> {
        let digits = self.whole_number(column)?;
        u32::try_from(digits)
            .ok()
            .and_then(Reading::from_hhmm)
            .ok_or_else(|| Reason::NotAClockTime(column, Excerpt::of(text)))
    }

    /// A whole number. Some tools write those of a column with gaps as `517.0`.
    fn whole_number(&self, column: Column) -> Result<i64, Reason> {
        let text = self.required(column)?;
        let digits = match text.split_once('.') {
            Some((digits, zeros)) if zeros.bytes().all(|byte| byte == b'0') => digits,
            _ => text,
        };
        digits.parse().map_err(|_| Reason::NotANumber(column, Excerpt::of(text)))
    }

    fn required(&self, column: Column) -> Result<&str, Reason> {
        self.optional(column).ok_or(Reason::Missing(column))
    }

    /// The field, if it is not missing.
    fn optional(&self, column: Column) -> Option<&str> {
        let place = self.layout.places.get(column as usize)?;
        self.fields.get(*place).filter(|text| !text.is_empty() && *text != "NA")
    }

    fn out_of_range(&self, column: Column) -> Reason {
        Reason::OutOfRange(column, Excerpt::of(self.optional(column).unwrap_or_default()))
    }
}
