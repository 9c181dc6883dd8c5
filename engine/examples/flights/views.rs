//! What can be read off the facts: three views, each a pure fold, and the totals of all.
//!
//! A view has no clock, no randomness and no order but that of its keys, so that folding the same
//! facts twice gives equal values. That is how the example shows that replay is faithful.

use std::collections::{BTreeMap, VecDeque};

/// A fact about one flight, as the views take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact<'a> {
    /// When it became true: seconds since the Unix epoch.
    pub(crate) at: i64,
    /// The carrier's code.
    pub(crate) carrier: &'a str,
    /// The carrier's number for the flight.
    pub(crate) number: u32,
    /// The aircraft, if it is known.
    pub(crate) tail: Option<&'a str>,
    /// Where the flight leaves.
    pub(crate) origin: &'a str,
    /// Where it goes.
    pub(crate) dest: &'a str,
    /// What happened.
    pub(crate) kind: FactKind,
}

/// What happened to a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactKind {
    /// It was planned.
    Scheduled,
    /// It left.
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

/// How many of its latest movements an airport shows.
pub(crate) const RECENT: usize = 8;

/// What an airport shows. Plans, departures and cancellations count where the flight leaves,
/// arrivals and diversions where it goes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct AirportBoard {
    /// By airport code.
    pub(crate) airports: BTreeMap<String, AirportLine>,
}

/// One airport's part of the board.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct AirportLine {
    /// Flights planned from here.
    pub(crate) scheduled: u64,
    /// Flights that left here.
    pub(crate) departed: u64,
    /// Flights that arrived here.
    pub(crate) arrived: u64,
    /// Flights that should have left here and did not.
    pub(crate) cancelled: u64,
    /// Flights that should have come here and went elsewhere.
    pub(crate) diverted: u64,
    /// The latest movements, oldest first, at most [`RECENT`].
    pub(crate) recent: VecDeque<Movement>,
}

/// A line of the board: all but plans.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Movement {
    /// Seconds since the Unix epoch.
    pub(crate) at: i64,
    /// The carrier's code.
    pub(crate) carrier: String,
    /// The carrier's number for the flight.
    pub(crate) number: u32,
    /// What happened.
    pub(crate) what: What,
}

/// What moved, or failed to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Left from here.
    #[default]
    Departed,
    /// Arrived here.
    Arrived,
    /// Did not leave.
    Cancelled,
    /// Did not come.
    Diverted,
}

impl AirportBoard {
    /// Takes in one fact.
    pub(crate) fn apply(&mut self, fact: &Fact<'_>) {
        let airport = match fact.kind {
            FactKind::Scheduled | FactKind::Departed { .. } | FactKind::Cancelled => fact.origin,
            FactKind::Arrived | FactKind::Diverted => fact.dest,
        };
        update(&mut self.airports, airport, |line| line.take_in(fact));
    }
}

impl AirportLine {
    fn take_in(&mut self, fact: &Fact<'_>) {
        let (count, what) = match fact.kind {
            FactKind::Scheduled => {
                self.scheduled += 1;
                return;
            }
            FactKind::Departed { .. } => (&mut self.departed, What::Departed),
            FactKind::Arrived => (&mut self.arrived, What::Arrived),
            FactKind::Cancelled => (&mut self.cancelled, What::Cancelled),
            FactKind::Diverted => (&mut self.diverted, What::Diverted),
        };
        *count += 1;
        self.show(fact, what);
    }

    fn show(&mut self, fact: &Fact<'_>, what: What) {
        // The line that scrolls off lends its memory to the new one.
        let oldest = if self.recent.len() < RECENT { None } else { self.recent.pop_front() };
        let mut carrier = oldest.unwrap_or_default().carrier;
        rewrite(&mut carrier, fact.carrier);
        self.recent.push_back(Movement { at: fact.at, carrier, number: fact.number, what });
    }
}

/// A departure with a delay of more minutes than this is late.
pub(crate) const LATE_MINUTES: i32 = 15;

/// How punctual carriers are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CarrierDelays {
    /// By carrier code.
    pub(crate) carriers: BTreeMap<String, CarrierLine>,
}

/// How punctual one carrier is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CarrierLine {
    /// Flights that left.
    pub(crate) departed: u64,
    /// The sum of their delays, early ones negative.
    pub(crate) delay_minutes: i64,
    /// Those late by more than [`LATE_MINUTES`].
    pub(crate) late: u64,
    /// The longest delay; the first of equals.
    pub(crate) worst: Option<WorstDelay>,
    /// Flights that never left.
    pub(crate) cancelled: u64,
}

/// A carrier's longest delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorstDelay {
    /// How long it was.
    pub(crate) minutes: i32,
    /// The carrier's number for the flight.
    pub(crate) number: u32,
    /// When it left: seconds since the Unix epoch.
    pub(crate) at: i64,
}

impl CarrierDelays {
    /// Takes in one fact.
    pub(crate) fn apply(&mut self, fact: &Fact<'_>) {
        match fact.kind {
            FactKind::Departed { delay_minutes } => {
                update(&mut self.carriers, fact.carrier, |line| line.depart(fact, delay_minutes));
            }
            FactKind::Cancelled => {
                update(&mut self.carriers, fact.carrier, |line| line.cancelled += 1);
            }
            FactKind::Scheduled | FactKind::Arrived | FactKind::Diverted => {}
        }
    }
}

