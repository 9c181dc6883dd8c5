//! Does the repository keep its own rules?
//!
//! Imports go down the floors only and form no circle; unsafe code stands in listed files, each
//! block with its proof; files are short; there are no leftovers. Each rule is tried on made-up
//! input that breaks it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Files that may hold unsafe code.
const UNSAFE: [&str; 4] = [
    "engine/src/log/clock.rs",
    "engine/src/log/fork.rs",
    "engine/src/log/map.rs",
    "engine/src/log/segment.rs",
];
/// Floors of the engine, from the bottom; those in one row do not know each other.
const FLOORS: [&[&str]; 6] = [
    &["sync"],
    &["log"],
    &["image"],
    &["aggregate"],
    &["projection", "reaction"],
    &["failure", "erasure", "relay"],
];
const TOP: [&str; 14] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "SECURITY.md",
    "rustfmt.toml",
    "engine",
    "codec",
    "bench",
    "fuzz",
    "tests",
    "target",
];
const MOST_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_path_buf()
}

/// All Rust files below a folder, by their path from the root.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("inside").display().to_string();
                files.insert(name, fs::read_to_string(path).expect("read"));
            }
        }
    }
    files
}

/// The code without comments and without what stands behind `#[cfg(test)]`.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or(text);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// Names that follow `prefix` in the code, braces taken apart.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let word = |text: &str| {
            text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or(list);
                names.extend(list.split(',').map(word).filter(|name| !name.is_empty()));
            }
            None => {
                names.insert(word(rest));
            }
        }
    }
    names
}

/// Which modules of a folder use which, by their names in that folder.
fn graph(
    files: &BTreeMap<String, String>,
    folder: &str,
    path: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let module = |name: &str| {
        let inside = name.strip_prefix(folder)?.trim_start_matches('/');
        let first = inside.split('/').next()?;
        let first = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(first, "mod" | "lib")).then(|| first.to_string())
    };
    let modules: BTreeSet<String> = files.keys().filter_map(|name| module(name)).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in files {
        let Some(from) = module(name) else { continue };
        let code = code(text);
        let mut used = names_after(&code, path);
        // `super` leads to the folder as often as the file is deep in it.
        let depth = name.strip_prefix(folder).map_or(0, |inside| inside.matches('/').count());
        let depth = if name.ends_with("/mod.rs") { depth - 1 } else { depth };
        let supers = "super::".repeat(depth.max(1));
        used.extend(names_after(&code, &supers));
        let used = used.into_iter().filter(|used| modules.contains(used) && *used != from);
        edges.entry(from.clone()).or_default().extend(used);
    }
    edges
}

/// A circle among the modules, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        at: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        done: &mut BTreeSet<String>,
        path: &mut Vec<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|name| name == at) {
            return Some(path[start..].to_vec());
        }
        if !done.insert(at.to_string()) {
            return None;
        }
        path.push(at.to_string());
        for next in edges.get(at).into_iter().flatten() {
            if let Some(found) = visit(next, edges, done, path) {
                return Some(found);
            }
        }
        path.pop();
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|name| visit(name, edges, &mut done, &mut Vec::new()))
}

#[test]
fn do_modules_form_no_circle() {
    for (folder, path) in [
        ("engine/src/log", "crate::log::"),
        ("codec/src", "crate::"),
        ("codec/src/types", "crate::types::"),
        ("codec/derive/src", "crate::"),
    ] {
        let files: BTreeMap<_, _> =
            sources(folder).into_iter().filter(|(name, _)| !name.ends_with("private.rs")).collect();
        let edges = graph(&files, folder, path);
        assert!(edges.len() > 4, "{folder} has modules");
        assert!(edges.values().any(|used| !used.is_empty()), "imports are found in {folder}");
        assert_eq!(circle(&edges), None, "a circle in {folder}");
    }
    // The search finds what it is for.
    let made_up = BTreeMap::from([
        ("x/a.rs".to_string(), "use super::b::B;".to_string()),
        ("x/b/mod.rs".to_string(), "mod c;".to_string()),
        ("x/b/c.rs".to_string(), "use crate::x::{d, e};".to_string()),
        ("x/d.rs".to_string(), "fn f() { super::a::g() }".to_string()),
    ]);
    let edges = graph(&made_up, "x", "crate::x::");
    assert_eq!(circle(&edges).map(|names| names.len()), Some(3), "{edges:?}");
}

