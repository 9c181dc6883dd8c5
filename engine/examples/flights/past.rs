//! Questions about the past: the board as it was, and what made a flight late.

use std::fmt::Write;

use factlog::{EventRef, History, Key, Log, Sequence, Start, State};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::args::{Args, FlightName};
use super::events::{FlightFact, FlightFactView, fact};
use super::failure::Failure;
use super::views::{AirportBoard, FactKind, LATE_MINUTES, What};

/// How many facts back it is followed what led to what.
const CHAIN: usize = 32;

/// Answers what was asked for.
pub(crate) fn answer(log: &Log, args: &Args) -> Result<String, Failure> {
    let mut page = String::new();
    if let Some(time) = args.at {
        board(log, time, &mut page)?;
    }
    if let Some(name) = &args.why {
        why(log, name, &mut page)?;
    }
    Ok(page)
}

/// The board as it was at `time`, by the time that stands in the facts, in which they are ordered.
fn board(log: &Log, time: i64, page: &mut String) -> Result<(), Failure> {
    let behind = log.partition_point(|event| {
        let view = event.view::<FlightFact>().ok()??;
        Some(fact(&view).at <= time)
    })?;
    let mut board = AirportBoard::default();
    let mut cursor = log.cursor(Start::Oldest)?;
    while let Some(event) = cursor.next_event()?.filter(|event| event.sequence() < behind) {
        if let Some(view) = event.view::<FlightFact>()? {
            board.apply(&fact(&view));
        }
    }
    // Writing to a string does not fail.
    let _ = writeln!(page, "the board at {}, after {} facts:", shown(time), behind.before());
    for (code, line) in board.airports.iter().filter(|(_, line)| line.scheduled > 0) {
        let in_all = (line.departed, line.cancelled, line.scheduled);
        let (departed, cancelled, scheduled) = in_all;
        let _ = writeln!(
            page,
            "{code}: {departed} of {scheduled} planned departures have left, {cancelled} were cancelled"
        );
        for movement in line.recent.iter().rev() {
            let what = match movement.what {
                What::Departed => "left",
                What::Arrived => "arrived",
                What::Cancelled => "was cancelled",
                What::Diverted => "went elsewhere",
            };
            let (carrier, number) = (&movement.carrier, movement.number);
            let _ = writeln!(page, "  {}  {carrier}{number} {what}", shown(movement.at));
        }
    }
    Ok(())
}

/// What is known of one flight.
#[derive(Debug, Default)]
struct Flying {
    /// When it should arrive.
    arrival: i64,
    /// By how many minutes it left late.
    delay: i32,
    /// When it arrived.
    arrived: Option<i64>,
}

impl Flying {
    fn is_late(&self) -> bool {
        self.delay > LATE_MINUTES
    }

    /// By how many minutes it arrived late.
    fn late_arrival(&self) -> i64 {
        self.arrived.map_or(0, |at| (at - self.arrival) / 60)
    }
}

impl State for Flying {
    const NAME: &'static str = "flight";
    type Key = String;
    type Event = FlightFact;

    fn evolve(&mut self, event: FlightFactView<'_>) {
        match event {
            FlightFactView::Scheduled(scheduled) => self.arrival = scheduled.arrival(),
            FlightFactView::Departed(departed) => self.delay = departed.delay_minutes(),
            FlightFactView::Arrived(arrived) => self.arrived = Some(arrived.at()),
            FlightFactView::Cancelled(_) | FlightFactView::Diverted(_) => {}
        }
    }
}

/// The key of the flight's stream.
fn key(event: &EventRef<'_>) -> Option<String> {
    match event.stream()?.key() {
        Key::Text(key) => Some(key.to_string()),
        _ => None,
    }
}

