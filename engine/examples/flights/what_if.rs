//! What if one flight had been cancelled? The log is forked before it left, and what followed is appended
//! to the fork again, without what its aircraft could not have flown from where it was left.
//!
//! An aircraft that is not there is missed until it is needed where it stands: a flight from another
//! airport cannot leave, nor arrive, and the first one from its own is flown as it was. A table of flights
//! that leave one city does not have those that bring aircraft back; they are missed unseen.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;

use factlog::{Event, Fact, Log, Options, Sequence, Start, Turn, WhatIf, WhatIfError};
use serde_json::{Value, json};

use super::events::{FlightCancelled, FlightDeparted, FlightFact, FlightFactView, FlightId};
use super::failure::Failure;
use super::follow::{Views, fold};
use super::report::grouped;
use super::views::AirportLine;

/// How many of the missed flights the page shows.
const SHOWN: usize = 12;

/// What would have been different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The flight that is cancelled, as its stream names it.
    pub(crate) flight: String,
    /// Its aircraft.
    pub(crate) tail: String,
    /// Where that stays.
    pub(crate) place: String,
    /// What it would have flown, and could not.
    pub(crate) flights: Vec<Leg>,
    /// The first that it flies again.
    pub(crate) back: Option<Leg>,
    /// Facts of the log, facts of the fork.
    pub(crate) events: (u64, u64),
    /// Departures, arrivals and cancellations that an airport has more or less, where it has.
    pub(crate) airports: BTreeMap<String, [i64; 3]>,
}

/// A flight of the aircraft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leg {
    pub(crate) carrier: String,
    pub(crate) number: u32,
    pub(crate) origin: String,
    pub(crate) dest: String,
    /// When it left: seconds since the Unix epoch.
    pub(crate) at: i64,
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { carrier, number, origin, dest, at } = self;
        write!(f, "{carrier}{number} {origin}-{dest}")?;
        match jiff::Timestamp::from_second(*at) {
            Ok(at) => write!(f, ", {}", at.strftime("%d %b %H:%M UTC")),
            Err(_) => Ok(()),
        }
    }
}

impl Leg {
    fn of(departed: &FlightDeparted) -> Self {
        let FlightId { carrier, number, origin, dest, .. } = departed.flight.clone();
        Self { carrier, number, origin, dest, at: departed.at }
    }
}

/// The flight that is to be cancelled.
struct Chosen {
    sequence: Sequence,
    stream: String,
    departed: FlightDeparted,
    tail: String,
}

/// Cancels a flight in a fork of `log`, which is made in `folder` and goes with it, and says what is
/// different then. `views` are those of the log.
pub(crate) fn cancel(
    log: &Log,
    flight: &str,
    folder: &Path,
    views: &Views,
) -> Result<Missed, Failure> {
    let chosen = find(log, flight)?;
    let place = chosen.departed.flight.origin.clone();
    let options = Options::new().spare_segments(1).prefault(0);
    let mut what_if = WhatIf::before(log, chosen.sequence, folder.join("what-if"), options)?;
    let (mut missed, mut back) = (Vec::new(), None);
    let mut trouble = None;
    what_if.rerun(|fact| {
        turn(fact, &chosen, (&mut missed, &mut back)).unwrap_or_else(|error| {
            trouble.get_or_insert(error);
            Turn::Keep
        })
    })?;
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    let events = (log.visible().0.get(), what_if.log().visible().0.get());
    let there: Views = fold(&what_if.log(), events.1, |_, _| {})?;
    what_if.close()?;
    Ok(Missed {
        flight: chosen.stream,
        tail: chosen.tail,
        place,
        flights: missed,
        back,
        events,
        airports: differences(views, &there),
    })
}

/// What becomes of a fact when the chosen flight is cancelled.
fn turn(
    fact: &Fact<'_>,
    chosen: &Chosen,
    (missed, back): (&mut Vec<Leg>, &mut Option<Leg>),
) -> Result<Turn, Failure> {
    let Some(view) = fact.view::<FlightFact>()? else { return Ok(Turn::Keep) };
    let own = fact.stream().is_some_and(|stream| stream.key().to_string() == chosen.stream);
    let departed = match (&view, own) {
        (FlightFactView::Departed(departed), true) => {
            let FlightDeparted { at, flight, .. } = FlightDeparted::owned(departed);
            let instead = Turn::replace(&FlightCancelled { at, flight });
            return instead.map_err(|error| Failure::Submit(error.to_string()));
        }
        // It came nowhere.
        (_, true) => return Ok(Turn::Skip),
        (FlightFactView::Departed(departed), false) => departed,
        // What followed from a departure that was not is not either.
        (_, false) => return Ok(Turn::with_its_cause(fact)),
    };
    if back.is_some() || departed.flight().tail() != Some(&*chosen.tail) {
        return Ok(Turn::Keep);
    }
    let leg = Leg::of(&FlightDeparted::owned(departed));
    if leg.origin == chosen.departed.flight.origin {
        *back = Some(leg);
        return Ok(Turn::Keep);
    }
    missed.push(leg);
    Ok(Turn::Skip)
}

