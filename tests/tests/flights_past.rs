//! Does the flights example answer questions about the past as a few lines do by themselves?
//!
//! Goal: the board of any time has the counts of an independent walk over the built-in month; what made
//! a flight late is found through the facts that led to each other, as an independent walk finds it.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/append.rs"]
mod append;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/args.rs"]
mod args;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/durable.rs"]
mod durable;
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
#[path = "../../engine/examples/flights/past.rs"]
mod past;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/produce.rs"]
mod produce;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/report.rs"]
mod report;
#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/views.rs"]
mod views;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;

use args::{ArgError, Args, FlightName, Parsed, Policy, USAGE};
use events::FlightFact;
use factlog::{Log, Options};
use factlog_tests::{Random, scratch};
use input::{Input, StepKind};
use jiff::Timestamp;
use tempfile::TempDir;

/// The month, as a log.
fn january() -> (TempDir, Log, Input) {
    let input = input::january().expect("the month");
    let directory = scratch();
    let writer = Options::new().vocabulary::<FlightFact>().open(directory.path()).expect("opens");
    append::append(writer, &input, Policy::None, false).expect("appended");
    let log = Options::new().open_read_only(directory.path()).expect("opens");
    (directory, log, input)
}

fn ask(log: &Log, words: &[&str]) -> Result<String, failure::Failure> {
    let Parsed::Run(args) = parse(words).expect("a command line") else { panic!("help") };
    past::answer(log, &args)
}

fn parse(words: &[&str]) -> Result<Parsed, ArgError> {
    args::parse(words.iter().map(OsString::from))
}

#[test]
fn is_the_board_of_any_time_as_it_was() {
    let (_directory, log, input) = january();
    let (first, last) = (input.steps[0].at, input.steps[input.steps.len() - 1].at);
    let mut random = Random::from_environment("boards");
    for round in 0..8 {
        let time = match round {
            0 => first - 1,
            1 => last + 1,
            _ => first + random.below((last - first) as u64) as i64,
        };
        let mut counts: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
        let mut facts = 0;
        for step in input.steps.iter().filter(|step| step.at <= time) {
            facts += 1;
            let line = counts.entry(input.flights[step.row as usize].origin.as_str()).or_default();
            match step.kind {
                StepKind::Departed { .. } => line[0] += 1,
                StepKind::Scheduled => line[1] += 1,
                StepKind::Cancelled => line[2] += 1,
                StepKind::Arrived | StepKind::Diverted => {}
            }
        }
        let when = Timestamp::from_second(time).expect("a time").to_string();
        let page = ask(&log, &["--at", &when]).expect("an answer");
        assert!(page.contains(&format!("after {facts} facts")), "{page}");
        for (code, [departed, scheduled, cancelled]) in counts {
            let line = format!(
                "{code}: {departed} of {scheduled} planned departures have left, {cancelled} were \
                 cancelled\n"
            );
            assert!(page.contains(&line), "{when}: no `{line}` in {page}");
        }
    }
}

