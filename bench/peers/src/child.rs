//! One measurement, in a process of its own: it prints one object, or says why there is none.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::args::Order;
use crate::measure;
use crate::ours::Factlog;
use crate::payload::Payloads;
use crate::row::{FILLED, Operation, Row};
use crate::subject::{Load, Outcome, Subject};
use crate::{limits, peers};

/// The subject of that name.
pub fn subject(name: &str) -> Option<Box<dyn Subject>> {
    let ours: Box<dyn Subject> = Box::new(Factlog);
    let mut all = std::iter::once(ours).chain(peers::all()).chain(limits::all());
    all.find(|subject| subject.name() == name)
}

/// Measures what the parent wants to know, and prints it.
pub fn answer(order: &Order) -> ExitCode {
    let measured = subject(&order.subject)
        .ok_or_else(|| "no such subject".into())
        .and_then(|subject| measure(subject.as_ref(), order));
    match measured {
        Ok(rate) => {
            println!("{}", json!({ "rate": rate }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How long reading all took, if it was read as it was written.
fn replay(subject: &dyn Subject, order: &Order, payloads: &Payloads) -> Outcome<Option<Duration>> {
    let Some((tally, took)) = subject.replay(&order.within)? else { return Ok(None) };
    let expected = payloads.tally(FILLED / payloads.size() as u64);
    if tally == expected {
        Ok(Some(took))
    } else {
        Err(format!("it read {tally:?}, where {expected:?} was written").into())
    }
}

/// Events or opens a second; 1 for a log that was filled; `None` if the subject cannot do it.
fn measure(subject: &dyn Subject, order: &Order) -> Outcome<Option<f64>> {
    let Order { row: Row { operation, batch, size }, within, .. } = order;
    let payloads = Payloads::new(*size);
    let events = FILLED / *size as u64;
    match operation {
        Operation::Append => {
            measure::rate(&mut |load| subject.append(load), within, &payloads, *batch)
        }
        Operation::Durable => {
            measure::rate(&mut |load| subject.durable(load), within, &payloads, *batch)
        }
        Operation::Fill => {
            fs::create_dir(within)?;
            let load = Load { within, payloads: &payloads, batch: *batch };
            Ok(subject.fill(&load, events)?.then_some(1.0))
        }
        Operation::Replay => {
            let took = replay(subject, order, &payloads)?;
            Ok(took.map(|took| events as f64 / took.as_secs_f64()))
        }
        Operation::Open => {
            let rate = measure::opens(subject, within)?;
            // What was opened must still hold everything, or it was not opened well.
            replay(subject, order, &payloads)?;
            Ok(rate)
        }
    }
}