impl CarrierLine {
    fn depart(&mut self, fact: &Fact<'_>, minutes: i32) {
        self.departed += 1;
        self.delay_minutes += i64::from(minutes);
        self.late += u64::from(minutes > LATE_MINUTES);
        if self.worst.is_none_or(|worst| worst.minutes < minutes) {
            self.worst = Some(WorstDelay { minutes, number: fact.number, at: fact.at });
        }
    }
}

/// Where aircraft are. Flights without a tail number leave no trace here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct AircraftPlaces {
    /// By tail number: every aircraft that was ever planned for a flight.
    pub(crate) aircraft: BTreeMap<String, Aircraft>,
}

/// Where one aircraft is, and how much it flew.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Aircraft {
    /// What it does.
    pub(crate) place: Place,
    /// Where its latest leg began; empty before the first.
    pub(crate) from: String,
    /// Where its latest leg goes, or went; empty before the first.
    pub(crate) to: String,
    /// Since when: seconds since the Unix epoch; 0 before the first leg.
    pub(crate) since: i64,
    /// Legs that ended at their destination.
    pub(crate) legs: u32,
    /// Minutes in the air on those legs.
    pub(crate) minutes_in_air: i64,
}

/// What an aircraft does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is planned for a flight, and has not been seen yet.
    #[default]
    NotSeen,
    /// It is in the air between `from` and `to`.
    InTheAir,
    /// It is on the ground at `to`.
    Landed,
    /// It left `from` and is somewhere else than at `to`.
    Diverted,
}

impl AircraftPlaces {
    /// Takes in one fact.
    pub(crate) fn apply(&mut self, fact: &Fact<'_>) {
        if let Some(tail) = fact.tail {
            update(&mut self.aircraft, tail, |aircraft| aircraft.take_in(fact));
        }
    }
}

impl Aircraft {
    fn take_in(&mut self, fact: &Fact<'_>) {
        match fact.kind {
            // That it is planned makes it known; where it is, is not yet.
            FactKind::Scheduled | FactKind::Cancelled => {}
            FactKind::Departed { .. } => self.go(fact, Place::InTheAir),
            FactKind::Diverted => self.go(fact, Place::Diverted),
            FactKind::Arrived => {
                self.legs += 1;
                // An aircraft that left twice before it arrived: its time in the air is unknown.
                let was_on_it = self.place == Place::InTheAir
                    && self.from == fact.origin
                    && self.to == fact.dest;
                if was_on_it {
                    self.minutes_in_air += (fact.at - self.since) / 60;
                }
                self.go(fact, Place::Landed);
            }
        }
    }

    fn go(&mut self, fact: &Fact<'_>, place: Place) {
        self.place = place;
        self.since = fact.at;
        rewrite(&mut self.from, fact.origin);
        rewrite(&mut self.to, fact.dest);
    }
}

/// Sums over all views.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Flights in all: each is planned once.
    pub(crate) flights: u64,
    /// Facts that a flight is planned.
    pub(crate) scheduled: u64,
    /// Facts that a flight left.
    pub(crate) departed: u64,
    /// Facts that a flight reached its destination.
    pub(crate) arrived: u64,
    /// Facts that a flight never left.
    pub(crate) cancelled: u64,
    /// Facts that a flight went elsewhere.
    pub(crate) diverted: u64,
    /// Different tail numbers.
    pub(crate) aircraft: u64,
    /// Departures by origin, for every airport from which flights were planned.
    pub(crate) departed_by_airport: BTreeMap<String, u64>,
    /// Cancellations by origin, for the same airports.
    pub(crate) cancelled_by_airport: BTreeMap<String, u64>,
    /// The sum of all delays, early departures negative.
    pub(crate) departure_delay_minutes: i64,
}

impl Totals {
    /// Adds up the three views.
    pub(crate) fn of(
        airports: &AirportBoard,
        carriers: &CarrierDelays,
        aircraft: &AircraftPlaces,
    ) -> Self {
        let mut totals = Self { aircraft: aircraft.aircraft.len() as u64, ..Self::default() };
        for (code, line) in &airports.airports {
            totals.scheduled += line.scheduled;
            totals.departed += line.departed;
            totals.arrived += line.arrived;
            totals.cancelled += line.cancelled;
            totals.diverted += line.diverted;
            if line.scheduled > 0 {
                totals.departed_by_airport.insert(code.clone(), line.departed);
                totals.cancelled_by_airport.insert(code.clone(), line.cancelled);
            }
        }
        totals.flights = totals.scheduled;
        totals.departure_delay_minutes =
            carriers.carriers.values().map(|line| line.delay_minutes).sum();
        totals
    }
}

/// Changes the value of a key, which begins as the default one. A key that is there already is
/// neither copied nor looked for twice.
fn update<V: Default>(map: &mut BTreeMap<String, V>, key: &str, change: impl FnOnce(&mut V)) {
    match map.get_mut(key) {
        Some(value) => change(value),
        None => {
            let mut value = V::default();
            change(&mut value);
            map.insert(key.to_owned(), value);
        }
    }
}

/// Replaces a text in its own memory.
fn rewrite(text: &mut String, by: &str) {
    text.clear();
    text.push_str(by);
}
