//! Does the flights example say what an aircraft would have missed, and nothing else?
//!
//! Goal: what `--what-if` says of some flights is what a walk over the table's steps says by itself, and the
//! log is byte for byte as it was.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/args.rs"]
mod args;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/events.rs"]
mod events;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/failure.rs"]
mod failure;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/follow.rs"]
mod follow;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/input/mod.rs"]
mod input;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/latency.rs"]
mod latency;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/report.rs"]
mod report;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/views.rs"]
mod views;
#[path = "../../engine/examples/flights/what_if.rs"]
mod what_if;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use events::{FlightFact, key_of, stream_of};
use factlog::{Expected, Meta, Options, Sequence, Writer};
use factlog_tests::{digest, small};
use failure::Failure;
use follow::{Views, fold};
use input::{Flight, Input, StepKind};
use what_if::{Leg, Missed, cancel};

/// The month as facts, each caused by the one of its flight before it, as the example has them.
fn append(writer: &mut Writer, input: &Input) {
    let mut before = BTreeMap::new();
    for step in &input.steps {
        let flight = &input.flights[step.row as usize];
        let stream = stream_of(flight).expect("a name");
        let mut meta = Meta::new().stream(&stream, Expected::Any);
        if let Some(cause) = before.get(&step.row) {
            meta = meta.cause(*cause);
        }
        let sequence = writer.append_with(&FlightFact::of(step, flight), meta).expect("appended");
        before.insert(step.row, sequence);
    }
}

fn leg(flight: &Flight, at: i64) -> Leg {
    Leg {
        carrier: flight.carrier.as_str().into(),
        number: flight.number,
        origin: flight.origin.as_str().into(),
        dest: flight.dest.as_str().into(),
        at,
    }
}

/// What is missed when the flight in `row` is cancelled, by the steps alone.
fn walk(input: &Input, row: u32) -> (Vec<Leg>, Option<Leg>, u64, BTreeMap<String, [i64; 3]>) {
    let chosen = &input.flights[row as usize];
    let (mut left, mut stays) = (false, true);
    let (mut missed, mut back, mut gone) = (Vec::new(), None, HashSet::new());
    let (mut events, mut airports) = (0, BTreeMap::<String, [i64; 3]>::new());
    for step in &input.steps {
        let flight = &input.flights[step.row as usize];
        let mut count = |airport: &str, at: usize, by: i64| {
            airports.entry(airport.to_owned()).or_default()[at] += by;
        };
        if step.row == row {
            match step.kind {
                StepKind::Departed { .. } => {
                    (left, events) = (true, events + 1);
                    count(flight.origin.as_str(), 0, -1);
                    count(flight.origin.as_str(), 2, 1);
                }
                StepKind::Arrived => count(flight.dest.as_str(), 1, -1),
                StepKind::Diverted => {}
                StepKind::Scheduled | StepKind::Cancelled => events += 1,
            }
            continue;
        }
        if let StepKind::Departed { .. } = step.kind
            && left
            && stays
            && flight.tail.as_ref().map(|tail| tail.as_str())
                == chosen.tail.as_ref().map(|tail| tail.as_str())
        {
            if flight.origin.as_str() == chosen.origin.as_str() {
                (stays, back) = (false, Some(leg(flight, step.at)));
            } else {
                missed.push(leg(flight, step.at));
                gone.insert(step.row);
                count(flight.origin.as_str(), 0, -1);
                continue;
            }
        }
        match step.kind {
            StepKind::Arrived if gone.contains(&step.row) => count(flight.dest.as_str(), 1, -1),
            StepKind::Diverted if gone.contains(&step.row) => {}
            _ => events += 1,
        }
    }
    airports.retain(|_, by| *by != [0; 3]);
    (missed, back, events, airports)
}

fn files(directory: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(directory.join("seg"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let bytes = fs::read(entry.path()).expect("read");
            (entry.file_name().to_string_lossy().into_owned(), digest(&bytes))
        })
        .collect()
}

#[test]
fn is_missed_what_could_not_have_been_flown() {
    let input = input::january().expect("it is built in");
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = small().open(directory.path().join("log")).expect("a log");
    append(&mut writer, &input);
    writer.close().expect("closed");
    let before = files(&directory.path().join("log"));
    let log = Options::new().open_read_only(directory.path().join("log")).expect("opens");
    let views: Views = fold(&log, log.visible().0.get(), |_, _| {}).expect("folded");
    // One that misses many, one that misses none, one at the end of the month.
    let many = input.flights.iter().position(|flight| {
        (flight.carrier.as_str(), flight.number, flight.origin.as_str()) == ("EV", 4104, "LGA")
    });
    let last = input.steps.iter().rev().find(|step| matches!(step.kind, StepKind::Departed { .. }));
    let mut missed_any = 0;
    for row in [many.expect("it left") as u32, 0, last.expect("one").row] {
        let flight = &input.flights[row as usize];
        let folder = tempfile::tempdir_in(directory.path()).expect("a directory");
        let missed = cancel(&log, &key_of(flight), folder.path(), &views).expect("cancelled");
        let (flights, back, events, airports) = walk(&input, row);
        missed_any += flights.len();
        assert_eq!(missed.flights, flights);
        let expected = Missed {
            flight: key_of(flight),
            tail: flight.tail.as_ref().expect("known").as_str().into(),
            place: flight.origin.as_str().into(),
            flights,
            back,
            events: (input.steps.len() as u64, events),
            airports,
        };
        assert_eq!(missed, expected, "{}", key_of(flight));
        let page = missed.to_page();
        assert!(page.starts_with(&format!("If {} had been cancelled", key_of(flight))), "{page}");
        let json: serde_json::Value = serde_json::from_str(&missed.to_json()).expect("JSON");
        assert_eq!(json["missed"].as_array().expect("a list").len(), missed.flights.len());
    }
    assert!(missed_any > 20, "{missed_any}");
    assert_eq!(files(&directory.path().join("log")), before, "the log is as it was");
    // The first of that name that left; and what is none.
    let folder = tempfile::tempdir_in(directory.path()).expect("a directory");
    let missed = cancel(&log, "UA1545", folder.path(), &views).expect("cancelled");
    assert_eq!(missed.flight, key_of(&input.flights[0]));
    for wanted in ["", "UA", "UA154x", "UA1545/", "UA1545/EWR/1"] {
        let refused = cancel(&log, wanted, &folder.path().join("other"), &views);
        assert!(matches!(refused, Err(Failure::NoFlight(_))), "{wanted}: {refused:?}");
    }
    assert_eq!(log.visible().0, Sequence::new(input.steps.len() as u64));
}
