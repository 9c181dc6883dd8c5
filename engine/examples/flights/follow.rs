//! Following the log: three views, each with a cursor on a thread of its own, and all of them
//! again from the beginning. Cursors sleep while nothing comes.

use std::thread::JoinHandle;
use std::time::Duration;

use factlog::{Clock, Log, Sequence, Start, SystemClock, WaitStrategy, Waited};

use super::events::{FlightFact, fact};
use super::failure::Failure;
use super::latency::{Histogram, Latency};
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
    airports: JoinHandle<Result<(AirportBoard, Option<Latency>), Failure>>,
    carriers: JoinHandle<Result<CarrierDelays, Failure>>,
    aircraft: JoinHandle<Result<AircraftPlaces, Failure>>,
}

impl Followers {
    /// Begins to follow, until `events` have been seen. The first `have` of them are old.
    pub(crate) fn start(log: &Log, events: u64, have: u64) -> Self {
        let board = log.clone();
        let board = move || {
            let mut clock = SystemClock;
            let mut latencies = Histogram::default();
            let view = fold(&board, events, |sequence, committed| {
                if sequence.get() > have {
                    latencies.record(clock.now().saturating_sub(committed));
                }
            })?;
            Ok((view, latencies.latency()))
        };
        Self {
            airports: std::thread::spawn(board),
            carriers: spawn(log.clone(), events),
            aircraft: spawn(log.clone(), events),
        }
    }

    /// What they came to, and how long events took from their commit until the board had them.
    pub(crate) fn join(self) -> Result<(Views, Option<Latency>), Failure> {
        let (airports, latency) = joined(self.airports)?;
        let (carriers, aircraft) = (joined(self.carriers)?, joined(self.aircraft)?);
        Ok((Views { airports, carriers, aircraft }, latency))
    }
}

fn spawn<V: View>(log: Log, events: u64) -> JoinHandle<Result<V, Failure>> {
    std::thread::spawn(move || fold(&log, events, |_, _| {}))
}

fn joined<V>(thread: JoinHandle<Result<V, Failure>>) -> Result<V, Failure> {
    match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Folds the first `events` of the log, asleep while there is nothing new. `seen` is told of each
/// event that was folded: its sequence, and when it was committed.
pub(crate) fn fold<V: View>(
    log: &Log,
    events: u64,
    mut seen: impl FnMut(Sequence, u64),
) -> Result<V, Failure> {
    let mut view = V::default();
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut count = 0;
    while count < events {
        for event in cursor.poll()? {
            let event = event?;
            if let Some(known) = event.view::<FlightFact>()? {
                view.apply(&fact(&known));
            }
            seen(event.sequence(), event.ts());
            count += 1;
        }
        if count < events
            && cursor.wait(WaitStrategy::Park, Duration::from_secs(1)) == Waited::Closed
        {
            return Err(Failure::Ended { seen: count, wanted: events });
        }
    }
    Ok(view)
}
