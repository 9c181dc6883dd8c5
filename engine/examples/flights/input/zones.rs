//! Clocks on the walls of airports.
//!
//! The table gives arrivals as the destination's local time without a date. The question is
//! always: when, after some instant, does the clock there first read so? Between two changes of
//! an offset that is plain arithmetic, so each airport remembers the stretch without a change that
//! it looked at last. Only within two days of a change are the calendar and its rules asked.

use std::collections::BTreeMap;

use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};

use super::short::Short;

const DAY: i64 = 24 * 60 * 60;
/// How far from a change plain arithmetic is trusted. A gap moves a reading by its width only.
const MARGIN: i64 = 2 * DAY;

const AIRPORTS: &str = include_str!("../data/airports.csv");

/// The code of an airport, such as `JFK`.
pub(crate) type AirportCode = Short<3>;

/// A place in the list of airports that [`Zones`] knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Airport(usize);

/// What a clock shows: a minute of the day, from 0 to 1439.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading(u16);

impl Reading {
    /// From digits as the table has them: 517 is 05:17, and 2400 is midnight, as 0 is.
    pub(crate) fn from_hhmm(digits: u32) -> Option<Self> {
        let (hour, minute) = (digits / 100, digits % 100);
        let within = minute < 60 && (hour < 24 || digits == 2400);
        let minutes = u16::try_from(hour % 24 * 60 + minute).ok()?;
        within.then_some(Self(minutes))
    }

    fn seconds(self) -> i64 {
        i64::from(self.0) * 60
    }
}

/// Why the embedded list of airports is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadAirports {
    /// The line of the list.
    pub(crate) line: usize,
}

/// The time zones of all known airports.
pub(crate) struct Zones {
    by_code: BTreeMap<AirportCode, Airport>,
    clocks: Vec<Clock>,
}

impl Zones {
    /// Those of the list that is part of the program, with the rules that are part of it too.
    pub(crate) fn embedded() -> Result<Self, BadAirports> {
        let rules = TimeZoneDatabase::bundled();
        let mut zones = Self { by_code: BTreeMap::new(), clocks: Vec::new() };
        for (index, line) in AIRPORTS.lines().enumerate().skip(1) {
            let (code, zone) = line
                .split_once(',')
                .and_then(|(code, zone)| Some((Short::new(code)?, rules.get(zone).ok()?)))
                .ok_or(BadAirports { line: index + 1 })?;
            zones.by_code.insert(code, Airport(zones.clocks.len()));
            zones.clocks.push(Clock { zone, steady: Steady::NOWHERE });
        }
        Ok(zones)
    }

    /// The airport with this code.
    pub(crate) fn airport(&self, code: AirportCode) -> Option<Airport> {
        self.by_code.get(&code).copied()
    }

    /// The first instant strictly after another at which the airport's clock shows a reading.
    ///
    /// A reading that comes twice in a night counts both times; one that is left out counts as
    /// the one as much later as the clock went forward. `None` only far outside the calendar.
    pub(crate) fn first_after(
        &mut self,
        airport: Airport,
        instant: i64,
        reading: Reading,
    ) -> Option<i64> {
        self.clocks.get_mut(airport.0)?.first_after(instant, reading)
    }
}

/// The clock of one airport.
struct Clock {
    zone: TimeZone,
    steady: Steady,
}

impl Clock {
    fn first_after(&mut self, instant: i64, reading: Reading) -> Option<i64> {
        if !self.steady.reaches_around(instant) {
            self.steady = Steady::around(&self.zone, instant)?;
        }
        if self.steady.reaches_around(instant) {
            Some(self.steady.first_after(instant, reading))
        } else {
            first_after_by_calendar(&self.zone, instant, reading)
        }
    }
}

/// A stretch of time in which an offset does not change.
#[derive(Debug, Clone, Copy)]
struct Steady {
    from: i64,
    until: i64,
    offset: i64,
}

impl Steady {
    /// A stretch around no instant at all.
    const NOWHERE: Self = Self { from: 0, until: 0, offset: 0 };

    fn around(zone: &TimeZone, instant: i64) -> Option<Self> {
        let at = Timestamp::from_second(instant).ok()?;
        let next = Timestamp::from_second(instant.checked_add(1)?).ok()?;
        let second = |change: Timestamp| change.as_second();
        // Both searches leave out their own instant, hence `next`.
        let from = zone.preceding(next).next().map_or(i64::MIN, |at| second(at.timestamp()));
        let until = zone.following(at).next().map_or(i64::MAX, |at| second(at.timestamp()));
        Some(Self { from, until, offset: i64::from(zone.to_offset(at).seconds()) })
    }

    fn reaches_around(&self, instant: i64) -> bool {
        self.from <= instant.saturating_sub(MARGIN) && instant.saturating_add(MARGIN) < self.until
    }

    fn first_after(&self, instant: i64, reading: Reading) -> i64 {
        let now = (instant + self.offset).rem_euclid(DAY);
        let ahead = (reading.seconds() - now).rem_euclid(DAY);
        instant + if ahead == 0 { DAY } else { ahead }
    }
}

/// The same by looking at each day around the instant. It holds near changes of the offset too.
fn first_after_by_calendar(zone: &TimeZone, instant: i64, reading: Reading) -> Option<i64> {
    let today = zone.to_datetime(Timestamp::from_second(instant).ok()?).date();
    let hour = i8::try_from(reading.0 / 60).ok()?;
    let minute = i8::try_from(reading.0 % 60).ok()?;
    let mut first: Option<i64> = None;
    // From yesterday on: a reading left out at the end of a day counts as one of the next.
    for days in -1..=2 {
        let day = today.checked_add(days.days()).ok()?;
        let at = zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0));
        let moments = match at.offset() {
            AmbiguousOffset::Fold { .. } => [at.earlier().ok()?, at.later().ok()?],
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Gap { .. } => {
                [at.compatible().ok()?; 2]
            }
        };
        for moment in moments.map(Timestamp::as_second) {
            if moment > instant && first.is_none_or(|first| moment < first) {
                first = Some(moment);
            }
        }
    }
    first
}
