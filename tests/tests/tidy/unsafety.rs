//! Where unsafe code may stand, and what must be said above it.

use super::scrub::code;
use super::{File, assert_none, repository};

/// Files of the engine and codec in which the word may stand, and why.
const ALLOWED: [(&str, &str); 5] = [
    ("engine/src/sync/checked.rs", "cells whose every access loom follows"),
    ("engine/src/log/map.rs", "raw mappings"),
    ("engine/src/log/segment.rs", "the part of a mapping that no longer changes"),
    ("engine/src/log/fork.rs", "a page that a fork wipes"),
    ("engine/src/log/clock.rs", "the processor's counter"),
];

/// Crates that are not held to the list: what they do stays with them.
const ELSEWHERE: [&str; 2] = ["tests/", "bench/"];

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}

/// Lines of code with the word, from 0.
fn places(file: &File) -> Vec<usize> {
    let code = code(&file.text);
    let lines = code.lines().enumerate();
    lines.filter(|(_, line)| words(line).any(|word| word == "unsafe")).map(|(at, _)| at).collect()
}

/// Files with unsafe code where none may be.
fn misplaced(files: &[File]) -> Vec<String> {
    let held = files.iter().filter(|file| {
        file.is_rust()
            && !ELSEWHERE.iter().any(|prefix| file.path.starts_with(prefix))
            && !ALLOWED.iter().any(|(path, _)| *path == file.path)
    });
    held.flat_map(|file| places(file).into_iter().map(|line| format!("{}:{}", file.path, line + 1)))
        .collect()
}

/// Unsafe blocks and implementations without a proof in the comment above their statement.
fn unproved(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let proved = |at: usize| {
        // The statement may have begun some lines above.
        let start = (0..=at).rev().find(|line| {
            let before = line.checked_sub(1).map_or("", |line| lines[line].trim());
            before.is_empty() || before.ends_with([';', '{', '}', ',']) || before.starts_with("//")
        });
        let above = lines[..start.unwrap_or(at)].iter().rev();
        above
            .take_while(|line| line.trim().starts_with("//") || line.trim().starts_with("#["))
            .any(|line| line.trim().starts_with("// SAFETY:"))
    };
    let declared = |at: usize| {
        let words: Vec<_> = words(lines[at]).filter(|word| !word.is_empty()).collect();
        words.windows(2).any(|pair| matches!(pair, ["unsafe", "fn" | "extern"]))
    };
    let places = places(file).into_iter().filter(|at| !declared(*at) && !proved(*at));
    places.map(|line| format!("{}:{}", file.path, line + 1)).collect()
}

/// Safety sections are for unsafe functions: where one is declared it must have one.
fn undocumented(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let declares = |at: &usize| lines[*at].contains("unsafe fn") && lines[*at].contains("pub");
    let documented = |at: &usize| {
        let above = lines[..*at].iter().rev().map(|line| line.trim());
        above
            .take_while(|line| line.starts_with("///") || line.starts_with("#["))
            .any(|line| line.starts_with("/// # Safety"))
    };
    let places = places(file).into_iter().filter(|at| declares(at) && !documented(at));
    places.map(|line| format!("{}:{}", file.path, line + 1)).collect()
}

#[test]
fn does_unsafe_code_stand_only_where_it_may() {
    let files = repository();
    assert_none("unsafe code in other files than those listed", &misplaced(&files));
    let idle = ALLOWED.iter().filter(|(path, _)| {
        !files.iter().any(|file| file.path == *path && !places(file).is_empty())
    });
    let idle: Vec<_> = idle.map(|(path, why)| format!("{path}: {why}")).collect();
    assert_none("files on the list without unsafe code", &idle);
}

#[test]
fn has_each_unsafe_block_its_proof() {
    let files: Vec<_> = repository().into_iter().filter(File::is_rust).collect();
    assert!(files.iter().map(|file| places(file).len()).sum::<usize>() > 5, "they are seen");
    let found: Vec<_> = files.iter().flat_map(unproved).collect();
    assert_none("unsafe blocks without a SAFETY comment", &found);
    let found: Vec<_> = files.iter().flat_map(undocumented).collect();
    assert_none("unsafe functions without a Safety section", &found);
}

#[test]
fn does_the_codec_deny_unsafe_code() {
    let files = repository();
    let lib = files.iter().find(|file| file.path == "codec/src/lib.rs").expect("the codec");
    assert!(lib.text.contains("#![deny(unsafe_code)]"));
    let allowed: Vec<_> = files
        .iter()
        .filter(|file| file.path.starts_with("codec/src/"))
        .flat_map(|file| file.text.lines().zip(1..).map(move |(line, number)| (file, line, number)))
        .filter(|(_, line, _)| line.contains("allow(unsafe_code"))
        .map(|(file, line, number)| (format!("{}:{number}", file.path), line.contains("reason =")))
        .collect();
    assert!(
        matches!(&allowed[..], [(place, true)] if place.starts_with("codec/src/lib.rs:")),
        "only for `raw`, with a reason: {allowed:?}"
    );
}

#[test]
fn is_unsafe_code_found() {
    let block = "fn f() {\n    let x = unsafe { g() };\n}\n";
    let misplaced_one = File::new("engine/src/log/index.rs", block);
    assert_eq!(misplaced(std::slice::from_ref(&misplaced_one)), ["engine/src/log/index.rs:2"]);
    let allowed = File::new("engine/src/log/map.rs", "// unsafe\nlet s = \"unsafe\";\n");
    assert!(misplaced(std::slice::from_ref(&allowed)).is_empty() && unproved(&allowed).is_empty());
    assert!(misplaced(&[File::new("tests/a.rs", block)]).is_empty());
}

#[test]
fn is_a_missing_proof_found() {
    let of = |text: &str| unproved(&File::new("engine/src/log/map.rs", text)).len();
    assert_eq!(of("fn f() {\n    unsafe { g() }\n}\n"), 1);
    assert_eq!(of("fn f() {\n    // Fine.\n    unsafe { g() }\n}\n"), 1);
    assert_eq!(of("// SAFETY: far away.\nfn f() {\n    unsafe { g() }\n}\n"), 1);
    assert_eq!(of("fn f() {\n    // SAFETY: it is.\n    // And more.\n    unsafe { g() }\n}\n"), 0);
    assert_eq!(of("fn f() {\n    // SAFETY: it is.\n    let x =\n        unsafe { g() };\n}\n"), 0);
    assert_eq!(of("unsafe impl Send for X {}\n"), 1);
    assert_eq!(of("/// # Safety\npub unsafe fn f() {}\n"), 0);
    let of = |text: &str| undocumented(&File::new("engine/src/log/map.rs", text)).len();
    assert_eq!(of("/// Does.\npub unsafe fn f() {}\n"), 1);
    assert_eq!(of("/// Does.\n///\n/// # Safety\n///\n/// So.\npub unsafe fn f() {}\n"), 0);
}
