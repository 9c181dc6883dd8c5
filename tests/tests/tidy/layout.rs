//! What stands at the top, and which crates there are.

use std::collections::BTreeSet;
use std::fs;

use super::{File, assert_none, repository, root};

/// All that may stand at the top, beside files that begin with a dot.
const TOP: [&str; 15] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "bench",
    "codec",
    "deny.toml",
    "engine",
    "fuzz",
    "rustfmt.toml",
    "target",
    "tests",
];

/// Files that people look for.
const PAGES: [&str; 8] = [
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Cargo.lock",
    "codec/FORMAT.md",
    "engine/DESIGN.md",
];

fn strangers<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let names = names.into_iter().filter(|name| !name.starts_with('.') && !TOP.contains(name));
    names.map(String::from).collect()
}

fn missing(files: &[File]) -> Vec<String> {
    let there = |page: &str| files.iter().any(|file| file.path == page && file.text.len() > 100);
    PAGES.iter().filter(|page| !there(page)).map(|page| (*page).to_owned()).collect()
}

/// The lines of `[section]` in a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> BTreeSet<&'a str> {
    let head = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| *line != head).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Manifests of crates that do not take the workspace's lints. One that is no member cannot take
/// them, and must say the same itself.
fn without_lints(files: &[File]) -> Vec<String> {
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let top = files.iter().find(|file| file.path == "Cargo.toml").map_or("", |file| &file.text);
    let strict = |file: &&File| {
        if !file.text.lines().any(|line| line == "[workspace]") {
            return section(&file.text, "lints").contains("workspace = true");
        }
        ["rust", "rustdoc", "clippy"].iter().all(|tool| {
            let own = section(&file.text, &format!("lints.{tool}"));
            own == section(top, &format!("workspace.lints.{tool}"))
        })
    };
    manifests.filter(|file| !strict(file)).map(|file| file.path.clone()).collect()
}

#[test]
fn stands_at_the_top_only_what_belongs_there() {
    let entries = fs::read_dir(root()).expect("the top");
    let names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    assert!(names.len() > 8, "{names:?}");
    assert_none("strangers at the top", &strangers(names.iter().map(String::as_str)));
    assert_none("pages that are missing", &missing(&repository()));
}

#[test]
fn does_each_crate_take_the_lints() {
    let files = repository();
    let crates = files.iter().filter(|file| file.path.ends_with("/Cargo.toml")).count();
    assert!(crates >= 6, "{crates} crates");
    assert_none("crates without the workspace's lints", &without_lints(&files));
}

#[test]
fn is_a_stranger_found() {
    assert_eq!(strangers(["notes.txt", ".ci", "README.md", "src"]), ["notes.txt", "src"]);
    let pages = PAGES.map(|page| File::new(page, &"text ".repeat(30)));
    assert!(missing(&pages).is_empty());
    assert_eq!(missing(&pages[1..]), ["README.md"]);
    assert_eq!(missing(&[]).len(), PAGES.len());
}

#[test]
fn is_a_crate_without_lints_found() {
    let top = File::new("Cargo.toml", "[workspace.lints.rust]\na = 1\nb = 2\n\n[x]\n");
    let of = |text: &str| without_lints(&[top.clone(), File::new("a/Cargo.toml", text)]).len();
    assert_eq!(of("[lints]\nworkspace = true\n"), 0);
    assert_eq!(of("[dependencies]\nx = { workspace = true }\n"), 1);
    assert_eq!(of("[lints]\n\n[other]\nworkspace = true\n"), 1);
    assert_eq!(of("[workspace]\n\n[lints.rust]\nb = 2\na = 1\n"), 0);
    assert_eq!(of("[workspace]\n\n[lints.rust]\na = 1\n"), 1);
}
