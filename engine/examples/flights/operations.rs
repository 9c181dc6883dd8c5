//! The other way in: nobody writes facts here. The table's steps come as commands, and two
//! aggregates decide which of them can be: a flight on its own course, and on its aircraft.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use factlog::{
    Aggregate, CommandError, Context, Engine, Events, IdempotencyWindow, Options, Pending, State,
    StoredState,
};

use super::events::{
    FlightArrived, FlightCancelled, FlightDeparted, FlightDiverted, FlightFact, FlightFactView,
    FlightId, FlightScheduled, key_of,
};
use super::failure::Failure;
use super::input::{Flight, Input, Step, StepKind};
use super::report::Decided;

/// Commands that wait for their answer.
const OUTSTANDING: usize = 1_024;
/// How long a full queue is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a step of the table wants: that this becomes a fact.
#[factlog::event(name = "record-step", version = 1)]
pub(crate) struct RecordStep {
    at: i64,
    flight: FlightId,
    departure: i64,
    arrival: i64,
    what: Wanted,
}

impl RecordStep {
    /// The command that a step of the input is.
    fn of(step: &Step, flight: &Flight) -> Self {
        let what = match step.kind {
            StepKind::Scheduled => Wanted::Schedule,
            StepKind::Departed { delay_minutes } => Wanted::Depart { delay_minutes },
            StepKind::Arrived => Wanted::Arrive,
            StepKind::Cancelled => Wanted::Cancel,
            StepKind::Diverted => Wanted::Divert,
        };
        let (departure, arrival) = (flight.scheduled_departure, flight.scheduled_arrival);
        Self { at: step.at, flight: FlightId::of(flight), departure, arrival, what }
    }
}

/// What is wanted.
#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Schedule,
    Depart { delay_minutes: i32 },
    Arrive,
    Cancel,
    Divert,
}

/// Why it cannot be.
#[factlog::value]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Impossible {
    ScheduledTwice,
    NotScheduled,
    Cancelled,
    DepartedTwice,
    NotDeparted,
    ArrivedBeforeDeparture,
    AlreadyOver,
    AircraftInTheAir,
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScheduledTwice => "scheduled-twice",
            Self::NotScheduled => "not-scheduled",
            Self::Cancelled => "cancelled",
            Self::DepartedTwice => "departed-twice",
            Self::NotDeparted => "not-departed",
            Self::ArrivedBeforeDeparture => "arrived-before-departure",
            Self::AlreadyOver => "already-over",
            Self::AircraftInTheAir => "aircraft-in-the-air",
        })
    }
}

/// Where a flight is on its course.
#[factlog::value]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    #[default]
    Unknown,
    Scheduled,
    InTheAir {
        since: i64,
    },
    Cancelled,
    Over,
}

/// A flight: what has become of it.
#[factlog::value]
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlightState {
    course: Course,
}

impl State for FlightState {
    const NAME: &'static str = "flight";
    type Key = String;
    type Event = FlightFact;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, fact: FlightFactView<'_>) {
        self.course = match fact {
            FlightFactView::Scheduled(_) => Course::Scheduled,
            FlightFactView::Departed(departed) => Course::InTheAir { since: departed.at() },
            FlightFactView::Cancelled(_) => Course::Cancelled,
            FlightFactView::Arrived(_) | FlightFactView::Diverted(_) => Course::Over,
        };
    }
}

/// An aircraft, by its tail number: on which flight it is.
#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct AircraftState {
    in_the_air: bool,
    departures: u32,
}

impl State for AircraftState {
    const NAME: &'static str = "aircraft";
    type Key = String;
    type Event = FlightFact;
    const STORED: Option<StoredState<Self>> = StoredState::new(1);

    fn evolve(&mut self, fact: FlightFactView<'_>) {
        match fact {
            FlightFactView::Departed(_) => {
                self.in_the_air = true;
                self.departures += 1;
            }
            FlightFactView::Arrived(_) | FlightFactView::Diverted(_) => self.in_the_air = false,
            FlightFactView::Scheduled(_) | FlightFactView::Cancelled(_) => {}
        }
    }
}

impl Aggregate for FlightState {
    type Command = RecordStep;
    type Reply = ();
    type Rejection = Impossible;

