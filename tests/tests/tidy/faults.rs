//! Is each fault in tests/FAULTS.md, and each situation in tests/SCENARIOS.md, held by tests that are there?

use std::collections::BTreeSet;

use super::{File, assert_none, repository};

const PAGE: &str = "tests/FAULTS.md";
const SCENARIOS: &str = "tests/SCENARIOS.md";

/// What the last cells of the page's tables name, and the lines they stand in.
fn named(page: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let Some(row) = line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) else {
            continue;
        };
        let cell = row.rsplit('|').next().unwrap_or_default().trim();
        if cell == "test" || cell.chars().all(|letter| letter == '-') {
            continue;
        }
        let names = cell.split('`').skip(1).step_by(2).map(|name| (at + 1, name.to_owned()));
        let before = named.len();
        named.extend(names);
        if named.len() == before {
            named.push((at + 1, String::new()));
        }
    }
    named
}

/// Whether `text` has a test of this name: a plain one, or a model.
fn has_test(text: &str, name: &str) -> bool {
    let head = format!("fn {name}()");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_above = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
    lines.iter().enumerate().any(|(at, line)| {
        line.starts_with(&head)
            && lines[..at].iter().rev().take_while(is_above).any(|line| *line == "#[test]")
    })
}

fn is_there(files: &[File], name: &str) -> bool {
    if let Some(plant) = name.strip_prefix("plant ") {
        let folders = ["plants", "power_cuts", "models", "suites"];
        let paths = folders.map(|folder| format!("tests/{folder}/{plant}.plant"));
        return files.iter().any(|file| paths.contains(&file.path));
    }
    if let Some(model) = name.strip_prefix("model ") {
        let models = "engine/src/log/models/";
        let mut files = files.iter().filter(|file| file.path.starts_with(models));
        return files.any(|file| has_test(&file.text, model));
    }
    let Some((place, test)) = name.rsplit_once("::") else { return false };
    let path =
        if place.ends_with(".rs") { place.to_owned() } else { format!("tests/tests/{place}.rs") };
    files.iter().any(|file| file.path == path && has_test(&file.text, test))
}

/// Names on `page`, which is at `path`, that are nowhere.
fn missing(files: &[File], path: &str, page: &str) -> Vec<String> {
    let named = named(page).into_iter().filter(|(_, name)| !is_there(files, name));
    named.map(|(line, name)| format!("{path}:{line}: {name:?}")).collect()
}

/// Tests of suites whose name begins with `faults_` that `page` does not have.
fn untold(files: &[File], page: &str) -> Vec<String> {
    let named: BTreeSet<_> = named(page).into_iter().map(|(_, name)| name).collect();
    let suites = files.iter().filter_map(|file| {
        let suite = file.path.strip_prefix("tests/tests/")?.strip_suffix(".rs")?;
        suite.starts_with("faults_").then_some((suite, &file.text))
    });
    let tests = suites.flat_map(|(suite, text)| {
        let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.split_once("()"));
        let names = names.map(|(name, _)| name).filter(|name| has_test(text, name));
        // What another process does is no test of its own.
        names.filter(|name| *name != "child").map(move |name| format!("{suite}::{name}"))
    });
    tests.filter(|test| !named.contains(test)).collect()
}

#[test]
fn is_each_fault_held_by_a_test_that_is_there() {
    let files = repository();
    let page = &files.iter().find(|file| file.path == PAGE).expect("the page").text;
    assert!(named(page).len() > 90, "only {} tests are named", named(page).len());
    assert_none("named, and nowhere", &missing(&files, PAGE, page));
    assert_none("tests of faults that the page does not have", &untold(&files, page));
}

#[test]
fn is_each_scenario_shown_by_a_test_that_is_there() {
    let files = repository();
    let page = &files.iter().find(|file| file.path == SCENARIOS).expect("the page").text;
    assert!(named(page).len() > 45, "only {} tests are named", named(page).len());
    assert_none("named, and nowhere", &missing(&files, SCENARIOS, page));
}

#[test]
fn is_a_test_that_is_not_there_found() {
    let files = [
        File::new("tests/tests/faults_one.rs", "#[test]\nfn is_it() {\n}\nfn helper() {}\n"),
        File::new("tests/plants/bug.plant", "A bug."),
        File::new("codec/src/a.rs", "    #[test]\n    #[cfg(unix)]\n    fn inside() {\n"),
    ];
    let page = "| fault | test |\n|---|---|\n| a | `faults_one::is_it`, `plant bug` |\n\
                | b | `codec/src/a.rs::inside` |\n";
    assert!(missing(&files, PAGE, page).is_empty(), "{:?}", missing(&files, PAGE, page));
    assert!(untold(&files, page).is_empty());
    for wrong in [
        "faults_one::helper",
        "faults_one::is",
        "faults_two::is_it",
        "plant other",
        "model park",
        "codec/src/b.rs::inside",
    ] {
        let page = format!("| a | b | `{wrong}` |\n");
        assert_eq!(missing(&files, PAGE, &page).len(), 1, "{wrong}");
    }
    assert_eq!(missing(&files, PAGE, "| a | b | none |\n").len(), 1);
    assert_eq!(untold(&files, "| a | b | `plant bug` |\n"), ["faults_one::is_it"]);
}