#[test]
fn do_imports_go_down_only() {
    let breaks = |name: &str, text: &str| {
        let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
        let inside = name.strip_prefix("engine/src/")?;
        let own = inside.split(['/', '.']).next()?;
        let level = floor(own)?;
        let used = names_after(&code(text), "crate::");
        used.into_iter().find(|used| *used != own && floor(used).is_some_and(|used| used >= level))
    };
    for (name, text) in sources("engine/src") {
        assert_eq!(breaks(&name, &text), None, "{name} looks up");
    }
    for (name, text) in sources("codec/src") {
        assert!(!text.contains("factlog::log") && !code(&text).contains("use factlog::"), "{name}");
        for banned in ["std::fs", "std::io", "std::thread", "std::time::Instant", "SystemTime"] {
            assert!(!code(&text).contains(banned), "{name} names {banned}");
        }
    }
    assert!(breaks("engine/src/log/x.rs", "use crate::image::State;").is_some());
    assert!(breaks("engine/src/image/x.rs", "use crate::log::Log;").is_none());
}

/// Lines with an unsafe block or function that no comment proves.
fn unproven(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let bare = line.split("//").next().unwrap_or(line);
        if !bare.contains("unsafe {") {
            continue;
        }
        let above = lines[..index].iter().rev().take(5);
        if !above.into_iter().any(|line| line.contains("SAFETY:")) {
            found.push(index + 1);
        }
    }
    found
}

#[test]
fn is_unsafe_code_where_it_is_listed_and_proved() {
    for (name, text) in sources("engine/src").into_iter().chain(sources("codec")) {
        let has = code(&text).replace("unsafe_code", "").contains("unsafe");
        let listed = UNSAFE.contains(&name.as_str());
        // The macros' tests may name it in text that must not compile.
        if name.starts_with("codec/tests") {
            continue;
        }
        assert!(!has || listed, "{name} has unsafe code and is not listed");
        assert!(has || !listed, "{name} is listed and has none");
        assert_eq!(unproven(&text), Vec::<usize>::new(), "{name}: blocks without a proof");
    }
    assert!(sources("codec/src")["codec/src/lib.rs"].contains("#![deny(unsafe_code)]"));
    assert_eq!(unproven("let x = 1;\nlet y = unsafe { f() };"), [2]);
    assert!(unproven("// SAFETY: it is.\nlet y = unsafe { f() };").is_empty());
}

#[test]
fn are_files_short_and_without_leftovers() {
    let marks = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    let leftover = |text: &str| marks.into_iter().find(|mark| text.contains(mark));
    for folder in ["engine", "codec", "bench", "fuzz", "tests"] {
        for (name, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{name} has {lines} lines, of at most {MOST_LINES}");
            if !name.ends_with("tidy.rs") {
                assert_eq!(leftover(&text), None, "a leftover in {name}");
            }
            let own = name.starts_with("engine/src") || name.starts_with("codec/src");
            if own {
                assert!(!code(&text).contains(".unwrap()"), "{name} unwraps");
            }
        }
    }
    assert_eq!(leftover("// TODO: later"), Some("TODO"));
}

#[test]
fn are_atomics_named_in_one_place() {
    for (name, text) in sources("engine/src") {
        let code = code(&text);
        let names = code.contains("std::sync") || code.contains("loom::");
        assert!(!names || name == "engine/src/sync.rs", "{name} names std::sync");
    }
}

#[test]
fn is_the_top_level_what_it_should_be() {
    for entry in fs::read_dir(root()).expect("listed") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || TOP.contains(&name.as_str()), "{name} at the top level");
    }
    for needed in
        ["engine/DESIGN.md", "codec/FORMAT.md", "LICENSE-MIT", "LICENSE-APACHE", ".ci/run"]
    {
        assert!(root().join(needed).exists(), "{needed} is missing");
    }
    for krate in ["engine", "codec", "codec/derive", "bench", "tests"] {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).expect("read");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{krate} has lints of its own");
    }
}
