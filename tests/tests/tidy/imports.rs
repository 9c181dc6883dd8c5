//! Which way imports go: between the floors of the engine, and between the modules of one floor.
//!
//! A module is what a file or folder directly under a directory makes. It refers to another one by
//! a path that names it, or something that the contents page of the directory lends from it:
//! `crate::..`, or enough `super`s to get to the directory. That gives a graph; what is in a circle
//! there is found by following all ways.

use std::collections::{BTreeMap, BTreeSet};

use super::scrub::{code, without_tests};
use super::{File, assert_none, repository};

/// Who refers to whom, and in which files.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Floors of the engine, from the ground up; those of one row do not see each other.
const FLOORS: [&[&str]; 7] = [
    &["sync"],
    &["log"],
    &["image"],
    &["aggregate"],
    &["projection", "reaction"],
    &["failure", "erasure", "relay"],
    // Pages, no code.
    &["guide"],
];

/// All paths in `code` that begin with a word for which `begins` holds, as their parts; groups are
/// opened.
fn paths(code: &str, begins: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for letter in code.chars().chain([' ']) {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !letter.is_whitespace() {
            tokens.push(letter.to_string());
        }
    }
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let inside = at >= 2 && tokens[at - 1] == ":" && tokens[at - 2] == ":";
        if !inside && begins(&tokens[at]) {
            at = path(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path from `at` on, behind `prefix`; gives where it ends.
fn path(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    let mut parts = prefix.to_vec();
    loop {
        if is(at, "{") {
            at += 1;
            while at < tokens.len() && !is(at, "}") {
                at = path(tokens, at, &parts, found);
                at += usize::from(is(at, ","));
            }
            return at + 1;
        }
        let Some(part) = tokens.get(at) else { break };
        parts.push(part.clone());
        at += 1;
        if !(is(at, ":") && is(at + 1, ":")) {
            break;
        }
        at += 2;
    }
    if is(at, "as") {
        at += 2;
    }
    found.push(parts);
    at
}

/// Where `path` leads to, as modules from the crate's root; `module` is where it stands.
fn resolve(module: &[String], path: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    if path.first().is_some_and(|part| part == "crate") {
        return path[1..].to_vec();
    }
    let kept = module.len().saturating_sub(supers);
    module[..kept].iter().chain(&path[supers..]).cloned().collect()
}

/// The module that a file makes, from the crate's root.
fn module_of(path_in_src: &str) -> Vec<String> {
    let stem = path_in_src.trim_end_matches(".rs");
    let parts = stem.split('/').map(String::from);
    parts.filter(|part| !matches!(part.as_str(), "mod" | "lib")).collect()
}

/// What the contents page of `within` lends from its modules: name and module.
fn lent(files: &[File], src: &str, within: &[&str], names: &BTreeSet<String>) -> Lent {
    let page = files.iter().find(|file| {
        file.path.strip_prefix(src).is_some_and(|path| {
            (path.ends_with("mod.rs") || path == "lib.rs") && module_of(path) == within
        })
    });
    let code = page.map(|page| code(&page.text)).unwrap_or_default();
    let uses =
        code.split(';').filter_map(|statement| statement.rsplit_once("use ")).map(|(_, path)| path);
    let uses =
        uses.flat_map(|path| paths(path.trim_start_matches("self::"), |word| names.contains(word)));
    uses.filter_map(|path| Some((path.last()?.clone(), path.first()?.clone()))).collect()
}

type Lent = BTreeMap<String, String>;

/// Who refers to whom among the modules directly in `within`, a module of the crate in `src`.
/// The file of `within` itself is no module of it: it is the contents page.
fn graph(files: &[File], src: &str, within: &[&str]) -> Graph {
    let inside = |module: &[String]| {
        let (head, rest) = module.split_at_checked(within.len())?;
        (head == within).then(|| rest.first().cloned()).flatten()
    };
    let modules: Vec<_> = files
        .iter()
        .filter(|file| file.is_rust())
        .filter_map(|file| Some((file, module_of(file.path.strip_prefix(src)?))))
        .filter_map(|(file, module)| Some((file, inside(&module)?, module)))
        .collect();
    let names: BTreeSet<String> = modules.iter().map(|(_, name, _)| name.clone()).collect();
    let lent = lent(files, src, within, &names);
    let mut graph: Graph = names.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
    for (file, from, module) in &modules {
        let code = without_tests(&code(&file.text));
        for path in paths(&code, |word| matches!(word, "crate" | "super")) {
            let Some(to) = inside(&resolve(module, &path)) else { continue };
            let to = if names.contains(&to) { Some(&to) } else { lent.get(&to) };
            if let Some(to) = to.filter(|to| *to != from) {
                let edges = graph.entry(from.clone()).or_default();
                edges.entry(to.clone()).or_default().insert(file.path.clone());
            }
        }
    }
    graph
}

/// All modules that can be reached from `from`, by one step at least.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(at) = open.pop() {
        for to in graph.get(&at).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(to.clone()) {
                open.push(to.clone());
            }
        }
    }
    seen
}