/// For each flight that left late since its aircraft had come in late: the flight before it.
fn late_inbound(input: &Input) -> HashMap<u32, u32> {
    let (mut arrived, mut found) = (HashMap::new(), HashMap::new());
    for step in &input.steps {
        let flight = &input.flights[step.row as usize];
        let Some(tail) = flight.tail else { continue };
        match step.kind {
            StepKind::Arrived => drop(arrived.insert(tail, (step.row, step.at))),
            StepKind::Departed { delay_minutes: 16.. } => {
                if let Some((row, at)) = arrived.get(&tail)
                    && (at - input.flights[*row as usize].scheduled_arrival) / 60 > 15
                    && step.at - at <= 12 * 3_600
                {
                    found.insert(step.row, *row);
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn is_it_found_what_made_a_flight_late() {
    let (_directory, log, input) = january();
    let inbound = late_inbound(&input);
    assert!(inbound.len() > 100, "{}", inbound.len());
    let delays: HashMap<u32, i32> = input
        .steps
        .iter()
        .filter_map(|step| match step.kind {
            StepKind::Departed { delay_minutes } => Some((step.row, delay_minutes)),
            _ => None,
        })
        .collect();
    // Of each name and day the one that was latest is meant.
    let name_of = |row: u32| {
        let flight = &input.flights[row as usize];
        let day = Timestamp::from_second(flight.scheduled_departure).expect("a time").to_string();
        format!("{}{}/{}", flight.carrier, flight.number, &day[..10])
    };
    let mut names: HashMap<String, u32> = HashMap::new();
    for row in 0..input.flights.len() as u32 {
        *names.entry(name_of(row)).or_default() += 1;
    }
    let mut asked = 0;
    let mut rows: Vec<u32> = inbound.keys().copied().collect();
    rows.sort_unstable();
    for row in rows.into_iter().filter(|row| names[&name_of(*row)] == 1).step_by(60) {
        let page = ask(&log, &["--why", &name_of(row)]).expect("an answer");
        let mut lines = page.lines().skip(1);
        let (mut next, mut lead) = (Some(row), "");
        while let Some(row) = next {
            let flight = &input.flights[row as usize];
            let name = format!("{}{} (aircraft", flight.carrier, flight.number);
            let line = lines.next().expect("a line");
            assert!(line.trim_start().starts_with(&format!("{lead}{name}")), "{page}");
            assert!(
                line.contains(&format!("left {} for {}", flight.origin, flight.dest)),
                "{page}"
            );
            let delay = delays[&row];
            if delay > 0 {
                assert!(line.ends_with(&format!(", {delay} minutes late")), "{page}");
            }
            next = inbound.get(&row).copied();
            if let Some(before) = next {
                let line = lines.next().expect("a line");
                let flight = &input.flights[before as usize];
                let name = format!("because {}{} (aircraft", flight.carrier, flight.number);
                assert!(
                    line.trim_start().starts_with(&name) && line.contains("arrived in"),
                    "{page}"
                );
                lead = "because ";
            }
        }
        assert_eq!(lines.next(), None, "{page}");
        asked += 1;
    }
    assert!(asked > 3, "{asked}");
    for (name, said) in [
        ("ZZ1", "no flight ZZ1 has left"),
        ("UA1545/2013-02-15", "no flight UA1545 has left that was to leave on 2013-02-15 (UTC)"),
    ] {
        let missing = ask(&log, &["--why", name]).expect_err("no such flight");
        assert_eq!((missing.exit_code(), missing.to_string().as_str()), (2, said));
    }
    // Those that the help names.
    for name in ["EV4321", "EV4321/2013-01-01"] {
        let page = ask(&log, &["--why", name]).expect("an answer");
        assert!(page.starts_with("why EV4321 of 2013-01-01 was late:\n"), "{page}");
        assert!(page.lines().count() > 2 && USAGE.contains(name), "{page}");
    }
}

#[test]
fn are_questions_read_and_others_refused() {
    let name = |carrier: &str, number, day: Option<&str>| FlightName {
        carrier: carrier.into(),
        number,
        day: day.map(|day| day.parse().expect("a day")),
    };
    for (word, expected) in [
        ("UA1545", name("UA", 1545, None)),
        ("9E3264/2013-01-02", name("9E", 3264, Some("2013-01-02"))),
        ("B61", name("B6", 1, None)),
    ] {
        let expected = Args { why: Some(expected), ..Args::default() };
        assert_eq!(parse(&["--why", word]), Ok(Parsed::Run(expected)), "{word}");
    }
    let expected = Args { at: Some(1_358_272_800), ..Args::default() };
    assert_eq!(parse(&["--at=2013-01-15T18:00:00Z"]), Ok(Parsed::Run(expected)));
    for word in ["", "UA", "1", "UA1/x", "UAx", "é1", "UA99999999999", "UA1/2013-02-30"] {
        assert!(parse(&["--why", word]).is_err(), "{word}");
    }
    for word in ["", "yesterday", "2013-01-15", "1358272800"] {
        assert!(parse(&["--at", word]).is_err(), "{word}");
    }
    assert_eq!(parse(&["--json", "--why", "UA1"]), Err(ArgError::JsonAnswer));
    assert_eq!(parse(&["--what-if", "UA1", "--why", "UA1"]), Err(ArgError::SecondQuestion));
    assert_eq!(parse(&["--why", "UA1", "--why", "UA2"]), Err(ArgError::Repeated("--why")));
}
