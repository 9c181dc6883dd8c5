//! Do the flights example's aggregates decide what a few lines decide by themselves?
//!
//! Goal: the built-in month as commands gives the counts of an independent walk over its steps; a
//! second run over the same log is answered the same and adds nothing.

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
#[path = "../../engine/examples/flights/input/mod.rs"]
mod input;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/latency.rs"]
mod latency;
#[path = "../../engine/examples/flights/operations.rs"]
mod operations;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/report.rs"]
mod report;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/views.rs"]
mod views;

use std::collections::{BTreeMap, HashMap, HashSet};

use events::FlightFact;
use factlog::Options;
use input::{Input, StepKind};
use operations::{RecordStep, decide_all};

/// What can be, by itself: since when each flight is in the air, and which aircraft are.
fn walk(input: &Input) -> (u64, BTreeMap<String, u64>) {
    let (mut in_the_air, mut over) = (HashMap::new(), HashSet::new());
    let mut aircraft = HashSet::new();
    let (mut accepted, mut rejected) = (0, BTreeMap::new());
    for step in &input.steps {
        let tail = input.flights[step.row as usize].tail.as_ref().map(|tail| tail.as_str());
        let refused = match step.kind {
            StepKind::Scheduled => None,
            StepKind::Cancelled => (!over.insert(step.row)).then_some("already-over"),
            StepKind::Departed { .. } => {
                if tail.is_some_and(|tail| !aircraft.insert(tail)) {
                    Some("aircraft-in-the-air")
                } else {
                    in_the_air.insert(step.row, step.at);
                    None
                }
            }
            StepKind::Arrived | StepKind::Diverted => match in_the_air.remove(&step.row) {
                None => Some("not-departed"),
                Some(since) if step.kind == StepKind::Arrived && step.at <= since => {
                    Some("arrived-before-departure")
                }
                Some(_) => {
                    tail.map(|tail| aircraft.remove(tail));
                    over.insert(step.row);
                    None
                }
            },
        };
        match refused {
            None => accepted += 1,
            Some(reason) => *rejected.entry(reason.to_owned()).or_default() += 1,
        }
    }
    (accepted, rejected)
}

#[test]
fn is_the_month_decided_as_a_walk_decides_it() {
    let input = input::january().unwrap();
    let (accepted, rejected) = walk(&input);
    let directory = tempfile::tempdir().unwrap();
    let first = decide_all(&input, directory.path()).unwrap();
    assert_eq!((first.accepted, &first.rejected), (accepted, &rejected));
    assert_eq!(accepted + rejected.values().sum::<u64>(), 80_491);
    assert!(rejected.values().sum::<u64>() > 0, "{rejected:?}");
    // No event of what was refused; and each accepted command has one.
    let log = Options::new().open_read_only(directory.path()).unwrap();
    assert_eq!(log.visible().0.get(), accepted);
    drop(log);
    let again = decide_all(&input, directory.path()).unwrap();
    assert_eq!((again.accepted, again.rejected), (accepted, rejected));
    let log = Options::new().open_read_only(directory.path()).unwrap();
    assert_eq!(log.visible().0.get(), accepted, "nothing was done twice");
}

/// What the example stores was released with it.
#[test]
fn are_the_released_events_as_they_were() {
    factlog::schema_lock!("golden/flights.schema", FlightFact, RecordStep);
}
