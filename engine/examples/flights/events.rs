//! The facts of a flight, as they stand in the log.

use factlog::{StreamKey, StreamKeyError};

use super::input::{Flight, Step, StepKind};
use super::views::{Fact, FactKind};

/// Which flight: every fact says so itself, so that a reader of one fact needs no other.
#[factlog::value]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightId {
    pub(crate) carrier: String,
    pub(crate) number: u32,
    pub(crate) origin: String,
    pub(crate) dest: String,
    pub(crate) tail: Option<String>,
}

impl FlightId {
    /// Which flight of the input.
    pub(crate) fn of(flight: &Flight) -> Self {
        Self {
            carrier: flight.carrier.as_str().into(),
            number: flight.number,
            origin: flight.origin.as_str().into(),
            dest: flight.dest.as_str().into(),
            tail: flight.tail.as_ref().map(|tail| tail.as_str().into()),
        }
    }
}

/// A flight was put on the timetable.
#[factlog::event(name = "flight-scheduled", version = 1)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightScheduled {
    pub(crate) at: i64,
    pub(crate) flight: FlightId,
    pub(crate) departure: i64,
    pub(crate) arrival: i64,
}

/// A flight left.
#[factlog::event(name = "flight-departed", version = 1)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightDeparted {
    pub(crate) at: i64,
    pub(crate) flight: FlightId,
    pub(crate) delay_minutes: i32,
}

/// A flight came to where it was bound for.
#[factlog::event(name = "flight-arrived", version = 1)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightArrived {
    pub(crate) at: i64,
    pub(crate) flight: FlightId,
}

/// A flight did not leave.
#[factlog::event(name = "flight-cancelled", version = 1)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightCancelled {
    pub(crate) at: i64,
    pub(crate) flight: FlightId,
}

/// A flight left, and did not come to where it was bound for.
#[factlog::event(name = "flight-diverted", version = 1)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FlightDiverted {
    pub(crate) at: i64,
    pub(crate) flight: FlightId,
}

/// All that this program writes and reads.
#[factlog::vocabulary]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FlightFact {
    Scheduled(FlightScheduled),
    Departed(FlightDeparted),
    Arrived(FlightArrived),
    Cancelled(FlightCancelled),
    Diverted(FlightDiverted),
}

impl FlightFact {
    /// The fact that a step of the input says.
    pub(crate) fn of(step: &Step, flight: &Flight) -> Self {
        let (at, id) = (step.at, FlightId::of(flight));
        match step.kind {
            StepKind::Scheduled => Self::Scheduled(FlightScheduled {
                at,
                flight: id,
                departure: flight.scheduled_departure,
                arrival: flight.scheduled_arrival,
            }),
            StepKind::Departed { delay_minutes } => {
                Self::Departed(FlightDeparted { at, flight: id, delay_minutes })
            }
            StepKind::Arrived => Self::Arrived(FlightArrived { at, flight: id }),
            StepKind::Cancelled => Self::Cancelled(FlightCancelled { at, flight: id }),
            StepKind::Diverted => Self::Diverted(FlightDiverted { at, flight: id }),
        }
    }
}

/// What tells a flight from all others: carrier, number, origin and scheduled departure.
pub(crate) fn key_of(flight: &Flight) -> String {
    let (carrier, number) = (flight.carrier.as_str(), flight.number);
    let (origin, departure) = (flight.origin.as_str(), flight.scheduled_departure);
    format!("{carrier}{number}/{origin}/{departure}")
}

/// The stream of one flight.
pub(crate) fn stream_of(flight: &Flight) -> Result<StreamKey, StreamKeyError> {
    StreamKey::new("flight", key_of(flight))
}

/// What a view folds, from what the log gives.
pub(crate) fn fact<'a>(view: &FlightFactView<'a>) -> Fact<'a> {
    let (at, flight, kind) = match view {
        FlightFactView::Scheduled(event) => (event.at(), event.flight(), FactKind::Scheduled),
        FlightFactView::Departed(event) => {
            let kind = FactKind::Departed { delay_minutes: event.delay_minutes() };
            (event.at(), event.flight(), kind)
        }
        FlightFactView::Arrived(event) => (event.at(), event.flight(), FactKind::Arrived),
        FlightFactView::Cancelled(event) => (event.at(), event.flight(), FactKind::Cancelled),
        FlightFactView::Diverted(event) => (event.at(), event.flight(), FactKind::Diverted),
    };
    Fact {
        at,
        carrier: flight.carrier(),
        number: flight.number(),
        tail: flight.tail(),
        origin: flight.origin(),
        dest: flight.dest(),
        kind,
    }
}