    fn decide(
        &self,
        step: &RecordStep,
        context: &mut Context<'_, Self>,
    ) -> Result<Events<FlightFact>, Impossible> {
        let (at, flight) = (step.at, step.flight.clone());
        let tail = flight.tail.clone();
        let fact = match (step.what, self.course) {
            (Wanted::Schedule, Course::Unknown) => {
                let RecordStep { departure, arrival, .. } = *step;
                return Ok(Events::one(FlightScheduled { at, flight, departure, arrival }));
            }
            (Wanted::Schedule, _) => return Err(Impossible::ScheduledTwice),
            (_, Course::Unknown) => return Err(Impossible::NotScheduled),
            (_, Course::Cancelled) => return Err(Impossible::Cancelled),
            (_, Course::Over) => return Err(Impossible::AlreadyOver),
            (Wanted::Depart { delay_minutes }, Course::Scheduled) => {
                // The aircraft is decided on in the same step: nobody else can take it meanwhile.
                if let Some(tail) = &tail
                    && context.state::<AircraftState>(tail).in_the_air
                {
                    return Err(Impossible::AircraftInTheAir);
                }
                Events::one(FlightDeparted { at, flight, delay_minutes })
            }
            (Wanted::Depart { .. }, Course::InTheAir { .. }) => {
                return Err(Impossible::DepartedTwice);
            }
            (Wanted::Cancel, Course::Scheduled) => {
                return Ok(Events::one(FlightCancelled { at, flight }));
            }
            (Wanted::Cancel, Course::InTheAir { .. }) => return Err(Impossible::AlreadyOver),
            (_, Course::Scheduled) => return Err(Impossible::NotDeparted),
            (Wanted::Arrive, Course::InTheAir { since }) if at <= since => {
                return Err(Impossible::ArrivedBeforeDeparture);
            }
            (Wanted::Arrive, Course::InTheAir { .. }) => Events::one(FlightArrived { at, flight }),
            (Wanted::Divert, Course::InTheAir { .. }) => Events::one(FlightDiverted { at, flight }),
        };
        Ok(match tail {
            Some(tail) => fact.also_of::<AircraftState>(tail),
            None => fact,
        })
    }
}

/// Aircraft take no commands of their own: flights move them.
impl Aggregate for AircraftState {
    type Command = RecordStep;
    type Reply = ();
    type Rejection = Impossible;

    fn decide(
        &self,
        _: &RecordStep,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<FlightFact>, Impossible> {
        Err(Impossible::NotScheduled)
    }
}

/// Sends every step of the table as a command, and counts what becomes of them. Each has its key: what
/// was decided in an earlier run is answered as it was then.
pub(crate) fn decide_all(input: &Input, directory: &Path) -> Result<Decided, Failure> {
    let engine = Engine::open(directory)
        .options(Options::new())
        .idempotency(IdempotencyWindow { keys: usize::MAX, age: Duration::MAX })
        .aggregate::<FlightState>()
        .aggregate::<AircraftState>()
        .start()
        .map_err(|error| Failure::Submit(error.to_string()))?;
    let began = Instant::now();
    let mut counts = Counts::default();
    let mut waiting: VecDeque<Pending<FlightState>> = VecDeque::with_capacity(OUTSTANDING);
    for (number, step) in input.steps.iter().enumerate() {
        if waiting.len() == OUTSTANDING
            && let Some(oldest) = waiting.pop_front()
        {
            counts.take(oldest)?;
        }
        let flight = &input.flights[step.row as usize];
        let sent = engine
            .command::<FlightState>(key_of(flight), RecordStep::of(step, flight))
            .idempotency_key((number as u64).to_le_bytes())
            .send_within(PATIENCE);
        waiting.push_back(sent.map_err(|error| Failure::Submit(error.to_string()))?);
    }
    for last in waiting {
        counts.take(last)?;
    }
    let took = began.elapsed();
    engine.close()?;
    let Counts { accepted, rejected } = counts;
    let commands = input.steps.len() as f64;
    Ok(Decided { accepted, rejected, per_second: commands / took.as_secs_f64().max(1e-9) })
}

#[derive(Default)]
struct Counts {
    accepted: u64,
    rejected: BTreeMap<String, u64>,
}

impl Counts {
    fn take(&mut self, sent: Pending<FlightState>) -> Result<(), Failure> {
        match sent.wait() {
            Ok(_) => self.accepted += 1,
            Err(CommandError::Rejected { reason, .. }) => {
                *self.rejected.entry(reason.to_string()).or_default() += 1;
            }
            Err(other) => return Err(Failure::Submit(other.to_string())),
        }
        Ok(())
    }
}
