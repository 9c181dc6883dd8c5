//! Do the flights example's views, report and command line do what they say?
//!
//! Goal: the views of the built-in month give the totals that another program computed; each rule
//! of a view holds; report and command line keep their promises to programs. Method: folds over
//! the whole month and over facts made by hand.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/args.rs"]
mod args;
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

use std::collections::BTreeMap;
use std::ffi::OsString;

use args::{ArgError, Args, Parsed, Policy};
use input::StepKind;
use latency::Latency;
use report::{Decided, Report};
use serde_json::{Value, json};
use views::{
    AircraftPlaces, AirportBoard, CarrierDelays, Fact, FactKind, Place, RECENT, Totals, What,
};

/// All three views.
#[derive(Default, Debug, PartialEq, Eq, Clone)]
struct Views {
    airports: AirportBoard,
    carriers: CarrierDelays,
    aircraft: AircraftPlaces,
}

impl Views {
    fn apply(&mut self, fact: &Fact<'_>) {
        self.airports.apply(fact);
        self.carriers.apply(fact);
        self.aircraft.apply(fact);
    }

    fn of(facts: &[Fact<'_>]) -> Self {
        let mut views = Self::default();
        facts.iter().for_each(|fact| views.apply(fact));
        views
    }

    fn totals(&self) -> Totals {
        Totals::of(&self.airports, &self.carriers, &self.aircraft)
    }

    fn report(&self) -> Report<'_> {
        Report {
            totals: self.totals(),
            airports: &self.airports,
            carriers: &self.carriers,
            aircraft: &self.aircraft,
            events: 80_491,
            append_events_per_second: None,
            append_to_board: None,
            durability: Policy::Interval,
            submit_to_answer: None,
            visible_to_durable: None,
            replay_events_per_second: 1_234_567.8,
            log_bytes: 10_000_000,
            live_equals_replay: true,
            decided: Decided {
                accepted: 80_473,
                rejected: [("aircraft-in-the-air".to_owned(), 9), ("not-departed".to_owned(), 9)]
                    .into(),
                per_second: 350_000.4,
            },
            notes: (0..9).map(|n| format!("note {n}")).collect(),
        }
    }

    fn january() -> Self {
        let input = input::january().unwrap();
        let mut views = Self::default();
        for step in &input.steps {
            let flight = &input.flights[step.row as usize];
            views.apply(&Fact {
                at: step.at,
                carrier: flight.carrier.as_str(),
                number: flight.number,
                tail: flight.tail.as_ref().map(|tail| tail.as_str()),
                origin: flight.origin.as_str(),
                dest: flight.dest.as_str(),
                kind: match step.kind {
                    StepKind::Scheduled => FactKind::Scheduled,
                    StepKind::Departed { delay_minutes } => FactKind::Departed { delay_minutes },
                    StepKind::Arrived => FactKind::Arrived,
                    StepKind::Cancelled => FactKind::Cancelled,
                    StepKind::Diverted => FactKind::Diverted,
                },
            });
        }
        views
    }
}

fn fact(at: i64, number: u32, kind: FactKind) -> Fact<'static> {
    let (carrier, tail) = ("UA", Some("N1"));
    Fact { at, carrier, number, tail, origin: "JFK", dest: "LAX", kind }
}

#[test]
fn are_the_totals_of_january_those_of_another_program() {
    let views = Views::january();
    let by_airport = |counts: [u64; 3]| -> BTreeMap<String, u64> {
        ["EWR", "JFK", "LGA"].map(str::to_owned).into_iter().zip(counts).collect()
    };
    let expected = Totals {
        flights: 27_004,
        scheduled: 27_004,
        departed: 26_483,
        arrived: 26_468,
        cancelled: 521,
        diverted: 15,
        aircraft: 3_148,
        departed_by_airport: by_airport([9_655, 9_061, 7_767]),
        cancelled_by_airport: by_airport([238, 100, 183]),
        departure_delay_minutes: 265_801,
    };
    assert_eq!(views.totals(), expected);
    assert_eq!(views, Views::january());
    assert!(views.aircraft.aircraft.values().all(|one| one.minutes_in_air >= 0));
}