/// The flight that is meant: its key, and the day on which it was to leave. Among those of that name it
/// is the one that left latest.
fn find(log: &Log, name: &FlightName) -> Result<(String, Date), Failure> {
    let mut found: Option<(String, Date)> = None;
    let mut most = i32::MIN;
    let mut cursor = log.cursor(Start::Oldest)?;
    while let Some(event) = cursor.next_event()? {
        let Some(FlightFactView::Departed(departed)) = event.view::<FlightFact>()? else {
            continue;
        };
        let (flight, delay) = (departed.flight(), departed.delay_minutes());
        let planned = instant(departed.at() - i64::from(delay) * 60).date();
        let meant = flight.carrier() == name.carrier
            && flight.number() == name.number
            && name.day.is_none_or(|day| planned == day);
        if meant && (found.is_none() || most < delay) {
            most = delay;
            found = key(&event).map(|key| (key, planned));
        }
    }
    let FlightName { carrier, number, day } = name;
    let missing = || Failure::NotLeft { flight: format!("{carrier}{number}"), day: *day };
    found.ok_or_else(missing)
}

/// What made a flight late: the fact after which it was, and what had led to that, fact by fact.
fn why(log: &Log, name: &FlightName, page: &mut String) -> Result<(), Failure> {
    let (key, day) = find(log, name)?;
    let flight = format!("{}{} of {day}", name.carrier, name.number);
    let mut history = History::of(log).state::<Flying>().open();
    let Some(turned) = history.why::<Flying>(&key, Flying::is_late)? else {
        let _ = writeln!(page, "{flight} was not late");
        return Ok(());
    };
    let _ = writeln!(page, "why {flight} was late:");
    let mut next = Some(turned.sequence);
    for number in 0..CHAIN {
        let Some(sequence) = next else { break };
        let (line, of, cause) = log.with_event(sequence, |event| {
            Ok::<_, Failure>((line(&event)?, key_of(&event), event.cause().ok().flatten()))
        })??;
        let past = history.state::<Flying>(&of, sequence)?.state;
        let late = match (past.arrived, past.delay) {
            (Some(_), _) => past.late_arrival(),
            (None, delay) => i64::from(delay),
        };
        let late = if late > 0 { format!(", {late} minutes late") } else { String::new() };
        let lead = if number == 0 { "" } else { "because " };
        let _ = writeln!(page, "  {lead}{line}{late}");
        next = cause.filter(|cause| *cause != Sequence::ZERO && leads_on(log, *cause));
    }
    Ok(())
}

fn key_of(event: &EventRef<'_>) -> String {
    key(event).unwrap_or_default()
}

/// Whether a fact explains anything: that a flight was planned makes none late.
fn leads_on(log: &Log, sequence: Sequence) -> bool {
    let planned = log.with_event(sequence, |event| {
        matches!(event.view::<FlightFact>(), Ok(Some(FlightFactView::Scheduled(_))))
    });
    planned.is_ok_and(|planned| !planned)
}

/// A fact in words.
fn line(event: &EventRef<'_>) -> Result<String, Failure> {
    let Some(view) = event.view::<FlightFact>()? else { return Ok("?".to_owned()) };
    let fact = fact(&view);
    let what = match fact.kind {
        FactKind::Scheduled => format!("was planned from {} to {}", fact.origin, fact.dest),
        FactKind::Departed { .. } => format!("left {} for {}", fact.origin, fact.dest),
        FactKind::Arrived => format!("arrived in {}", fact.dest),
        FactKind::Cancelled => format!("was cancelled in {}", fact.origin),
        FactKind::Diverted => format!("did not come to {}", fact.dest),
    };
    let (carrier, number, tail) = (fact.carrier, fact.number, fact.tail.unwrap_or("?"));
    Ok(format!("{carrier}{number} (aircraft {tail}) {what} at {}", shown(fact.at)))
}

fn instant(at: i64) -> jiff::Zoned {
    Timestamp::from_second(at).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// A time as people read it.
fn shown(at: i64) -> String {
    instant(at).strftime("%Y-%m-%d %H:%M UTC").to_string()
}
