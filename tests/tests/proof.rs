//! Does the table say so, when a promise does not hold? And the program's exit code, and the file
//! for programs?

use std::fs;
use std::process::Command;

use factlog_tests::proof::promises::{PROMISES, Promise};
use factlog_tests::proof::report::{Line, Report};
use factlog_tests::proof::table::attempt;
use factlog_tests::proof::{Request, Row};

const REQUEST: Request = Request { seed: 7, count: Some(3), quick: true };

fn good(request: &Request) -> Row {
    let counts = vec!["good 3".to_owned()];
    Row { holds: true, tried: request.times(1, 2), counts, ..Row::default() }
}

fn bad(_: &Request) -> Row {
    let failure = Some("event 4 is \"five\"".to_owned());
    Row { tried: 2, failure, skipped: Some("XFS".to_owned()), ..Row::default() }
}

fn panics(_: &Request) -> Row {
    let worker = std::thread::spawn(|| panic!("event 9 is not there"));
    worker.join().expect("no panic in the thread");
    unreachable!("it panicked")
}

static GOOD: Promise = Promise { id: "G1", title: "good", parts: &[good] };
static BAD: Promise = Promise { id: "G2", title: "bad", parts: &[good, bad, good] };
static PANICS: Promise = Promise { id: "G3", title: "panics", parts: &[good, panics] };
static NOTHING: Promise = Promise { id: "G4", title: "nothing", parts: &[] };

fn report(promises: &[&'static Promise]) -> Report {
    let line = |promise: &&'static Promise| {
        let row = attempt(promise, &REQUEST);
        Line { promise, row, planted: 2, found: 2, seconds: 1 }
    };
    Report { seed: 7, lines: promises.iter().map(line).collect(), notes: Vec::new() }
}

fn json(report: &Report) -> serde_json::Value {
    serde_json::from_str(&report.json()).expect("JSON")
}

#[test]
fn does_the_table_say_what_holds() {
    let report = report(&[&GOOD, &NOTHING]);
    assert!(report.holds() && !report.table().contains("does not hold"), "{}", report.table());
    let promises = &json(&report)["promises"];
    let expected = serde_json::json!([
        {"id": "G1", "holds": true, "tried": 3, "seed": 7, "planted": 2, "found": 2,
         "skipped": null},
        {"id": "G4", "holds": true, "tried": 0, "seed": 7, "planted": 2, "found": 2,
         "skipped": "nothing tries it on this system"},
    ]);
    assert_eq!(promises, &expected);
}

#[test]
fn does_the_table_say_what_does_not_hold() {
    let report = report(&[&GOOD, &BAD]);
    assert!(!report.holds());
    let table = report.table();
    assert!(table.contains("G2 does not hold: event 4 is \"five\""), "{table}");
    assert!(table.contains("G2  skipped: XFS") && !table.contains("G1 does not"), "{table}");
    let json = json(&report);
    let row = &json["promises"][1];
    assert_eq!((&row["holds"], &row["tried"]), (&false.into(), &8.into()), "{row}");
    assert_eq!(json["promises"][0]["holds"], true);
}

#[test]
fn does_a_proof_that_panics_not_hold() {
    let report = report(&[&PANICS]);
    let table = report.table();
    assert!(!report.holds() && table.contains("event 9 is not there"), "{table}");
    assert!(table.contains("seed 7"), "{table}");
}

#[test]
fn does_a_bug_that_was_not_found_count() {
    let mut report = report(&[&GOOD]);
    report.lines[0].found = 1;
    assert!(!report.holds());
    assert!(report.table().contains("G1: 1 planted bugs were not found"), "{}", report.table());
    assert_eq!(json(&report)["promises"][0]["found"], 1);
}

#[test]
fn are_there_all_eight() {
    let ids: Vec<_> = PROMISES.iter().map(|promise| promise.id).collect();
    assert_eq!(ids, ["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8"]);
}

/// The program itself: its exit code is the table's.
#[cfg(unix)]
#[test]
fn does_the_program_end_as_its_table_says() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("table.json");
    let proof = |words: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_proof")).args(words).output().expect("it starts")
    };
    let words = ["--only", "G2", "--seed", "1", "--count", "1", "--json"];
    let output = proof(&[&words[..], &[path.to_str().expect("UTF-8")]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("seed 1"), "{said}");
    let text = fs::read_to_string(&path).expect("written");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let row = &json["promises"][0];
    assert_eq!((&row["id"], &row["holds"]), (&"G2".into(), &true.into()), "{row}");
    assert!(row["tried"].as_u64().is_some_and(|tried| tried >= 1), "{row}");
    assert_eq!(proof(&["--only", "G9"]).status.code(), Some(2));
    assert_eq!(proof(&["--plants", "no such plant"]).status.code(), Some(1));
}