#[test]
fn where_is_an_aircraft() {
    let left = fact(600, 1, FactKind::Departed { delay_minutes: 0 });
    let facts = [
        fact(0, 1, FactKind::Scheduled),
        left,
        fact(7_200, 1, FactKind::Arrived),
        Fact { at: 9_000, origin: "LAX", dest: "SFO", ..left },
        Fact { at: 9_900, origin: "LAX", dest: "SFO", ..fact(0, 1, FactKind::Diverted) },
    ];
    let place = |count: usize| {
        let views = Views::of(&facts[..count]);
        let one = &views.aircraft.aircraft["N1"];
        (one.place, one.from.clone(), one.to.clone(), one.since, one.legs, one.minutes_in_air)
    };
    let leg = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let expected = [
        (Place::NotSeen, leg("", ""), 0, 0, 0),
        (Place::InTheAir, leg("JFK", "LAX"), 600, 0, 0),
        (Place::Landed, leg("JFK", "LAX"), 7_200, 1, 110),
        (Place::InTheAir, leg("LAX", "SFO"), 9_000, 1, 110),
        (Place::Diverted, leg("LAX", "SFO"), 9_900, 1, 110),
    ];
    for (index, (is, (from, to), since, legs, minutes)) in expected.into_iter().enumerate() {
        assert_eq!(place(index + 1), (is, from, to, since, legs, minutes));
    }
    // Without a tail number there is no aircraft.
    assert_eq!(Views::of(&[Fact { tail: None, ..left }]).aircraft, AircraftPlaces::default());
    // Two departures before one arrival: the leg counts, its time does not.
    let other = Fact { at: 700, dest: "SEA", ..left };
    let views = Views::of(&[left, other, fact(7_200, 1, FactKind::Arrived)]);
    assert_eq!(views.aircraft.aircraft["N1"].legs, 1);
    assert_eq!(views.aircraft.aircraft["N1"].minutes_in_air, 0);
}

#[test]
fn what_do_boards_and_carriers_show() {
    let mut facts: Vec<Fact<'_>> = (0..10)
        .map(|n| fact(i64::from(n), n, FactKind::Departed { delay_minutes: 15 + (n as i32 % 3) }))
        .collect();
    facts.push(fact(11, 99, FactKind::Cancelled));
    facts.push(fact(12, 98, FactKind::Diverted));
    let views = Views::of(&facts);
    let (origin, dest) = (&views.airports.airports["JFK"], &views.airports.airports["LAX"]);
    assert_eq!((origin.departed, origin.cancelled, origin.diverted), (10, 1, 0));
    assert_eq!((dest.departed, dest.cancelled, dest.diverted), (0, 0, 1));
    assert_eq!(origin.recent.len(), RECENT);
    let numbers: Vec<u32> = origin.recent.iter().map(|movement| movement.number).collect();
    assert_eq!(numbers, [3, 4, 5, 6, 7, 8, 9, 99]);
    let last = origin.recent.back().unwrap();
    assert_eq!((last.carrier.as_str(), last.at, last.what), ("UA", 11, What::Cancelled));
    let carrier = &views.carriers.carriers["UA"];
    assert_eq!((carrier.departed, carrier.late, carrier.cancelled), (10, 6, 1));
    assert_eq!(carrier.delay_minutes, 159);
    let worst = carrier.worst.unwrap();
    assert_eq!((worst.minutes, worst.number, worst.at), (17, 2, 2), "the first of equals");
}