/// The edges that are part of a circle: those from whose end there is a way back to their start.
fn circular(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (from, targets) in graph {
        for (to, files) in targets {
            if reachable(graph, to).contains(from) {
                let files: Vec<_> = files.iter().map(String::as_str).collect();
                found.push(format!("{from} -> {to} in {}", files.join(", ")));
            }
        }
    }
    found
}

/// The edges that lead up, or sideways, between floors; and folders that are on no floor.
fn upward(graph: &Graph) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().position(|row| row.contains(&name));
    let mut found = Vec::new();
    for (from, targets) in graph {
        let Some(high) = floor(from) else {
            found.push(format!("{from} is on no floor"));
            continue;
        };
        let up = targets.keys().filter(|to| floor(to).is_none_or(|low| low >= high));
        found.extend(up.map(|to| format!("{from} -> {to}")));
    }
    found
}

#[test]
fn do_imports_of_the_engine_go_down_only() {
    let mut floors = graph(&repository(), "engine/src/", &[]);
    assert!(floors["log"].contains_key("sync"), "imports are seen");
    // What runs on top of all floors.
    floors.remove("bin");
    assert_none("imports between floors that do not go down", &upward(&floors));
}

#[test]
fn are_there_no_circles_in_the_log() {
    let graph = graph(&repository(), "engine/src/", &["log"]);
    assert!(graph.len() > 10 && graph["writer"].contains_key("shared"), "imports are seen");
    assert_none("circles between modules of the log", &circular(&graph));
}

#[test]
fn are_there_no_circles_inside_the_folders_of_the_log() {
    let files = repository();
    let folders =
        ["cursor", "disk", "named", "open", "recovery", "scrub", "submit", "wait", "writer"];
    for folder in folders {
        let graph = graph(&files, "engine/src/", &["log", folder]);
        assert!(graph.len() > 1, "{folder} has modules");
        assert_none(folder, &circular(&graph));
    }
}

#[test]
fn are_there_no_circles_in_the_codec() {
    let files = repository();
    for (src, within, least) in [
        ("codec/src/", &[][..], 8),
        ("codec/src/", &["frame"][..], 3),
        ("codec/src/", &["item"][..], 4),
        ("codec/src/", &["segment"][..], 4),
        ("codec/src/", &["types"][..], 8),
        ("codec/src/", &["types", "description"][..], 4),
        ("codec/src/", &["types", "render"][..], 2),
        ("codec/derive/src/", &[][..], 5),
    ] {
        let graph = graph(&files, src, within);
        assert!(graph.len() >= least, "{src} {within:?} has modules");
        assert_none(&format!("circles in {src} {}", within.join("::")), &circular(&graph));
    }
}

fn made_up() -> Vec<File> {
    vec![
        File::new("engine/src/lib.rs", "mod log; pub use log::a::X;"),
        File::new("engine/src/log/mod.rs", "mod a; mod b; mod c; pub use a::X;"),
        File::new("engine/src/log/a.rs", "use super::{b::{self, Y}, d as e};"),
        File::new("engine/src/log/b/mod.rs", "// super::d\nmod inner;\npub use inner::{Lent};"),
        File::new("engine/src/log/b/other.rs", "use crate::log::b::Lent;"),
        File::new(
            "engine/src/log/b/inner.rs",
            "fn f() -> super::super::c::Z { super::other::g() }",
        ),
        File::new("engine/src/log/c.rs", "use crate::log::a::X as Own;\nuse crate::sync::Arc;"),
        File::new(
            "engine/src/log/d.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::log::a::X;\n}\n",
        ),
        File::new("engine/src/image.rs", "use crate::{log::Log, aggregate};"),
        File::new("engine/src/aggregate.rs", ""),
        File::new("engine/src/attic.rs", ""),
        File::new("engine/src/sync.rs", "use std::sync::Arc;"),
    ]
}

#[test]
fn is_a_circle_found() {
    let graph = graph(&made_up(), "engine/src/", &["log"]);
    assert_eq!(graph["a"].keys().collect::<Vec<_>>(), ["b", "d"]);
    let expected = [
        "a -> b in engine/src/log/a.rs",
        "b -> c in engine/src/log/b/inner.rs",
        "c -> a in engine/src/log/c.rs",
    ];
    assert_eq!(circular(&graph), expected);
    let inside = super::imports::graph(&made_up(), "engine/src/", &["log", "b"]);
    let expected = [
        "inner -> other in engine/src/log/b/inner.rs",
        "other -> inner in engine/src/log/b/other.rs",
    ];
    assert_eq!(circular(&inside), expected, "one of them by what the contents page lends");
}

#[test]
fn is_an_import_upwards_found() {
    let graph = graph(&made_up(), "engine/src/", &[]);
    assert_eq!(graph["log"].keys().collect::<Vec<_>>(), ["sync"]);
    assert_eq!(upward(&graph), ["attic is on no floor", "image -> aggregate"]);
}

#[test]
fn are_paths_of_all_forms_read() {
    let found =
        paths("use super::{a::{self, B as C}, d}; x(crate::e::f(), super::super::g)", |word| {
            matches!(word, "crate" | "super")
        });
    let found: Vec<_> = found.iter().map(|path| path.join("::")).collect();
    let expected = ["super::a::self", "super::a::B", "super::d", "crate::e::f", "super::super::g"];
    assert_eq!(found, expected);
}
