//! Following the log: three views, each with a cursor on a thread of its own, and all of them
//! again from the beginning.

use std::thread::JoinHandle;
use std::time::Duration;

use factlog::{Log, Start, WaitStrategy, Waited};

use super::Failure;
use super::events::{FlightFact, fact};
use super::views::{AircraftPlaces, AirportBoard, CarrierDelays, Fact};

/// A read model folded from facts.
pub(crate) trait View: Default + Send + 'static {
    fn apply(&mut self, fact: &Fact<'_>);
}

impl View for AirportBoard {
    fn apply(&mut self, fact: &Fact<'_>) {
        Self::apply(self, fact);
    }
}

impl View for CarrierDelays {
    fn apply(&mut self, fact: &Fact<'_>) {
        Self::apply(self, fact);
    }
}

impl View for AircraftPlaces {
    fn apply(&mut self, fact: &Fact<'_>) {
        Self::apply(self, fact);
    }
}

/// All views together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Views {
    pub(crate) airports: AirportBoard,
    pub(crate) carriers: CarrierDelays,
    pub(crate) aircraft: AircraftPlaces,
}

impl View for Views {
    fn apply(&mut self, fact: &Fact<'_>) {
        self.airports.apply(fact);
        self.carriers.apply(fact);
        self.aircraft.apply(fact);
    }
}

/// Three views being folded on three threads.
pub(crate) struct Followers {
    airports: JoinHandle<Result<AirportBoard, Failure>>,
    carriers: JoinHandle<Result<CarrierDelays, Failure>>,
    aircraft: JoinHandle<Result<AircraftPlaces, Failure>>,
}

impl Followers {
    /// Begins to follow, until `events` have been seen.
    pub(crate) fn start(log: &Log, events: u64) -> Self {
        Self {
            airports: spawn(log.clone(), events),
            carriers: spawn(log.clone(), events),
            aircraft: spawn(log.clone(), events),
        }
    }

    /// What they came to.
    pub(crate) fn join(self) -> Result<Views, Failure> {
        Ok(Views {
            airports: joined(self.airports)?,
            carriers: joined(self.carriers)?,
            aircraft: joined(self.aircraft)?,
        })
    }
}

fn spawn<V: View>(log: Log, events: u64) -> JoinHandle<Result<V, Failure>> {
    std::thread::spawn(move || fold(&log, events))
}

fn joined<V>(thread: JoinHandle<Result<V, Failure>>) -> Result<V, Failure> {
    match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Folds the first `events` of the log, waiting for those that are not there yet.
pub(crate) fn fold<V: View>(log: &Log, events: u64) -> Result<V, Failure> {
    let mut view = V::default();
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut seen = 0;
    while seen < events {
        for event in cursor.poll()? {
            let event = event?;
            if let Some(known) = event.view::<FlightFact>()? {
                view.apply(&fact(&known));
            }
            seen += 1;
        }
        if seen < events
            && cursor.wait(WaitStrategy::Yield, Duration::from_secs(1)) == Waited::Closed
        {
            return Err(Failure::Ended { seen, wanted: events });
        }
    }
    Ok(view)
}