#[test]
fn does_the_json_have_its_keys_and_no_others() {
    let views = Views::january();
    let object: Value = serde_json::from_str(&views.report().to_json()).unwrap();
    let expected = json!({
        "flights": 27004, "scheduled": 27004, "departed": 26483, "arrived": 26468,
        "cancelled": 521, "diverted": 15, "aircraft": 3148,
        "departed_by_airport": {"EWR": 9655, "JFK": 9061, "LGA": 7767},
        "cancelled_by_airport": {"EWR": 238, "JFK": 100, "LGA": 183},
        "departure_delay_minutes": 265801, "events": 80491,
        "append_events_per_second": null,
        "append_to_board_p50_us": null, "append_to_board_p99_us": null,
        "durability": "interval",
        "submit_to_answer_p50_us": null, "submit_to_answer_p99_us": null,
        "submit_to_answer_max_us": null,
        "visible_to_durable_p50_us": null, "visible_to_durable_p99_us": null,
        "visible_to_durable_max_us": null, "visible_to_durable_resolution_us": 1000,
        "replay_events_per_second": 1234568.0,
        "log_bytes": 10000000, "live_equals_replay": true,
        "accepted": 80473, "rejected": {"aircraft-in-the-air": 9, "not-departed": 9},
        "commands_per_second": 350000.0,
    });
    assert_eq!(object, expected);
    let rated = Report {
        append_events_per_second: Some(10.4),
        append_to_board: Some(Latency { p50: 12.3, p99: 4567.8, max: 9999.0 }),
        durability: Policy::Group,
        submit_to_answer: Some(Latency { p50: 1.2, p99: 2345.6, max: 1_234_567.8 }),
        visible_to_durable: Some(Latency { p50: 200.4, p99: 300.5, max: 12_345.6 }),
        ..views.report()
    };
    let page = rated.to_page();
    for part in [
        "12 us, of 99 in 100 at most 4,568 us",
        "submit to answer    1, p99 2,346, max 1,234,568 us (group)",
        "visible to durable  200, p99 301, max 12,346 us (by 1 ms)",
        "as commands         80,473 accepted, 350,000 commands/s",
        "refused             9 aircraft-in-the-air, 9 not-departed",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    fits_a_terminal(&page);
    let object: Value = serde_json::from_str(&rated.to_json()).unwrap();
    assert_eq!(object["append_events_per_second"], json!(10.0));
    assert_eq!(object["append_to_board_p99_us"], json!(4568.0));
    assert_eq!(object["durability"], json!("group"));
    assert_eq!(object["submit_to_answer_p50_us"], json!(1.0));
    assert_eq!(object["submit_to_answer_max_us"], json!(1_234_568.0));
    assert_eq!(object["visible_to_durable_p99_us"], json!(301.0));
    assert_eq!(object["visible_to_durable_max_us"], json!(12_346.0));
}

fn fits_a_terminal(page: &str) {
    assert!(page.lines().count() <= 40, "{page}");
    assert!(page.lines().all(|line| line.len() <= 80 && line == line.trim_end()), "{page}");
}

#[test]
fn does_the_page_fit_a_terminal() {
    let views = Views::january();
    let page = views.report().to_page();
    fits_a_terminal(&page);
    for part in ["27,004 flights", "and 8 more carriers", "1,234,568 events/s", "and 6 more notes"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    let none = Views::default();
    assert!(none.report().to_page().starts_with("0 flights"));
}

fn parse(words: &[&str]) -> Result<Parsed, ArgError> {
    args::parse(words.iter().map(OsString::from))
}

#[test]
fn which_command_lines_make_sense() {
    let run = |args: Args| Ok(Parsed::Run(args));
    assert_eq!(parse(&[]), run(Args::default()));
    let all = Args {
        data: Some("f".into()),
        dir: Some("d".into()),
        crash: true,
        durability: Policy::Group,
        json: true,
        what_if: None,
        at: None,
        why: None,
    };
    let words = ["--json", "--crash", "--data", "f", "--durability", "group", "--dir", "d"];
    assert_eq!(parse(&words), run(all));
    let odd = Args { data: Some("--json".into()), dir: Some("a=b".into()), ..Args::default() };
    assert_eq!(parse(&["--data=--json", "--dir", "a=b"]), run(odd));
    let cancelled = Args { what_if: Some("UA1545".into()), ..Args::default() };
    assert_eq!(parse(&["--what-if", "UA1545"]), run(cancelled));
    assert_eq!(parse(&["--what-if"]), Err(ArgError::NoValue("--what-if")));
    assert_eq!(parse(&["--crash", "--help"]), Ok(Parsed::Help));
    assert_eq!(parse(&["-h"]), Ok(Parsed::Help));

    assert_eq!(parse(&["--crash"]), Err(ArgError::CrashWithoutDir));
    for nothing in [&["--data"][..], &["--data", "--json"], &["--data="], &["--data", ""]] {
        assert_eq!(parse(nothing), Err(ArgError::NoValue("--data")));
    }
    assert_eq!(parse(&["--json=yes"]), Err(ArgError::NeedlessValue("--json")));
    assert_eq!(parse(&["--dir", "a", "--dir=b"]), Err(ArgError::Repeated("--dir")));
    assert_eq!(parse(&["--json", "--json"]), Err(ArgError::Repeated("--json")));
    assert_eq!(parse(&["--jsno"]), Err(ArgError::Unknown("--jsno".into())));
    assert_eq!(parse(&["file"]), Err(ArgError::Unexpected("file".into())));
    for option in ["--data", "--dir", "--crash", "--durability", "--json", "--what-if", "--help"] {
        assert!(args::USAGE.contains(option));
    }
    assert_eq!(args::EXIT_USAGE, 2);
}

#[test]
fn which_durabilities_are_there() {
    let is = |durability| Ok(Parsed::Run(Args { durability, ..Args::default() }));
    assert_eq!(Args::default().durability.durability(), factlog::Durability::default());
    for policy in Policy::ALL {
        assert_eq!(parse(&["--durability", policy.name()]), is(policy));
        assert_eq!(parse(&[&format!("--durability={}", policy.name())]), is(policy));
        assert!(args::USAGE.contains(policy.name()));
    }
    for wrong in ["", "Group", "sync", "interval ", "interval=5"] {
        let error = parse(&["--durability", wrong]).unwrap_err();
        if wrong.is_empty() {
            assert_eq!(error, ArgError::NoValue("--durability"));
        } else {
            assert_eq!(error, ArgError::NoPolicy(wrong.into()));
            let says = format!("no durability '{wrong}'; it is none, interval, group or always");
            assert!(error.to_string().ends_with(&says), "{error}");
        }
    }
    assert_eq!(parse(&["--durability"]), Err(ArgError::NoValue("--durability")));
    let twice = parse(&["--durability", "none", "--durability=none"]);
    assert_eq!(twice, Err(ArgError::Repeated("--durability")));
}

#[cfg(unix)]
#[test]
fn may_names_be_other_than_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let name = OsString::from_vec(b"\xff\xfe".to_vec());
    let joined = OsString::from_vec(b"--data=\xff\xfe".to_vec());
    let expected = Args { data: Some(name.clone().into()), ..Args::default() };
    assert_eq!(args::parse([joined]), Ok(Parsed::Run(expected)));
    assert_eq!(args::parse([name.clone()]), Err(ArgError::Unexpected(name)));
}