/// The first flight of that name that left: carrier and number, and further what its stream is called by.
fn find(log: &Log, wanted: &str) -> Result<Chosen, Failure> {
    let last = log.visible().0;
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut next = Sequence::FIRST;
    while next <= last {
        for event in cursor.poll()? {
            let event = event?;
            next = event.sequence().after(1);
            let Some(stream) = event.stream().map(|stream| stream.key().to_string()) else {
                continue;
            };
            let rest = stream.strip_prefix(wanted);
            if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                continue;
            }
            if let Some(FlightFactView::Departed(departed)) = event.view::<FlightFact>()? {
                let (sequence, departed) = (event.sequence(), FlightDeparted::owned(departed));
                let Some(tail) = departed.flight.tail.clone() else {
                    return Err(Failure::NoAircraft(stream));
                };
                return Ok(Chosen { sequence, stream, departed, tail });
            }
        }
    }
    Err(Failure::NoFlight(wanted.to_owned()))
}

/// What airports have more or less than in the log.
fn differences(log: &Views, fork: &Views) -> BTreeMap<String, [i64; 3]> {
    let none = AirportLine::default();
    let (log, fork) = (&log.airports.airports, &fork.airports.airports);
    let counts = |line: &AirportLine| [line.departed, line.arrived, line.cancelled];
    let names = log.keys().chain(fork.keys().filter(|name| !log.contains_key(*name)));
    let differing = names.filter_map(|name| {
        let (had, has) = (log.get(name).unwrap_or(&none), fork.get(name).unwrap_or(&none));
        let (had, has) = (counts(had), counts(has));
        let by = [0, 1, 2].map(|at: usize| has[at] as i64 - had[at] as i64);
        (by != [0; 3]).then(|| (name.clone(), by))
    });
    differing.collect()
}

impl Missed {
    pub(crate) fn to_json(&self) -> String {
        let leg = |leg: &Leg| {
            let Leg { carrier, number, origin, dest, at } = leg;
            json!({"carrier": carrier, "number": number, "origin": origin, "dest": dest, "at": at})
        };
        let missed: Vec<Value> = self.flights.iter().map(leg).collect();
        json!({
            "cancelled": self.flight,
            "aircraft": self.tail,
            "left_at": self.place,
            "missed": missed,
            "flies_again": self.back.as_ref().map(leg),
            "events": self.events.0,
            "events_then": self.events.1,
            "airports": self.airports,
        })
        .to_string()
    }

    pub(crate) fn to_page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        let Self { flight, tail, place, .. } = self;
        writeln!(page, "If {flight} had been cancelled, {tail} would have stayed at {place}.\n")?;
        match self.flights.len() {
            0 => writeln!(page, "It would have missed nothing.")?,
            1 => writeln!(page, "It would have missed 1 flight:")?,
            count => writeln!(page, "It would have missed {count} flights:")?,
        }
        for leg in self.flights.iter().take(SHOWN) {
            writeln!(page, "  {leg}")?;
        }
        if self.flights.len() > SHOWN {
            writeln!(page, "  and {} more", self.flights.len() - SHOWN)?;
        }
        match &self.back {
            Some(leg) => writeln!(page, "The first that it flies again: {leg}.")?,
            None => writeln!(page, "It does not fly again.")?,
        }
        writeln!(
            page,
            "\n{:<10}{:>12}{:>12}{:>12}",
            "airport", "departed", "arrived", "cancelled"
        )?;
        for (airport, [departed, arrived, cancelled]) in &self.airports {
            writeln!(page, "{airport:<10}{departed:>+12}{arrived:>+12}{cancelled:>+12}")?;
        }
        let (had, has) = (grouped(self.events.0), grouped(self.events.1));
        writeln!(page, "\n{had} facts in the log, as they were; {has} in its fork")
    }
}

impl From<WhatIfError> for Failure {
    fn from(error: WhatIfError) -> Self {
        Self::WhatIf(Box::new(error))
    }
}
